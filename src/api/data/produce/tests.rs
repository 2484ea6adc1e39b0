use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use kafka_protocol::messages::produce_request::PartitionProduceData;

use super::*;
use crate::api::dispatch::Answer;
use crate::api::kit::{Kit, NOW, batch};
use crate::api::topic::create_topics::CreateTopics;
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::record::build::{BatchBuilder, BatchShape};

async fn kit_with(configs: &[(&'static str, &'static str)]) -> (Kit, uuid::Uuid) {
    let kit = Kit::start().await;
    let configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig::default().with_name(text(*name)).with_value(Some(text(*value))));
    let topic = CreatableTopic::default().with_name(text("t").into()).with_num_partitions(2).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic.with_configs(configs.collect())]);
    let created = kit.ask::<CreateTopics>(7, request).await.topics.remove(0);
    assert_eq!(created.error_code, 0);
    (kit, created.topic_id)
}

/// One batch for one partition of "t".
fn produce(topic_id: uuid::Uuid, version: i16, partition: i32, records: Option<bytes::Bytes>) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(records);
    let topic = TopicProduceData::default().with_partition_data(vec![data]);
    let topic = if version >= 13 { topic.with_topic_id(topic_id) } else { topic.with_name(text("t").into()) };
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

async fn outcome(kit: &Kit, version: i16, request: ProduceRequest) -> PartitionProduceResponse {
    kit.ask::<Produce>(version, request).await.responses.remove(0).partition_responses.remove(0)
}

#[tokio::test(start_paused = true)]
async fn every_version_appends_and_says_where() {
    let (kit, topic_id) = kit_with(&[]).await;
    for (version, offset) in (3..=13).zip(0..) {
        let request = produce(topic_id, version, 1, Some(batch(&["a", "b"])));
        let response = kit.ask::<Produce>(version, request).await.responses.remove(0);
        assert_eq!(response.topic_id, if version >= 13 { topic_id } else { uuid::Uuid::nil() });
        assert_eq!(response.name.as_str(), if version >= 13 { "" } else { "t" });
        let partition = &response.partition_responses[0];
        assert_eq!((partition.error_code, partition.index, partition.base_offset), (0, 1, 2 * offset));
        assert_eq!(partition.log_append_time_ms, -1);
        assert_eq!(partition.log_start_offset, if version >= 5 { 0 } else { -1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_batch_gets_its_first_offset_again() {
    let (kit, topic_id) = kit_with(&[]).await;
    let shape = BatchShape { producer: Some((ProducerId(7), ProducerEpoch(0), Sequence(0))), ..BatchShape::default() };
    let mut builder = BatchBuilder::new(shape);
    builder.push_value(NOW, b"x");
    let records = builder.build().expect("not compressed");
    assert_eq!(outcome(&kit, 9, produce(topic_id, 9, 0, Some(batch(&["before"])))).await.base_offset, 0);
    for _ in 0..2 {
        let again = outcome(&kit, 9, produce(topic_id, 9, 0, Some(records.clone()))).await;
        assert_eq!((again.error_code, again.base_offset), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_append_time_is_told_where_the_topic_stamps_it() {
    let (kit, topic_id) = kit_with(&[("message.timestamp.type", "LogAppendTime")]).await;
    let told = outcome(&kit, 9, produce(topic_id, 9, 0, Some(batch(&["a"])))).await;
    assert!(told.log_append_time_ms >= NOW.0, "{}", told.log_append_time_ms);
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_key_is_named_where_keys_are_needed() {
    let (kit, topic_id) = kit_with(&[("cleanup.policy", "compact")]).await;
    let request = produce(topic_id, 8, 0, Some(batch(&["a"])));
    let refused = outcome(&kit, 8, request.clone()).await;
    assert_eq!((refused.error_code, refused.base_offset), (87, -1));
    assert_eq!(refused.record_errors.iter().map(|record| record.batch_index).collect::<Vec<_>>(), [0]);
    assert!(refused.error_message.is_some());
    // Before version 8 there is no field for it, and the response must be encodable all the same.
    assert_eq!(outcome(&kit, 7, request).await.error_code, 87);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_named_by_what_the_client_knows() {
    let (kit, topic_id) = kit_with(&[]).await;
    let beyond = outcome(&kit, 9, produce(topic_id, 9, 2, Some(batch(&["a"])))).await;
    assert_eq!(beyond.error_code, 3);
    let unknown = uuid::Uuid::from_u128(5);
    let response = kit.ask::<Produce>(13, produce(unknown, 13, 0, Some(batch(&["a"])))).await.responses.remove(0);
    assert_eq!((response.topic_id, response.partition_responses[0].error_code), (unknown, 100));
    assert_eq!(outcome(&kit, 9, produce(topic_id, 9, 0, None)).await.error_code, 87);
}

#[tokio::test(start_paused = true)]
async fn senseless_and_transactional_requests_are_refused_whole() {
    let (kit, topic_id) = kit_with(&[]).await;
    let request = produce(topic_id, 9, 0, Some(batch(&["a"])));
    assert_eq!(outcome(&kit, 9, request.clone().with_acks(2)).await.error_code, 21);
    let refused = outcome(&kit, 9, request.with_transactional_id(Some(text("x").into()))).await;
    assert_eq!(refused.error_code, 42);
    assert!(refused.error_message.is_some_and(|sentence| sentence.contains("transactions are not served yet")));
}

#[tokio::test(start_paused = true)]
async fn acks_zero_is_not_answered_and_a_failure_closes() {
    let (kit, topic_id) = kit_with(&[]).await;
    let request = produce(topic_id, 9, 0, Some(batch(&["a"]))).with_acks(0);
    assert_eq!(kit.answer::<Produce>("test", 9, request).await, Answer::Nothing);
    let beyond = produce(topic_id, 9, 2, Some(batch(&["a"]))).with_acks(0);
    assert!(matches!(kit.answer::<Produce>("test", 9, beyond).await, Answer::Close(_)));
    let partition = kit.services.catalog.snapshot().topics.values().next().map(|topic| topic.topic_id);
    let partition =
        crate::model::topic::TopicIdPartition::new(partition.expect("created"), crate::model::topic::PartitionIndex(0));
    let bounds = kit.metastore.bounds(vec![partition]).await.expect("memory");
    assert_eq!(bounds[0].map(|bounds| bounds.high_watermark), Some(Offset(1)));
}

#[tokio::test(start_paused = true)]
async fn requests_are_appended_in_the_order_in_which_they_are_first_polled() {
    let (kit, topic_id) = kit_with(&[]).await;
    let mut asked = Vec::new();
    for number in 0..20 {
        let value = number.to_string();
        let kit = &kit;
        let mut answer =
            Box::pin(async move { outcome(kit, 9, produce(topic_id, 9, 0, Some(batch(&[&value])))).await.base_offset });
        assert!(futures::poll!(&mut answer).is_pending());
        asked.push(answer);
    }
    asked.reverse();
    let mut offsets = futures::future::join_all(asked).await;
    offsets.reverse();
    assert_eq!(offsets, (0..20).collect::<Vec<i64>>());
}
