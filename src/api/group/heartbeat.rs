//! Heartbeat, key 12, v0–4.
//!
//! Behaviour:
//! - Answered from memory: no step of the metastore, also not while a commit is under way.
//! - `REBALANCE_IN_PROGRESS` tells a member to join again.
//!
//! Versions:
//! - v1 throttle time
//! - v3 static members (KIP-345)
//! - v4 flexible

use std::sync::Arc;

use kafka_protocol::messages::{ApiKey, HeartbeatRequest, HeartbeatResponse};

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::values::MemberClaim;
use crate::model::group::GenerationId;

/// Staying a member of a group.
#[derive(Debug)]
pub struct Heartbeat;

impl Handler for Heartbeat {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::Heartbeat as i16, name: "Heartbeat", min: 0, max: 4 };
    type Request = HeartbeatRequest;
    type Response = HeartbeatResponse;

    async fn handle(
        _context: RequestContext,
        services: Arc<Services>,
        request: HeartbeatRequest,
    ) -> Reply<HeartbeatResponse> {
        let claim = MemberClaim {
            group_id: names::group_id(&request.group_id),
            member_id: names::member_id(&request.member_id),
            instance_id: names::instance_id(request.group_instance_id.as_ref()),
            generation: GenerationId(request.generation_id),
        };
        let outcome = services.groups.heartbeat(claim).await;
        let error_code = outcome.map_or_else(error::code, |()| error::NONE);
        Reply::Message(HeartbeatResponse::default().with_error_code(error_code))
    }
}
