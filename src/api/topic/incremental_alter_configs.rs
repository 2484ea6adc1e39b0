//! IncrementalAlterConfigs, key 44, v0–1 (KIP-339).
//!
//! Behaviour:
//! - SET, DELETE, and APPEND and SUBTRACT for lists, each on one entry; the others stay. All of a resource or nothing.
//! - Topics, the cluster's default (broker with an empty name) and groups; see `resource`.
//! - APPEND and SUBTRACT read, then write: two at the same time on the same list may lose one of them.
//!
//! Versions: 1: flexible

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::api::topic::alteration::{Judge, Operation, carry_out, incremental};
use crate::api::topic::resource::Resource;
use crate::metastore::values::{CatalogSnapshot, ConfigChange};
use crate::model::error::{Condition, Failure};

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
        let snapshot = services.catalog.refresh().await;
        let mut times: BTreeMap<(i8, &str), usize> = BTreeMap::new();
        for resource in &request.resources {
            *times.entry((resource.resource_type, resource.resource_name.as_str())).or_default() += 1;
        }
        let mut responses = Vec::with_capacity(request.resources.len());
        for asked in &request.resources {
            let once = times.get(&(asked.resource_type, asked.resource_name.as_str())) == Some(&1);
            let checked = match &snapshot {
                Ok(snapshot) => check(asked, once, snapshot, &services, &context),
                Err(error) => Err(metastore_failure(error)),
            };
            let outcome = match checked {
                Ok((resource, changes)) if !request.validate_only => carry_out(&services, &resource, changes).await,
                checked => checked.map(|_| ()),
            };
            responses.push(response(asked, outcome));
        }
        // Only to save the next request the way to the metastore: failing here changes nothing.
        let _ = services.catalog.refresh().await;
        Reply::Message(IncrementalAlterConfigsResponse::default().with_responses(responses))
    }
}

fn check(
    asked: &AlterConfigsResource,
    once: bool,
    snapshot: &CatalogSnapshot,
    services: &Services,
    context: &RequestContext,
) -> Result<(Resource, Vec<ConfigChange>), Failure> {
    let invalid = |sentence: String| Failure::new(Condition::InvalidRequest, sentence);
    if !once {
        return Err(invalid("Each resource must appear at most once.".to_owned()));
    }
    let view = services.membership.view();
    let resource = Resource::of(asked.resource_type, &asked.resource_name, snapshot, &view)?;
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut operations = Vec::with_capacity(asked.configs.len());
    for config in &asked.configs {
        if !names.insert(&config.name) {
            return Err(invalid(format!("Error due to duplicate config keys : {}", config.name)));
        }
        operations.push((config.name.as_str(), operation(config)?));
    }
    let judge = Judge { snapshot, apis: context.apis, share: &services.share };
    let changes = incremental(&resource, judge, &operations)?;
    Ok((resource, changes))
}

fn operation(config: &AlterableConfig) -> Result<Operation<'_>, Failure> {
    let invalid = |sentence: String| Failure::new(Condition::InvalidRequest, sentence);
    let value =
        || config.value.as_deref().ok_or_else(|| invalid(format!("Null value not supported for : {}", config.name)));
    match config.config_operation {
        0 => Ok(Operation::Set(value()?)),
        1 => Ok(Operation::Delete),
        2 => Ok(Operation::Append(value()?)),
        3 => Ok(Operation::Subtract(value()?)),
        other => Err(invalid(format!("Unknown operation type {other} for {}", config.name))),
    }
}

fn response(asked: &AlterConfigsResource, outcome: Result<(), Failure>) -> AlterConfigsResourceResponse {
    let response = AlterConfigsResourceResponse::default()
        .with_resource_type(asked.resource_type)
        .with_resource_name(asked.resource_name.clone());
    match outcome {
        // Success has no message, as Kafka's; an empty one would be shown by tools.
        Ok(()) => response.with_error_code(NONE).with_error_message(None),
        Err(failure) => {
            response.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message)))
        }
    }
}
