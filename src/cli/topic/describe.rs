//! `towpath topic describe`.

use clap::Args;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::Result;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::configs::{self, Configured, SOURCE_TOPIC, source_name};
use crate::cli::kafka::offsets::bounds;
use crate::cli::output::table::{Align, Table};
use crate::cli::output::units::grouped;

/// Show a topic's partitions, offsets and settings
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the topic
    topic: String,
    /// Show settings that have their default value too
    #[arg(long)]
    all_settings: bool,
}

#[derive(Debug, Serialize)]
struct Description {
    topic: String,
    id: Uuid,
    replication_factor: usize,
    partitions: Vec<Partition>,
    settings: Vec<Setting>,
}

#[derive(Debug, Serialize)]
struct Partition {
    partition: i32,
    leader: i32,
    replicas: Vec<i32>,
    start: i64,
    end: i64,
}

#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    value: Option<String>,
    source: &'static str,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer or the topic does not exist.
pub async fn run(context: &mut Context, args: &DescribeArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let (topic, brokers) = cluster.topic(&args.topic, false).await?;
    let bounds = bounds(&cluster, &topic, &brokers, &[]).await?;
    let partitions = topic.partitions.iter().map(|info| {
        let bounds = bounds.get(&info.partition).copied().unwrap_or_default();
        Partition {
            partition: info.partition,
            leader: info.leader,
            replicas: info.replicas.clone(),
            start: bounds.start,
            end: bounds.end,
        }
    });
    let description = Description {
        id: topic.id,
        replication_factor: topic.replication_factor(),
        partitions: partitions.collect(),
        settings: settings(&cluster, &args.topic, args.all_settings).await?,
        topic: topic.name,
    };
    context.printer.object(&description, draw)
}

async fn settings(cluster: &Cluster, topic: &str, all: bool) -> Result<Vec<Setting>> {
    if !cluster.any().serves::<DescribeConfigsRequest>(4) {
        return Ok(Vec::new());
    }
    let mut configs = configs::describe(cluster, Configured::Topic(topic), false).await?;
    configs.retain(|config| all || config.config_source == SOURCE_TOPIC);
    let setting = |config: DescribeConfigsResourceResult| Setting {
        name: config.name.to_string(),
        value: config.value.filter(|_| !config.is_sensitive).map(|value| value.to_string()),
        source: source_name(config.config_source),
    };
    Ok(configs.into_iter().map(setting).collect())
}

fn draw(description: &Description) -> String {
    let records: i64 = description.partitions.iter().map(|partition| partition.end - partition.start).sum();
    let mut text = format!(
        "topic        {}\nid           {}\npartitions   {}\nreplication  {}\noffsets      {}\n\n",
        description.topic,
        description.id,
        description.partitions.len(),
        description.replication_factor,
        grouped(u64::try_from(records).unwrap_or(0)),
    );
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("LEADER", Align::Right),
        ("START", Align::Right),
        ("END", Align::Right),
    ]);
    for partition in &description.partitions {
        table.row([
            partition.partition.to_string(),
            partition.leader.to_string(),
            partition.start.to_string(),
            partition.end.to_string(),
        ]);
    }
    text.push_str(&table.to_string());
    if !description.settings.is_empty() {
        let mut table = Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left), ("SOURCE", Align::Left)]);
        for setting in &description.settings {
            table.row([setting.name.clone(), setting.value.clone().unwrap_or_default(), setting.source.to_owned()]);
        }
        text.push_str("\n\n");
        text.push_str(&table.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_described_in_one_screen() {
        let partition = |partition, end| Partition { partition, leader: 1, replicas: vec![1], start: 5, end };
        let description = Description {
            topic: "logs".to_owned(),
            id: Uuid::from_u128(7),
            replication_factor: 1,
            partitions: vec![partition(0, 1_005), partition(1, 5)],
            settings: vec![Setting {
                name: "retention.ms".to_owned(),
                value: Some("60000".to_owned()),
                source: "topic",
            }],
        };
        let expected = "\
topic        logs
id           00000000-0000-0000-0000-000000000007
partitions   2
replication  1
offsets      1,000

PARTITION  LEADER  START   END
        0       1      5  1005
        1       1      5     5

SETTING       VALUE  SOURCE
retention.ms  60000  topic";
        assert_eq!(draw(&description), expected);
    }
}
