//! OffsetFetch, key 9, v1–10.
//!
//! Behaviour:
//! - A partition without a committed offset is answered with offset −1, no error, whether or not it exists; only a
//!   topic id that no topic has is told, with `UNKNOWN_TOPIC_ID` for each of its partitions.
//! - Sees every commit that was sent before on the same connection, acknowledged or not.
//! - Member id and epoch (v9) are for the consumer protocol (KIP-848) and not looked at for classic groups.
//! - There is nothing unstable to wait for: `RequireStable` changes nothing.
//!
//! Versions:
//! - v2 null topics mean all of them; errors of the whole group at the top
//! - v3 throttle time
//! - v5 leader epoch (KIP-320)
//! - v6 flexible
//! - v7 `RequireStable` (KIP-447)
//! - v8 several groups (KIP-709)
//! - v9 member id and epoch (KIP-848)
//! - v10 topics by id (KIP-848)

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiKey, GroupId as WireGroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName as WireTopicName,
};
use uuid::Uuid;

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::group::values::{CommittedOffset, OffsetSelection};
use crate::metastore::cached::CatalogCache;
use crate::model::error::Condition;
use crate::model::topic::{TopicId, TopicName};
use crate::wire::topic_ids::{TOPIC_IDS_SINCE, WithTopicIds};

/// Asking how far a group has read.
#[derive(Debug)]
pub struct OffsetFetch;

impl Handler for OffsetFetch {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::OffsetFetch as i16, name: "OffsetFetch", min: 1, max: 10 };
    type Request = WithTopicIds<OffsetFetchRequest>;
    type Response = OffsetFetchResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: WithTopicIds<OffsetFetchRequest>,
    ) -> Reply<OffsetFetchResponse> {
        let answer = answer(context.version, &services.groups, &services.catalog, request).await;
        if context.version < TOPIC_IDS_SINCE {
            return Reply::Message(answer.message);
        }
        answer.encode().map_or_else(Reply::Close, |body| Reply::Encoded(vec![body]))
    }
}

/// One group's part of a request, the same for all versions.
struct GroupRequest {
    group_id: WireGroupId,
    /// Topics with partitions, or all.
    topics: Option<Vec<(TopicMeant, Vec<i32>)>>,
}

/// A topic as the version names it: by name, or by id.
#[derive(Clone)]
struct TopicMeant {
    name: WireTopicName,
    topic_id: Option<Uuid>,
}

/// One group's part of an answer.
struct GroupAnswer {
    group_id: WireGroupId,
    error_code: i16,
    topics: Topics,
}

struct PartitionAnswer {
    index: i32,
    error_code: i16,
    /// `None` for an offset that was never committed.
    committed: Option<CommittedOffset>,
}

async fn answer(
    version: i16,
    groups: &GroupService,
    catalog: &CatalogCache,
    request: WithTopicIds<OffsetFetchRequest>,
) -> WithTopicIds<OffsetFetchResponse> {
    let asked = values_from(request, version).into_iter().map(|asked| group_answer(groups, catalog, asked));
    let answers = futures::future::join_all(asked).await;
    response_from(answers, version)
}

fn values_from(request: WithTopicIds<OffsetFetchRequest>, version: i16) -> Vec<GroupRequest> {
    let WithTopicIds { message: request, topic_ids } = request;
    if version < 8 {
        let topic = |topic: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic| {
            (TopicMeant { name: topic.name, topic_id: None }, topic.partition_indexes)
        };
        let topics = request.topics.map(|topics| topics.into_iter().map(topic).collect());
        return vec![GroupRequest { group_id: request.group_id, topics }];
    }
    let mut topic_ids = topic_ids.into_iter();
    let mut topic = |topic: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics| {
        (TopicMeant { name: topic.name, topic_id: topic_ids.next() }, topic.partition_indexes)
    };
    let group = |group: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup| GroupRequest {
        group_id: group.group_id,
        topics: group.topics.map(|topics| topics.into_iter().map(&mut topic).collect()),
    };
    request.groups.into_iter().map(group).collect()
}

