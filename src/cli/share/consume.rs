//! `towpath share consume`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::delimiter::Delimiter;
use crate::cli::error::{CliError, Result};
use crate::cli::format::{Format, envelope};
use crate::cli::kafka::share_consumer::{Acknowledged, Delivery, ShareConsumer};
use crate::cli::kafka::share_session::{ShareMember, ShareTuning};
use crate::cli::output::printer::Printer;
use crate::cli::signal::interrupted;
use crate::coordinator::share::values::AcknowledgeType;

/// Print records as a member of a share group; each is accepted once it is printed
#[derive(Args, Clone, Debug)]
#[command(after_help = "A new group begins at the end of a topic. For the records that are there already, first:\n  \
                        towpath share config GROUP --set share.auto.offset.reset=earliest")]
pub struct ConsumeArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Which topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Name of the share group
    #[arg(short, long, default_value = "console-share-consumer")]
    group: String,
    /// Say that the records can not be processed, instead of accepting them
    #[arg(long, conflicts_with = "release")]
    reject: bool,
    /// Give the records back, instead of accepting them
    #[arg(long)]
    release: bool,
    /// Stop after this many records
    #[arg(short = 'c', long, visible_alias = "count", value_parser = clap::value_parser!(u64).range(1..))]
    max_messages: Option<u64>,
    /// Stop when nothing comes for this many milliseconds
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// %t topic, %p partition, %o offset, %k key, %v value, %T timestamp, %h headers; \n and \t are understood
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "key_delimiter")]
    format: Option<Format>,
    /// Print keys too, separated from values by this
    #[arg(short = 'K', long, value_name = "TEXT")]
    key_delimiter: Option<Delimiter>,
    /// What ends a record
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n")]
    delimiter: Delimiter,
}

impl ConsumeArgs {
    fn verdict(&self) -> AcknowledgeType {
        match (self.reject, self.release) {
            (true, _) => AcknowledgeType::Reject,
            (false, true) => AcknowledgeType::Release,
            (false, false) => AcknowledgeType::Accept,
        }
    }
}

/// Runs the command until the count or the timeout is reached, or Ctrl-C.
///
/// # Errors
/// When the group or a topic can not be read.
pub async fn run(context: &mut Context, args: &ConsumeArgs) -> Result<()> {
    let style = match (&args.format, context.printer.is_json()) {
        (Some(_), true) => return Err(CliError::Usage("--format and --json exclude each other".to_owned())),
        (None, true) => None,
        (Some(format), false) => Some(format.clone()),
        (None, false) => {
            let key_delimiter = args.key_delimiter.as_ref().map(|delimiter| &delimiter.0[..]);
            Some(Format::plain(key_delimiter, &args.delimiter.0))
        }
    };
    let cluster = context.connect(&args.client).await?;
    let member = ShareMember { group: args.group.clone(), id: context.rng.uuid().to_string() };
    let records_max = args.max_messages.map_or(500, |count| i32::try_from(count).unwrap_or(500).min(500));
    // With a count nothing more is taken than may be printed: taking counts as a delivery.
    let tuning = ShareTuning { records_max, is_strict: args.max_messages.is_some(), ..ShareTuning::default() };
    let mut consumer = ShareConsumer::start(Arc::clone(&cluster), member, &args.topics, tuning).await?;
    let outcome = read_on(&mut consumer, args, style.as_ref(), &mut context.printer).await;
    // What was printed is said even when the output is gone; what was not printed is given back.
    let closed = consumer.close().await;
    outcome?;
    closed.map(|acknowledged| warn_of(&acknowledged))
}

async fn read_on(
    consumer: &mut ShareConsumer,
    args: &ConsumeArgs,
    style: Option<&Format>,
    printer: &mut Printer,
) -> Result<()> {
    let mut left = args.max_messages.unwrap_or(u64::MAX);
    let mut quiet_since = Instant::now();
    let stop = interrupted();
    tokio::pin!(stop);
    while left > 0 {
        let patience = args.timeout_ms.map(|ms| quiet_since + Duration::from_millis(ms));
        let news = tokio::select! {
            biased;
            _ = &mut stop => break,
            news = consumer.poll() => news?,
            () = sleep_until(patience) => break,
        };
        warn_of(&news.acknowledged);
        let count = usize::try_from(left).map_or(news.deliveries.len(), |left| left.min(news.deliveries.len()));
        let wanted = &news.deliveries[..count];
        for delivery in wanted {
            print(delivery, style, printer)?;
        }
        // Only what has left this process is acknowledged: a reader that went away has processed nothing.
        printer.flush()?;
        for delivery in wanted {
            consumer.acknowledge(&delivery.partition, delivery.record.offset, args.verdict());
        }
        if !wanted.is_empty() {
            left -= wanted.len() as u64;
            quiet_since = Instant::now();
        }
    }
    Ok(())
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn print(delivery: &Delivery, style: Option<&Format>, printer: &mut Printer) -> Result<()> {
    match style {
        Some(format) => printer.raw(&format.render(&delivery.partition, &delivery.record)),
        None => printer.raw(&envelope(&delivery.partition, &delivery.record)),
    }
}

/// A refused acknowledgement means that a lock has ended: somebody gets these records again.
fn warn_of(acknowledged: &[Acknowledged]) {
    for one in acknowledged {
        if let Some(code) = one.refusal {
            let (topic, partition) = (&one.partition.topic, one.partition.partition);
            tracing::warn!(%topic, partition, records = one.offsets.len(), %code, "acknowledgements were refused");
        }
    }
}
