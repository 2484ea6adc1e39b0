//! FindCoordinator, key 10, v0–6.
//!
//! Behaviour:
//! - The coordinator of a group or a transactional id is its home agent; every agent names the same one.
//! - Share coordinators (key type 2) are the brokers' own affair in Kafka and do not exist here: `INVALID_REQUEST`.
//! - Without a live agent, `COORDINATOR_NOT_AVAILABLE`; the client retries.
//!
//! Versions:
//! - v1 key type, throttle time, error message
//! - v3 flexible
//! - v4 several keys (KIP-699)
//! - v5 `TRANSACTION_ABORTABLE` (KIP-890)
//! - v6 share groups (KIP-932)

use std::sync::Arc;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::error;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::placement::ClusterView;
use crate::model::error::Condition;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Naming the agent that coordinates something.
#[derive(Debug)]
pub struct FindCoordinator;

impl Handler for FindCoordinator {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::FindCoordinator as i16, name: "FindCoordinator", min: 0, max: 6 };
    type Request = FindCoordinatorRequest;
    type Response = FindCoordinatorResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: FindCoordinatorRequest,
    ) -> Reply<FindCoordinatorResponse> {
        Reply::Message(answer(&services.membership.view(), request, context.version))
    }
}

fn answer(view: &ClusterView, request: FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    let key_type = if version == 0 { GROUP } else { request.key_type };
    if version >= 4 {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| coordinator(view, key, key_type)).collect();
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found = coordinator(view, request.key, key_type);
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message.filter(|_| version >= 1))
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

fn coordinator(view: &ClusterView, key: StrBytes, key_type: i8) -> Coordinator {
    let home = match key_type {
        GROUP | TRANSACTION => view.home_of(&key).ok_or(Condition::CoordinatorNotAvailable),
        _ => Err(Condition::InvalidRequest),
    };
    match home {
        Ok(node) => Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(node.identity.node_id.0))
            .with_host(StrBytes::from_string(node.endpoint.host.clone()))
            .with_port(i32::from(node.endpoint.port)),
        Err(condition) => Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error::code(condition)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::metastore::values::NodeRecord;
    use crate::model::node::{Endpoint, NodeEpoch, NodeId, NodeIdentity};
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    fn view(nodes: &[i32]) -> ClusterView {
        let identity = |id| NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(1) };
        let record = |&id: &i32| NodeRecord {
            identity: identity(id),
            incarnation: uuid::Uuid::nil(),
            endpoint: Endpoint { host: format!("host-{id}"), port: 9092 },
            rack: None,
            draining: false,
            expires_at: Timestamp(0),
        };
        ClusterView { this: identity(1), nodes: nodes.iter().map(record).collect() }
    }

    fn over_the_wire(view: &ClusterView, key_type: i8, version: i16) -> (i16, i32, String, i32) {
        let key = StrBytes::from_static_str("g");
        let request = if version >= 4 {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![key])
        } else {
            FindCoordinatorRequest::default().with_key(key)
        };
        let response = answer(view, request.with_key_type(key_type), version);
        let mut frame = BytesMut::new();
        response.encode(&mut frame, version).unwrap();
        let mut response = FindCoordinatorResponse::decode(&mut frame.freeze(), version).unwrap();
        let found = if version >= 4 {
            response.coordinators.remove(0)
        } else {
            Coordinator::default()
                .with_error_code(response.error_code)
                .with_node_id(response.node_id)
                .with_host(response.host)
                .with_port(response.port)
        };
        (found.error_code, found.node_id.0, found.host.to_string(), found.port)
    }

    #[test]
    fn every_version_names_the_home() {
        let view = view(&[1, 2, 3]);
        let home = view.home_of("g").unwrap().identity.node_id.0;
        for version in 0..=6 {
            for key_type in [GROUP, TRANSACTION] {
                assert_eq!(
                    over_the_wire(&view, key_type, version),
                    (0, home, format!("host-{home}"), 9092),
                    "v{version}"
                );
            }
        }
    }

    #[test]
    fn nobody_is_home_to_a_share_group_or_in_an_empty_cluster() {
        for version in 1..=6 {
            assert_eq!(over_the_wire(&view(&[1]), 2, version), (42, -1, String::new(), -1), "v{version}");
            assert_eq!(over_the_wire(&view(&[]), GROUP, version), (15, -1, String::new(), -1), "v{version}");
        }
    }
}
