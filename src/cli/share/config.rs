//! `towpath share config`.

use clap::Args;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::Result;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::configs::{Configured, alter, describe, source_name};
use crate::cli::output::table::{Align, Table};
use crate::cli::topic::pairs::parse_pair;

/// Show a share group's configurations, or change them
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group; it need not exist yet
    group: String,
    /// Set a configuration; may be repeated
    #[arg(short, long = "set", value_name = "NAME=VALUE", value_parser = parse_pair, num_args = 1..)]
    set: Vec<(String, String)>,
    /// Return a configuration to its default; may be repeated
    #[arg(short, long = "unset", value_name = "NAME", num_args = 1..)]
    unset: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    value: String,
    source: &'static str,
    doc: String,
}

/// Runs the command: changes first, all or none of them; then everything is shown as it is.
///
/// # Errors
/// When the cluster does not answer or refuses a value.
pub async fn run(context: &mut Context, args: &ConfigArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    if !args.set.is_empty() || !args.unset.is_empty() {
        alter(&cluster, Configured::ShareGroup(&args.group), &args.set, &args.unset).await?;
    }
    context.printer.listing(&rows(&cluster, &args.group).await?, draw)
}

async fn rows(cluster: &Cluster, group: &str) -> Result<Vec<Row>> {
    let mut configs = describe(cluster, Configured::ShareGroup(group), true).await?;
    configs.retain(|config| concerns_share_groups(config.name.as_str()));
    let row = |config: DescribeConfigsResourceResult| Row {
        name: config.name.to_string(),
        value: config.value.map(|value| value.to_string()).unwrap_or_default(),
        source: source_name(config.config_source),
        doc: config.documentation.map(|doc| doc.to_string()).unwrap_or_default(),
    };
    Ok(configs.into_iter().map(row).collect())
}

/// Groups of other kinds have configurations too, which come in the same answer.
fn concerns_share_groups(name: &str) -> bool {
    !name.starts_with("consumer.") && !name.starts_with("streams.")
}

fn draw(rows: &[Row]) -> Table {
    let columns = [("NAME", Align::Left), ("VALUE", Align::Left), ("SOURCE", Align::Left), ("DOC", Align::Left)];
    let mut table = Table::new(&columns).ending_in_prose();
    for row in rows {
        table.row([row.name.clone(), row.value.clone(), row.source.to_owned(), row.doc.clone()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_share_groups_is_shown() {
        assert!(concerns_share_groups("share.record.lock.duration.ms"));
        assert!(concerns_share_groups("errors.deadletterqueue.topic.name"));
        assert!(concerns_share_groups("towpath.share.redelivery.backoff.ms"));
        assert!(!concerns_share_groups("consumer.session.timeout.ms") && !concerns_share_groups("streams.num"));
    }
}
