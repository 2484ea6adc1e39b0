//! AlterConfigs, key 33, v0–2 (superseded by IncrementalAlterConfigs, but still sent by tools).
//!
//! Behaviour:
//! - What the request names is all that is set afterwards: other entries of the resource are removed.
//! - Topics, the cluster's default (broker with an empty name) and groups; see `resource`.
//!
//! Versions: 2: flexible

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use kafka_protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::api::topic::alteration::{Alteration, Judge, alter_all, invalid_request, replacing};
use crate::api::topic::resource::Resource;
use crate::metastore::values::ConfigChange;
use crate::model::error::Failure;

/// AlterConfigs.
#[derive(Debug)]
pub struct AlterConfigs;

impl Handler for AlterConfigs {
    const SPEC: ApiSpec = ApiSpec { key: 33, name: "AlterConfigs", min: 0, max: 2 };
    type Request = AlterConfigsRequest;
    type Response = AlterConfigsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: AlterConfigsRequest,
    ) -> Reply<AlterConfigsResponse> {
        let answers = alter_all(&services, context.apis, &request.resources, request.validate_only).await;
        let response = |(asked, (error_code, error_message)): (AlterConfigsResource, _)| {
            AlterConfigsResourceResponse::default()
                .with_error_code(error_code)
                .with_error_message(error_message)
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name)
        };
        let responses = request.resources.into_iter().zip(answers).map(response).collect();
        Reply::Message(AlterConfigsResponse::default().with_responses(responses))
    }
}

impl Alteration for AlterConfigsResource {
    fn named(&self) -> (i8, &str) {
        (self.resource_type, &self.resource_name)
    }

    fn changes(&self, resource: &Resource, judge: Judge<'_>) -> Result<Vec<ConfigChange>, Failure> {
        let mut entries: BTreeMap<&str, &str> = BTreeMap::new();
        for config in &self.configs {
            let Some(value) = &config.value else {
                return Err(invalid_request(format!("Null value not supported for : {}", config.name)));
            };
            if entries.insert(&config.name, value).is_some() {
                return Err(invalid_request(format!("Error due to duplicate config keys : {}", config.name)));
            }
        }
        let entries: Vec<(&str, &str)> = entries.into_iter().collect();
        replacing(resource, judge, &entries)
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_configs_request::AlterableConfig;
    use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};

    use super::*;
    use crate::api::kit::Kit;
    use crate::api::lookup::text;
    use crate::api::topic::create_topics::CreateTopics;
    use crate::api::topic::resource::TOPIC;

    fn request(entries: &[(&str, &str)]) -> AlterConfigsRequest {
        let entry = |(name, value): &(&str, &str)| {
            AlterableConfig::default().with_name(text(*name)).with_value(Some(text(*value)))
        };
        let resource = AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text("t"));
        let resource = resource.with_configs(entries.iter().map(entry).collect());
        AlterConfigsRequest::default().with_resources(vec![resource])
    }

    fn stored(kit: &Kit) -> Vec<(String, String)> {
        let snapshot = kit.services.catalog.snapshot();
        let topic = snapshot.topics.values().next().expect("created");
        topic.configs.clone().into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_named_is_removed() {
        let kit = Kit::start().await;
        let topic = CreatableTopic::default().with_name(text("t").into()).with_num_partitions(1);
        let create = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]);
        assert_eq!(kit.ask::<CreateTopics>(5, create).await.topics[0].error_code, 0);
        for version in 0..=2 {
            let first = request(&[("retention.ms", "5"), ("retention.bytes", "6")]);
            let answer = &kit.ask::<AlterConfigs>(version, first).await.responses[0];
            assert_eq!((answer.error_code, answer.error_message.as_deref()), (0, None), "version {version}");
            let second = request(&[("retention.bytes", "7")]);
            let validate = second.clone().with_validate_only(true);
            assert_eq!(kit.ask::<AlterConfigs>(version, validate).await.responses[0].error_code, 0);
            assert_eq!(stored(&kit).len(), 2, "validating changes nothing");
            assert_eq!(kit.ask::<AlterConfigs>(version, second).await.responses[0].error_code, 0);
            assert_eq!(stored(&kit), [("retention.bytes".to_owned(), "7".to_owned())]);
        }
        let twice = request(&[("retention.bytes", "7"), ("retention.bytes", "8")]);
        assert_eq!(kit.ask::<AlterConfigs>(2, twice).await.responses[0].error_code, 42);
    }
}
