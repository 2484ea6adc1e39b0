//! `towpath bench consume`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::base::task::TaskKind;
use crate::cli::bench::progress;
use crate::cli::bench::report::{NamedLatency, Report};
use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::consumer::{FetchTuning, Fetcher, TopicPartition, positions_of};
use crate::cli::kafka::offsets::OffsetChoice;
use crate::cli::latency::Latencies;
use crate::cli::output::units::{bytes, parse_bytes};
use crate::cli::signal::interrupted;

/// Consume from the beginning as fast as it goes
#[derive(Args, Clone, Debug)]
pub struct ConsumeArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The topic
    #[arg(short, long, default_value = "bench")]
    topic: String,
    /// End after this many seconds, or at the end of the topic
    #[arg(short, long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Consumers; each reads partitions of its own
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    consumers: u16,
    /// The most bytes of one answer
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_bytes)]
    fetch_size: u64,
}

#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    value_bytes: AtomicU64,
    fetches: Latencies,
}

/// Runs the command.
///
/// # Errors
/// When the topic can not be read.
pub async fn run(context: &mut Context, args: &ConsumeArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let topics = [args.topic.clone()];
    let clock = context.clock.as_ref();
    let starts = positions_of(&cluster, &topics, &[], OffsetChoice::Beginning, clock).await?;
    let ends = positions_of(&cluster, &topics, &[], OffsetChoice::End, clock).await?;
    let tuning = FetchTuning {
        bytes_max: i32::try_from(args.fetch_size).unwrap_or(i32::MAX),
        read_committed: false,
        ..FetchTuning::default()
    };
    let counts = Arc::new(Counts::default());
    let (failed, mut outcomes) = mpsc::channel(1);
    let began = Instant::now();
    for share in shares(&starts, usize::from(args.consumers)) {
        let own = Cluster::connect(&context.supervisor, &context.rng, cluster.any().address(), "towpath-bench").await?;
        let mut fetcher = Fetcher::new(Arc::new(own), tuning);
        fetcher.assign(share).await?;
        let (counts, ends, failed) = (Arc::clone(&counts), ends.clone(), failed.clone());
        context.supervisor.spawn(TaskKind::Connection, "bench consumer", async move {
            // Whoever measures may have ended already.
            let _ = failed.send(read(fetcher, &ends, &counts).await).await;
            Ok(())
        });
    }
    drop(failed);
    let length = Duration::from_secs(args.seconds);
    let message = || format!("{} consumed", bytes(counts.value_bytes.load(Ordering::Relaxed)));
    tokio::select! {
        biased;
        _ = interrupted() => {}
        () = progress::show(length, message) => {}
        outcome = async {
            while let Some(outcome) = outcomes.recv().await { outcome?; }
            Ok::<(), CliError>(())
        } => outcome?,
    }
    let report = Report {
        kind: "consume",
        topic: args.topic.clone(),
        seconds: began.elapsed().as_secs_f64(),
        records: counts.records.load(Ordering::Relaxed),
        value_bytes: counts.value_bytes.load(Ordering::Relaxed),
        asked_bytes_per_second: None,
        errors: 0,
        first_error: None,
        latencies: vec![NamedLatency { name: "fetch that brought records", summary: counts.fetches.summary() }],
    };
    context.printer.object(&report, Report::draw)
}

/// Deals partitions out to at most `consumers` readers.
fn shares(starts: &BTreeMap<TopicPartition, i64>, consumers: usize) -> Vec<BTreeMap<TopicPartition, i64>> {
    let mut shares = vec![BTreeMap::new(); consumers.clamp(1, starts.len().max(1))];
    let count = shares.len();
    for (index, (partition, offset)) in starts.iter().enumerate() {
        shares[index % count].insert(partition.clone(), *offset);
    }
    shares
}

/// Reads until every partition is at the end it had when the measurement began.
async fn read(mut fetcher: Fetcher, ends: &BTreeMap<TopicPartition, i64>, counts: &Counts) -> Result<()> {
    loop {
        let behind = |(partition, offset): (&TopicPartition, &i64)| ends.get(partition).is_some_and(|end| offset < end);
        if !fetcher.positions().iter().any(behind) {
            return Ok(());
        }
        let asked = Instant::now();
        let news = fetcher.poll().await?;
        let (mut records, mut value_bytes) = (0, 0);
        for record in news.iter().flat_map(|fetched| &fetched.records) {
            records += 1;
            value_bytes += record.value.as_ref().map_or(0, |value| value.len() as u64);
        }
        if records > 0 {
            counts.fetches.record(asked.elapsed());
            counts.records.fetch_add(records, Ordering::Relaxed);
            counts.value_bytes.fetch_add(value_bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_is_read_by_exactly_one_consumer() {
        let starts: BTreeMap<_, _> =
            (0..5).map(|partition| (TopicPartition { topic: "t".into(), partition }, 0)).collect();
        let sizes = |consumers| shares(&starts, consumers).iter().map(BTreeMap::len).collect::<Vec<_>>();
        assert_eq!(sizes(2), [3, 2]);
        assert_eq!(sizes(9), [1, 1, 1, 1, 1]);
        assert_eq!(sizes(0), [5]);
    }
}
