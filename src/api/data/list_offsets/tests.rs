use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::*;
use crate::api::data::produce::Produce;
use crate::api::kit::{Kit, NOW};
use crate::api::lookup::text;
use crate::api::topic::create_topics::CreateTopics;
use crate::record::build::{BatchBuilder, BatchShape};

/// Topic "t" whose partition 0 holds records stamped 0, 10 … 40 ms after [`NOW`], one batch each.
async fn kit_with_records() -> Kit {
    let kit = Kit::start().await;
    let topic = CreatableTopic::default().with_name(text("t").into()).with_num_partitions(2).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    assert_eq!(kit.ask::<CreateTopics>(5, request).await.topics[0].error_code, 0);
    for number in 0..5 {
        let mut builder = BatchBuilder::new(BatchShape::default());
        builder.push_value(Timestamp(NOW.0 + 10 * number), b"x");
        let data = PartitionProduceData::default().with_records(builder.build().ok());
        let topic = TopicProduceData::default().with_name(text("t").into()).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
        assert_eq!(kit.ask::<Produce>(9, request).await.responses[0].partition_responses[0].error_code, 0);
    }
    kit
}

fn asked(partition: i32, timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp)
}

/// Error, offset, timestamp and leader epoch per partition.
async fn list(kit: &Kit, version: i16, partitions: Vec<ListOffsetsPartition>) -> Vec<(i16, i64, i64, i32)> {
    let topic = ListOffsetsTopic::default().with_name(text("t").into()).with_partitions(partitions);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let response = kit.ask::<ListOffsets>(version, request).await.topics.remove(0);
    response.partitions.iter().map(|one| (one.error_code, one.offset, one.timestamp, one.leader_epoch)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_version_finds_both_ends_and_times() {
    let kit = kit_with_records().await;
    for version in 1..=10 {
        let epoch = if version >= 4 { 0 } else { -1 };
        assert_eq!(list(&kit, version, vec![asked(0, -1), asked(1, -1)]).await, [(0, 5, -1, epoch), (0, 0, -1, epoch)]);
        assert_eq!(list(&kit, version, vec![asked(0, -2)]).await, [(0, 0, -1, epoch)]);
        let between = NOW.0 + 11;
        assert_eq!(list(&kit, version, vec![asked(0, between)]).await, [(0, 2, NOW.0 + 20, epoch)]);
        assert_eq!(list(&kit, version, vec![asked(0, NOW.0 + 41)]).await, [(0, -1, -1, -1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn special_times_exist_from_their_version_on() {
    let kit = kit_with_records().await;
    let unsupported = (35, -1, -1, -1);
    for (timestamp, since, found) in [
        (-3, 7, (0, 4, NOW.0 + 40, 0)),
        (-4, 8, (0, 0, -1, 0)),
        (-5, 9, (0, -1, -1, -1)),
        (-6, 10, (0, -1, -1, -1)),
        (-7, 11, unsupported),
    ] {
        for version in 1..=10 {
            let expected = if version >= since { found } else { unsupported };
            let got = list(&kit, version, vec![asked(0, timestamp)]).await;
            assert_eq!(got, [expected], "timestamp {timestamp}, version {version}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn faults_are_named_per_partition() {
    let kit = kit_with_records().await;
    let newer = asked(1, -1).with_current_leader_epoch(1);
    let got = list(&kit, 9, vec![asked(0, -1), asked(7, -1), newer, asked(0, -2)]).await;
    let codes: Vec<i16> = got.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, [0, 3, 75, 42]);
}
