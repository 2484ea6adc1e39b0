use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::*;
use crate::api::data::produce::Produce;
use crate::api::kit::{Kit, batch};
use crate::api::lookup::text;
use crate::api::topic::create_topics::CreateTopics;
use crate::api::topic::delete_topics::DeleteTopics;
use kafka_protocol::messages::delete_topics_request::DeleteTopicsRequest;

async fn create(kit: &Kit) -> uuid::Uuid {
    let topic = CreatableTopic::default().with_name(text("t").into()).with_num_partitions(3).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let created = kit.ask::<CreateTopics>(7, request).await.topics.remove(0);
    assert_eq!(created.error_code, 0);
    created.topic_id
}

async fn append(kit: &Kit, partition: i32, values: &[&str]) -> i64 {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch(values)));
    let topic = TopicProduceData::default().with_name(text("t").into()).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
    let response = kit.ask::<Produce>(9, request).await.responses.remove(0).partition_responses.remove(0);
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    response.base_offset
}

/// Fetches partitions of "t" from offsets on, without waiting.
fn request(topic_id: uuid::Uuid, version: i16, partitions: &[(i32, i64)]) -> WireRequest {
    let partition = |(index, offset): &(i32, i64)| {
        let partition = FetchPartition::default().with_partition(*index).with_fetch_offset(*offset);
        partition.with_partition_max_bytes(1 << 20)
    };
    let topic = FetchTopic::default().with_partitions(partitions.iter().map(partition).collect());
    let topic = if version >= 13 { topic.with_topic_id(topic_id) } else { topic.with_topic(text("t").into()) };
    let topics = if partitions.is_empty() { Vec::new() } else { vec![topic] };
    let request = WireRequest::default().with_max_bytes(1 << 20).with_min_bytes(1).with_max_wait_ms(0);
    request.with_topics(topics).with_session_id(0).with_session_epoch(-1)
}

/// Partition, error and length of records, per partition of the answer.
fn seen(response: &WireResponse) -> Vec<(i32, i16, usize)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|one| (one.partition_index, one.error_code, one.records.as_ref().map_or(0, Bytes::len))).collect()
}

