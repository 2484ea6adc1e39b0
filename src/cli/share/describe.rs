//! `towpath share describe`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use kafka_protocol::messages::share_group_describe_response::DescribedGroup;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::Result;
use crate::cli::kafka::consumer::TopicPartition;
use crate::cli::kafka::share_admin::{SharePosition, describe, positions};
use crate::cli::output::printer::Printer;
use crate::cli::output::table::{Align, Table};
use crate::cli::share::look::{LookArgs, Looked, look};

/// Show a share group's offsets and lag, its members, or its state
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group
    group: String,
    /// Show where the group stands in each partition; this is the default
    #[arg(long, group = "what")]
    offsets: bool,
    /// Show members and what they were given
    #[arg(long, group = "what")]
    members: bool,
    /// Show the group as a whole
    #[arg(long, group = "what")]
    state: bool,
    /// Show epochs too
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    look: LookArgs,
}

#[derive(Debug, Serialize)]
struct OffsetRow {
    group: String,
    topic: String,
    partition: i32,
    leader_epoch: i32,
    start_offset: Option<i64>,
    lag: Option<i64>,
    in_flight: Option<u64>,
    redelivered: Option<u64>,
    archived: Option<u64>,
    oldest_age_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct MemberRow {
    group: String,
    consumer_id: String,
    host: String,
    client_id: String,
    partitions: usize,
    member_epoch: i32,
    assignment: BTreeMap<String, Vec<i32>>,
}

#[derive(Debug, Serialize)]
struct StateRow {
    group: String,
    coordinator: String,
    state: String,
    group_epoch: i32,
    assignment_epoch: i32,
    members: usize,
}

/// Runs the command.
///
/// # Errors
/// When the group does not exist or the cluster does not answer.
pub async fn run(context: &mut Context, args: &DescribeArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let described = describe(&cluster, &args.group).await?;
    if args.members {
        context.printer.listing(&member_rows(&described), |rows| draw_members(rows, args.verbose))?;
        if described.members.is_empty() {
            context.printer.note(&format!("share group '{}' has no members now", args.group));
        }
        return Ok(());
    }
    if args.state {
        let coordinator = cluster.coordinator(&args.group).await?;
        let row = StateRow {
            group: args.group.clone(),
            coordinator: coordinator.address().to_owned(),
            state: described.group_state.as_str().to_owned(),
            group_epoch: described.group_epoch,
            assignment_epoch: described.assignment_epoch,
            members: described.members.len(),
        };
        return context.printer.listing(&[row], |rows| draw_states(rows, args.verbose));
    }
    let positions = positions(&cluster, &args.group).await?;
    let looked = look(&args.look, &args.group, &positions).await;
    print_offsets(&mut context.printer, args, &positions, &looked)
}

fn print_offsets(
    printer: &mut Printer,
    args: &DescribeArgs,
    positions: &BTreeMap<TopicPartition, SharePosition>,
    looked: &Looked,
) -> Result<()> {
    printer.listing(&offset_rows(&args.group, positions, looked), |rows| draw_offsets(rows, args.verbose))?;
    if positions.is_empty() {
        printer.note(&format!("share group '{}' has no offsets yet: nobody has fetched", args.group));
    } else if let Some(reason) = &looked.missing {
        printer.note(&format!("IN-FLIGHT, REDELIVERED, ARCHIVED and OLDEST-AGE are not known: {reason}"));
    }
    Ok(())
}

fn offset_rows(group: &str, positions: &BTreeMap<TopicPartition, SharePosition>, looked: &Looked) -> Vec<OffsetRow> {
    let row = |(partition, position): (&TopicPartition, &SharePosition)| {
        let page = looked.pages.get(&(position.topic_id, partition.partition));
        OffsetRow {
            group: group.to_owned(),
            topic: partition.topic.to_string(),
            partition: partition.partition,
            leader_epoch: position.leader_epoch,
            start_offset: position.start,
            lag: position.lag,
            in_flight: page.map(|page| page.in_flight),
            redelivered: page.map(|page| page.redelivered),
            archived: page.map(|page| page.archived),
            oldest_age_ms: page.and_then(|page| page.oldest_age_ms),
        }
    };
    positions.iter().map(row).collect()
}

fn draw_offsets(rows: &[OffsetRow], verbose: bool) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let shown = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let counted = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let age =
        |ms: Option<u64>| ms.map(|ms| format!("{:.1}s", Duration::from_millis(ms).as_secs_f64())).unwrap_or_default();
    let mut columns = vec![("GROUP", left), ("TOPIC", left), ("PARTITION", right), ("LEADER-EPOCH", right)];
    columns.extend([("START-OFFSET", right), ("LAG", right), ("IN-FLIGHT", right), ("REDELIVERED", right)]);
    columns.extend([("ARCHIVED", right), ("OLDEST-AGE", right)]);
    if !verbose {
        columns.retain(|(title, _)| *title != "LEADER-EPOCH");
    }
    let mut table = Table::new(&columns);
    for row in rows {
        let rest = [
            shown(row.start_offset),
            shown(row.lag),
            counted(row.in_flight),
            counted(row.redelivered),
            counted(row.archived),
            age(row.oldest_age_ms),
        ];
        let [start, lag, in_flight, redelivered, archived, oldest] = rest;
        let (group, topic, partition) = (row.group.clone(), row.topic.clone(), row.partition.to_string());
        if verbose {
            let epoch = row.leader_epoch.to_string();
            table.row([group, topic, partition, epoch, start, lag, in_flight, redelivered, archived, oldest]);
        } else {
            table.row([group, topic, partition, start, lag, in_flight, redelivered, archived, oldest]);
        }
    }
    table
}

