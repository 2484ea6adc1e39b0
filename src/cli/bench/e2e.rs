//! `towpath bench e2e`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::base::clock::Clock;
use crate::base::task::TaskKind;
use crate::cli::bench::open_loop::{self, Schedule};
use crate::cli::bench::payload::value_of;
use crate::cli::bench::progress;
use crate::cli::bench::report::{NamedLatency, Report};
use crate::cli::context::{ClientArgs, Context};
use crate::cli::demo::logs::LogSource;
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::consumer::{FetchTuning, Fetcher, positions_of};
use crate::cli::kafka::offsets::{OffsetChoice, by_leader};
use crate::cli::kafka::producer::produce;
use crate::cli::kafka::records::ConsumedRecord;
use crate::cli::latency::Latencies;
use crate::cli::output::units::{grouped, parse_bytes};
use crate::cli::signal::interrupted;
use crate::cli::topic::create::create_topic;
use crate::record::build::{BatchBuilder, NewRecord};

/// Carries when a record was due, in microseconds since the measurement began, and which measurement it belongs to.
const DUE_HEADER: &[u8] = b"due-us";
/// How long the last records may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Produce single records at a steady rate and measure until a consumer has them
#[derive(Args, Clone, Debug)]
pub struct EndToEndArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The topic; created when missing
    #[arg(short, long, default_value = "bench-e2e")]
    topic: String,
    /// Partitions, when the topic is created
    #[arg(short, long, default_value_t = 4)]
    partitions: i32,
    /// Records a second
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// How many seconds are measured
    #[arg(short, long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Seconds before that, which do not count
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Bytes of one record's value
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_bytes)]
    record_size: u64,
    /// Requests in flight, at most
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
}

/// Both ends of the measurement.
#[derive(Debug)]
struct Measurement {
    topic: String,
    /// Tells our records from those of others.
    run: u64,
    began: Instant,
    counted_from: Duration,
    clock: Arc<dyn Clock>,
    source: LogSource,
    record_size: usize,
    produced: AtomicU64,
    consumed: AtomicU64,
    errors: AtomicU64,
    first_error: std::sync::Mutex<Option<String>>,
    acknowledged: Latencies,
    arrived: Latencies,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer, or not one record arrived.
pub async fn run(context: &mut Context, args: &EndToEndArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    create_topic(&cluster, &args.topic, args.partitions).await?;
    let (info, brokers) = cluster.topic(&args.topic, true).await?;
    let mut targets = Vec::new();
    for (address, partitions) in by_leader(&info, &brokers, &[])? {
        let connection = cluster.open(&address).await?;
        targets.extend(partitions.into_iter().map(|partition| (connection.clone(), partition)));
    }
    let topics = [args.topic.clone()];
    let own = Cluster::connect(&context.supervisor, &context.rng, cluster.any().address(), "towpath-bench").await?;
    let starts = positions_of(&cluster, &topics, &[], OffsetChoice::End, context.clock.as_ref()).await?;
    let mut fetcher = Fetcher::new(Arc::new(own), FetchTuning { read_committed: false, ..FetchTuning::default() });
    fetcher.assign(starts).await?;
    let measurement = Arc::new(Measurement {
        topic: args.topic.clone(),
        run: context.rng.next_u64(),
        began: Instant::now(),
        counted_from: Duration::from_secs(args.warm_up),
        clock: Arc::clone(&context.clock),
        source: LogSource::new(context.rng.clone()),
        record_size: usize::try_from(args.record_size).unwrap_or(usize::MAX).min(64 << 20),
        produced: AtomicU64::new(0),
        consumed: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        first_error: std::sync::Mutex::default(),
        acknowledged: Latencies::default(),
        arrived: Latencies::default(),
    });
    let (failed, mut failures) = mpsc::channel(1);
    let reading = Arc::clone(&measurement);
    context.supervisor.spawn(TaskKind::Connection, "bench consumer", async move {
        let Err(error) = reading.consume(fetcher).await;
        // Whoever measures may have ended already.
        let _ = failed.send(error).await;
        Ok(())
    });
    let length = Duration::from_secs(args.warm_up + args.seconds);
    let schedule =
        Schedule { began: measurement.began, every: Duration::from_secs(1).div_f64(args.rate as f64), length };
    let (done, over) = oneshot::channel::<()>();
    let (writing, in_flight) = (Arc::clone(&measurement), args.in_flight);
    context.supervisor.spawn(TaskKind::Connection, "bench producer", async move {
        open_loop::run(schedule, (0, 1), in_flight, |number, due| Arc::clone(&writing).request(&targets, number, due))
            .await;
        drop(done);
        Ok(())
    });
    let message = || format!("{} records arrived", grouped(measurement.consumed.load(Ordering::Relaxed)));
    tokio::select! {
        biased;
        _ = interrupted() => {}
        Some(error) = failures.recv() => return Err(error),
        () = async {
            let _ = tokio::join!(progress::show(length, message), over);
            measurement.all_arrived().await;
        } => {}
    }
    let report = measurement.report(args);
    if report.records == 0 {
        let reason = report.first_error.unwrap_or_else(|| "it ended before the warm-up was over".to_owned());
        return Err(CliError::Failed(format!("nothing arrived: {reason}")));
    }
    context.printer.object(&report, Report::draw)
}

impl Measurement {
    fn request(
        self: Arc<Self>,
        targets: &[(Connection, i32)],
        number: u64,
        due: Instant,
    ) -> impl Future<Output = ()> + use<> {
        let index = usize::try_from(number % targets.len().max(1) as u64).unwrap_or(0);
        let (connection, partition) = targets[index].clone();
        async move {
            let timestamp = self.clock.now();
            let due_us = u64::try_from((due - self.began).as_micros()).unwrap_or(u64::MAX);
            let header = [self.run.to_be_bytes(), due_us.to_be_bytes()].concat();
            let value = value_of(&self.source, self.record_size, timestamp);
            let mut batch = BatchBuilder::default();
            batch.push(&NewRecord {
                timestamp,
                key: None,
                value: Some(&value),
                headers: vec![(DUE_HEADER, Some(&header))],
            });
            let outcome = match batch.build() {
                Ok(records) => produce(&connection, &self.topic, partition, records).await,
                Err(error) => Err(CliError::Failed(error.to_string())),
            };
            if due - self.began < self.counted_from {
                return;
            }
            match outcome {
                Ok(Ok(_)) => {
                    self.produced.fetch_add(1, Ordering::Relaxed);
                    self.acknowledged.record(due.elapsed());
                }
                Ok(Err((_, error))) | Err(error) => {
                    self.errors.fetch_add(1, Ordering::Relaxed);
                    let mut first = self.first_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    first.get_or_insert_with(|| error.to_string());
                }
            }
        }
    }

