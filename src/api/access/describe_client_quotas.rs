//! DescribeClientQuotas, key 48, v0–1 (KIP-546).
//!
//! Behaviour:
//! - There are no quotas, so no filter finds one: an empty list, which is what consoles want to hear.
//!
//! Versions: 1: flexible

use std::sync::Arc;

use kafka_protocol::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use kafka_protocol::messages::describe_client_quotas_response::DescribeClientQuotasResponse;

use crate::api::error::NONE;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;

/// DescribeClientQuotas.
#[derive(Debug)]
pub struct DescribeClientQuotas;

impl Handler for DescribeClientQuotas {
    const SPEC: ApiSpec = ApiSpec { key: 48, name: "DescribeClientQuotas", min: 0, max: 1 };
    type Request = DescribeClientQuotasRequest;
    type Response = DescribeClientQuotasResponse;

    async fn handle(
        _: RequestContext,
        _: Arc<Services>,
        _: DescribeClientQuotasRequest,
    ) -> Reply<DescribeClientQuotasResponse> {
        // No list at all would mean that the request failed.
        Reply::Message(DescribeClientQuotasResponse::default().with_error_code(NONE).with_entries(Some(Vec::new())))
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_client_quotas_request::ComponentData;

    use super::*;
    use crate::api::kit::Kit;
    use crate::api::lookup::text;

    #[tokio::test(start_paused = true)]
    async fn no_filter_finds_a_quota() {
        let kit = Kit::start().await;
        for version in 0..=1 {
            for components in [vec![], vec![ComponentData::default().with_entity_type(text("user")).with_match_type(2)]]
            {
                let request = DescribeClientQuotasRequest::default().with_components(components);
                let response = kit.ask::<DescribeClientQuotas>(version, request).await;
                assert_eq!((response.error_code, response.entries.map(|entries| entries.len())), (0, Some(0)));
            }
        }
    }
}