#[tokio::test(start_paused = true)]
async fn every_version_reads_what_was_appended() {
    let kit = Kit::start().await;
    let topic_id = create(&kit).await;
    assert_eq!(append(&kit, 1, &["a", "b"]).await, 0);
    assert_eq!(append(&kit, 1, &["c"]).await, 2);
    for version in 4..=18 {
        let response = kit.ask::<Fetch>(version, request(topic_id, version, &[(1, 2), (0, 0)])).await;
        let topic = &response.responses[0];
        assert_eq!(topic.topic_id, if version >= 13 { topic_id } else { uuid::Uuid::nil() });
        assert_eq!(topic.topic.as_str(), if version >= 13 { "" } else { "t" });
        let [first, second] = &topic.partitions[..] else { panic!("exactly what was asked for: {topic:?}") };
        assert_eq!((first.error_code, first.high_watermark, first.last_stable_offset), (0, 3, 3));
        let records = first.records.as_ref().expect("never null");
        assert_eq!(records[..8], 2_i64.to_be_bytes(), "the real offset stands in the batch");
        assert!(first.aborted_transactions.is_none());
        assert_eq!((second.high_watermark, second.records.as_ref().map(Bytes::len)), (0, Some(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn read_committed_gets_a_list_of_aborted_transactions() {
    let kit = Kit::start().await;
    let topic_id = create(&kit).await;
    append(&kit, 0, &["a"]).await;
    let request = request(topic_id, 12, &[(0, 0), (9, 0)]).with_isolation_level(1);
    let response = kit.ask::<Fetch>(12, request).await;
    let lists = response.responses[0].partitions.iter().map(|one| one.aborted_transactions.as_ref().map(Vec::len));
    assert_eq!(lists.collect::<Vec<_>>(), [Some(0), Some(0)]);
}

#[tokio::test(start_paused = true)]
async fn faults_are_named_per_partition_and_answer_at_once() {
    let kit = Kit::start().await;
    let topic_id = create(&kit).await;
    append(&kit, 0, &["a"]).await;
    let started = Instant::now();
    let mut asked = request(topic_id, 12, &[(0, 1), (1, 5), (9, 0), (2, 0)]).with_max_wait_ms(60_000);
    asked.topics[0].partitions[3].current_leader_epoch = 4;
    let codes: Vec<i16> = seen(&kit.ask::<Fetch>(12, asked).await).iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes, [0, 1, 3, 75]);
    let unknown = request(uuid::Uuid::from_u128(8), 13, &[(0, 0)]).with_max_wait_ms(60_000);
    assert_eq!(seen(&kit.ask::<Fetch>(13, unknown).await), [(0, 100, 0)]);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_empty_fetch_waits_for_an_append() {
    let kit = Kit::start().await;
    let topic_id = create(&kit).await;
    append(&kit, 0, &["a"]).await;
    let started = Instant::now();
    let nothing = kit.ask::<Fetch>(12, request(topic_id, 12, &[(0, 1)]).with_max_wait_ms(500)).await;
    assert_eq!(seen(&nothing), [(0, 0, 0)]);
    assert!(started.elapsed() >= Duration::from_millis(500));

    let started = Instant::now();
    let waiting = kit.ask::<Fetch>(12, request(topic_id, 12, &[(0, 1)]).with_max_wait_ms(60_000));
    let late = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        append(&kit, 0, &["b"]).await
    };
    let (response, offset) = tokio::join!(waiting, late);
    assert_eq!(offset, 1);
    assert!(seen(&response)[0].2 > 0);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_session_answers_only_what_changed() {
    let kit = Kit::start().await;
    let topic_id = create(&kit).await;
    append(&kit, 0, &["a"]).await;
    let open = request(topic_id, 13, &[(0, 0), (1, 0), (2, 0)]).with_session_epoch(0);
    let first = kit.ask::<Fetch>(13, open).await;
    assert_ne!(first.session_id, 0);
    assert_eq!(seen(&first).iter().map(|(index, ..)| *index).collect::<Vec<_>>(), [0, 1, 2]);
    let on = |epoch: i32, partitions: &[(i32, i64)]| {
        request(topic_id, 13, partitions).with_session_id(first.session_id).with_session_epoch(epoch)
    };
    assert_eq!(seen(&kit.ask::<Fetch>(13, on(1, &[(0, 1)])).await), []);
    append(&kit, 2, &["b"]).await;
    let third = kit.ask::<Fetch>(13, on(2, &[])).await;
    assert_eq!(third.session_id, first.session_id);
    assert_eq!(seen(&third).iter().map(|(index, ..)| *index).collect::<Vec<_>>(), [2]);
    let forgotten = ForgottenTopic::default().with_topic_id(topic_id).with_partitions(vec![2]);
    let fourth = kit.ask::<Fetch>(13, on(3, &[]).with_forgotten_topics_data(vec![forgotten])).await;
    assert_eq!(seen(&fourth), []);

    let stale = kit.ask::<Fetch>(13, on(3, &[])).await;
    assert_eq!((stale.error_code, stale.session_id, stale.responses.len()), (71, 0, 0));
    let unknown = kit.ask::<Fetch>(13, on(1, &[]).with_session_id(first.session_id ^ 1)).await;
    assert_eq!(unknown.error_code, 70);
    let mixed = request(topic_id, 12, &[]).with_session_id(first.session_id).with_session_epoch(4);
    assert_eq!(kit.ask::<Fetch>(12, mixed).await.error_code, 106);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_in_a_session_is_named_every_time() {
    let kit = Kit::start().await;
    let topic_id = create(&kit).await;
    let open = request(topic_id, 13, &[(0, 0)]).with_session_epoch(0);
    let session_id = kit.ask::<Fetch>(13, open).await.session_id;
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![text("t").into()]);
    assert_eq!(kit.ask::<DeleteTopics>(4, delete).await.responses[0].error_code, 0);
    for epoch in 1..=2 {
        let on = request(topic_id, 13, &[]).with_session_id(session_id).with_session_epoch(epoch);
        assert_eq!(seen(&kit.ask::<Fetch>(13, on).await), [(0, 100, 0)]);
    }
}
