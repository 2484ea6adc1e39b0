//! `towpath bench share`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::base::clock::Clock;
use crate::base::task::TaskKind;
use crate::cli::bench::ledger::{Ledger, Tally};
use crate::cli::bench::open_loop::{self, Schedule};
use crate::cli::bench::payload::value_of;
use crate::cli::bench::progress;
use crate::cli::bench::share_report::ShareReport;
use crate::cli::context::{ClientArgs, Context};
use crate::cli::demo::logs::LogSource;
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::consumer::{TopicPartition, positions_of};
use crate::cli::kafka::offsets::{OffsetChoice, by_leader};
use crate::cli::kafka::producer::produce;
use crate::cli::kafka::records::ConsumedRecord;
use crate::cli::kafka::share_admin::alter;
use crate::cli::kafka::share_consumer::{Acknowledged, ShareConsumer};
use crate::cli::kafka::share_session::{ShareMember, ShareTuning};
use crate::cli::latency::Latencies;
use crate::cli::output::units::{grouped, parse_bytes};
use crate::cli::signal::interrupted;
use crate::cli::topic::create::create_topic;
use crate::coordinator::share::values::AcknowledgeType;
use crate::record::build::{BatchBuilder, NewRecord};

/// Carries which measurement a record belongs to, its number, and when it was due in microseconds since the beginning.
const NUMBER_HEADER: &[u8] = b"bench-share";
/// How long the last records may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Produce at a steady rate and measure until members of a share group have the records; counts lost and doubled ones
#[derive(Args, Clone, Debug)]
pub struct ShareArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The topic; created when missing
    #[arg(short, long, default_value = "bench-share")]
    topic: String,
    /// Partitions, when the topic is created
    #[arg(short, long, default_value_t = 4)]
    partitions: i32,
    /// The share group; it must have no members, and is moved to the end of the topic. One of its own by default
    #[arg(short, long)]
    group: Option<String>,
    /// Producers
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1024))]
    producers: u64,
    /// Members of the share group
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    consumers: u16,
    /// Records a second, or max
    #[arg(short, long, default_value = "1000", value_parser = parse_rate)]
    rate: Rate,
    /// Records of one request
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
    /// How many seconds are produced
    #[arg(short, long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Bytes of one record's value
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_bytes)]
    record_size: u64,
    /// implicit: accepted with the next fetch; explicit: in a request of its own at once
    #[arg(long, value_enum, default_value_t = Mode::Implicit)]
    ack: Mode,
    /// The most records of one answer
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(i32).range(1..))]
    max_poll_records: i32,
    /// Requests in flight of each producer, at most
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
}

/// How records are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Implicit,
    Explicit,
}

/// Records a second; nothing means as fast as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate(Option<u64>);

fn parse_rate(text: &str) -> std::result::Result<Rate, String> {
    match text.parse::<u64>() {
        Ok(rate) if rate > 0 => Ok(Rate(Some(rate))),
        _ if text == "max" => Ok(Rate(None)),
        _ => Err(format!("'{text}' is no rate; write a number of records a second, or max")),
    }
}

