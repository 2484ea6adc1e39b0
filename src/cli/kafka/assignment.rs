//! The consumer protocol: what members tell each other through the coordinator, and who gets which partition.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as WirePartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::cli::error::{CliError, Result};
use crate::cli::kafka::protocol::text;

/// Partitions by topic.
pub type Assigned = BTreeMap<String, Vec<i32>>;

/// Gives each topic's partitions to the members that want it: in order of member ids, in runs of nearly equal length.
#[must_use]
pub fn assign_ranges(
    wants: &BTreeMap<String, Vec<String>>,
    partition_counts: &BTreeMap<String, i32>,
) -> BTreeMap<String, Assigned> {
    let mut assigned: BTreeMap<String, Assigned> =
        wants.keys().map(|member| (member.clone(), Assigned::new())).collect();
    for (topic, count) in partition_counts {
        let members: Vec<&String> =
            wants.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
        let member_count = i32::try_from(members.len()).unwrap_or(i32::MAX).max(1);
        let mut next = 0;
        for (index, member) in members.into_iter().enumerate() {
            let extra = i32::from(i32::try_from(index).is_ok_and(|index| index < count % member_count));
            let share = count / member_count + extra;
            if share > 0 {
                assigned.entry(member.clone()).or_default().insert(topic.clone(), (next..next + share).collect());
            }
            next += share;
        }
    }
    assigned
}

/// The consumer protocol's version that every client reads.
const PROTOCOL_VERSION: i16 = 0;

fn unreadable(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("another member speaks a protocol of its own: {error}"))
}

/// A subscription to these topics.
///
/// # Errors
/// When a name is too long for the wire.
pub fn subscription_bytes(topics: &[String]) -> Result<Bytes> {
    let subscription =
        ConsumerProtocolSubscription::default().with_topics(topics.iter().map(|topic| text(topic)).collect());
    let mut bytes = BytesMut::new();
    bytes.put_i16(PROTOCOL_VERSION);
    subscription.encode(&mut bytes, PROTOCOL_VERSION).map_err(unreadable)?;
    Ok(bytes.freeze())
}

/// The topics of a subscription, as any client writes it.
///
/// # Errors
/// When it is not the consumer protocol.
pub fn read_subscription(mut bytes: Bytes) -> Result<Vec<String>> {
    let version = bytes.try_get_i16().map_err(unreadable)?.clamp(0, 3);
    let subscription = ConsumerProtocolSubscription::decode(&mut bytes, version).map_err(unreadable)?;
    Ok(subscription.topics.iter().map(|topic| topic.as_str().to_owned()).collect())
}

/// An assignment of these partitions.
///
/// # Errors
/// When a name is too long for the wire.
pub fn assignment_bytes(assigned: &Assigned) -> Result<Bytes> {
    let partitions = assigned.iter().map(|(topic, partitions)| {
        WirePartition::default().with_topic(TopicName(text(topic))).with_partitions(partitions.clone())
    });
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(partitions.collect());
    let mut bytes = BytesMut::new();
    bytes.put_i16(PROTOCOL_VERSION);
    assignment.encode(&mut bytes, PROTOCOL_VERSION).map_err(unreadable)?;
    Ok(bytes.freeze())
}

/// Reads an assignment as any client's leader writes it; an empty one gives nothing.
///
/// # Errors
/// When it is not the consumer protocol.
pub fn read_assignment(mut bytes: Bytes) -> Result<Assigned> {
    if bytes.is_empty() {
        return Ok(Assigned::new());
    }
    let version = bytes.try_get_i16().map_err(unreadable)?.clamp(0, 3);
    let assignment = ConsumerProtocolAssignment::decode(&mut bytes, version).map_err(unreadable)?;
    let topics = assignment.assigned_partitions.into_iter();
    Ok(topics.map(|topic| (topic.topic.as_str().to_owned(), topic.partitions)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(members: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |topics: &&[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        members.iter().map(|(member, topics)| ((*member).to_owned(), owned(topics))).collect()
    }

    #[test]
    fn each_partition_goes_to_exactly_one_member_that_wants_it() {
        let counts = BTreeMap::from([("a".to_owned(), 5), ("b".to_owned(), 1)]);
        let assigned = assign_ranges(&wants(&[("m1", &["a", "b"]), ("m2", &["a"]), ("m3", &["a", "b"])]), &counts);
        assert_eq!(assigned["m1"], BTreeMap::from([("a".to_owned(), vec![0, 1]), ("b".to_owned(), vec![0])]));
        assert_eq!(assigned["m2"], BTreeMap::from([("a".to_owned(), vec![2, 3])]));
        assert_eq!(assigned["m3"], BTreeMap::from([("a".to_owned(), vec![4])]));
    }

    #[test]
    fn subscriptions_and_assignments_survive_the_wire() {
        let topics = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(read_subscription(subscription_bytes(&topics).unwrap()).unwrap(), topics);
        let assigned = Assigned::from([("a".to_owned(), vec![0, 2]), ("b".to_owned(), vec![])]);
        assert_eq!(read_assignment(assignment_bytes(&assigned).unwrap()).unwrap(), assigned);
        assert!(read_assignment(Bytes::new()).unwrap().is_empty());
        assert!(read_assignment(Bytes::from_static(b"\0")).is_err());
    }
}
