//! `towpath bench produce`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::base::task::TaskKind;
use crate::cli::bench::open_loop::{self, Schedule};
use crate::cli::bench::payload::{Payload, PayloadArgs};
use crate::cli::bench::progress;
use crate::cli::bench::report::{NamedLatency, Report};
use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::offsets::by_leader;
use crate::cli::kafka::producer::produce;
use crate::cli::latency::Latencies;
use crate::cli::output::units::{bytes, parse_bytes};
use crate::cli::signal::interrupted;
use crate::cli::topic::create::create_topic;

/// Produce at a steady rate; latencies count from the moment each batch was due
#[derive(Args, Clone, Debug)]
pub struct ProduceArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The topic; created when missing
    #[arg(short, long, default_value = "bench")]
    topic: String,
    /// Partitions, when the topic is created
    #[arg(short, long, default_value_t = 8)]
    partitions: i32,
    /// Bytes of values a second
    #[arg(short, long, value_name = "SIZE", default_value = "10MiB", value_parser = parse_bytes)]
    rate: u64,
    /// How many seconds are measured
    #[arg(short, long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Seconds before that, which do not count
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Connections
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1024))]
    connections: u64,
    /// Requests in flight per connection, at most
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    #[command(flatten)]
    payload: PayloadArgs,
}

/// What all lanes count together.
#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    value_bytes: AtomicU64,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
    latencies: Latencies,
}

/// Where a batch goes.
type Target = (Connection, i32);

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer, or not one batch got through.
pub async fn run(context: &mut Context, args: &ProduceArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    create_topic(&cluster, &args.topic, args.partitions).await?;
    let payload = Payload::make(&args.payload, &context.rng, context.clock.now())?;
    let every = Duration::from_secs_f64(payload.value_bytes as f64 / args.rate.max(1) as f64);
    let warm_up = Duration::from_secs(args.warm_up);
    let length = warm_up + Duration::from_secs(args.seconds);
    let mut lanes = Vec::new();
    for _ in 0..args.connections {
        lanes.push(targets(&cluster, &args.topic).await?);
    }
    let began = Instant::now();
    let schedule = Schedule { began, every, length };
    let counts = Arc::new(Counts::default());
    let mut ended = Vec::new();
    for (lane, targets) in (0..).zip(lanes) {
        let (done, over) = oneshot::channel::<()>();
        ended.push(over);
        let load = Lane {
            topic: args.topic.clone(),
            targets,
            payload: payload.clone(),
            counts: Arc::clone(&counts),
            counted_from: began + warm_up,
        };
        let (connections, in_flight) = (args.connections, args.in_flight);
        context.supervisor.spawn(TaskKind::Connection, "bench lane", async move {
            open_loop::run(schedule, (lane, connections), in_flight, |number, due| load.request(number, due)).await;
            drop(done);
            Ok(())
        });
    }
    let all = futures::future::join_all(ended);
    tokio::pin!(all);
    let message = || format!("{} produced", bytes(counts.value_bytes.load(Ordering::Relaxed)));
    tokio::select! {
        biased;
        _ = interrupted() => {}
        () = async { tokio::join!(progress::show(length, message), &mut all); } => {}
    }
    let seconds = began.elapsed().saturating_sub(warm_up).as_secs_f64();
    let report = report(args, &counts, seconds);
    if report.records == 0 {
        let reason = report.first_error.unwrap_or_else(|| "it ended before the warm-up was over".to_owned());
        return Err(CliError::Failed(format!("nothing was produced: {reason}")));
    }
    context.printer.object(&report, Report::draw)
}

/// Connections of one lane, one per leader, for every partition.
async fn targets(cluster: &Cluster, topic: &str) -> Result<Vec<Target>> {
    let (info, brokers) = cluster.topic(topic, true).await?;
    let mut targets = Vec::new();
    for (address, partitions) in by_leader(&info, &brokers, &[])? {
        let connection = cluster.open(&address).await?;
        targets.extend(partitions.into_iter().map(|partition| (connection.clone(), partition)));
    }
    targets.sort_by_key(|(_, partition)| *partition);
    Ok(targets)
}

/// One connection's share of the load.
struct Lane {
    topic: String,
    targets: Vec<Target>,
    payload: Payload,
    counts: Arc<Counts>,
    counted_from: Instant,
}

impl Lane {
    fn request(&self, number: u64, due: Instant) -> impl Future<Output = ()> + use<> {
        let index = usize::try_from(number % self.targets.len().max(1) as u64).unwrap_or(0);
        let (connection, partition) = self.targets[index].clone();
        let (topic, batch, counts) = (self.topic.clone(), self.payload.batch(number), Arc::clone(&self.counts));
        let (records, value_bytes) = (self.payload.records, self.payload.value_bytes);
        let counted = due >= self.counted_from;
        async move {
            let outcome = produce(&connection, &topic, partition, batch).await;
            let failure = match outcome {
                Ok(Ok(_)) => None,
                Ok(Err((_, error))) | Err(error) => Some(error.to_string()),
            };
            if !counted {
                return;
            }
            match failure {
                None => {
                    counts.records.fetch_add(records, Ordering::Relaxed);
                    counts.value_bytes.fetch_add(value_bytes, Ordering::Relaxed);
                    counts.latencies.record(due.elapsed());
                }
                Some(reason) => {
                    counts.errors.fetch_add(1, Ordering::Relaxed);
                    counts.first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
                }
            }
        }
    }
}

fn report(args: &ProduceArgs, counts: &Counts, seconds: f64) -> Report {
    Report {
        kind: "produce",
        topic: args.topic.clone(),
        seconds,
        records: counts.records.load(Ordering::Relaxed),
        value_bytes: counts.value_bytes.load(Ordering::Relaxed),
        asked_bytes_per_second: Some(args.rate as f64),
        errors: counts.errors.load(Ordering::Relaxed),
        first_error: counts.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        latencies: vec![NamedLatency { name: "produce, from when it was due", summary: counts.latencies.summary() }],
    }
}
