//! ShareGroupDescribe, key 77, v1.
//!
//! Behaviour:
//! - Answered by each group's home agent. A group that does not exist, or is of another type, is `GROUP_ID_NOT_FOUND`
//!   with words on it.
//! - Authorised operations: all, since there is no authoriser.
//!
//! Versions:
//! - v1 the first one for good (KIP-932)

use std::sync::Arc;

use kafka_protocol::messages::share_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};
use kafka_protocol::messages::{ApiKey, GroupId as WireGroupId, ShareGroupDescribeRequest, ShareGroupDescribeResponse};

use crate::api::error::code;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{snapshot_where, text};
use crate::api::services::Services;
use crate::coordinator::share::values::{ShareGroupDescription, ShareGroupState, ShareMemberDescription};
use crate::metastore::values::CatalogSnapshot;
use crate::model::error::Failure;

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, one bit each: all that can be done to a group.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// The one assignor there is.
const ASSIGNOR: &str = "simple";

/// Showing share groups and their members.
#[derive(Debug)]
pub struct ShareGroupDescribe;

impl Handler for ShareGroupDescribe {
    const SPEC: ApiSpec =
        ApiSpec { key: ApiKey::ShareGroupDescribe as i16, name: "ShareGroupDescribe", min: 1, max: 1 };
    type Request = ShareGroupDescribeRequest;
    type Response = ShareGroupDescribeResponse;

    async fn handle(
        _context: RequestContext,
        services: Arc<Services>,
        request: ShareGroupDescribeRequest,
    ) -> Reply<ShareGroupDescribeResponse> {
        let operations = if request.include_authorized_operations { ALL_OPERATIONS } else { i32::MIN };
        let describe = async |group_id: WireGroupId| {
            let described = async {
                let description = services.share_groups.describe(&names::group_id(&group_id)).await?;
                let snapshot = topic_names(&services, &description).await;
                Ok::<_, Failure>(described(description, &snapshot))
            };
            let group = match described.await {
                Ok(group) => group.with_authorized_operations(operations),
                Err(failure) => DescribedGroup::default()
                    .with_error_code(code(failure.condition))
                    .with_error_message(Some(text(failure.message)))
                    .with_authorized_operations(i32::MIN),
            };
            group.with_group_id(group_id)
        };
        let groups = futures::future::join_all(request.group_ids.into_iter().map(describe)).await;
        Reply::Message(ShareGroupDescribeResponse::default().with_groups(groups))
    }
}

/// A snapshot that knows all topics of the description, if there is one; topics are shown by name.
async fn topic_names(services: &Services, description: &ShareGroupDescription) -> Arc<CatalogSnapshot> {
    let found = snapshot_where(&services.catalog, |snapshot| {
        let topics = description.members.iter().flat_map(|member| member.assignment.keys());
        topics.into_iter().all(|topic_id| snapshot.topics_by_id.contains_key(topic_id))
    });
    found.await.unwrap_or_else(|_| services.catalog.snapshot())
}

fn described(description: ShareGroupDescription, snapshot: &CatalogSnapshot) -> DescribedGroup {
    let members = description.members.into_iter().map(|member| described_member(member, snapshot));
    DescribedGroup::default()
        .with_group_state(names::wire(state_name(description.state)))
        .with_group_epoch(description.group_epoch)
        .with_assignment_epoch(description.assignment_epoch)
        .with_assignor_name(names::wire(ASSIGNOR))
        .with_members(members.collect())
}

fn described_member(member: ShareMemberDescription, snapshot: &CatalogSnapshot) -> Member {
    let topics = member.assignment.into_iter().filter_map(|(topic_id, partitions)| {
        // A topic that was deleted meanwhile has no name to show.
        let topic = snapshot.topics_by_id.get(&topic_id)?;
        let partitions = partitions.into_iter().map(|partition| partition.0).collect();
        let shown = TopicPartitions::default().with_topic_id(topic_id.0).with_partitions(partitions);
        Some(shown.with_topic_name(names::wire(topic.name.as_str()).into()))
    });
    Member::default()
        .with_member_id(names::wire(member.member_id.as_str()))
        .with_rack_id(names::wire_option(member.rack.as_deref()))
        .with_member_epoch(member.member_epoch)
        .with_client_id(names::wire(&member.client_id))
        .with_client_host(names::wire(&member.client_host))
        .with_subscribed_topic_names(member.subscribed.iter().map(|name| names::wire(name.as_str()).into()).collect())
        .with_assignment(Assignment::default().with_topic_partitions(topics.collect()))
}

/// Kafka's name of a state.
#[must_use]
pub fn state_name(state: ShareGroupState) -> &'static str {
    match state {
        ShareGroupState::Empty => "Empty",
        ShareGroupState::Stable => "Stable",
        ShareGroupState::Dead => "Dead",
    }
}
