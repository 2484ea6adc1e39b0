//! `towpath topic alter`.

use clap::Args;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{CreatePartitionsRequest, IncrementalAlterConfigsRequest, TopicName};
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::protocol::{check, text};
use crate::cli::topic::pairs::parse_pair;

/// Kafka's number for "a topic" in configuration requests.
pub const RESOURCE_TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Change a topic's settings, or add partitions
#[derive(Args, Clone, Debug)]
pub struct AlterArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the topic
    topic: String,
    /// Grow to this many partitions
    #[arg(short, long)]
    partitions: Option<i32>,
    /// Set a topic setting by Kafka's name; may be repeated
    #[arg(short, long = "set", value_name = "NAME=VALUE", value_parser = parse_pair)]
    set: Vec<(String, String)>,
    /// Return a setting to its default; may be repeated
    #[arg(short, long = "unset", value_name = "NAME")]
    unset: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    topic: &'a str,
    partitions: Option<i32>,
    set: Vec<&'a str>,
    unset: &'a [String],
}

/// Runs the command: settings first, all or none of them, then partitions.
///
/// # Errors
/// When there is nothing to do, or the cluster does not answer or refuses.
pub async fn run(context: &mut Context, args: &AlterArgs) -> Result<()> {
    let settings_change = !args.set.is_empty() || !args.unset.is_empty();
    if args.partitions.is_none() && !settings_change {
        return Err(CliError::Usage("nothing to change; give --partitions, --set or --unset".to_owned()));
    }
    let cluster = context.connect(&args.client).await?;
    if settings_change {
        alter_settings(&cluster, args).await?;
    }
    if let Some(count) = args.partitions {
        add_partitions(&cluster, &args.topic, count).await?;
    }
    let outcome = Outcome {
        topic: &args.topic,
        partitions: args.partitions,
        set: args.set.iter().map(|(name, _)| name.as_str()).collect(),
        unset: &args.unset,
    };
    context.printer.object(&outcome, |outcome| format!("topic {} altered", outcome.topic))
}

async fn alter_settings(cluster: &Cluster, args: &AlterArgs) -> Result<()> {
    let set = args.set.iter().map(|(name, value)| {
        AlterableConfig::default().with_name(text(name)).with_config_operation(SET).with_value(Some(text(value)))
    });
    let unset = args
        .unset
        .iter()
        .map(|name| AlterableConfig::default().with_name(text(name)).with_config_operation(DELETE).with_value(None));
    let resource = AlterConfigsResource::default()
        .with_resource_type(RESOURCE_TOPIC)
        .with_resource_name(text(&args.topic))
        .with_configs(set.chain(unset).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = cluster.send(1, &request).await?;
    for resource in &answer.responses {
        let tried = format!("altering topic '{}'", args.topic);
        check(resource.error_code, tried, resource.error_message.as_ref())?;
    }
    Ok(())
}

async fn add_partitions(cluster: &Cluster, topic: &str, count: i32) -> Result<()> {
    let wanted =
        CreatePartitionsTopic::default().with_name(TopicName(text(topic))).with_count(count).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![wanted]).with_timeout_ms(30_000);
    let answer = cluster.send(3, &request).await?;
    for result in &answer.results {
        let tried = format!("adding partitions to topic '{topic}'");
        check(result.error_code, tried, result.error_message.as_ref())?;
    }
    Ok(())
}