async fn group_answer(groups: &GroupService, catalog: &CatalogCache, asked: GroupRequest) -> GroupAnswer {
    let group_id = names::group_id(&asked.group_id);
    let outcome = match &asked.topics {
        None => all_topics(groups, catalog, &group_id).await,
        Some(topics) => named_topics(groups, catalog, &group_id, topics).await,
    };
    match outcome {
        Ok(topics) => GroupAnswer { group_id: asked.group_id, error_code: error::NONE, topics },
        Err(condition) => {
            // Version 1 has no place for the group's error but its partitions.
            let error_code = error::code(condition);
            let unknown = |index| PartitionAnswer { index, error_code, committed: None };
            let topics = asked.topics.unwrap_or_default().into_iter();
            let topics = topics.map(|(topic, indexes)| (topic, indexes.into_iter().map(unknown).collect()));
            GroupAnswer { group_id: asked.group_id, error_code, topics: topics.collect() }
        }
    }
}

type Topics = Vec<(TopicMeant, Vec<PartitionAnswer>)>;

async fn all_topics(
    groups: &GroupService,
    catalog: &CatalogCache,
    group_id: &crate::model::group::GroupId,
) -> Result<Topics, Condition> {
    let found = groups.fetch_offsets(group_id, OffsetSelection::All).await?;
    let mut topics: BTreeMap<_, Vec<PartitionAnswer>> = BTreeMap::new();
    for (partition, committed) in found {
        // The offsets of a topic that is gone are gone.
        let Some(topic) = catalog.topic_by_id(partition.topic_id).await.map_err(|_| Condition::NotCoordinator)? else {
            continue;
        };
        let index = partition.partition.0;
        let answer = PartitionAnswer { index, error_code: error::NONE, committed: Some(committed) };
        topics.entry((topic.name.clone(), topic.topic_id)).or_default().push(answer);
    }
    let meant = |name: TopicName, topic_id: TopicId| TopicMeant {
        name: names::wire(name.as_str()).into(),
        topic_id: Some(topic_id.0),
    };
    Ok(topics.into_iter().map(|((name, topic_id), partitions)| (meant(name, topic_id), partitions)).collect())
}

async fn named_topics(
    groups: &GroupService,
    catalog: &CatalogCache,
    group_id: &crate::model::group::GroupId,
    asked: &[(TopicMeant, Vec<i32>)],
) -> Result<Topics, Condition> {
    let mut records = Vec::with_capacity(asked.len());
    for (TopicMeant { name, topic_id }, _) in asked {
        let record = names::topic_meant(catalog, name, *topic_id).await;
        records.push(record.map_err(|_| Condition::NotCoordinator)?);
    }
    let find = |number: usize, index| records[number].as_ref().ok().and_then(|topic| names::partition(topic, index));
    let partitions =
        asked.iter().enumerate().flat_map(|(number, (_, indexes))| indexes.iter().map(move |i| (number, *i)));
    let wanted = partitions.filter_map(|(number, index)| find(number, index)).collect();
    let found = groups.fetch_offsets(group_id, OffsetSelection::Partitions(wanted)).await?;
    let topics = asked.iter().enumerate().map(|(number, (topic, indexes))| {
        let error_code = match &records[number] {
            Err(condition @ Condition::UnknownTopicId) => error::code(*condition),
            _ => error::NONE,
        };
        let answer = |index: &i32| {
            let committed = find(number, *index).and_then(|partition| found.get(&partition)).cloned();
            PartitionAnswer { index: *index, error_code, committed }
        };
        (topic.clone(), indexes.iter().map(answer).collect())
    });
    Ok(topics.collect())
}

fn response_from(answers: Vec<GroupAnswer>, version: i16) -> WithTopicIds<OffsetFetchResponse> {
    if version < 8 {
        return WithTopicIds { message: response_of_one(answers, version), topic_ids: Vec::new() };
    }
    let mut topic_ids = Vec::new();
    let groups = answers.into_iter().map(|answer| {
        if version >= TOPIC_IDS_SINCE && answer.error_code == error::NONE {
            topic_ids.extend(answer.topics.iter().filter_map(|(topic, _)| topic.topic_id));
        }
        group_of_many(answer)
    });
    let message = OffsetFetchResponse::default().with_groups(groups.collect());
    WithTopicIds { message, topic_ids }
}

