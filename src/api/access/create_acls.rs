//! CreateAcls, key 30, v1–3.
//!
//! Behaviour:
//! - There is no authorizer: SECURITY_DISABLED for every ACL to be created, as Kafka answers without one.
//!
//! Versions: 1: pattern type (KIP-290) · 2: flexible · 3: user resources

use std::sync::Arc;

use kafka_protocol::messages::create_acls_request::CreateAclsRequest;
use kafka_protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};

use crate::api::access::refusal::no_authorizer;
use crate::api::error::code;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::model::error::Condition;

/// CreateAcls.
#[derive(Debug)]
pub struct CreateAcls;

impl Handler for CreateAcls {
    const SPEC: ApiSpec = ApiSpec { key: 30, name: "CreateAcls", min: 1, max: 3 };
    type Request = CreateAclsRequest;
    type Response = CreateAclsResponse;

    async fn handle(_: RequestContext, _: Arc<Services>, request: CreateAclsRequest) -> Reply<CreateAclsResponse> {
        let refused = |_| {
            AclCreationResult::default()
                .with_error_code(code(Condition::SecurityDisabled))
                .with_error_message(Some(no_authorizer()))
        };
        Reply::Message(CreateAclsResponse::default().with_results(request.creations.iter().map(refused).collect()))
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_acls_request::AclCreation;

    use super::*;
    use crate::api::kit::Kit;

    #[tokio::test(start_paused = true)]
    async fn every_creation_is_refused() {
        let kit = Kit::start().await;
        for version in 1..=3 {
            let creation = AclCreation::default().with_resource_pattern_type(3);
            let request = CreateAclsRequest::default().with_creations(vec![creation; 2]);
            let response = kit.ask::<CreateAcls>(version, request).await;
            assert_eq!(response.results.iter().map(|one| one.error_code).collect::<Vec<_>>(), [54, 54]);
            assert!(response.results.iter().all(|one| one.error_message.is_some()));
        }
    }
}
