//! `towpath topic create`.

use clap::Args;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::protocol::{ErrorCode, check, text};
use crate::cli::output::table::{Align, Table};
use crate::cli::topic::pairs::parse_pair;

/// Create topics
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Names of the new topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// How many partitions each gets; -1 takes the cluster's default
    #[arg(short, long, default_value_t = -1, allow_negative_numbers = true)]
    partitions: i32,
    /// Stored and shown; the bucket replicates by itself. -1 takes the cluster's default
    #[arg(short, long, default_value_t = -1, allow_negative_numbers = true)]
    replication_factor: i16,
    /// A topic setting by Kafka's name; may be repeated
    #[arg(short, long = "config", value_name = "NAME=VALUE", value_parser = parse_pair)]
    configs: Vec<(String, String)>,
    /// Do not mind topics that exist already
    #[arg(long)]
    if_not_exists: bool,
    /// Only ask whether it would work
    #[arg(long)]
    validate_only: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    topic: String,
    outcome: &'static str,
    partitions: Option<i32>,
    id: Option<Uuid>,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer or refuses a topic; the others are created all the same.
pub async fn run(context: &mut Context, args: &CreateArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let configs: Vec<_> = args
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))))
        .collect();
    let topics = args.topics.iter().map(|name| {
        CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(args.partitions)
            .with_replication_factor(args.replication_factor)
            .with_configs(configs.clone())
    });
    let request = CreateTopicsRequest::default()
        .with_topics(topics.collect())
        .with_timeout_ms(30_000)
        .with_validate_only(args.validate_only);
    let answer = cluster.send(7, &request).await?;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for topic in &answer.topics {
        let name = topic.name.as_str().to_owned();
        let exists = ErrorCode::of(topic.error_code).is_some_and(|code| code.is(ResponseError::TopicAlreadyExists));
        if exists && args.if_not_exists {
            rows.push(Row { topic: name, outcome: "exists", partitions: None, id: None });
            continue;
        }
        let tried = format!("creating topic '{name}'");
        match check(topic.error_code, tried, topic.error_message.as_ref()) {
            Ok(()) => rows.push(Row {
                topic: name,
                outcome: if args.validate_only { "valid" } else { "created" },
                partitions: Some(topic.num_partitions).filter(|count| *count > 0),
                id: Some(topic.topic_id).filter(|id| !id.is_nil()),
            }),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if !rows.is_empty() || context.printer.is_json() {
        context.printer.listing(&rows, draw)?;
    }
    if failures.is_empty() { Ok(()) } else { Err(CliError::Failed(failures.join("\n"))) }
}

/// Makes one topic with settings of the cluster's own choice; one that exists already will do.
///
/// # Errors
/// When the cluster does not answer or refuses.
pub async fn create_topic(cluster: &Cluster, name: &str, partitions: i32) -> Result<()> {
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(-1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let answer = cluster.send(7, &request).await?;
    let Some(topic) = answer.topics.first() else { return Ok(()) };
    match ErrorCode::of(topic.error_code) {
        Some(code) if code.is(ResponseError::TopicAlreadyExists) => Ok(()),
        _ => check(topic.error_code, format!("creating topic '{name}'"), topic.error_message.as_ref()),
    }
}

fn draw(rows: &[Row]) -> Table {
    let mut table = Table::new(&[("TOPIC", Align::Left), ("OUTCOME", Align::Left), ("PARTITIONS", Align::Right)]);
    for row in rows {
        let partitions = row.partitions.map(|count| count.to_string()).unwrap_or_default();
        table.row([row.topic.clone(), row.outcome.to_owned(), partitions]);
    }
    table
}
