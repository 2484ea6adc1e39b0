//! DescribeAcls, key 29, v1–3.
//!
//! Behaviour:
//! - There is no authorizer: SECURITY_DISABLED, as Kafka answers without one. Tools know the code and say "security is
//!   off"; an empty list would say that nobody may do anything.
//!
//! Versions: 1: pattern type (KIP-290) · 2: flexible · 3: user resources

use std::sync::Arc;

use kafka_protocol::messages::describe_acls_request::DescribeAclsRequest;
use kafka_protocol::messages::describe_acls_response::DescribeAclsResponse;

use crate::api::access::refusal::no_authorizer;
use crate::api::error::code;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::model::error::Condition;

/// DescribeAcls.
#[derive(Debug)]
pub struct DescribeAcls;

impl Handler for DescribeAcls {
    const SPEC: ApiSpec = ApiSpec { key: 29, name: "DescribeAcls", min: 1, max: 3 };
    type Request = DescribeAclsRequest;
    type Response = DescribeAclsResponse;

    async fn handle(_: RequestContext, _: Arc<Services>, _: DescribeAclsRequest) -> Reply<DescribeAclsResponse> {
        let response = DescribeAclsResponse::default()
            .with_error_code(code(Condition::SecurityDisabled))
            .with_error_message(Some(no_authorizer()));
        Reply::Message(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kit::Kit;

    #[tokio::test(start_paused = true)]
    async fn security_is_off() {
        let kit = Kit::start().await;
        for version in 1..=3 {
            let request = DescribeAclsRequest::default()
                .with_resource_type_filter(1)
                .with_operation(1)
                .with_permission_type(1)
                .with_pattern_type_filter(1);
            let response = kit.ask::<DescribeAcls>(version, request).await;
            assert_eq!((response.error_code, response.resources.len()), (54, 0));
            assert!(response.error_message.is_some_and(|message| message.contains("authorizer")));
        }
    }
}
