//! ListPartitionReassignments, key 46, v0 (KIP-455).
//!
//! Behaviour:
//! - There are no replicas to move, so nothing is ever being moved. `kafka-topics --describe` asks this and fails on any
//!   other answer than an empty one.

use std::sync::Arc;

use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use crate::api::error::NONE;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;

/// ListPartitionReassignments.
#[derive(Debug)]
pub struct ListPartitionReassignments;

impl Handler for ListPartitionReassignments {
    const SPEC: ApiSpec = ApiSpec { key: 46, name: "ListPartitionReassignments", min: 0, max: 0 };
    type Request = ListPartitionReassignmentsRequest;
    type Response = ListPartitionReassignmentsResponse;

    async fn handle(
        _: RequestContext,
        _: Arc<Services>,
        _: ListPartitionReassignmentsRequest,
    ) -> Reply<ListPartitionReassignmentsResponse> {
        Reply::Message(ListPartitionReassignmentsResponse::default().with_error_code(NONE))
    }
}
