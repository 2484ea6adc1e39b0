//! `towpath share config`.

use clap::Args;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::Result;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::protocol::{check, text};
use crate::cli::output::table::{Align, Table};
use crate::cli::topic::pairs::parse_pair;

/// Kafka's number for "a group" in configuration requests.
const RESOURCE_GROUP: i8 = 32;
/// Kafka's number for a value that was set for the group.
const SOURCE_GROUP: i8 = 8;
/// Kafka's number for a value that nobody has set.
const SOURCE_DEFAULT: i8 = 5;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Show a share group's configurations, or change them
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group; it need not exist yet
    group: String,
    /// Set a configuration; may be repeated
    #[arg(short, long = "set", value_name = "NAME=VALUE", value_parser = parse_pair, num_args = 1..)]
    set: Vec<(String, String)>,
    /// Return a configuration to its default; may be repeated
    #[arg(short, long = "unset", value_name = "NAME", num_args = 1..)]
    unset: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    value: String,
    source: &'static str,
    doc: String,
}

/// Runs the command: changes first, all or none of them; then everything is shown as it is.
///
/// # Errors
/// When the cluster does not answer or refuses a value.
pub async fn run(context: &mut Context, args: &ConfigArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    if !args.set.is_empty() || !args.unset.is_empty() {
        alter(&cluster, args).await?;
    }
    context.printer.listing(&rows(&cluster, &args.group).await?, draw)
}

async fn alter(cluster: &Cluster, args: &ConfigArgs) -> Result<()> {
    let set = args.set.iter().map(|(name, value)| {
        AlterableConfig::default().with_name(text(name)).with_config_operation(SET).with_value(Some(text(value)))
    });
    let unset = args
        .unset
        .iter()
        .map(|name| AlterableConfig::default().with_name(text(name)).with_config_operation(DELETE).with_value(None));
    let resource = AlterConfigsResource::default()
        .with_resource_type(RESOURCE_GROUP)
        .with_resource_name(text(&args.group))
        .with_configs(set.chain(unset).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    for resource in &cluster.send(1, &request).await?.responses {
        let tried = format!("configuring share group '{}'", args.group);
        check(resource.error_code, tried, resource.error_message.as_ref())?;
    }
    Ok(())
}

async fn rows(cluster: &Cluster, group: &str) -> Result<Vec<Row>> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(RESOURCE_GROUP)
        .with_resource_name(text(group))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_documentation(true);
    let mut rows = Vec::new();
    for result in &cluster.send(4, &request).await?.results {
        let tried = format!("asking for the configurations of share group '{group}'");
        check(result.error_code, tried, result.error_message.as_ref())?;
        let shown = result.configs.iter().filter(|config| concerns_share_groups(config.name.as_str()));
        rows.extend(shown.map(|config| Row {
            name: config.name.as_str().to_owned(),
            value: config.value.as_ref().map(|value| value.as_str().to_owned()).unwrap_or_default(),
            source: match config.config_source {
                SOURCE_GROUP => "group",
                SOURCE_DEFAULT => "default",
                _ => "broker",
            },
            doc: config.documentation.as_ref().map(|doc| doc.as_str().to_owned()).unwrap_or_default(),
        }));
    }
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(rows)
}

/// Groups of other kinds have configurations too, which come in the same answer.
fn concerns_share_groups(name: &str) -> bool {
    !name.starts_with("consumer.") && !name.starts_with("streams.")
}

fn draw(rows: &[Row]) -> Table {
    let columns = [("NAME", Align::Left), ("VALUE", Align::Left), ("SOURCE", Align::Left), ("DOC", Align::Left)];
    let mut table = Table::new(&columns);
    for row in rows {
        table.row([row.name.clone(), row.value.clone(), row.source.to_owned(), row.doc.clone()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_share_groups_is_shown() {
        assert!(concerns_share_groups("share.record.lock.duration.ms"));
        assert!(concerns_share_groups("errors.deadletterqueue.topic.name"));
        assert!(concerns_share_groups("towpath.share.redelivery.backoff.ms"));
        assert!(!concerns_share_groups("consumer.session.timeout.ms") && !concerns_share_groups("streams.num"));
    }
}
