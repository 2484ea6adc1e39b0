//! `towpath topic delete`.

use clap::Args;
use kafka_protocol::messages::{DeleteTopicsRequest, TopicName};
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::protocol::{check, text};
use crate::cli::output::table::{Align, Table};

/// Delete topics and all their records
#[derive(Args, Clone, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    topic: String,
    outcome: &'static str,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer or refuses a topic; the others are deleted all the same.
pub async fn run(context: &mut Context, args: &DeleteArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let names = args.topics.iter().map(|name| TopicName(text(name))).collect();
    let request = DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(30_000);
    // Up to version 5 topics go by name alone.
    let answer = cluster.send(5, &request).await?;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for topic in &answer.responses {
        let name = topic.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        match check(topic.error_code, format!("deleting topic '{name}'"), topic.error_message.as_ref()) {
            Ok(()) => rows.push(Row { topic: name, outcome: "deleted" }),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if !rows.is_empty() || context.printer.is_json() {
        context.printer.listing(&rows, |rows| {
            let mut table = Table::new(&[("TOPIC", Align::Left), ("OUTCOME", Align::Left)]);
            for row in rows {
                table.row([row.topic.clone(), row.outcome.to_owned()]);
            }
            table
        })?;
    }
    if failures.is_empty() { Ok(()) } else { Err(CliError::Failed(failures.join("\n"))) }
}
