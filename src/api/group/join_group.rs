//! JoinGroup, key 11, v0–9.
//!
//! Behaviour:
//! - Waits for the rebalance; the answer comes when everyone has joined or time is up.
//! - Protocol names and metadata are opaque: consumers, Kafka Connect and Kafka Streams look the same.
//! - Only the leader is told who the members are.
//! - The reason of v8 is not kept.
//!
//! Versions:
//! - v1 rebalance timeout; before, the session timeout counts for it
//! - v2 throttle time
//! - v4 a dynamic member without an id is given one and asked to come again (KIP-394)
//! - v5 static members (KIP-345)
//! - v6 flexible
//! - v7 protocol type in the answer, null protocol name (KIP-559)
//! - v8 reason (KIP-800)
//! - v9 the leader may be told to skip the assignment (KIP-814)

use std::sync::Arc;

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{ApiKey, JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::values::{JoinOutcome, JoinRequest, Joined, Protocol};

/// Becoming a member of a group.
#[derive(Debug)]
pub struct JoinGroup;

impl Handler for JoinGroup {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::JoinGroup as i16, name: "JoinGroup", min: 0, max: 9 };
    type Request = JoinGroupRequest;
    type Response = JoinGroupResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: JoinGroupRequest,
    ) -> Reply<JoinGroupResponse> {
        let outcome = services.groups.join(values_from(&context, request)).await;
        Reply::Message(response_from(outcome, context.version))
    }
}

fn values_from(context: &RequestContext, request: JoinGroupRequest) -> JoinRequest {
    let rebalance_timeout_ms =
        if context.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let protocol = |protocol: kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol| Protocol {
        name: names::text(&protocol.name),
        metadata: protocol.metadata,
    };
    JoinRequest {
        group_id: names::group_id(&request.group_id),
        member_id: names::member_id(&request.member_id),
        instance_id: names::instance_id(request.group_instance_id.as_ref()),
        client_id: context.client_id.clone().unwrap_or_else(|| "".into()),
        // Kafka writes Java's form of an address, with an empty host name before the slash.
        client_host: format!("/{}", context.client_host).into(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: names::text(&request.protocol_type),
        protocols: request.protocols.into_iter().map(protocol).collect(),
        requires_known_member_id: context.version >= 4,
        supports_skipping_assignment: context.version >= 9,
    }
}

fn response_from(outcome: JoinOutcome, version: i16) -> JoinGroupResponse {
    // Before v7 a protocol name can not be null; from v7 on an empty one is null.
    let absent = (version < 7).then(StrBytes::default);
    match outcome {
        Ok(joined) => accepted(joined, absent, version),
        Err(refused) => JoinGroupResponse::default()
            .with_error_code(error::code(refused.condition))
            .with_generation_id(-1)
            .with_protocol_name(absent)
            .with_member_id(names::wire(refused.member_id.as_str())),
    }
}

fn accepted(joined: Joined, absent: Option<StrBytes>, version: i16) -> JoinGroupResponse {
    let protocol_name = joined.protocol_name.as_deref().filter(|name| !name.is_empty());
    let member = |member: crate::coordinator::group::values::JoinedMember| {
        let instance_id = member.instance_id.filter(|_| version >= 5);
        JoinGroupResponseMember::default()
            .with_member_id(names::wire(member.member_id.as_str()))
            .with_group_instance_id(instance_id.map(|instance_id| names::wire(instance_id.as_str())))
            .with_metadata(member.metadata)
    };
    JoinGroupResponse::default()
        .with_generation_id(joined.generation.0)
        .with_protocol_type(names::wire_option(joined.protocol_type.as_deref().filter(|_| version >= 7)))
        .with_protocol_name(names::wire_option(protocol_name).or(absent))
        .with_leader(names::wire(joined.leader.as_str()))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(names::wire(joined.member_id.as_str()))
        .with_members(joined.members.into_iter().map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::group::values::{JoinRefused, JoinedMember};
    use crate::model::error::Condition;
    use crate::model::group::GenerationId;
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::protocol::{Decodable, Encodable};

    fn joined() -> Joined {
        let member = JoinedMember {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            metadata: Bytes::from_static(b"meta"),
        };
        Joined {
            member_id: "m".into(),
            generation: GenerationId(3),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: "m".into(),
            skip_assignment: false,
            members: vec![member],
        }
    }

    #[test]
    fn every_version_can_say_both_answers() {
        let refused = JoinRefused { condition: Condition::MemberIdRequired, member_id: "m".into() };
        for version in JoinGroup::SPEC.min..=JoinGroup::SPEC.max {
            for (outcome, code) in [(Ok(joined()), 0), (Err(refused.clone()), 79)] {
                let response = response_from(outcome, version);
                let mut frame = BytesMut::new();
                response.encode(&mut frame, version).unwrap();
                let decoded = JoinGroupResponse::decode(&mut frame.freeze(), version).unwrap();
                assert_eq!(decoded.error_code, code, "v{version}");
                assert_eq!(decoded.member_id.as_str(), "m", "v{version}");
                assert_eq!(decoded.protocol_name.is_some(), code == 0 || version < 7, "v{version}");
            }
        }
    }

    #[test]
    fn the_oldest_and_the_newest_answer_are_kafkas_bytes() {
        let mut oldest = BytesMut::new();
        response_from(Ok(joined()), 0).encode(&mut oldest, 0).unwrap();
        assert_eq!(&oldest[..], b"\0\0\0\0\0\x03\0\x05range\0\x01m\0\x01m\0\0\0\x01\0\x01m\0\0\0\x04meta");
        let mut newest = BytesMut::new();
        response_from(Ok(joined()), 9).encode(&mut newest, 9).unwrap();
        assert_eq!(&newest[..], b"\0\0\0\0\0\0\0\0\0\x03\x09consumer\x06range\x02m\0\x02m\x02\x02m\x02i\x05meta\0\0");
    }
}
