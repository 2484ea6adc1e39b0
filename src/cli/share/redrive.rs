//! `towpath share redrive`: dead letters back to where they came from.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use kafka_protocol::protocol::StrBytes;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::committed::{commit_request, committed_offsets};
use crate::cli::kafka::consumer::{FetchTuning, FetchedPartition, Fetcher, TopicPartition, positions_of};
use crate::cli::kafka::offsets::OffsetChoice;
use crate::cli::kafka::producer::{Partitioner, TopicProducer};
use crate::cli::kafka::protocol::check;
use crate::cli::kafka::records::ConsumedRecord;
use crate::record::build::NewRecord;
use crate::record::decompress::Compression;

/// What all headers of a dead letter begin with.
const LETTER: &str = "__dlq.errors.";
/// A batch is sent before it grows beyond this.
const BATCH_BYTES: usize = 512 << 10;

/// Produce the records of dead letters again, to the topics they came from
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "A second run goes on where the first one ended: progress is kept as offsets of the consumer group \
                    towpath-redrive-GROUP."
)]
pub struct RedriveArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the share group whose letters are wanted
    group: String,
    /// The topic with dead letters
    #[arg(long, value_name = "TOPIC")]
    from: String,
    /// Produce everything here instead
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// Redrive at most this many records
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Only count
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Outcome {
    dry_run: bool,
    /// Records that were produced again, by topic.
    redriven: BTreeMap<String, u64>,
    /// Letters without a copy of their record.
    without_record: u64,
    /// Records that are no letters of this group.
    of_others: u64,
}

impl Outcome {
    fn total(&self) -> u64 {
        self.redriven.values().sum()
    }
}

/// Runs the command.
///
/// # Errors
/// When a topic can not be read or written. What was produced before that is remembered.
pub async fn run(context: &mut Context, args: &RedriveArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    if let Some(topic) = &args.to {
        // Before anything is read, and for a dry run too: it says what would happen.
        cluster.topic(topic, false).await?;
    }
    let progress_group = format!("towpath-redrive-{}", args.group);
    let topics = [args.from.clone()];
    let clock = context.clock.as_ref();
    let mut starts = positions_of(&cluster, &topics, &[], OffsetChoice::Beginning, clock).await?;
    let ends = positions_of(&cluster, &topics, &[], OffsetChoice::End, clock).await?;
    let coordinator = cluster.coordinator(&progress_group).await?;
    for (partition, offset) in committed_offsets(&coordinator, &progress_group, None).await? {
        if let Some(start) = starts.get_mut(&partition) {
            *start = offset.max(*start);
        }
    }
    starts.retain(|partition, start| ends.get(partition).is_some_and(|end| *start < *end));
    let mut redrive = Redrive {
        cluster: Arc::clone(&cluster),
        args,
        progress_group,
        producers: BTreeMap::new(),
        turn: context.rng.next_u64(),
        outcome: Outcome { dry_run: args.dry_run, ..Outcome::default() },
    };
    let tuning = FetchTuning::default();
    let mut fetcher = Fetcher::new(Arc::clone(&cluster), tuning);
    let letters: i64 = starts.iter().map(|(partition, start)| ends[partition] - start).sum();
    let length = u64::try_from(letters).unwrap_or(0);
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let read = async {
        let mut positions = starts;
        while !positions.is_empty() && !redrive.is_full() {
            fetcher.assign(positions.clone()).await?;
            for fetched in fetcher.poll().await? {
                let reached = redrive.take(&fetched).await?;
                let from = positions.get(&fetched.partition).copied().unwrap_or(reached);
                bar.inc(u64::try_from(reached - from).unwrap_or(0));
                if ends.get(&fetched.partition).is_some_and(|end| reached < *end) {
                    positions.insert(fetched.partition, reached);
                } else {
                    positions.remove(&fetched.partition);
                }
                if redrive.is_full() {
                    break;
                }
            }
        }
        Ok(())
    };
    let done: Result<()> = read.await;
    bar.finish_and_clear();
    done?;
    context.printer.object(&redrive.outcome, draw)?;
    if letters == 0 {
        let group = &redrive.progress_group;
        context.printer.note(&format!(
            "no letters are behind the offsets of consumer group '{group}', where runs remember how far they got"
        ));
    }
    Ok(())
}

struct Redrive<'a> {
    cluster: Arc<Cluster>,
    args: &'a RedriveArgs,
    progress_group: String,
    producers: BTreeMap<String, (TopicProducer, Partitioner)>,
    turn: u64,
    outcome: Outcome,
}

