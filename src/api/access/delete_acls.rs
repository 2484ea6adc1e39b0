//! DeleteAcls, key 31, v1–3.
//!
//! Behaviour:
//! - There is no authorizer: SECURITY_DISABLED for every filter, as Kafka answers without one.
//!
//! Versions: 1: pattern type (KIP-290) · 2: flexible · 3: user resources

use std::sync::Arc;

use kafka_protocol::messages::delete_acls_request::DeleteAclsRequest;
use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};

use crate::api::access::refusal::no_authorizer;
use crate::api::error::code;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::model::error::Condition;

/// DeleteAcls.
#[derive(Debug)]
pub struct DeleteAcls;

impl Handler for DeleteAcls {
    const SPEC: ApiSpec = ApiSpec { key: 31, name: "DeleteAcls", min: 1, max: 3 };
    type Request = DeleteAclsRequest;
    type Response = DeleteAclsResponse;

    async fn handle(_: RequestContext, _: Arc<Services>, request: DeleteAclsRequest) -> Reply<DeleteAclsResponse> {
        let refused = |_| {
            DeleteAclsFilterResult::default()
                .with_error_code(code(Condition::SecurityDisabled))
                .with_error_message(Some(no_authorizer()))
        };
        Reply::Message(DeleteAclsResponse::default().with_filter_results(request.filters.iter().map(refused).collect()))
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;

    use super::*;
    use crate::api::kit::Kit;

    #[tokio::test(start_paused = true)]
    async fn every_filter_is_refused() {
        let kit = Kit::start().await;
        for version in 1..=3 {
            let request = DeleteAclsRequest::default().with_filters(vec![DeleteAclsFilter::default(); 2]);
            let response = kit.ask::<DeleteAcls>(version, request).await;
            assert_eq!(response.filter_results.iter().map(|one| one.error_code).collect::<Vec<_>>(), [54, 54]);
            assert!(response.filter_results.iter().all(|one| one.error_message.is_some()));
            assert!(response.filter_results.iter().all(|one| one.matching_acls.is_empty()));
        }
    }
}
