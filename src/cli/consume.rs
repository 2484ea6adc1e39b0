//! `towpath consume`: records to standard output.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::delimiter::Delimiter;
use crate::cli::error::{CliError, Result};
use crate::cli::format::{Format, envelope};
use crate::cli::kafka::consumer::{FetchTuning, FetchedPartition, Fetcher, TopicPartition, positions_of};
use crate::cli::kafka::group::GroupConsumer;
use crate::cli::kafka::offsets::OffsetChoice;
use crate::cli::output::printer::Printer;
use crate::cli::signal::interrupted;

/// Print records of topics
#[derive(Args, Clone, Debug)]
pub struct ConsumeArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Which topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Which partitions; all by default
    #[arg(short, long = "partition", value_name = "PARTITION", conflicts_with = "group")]
    partitions: Vec<i32>,
    /// Where to begin: beginning, end, an offset, -N (before the end), @-1h, @milliseconds. With --group only where
    /// the group has no offsets yet
    #[arg(short, long, value_name = "OFFSET", default_value = "beginning", allow_hyphen_values = true)]
    offset: OffsetChoice,
    /// Share the topics with the other members of this group, and commit what was read
    #[arg(short, long)]
    group: Option<String>,
    /// Stop after this many records
    #[arg(short, long)]
    count: Option<u64>,
    /// Stop at the end of what was there at the start
    #[arg(short = 'e', long)]
    exit: bool,
    /// %t topic, %p partition, %o offset, %k key, %v value, %T timestamp, %h headers; \n and \t are understood
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "key_delimiter")]
    format: Option<Format>,
    /// Print keys too, separated from values by this
    #[arg(short = 'K', long, value_name = "TEXT")]
    key_delimiter: Option<Delimiter>,
    /// What ends a record
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n")]
    delimiter: Delimiter,
    /// Include records of transactions that are open or were aborted
    #[arg(long)]
    read_uncommitted: bool,
}

/// Where records come from.
enum Source {
    Partitions(Fetcher),
    Group(GroupConsumer),
}

impl Source {
    async fn poll(&mut self) -> Result<Vec<FetchedPartition>> {
        match self {
            Self::Partitions(fetcher) => fetcher.poll().await,
            Self::Group(consumer) => consumer.poll().await,
        }
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        match self {
            Self::Partitions(fetcher) => fetcher.seek(partition, offset),
            Self::Group(consumer) => consumer.seek(partition, offset),
        }
    }

    /// Whether everything that was assigned is read up to where it ended when it was first seen.
    fn at_end(&self, ends: &BTreeMap<TopicPartition, (i64, i64)>) -> bool {
        let read = |partition: &TopicPartition| ends.get(partition).is_some_and(|(next, end)| next >= end);
        match self {
            Self::Partitions(fetcher) => fetcher.positions().keys().all(read),
            Self::Group(consumer) => {
                let assigned = consumer.assignment();
                !assigned.is_empty() && assigned.iter().all(read)
            }
        }
    }
}

/// Runs the command until the count or the end is reached, or Ctrl-C.
///
/// # Errors
/// When a topic can not be read.
pub async fn run(context: &mut Context, args: &ConsumeArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let tuning = FetchTuning { read_committed: !args.read_uncommitted, ..FetchTuning::default() };
    let source = match &args.group {
        Some(group) => Source::Group(GroupConsumer::new(
            Arc::clone(&cluster),
            Arc::clone(&context.clock),
            group,
            &args.topics,
            args.offset,
            tuning,
        )),
        None => {
            let positions =
                positions_of(&cluster, &args.topics, &args.partitions, args.offset, context.clock.as_ref()).await?;
            let mut fetcher = Fetcher::new(Arc::clone(&cluster), tuning);
            fetcher.assign(positions).await?;
            Source::Partitions(fetcher)
        }
    };
    let end = &args.delimiter.0;
    let style = match (&args.format, context.printer.is_json()) {
        (Some(_), true) => return Err(CliError::Usage("--format and --json exclude each other".to_owned())),
        (None, true) => None,
        (Some(format), false) => Some(format.clone()),
        (None, false) => Some(Format::plain(args.key_delimiter.as_ref().map(|delimiter| &delimiter.0[..]), end)),
    };
    read_on(source, args, style.as_ref(), &mut context.printer).await
}

