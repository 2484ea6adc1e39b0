use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ShareGroupHeartbeatRequest;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::api::data::produce::Produce;
use crate::api::kit::{Kit, SHARE_SESSIONS_MAX, batch};
use crate::api::share::share_group_heartbeat::ShareGroupHeartbeat;
use crate::api::topic::create_topics::CreateTopics;
use crate::metastore::values::{ConfigChange, ConfigResource};
use crate::wire::share::acknowledge_request::ShareAcknowledgeRequest as WireAcknowledge;
use crate::wire::share::acknowledgements::{AcknowledgedBatch, SharePartition, ShareTopic};
use crate::wire::share::fetch_request::ForgottenTopic;

const ACCEPT: &[u8] = &[1];
const RELEASE: &[u8] = &[2];

/// Partitions, each with ranges of offsets and what becomes of them.
type Wanted<'a> = &'a [(i32, &'a [(i64, i64, &'static [u8])])];

/// A partition of an answer: index, error, error of the acknowledgements, acquired ranges with their counts.
type Seen = (i32, i16, i16, Vec<(i64, i64, i16)>);

/// An agent with a topic `t` of two partitions, and a group whose home it is and that reads it from the beginning.
struct Share {
    kit: Kit,
    topic_id: Uuid,
    group: String,
}

impl Share {
    async fn start() -> Self {
        let kit = Kit::start().await;
        let view = kit.services.membership.view();
        let group = (0..).map(|number| format!("g{number}")).find(|group| view.is_home_of(group)).expect("some");
        let topic = CreatableTopic::default().with_name(text("t").into()).with_num_partitions(2);
        let create = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]);
        let created = kit.ask::<CreateTopics>(7, create).await;
        assert_eq!(created.topics[0].error_code, 0);
        let earliest = vec![ConfigChange::Set("share.auto.offset.reset".into(), "earliest".into())];
        let resource = ConfigResource::Group(group.as_str().into());
        kit.metastore.alter_configs(resource, earliest).await.expect("memory").expect("set");
        kit.services.catalog.refresh().await.expect("memory");
        let join = ShareGroupHeartbeatRequest::default()
            .with_group_id(text(group.as_str()).into())
            .with_member_id(text("m"))
            .with_subscribed_topic_names(Some(vec![text("t").into()]));
        let joined = kit.ask::<ShareGroupHeartbeat>(1, join).await;
        assert_eq!(joined.error_code, 0, "{:?}", joined.error_message);
        let assigned = joined.assignment.expect("in the first answer already");
        assert_eq!(assigned.topic_partitions[0].partitions, [0, 1]);
        Self { kit, topic_id: created.topics[0].topic_id, group }
    }

    async fn produce(&self, partition: i32, values: &[&str]) {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch(values)));
        let topic = TopicProduceData::default().with_name(text("t").into()).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]);
        let response = self.kit.ask::<Produce>(9, request).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }

    fn topics(&self, wanted: Wanted<'_>) -> Vec<ShareTopic> {
        let batch = |&(first_offset, last_offset, types): &(i64, i64, &'static [u8])| AcknowledgedBatch {
            first_offset,
            last_offset,
            types: Bytes::from_static(types),
        };
        let partitions = wanted.iter().map(|(partition, batches)| SharePartition {
            partition: *partition,
            batches: batches.iter().map(batch).collect(),
        });
        vec![ShareTopic { topic_id: self.topic_id, partitions: partitions.collect() }]
    }

    fn request(&self, member: &str, epoch: i32, wanted: Wanted<'_>) -> WireRequest {
        WireRequest {
            group_id: Some(text(self.group.as_str())),
            member_id: Some(text(member)),
            session_epoch: epoch,
            wait_max_ms: 500,
            bytes_min: 1,
            records_max: 100,
            batch_size: 100,
            topics: self.topics(wanted),
            ..WireRequest::default()
        }
    }

    async fn fetch(&self, member: &str, epoch: i32, wanted: Wanted<'_>) -> ShareFetchResponse {
        self.kit.exchange(2, &self.request(member, epoch, wanted)).await
    }

    async fn acknowledge(&self, member: &str, epoch: i32, wanted: Wanted<'_>) -> (i16, Vec<(i32, i16)>) {
        let request = WireAcknowledge {
            group_id: Some(text(self.group.as_str())),
            member_id: Some(text(member)),
            session_epoch: epoch,
            is_renew: false,
            topics: self.topics(wanted),
        };
        let response = self.kit.exchange(2, &request).await;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        (response.error_code, partitions.map(|part| (part.partition, part.error_code)).collect())
    }
}

