//! `/api/share-groups/{group}`: what Kafka's protocol has no fields for, of partitions of a share group.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most partitions of one question.
pub const PARTITIONS_MAX: usize = 200;

/// A topic's id and a partition's number.
pub type PartitionKey = (Uuid, i32);

/// The state of one share partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharePartitionPage {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: i32,
    /// Everything before it is done with; nothing while nobody has fetched.
    pub start_offset: Option<i64>,
    /// The first offset that was never with a member.
    pub end_offset: Option<i64>,
    /// Waiting to be delivered again.
    pub available: u64,
    /// With members now.
    pub in_flight: u64,
    /// Of those two, delivered more than once.
    pub redelivered: u64,
    /// Processed, behind something that is not.
    pub acknowledged: u64,
    /// Given up, behind something that is not done with.
    pub archived: u64,
    /// How long the oldest record has been with its member, about, in milliseconds.
    pub oldest_age_ms: Option<u64>,
}

/// Looks at partitions of a group; those that have no state are left out. A sentence when it can not be done.
pub type Look =
    Arc<dyn Fn(String, Vec<PartitionKey>) -> BoxFuture<'static, Result<Vec<SharePartitionPage>, String>> + Send + Sync>;

/// Where the page gets its content. Cloning shares it.
#[derive(Clone)]
pub struct ShareView(pub Look);

impl fmt::Debug for ShareView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareView")
    }
}

/// The question's parameters.
#[derive(Debug, Deserialize)]
struct Asked {
    /// `topic id/partition`, separated by commas.
    partitions: String,
}

/// The page.
pub fn router(view: ShareView) -> Router {
    Router::new().route("/api/share-groups/{group}", get(page)).with_state(view)
}

async fn page(
    State(view): State<ShareView>,
    Path(group): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<impl IntoResponse, (StatusCode, String)> {
    let partitions = parse(&asked.partitions).map_err(|sentence| (StatusCode::BAD_REQUEST, sentence))?;
    let look = (view.0)(group, partitions).await;
    let pages = look.map_err(|sentence| (StatusCode::SERVICE_UNAVAILABLE, sentence))?;
    let body = serde_json::to_string(&pages).unwrap_or_default() + "\n";
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}

fn parse(text: &str) -> Result<Vec<PartitionKey>, String> {
    let one = |part: &str| {
        let (topic_id, partition) = part.split_once('/')?;
        Some((topic_id.parse().ok()?, partition.parse().ok().filter(|partition| *partition >= 0)?))
    };
    let partitions: Option<Vec<PartitionKey>> = text.split(',').filter(|part| !part.is_empty()).map(one).collect();
    match partitions {
        Some(partitions) if partitions.len() <= PARTITIONS_MAX => Ok(partitions),
        Some(_) => Err(format!("partitions names more than {PARTITIONS_MAX}; ask several times\n")),
        None => Err("partitions is not of the form <topic id>/<partition>,<topic id>/<partition>\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_or_refused_with_a_sentence() {
        let id = Uuid::from_u128(7);
        assert_eq!(parse(&format!("{id}/0,{id}/3")), Ok(vec![(id, 0), (id, 3)]));
        assert_eq!(parse(""), Ok(Vec::new()));
        for wrong in ["x", "x/0", &format!("{id}/-1"), &format!("{id}/")] {
            assert!(parse(wrong).unwrap_err().contains("<topic id>/<partition>"), "{wrong}");
        }
        let many = vec![format!("{id}/0"); PARTITIONS_MAX + 1].join(",");
        assert!(parse(&many).unwrap_err().contains("several times"));
    }
}
