//! DescribeCluster, key 60, v0–2.
//!
//! Behaviour:
//! - All live agents are brokers; any of them is the controller. There are no controllers apart from brokers, and no fenced
//!   brokers: an agent that is fenced is not a member.
//!
//! Versions: 1: endpoint type (KIP-919) · 2: fenced brokers (KIP-1073)

use std::sync::Arc;

use kafka_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use kafka_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};

use crate::api::cluster::operations::on_cluster;
use crate::api::cluster::replicas::{brokers, controller};
use crate::api::error::code;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::model::error::Condition;

const BROKERS: i8 = 1;

/// DescribeCluster.
#[derive(Debug)]
pub struct DescribeCluster;

impl Handler for DescribeCluster {
    const SPEC: ApiSpec = ApiSpec { key: 60, name: "DescribeCluster", min: 0, max: 2 };
    type Request = DescribeClusterRequest;
    type Response = DescribeClusterResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: DescribeClusterRequest,
    ) -> Reply<DescribeClusterResponse> {
        let response = DescribeClusterResponse::default().with_cluster_id(text(services.cluster_id.to_string()));
        if context.version >= 1 && request.endpoint_type != BROKERS {
            let sentence = "this is a broker's address and there are no controllers: ask for brokers (endpoint type 1)";
            return Reply::Message(
                response
                    .with_error_code(code(Condition::InvalidRequest))
                    .with_error_message(Some(text(sentence)))
                    .with_endpoint_type(BROKERS)
                    .with_controller_id((-1).into()),
            );
        }
        let view = services.membership.view();
        let brokers = brokers(&view).into_iter().map(|node| {
            DescribeClusterBroker::default()
                .with_broker_id(node.identity.node_id.0.into())
                .with_host(text(node.endpoint.host.clone()))
                .with_port(i32::from(node.endpoint.port))
                .with_rack(node.rack.as_ref().map(|rack| text(&*rack.0)))
        });
        Reply::Message(
            response
                .with_endpoint_type(BROKERS)
                .with_controller_id(controller(&view).0.into())
                .with_brokers(brokers.collect())
                .with_cluster_authorized_operations(on_cluster(request.include_cluster_authorized_operations)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kit::Kit;

    #[tokio::test(start_paused = true)]
    async fn every_version_names_the_agents() {
        let kit = Kit::start().await;
        for version in 0..=2 {
            let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
            let response = kit.ask::<DescribeCluster>(version, request).await;
            assert_eq!(response.error_code, 0);
            let racks: Vec<_> = response.brokers.iter().filter_map(|broker| broker.rack.as_deref()).collect();
            assert_eq!(racks, ["a", "b"]);
            assert_eq!(response.controller_id.0, kit.services.membership.view().this.node_id.0);
            assert_eq!(response.cluster_authorized_operations, 0b1_1111_1010_0000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_no_controllers_to_describe() {
        let kit = Kit::start().await;
        let request = DescribeClusterRequest::default().with_endpoint_type(2);
        let response = kit.ask::<DescribeCluster>(1, request).await;
        assert_eq!(response.error_code, 42);
        assert!(response.error_message.is_some_and(|sentence| sentence.contains("no controllers")));
    }
}
