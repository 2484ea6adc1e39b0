//! How far a group is behind, partition by partition.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::error::Result;
use crate::cli::kafka::assignment::Assigned;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::committed::committed_offsets;
use crate::cli::kafka::consumer::TopicPartition;
use crate::cli::kafka::offsets::{Bounds, bounds};

/// One partition as a group sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionLag {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// What the group has committed, if anything.
    pub committed: Option<i64>,
    /// The offset the next record gets.
    pub end: i64,
    /// Records between them; from the log's start when nothing is committed.
    pub lag: i64,
    /// The member that reads it, if any.
    pub member: Option<String>,
}

/// Lag of all partitions that the group has committed or that members were given.
///
/// # Errors
/// When the cluster does not answer.
pub async fn lags(cluster: &Cluster, group: &str, members: &BTreeMap<String, Assigned>) -> Result<Vec<PartitionLag>> {
    let coordinator = cluster.coordinator(group).await?;
    let committed = committed_offsets(&coordinator, group, None).await?;
    let mut owners: BTreeMap<TopicPartition, Option<String>> =
        committed.keys().map(|partition| (partition.clone(), None)).collect();
    for (member, assigned) in members {
        for (topic, partitions) in assigned {
            for partition in partitions {
                let partition = TopicPartition { topic: topic.as_str().into(), partition: *partition };
                owners.insert(partition, Some(member.clone()));
            }
        }
    }
    let mut ends: BTreeMap<TopicPartition, Bounds> = BTreeMap::new();
    for topic in owners.keys().map(|partition| partition.topic.clone()).collect::<std::collections::BTreeSet<_>>() {
        // A topic that was deleted keeps its committed offsets for a while; there is no lag to speak of.
        let Ok((info, brokers)) = cluster.topic(&topic, false).await else { continue };
        for (partition, bounds) in bounds(cluster, &info, &brokers, &[]).await? {
            ends.insert(TopicPartition { topic: topic.clone(), partition }, bounds);
        }
    }
    Ok(owners.into_iter().filter_map(|(partition, member)| lag_of(partition, member, &committed, &ends)).collect())
}

fn lag_of(
    partition: TopicPartition,
    member: Option<String>,
    committed: &BTreeMap<TopicPartition, i64>,
    ends: &BTreeMap<TopicPartition, Bounds>,
) -> Option<PartitionLag> {
    let bounds = *ends.get(&partition)?;
    let committed = committed.get(&partition).copied();
    // What retention has taken away is not waiting to be read.
    let position = committed.unwrap_or(bounds.start).max(bounds.start);
    Some(PartitionLag {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        committed,
        end: bounds.end,
        lag: (bounds.end - position).max(0),
        member,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_what_is_left_to_read() {
        let partition = TopicPartition { topic: "logs".into(), partition: 0 };
        let lag = |committed: Option<i64>, start, end| {
            let committed = committed.map(|offset| (partition.clone(), offset)).into_iter().collect();
            let ends = BTreeMap::from([(partition.clone(), Bounds { start, end })]);
            lag_of(partition.clone(), None, &committed, &ends).unwrap().lag
        };
        assert_eq!(lag(Some(90), 0, 100), 10);
        assert_eq!(lag(None, 40, 100), 60);
        assert_eq!(lag(Some(10), 40, 100), 60, "retention took the rest away");
        assert_eq!(lag(Some(120), 0, 100), 0, "the topic was created anew");
        assert_eq!(lag_of(partition.clone(), None, &BTreeMap::new(), &BTreeMap::new()), None);
    }
}