/// The partitions of an answer, by index.
fn seen(response: &ShareFetchResponse) -> Vec<Seen> {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let mut seen: Vec<_> = partitions
        .map(|part| {
            let ranges = part.acquired.iter();
            let ranges = ranges.map(|range| (range.first_offset, range.last_offset, range.delivery_count)).collect();
            (part.partition, part.error_code, part.acknowledge_error_code, ranges)
        })
        .collect();
    seen.sort_by_key(|part| part.0);
    seen
}

#[tokio::test(start_paused = true)]
async fn records_are_acquired_and_acknowledged_with_the_next_fetch() {
    let share = Share::start().await;
    share.produce(0, &["a", "b", "c"]).await;
    let response = share.fetch("m", 0, &[(0, &[]), (1, &[])]).await;
    assert_eq!(seen(&response), [(0, 0, 0, vec![(0, 2, 1)]), (1, 0, 0, vec![])], "the first answer names all");
    assert_eq!(response.lock_timeout_ms, 30_000);
    assert!(!response.topics[0].partitions[0].records.is_empty());
    let response = share.fetch("m", 1, &[(0, &[(0, 0, ACCEPT), (1, 2, RELEASE)])]).await;
    assert_eq!(seen(&response), [(0, 0, 0, vec![(1, 2, 2)])], "what was released comes again");
    assert_eq!(share.acknowledge("m", 2, &[(0, &[(1, 2, ACCEPT)])]).await, (0, vec![(0, 0)]));
    let began = Instant::now();
    assert_eq!(seen(&share.fetch("m", 3, &[]).await), []);
    assert!(began.elapsed() >= Duration::from_millis(500), "nothing is there, so that it waited");
}

#[tokio::test(start_paused = true)]
async fn one_partitions_fault_is_its_own() {
    let share = Share::start().await;
    share.produce(0, &["a"]).await;
    let mut request = share.request("m", 0, &[(0, &[]), (7, &[])]);
    let nowhere = SharePartition { partition: 0, batches: vec![] };
    request.topics.push(ShareTopic { topic_id: Uuid::from_u128(5), partitions: vec![nowhere] });
    let response = share.kit.exchange(1, &request).await;
    let codes: Vec<(bool, i32, i16)> = response
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|part| (topic.topic_id == share.topic_id, part)))
        .map(|(known, part)| (known, part.partition, part.error_code))
        .collect();
    assert_eq!(codes, [(true, 0, 0), (true, 7, 3), (false, 0, 100)]);
    assert!(response.topics[1].partitions[0].error_message.is_some());
    let refused = share.fetch("m", 1, &[(0, &[(0, 5, ACCEPT)]), (1, &[(3, 2, ACCEPT)])]).await;
    let codes: Vec<(i32, i16)> = seen(&refused).into_iter().map(|part| (part.0, part.2)).collect();
    assert_eq!(codes, [(0, 42), (0, 0), (1, 42), (7, 0)], "never acquired; no topic; turned round; failed before");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_makes_no_sense_is_refused_as_a_whole() {
    let share = Share::start().await;
    let good = || share.request("m", 0, &[(0, &[])]);
    let renewing =
        || WireRequest { is_renew: true, wait_max_ms: 0, bytes_min: 0, bytes_max: 0, records_max: 0, ..good() };
    let long = Some(StrBytes::from_string("m".repeat(37)));
    for (request, code) in [
        (WireRequest { group_id: None, ..good() }, 42),
        (WireRequest { member_id: None, ..good() }, 42),
        (WireRequest { member_id: Some(StrBytes::new()), ..good() }, 42),
        (WireRequest { member_id: long, ..good() }, 42),
        (WireRequest { acquire_mode: 2, ..good() }, 42),
        (WireRequest { bytes_max: 1, ..renewing() }, 42),
        (WireRequest { records_max: 1, ..renewing() }, 42),
        (WireRequest { wait_max_ms: 1, ..renewing() }, 42),
        (share.request("m", 0, &[(0, &[(0, 0, ACCEPT)])]), 42),
        (share.request("m", 1, &[]), 122),
        (share.request("m", -1, &[]), 122),
    ] {
        let response = share.kit.exchange(2, &request).await;
        assert_eq!(response.error_code, code, "{request:?}");
        assert!(response.error_message.is_some() && response.topics.is_empty());
    }
    share.fetch("m", 0, &[(0, &[])]).await;
    assert_eq!(share.kit.exchange(2, &share.request("m", 5, &[])).await.error_code, 123);
    assert_eq!(share.acknowledge("m", 0, &[]).await.0, 123);
    assert_eq!(share.acknowledge("m", 5, &[]).await.0, 123);
    assert_eq!(share.acknowledge("nobody", 1, &[]).await.0, 122);
    assert_eq!(share.fetch("m", 1, &[]).await.error_code, 0, "none of these counted");
}

