//! DescribeGroups, key 15, v0–6.
//!
//! Behaviour:
//! - A group that does not exist is `Dead` without an error, from v6 on `GROUP_ID_NOT_FOUND`.
//! - Metadata and assignments of members are shown while the group is stable, as in Kafka.
//! - Authorised operations: all, since there is no authoriser.
//!
//! Versions:
//! - v1 throttle time
//! - v3 authorised operations (KIP-430)
//! - v4 static members (KIP-345)
//! - v5 flexible
//! - v6 error message, `GROUP_ID_NOT_FOUND` (KIP-1043)

use std::sync::Arc;

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, GroupId as WireGroupId};
use kafka_protocol::protocol::StrBytes;

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::values::{GroupDescription, GroupState, MemberDescription};
use crate::model::error::Condition;

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, one bit each: all that can be done to a group.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Showing a group and its members.
#[derive(Debug)]
pub struct DescribeGroups;

impl Handler for DescribeGroups {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::DescribeGroups as i16, name: "DescribeGroups", min: 0, max: 6 };
    type Request = DescribeGroupsRequest;
    type Response = DescribeGroupsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: DescribeGroupsRequest,
    ) -> Reply<DescribeGroupsResponse> {
        let wants_operations = request.include_authorized_operations;
        let describe = async |group_id: WireGroupId| {
            let outcome = services.groups.describe(&names::group_id(&group_id)).await;
            described(group_id, outcome, wants_operations, context.version)
        };
        let groups = futures::future::join_all(request.groups.into_iter().map(describe)).await;
        Reply::Message(DescribeGroupsResponse::default().with_groups(groups))
    }
}

fn described(
    group_id: WireGroupId,
    outcome: Result<GroupDescription, Condition>,
    wants_operations: bool,
    version: i16,
) -> DescribedGroup {
    let failed = |condition| {
        let group = DescribedGroup::default().with_group_id(group_id.clone());
        group.with_error_code(error::code(condition)).with_authorized_operations(i32::MIN)
    };
    let description = match outcome {
        Err(condition) => return failed(condition),
        Ok(description) if description.state == GroupState::Dead && version >= 6 => {
            let message = format!("group '{}' does not exist", group_id.as_str());
            return failed(Condition::GroupIdNotFound)
                .with_error_message(Some(StrBytes::from_string(message)))
                .with_group_state(names::wire(description.state.as_str()));
        }
        Ok(description) => description,
    };
    let operations = if wants_operations && version >= 3 { ALL_OPERATIONS } else { i32::MIN };
    DescribedGroup::default()
        .with_group_id(group_id)
        .with_group_state(names::wire(description.state.as_str()))
        .with_protocol_type(names::wire(&description.protocol_type))
        .with_protocol_data(names::wire(&description.protocol_name))
        .with_members(description.members.into_iter().map(|member| described_member(member, version)).collect())
        .with_authorized_operations(operations)
}

fn described_member(member: MemberDescription, version: i16) -> DescribedGroupMember {
    let instance_id = member.instance_id.filter(|_| version >= 4);
    DescribedGroupMember::default()
        .with_member_id(names::wire(member.member_id.as_str()))
        .with_group_instance_id(instance_id.map(|instance_id| names::wire(instance_id.as_str())))
        .with_client_id(names::wire(&member.client_id))
        .with_client_host(names::wire(&member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::protocol::{Decodable, Encodable};

    fn description(state: GroupState) -> GroupDescription {
        let member = MemberDescription {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/192.0.2.1".into(),
            metadata: Bytes::from_static(b"meta"),
            assignment: Bytes::from_static(b"mine"),
        };
        let members = if state == GroupState::Stable { vec![member] } else { Vec::new() };
        GroupDescription { state, protocol_type: "consumer".into(), protocol_name: "range".into(), members }
    }

    fn over_the_wire(outcome: Result<GroupDescription, Condition>, version: i16) -> DescribedGroup {
        let group = described(WireGroupId(names::wire("g")), outcome, true, version);
        let mut frame = BytesMut::new();
        DescribeGroupsResponse::default().with_groups(vec![group]).encode(&mut frame, version).unwrap();
        DescribeGroupsResponse::decode(&mut frame.freeze(), version).unwrap().groups.remove(0)
    }

    #[test]
    fn a_group_that_does_not_exist_is_dead_and_later_an_error() {
        for version in 0..=6 {
            let group = over_the_wire(Ok(description(GroupState::Dead)), version);
            let expected = if version < 6 { 0 } else { 69 };
            assert_eq!((group.error_code, group.group_state.as_str()), (expected, "Dead"), "v{version}");
            assert_eq!(group.error_message.is_some(), version >= 6, "v{version}");
        }
    }

    #[test]
    fn every_version_can_say_a_stable_group_and_an_error() {
        for version in 0..=6 {
            let group = over_the_wire(Ok(description(GroupState::Stable)), version);
            assert_eq!(group.group_state.as_str(), "Stable", "v{version}");
            assert_eq!(group.members[0].group_instance_id.is_some(), version >= 4, "v{version}");
            assert_eq!(group.authorized_operations == 3400, version >= 3, "v{version}");
            let group = over_the_wire(Err(Condition::NotCoordinator), version);
            assert_eq!((group.error_code, group.group_state.as_str()), (16, ""), "v{version}");
        }
    }
}