async fn read_on(mut source: Source, args: &ConsumeArgs, style: Option<&Format>, printer: &mut Printer) -> Result<()> {
    let mut left = args.count.unwrap_or(u64::MAX);
    // Where each partition is read next, and where it ended when it was first seen.
    let mut ends: BTreeMap<TopicPartition, (i64, i64)> = BTreeMap::new();
    let stop = interrupted();
    tokio::pin!(stop);
    let outcome = loop {
        if left == 0 || (args.exit && source.at_end(&ends)) {
            break Ok(());
        }
        let news = tokio::select! {
            biased;
            _ = &mut stop => break Ok(()),
            // Dropping a poll loses what it had read, never what was printed.
            news = source.poll() => news,
        };
        let printed = match news {
            Ok(news) => print(&news, style, printer, &mut left, &mut ends),
            Err(error) => Err(error),
        };
        match printed {
            // What was fetched but not printed must not count as read.
            Ok(unread) => unread.iter().for_each(|(partition, offset)| source.seek(partition, *offset)),
            Err(error) => break Err(error),
        }
    };
    // A group whose output was closed under it must not commit what nobody saw.
    match (source, &outcome) {
        (Source::Group(consumer), Ok(())) => consumer.leave().await,
        _ => outcome,
    }
}

/// Prints what came, `left` records at most. Answers where the rest begins, in partitions that were not printed to
/// their end.
fn print(
    news: &[FetchedPartition],
    style: Option<&Format>,
    printer: &mut Printer,
    left: &mut u64,
    ends: &mut BTreeMap<TopicPartition, (i64, i64)>,
) -> Result<Vec<(TopicPartition, i64)>> {
    let mut unread = Vec::new();
    for fetched in news {
        let room = usize::try_from(*left).unwrap_or(usize::MAX);
        for record in fetched.records.iter().take(room) {
            *left -= 1;
            printer.raw(&match style {
                Some(format) => format.render(&fetched.partition, record),
                None => envelope(&fetched.partition, record),
            })?;
        }
        if let Some(first_unread) = fetched.records.get(room) {
            unread.push((fetched.partition.clone(), first_unread.offset));
        }
        let entry = ends.entry(fetched.partition.clone()).or_insert((0, fetched.end_offset));
        entry.0 = fetched.next_offset;
    }
    printer.flush()?;
    Ok(unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::cli::kafka::records::ConsumedRecord;

    fn fetched(partition: i32, offsets: std::ops::Range<i64>) -> FetchedPartition {
        let record = |offset| ConsumedRecord {
            offset,
            timestamp: Timestamp(0),
            key: None,
            value: Some("v".into()),
            headers: Vec::new(),
        };
        FetchedPartition {
            partition: TopicPartition { topic: "t".into(), partition },
            next_offset: offsets.end,
            end_offset: 100,
            byte_count: 0,
            records: offsets.map(record).collect(),
        }
    }

    #[test]
    fn what_the_count_cuts_off_stays_unread() {
        let news = [fetched(0, 10..12), fetched(1, 20..25), fetched(2, 30..31), fetched(3, 40..40)];
        let format = Format::plain(None, b"\n");
        let (mut left, mut ends) = (4, BTreeMap::new());
        let mut printer = Printer::to_writer(Box::new(std::io::sink()), false);
        let unread = print(&news, Some(&format), &mut printer, &mut left, &mut ends).unwrap();
        let unread: Vec<_> = unread.iter().map(|(partition, offset)| (partition.partition, *offset)).collect();
        assert_eq!(unread, [(1, 22), (2, 30)]);
        assert_eq!(left, 0);
    }
}