    async fn consume(&self, mut fetcher: Fetcher) -> std::result::Result<std::convert::Infallible, CliError> {
        loop {
            for fetched in fetcher.poll().await? {
                for due in fetched.records.iter().filter_map(|record| self.due_of(record)) {
                    if due >= self.counted_from {
                        self.arrived.record(self.began.elapsed().saturating_sub(due));
                        self.consumed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// When one of our own records was due, since the measurement began.
    fn due_of(&self, record: &ConsumedRecord) -> Option<Duration> {
        let value = record.headers.iter().find(|(name, _)| name.as_bytes() == DUE_HEADER)?.1.as_ref()?;
        let (run, due_us) = value.split_at_checked(8)?;
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        (number(run)? == self.run).then_some(Duration::from_micros(number(due_us)?))
    }

    /// Resolves when everything that was acknowledged has arrived, or patience ends.
    async fn all_arrived(&self) {
        let arrived = async {
            while self.consumed.load(Ordering::Relaxed) < self.produced.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // What is missing then shows in the report.
        let _ = tokio::time::timeout(PATIENCE, arrived).await;
    }

    fn report(&self, args: &EndToEndArgs) -> Report {
        let records = self.consumed.load(Ordering::Relaxed);
        let missing = self.produced.load(Ordering::Relaxed).saturating_sub(records);
        let first_error = self.first_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let lost = (missing > 0).then(|| format!("{missing} records were acknowledged but did not arrive in time"));
        Report {
            kind: "e2e",
            topic: args.topic.clone(),
            seconds: args.seconds as f64,
            records,
            value_bytes: records * args.record_size,
            asked_bytes_per_second: Some((args.rate * args.record_size) as f64),
            errors: self.errors.load(Ordering::Relaxed) + missing,
            first_error: first_error.or(lost),
            latencies: vec![
                NamedLatency { name: "acknowledged, from when it was due", summary: self.acknowledged.summary() },
                NamedLatency { name: "consumed, from when it was due", summary: self.arrived.summary() },
            ],
        }
    }
}
