//! `towpath demo`: starts everything, shows it, and takes it down again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::base::task::TaskKind;
use crate::cli::context::Context;
use crate::cli::demo::screen::{LINE_HEADER, Reading, erase, line, table};
use crate::cli::demo::stats::{Snapshot, Stats};
use crate::cli::demo::work::Worker;
use crate::cli::dev::{Prepared, prepare};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::launch::LaunchedAgent;
use crate::cli::output::json;
use crate::cli::output::printer::Printer;
use crate::cli::settings_args::SettingsArgs;
use crate::cli::signal::interrupted;
use crate::cli::topic::create::create_topic;

const TOPIC: &str = "app-logs";
const GROUP: &str = "log-readers";
/// How often the table changes.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often a pipe gets the header line again.
const LINES_PER_HEADER: u64 = 20;
/// How long workers have to finish what they began.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watch an agent, producers and a consumer group at work; leaves nothing behind
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// End after this many seconds; at Ctrl-C by default
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Records a second, over all producers
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Producers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=256))]
    producers: u16,
    /// Members of the consumer group
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    consumers: u16,
    /// Partitions of the topic
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=1000))]
    partitions: i32,
    /// Keep the data in this folder; a temporary one by default
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    data: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs the command until Ctrl-C or the time is over.
///
/// # Errors
/// When the agent can not start, or a producer or consumer fails.
pub async fn run(context: &mut Context, args: &DemoArgs) -> Result<()> {
    let Prepared { settings, workspace, notes } = prepare("demo", &args.settings, args.data.as_deref(), context)?;
    let agent = LaunchedAgent::start(&settings).await?;
    let outcome = show(context, args, &agent, &notes).await;
    agent.stop().await;
    drop(workspace);
    outcome
}

async fn show(context: &mut Context, args: &DemoArgs, agent: &LaunchedAgent, notes: &[String]) -> Result<()> {
    let bootstrap = agent.bootstrap.to_string();
    let cluster = Arc::new(Cluster::connect(&context.supervisor, &context.rng, &bootstrap, "towpath-demo").await?);
    create_topic(&cluster, TOPIC, args.partitions).await?;
    let worker = Worker {
        cluster,
        clock: Arc::clone(&context.clock),
        rng: context.rng.clone(),
        stats: Stats::default(),
        began: Instant::now(),
        stop: CancellationToken::new(),
    };
    let (mut failures, finished) = start_workers(context, args, &worker).await?;
    let http = agent.http.map(|http| format!(" · http://{http}/metrics")).unwrap_or_default();
    let title = format!("towpath demo · bootstrap {bootstrap}{http}");
    let mut view = View { printer: &mut context.printer, title, drawn: String::new(), lines: 0 };
    let watched = tokio::select! {
        biased;
        _ = interrupted() => Ok(()),
        reason = agent.failed() => Err(CliError::Failed(format!("the agent can not go on: {reason}"))),
        Some(failure) = failures.recv() => Err(failure),
        watched = watch(&mut view, &worker, agent, args.seconds, notes) => watched,
    };
    worker.stop.cancel();
    // Producers and members that hang must not keep the demo from ending.
    let _ = tokio::time::timeout(PATIENCE, finished).await;
    watched?;
    let last = worker.stats.snapshot(worker.began.elapsed(), agent.storage_use());
    view.end(&last)
}

/// Starts producers and members, each with connections of its own, as programs would have. Answers where their
/// failures arrive, and a future that resolves when all have ended.
async fn start_workers(
    context: &Context,
    args: &DemoArgs,
    worker: &Worker,
) -> Result<(mpsc::Receiver<CliError>, impl Future<Output = ()> + use<>)> {
    let (failed, failures) = mpsc::channel(1);
    let mut ended = Vec::new();
    let rate = args.rate as f64 / f64::from(args.producers);
    for index in 0..args.producers + args.consumers {
        let bootstrap = worker.cluster.any().address();
        let cluster = Cluster::connect(&context.supervisor, &context.rng, bootstrap, "towpath-demo").await?;
        let own = Worker { cluster: Arc::new(cluster), ..worker.clone() };
        let failed = failed.clone();
        let (done, over) = tokio::sync::oneshot::channel::<()>();
        ended.push(over);
        let produces = index < args.producers;
        context.supervisor.spawn(TaskKind::Connection, "demo worker", async move {
            let outcome = if produces {
                own.produce(TOPIC.to_owned(), rate).await
            } else {
                own.consume(TOPIC.to_owned(), GROUP.to_owned()).await
            };
            if let Err(error) = outcome {
                // One failure is enough to end the demo.
                let _ = failed.try_send(error);
            }
            drop(done);
            Ok(())
        });
    }
    Ok((failures, async { drop(join_all(ended).await) }))
}

/// What is on the screen.
struct View<'a> {
    printer: &'a mut Printer,
    title: String,
    drawn: String,
    lines: u64,
}

async fn watch(
    view: &mut View<'_>,
    worker: &Worker,
    agent: &LaunchedAgent,
    seconds: Option<u64>,
    notes: &[String],
) -> Result<()> {
    if !view.printer.is_json() {
        for note in notes {
            view.printer.line(note)?;
        }
    }
    let mut ticks = tokio::time::interval_at(worker.began + INTERVAL, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Snapshot::default();
    loop {
        ticks.tick().await;
        let elapsed = worker.began.elapsed();
        let total = worker.stats.snapshot(elapsed, agent.storage_use());
        view.show(&Reading { total, now: total.pace_since(&before) })?;
        before = total;
        if seconds.is_some_and(|seconds| elapsed >= Duration::from_secs(seconds)) {
            return Ok(());
        }
    }
}

impl View<'_> {
    fn show(&mut self, reading: &Reading) -> Result<()> {
        if self.printer.is_json() {
            self.printer.line(&json::line(reading))?;
        } else if self.printer.is_terminal() {
            let table = table(reading, &self.title);
            let erased = if self.drawn.is_empty() { String::new() } else { erase(&self.drawn) };
            self.printer.raw(format!("{erased}{table}").as_bytes())?;
            self.drawn = table;
        } else {
            if self.lines.is_multiple_of(LINES_PER_HEADER) {
                self.printer.line(LINE_HEADER)?;
            }
            self.lines += 1;
            self.printer.line(&line(reading))?;
        }
        self.printer.flush()
    }

    /// The last word: the whole run.
    fn end(&mut self, total: &Snapshot) -> Result<()> {
        let reading = Reading { total: *total, now: total.pace_since(&Snapshot::default()) };
        if self.printer.is_json() {
            return Ok(());
        }
        let erased = if self.drawn.is_empty() { String::new() } else { erase(&self.drawn) };
        let gap = if self.lines > 0 { "\n" } else { "" };
        let table = table(&reading, &format!("{} · the whole run", self.title));
        self.printer.raw(format!("{erased}{gap}{table}").as_bytes())?;
        self.printer.flush()
    }
}
