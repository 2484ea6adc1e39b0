//! What Kafka's protocol has no fields for, asked of an agent's HTTP listener.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::cli::kafka::consumer::TopicPartition;
use crate::cli::kafka::share_admin::SharePosition;
use crate::console::share::{PARTITIONS_MAX, PartitionKey, SharePartitionPage};

/// How long the agent may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer is longer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Where to look.
#[derive(Args, Clone, Debug)]
pub struct LookArgs {
    /// HTTP listener of any agent of the cluster, for what Kafka's protocol does not tell; none: do without
    #[arg(long, value_name = "HOST:PORT", env = "TOWPATH_HTTP", default_value = "127.0.0.1:8080")]
    pub http: String,
}

/// The pages of a group's partitions.
#[derive(Debug, Default)]
pub struct Looked {
    /// By topic id and partition.
    pub pages: BTreeMap<PartitionKey, SharePartitionPage>,
    /// Why there are none.
    pub missing: Option<String>,
}

/// Looks at the partitions of a group. Never fails: what can not be seen is said.
pub async fn look(args: &LookArgs, group: &str, positions: &BTreeMap<TopicPartition, SharePosition>) -> Looked {
    if args.http == "none" {
        return Looked { missing: Some("--http none asks no agent".to_owned()), ..Looked::default() };
    }
    let keys: Vec<PartitionKey> =
        positions.iter().map(|(partition, position)| (position.topic_id, partition.partition)).collect();
    let mut looked = Looked::default();
    for keys in keys.chunks(PARTITIONS_MAX) {
        let asked = async {
            let page = page_url(&args.http, group, keys)?;
            serde_json::from_str::<Vec<SharePartitionPage>>(&get(&page).await?).map_err(|error| error.to_string())
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        match answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))) {
            Ok(pages) => looked.pages.extend(pages.into_iter().map(|page| ((page.topic_id, page.partition), page))),
            Err(reason) => {
                looked.missing = Some(format!("no agent tells it at http://{} ({reason}); see --http", args.http));
                break;
            }
        }
    }
    looked
}

fn page_url(address: &str, group: &str, keys: &[PartitionKey]) -> Result<Url, String> {
    let mut url = Url::parse(&format!("http://{address}/")).map_err(|error| error.to_string())?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["api", "share-groups", group]);
    }
    let partitions: Vec<String> = keys.iter().map(|(topic_id, number)| format!("{topic_id}/{number}")).collect();
    url.query_pairs_mut().append_pair("partitions", &partitions.join(","));
    Ok(url)
}

/// The body of a page. Speaks just enough HTTP for our own agents.
async fn get(url: &Url) -> Result<String, String> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(failed)?;
    let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    // Version 1.0: the body comes in one piece and ends with the connection.
    let request = format!("GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await.map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("what answers there does not speak HTTP")?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some(status) => {
            Err(format!("status {status} {}", body.lines().next().unwrap_or_default()).trim_end().to_owned())
        }
        None => Err("what answers there does not speak HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn any_group_name_fits_into_the_address() {
        let id = Uuid::from_u128(1);
        let url = page_url("h:8080", "a/b c?", &[(id, 0), (id, 12)]).unwrap();
        assert_eq!(url.path(), "/api/share-groups/a%2Fb%20c%3F");
        assert_eq!(url.query_pairs().next().unwrap().1, format!("{id}/0,{id}/12"));
        assert!(page_url("", "g", &[]).is_err());
    }

    #[tokio::test]
    async fn doing_without_is_said() {
        let looked = look(&LookArgs { http: "none".to_owned() }, "g", &BTreeMap::new()).await;
        assert_eq!(looked.missing.as_deref(), Some("--http none asks no agent"));
    }
}
