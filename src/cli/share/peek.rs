//! `towpath share peek`.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::consumer::{FetchTuning, Fetcher, TopicPartition};
use crate::cli::kafka::offsets::bounds;
use crate::cli::kafka::records::ConsumedRecord;
use crate::cli::kafka::share_admin::{describe, positions};
use crate::cli::output::table::{Align, Table};
use crate::cli::share::look::{LookArgs, look};
use crate::console::share::SharePartitionPage;

/// The longest piece of a key or value that a table shows.
const SHOWN_MAX: usize = 60;

/// Show the records at a share group's start offsets, without taking them
#[derive(Args, Clone, Debug)]
pub struct PeekArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group
    group: String,
    /// The topic
    topic: String,
    /// At most this many records of each partition
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    #[command(flatten)]
    look: LookArgs,
}

#[derive(Debug, Serialize)]
struct Row {
    topic: String,
    partition: i32,
    offset: i64,
    /// `new`, `in-flight`, `waiting`, `done`; nothing where the window holds several kinds.
    state: Option<&'static str>,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the group has no start offset in the topic yet, or the cluster does not answer.
pub async fn run(context: &mut Context, args: &PeekArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    // Says so when there is no such group or topic.
    describe(&cluster, &args.group).await?;
    let (topic, brokers) = cluster.topic(&args.topic, false).await?;
    let mut known = positions(&cluster, &args.group).await?;
    known.retain(|partition, _| *partition.topic == *args.topic);
    let starts: BTreeMap<TopicPartition, i64> =
        known.iter().filter_map(|(partition, position)| Some((partition.clone(), position.start?))).collect();
    if starts.is_empty() {
        return Err(CliError::Failed(format!(
            "share group '{}' has no start offset in topic '{}' yet: nobody has fetched; \
             `towpath share reset {} --topic {} --to-earliest --execute` sets one",
            args.group, args.topic, args.group, args.topic
        )));
    }
    let ends = bounds(&cluster, &topic, &brokers, &[]).await?;
    let looked = look(&args.look, &args.group, &known).await;
    let per_partition = usize::try_from(args.count).unwrap_or(usize::MAX);
    // Partitions without records are not asked: a fetch of theirs would wait.
    let mut wanted = starts.clone();
    let has_more =
        |partition: &TopicPartition, at: i64| ends.get(&partition.partition).is_some_and(|ends| at < ends.end);
    wanted.retain(|partition, start| has_more(partition, *start));
    let tuning = FetchTuning { read_committed: false, ..FetchTuning::default() };
    let mut fetcher = Fetcher::new(Arc::clone(&cluster), tuning);
    let mut found: BTreeMap<TopicPartition, Vec<ConsumedRecord>> = BTreeMap::new();
    while !wanted.is_empty() {
        fetcher.assign(wanted.clone()).await?;
        for fetched in fetcher.poll().await? {
            let records = found.entry(fetched.partition.clone()).or_default();
            records.extend(fetched.records);
            if records.len() >= per_partition || !has_more(&fetched.partition, fetched.next_offset) {
                records.truncate(per_partition);
                wanted.remove(&fetched.partition);
            } else {
                wanted.insert(fetched.partition, fetched.next_offset);
            }
        }
    }
    let mut rows = Vec::new();
    for (partition, records) in &found {
        let page = looked.pages.get(&(topic.id, partition.partition));
        rows.extend(records.iter().map(|record| row_of(partition, record, page)));
    }
    context.printer.listing(&rows, draw)?;
    if rows.is_empty() {
        context.printer.note("nothing is there: the start offsets are the ends of the partitions");
    } else if let Some(reason) = looked.missing {
        context.printer.note(&format!("STATE is not known: {reason}"));
    }
    Ok(())
}

fn row_of(partition: &TopicPartition, record: &ConsumedRecord, page: Option<&SharePartitionPage>) -> Row {
    let shown = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    Row {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        offset: record.offset,
        state: page.and_then(|page| state_of(record.offset, page)),
        timestamp: record.timestamp.0,
        key: record.key.as_ref().map(shown),
        value: record.value.as_ref().map(shown),
    }
}

/// What one offset's state must be. The page counts a window's states, so it is certain outside the window, and
/// inside when all of it is of one kind.
fn state_of(offset: i64, page: &SharePartitionPage) -> Option<&'static str> {
    let (start, end) = (page.start_offset?, page.end_offset?);
    let window = u64::try_from(end - start).ok()?;
    match offset {
        offset if offset < start => Some("done"),
        offset if offset >= end => Some("new"),
        _ if page.in_flight == window => Some("in-flight"),
        _ if page.available == window => Some("waiting"),
        _ => None,
    }
}

fn draw(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("OFFSET", Align::Right),
        ("STATE", Align::Left),
        ("TIMESTAMP", Align::Right),
        ("KEY", Align::Left),
        ("VALUE", Align::Left),
    ]);
    for row in rows {
        table.row([
            row.topic.clone(),
            row.partition.to_string(),
            row.offset.to_string(),
            row.state.unwrap_or_default().to_owned(),
            row.timestamp.to_string(),
            short(row.key.as_deref()),
            short(row.value.as_deref()),
        ]);
    }
    table
}

/// One line of a table: no control characters, and cut where it gets long.
fn short(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let mut shown: String = text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_shown_only_where_it_is_certain() {
        let page = |available, in_flight| SharePartitionPage {
            start_offset: Some(10),
            end_offset: Some(14),
            available,
            in_flight,
            ..SharePartitionPage::default()
        };
        assert_eq!(state_of(9, &page(0, 4)), Some("done"));
        assert_eq!(state_of(14, &page(0, 4)), Some("new"));
        assert_eq!(state_of(10, &page(0, 4)), Some("in-flight"));
        assert_eq!(state_of(10, &page(4, 0)), Some("waiting"));
        assert_eq!(state_of(10, &page(2, 2)), None, "either may be first");
        assert_eq!(state_of(10, &SharePartitionPage::default()), None);
    }

    #[test]
    fn long_values_and_lines_fit_a_table() {
        assert_eq!(short(Some("a\nb")), "a b");
        assert_eq!(short(Some(&"x".repeat(61))), format!("{}…", "x".repeat(60)));
        assert_eq!(short(None), "");
    }
}