impl Redrive<'_> {
    fn is_full(&self) -> bool {
        self.args.max.is_some_and(|max| self.outcome.total() >= max)
    }

    /// Produces the records of some letters again and remembers that. Answers how far it got.
    async fn take(&mut self, fetched: &FetchedPartition) -> Result<i64> {
        let mut reached = fetched.next_offset;
        let mut batches: BTreeMap<String, Vec<&ConsumedRecord>> = BTreeMap::new();
        let (mut bytes, mut planned) = (0, self.outcome.total());
        for record in &fetched.records {
            if self.args.max.is_some_and(|max| planned >= max) {
                reached = record.offset;
                break;
            }
            match judge(record, &self.args.group) {
                Letter::Other => self.outcome.of_others += 1,
                Letter::Empty => self.outcome.without_record += 1,
                Letter::From(topic) => {
                    planned += 1;
                    bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
                    let topic = self.args.to.clone().unwrap_or_else(|| topic.to_owned());
                    batches.entry(topic).or_default().push(record);
                    if bytes >= BATCH_BYTES {
                        reached = record.offset + 1;
                        break;
                    }
                }
            }
        }
        for (topic, records) in batches {
            if !self.args.dry_run {
                self.produce(&topic, &records).await?;
            }
            *self.outcome.redriven.entry(topic).or_default() += records.len() as u64;
        }
        if !self.args.dry_run {
            self.remember(&fetched.partition, reached).await?;
        }
        Ok(reached)
    }

    async fn produce(&mut self, topic: &str, records: &[&ConsumedRecord]) -> Result<()> {
        if !self.producers.contains_key(topic) {
            // A topic that is gone is not made anew by accident.
            self.cluster.topic(topic, false).await.map_err(|error| match error {
                CliError::Failed(reason) if self.args.to.is_none() => {
                    CliError::Failed(format!("{reason}; --to names another topic for the records that came from it"))
                }
                error => error,
            })?;
            let producer = TopicProducer::start(Arc::clone(&self.cluster), topic, Compression::None).await?;
            let partitioner = Partitioner::new(producer.partition_count(), self.turn);
            self.producers.insert(topic.to_owned(), (producer, partitioner));
        }
        let Some((producer, partitioner)) = self.producers.get_mut(topic) else { return Ok(()) };
        let mut by_partition: BTreeMap<i32, Vec<&ConsumedRecord>> = BTreeMap::new();
        for record in records {
            by_partition.entry(partitioner.partition_of(record.key.as_deref())).or_default().push(record);
        }
        partitioner.next_batch();
        for (partition, records) in by_partition {
            let mut batch = producer.batch(partition);
            for record in records {
                let own = record.headers.iter().filter(|(name, _)| !name.starts_with(LETTER));
                batch.push(&NewRecord {
                    timestamp: record.timestamp,
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    headers: own.map(|(name, value)| (name.as_bytes(), value.as_deref())).collect(),
                });
            }
            producer.send(partition, &batch).await?;
        }
        Ok(())
    }

    async fn remember(&self, partition: &TopicPartition, offset: i64) -> Result<()> {
        let offsets = BTreeMap::from([(partition.clone(), offset)]);
        let request = commit_request(&self.progress_group, -1, &StrBytes::default(), &offsets);
        let answer = self.cluster.coordinator(&self.progress_group).await?.send(8, &request).await?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let tried = format!("remembering progress in group '{}'", self.progress_group);
            check(partition.error_code, tried, None)?;
        }
        Ok(())
    }
}

/// What a record of the dead letter topic is.
#[derive(Debug, PartialEq, Eq)]
enum Letter<'a> {
    /// Not a letter of the group.
    Other,
    /// A letter without a copy of its record.
    Empty,
    /// A letter with the record of this topic.
    From(&'a str),
}

fn judge<'a>(record: &'a ConsumedRecord, group: &str) -> Letter<'a> {
    let header = |wanted: &str| {
        let found = record.headers.iter().find(|(name, _)| name.strip_prefix(LETTER) == Some(wanted))?;
        std::str::from_utf8(found.1.as_deref()?).ok()
    };
    match (header("group"), header("topic")) {
        (Some(of), Some(_)) if of == group && record.key.is_none() && record.value.is_none() => Letter::Empty,
        (Some(of), Some(topic)) if of == group => Letter::From(topic),
        _ => Letter::Other,
    }
}

fn draw(outcome: &Outcome) -> String {
    let done = if outcome.dry_run { "would be redriven" } else { "redriven" };
    let mut text = format!("{} records {done}", outcome.total());
    for (topic, count) in &outcome.redriven {
        text.push_str(&format!("\n  {count} to '{topic}'"));
    }
    if outcome.without_record > 0 {
        text.push_str(&format!(
            "\n{} letters carry no record and were skipped; errors.deadletterqueue.copy.record.enable=true copies records \
             from now on",
            outcome.without_record
        ));
    }
    if outcome.of_others > 0 {
        text.push_str(&format!("\n{} records are no letters of this group and were passed over", outcome.of_others));
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::clock::Timestamp;

    fn record(headers: &[(&str, &str)], value: Option<&'static str>) -> ConsumedRecord {
        ConsumedRecord {
            offset: 0,
            timestamp: Timestamp(0),
            key: None,
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))))
                .collect(),
        }
    }

    #[test]
    fn only_whole_letters_of_the_group_are_redriven() {
        let headers = [("__dlq.errors.topic", "orders"), ("__dlq.errors.group", "crew")];
        assert_eq!(judge(&record(&headers, Some("x")), "crew"), Letter::From("orders"));
        assert_eq!(judge(&record(&headers, None), "crew"), Letter::Empty);
        assert_eq!(judge(&record(&headers, Some("x")), "others"), Letter::Other);
        assert_eq!(judge(&record(&headers[..1], Some("x")), "crew"), Letter::Other);
        assert_eq!(judge(&record(&[], Some("x")), "crew"), Letter::Other);
    }

    #[test]
    fn the_outcome_is_told() {
        let outcome = Outcome {
            dry_run: false,
            redriven: BTreeMap::from([("orders".to_owned(), 3)]),
            without_record: 2,
            of_others: 0,
        };
        let text = draw(&outcome);
        assert!(text.starts_with("3 records redriven\n  3 to 'orders'\n2 letters carry no record"), "{text}");
        assert!(text.contains("copy.record.enable"), "{text}");
        assert!(!text.contains("passed over"), "{text}");
    }
}
