//! `towpath group delete`.

use clap::Args;
use kafka_protocol::messages::{DeleteGroupsRequest, GroupId};
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::protocol::{check, text};
use crate::cli::output::table::{Align, Table};

/// Delete groups that have no members, with their offsets
#[derive(Args, Clone, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    group: String,
    outcome: &'static str,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer or refuses a group; the others are deleted all the same.
pub async fn run(context: &mut Context, args: &DeleteArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for group in &args.groups {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let answer = cluster.coordinator(group).await?.send(2, &request).await?;
        let code = answer.results.first().map_or(0, |result| result.error_code);
        match check(code, format!("deleting group '{group}'"), None) {
            Ok(()) => rows.push(Row { group: group.clone(), outcome: "deleted" }),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if !rows.is_empty() || context.printer.is_json() {
        context.printer.listing(&rows, |rows| {
            let mut table = Table::new(&[("GROUP", Align::Left), ("OUTCOME", Align::Left)]);
            for row in rows {
                table.row([row.group.clone(), row.outcome.to_owned()]);
            }
            table
        })?;
    }
    if failures.is_empty() { Ok(()) } else { Err(CliError::Failed(failures.join("\n"))) }
}