fn response_of_one(mut answers: Vec<GroupAnswer>, version: i16) -> OffsetFetchResponse {
    let Some(answer) = answers.pop() else { return OffsetFetchResponse::default() };
    // Before v2 the error stands in every partition, from v2 on at the top.
    let (top, inner) = if version < 2 { (error::NONE, answer.error_code) } else { (answer.error_code, error::NONE) };
    let partition = |partition: PartitionAnswer| {
        let (offset, leader_epoch, metadata) = fields(partition.committed.as_ref());
        OffsetFetchResponsePartition::default()
            .with_partition_index(partition.index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(leader_epoch)
            .with_metadata(Some(names::wire(metadata)))
            .with_error_code(inner)
    };
    let shown = if top == error::NONE { answer.topics } else { Vec::new() };
    let topics = shown.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(partition).collect();
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetFetchResponse::default().with_error_code(top).with_topics(topics.collect())
}

fn group_of_many(answer: GroupAnswer) -> OffsetFetchResponseGroup {
    let partition = |partition: PartitionAnswer| {
        let (offset, leader_epoch, metadata) = fields(partition.committed.as_ref());
        OffsetFetchResponsePartitions::default()
            .with_partition_index(partition.index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(leader_epoch)
            .with_metadata(Some(names::wire(metadata)))
            .with_error_code(partition.error_code)
    };
    let shown = if answer.error_code == error::NONE { answer.topics } else { Vec::new() };
    let topics = shown.into_iter().map(|(topic, partitions)| {
        let partitions = partitions.into_iter().map(partition).collect();
        OffsetFetchResponseTopics::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(answer.group_id)
        .with_error_code(answer.error_code)
        .with_topics(topics.collect())
}

/// Offset, leader epoch and metadata; Kafka's "none" where nothing was committed.
fn fields(committed: Option<&CommittedOffset>) -> (i64, i32, &str) {
    committed.map_or((-1, -1, ""), |committed| (committed.offset.0, committed.leader_epoch, &committed.metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::group::kit::Kit;
    use crate::coordinator::group::values::{MemberClaim, OffsetCommit, PartitionCommit};
    use crate::model::group::GenerationId;
    use crate::model::offset::Offset;
    use crate::model::topic::{PartitionIndex, TopicIdPartition};
    use bytes::BytesMut;
    use kafka_protocol::messages::offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    /// Partition 1 of `t` is committed at 42.
    async fn committed() -> Kit {
        let kit = Kit::new().await;
        let commit = PartitionCommit {
            partition: TopicIdPartition::new(kit.topic_id, PartitionIndex(1)),
            offset: Offset(42),
            leader_epoch: 3,
            metadata: "note".into(),
        };
        let claim =
            MemberClaim { group_id: "g".into(), member_id: "".into(), instance_id: None, generation: GenerationId(-1) };
        let commit = OffsetCommit { claim, knows_group_id_not_found: true, retention: None, partitions: vec![commit] };
        kit.groups.commit_offsets(commit).await.unwrap();
        kit
    }

    fn request(version: i16, topic: Option<&'static str>) -> OffsetFetchRequest {
        let group_id: WireGroupId = StrBytes::from_static_str("g").into();
        let name = |name| WireTopicName::from(StrBytes::from_static_str(name));
        if version >= 8 {
            let topics = topic.map(|topic| {
                vec![OffsetFetchRequestTopics::default().with_name(name(topic)).with_partition_indexes(vec![0, 1])]
            });
            let group = OffsetFetchRequestGroup::default().with_group_id(group_id).with_topics(topics);
            return OffsetFetchRequest::default().with_groups(vec![group]).with_topics(None);
        }
        let topics = topic.map(|topic| {
            vec![OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0, 1])]
        });
        OffsetFetchRequest::default().with_group_id(group_id).with_topics(topics)
    }

    /// Error at the top, and (topic, partition, offset, metadata, error) of every partition.
    type Seen = (i16, Vec<(String, i32, i64, String, i16)>);

    async fn over_the_wire(kit: &Kit, version: i16, topic: Option<&'static str>) -> Seen {
        let asked = WithTopicIds { message: request(version, topic), topic_ids: Vec::new() };
        let response = answer(version, &kit.groups, &kit.catalog, asked).await.message;
        let mut frame = BytesMut::new();
        response.encode(&mut frame, version).unwrap();
        let response = OffsetFetchResponse::decode(&mut frame.freeze(), version).unwrap();
        let text = |text: &Option<StrBytes>| text.as_ref().unwrap().to_string();
        let mut seen = Vec::new();
        for topic in &response.topics {
            for p in &topic.partitions {
                let name = topic.name.to_string();
                seen.push((name, p.partition_index, p.committed_offset, text(&p.metadata), p.error_code));
            }
        }
        for topic in response.groups.iter().flat_map(|group| &group.topics) {
            for p in &topic.partitions {
                let name = topic.name.to_string();
                seen.push((name, p.partition_index, p.committed_offset, text(&p.metadata), p.error_code));
            }
        }
        let top = response.groups.first().map_or(response.error_code, |group| group.error_code);
        (top, seen)
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_shows_what_was_committed() {
        let kit = committed().await;
        let none = |topic: &str, index| (topic.to_owned(), index, -1, String::new(), 0);
        let note = ("t".to_owned(), 1, 42, "note".to_owned(), 0);
        for version in OffsetFetch::SPEC.min..TOPIC_IDS_SINCE {
            let expected = (0, vec![none("t", 0), note.clone()]);
            assert_eq!(over_the_wire(&kit, version, Some("t")).await, expected, "v{version}");
            let expected = (0, vec![none("unknown", 0), none("unknown", 1)]);
            assert_eq!(over_the_wire(&kit, version, Some("unknown")).await, expected, "v{version}");
            if version >= 2 {
                assert_eq!(over_the_wire(&kit, version, None).await, (0, vec![note.clone()]), "v{version}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn from_version_10_on_a_topic_is_meant_by_its_id() {
        let kit = committed().await;
        let seen = async |topics: Option<&[TopicId]>| {
            let asked = |_: &TopicId| OffsetFetchRequestTopics::default().with_partition_indexes(vec![0, 1]);
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(StrBytes::from_static_str("g").into())
                .with_topics(topics.map(|topics| topics.iter().map(asked).collect()));
            let message = OffsetFetchRequest::default().with_groups(vec![group.clone(), group]).with_topics(None);
            let topic_ids: Vec<Uuid> = topics.unwrap_or_default().iter().map(|topic_id| topic_id.0).collect();
            let asked = WithTopicIds { message, topic_ids: [topic_ids.as_slice(); 2].concat() };
            let answered = answer(10, &kit.groups, &kit.catalog, asked).await;
            let [one, other] = &answered.message.groups[..] else { panic!("one answer a group") };
            assert_eq!((one, one.error_code), (other, 0));
            let partitions = one.topics.iter().flat_map(|topic| &topic.partitions);
            let partitions: Vec<_> =
                partitions.map(|p| (p.partition_index, p.committed_offset, p.error_code)).collect();
            assert_eq!(answered.topic_ids.len(), 2 * one.topics.len());
            (answered.topic_ids[..one.topics.len()].to_vec(), partitions)
        };
        let (own, nobody) = (kit.topic_id, TopicId(Uuid::from_u128(99)));
        let none = |error| [(0, -1, error), (1, -1, error)];
        let expected = (vec![nobody.0, own.0], [none(100), [(0, -1, 0), (1, 42, 0)]].concat());
        assert_eq!(seen(Some(&[nobody, own])).await, expected);
        assert_eq!(seen(None).await, (vec![own.0], vec![(1, 42, 0)]));
        kit.recreate_topic().await;
        assert_eq!(seen(Some(&[own])).await, (vec![own.0], none(100).to_vec()), "it has another id now");
        assert_eq!(seen(None).await, (Vec::new(), Vec::new()));
        kit.leaves_home();
        let asked = request(10, None);
        let answered =
            answer(10, &kit.groups, &kit.catalog, WithTopicIds { message: asked, topic_ids: Vec::new() }).await;
        assert_eq!((answered.message.groups[0].error_code, answered.topic_ids), (16, Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn offsets_of_a_topic_that_came_back_are_gone() {
        let kit = committed().await;
        kit.recreate_topic().await;
        let none = |index| ("t".to_owned(), index, -1, String::new(), 0);
        assert_eq!(over_the_wire(&kit, 9, Some("t")).await, (0, vec![none(0), none(1)]));
        assert_eq!(over_the_wire(&kit, 9, None).await, (0, Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn errors_of_the_group_stand_where_the_version_has_a_place() {
        let kit = committed().await;
        kit.leaves_home();
        let failed = |index| ("t".to_owned(), index, -1, String::new(), 16);
        assert_eq!(over_the_wire(&kit, 1, Some("t")).await, (0, vec![failed(0), failed(1)]));
        for version in 2..=9 {
            assert_eq!(over_the_wire(&kit, version, Some("t")).await, (16, Vec::new()), "v{version}");
            assert_eq!(over_the_wire(&kit, version, None).await, (16, Vec::new()), "v{version}");
        }
    }
}
