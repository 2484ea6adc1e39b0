use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn partition(topic: u128, index: i32) -> TopicIdPartition {
    TopicIdPartition::new(TopicId(Uuid::from_u128(topic)), PartitionIndex(index))
}

#[test]
fn prefixes_end_after_their_last_key() {
    assert_eq!(prefixed(vec![1, 2]), vec![1, 2]..vec![1, 3]);
    assert_eq!(prefixed(vec![1, 255]), vec![1, 255]..vec![2]);
    assert_eq!(documents(DocumentKind::Group, "", None).end, [DOCUMENT, 2]);
}

#[test]
fn a_partition_does_not_reach_into_its_neighbour() {
    let range = extents_from(partition(7, 1), Offset(5));
    assert!(range.contains(&extent(partition(7, 1), Offset(5))));
    assert!(range.contains(&extent(partition(7, 1), Offset(i64::MAX))));
    assert!(!range.contains(&extent(partition(7, 1), Offset(4))));
    assert!(!range.contains(&extent(partition(7, 2), Offset(0))));
    let before = extents_between(partition(7, 1), Offset(3), Offset(5));
    let within = (0..8).filter(|offset| before.contains(&extent(partition(7, 1), Offset(*offset))));
    assert_eq!(within.collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn ranges_go_on_behind_a_key() {
    let topic_id = TopicId(Uuid::from_u128(7));
    let last = extent(partition(7, 1), Offset(5));
    let [heads, extents, producers] = of_topic(topic_id, &last);
    assert!(heads.is_empty());
    assert!(!extents.contains(&last) && extents.contains(&extent(partition(7, 1), Offset(6))));
    assert!(producers.contains(&producer(partition(7, 0), ProducerId(0))));
    let [heads, extents, _] = of_topic(topic_id, &[]);
    assert!(heads.contains(&head(partition(7, 0))) && extents.contains(&extent(partition(7, 0), Offset(0))));
}

proptest! {
    #[test]
    fn keys_order_and_read_back(topic in any::<u128>(), index in 0..i32::MAX, low in 0..i64::MAX, high in 0..i64::MAX) {
        let partition = partition(topic, index);
        prop_assert_eq!(extent(partition, Offset(low)).cmp(&extent(partition, Offset(high))), low.cmp(&high));
        prop_assert_eq!(extent_of(&extent(partition, Offset(low))).unwrap(), (partition, Offset(low)));
        prop_assert_eq!(producer_of(&producer(partition, ProducerId(high))).unwrap(), (partition, ProducerId(high)));
        prop_assert_eq!(dying_topic_id(&dying_topic(partition.topic_id)).unwrap(), partition.topic_id);
    }

    #[test]
    fn names_read_back(name in "\\PC{0,40}", time in 0..i64::MAX) {
        let object_key = ObjectKey::from(name.as_str());
        prop_assert_eq!(timed_object(&dereferenced(Timestamp(time), &object_key)).unwrap(), object_key);
        let key = DocumentKey { kind: DocumentKind::Transaction, name: name.as_str().into() };
        let document_key = document(&key);
        prop_assert_eq!(document_name(&document_key).unwrap(), name.as_str());
        let group = ConfigResource::Group(name.as_str().into());
        prop_assert_eq!(config_resource(&config(&group)).unwrap(), group);
        let broker = ConfigResource::Broker(Some(NodeId(7)));
        prop_assert_eq!(config_resource(&config(&broker)).unwrap(), broker);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = (extent_of(&bytes), producer_of(&bytes), timed_object(&bytes), document_name(&bytes));
        let _ = (config_resource(&bytes), dying_topic_id(&bytes));
    }
}
