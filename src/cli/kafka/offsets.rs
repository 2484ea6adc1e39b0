//! Offsets by what people write, and what the cluster answers to it.

use std::collections::BTreeMap;
use std::str::FromStr;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};

use crate::base::clock::{Clock, Timestamp};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::{ATTEMPTS, BrokerInfo, Cluster, TopicInfo};
use crate::cli::kafka::protocol::{ErrorCode, check, text};
use crate::cli::output::units::parse_duration;

/// Kafka's timestamps that mean "the first" and "the next" offset.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Where to begin reading, or to put a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetChoice {
    /// The first record there is.
    Beginning,
    /// After the last record there is.
    End,
    /// Exactly this offset.
    At(i64),
    /// This many records before the end.
    BeforeEnd(i64),
    /// The first record at or after a moment.
    Time(TimeChoice),
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeChoice {
    /// Milliseconds since 1970.
    At(Timestamp),
    /// This long ago.
    Ago(std::time::Duration),
}

impl FromStr for OffsetChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong =
            || format!("'{text}' is no offset; write beginning, end, 42, -10 (before the end), @-1h or @1700000000000");
        match text {
            "beginning" | "earliest" | "start" => return Ok(Self::Beginning),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        if let Some(ago) = text.strip_prefix("@-") {
            return Ok(Self::Time(TimeChoice::Ago(parse_duration(ago).map_err(|_| wrong())?)));
        }
        if let Some(moment) = text.strip_prefix('@') {
            let moment = moment
                .parse::<u32>()
                .map(i64::from)
                .map(|seconds| seconds * 1000)
                .ok()
                .filter(|_| moment.len() <= 10)
                .or_else(|| moment.parse().ok().filter(|ms| *ms >= 0))
                .ok_or_else(wrong)?;
            return Ok(Self::Time(TimeChoice::At(Timestamp(moment))));
        }
        match text.parse::<i64>() {
            Ok(offset) if offset >= 0 => Ok(Self::At(offset)),
            Ok(before_end) => before_end.checked_neg().map(Self::BeforeEnd).ok_or_else(wrong),
            Err(_) => Err(wrong()),
        }
    }
}

/// First and next offset of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Bounds {
    /// The first offset that can be read.
    pub start: i64,
    /// The offset the next record gets.
    pub end: i64,
}