#[tokio::test(start_paused = true)]
async fn without_room_for_a_session_the_answer_takes_its_time() {
    let share = Share::start().await;
    for member in 0..SHARE_SESSIONS_MAX {
        assert_eq!(share.fetch(&format!("m{member}"), 0, &[(0, &[])]).await.error_code, 0);
    }
    let began = Instant::now();
    assert_eq!(share.fetch("late", 0, &[(0, &[])]).await.error_code, 133);
    assert_eq!(began.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_gives_back_what_was_not_acknowledged() {
    let share = Share::start().await;
    share.produce(0, &["a", "b"]).await;
    share.fetch("m", 0, &[(0, &[])]).await;
    assert_eq!(seen(&share.fetch("other", 0, &[(0, &[])]).await), [(0, 0, 0, vec![])], "all is with the first");
    let last = share.fetch("m", -1, &[(0, &[(0, 0, ACCEPT)])]).await;
    assert_eq!(seen(&last), [(0, 0, 0, vec![])]);
    assert_eq!(seen(&share.fetch("other", 1, &[]).await), [(0, 0, 0, vec![(1, 1, 2)])]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_gives_everything_back() {
    let share = Share::start().await;
    share.produce(0, &["a", "b"]).await;
    share.fetch("m", 0, &[(0, &[])]).await;
    share.kit.hang_up();
    assert_eq!(share.kit.exchange(2, &share.request("m", 1, &[])).await.error_code, 122);
    assert_eq!(seen(&share.fetch("other", 0, &[(0, &[])]).await), [(0, 0, 0, vec![(0, 1, 2)])]);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_partition_is_acknowledged_and_not_fetched() {
    let share = Share::start().await;
    share.produce(0, &["a", "b"]).await;
    share.fetch("m", 0, &[(0, &[]), (1, &[])]).await;
    let forgotten = ForgottenTopic { topic_id: share.topic_id, partitions: vec![0] };
    let request = share.request("m", 1, &[(0, &[(0, 0, ACCEPT), (1, 1, RELEASE)])]);
    let response = share.kit.exchange(2, &WireRequest { forgotten: vec![forgotten], ..request }).await;
    assert_eq!(seen(&response), [(0, 0, 0, vec![])], "the acknowledgements' outcome, and nothing more");
    assert_eq!(seen(&share.fetch("other", 0, &[(0, &[])]).await), [(0, 0, 0, vec![(1, 1, 2)])]);
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_limit_when_it_is_strict() {
    let share = Share::start().await;
    share.produce(0, &["a", "b", "c", "d"]).await;
    let request = WireRequest { acquire_mode: 1, records_max: 3, ..share.request("m", 0, &[(0, &[])]) };
    assert_eq!(seen(&share.kit.exchange(2, &request).await), [(0, 0, 0, vec![(0, 2, 1)])]);
    let none = WireRequest { records_max: 0, ..share.request("m", 1, &[]) };
    let began = Instant::now();
    assert_eq!(seen(&share.kit.exchange(2, &none).await), []);
    assert_eq!(began.elapsed(), Duration::ZERO, "who wants nothing need not wait");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_never_assigned_has_no_state() {
    let share = Share::start().await;
    let mut request = share.request("m", 0, &[(0, &[])]);
    request.group_id = Some(text("never-heard-of"));
    let response = share.kit.exchange(2, &request).await;
    assert_eq!(seen(&response), [(0, -1, 0, vec![])]);
}
