//! LeaveGroup, key 13, v0–5.
//!
//! Behaviour:
//! - Members leave each for itself; the group rebalances once for all of them.
//! - An administrator removes static members by instance id, without a member id.
//! - The reason of v5 is not kept.
//!
//! Versions:
//! - v1 throttle time
//! - v3 several members, with instance ids and a result each (KIP-345)
//! - v4 flexible
//! - v5 reason (KIP-800)

use std::sync::Arc;

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{ApiKey, LeaveGroupRequest, LeaveGroupResponse};

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::values::{LeaveOutcome, Leaving};

/// Ceasing to be a member of a group.
#[derive(Debug)]
pub struct LeaveGroup;

impl Handler for LeaveGroup {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::LeaveGroup as i16, name: "LeaveGroup", min: 0, max: 5 };
    type Request = LeaveGroupRequest;
    type Response = LeaveGroupResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: LeaveGroupRequest,
    ) -> Reply<LeaveGroupResponse> {
        let members = identities(&request, context.version);
        let leaving = members.iter().map(leaving).collect();
        let outcome = services.groups.leave(&names::group_id(&request.group_id), leaving).await;
        Reply::Message(response_from(outcome, members, context.version))
    }
}

/// Who leaves. Before v3 that is one member without an instance id.
fn identities(request: &LeaveGroupRequest, version: i16) -> Vec<MemberIdentity> {
    if version >= 3 {
        request.members.clone()
    } else {
        vec![MemberIdentity::default().with_member_id(request.member_id.clone())]
    }
}

fn leaving(member: &MemberIdentity) -> Leaving {
    Leaving {
        member_id: names::member_id(&member.member_id),
        instance_id: names::instance_id(member.group_instance_id.as_ref()),
    }
}

fn response_from(outcome: LeaveOutcome, members: Vec<MemberIdentity>, version: i16) -> LeaveGroupResponse {
    let results = match outcome {
        Ok(results) => results,
        Err(condition) => return LeaveGroupResponse::default().with_error_code(error::code(condition)),
    };
    if version < 3 {
        let failure = results.into_iter().find_map(Result::err);
        return LeaveGroupResponse::default().with_error_code(failure.map_or(error::NONE, error::code));
    }
    let member = |(member, result): (MemberIdentity, Result<(), _>)| {
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(result.map_or_else(error::code, |()| error::NONE))
    };
    LeaveGroupResponse::default().with_members(members.into_iter().zip(results).map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error::Condition;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn encoded(outcome: LeaveOutcome, version: i16) -> Vec<u8> {
        let member = MemberIdentity::default().with_member_id(StrBytes::from_static_str("m"));
        let mut frame = BytesMut::new();
        response_from(outcome, vec![member], version).encode(&mut frame, version).unwrap();
        frame.to_vec()
    }

    #[test]
    fn old_clients_are_told_the_one_members_result() {
        assert_eq!(encoded(Ok(vec![Ok(())]), 0), b"\0\0");
        assert_eq!(encoded(Ok(vec![Err(Condition::UnknownMemberId)]), 0), b"\0\x19");
        assert_eq!(encoded(Err(Condition::NotCoordinator), 2), b"\0\0\0\0\0\x10");
    }

    #[test]
    fn new_clients_are_told_each_members_result() {
        let unknown = encoded(Ok(vec![Err(Condition::UnknownMemberId)]), 5);
        assert_eq!(unknown, b"\0\0\0\0\0\0\x02\x02m\0\0\x19\0\0");
        assert_eq!(encoded(Err(Condition::NotCoordinator), 5), b"\0\0\0\0\0\x10\x01\0");
    }

    #[test]
    fn before_version_three_the_request_names_one_member() {
        let request = LeaveGroupRequest::default().with_member_id(StrBytes::from_static_str("m"));
        assert_eq!(leaving(&identities(&request, 2)[0]).member_id, "m".into());
        assert_eq!(identities(&request, 3), []);
    }
}
