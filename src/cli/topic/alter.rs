//! `towpath topic alter`.

use clap::Args;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{CreatePartitionsRequest, TopicName};
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::configs::{self, Configured};
use crate::cli::kafka::protocol::{check, text};
use crate::cli::topic::pairs::parse_pair;

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
        configs::alter(&cluster, Configured::Topic(&args.topic), &args.set, &args.unset).await?;
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
