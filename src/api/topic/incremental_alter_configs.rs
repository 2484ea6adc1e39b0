//! IncrementalAlterConfigs, key 44, v0–1 (KIP-339).
//!
//! Behaviour:
//! - SET, DELETE, and APPEND and SUBTRACT for lists, each on one entry; the others stay. All of a resource or nothing.
//! - Topics, the cluster's default (broker with an empty name) and groups; see `resource`.
//! - APPEND and SUBTRACT read, then write: two at the same time on the same list may lose one of them.
//!
//! Versions: 1: flexible

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::api::topic::alteration::{Alteration, Judge, Operation, alter_all, incremental, invalid_request};
use crate::api::topic::resource::Resource;
use crate::metastore::values::ConfigChange;
use crate::model::error::Failure;

/// IncrementalAlterConfigs.
#[derive(Debug)]
pub struct IncrementalAlterConfigs;

impl Handler for IncrementalAlterConfigs {
    const SPEC: ApiSpec = ApiSpec { key: 44, name: "IncrementalAlterConfigs", min: 0, max: 1 };
    type Request = IncrementalAlterConfigsRequest;
    type Response = IncrementalAlterConfigsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: IncrementalAlterConfigsRequest,
    ) -> Reply<IncrementalAlterConfigsResponse> {
        let answers = alter_all(&services, context.apis, &request.resources, request.validate_only).await;
        let response = |(asked, (error_code, error_message)): (AlterConfigsResource, _)| {
            AlterConfigsResourceResponse::default()
                .with_error_code(error_code)
                .with_error_message(error_message)
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name)
        };
        let responses = request.resources.into_iter().zip(answers).map(response).collect();
        Reply::Message(IncrementalAlterConfigsResponse::default().with_responses(responses))
    }
}

impl Alteration for AlterConfigsResource {
    fn named(&self) -> (i8, &str) {
        (self.resource_type, &self.resource_name)
    }

    fn changes(&self, resource: &Resource, judge: Judge<'_>) -> Result<Vec<ConfigChange>, Failure> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut operations = Vec::with_capacity(self.configs.len());
        for config in &self.configs {
            if !names.insert(&config.name) {
                return Err(invalid_request(format!("Error due to duplicate config keys : {}", config.name)));
            }
            operations.push((config.name.as_str(), operation(config)?));
        }
        incremental(resource, judge, &operations)
    }
}

fn operation(config: &AlterableConfig) -> Result<Operation<'_>, Failure> {
    let null = || invalid_request(format!("Null value not supported for : {}", config.name));
    let value = || config.value.as_deref().ok_or_else(null);
    match config.config_operation {
        0 => Ok(Operation::Set(value()?)),
        1 => Ok(Operation::Delete),
        2 => Ok(Operation::Append(value()?)),
        3 => Ok(Operation::Subtract(value()?)),
        other => Err(invalid_request(format!("Unknown operation type {other} for {}", config.name))),
    }
}
