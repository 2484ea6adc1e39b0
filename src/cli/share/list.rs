//! `towpath share list`.

use clap::Args;
use kafka_protocol::messages::ListGroupsRequest;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::Result;
use crate::cli::kafka::protocol::{check, text};
use crate::cli::output::table::{Align, Table};

/// List share groups
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Show only groups in these states; several separated by commas
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', ignore_case = true,
          value_parser = ["Empty", "Stable", "Dead"])]
    states: Vec<String>,
    /// Show only groups whose names contain this
    filter: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Row {
    group: String,
    state: String,
}

/// Runs the command.
///
/// # Errors
/// When a broker does not answer.
pub async fn run(context: &mut Context, args: &ListArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let request = ListGroupsRequest::default()
        .with_types_filter(vec![text("share")])
        .with_states_filter(args.states.iter().map(|state| text(state)).collect());
    let mut rows = Vec::new();
    for broker in cluster.info(Some(&[])).await?.brokers.values() {
        // From version 5 on types can be asked for.
        let answer = cluster.at(&broker.address).await?.send(5, &request).await?;
        check(answer.error_code, format!("listing groups of broker {}", broker.id), None)?;
        let shares = answer.groups.iter().filter(|group| group.group_type.as_str().eq_ignore_ascii_case("share"));
        rows.extend(shares.map(|group| Row {
            group: group.group_id.as_str().to_owned(),
            state: group.group_state.as_str().to_owned(),
        }));
    }
    rows.sort();
    rows.dedup_by(|one, other| one.group == other.group);
    rows.retain(|row| args.filter.as_ref().is_none_or(|part| row.group.contains(part)));
    context.printer.listing(&rows, |rows| {
        let mut table = Table::new(&[("GROUP", Align::Left), ("STATE", Align::Left)]);
        for row in rows {
            table.row([row.group.clone(), row.state.clone()]);
        }
        table
    })
}