/// Bounds of the given partitions (all when empty).
///
/// # Errors
/// When a leader does not answer or refuses.
pub async fn bounds(
    cluster: &Cluster,
    topic: &TopicInfo,
    brokers: &BTreeMap<i32, BrokerInfo>,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Bounds>> {
    let start = list(cluster, topic, brokers, partitions, EARLIEST).await?;
    let end = list(cluster, topic, brokers, partitions, LATEST).await?;
    let bounds = end.into_iter().map(|(partition, end)| {
        let start = start.get(&partition).copied().unwrap_or(end);
        (partition, Bounds { start, end })
    });
    Ok(bounds.collect())
}

/// The offset that `choice` means in each of the given partitions (all when empty), within what can be read.
///
/// # Errors
/// When a leader does not answer or refuses.
pub async fn resolve(
    cluster: &Cluster,
    topic: &TopicInfo,
    brokers: &BTreeMap<i32, BrokerInfo>,
    partitions: &[i32],
    choice: OffsetChoice,
    clock: &dyn Clock,
) -> Result<BTreeMap<i32, i64>> {
    let time = match choice {
        OffsetChoice::Time(TimeChoice::At(moment)) => Some(moment),
        OffsetChoice::Time(TimeChoice::Ago(ago)) => Some(clock.now().minus(ago)),
        _ => None,
    };
    let found = match time {
        Some(moment) => list(cluster, topic, brokers, partitions, moment.0).await?,
        None => BTreeMap::new(),
    };
    let bounds = bounds(cluster, topic, brokers, partitions).await?;
    Ok(bounds
        .into_iter()
        .map(|(partition, bounds)| (partition, choose(choice, bounds, found.get(&partition))))
        .collect())
}

/// The offset that a choice means between two bounds. `found` is the answer to a time, −1 when no record is that young.
fn choose(choice: OffsetChoice, bounds: Bounds, found: Option<&i64>) -> i64 {
    match choice {
        OffsetChoice::Beginning => bounds.start,
        OffsetChoice::End => bounds.end,
        OffsetChoice::At(offset) => offset.clamp(bounds.start, bounds.end),
        OffsetChoice::BeforeEnd(count) => bounds.end.saturating_sub(count).max(bounds.start),
        OffsetChoice::Time(_) => found.copied().filter(|offset| *offset >= 0).unwrap_or(bounds.end),
    }
}

/// The partitions of each leader, by address.
///
/// # Errors
/// When a partition has no leader, or does not exist.
pub fn by_leader(
    topic: &TopicInfo,
    brokers: &BTreeMap<i32, BrokerInfo>,
    partitions: &[i32],
) -> Result<BTreeMap<String, Vec<i32>>> {
    let mut grouped: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    if let Some(missing) = partitions.iter().find(|wanted| !topic.partitions.iter().any(|p| p.partition == **wanted)) {
        let (name, count) = (&topic.name, topic.partitions.len());
        return Err(CliError::Usage(format!(
            "topic '{name}' has no partition {missing}, only 0 to {}",
            count.saturating_sub(1)
        )));
    }
    for info in topic.partitions.iter().filter(|info| partitions.is_empty() || partitions.contains(&info.partition)) {
        let leader = brokers.get(&info.leader).ok_or_else(|| {
            CliError::Failed(format!("partition {} of topic '{}' has no leader just now", info.partition, topic.name))
        })?;
        grouped.entry(leader.address.clone()).or_default().push(info.partition);
    }
    Ok(grouped)
}

async fn list(
    cluster: &Cluster,
    topic: &TopicInfo,
    brokers: &BTreeMap<i32, BrokerInfo>,
    partitions: &[i32],
    timestamp: i64,
) -> Result<BTreeMap<i32, i64>> {
    let mut offsets = BTreeMap::new();
    for (address, partitions) in by_leader(topic, brokers, partitions)? {
        let partitions = partitions
            .into_iter()
            .map(|partition| ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp));
        let asked =
            ListOffsetsTopic::default().with_name(TopicName(text(&topic.name))).with_partitions(partitions.collect());
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
        let connection = cluster.at(&address).await?;
        let mut backoff = cluster.backoff();
        let mut attempts_left = ATTEMPTS;
        let answer = loop {
            attempts_left -= 1;
            let answer = connection.send(7, &request).await?;
            let mut codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code);
            // The leader of a topic that is new may not know of it yet.
            let is_passing = codes.any(|code| ErrorCode::of(code).is_some_and(ErrorCode::is_retriable));
            if !is_passing || attempts_left == 0 {
                break answer;
            }
            tokio::time::sleep(backoff.next_pause()).await;
        };
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let tried = format!("asking for offsets of '{}' partition {}", topic.name, partition.partition_index);
            check(partition.error_code, tried, None)?;
            offsets.insert(partition.partition_index, partition.offset);
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn offsets_are_read_as_people_write_them() {
        let check = |text: &str, expected: OffsetChoice| assert_eq!(text.parse(), Ok(expected), "{text}");
        check("beginning", OffsetChoice::Beginning);
        check("earliest", OffsetChoice::Beginning);
        check("end", OffsetChoice::End);
        check("42", OffsetChoice::At(42));
        check("-10", OffsetChoice::BeforeEnd(10));
        check("@-1h", OffsetChoice::Time(TimeChoice::Ago(Duration::from_secs(3600))));
        check("@1700000000000", OffsetChoice::Time(TimeChoice::At(Timestamp(1_700_000_000_000))));
        check("@1700000000", OffsetChoice::Time(TimeChoice::At(Timestamp(1_700_000_000_000))));
        for wrong in ["", "@", "@soon", "first", "1.5", "-9223372036854775808"] {
            assert!(wrong.parse::<OffsetChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_choice_stays_within_what_can_be_read() {
        let bounds = Bounds { start: 100, end: 200 };
        assert_eq!(choose(OffsetChoice::At(5), bounds, None), 100);
        assert_eq!(choose(OffsetChoice::At(500), bounds, None), 200);
        assert_eq!(choose(OffsetChoice::BeforeEnd(10), bounds, None), 190);
        assert_eq!(choose(OffsetChoice::BeforeEnd(i64::MAX), bounds, None), 100);
        let time = OffsetChoice::Time(TimeChoice::At(Timestamp(1)));
        assert_eq!(choose(time, bounds, Some(&150)), 150);
        assert_eq!(choose(time, bounds, Some(&-1)), 200, "no record is that young");
    }
}