fn member_rows(described: &DescribedGroup) -> Vec<MemberRow> {
    let row = |member: &kafka_protocol::messages::share_group_describe_response::Member| {
        let topics = member.assignment.topic_partitions.iter();
        let assignment: BTreeMap<String, Vec<i32>> =
            topics.map(|topic| (topic.topic_name.as_str().to_owned(), topic.partitions.clone())).collect();
        MemberRow {
            group: described.group_id.as_str().to_owned(),
            consumer_id: member.member_id.as_str().to_owned(),
            host: member.client_host.as_str().to_owned(),
            client_id: member.client_id.as_str().to_owned(),
            partitions: assignment.values().map(Vec::len).sum(),
            member_epoch: member.member_epoch,
            assignment,
        }
    };
    described.members.iter().map(row).collect()
}

fn draw_members(rows: &[MemberRow], verbose: bool) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let mut columns = vec![("GROUP", left), ("CONSUMER-ID", left), ("HOST", left), ("CLIENT-ID", left)];
    columns.extend([("#PARTITIONS", right), ("MEMBER-EPOCH", right), ("ASSIGNMENT", left)]);
    if !verbose {
        columns.retain(|(title, _)| *title != "MEMBER-EPOCH");
    }
    let mut table = Table::new(&columns);
    for row in rows {
        let topic = |(name, partitions): (&String, &Vec<i32>)| {
            let numbers: Vec<String> = partitions.iter().map(i32::to_string).collect();
            format!("{name}:{}", numbers.join(","))
        };
        let assignment = row.assignment.iter().map(topic).collect::<Vec<_>>().join(";");
        let (group, id, host, client) =
            (row.group.clone(), row.consumer_id.clone(), row.host.clone(), row.client_id.clone());
        let count = row.partitions.to_string();
        if verbose {
            table.row([group, id, host, client, count, row.member_epoch.to_string(), assignment]);
        } else {
            table.row([group, id, host, client, count, assignment]);
        }
    }
    table
}

fn draw_states(rows: &[StateRow], verbose: bool) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let mut columns = vec![("GROUP", left), ("COORDINATOR", left), ("STATE", left), ("GROUP-EPOCH", right)];
    columns.extend([("ASSIGNMENT-EPOCH", right), ("#MEMBERS", right)]);
    if !verbose {
        columns.retain(|(title, _)| !title.ends_with("-EPOCH"));
    }
    let mut table = Table::new(&columns);
    for row in rows {
        let (group, coordinator, state) = (row.group.clone(), row.coordinator.clone(), row.state.clone());
        let members = row.members.to_string();
        if verbose {
            let epochs = (row.group_epoch.to_string(), row.assignment_epoch.to_string());
            table.row([group, coordinator, state, epochs.0, epochs.1, members]);
        } else {
            table.row([group, coordinator, state, members]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::console::share::SharePartitionPage;

    #[test]
    fn what_is_not_known_is_a_dash() {
        let topic_id = Uuid::from_u128(1);
        let partition = |partition| TopicPartition { topic: "logs".into(), partition };
        let position = |start, lag| SharePosition { topic_id, start, lag, leader_epoch: 0 };
        let positions =
            BTreeMap::from([(partition(0), position(Some(40), Some(7))), (partition(1), position(None, None))]);
        let page = SharePartitionPage {
            topic_id,
            partition: 0,
            in_flight: 5,
            redelivered: 2,
            oldest_age_ms: Some(1_250),
            ..SharePartitionPage::default()
        };
        let looked = Looked { pages: BTreeMap::from([((topic_id, 0), page)]), missing: None };
        let expected = "\
GROUP  TOPIC  PARTITION  START-OFFSET  LAG  IN-FLIGHT  REDELIVERED  ARCHIVED  OLDEST-AGE
crew   logs           0            40    7          5            2         0        1.2s
crew   logs           1             -    -          -            -         -           -";
        assert_eq!(draw_offsets(&offset_rows("crew", &positions, &looked), false).to_string(), expected);
    }
}
