//! DescribeConfigs, key 32, v1–4.
//!
//! Behaviour:
//! - Topics: every configuration of Kafka 4.x; what has no effect here says so in its documentation.
//! - Brokers: what tools read, and the topics' defaults. Any agent describes any live agent. An empty name: what is set
//!   for all.
//! - Groups: every configuration of Kafka 4.4 and our own; those for groups that are not served are read-only.
//! - Nothing is sensitive: secrets are not shown at all.
//!
//! Versions: 1: synonyms (KIP-226) · 3: type and documentation (KIP-569) · 4: flexible

use std::sync::Arc;

use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{cluster_configs, snapshot_where, text};
use crate::api::services::Services;
use crate::api::topic::config_rows::{Row, broker_rows, cluster_rows, group_rows, topic_rows};
use crate::api::topic::resource::Resource;
use crate::config::definition::ValueType;
use crate::metastore::values::CatalogSnapshot;
use crate::model::error::Failure;

/// DescribeConfigs.
#[derive(Debug)]
pub struct DescribeConfigs;

impl Handler for DescribeConfigs {
    const SPEC: ApiSpec = ApiSpec { key: 32, name: "DescribeConfigs", min: 1, max: 4 };
    type Request = DescribeConfigsRequest;
    type Response = DescribeConfigsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: DescribeConfigsRequest,
    ) -> Reply<DescribeConfigsResponse> {
        // Always asked for anew: whoever has just set something wants to see it, whichever agent answers.
        let snapshot = snapshot_where(&services.catalog, |_| false).await;
        let results = request.resources.iter().map(|asked| {
            let result = DescribeConfigsResult::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name.clone());
            let rows = match &snapshot {
                Ok(snapshot) => rows(asked, snapshot, &services, &context),
                Err(error) => Err(metastore_failure(error)),
            };
            match rows {
                Ok(rows) => {
                    let wanted = rows.into_iter().filter(|row| is_wanted(asked, row));
                    let configs = wanted.map(|row| row_answer(row, &request, context.version));
                    result.with_error_code(NONE).with_configs(configs.collect())
                }
                Err(failure) => {
                    result.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message)))
                }
            }
        });
        Reply::Message(DescribeConfigsResponse::default().with_results(results.collect()))
    }
}

fn rows(
    asked: &DescribeConfigsResource,
    snapshot: &CatalogSnapshot,
    services: &Services,
    context: &RequestContext,
) -> Result<Vec<Row>, Failure> {
    let view = services.membership.view();
    let cluster = cluster_configs(snapshot);
    let resource = Resource::of(asked.resource_type, &asked.resource_name, snapshot, &view)?;
    Ok(match &resource {
        Resource::Topic(topic) => topic_rows(&topic.configs, cluster),
        Resource::Cluster => cluster_rows(cluster),
        Resource::Broker(node) => broker_rows(node, &services.defaults, &services.share, &services.log_dir, cluster),
        Resource::Group(_) => group_rows(&resource.own_entries(snapshot), &services.share, context.apis),
    })
}

fn is_wanted(asked: &DescribeConfigsResource, row: &Row) -> bool {
    let names = asked.configuration_keys.as_deref().unwrap_or_default();
    names.is_empty() || names.iter().any(|name| name.as_str() == row.definition.name)
}

fn row_answer(row: Row, request: &DescribeConfigsRequest, version: i16) -> DescribeConfigsResourceResult {
    let synonyms = row.synonyms.into_iter().filter(|_| request.include_synonyms).map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(text(synonym.name))
            .with_value(Some(text(synonym.value)))
            .with_source(synonym.source as i8)
    });
    let result = DescribeConfigsResourceResult::default()
        .with_name(text(row.definition.name))
        .with_value(row.value.map(text))
        .with_read_only(row.read_only)
        .with_config_source(row.source as i8)
        .with_is_sensitive(false)
        .with_synonyms(synonyms.collect());
    if version < 3 {
        return result;
    }
    let documentation = request.include_documentation.then(|| text(row.definition.described()));
    result.with_config_type(type_code(row.definition.value_type)).with_documentation(documentation)
}

fn type_code(value_type: ValueType) -> i8 {
    match value_type {
        ValueType::Boolean => 1,
        ValueType::String => 2,
        ValueType::Int => 3,
        ValueType::Short => 4,
        ValueType::Long => 5,
        ValueType::Double => 6,
        ValueType::List => 7,
    }
}

#[cfg(test)]
mod tests;
