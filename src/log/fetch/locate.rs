//! Finds where the wanted offsets lie: in the tail, else by one question to the metastore for all that it lacks.

use std::sync::Arc;

use tracing::warn;

use crate::log::fetch::values::PartitionFetch;
use crate::log::tail::{KnownExtent, Tail, TailView};
use crate::metastore::error::MetastoreError;
use crate::metastore::store::Metastore;
use crate::metastore::values::{AbortedTransaction, Extent, ExtentQuery, PartitionBounds, PartitionExtents};
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;
use crate::object::cache::Heat;

/// Extents are asked for at least this far ahead, so that a lagging reader asks once in a while only.
const AHEAD_BYTES: u64 = 32 << 20;
/// … but never for more extents than this.
const AHEAD_EXTENTS: u32 = 1_000;

/// What is known of one wanted partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// There is something to read.
    Found { bounds: PartitionBounds, readable: Readable },
    /// The wanted offset is the next one to be written.
    AtEnd { bounds: PartitionBounds },
    /// It can not be read.
    Failed(Failure),
}

/// Where to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readable {
    /// The first holds the wanted offset, and the others follow without a gap.
    pub extents: Vec<(Extent, Heat)>,
    /// What lies at or behind this is not to be read.
    pub until: Offset,
    /// Transactions that were aborted and reach into the extents, when the reader stops at the last stable offset.
    pub aborted: Vec<AbortedTransaction>,
    /// There is more, but whether it counts must be asked: the next read does.
    pub is_cut: bool,
}

/// What is to be located.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub partition: TopicIdPartition,
    pub offset: Offset,
    pub bytes_max: u64,
    /// Whether the reader stops at the last stable offset.
    pub read_committed: bool,
}

impl Wanted {
    pub(crate) fn of(fetch: &PartitionFetch, read_committed: bool) -> Self {
        let bytes_max = u64::from(fetch.bytes_max);
        Self { partition: fetch.partition, offset: fetch.offset, bytes_max, read_committed }
    }
}

/// Looks up partitions. Cloning shares what it looks in.
#[derive(Clone)]
pub(crate) struct Locator {
    pub metastore: Arc<dyn Metastore>,
    pub tail: Tail,
}

impl Locator {
    /// One answer per wanted partition, in order.
    pub(crate) async fn locate(&self, wanted: &[Wanted]) -> Vec<Located> {
        let mut found: Vec<Option<Located>> = wanted.iter().map(|wanted| self.look(wanted)).collect();
        let missing: Vec<Wanted> =
            wanted.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(wanted, _)| *wanted).collect();
        if !missing.is_empty() {
            let mut answers = self.ask(&missing).await.into_iter();
            for slot in found.iter_mut().filter(|slot| slot.is_none()) {
                *slot = answers.next();
            }
        }
        let unanswered = || Located::Failed(unavailable("it did not answer for every partition"));
        found.into_iter().map(|located| located.unwrap_or_else(unanswered)).collect()
    }

    /// Forgets where a partition's extents were said to lie, and asks again.
    pub(crate) async fn locate_again(&self, wanted: &Wanted) -> Located {
        self.tail.forget_extents(wanted.partition);
        let unanswered = || Located::Failed(unavailable("it did not answer"));
        self.ask(&[*wanted]).await.into_iter().next().unwrap_or_else(unanswered)
    }

    fn look(&self, wanted: &Wanted) -> Option<Located> {
        judge(wanted, self.tail.view(wanted.partition, wanted.offset, wanted.bytes_max)?)
    }

    async fn ask(&self, wanted: &[Wanted]) -> Vec<Located> {
        let query = |wanted: &Wanted| ExtentQuery {
            partition: wanted.partition,
            offset: wanted.offset,
            bytes_max: wanted.bytes_max.max(AHEAD_BYTES),
            extents_max: AHEAD_EXTENTS,
        };
        match self.metastore.find_extents(wanted.iter().map(query).collect()).await {
            Ok(answers) => {
                wanted.iter().zip(answers).map(|(wanted, answer)| self.take_answer(wanted, answer)).collect()
            }
            Err(error) => {
                warn!(%error, partitions = wanted.len(), "extents can not be looked up");
                vec![Located::Failed(failure_of(&error)); wanted.len()]
            }
        }
    }

    fn take_answer(&self, wanted: &Wanted, answer: Option<PartitionExtents>) -> Located {
        let Some(answer) = answer else {
            let message = "the topic was deleted or has no such partition";
            return Located::Failed(Failure::new(Condition::UnknownTopicOrPartition, message));
        };
        self.tail.learn(wanted.partition, &answer);
        let PartitionExtents { bounds, extents, aborted } = answer;
        // Own commits may be ahead of the answer; what was told once is not taken back.
        let known = self.tail.bounds(wanted.partition).unwrap_or(bounds);
        let mut cut: Vec<KnownExtent> =
            extents.iter().map(|extent| KnownExtent::new(extent, Heat::Cold, &bounds, &aborted)).collect();
        cut_at(&mut cut, wanted);
        if let Some(located) = judge(wanted, TailView { bounds, extents: cut }) {
            return match located {
                // What may be read is what the answer says: of what came later it does not know what was aborted.
                Located::Found { readable, .. } => Located::Found { bounds: known, readable },
                Located::AtEnd { .. } => Located::AtEnd { bounds: known },
                Located::Failed(failure) => Located::Failed(failure),
            };
        }
        if wanted.offset > bounds.high_watermark {
            return Located::Failed(out_of_range(wanted.offset, &known));
        }
        let message = format!("the index has no extent for offset {} of {}", wanted.offset, wanted.partition);
        Located::Failed(Failure::new(Condition::KafkaStorageError, message))
    }
}

