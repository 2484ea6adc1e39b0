//! ListConfigResources, key 74, v0–1 (KIP-714, KIP-1142).
//!
//! Behaviour:
//! - v0 lists client metrics subscriptions, of which there are none. v1 lists what has a configuration or could have one:
//!   all topics, all live agents, and groups on which something is set.
//!
//! Versions: 1: resource types

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use kafka_protocol::messages::list_config_resources_response::{
    ConfigResource as ListedResource, ListConfigResourcesResponse,
};

use crate::api::cluster::replicas::brokers;
use crate::api::error::{NONE, code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::api::topic::resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::metastore::values::{CatalogSnapshot, ConfigResource};
use crate::model::error::Condition;

/// ListConfigResources.
#[derive(Debug)]
pub struct ListConfigResources;

impl Handler for ListConfigResources {
    const SPEC: ApiSpec = ApiSpec { key: 74, name: "ListConfigResources", min: 0, max: 1 };
    type Request = ListConfigResourcesRequest;
    type Response = ListConfigResourcesResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: ListConfigResourcesRequest,
    ) -> Reply<ListConfigResourcesResponse> {
        let response = ListConfigResourcesResponse::default();
        if context.version == 0 {
            return Reply::Message(response.with_error_code(NONE));
        }
        let all = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        if request.resource_types.iter().any(|kind| !all.contains(kind)) {
            return Reply::Message(response.with_error_code(code(Condition::UnsupportedVersion)));
        }
        let kinds: BTreeSet<i8> = if request.resource_types.is_empty() {
            all.into()
        } else {
            request.resource_types.iter().copied().collect()
        };
        match services.catalog.refresh().await {
            Ok(snapshot) => {
                let listed = kinds.into_iter().flat_map(|kind| {
                    let listed =
                        |name| ListedResource::default().with_resource_type(kind).with_resource_name(text(name));
                    names(kind, &snapshot, &services).into_iter().map(listed).collect::<Vec<_>>()
                });
                Reply::Message(response.with_error_code(NONE).with_config_resources(listed.collect()))
            }
            Err(error) => Reply::Message(response.with_error_code(code(metastore_condition(&error)))),
        }
    }
}

fn names(kind: i8, snapshot: &CatalogSnapshot, services: &Services) -> Vec<String> {
    match kind {
        TOPIC => snapshot.topics.keys().map(ToString::to_string).collect(),
        BROKER | BROKER_LOGGER => {
            let view = services.membership.view();
            let ids = brokers(&view).into_iter().map(|node| node.identity.node_id.to_string());
            // Agents have no loggers that could be changed.
            ids.filter(|_| kind == BROKER).collect()
        }
        GROUP => {
            let groups = snapshot.configs.iter().filter_map(|(resource, configs)| match resource {
                ConfigResource::Group(group) if !configs.is_empty() => Some(group.to_string()),
                _ => None,
            });
            groups.collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

    use super::*;
    use crate::api::cluster::metadata::Metadata;
    use crate::api::kit::Kit;
    use crate::metastore::values::ConfigChange;

    #[tokio::test(start_paused = true)]
    async fn what_can_have_a_configuration_is_listed() {
        let kit = Kit::start().await;
        let topic = MetadataRequestTopic::default().with_name(Some(text("t").into()));
        let created = kit.ask::<Metadata>(12, MetadataRequest::default().with_topics(Some(vec![topic]))).await;
        assert_eq!(created.topics[0].error_code, 0);
        let change = vec![ConfigChange::Set("consumer.session.timeout.ms".into(), "50000".into())];
        kit.metastore.alter_configs(ConfigResource::Group("g".into()), change).await.expect("memory").expect("set");
        let list = async |version: i16, kinds: Vec<i8>| {
            let request = ListConfigResourcesRequest::default().with_resource_types(kinds);
            let response = kit.ask::<ListConfigResources>(version, request).await;
            let listed = response.config_resources.into_iter();
            let listed = listed.map(|one| (one.resource_type, one.resource_name.to_string())).collect::<Vec<_>>();
            (response.error_code, listed)
        };
        let ids: Vec<(i8, String)> = kit
            .services
            .membership
            .view()
            .nodes
            .iter()
            .map(|node| (BROKER, node.identity.node_id.to_string()))
            .collect();
        let group = vec![(GROUP, "g".to_owned())];
        let topics = vec![(TOPIC, "t".to_owned())];
        assert_eq!(list(0, vec![]).await, (0, vec![]));
        assert_eq!(list(1, vec![]).await, (0, [topics, ids, group.clone()].concat()));
        assert_eq!(list(1, vec![GROUP]).await, (0, group));
        assert_eq!(list(1, vec![77]).await, (35, vec![]));
    }
}
