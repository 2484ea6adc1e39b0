//! `towpath group list`.

use clap::Args;
use kafka_protocol::messages::ListGroupsRequest;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::Result;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::protocol::check;
use crate::cli::output::table::{Align, Table};

/// List groups
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Show only groups whose names contain this
    filter: Option<String>,
}

/// A group as brokers list it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ListedGroup {
    /// Its name.
    pub group: String,
    /// `classic`, `consumer`, `share`; empty on clusters that do not say.
    pub kind: String,
    /// `Stable`, `Empty`, …
    pub state: String,
    /// `consumer`, `connect`, …
    pub protocol: String,
}

/// Runs the command.
///
/// # Errors
/// When a broker does not answer.
pub async fn run(context: &mut Context, args: &ListArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let mut groups = list(&cluster).await?;
    groups.retain(|group| args.filter.as_ref().is_none_or(|part| group.group.contains(part)));
    context.printer.listing(&groups, draw)
}

/// All groups of the cluster in order of name; each broker knows its own.
///
/// # Errors
/// When a broker does not answer.
pub async fn list(cluster: &Cluster) -> Result<Vec<ListedGroup>> {
    let info = cluster.info(Some(&[])).await?;
    let mut groups = Vec::new();
    for broker in info.brokers.values() {
        let answer = cluster.at(&broker.address).await?.send(5, &ListGroupsRequest::default()).await?;
        check(answer.error_code, format!("listing groups of broker {}", broker.id), None)?;
        groups.extend(answer.groups.iter().map(|group| ListedGroup {
            group: group.group_id.as_str().to_owned(),
            kind: group.group_type.as_str().to_owned(),
            state: group.group_state.as_str().to_owned(),
            protocol: group.protocol_type.as_str().to_owned(),
        }));
    }
    groups.sort();
    groups.dedup_by(|one, other| one.group == other.group);
    Ok(groups)
}

fn draw(groups: &[ListedGroup]) -> Table {
    let columns = [("GROUP", Align::Left), ("TYPE", Align::Left), ("STATE", Align::Left), ("PROTOCOL", Align::Left)];
    let mut table = Table::new(&columns);
    for group in groups {
        table.row([group.group.clone(), group.kind.clone(), group.state.clone(), group.protocol.clone()]);
    }
    table
}
