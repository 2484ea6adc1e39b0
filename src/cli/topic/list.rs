//! `towpath topic list`.

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::Result;
use crate::cli::kafka::cluster::TopicInfo;
use crate::cli::output::table::{Align, Table};

/// List topics
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Show only topics whose names contain this
    filter: Option<String>,
    /// Show internal topics too
    #[arg(long)]
    internal: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    topic: String,
    partitions: usize,
    replication_factor: usize,
    id: Uuid,
    internal: bool,
}

impl Row {
    fn of(topic: &TopicInfo) -> Self {
        Self {
            topic: topic.name.clone(),
            partitions: topic.partitions.len(),
            replication_factor: topic.replication_factor(),
            id: topic.id,
            internal: topic.internal,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer.
pub async fn run(context: &mut Context, args: &ListArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let info = cluster.info(None).await?;
    let shown = |topic: &&TopicInfo| {
        (args.internal || !topic.internal) && args.filter.as_ref().is_none_or(|part| topic.name.contains(part))
    };
    let rows: Vec<Row> = info.topics.iter().filter(shown).map(Row::of).collect();
    context.printer.listing(&rows, draw)
}

fn draw(rows: &[Row]) -> Table {
    let columns =
        [("TOPIC", Align::Left), ("PARTITIONS", Align::Right), ("REPLICATION", Align::Right), ("ID", Align::Left)];
    let mut table = Table::new(&columns);
    for row in rows {
        table.row([
            row.topic.clone(),
            row.partitions.to_string(),
            row.replication_factor.to_string(),
            row.id.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_listed_in_columns() {
        let row = |topic: &str, partitions| Row {
            topic: topic.to_owned(),
            partitions,
            replication_factor: 3,
            id: Uuid::from_u128(1),
            internal: false,
        };
        let expected = "\
TOPIC   PARTITIONS  REPLICATION  ID
logs            12            3  00000000-0000-0000-0000-000000000001
orders           1            3  00000000-0000-0000-0000-000000000001";
        assert_eq!(draw(&[row("logs", 12), row("orders", 1)]).to_string(), expected);
    }
}