/// Both ends of the measurement.
#[derive(Debug)]
struct Measurement {
    topic: String,
    /// Tells our records from those of others.
    run: u64,
    began: Instant,
    clock: Arc<dyn Clock>,
    source: LogSource,
    record_size: usize,
    batch: u64,
    mode: Mode,
    next_number: AtomicU64,
    ledger: Ledger,
    delivered: Latencies,
    errors: AtomicU64,
    first_error: std::sync::Mutex<Option<String>>,
    is_over: AtomicBool,
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer, the group has members, or not one record arrived.
pub async fn run(context: &mut Context, args: &ShareArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    create_topic(&cluster, &args.topic, args.partitions).await?;
    let (info, brokers) = cluster.topic(&args.topic, true).await?;
    let run = context.rng.next_u64();
    let group = args.group.clone().unwrap_or_else(|| format!("bench-share-{run:016x}"));
    // The group begins exactly where the measurement begins, whoever of it fetches first.
    let topics = [args.topic.clone()];
    let ends = positions_of(&cluster, &topics, &[], OffsetChoice::End, context.clock.as_ref()).await?;
    alter(&cluster, &group, &ends).await?;
    let mut members = Vec::new();
    for _ in 0..args.consumers {
        members.push(join(context, &cluster, &group, args).await?);
    }
    let mut targets = Vec::new();
    for (address, partitions) in by_leader(&info, &brokers, &[])? {
        let connection = cluster.open(&address).await?;
        targets.extend(partitions.into_iter().map(|partition| (connection.clone(), partition)));
    }
    let measurement = Arc::new(Measurement {
        topic: args.topic.clone(),
        run,
        began: Instant::now(),
        clock: Arc::clone(&context.clock),
        source: LogSource::new(context.rng.clone()),
        record_size: usize::try_from(args.record_size).unwrap_or(usize::MAX).min(64 << 20),
        batch: args.batch,
        mode: args.ack,
        next_number: AtomicU64::new(0),
        ledger: Ledger::default(),
        delivered: Latencies::default(),
        errors: AtomicU64::new(0),
        first_error: std::sync::Mutex::default(),
        is_over: AtomicBool::new(false),
    });
    let (ended, mut members_end) = mpsc::channel(members.len().max(1));
    for consumer in members {
        let (measurement, ended) = (Arc::clone(&measurement), ended.clone());
        context.supervisor.spawn(TaskKind::Connection, "bench member", async move {
            // Whoever measures may have ended already.
            let _ = ended.send(measurement.consume(consumer).await).await;
            Ok(())
        });
    }
    drop(ended);
    let failed = measure(context, args, &measurement, targets, &mut members_end).await;
    let report = measurement.report(args, &group);
    if args.group.is_none() {
        delete(&cluster, &group).await;
    }
    failed?;
    if report.records == 0 {
        let reason = report.first_error.unwrap_or_else(|| "it ended too early".to_owned());
        return Err(CliError::Failed(format!("nothing arrived: {reason}")));
    }
    context.printer.object(&report, ShareReport::draw)
}

/// A member with connections of its own, joined.
async fn join(context: &Context, cluster: &Cluster, group: &str, args: &ShareArgs) -> Result<ShareConsumer> {
    let bootstrap = cluster.any().address();
    let own = Cluster::connect(&context.supervisor, &context.rng, bootstrap, "towpath-bench").await?;
    let member = ShareMember { group: group.to_owned(), id: context.rng.uuid().to_string() };
    let tuning = ShareTuning { records_max: args.max_poll_records, wait_max_ms: 500, is_strict: false };
    let topics = std::slice::from_ref(&args.topic);
    let mut consumer = ShareConsumer::start(Arc::new(own), member, topics, tuning).await?;
    consumer.join().await?;
    Ok(consumer)
}

/// The group was made for this measurement only.
async fn delete(cluster: &Cluster, group: &str) {
    let group_id = kafka_protocol::messages::GroupId(crate::cli::kafka::protocol::text(group));
    let request = kafka_protocol::messages::DeleteGroupsRequest::default().with_groups_names(vec![group_id]);
    let deleted = match cluster.coordinator(group).await {
        Ok(coordinator) => coordinator.send(2, &request).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = deleted {
        tracing::warn!(group, %error, "the group of the measurement is still there");
    }
}

/// Produces for as long as asked, waits for what is on its way, and ends the members.
async fn measure(
    context: &Context,
    args: &ShareArgs,
    measurement: &Arc<Measurement>,
    targets: Vec<(Connection, i32)>,
    members_end: &mut mpsc::Receiver<Result<()>>,
) -> Result<()> {
    let length = Duration::from_secs(args.seconds);
    let (done, mut producers_end) = mpsc::channel::<()>(1);
    let targets: Arc<[(Connection, i32)]> = targets.into();
    for lane in 0..args.producers {
        let (measurement, targets, done) = (Arc::clone(measurement), Arc::clone(&targets), done.clone());
        let (lanes, rate, in_flight) = (args.producers, args.rate, args.in_flight);
        context.supervisor.spawn(TaskKind::Connection, "bench producer", async move {
            measurement.produce_all(&targets, rate, (lane, lanes), in_flight, length).await;
            drop(done);
            Ok(())
        });
    }
    drop(done);
    let message = || {
        let tally = measurement.ledger.tally();
        format!("{} records delivered, {} doubled", grouped(tally.delivered), tally.doubled)
    };
    tokio::select! {
        biased;
        _ = interrupted() => {}
        Some(outcome) = members_end.recv() => return outcome,
        () = async {
            let _ = tokio::join!(progress::show(length, message), producers_end.recv());
            measurement.all_accepted().await;
        } => {}
    }
    measurement.is_over.store(true, Ordering::Relaxed);
    let mut outcome = Ok(());
    while let Ok(Some(ended)) = tokio::time::timeout(PATIENCE, members_end.recv()).await {
        outcome = outcome.and(ended);
    }
    outcome
}

impl Measurement {
    async fn produce_all(
        self: &Arc<Self>,
        targets: &[(Connection, i32)],
        rate: Rate,
        (lane, lanes): (u64, u64),
        in_flight: usize,
        length: Duration,
    ) {
        let target = |number: u64| targets[usize::try_from(number % targets.len().max(1) as u64).unwrap_or(0)].clone();
        if let Some(rate) = rate.0 {
            let every = Duration::from_secs_f64(self.batch as f64 / rate as f64);
            let schedule = Schedule { began: self.began, every, length };
            open_loop::run(schedule, (lane, lanes), in_flight, |number, due| {
                Arc::clone(self).request(target(number), due)
            })
            .await;
            return;
        }
        // As fast as it goes: each place sends again once it has its answer, and is due when it does.
        let places = (0..in_flight.max(1)).map(|place| {
            let target = target(lane + place as u64 * lanes);
            async move {
                while self.began.elapsed() < length {
                    Arc::clone(self).request(target.clone(), Instant::now()).await;
                }
            }
        });
        futures::future::join_all(places).await;
    }

    async fn request(self: Arc<Self>, (connection, partition): (Connection, i32), due: Instant) {
        let first = self.next_number.fetch_add(self.batch, Ordering::Relaxed);
        let numbers = first..first + self.batch;
        let timestamp = self.clock.now();
        let due_us = u64::try_from((due - self.began).as_micros()).unwrap_or(u64::MAX);
        let mut batch = BatchBuilder::default();
        for number in numbers.clone() {
            let header = [self.run.to_be_bytes(), number.to_be_bytes(), due_us.to_be_bytes()].concat();
            let value = value_of(&self.source, self.record_size, timestamp);
            let headers = vec![(NUMBER_HEADER, Some(&header[..]))];
            batch.push(&NewRecord { timestamp, key: None, value: Some(&value), headers });
        }
        let outcome = match batch.build() {
            Ok(records) => produce(&connection, &self.topic, partition, records).await,
            Err(error) => Err(CliError::Failed(error.to_string())),
        };
        match outcome {
            Ok(Ok(_)) => self.ledger.produced(numbers),
            Ok(Err((_, error))) | Err(error) => self.failed(error.to_string()),
        }
    }

    /// Takes and accepts records until the measurement is over.
    async fn consume(&self, mut consumer: ShareConsumer) -> Result<()> {
        let mut held: BTreeMap<(TopicPartition, i64), u64> = BTreeMap::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let news = consumer.poll().await?;
            self.settle(&mut held, &news.acknowledged);
            for delivery in news.deliveries {
                let (partition, offset) = (delivery.partition, delivery.record.offset);
                consumer.acknowledge(&partition, offset, AcknowledgeType::Accept);
                let Some((number, due)) = self.number_of(&delivery.record) else { continue };
                if self.ledger.delivered(number) {
                    self.delivered.record(self.began.elapsed().saturating_sub(due));
                }
                held.insert((partition, offset), number);
            }
            if self.mode == Mode::Explicit {
                let acknowledged = consumer.commit().await?;
                self.settle(&mut held, &acknowledged);
            }
        }
        let acknowledged = consumer.close().await?;
        self.settle(&mut held, &acknowledged);
        Ok(())
    }

    fn settle(&self, held: &mut BTreeMap<(TopicPartition, i64), u64>, acknowledged: &[Acknowledged]) {
        for one in acknowledged {
            for offset in &one.offsets {
                // Gaps are acknowledged too, and are no records of ours.
                let Some(number) = held.remove(&(one.partition.clone(), *offset)) else { continue };
                if one.refusal.is_none() {
                    self.ledger.accepted(number);
                }
            }
            if let Some(code) = one.refusal {
                self.failed(format!("acknowledging: {code}"));
            }
        }
    }

    /// The number of one of our own records, and when it was due.
    fn number_of(&self, record: &ConsumedRecord) -> Option<(u64, Duration)> {
        let value = record.headers.iter().find(|(name, _)| name.as_bytes() == NUMBER_HEADER)?.1.as_ref()?;
        let (words, rest) = value.as_chunks::<8>();
        let [run, number, due_us] = words else { return None };
        let is_ours = rest.is_empty() && u64::from_be_bytes(*run) == self.run;
        is_ours.then(|| (u64::from_be_bytes(*number), Duration::from_micros(u64::from_be_bytes(*due_us))))
    }

    fn failed(&self, reason: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.first_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(reason);
    }

    /// Resolves when everything that was produced is accepted, or patience ends.
    async fn all_accepted(&self) {
        let accepted = async {
            while self.ledger.tally().is_pending() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // What is missing then shows in the report.
        let _ = tokio::time::timeout(PATIENCE, accepted).await;
    }

    fn report(&self, args: &ShareArgs, group: &str) -> ShareReport {
        let Tally { produced, delivered, accepted, lost, doubled, redelivered } = self.ledger.tally();
        ShareReport {
            kind: "share",
            topic: args.topic.clone(),
            group: group.to_owned(),
            producers: args.producers,
            consumers: args.consumers,
            seconds: args.seconds as f64,
            asked_per_second: args.rate.0,
            produced,
            records: delivered,
            deliveries_per_second: (delivered + redelivered) as f64 / args.seconds.max(1) as f64,
            accepted,
            lost,
            doubled,
            redelivered,
            errors: self.errors.load(Ordering::Relaxed),
            first_error: self.first_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
            latency: self.delivered.summary(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_max() {
        assert_eq!(parse_rate("250"), Ok(Rate(Some(250))));
        assert_eq!(parse_rate("max"), Ok(Rate(None)));
        assert!(parse_rate("0").is_err() && parse_rate("fast").unwrap_err().contains("or max"));
    }
}
