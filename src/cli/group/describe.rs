//! `towpath group describe`.

use std::collections::BTreeMap;

use clap::Args;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest, GroupId};
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::group::lag::{PartitionLag, lags};
use crate::cli::kafka::assignment::{Assigned, read_assignment};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::protocol::{ErrorCode, check, text};
use crate::cli::output::table::{Align, Table};
use crate::cli::output::units::grouped;

/// Show a group's members, offsets and lag
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group
    group: String,
}

#[derive(Debug, Serialize)]
struct Description {
    group: String,
    kind: &'static str,
    state: String,
    assignor: String,
    coordinator: String,
    lag: i64,
    members: Vec<Member>,
    partitions: Vec<PartitionLag>,
}

#[derive(Clone, Debug, Serialize)]
struct Member {
    member: String,
    client_id: String,
    host: String,
    partitions: Assigned,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer or the group does not exist.
pub async fn run(context: &mut Context, args: &DescribeArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let mut description = match consumer_group(&cluster, &args.group).await? {
        Some(description) => description,
        None => classic_group(&cluster, &args.group).await?,
    };
    let assigned: BTreeMap<String, Assigned> =
        description.members.iter().map(|member| (member.member.clone(), member.partitions.clone())).collect();
    description.partitions = lags(&cluster, &args.group, &assigned).await?;
    description.lag = description.partitions.iter().map(|partition| partition.lag).sum();
    context.printer.object(&description, draw)
}

/// A group of the newer protocol (KIP-848), or nothing when it is not one.
async fn consumer_group(cluster: &Cluster, group: &str) -> Result<Option<Description>> {
    let coordinator = cluster.coordinator(group).await?;
    if !coordinator.serves::<ConsumerGroupDescribeRequest>(1) {
        return Ok(None);
    }
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group))]);
    let answer = coordinator.send(1, &request).await?;
    let Some(described) = answer.groups.first() else { return Ok(None) };
    if ErrorCode::of(described.error_code).is_some_and(|code| code.is(ResponseError::GroupIdNotFound)) {
        return Ok(None);
    }
    check(described.error_code, format!("describing group '{group}'"), described.error_message.as_ref())?;
    let members = described.members.iter().map(|member| Member {
        member: member.member_id.as_str().to_owned(),
        client_id: member.client_id.as_str().to_owned(),
        host: member.client_host.as_str().to_owned(),
        partitions: member
            .assignment
            .topic_partitions
            .iter()
            .map(|topic| (topic.topic_name.as_str().to_owned(), topic.partitions.clone()))
            .collect(),
    });
    Ok(Some(Description {
        group: group.to_owned(),
        kind: "consumer",
        state: described.group_state.as_str().to_owned(),
        assignor: described.assignor_name.as_str().to_owned(),
        coordinator: coordinator.address().to_owned(),
        lag: 0,
        members: members.collect(),
        partitions: Vec::new(),
    }))
}

async fn classic_group(cluster: &Cluster, group: &str) -> Result<Description> {
    let coordinator = cluster.coordinator(group).await?;
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    let answer = coordinator.send(6, &request).await?;
    let missing = || CliError::Failed(format!("group '{group}' does not exist; `towpath group list` shows all"));
    let described = answer.groups.first().ok_or_else(missing)?;
    if ErrorCode::of(described.error_code).is_some_and(|code| code.is(ResponseError::GroupIdNotFound)) {
        return Err(missing());
    }
    check(described.error_code, format!("describing group '{group}'"), described.error_message.as_ref())?;
    if described.group_state.as_str() == "Dead" {
        return Err(missing());
    }
    let consumers = described.protocol_type.as_str() == "consumer";
    let members = described.members.iter().map(|member| Member {
        member: member.member_id.as_str().to_owned(),
        client_id: member.client_id.as_str().to_owned(),
        host: member.client_host.as_str().to_owned(),
        // Connect and others use the group protocol for assignments of their own.
        partitions: if consumers {
            read_assignment(member.member_assignment.clone()).unwrap_or_default()
        } else {
            Assigned::new()
        },
    });
    Ok(Description {
        group: group.to_owned(),
        kind: "classic",
        state: described.group_state.as_str().to_owned(),
        assignor: described.protocol_data.as_str().to_owned(),
        coordinator: coordinator.address().to_owned(),
        lag: 0,
        members: members.collect(),
        partitions: Vec::new(),
    })
}

fn draw(description: &Description) -> String {
    let mut text = format!(
        "group        {}\ntype         {}\nstate        {}\nassignor     {}\ncoordinator  {}\nlag          {}\n",
        description.group,
        description.kind,
        description.state,
        if description.assignor.is_empty() { "-" } else { &description.assignor },
        description.coordinator,
        grouped(u64::try_from(description.lag).unwrap_or(0)),
    );
    if !description.members.is_empty() {
        let mut table = Table::new(&[
            ("MEMBER", Align::Left),
            ("CLIENT-ID", Align::Left),
            ("HOST", Align::Left),
            ("PARTITIONS", Align::Right),
        ]);
        for member in &description.members {
            table.row([
                member.member.clone(),
                member.client_id.clone(),
                member.host.clone(),
                member.partitions.values().map(Vec::len).sum::<usize>().to_string(),
            ]);
        }
        text.push_str(&format!("\n{table}\n"));
    }
    if !description.partitions.is_empty() {
        let mut table = Table::new(&[
            ("TOPIC", Align::Left),
            ("PARTITION", Align::Right),
            ("COMMITTED", Align::Right),
            ("END", Align::Right),
            ("LAG", Align::Right),
            ("MEMBER", Align::Left),
        ]);
        for partition in &description.partitions {
            table.row([
                partition.topic.clone(),
                partition.partition.to_string(),
                partition.committed.map(|offset| offset.to_string()).unwrap_or_default(),
                partition.end.to_string(),
                partition.lag.to_string(),
                partition.member.clone().unwrap_or_default(),
            ]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_described_with_members_and_lag() {
        let description = Description {
            group: "readers".to_owned(),
            kind: "classic",
            state: "Stable".to_owned(),
            assignor: "range".to_owned(),
            coordinator: "127.0.0.1:9092".to_owned(),
            lag: 10,
            members: vec![Member {
                member: "m-1".to_owned(),
                client_id: "c".to_owned(),
                host: "/127.0.0.1".to_owned(),
                partitions: Assigned::from([("logs".to_owned(), vec![0])]),
            }],
            partitions: vec![PartitionLag {
                topic: "logs".to_owned(),
                partition: 0,
                committed: Some(90),
                end: 100,
                lag: 10,
                member: Some("m-1".to_owned()),
            }],
        };
        let expected = "\
group        readers
type         classic
state        Stable
assignor     range
coordinator  127.0.0.1:9092
lag          10

MEMBER  CLIENT-ID  HOST        PARTITIONS
m-1     c          /127.0.0.1           1

TOPIC  PARTITION  COMMITTED  END  LAG  MEMBER
logs           0         90  100   10  m-1";
        assert_eq!(draw(&description), expected);
    }
}
