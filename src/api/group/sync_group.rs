//! SyncGroup, key 14, v0–5.
//!
//! Behaviour:
//! - The leader brings everyone's assignment; the others wait for it. Assignments are opaque.
//! - A member that the leader forgot gets an empty assignment.
//!
//! Versions:
//! - v1 throttle time
//! - v3 static members (KIP-345)
//! - v4 flexible
//! - v5 protocol type and name, both ways and mandatory (KIP-559)

use std::sync::Arc;

use kafka_protocol::messages::{ApiKey, SyncGroupRequest, SyncGroupResponse};

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::values::{MemberClaim, SyncOutcome, SyncRequest};
use crate::model::error::Condition;
use crate::model::group::GenerationId;

/// Bringing and getting assignments.
#[derive(Debug)]
pub struct SyncGroup;

impl Handler for SyncGroup {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::SyncGroup as i16, name: "SyncGroup", min: 0, max: 5 };
    type Request = SyncGroupRequest;
    type Response = SyncGroupResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: SyncGroupRequest,
    ) -> Reply<SyncGroupResponse> {
        let outcome = match values_from(request, context.version) {
            Ok(request) => services.groups.sync(request).await,
            Err(condition) => Err(condition),
        };
        Reply::Message(response_from(outcome, context.version))
    }
}

fn values_from(request: SyncGroupRequest, version: i16) -> Result<SyncRequest, Condition> {
    if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return Err(Condition::InconsistentGroupProtocol);
    }
    let assignments = request.assignments.into_iter();
    Ok(SyncRequest {
        claim: MemberClaim {
            group_id: names::group_id(&request.group_id),
            member_id: names::member_id(&request.member_id),
            instance_id: names::instance_id(request.group_instance_id.as_ref()),
            generation: GenerationId(request.generation_id),
        },
        protocol_type: request.protocol_type.as_ref().map(names::text),
        protocol_name: request.protocol_name.as_ref().map(names::text),
        assignments: assignments.map(|entry| (names::member_id(&entry.member_id), entry.assignment)).collect(),
    })
}

fn response_from(outcome: SyncOutcome, version: i16) -> SyncGroupResponse {
    match outcome {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(names::wire_option(synced.protocol_type.as_deref().filter(|_| version >= 5)))
            .with_protocol_name(names::wire_option(synced.protocol_name.as_deref().filter(|_| version >= 5)))
            .with_assignment(synced.assignment),
        Err(condition) => SyncGroupResponse::default()
            .with_error_code(error::code(condition))
            .with_protocol_type(None)
            .with_protocol_name(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::group::values::Synced;
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn encoded(outcome: SyncOutcome, version: i16) -> Bytes {
        let mut frame = BytesMut::new();
        response_from(outcome, version).encode(&mut frame, version).unwrap();
        frame.freeze()
    }

    #[test]
    fn answers_are_kafkas_bytes() {
        let synced = Synced {
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignment: Bytes::from_static(b"mine"),
        };
        assert_eq!(&encoded(Ok(synced.clone()), 0)[..], b"\0\0\0\0\0\x04mine");
        assert_eq!(&encoded(Ok(synced), 5)[..], b"\0\0\0\0\0\0\x09consumer\x06range\x05mine\0");
        assert_eq!(&encoded(Err(Condition::RebalanceInProgress), 0)[..], b"\0\x1b\0\0\0\0");
        assert_eq!(&encoded(Err(Condition::RebalanceInProgress), 5)[..], b"\0\0\0\0\0\x1b\0\0\x01\0");
    }

    #[test]
    fn the_newest_version_must_name_its_protocol() {
        let bare = SyncGroupRequest::default();
        let named = bare
            .clone()
            .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
            .with_protocol_name(Some(StrBytes::from_static_str("range")));
        assert_eq!(values_from(bare.clone(), 5).unwrap_err(), Condition::InconsistentGroupProtocol);
        assert!(values_from(bare, 4).is_ok());
        assert!(values_from(named, 5).is_ok());
    }
}