/// What a view says of a wanted offset; `None` when the view can not tell.
fn judge(wanted: &Wanted, view: TailView) -> Option<Located> {
    let TailView { bounds, extents } = view;
    if wanted.offset < bounds.log_start_offset {
        // A log start never goes back, so this is certain however old the view is.
        return Some(Located::Failed(out_of_range(wanted.offset, &bounds)));
    }
    let end = if wanted.read_committed { bounds.last_stable_offset } else { bounds.high_watermark };
    if wanted.offset >= end && wanted.offset <= bounds.high_watermark {
        return Some(Located::AtEnd { bounds });
    }
    let readable = if wanted.read_committed { committed(extents, end) } else { uncommitted(extents, end) };
    let is_known = !readable.extents.is_empty() && wanted.offset < readable.until;
    is_known.then_some(Located::Found { bounds, readable })
}

fn uncommitted(known: Vec<KnownExtent>, end: Offset) -> Readable {
    let readable = known.into_iter().take_while(|known| known.extent.base_offset < end);
    let extents = readable.map(|known| (known.extent, known.heat)).collect();
    Readable { extents, until: end, aborted: Vec::new(), is_cut: false }
}

/// Up to the first record of which nobody here knows whether it was aborted.
fn committed(known: Vec<KnownExtent>, end: Offset) -> Readable {
    let mut readable = Readable { extents: Vec::new(), until: end, aborted: Vec::new(), is_cut: false };
    for KnownExtent { extent, heat, decided_until, aborted } in known {
        if readable.is_cut || extent.base_offset >= end {
            break;
        }
        if decided_until < end.min(extent.last_offset.plus(1)) {
            (readable.until, readable.is_cut) = (decided_until, true);
        }
        if extent.base_offset < decided_until {
            readable.aborted.extend(aborted.iter());
            readable.extents.push((extent, heat));
        }
    }
    // One that reaches into several extents is named by each.
    readable.aborted.sort_unstable();
    readable.aborted.dedup();
    readable
}

fn cut_at(extents: &mut Vec<KnownExtent>, wanted: &Wanted) {
    let mut bytes = 0;
    let mut count = 0;
    for KnownExtent { extent, .. } in &*extents {
        if count > 0 && bytes >= wanted.bytes_max {
            break;
        }
        bytes += if extent.base_offset < wanted.offset { 0 } else { u64::from(extent.bytes.length) };
        count += 1;
    }
    extents.truncate(count);
}

fn out_of_range(offset: Offset, bounds: &PartitionBounds) -> Failure {
    let (start, end) = (bounds.log_start_offset, bounds.high_watermark);
    Failure::new(Condition::OffsetOutOfRange, format!("offset {offset} lies outside of {start} to {end}"))
}

fn unavailable(reason: &str) -> Failure {
    let message = format!("the metastore can not be asked where records lie; retry: {reason}");
    Failure::new(Condition::KafkaStorageError, message)
}

/// A reader is told to retry, whatever a question ended in.
pub(crate) fn failure_of(error: &MetastoreError) -> Failure {
    unavailable(&error.to_string())
}

#[cfg(test)]
mod tests;
