//! `towpath share release`.

use clap::Args;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::share_admin::{alter, describe, positions};
use crate::cli::output::table::{Align, Table};

/// End the locks of a group that has no members, now
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Its partitions begin anew at their start offsets: what was acknowledged behind a record that was \
                    not is delivered again, and delivery counts begin at 1."
)]
pub struct ReleaseArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group
    group: String,
    /// Do it; without this a plan is shown
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    group: String,
    topic: String,
    partition: i32,
    start_offset: i64,
}

/// Runs the command.
///
/// # Errors
/// When the group has members, or the cluster does not answer.
pub async fn run(context: &mut Context, args: &ReleaseArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let described = describe(&cluster, &args.group).await?;
    if !described.members.is_empty() {
        return Err(CliError::Failed(format!(
            "share group '{}' has members ({}), whose acknowledgements would be lost; stop them first (a member that \
             stops gives back what it holds), or wait: locks end after share.record.lock.duration.ms",
            args.group,
            described.members.len()
        )));
    }
    let positions = positions(&cluster, &args.group).await?;
    let starts = positions.into_iter().filter_map(|(partition, position)| Some((partition, position.start?))).collect();
    if args.execute {
        alter(&cluster, &args.group, &starts).await?;
    }
    let rows: Vec<Row> = starts
        .iter()
        .map(|(partition, start)| Row {
            group: args.group.clone(),
            topic: partition.topic.to_string(),
            partition: partition.partition,
            start_offset: *start,
        })
        .collect();
    let shown = context.printer.listing(&rows, |rows| {
        let mut table = Table::new(&[
            ("GROUP", Align::Left),
            ("TOPIC", Align::Left),
            ("PARTITION", Align::Right),
            ("START-OFFSET", Align::Right),
        ]);
        for row in rows {
            table.row([row.group.clone(), row.topic.clone(), row.partition.to_string(), row.start_offset.to_string()]);
        }
        table
    });
    if !args.execute {
        context.printer.note("this is a plan, nothing is done yet; --execute does it");
    }
    shown
}
