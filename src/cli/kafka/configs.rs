//! Configurations of topics and groups: shown and changed.

use std::fmt;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use crate::cli::error::Result;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::protocol::{check, text};

/// Kafka's number for a value that was set for the topic.
pub const SOURCE_TOPIC: i8 = 1;

const SET: i8 = 0;
const DELETE: i8 = 1;

/// Where a value comes from, by Kafka's number of it.
#[must_use]
pub fn source_name(source: i8) -> &'static str {
    match source {
        SOURCE_TOPIC => "topic",
        5 => "default",
        8 => "group",
        _ => "broker",
    }
}

/// What has configurations.
#[derive(Clone, Copy, Debug)]
pub enum Configured<'a> {
    /// A topic.
    Topic(&'a str),
    /// A share group, which need not exist yet.
    ShareGroup(&'a str),
}

impl Configured<'_> {
    /// Kafka's number for its kind.
    fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::ShareGroup(_) => 32,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Topic(name) | Self::ShareGroup(name) => name,
        }
    }
}

impl fmt::Display for Configured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic '{name}'"),
            Self::ShareGroup(name) => write!(f, "share group '{name}'"),
        }
    }
}

/// Sets configurations and returns others to their defaults: all of them or none.
///
/// # Errors
/// When the cluster does not answer or refuses a value.
pub async fn alter(cluster: &Cluster, of: Configured<'_>, set: &[(String, String)], unset: &[String]) -> Result<()> {
    let set = set.iter().map(|(name, value)| {
        AlterableConfig::default().with_name(text(name)).with_config_operation(SET).with_value(Some(text(value)))
    });
    let unset = unset
        .iter()
        .map(|name| AlterableConfig::default().with_name(text(name)).with_config_operation(DELETE).with_value(None));
    let resource = AlterConfigsResource::default()
        .with_resource_type(of.kind())
        .with_resource_name(text(of.name()))
        .with_configs(set.chain(unset).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    for resource in &cluster.send(1, &request).await?.responses {
        check(resource.error_code, format!("configuring {of}"), resource.error_message.as_ref())?;
    }
    Ok(())
}

/// All configurations, with what is said about each when `with_docs`.
///
/// # Errors
/// When the cluster does not answer, or refuses.
pub async fn describe(
    cluster: &Cluster,
    of: Configured<'_>,
    with_docs: bool,
) -> Result<Vec<DescribeConfigsResourceResult>> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(of.kind())
        .with_resource_name(text(of.name()))
        .with_configuration_keys(None);
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_documentation(with_docs);
    let mut configs = Vec::new();
    for result in cluster.send(4, &request).await?.results {
        let tried = format!("asking for the configurations of {of}");
        check(result.error_code, tried, result.error_message.as_ref())?;
        configs.extend(result.configs);
    }
    configs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(configs)
}
