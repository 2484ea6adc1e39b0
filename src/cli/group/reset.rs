//! `towpath group reset`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use kafka_protocol::protocol::StrBytes;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::committed::{commit_request, committed_offsets};
use crate::cli::kafka::consumer::{TopicPartition, positions_of};
use crate::cli::kafka::offsets::OffsetChoice;
use crate::cli::kafka::protocol::check;
use crate::cli::output::table::{Align, Table};

/// Move the offsets of a group that has no members
#[derive(Args, Clone, Debug)]
pub struct ResetArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group
    group: String,
    /// Where to: beginning, end, an offset, -N (before the end), @-1h, @milliseconds
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    to: OffsetChoice,
    /// Which topics; all that the group has offsets for by default
    #[arg(short, long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Which partitions; all by default
    #[arg(short, long = "partition", value_name = "PARTITION")]
    partitions: Vec<i32>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer, or the group has members.
pub async fn run(context: &mut Context, args: &ResetArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let coordinator = cluster.coordinator(&args.group).await?;
    let committed = committed_offsets(&coordinator, &args.group, None).await?;
    let topics: BTreeSet<String> = if args.topics.is_empty() {
        committed.keys().map(|partition| partition.topic.to_string()).collect()
    } else {
        args.topics.iter().cloned().collect()
    };
    if topics.is_empty() {
        let group = &args.group;
        return Err(CliError::Usage(format!("group '{group}' has no offsets yet; name the topics with --topic")));
    }
    let topics: Vec<String> = topics.into_iter().collect();
    let positions = positions_of(&cluster, &topics, &args.partitions, args.to, context.clock.as_ref()).await?;
    if !args.dry_run {
        let request = commit_request(&args.group, -1, &StrBytes::default(), &positions);
        let answer = coordinator.send(8, &request).await?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let tried = format!("resetting group '{}' (stop its members first)", args.group);
            check(partition.error_code, tried, None)?;
        }
    }
    context.printer.listing(&rows(&positions, &committed), draw)
}

fn rows(positions: &BTreeMap<TopicPartition, i64>, committed: &BTreeMap<TopicPartition, i64>) -> Vec<Row> {
    let row = |(partition, to): (&TopicPartition, &i64)| Row {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        from: committed.get(partition).copied(),
        to: *to,
    };
    positions.iter().map(row).collect()
}

fn draw(rows: &[Row]) -> Table {
    let columns = [("TOPIC", Align::Left), ("PARTITION", Align::Right), ("FROM", Align::Right), ("TO", Align::Right)];
    let mut table = Table::new(&columns);
    for row in rows {
        let from = row.from.map(|offset| offset.to_string()).unwrap_or_default();
        table.row([row.topic.clone(), row.partition.to_string(), from, row.to.to_string()]);
    }
    table
}
