//! The reader: drives locate → plan → load → assemble, and waits for long polls.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::config::log::LogSettings;
use crate::config::topic::TimestampType;
use crate::log::fetch::assemble::{Assembly, Limits};
use crate::log::fetch::load::Loader;
use crate::log::fetch::locate::{Located, Locator, Wanted, failure_of};
use crate::log::fetch::plan::{is_enough, plan, reaching_into};
use crate::log::fetch::values::{FetchOutcome, FetchRequest, Fetched, PartitionFetch};
use crate::log::fresh::Freshness;
use crate::log::tail::Tail;
use crate::metastore::store::Metastore;
use crate::metastore::values::{AbortedTransaction, Extent};
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::object::cache::{Heat, RangeCache, Slices};
use crate::object::error::ObjectError;
use crate::object::store::ObjectStorage;

/// No wait is longer, whatever the client asks for.
const WAIT_LONGEST: Duration = Duration::from_secs(3_600);

/// What a reader works with.
#[derive(Clone)]
pub struct ReaderParts {
    /// Knows where records lie that the tail does not know of.
    pub metastore: Arc<dyn Metastore>,
    /// The hot ends of the logs.
    pub tail: Tail,
    /// Where objects are.
    pub storage: ObjectStorage,
    /// Their bytes in memory.
    pub cache: RangeCache,
    /// Bounds.
    pub settings: LogSettings,
}

impl std::fmt::Debug for ReaderParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReaderParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Serves fetches. Cloning shares it.
#[derive(Clone)]
pub struct Reader {
    freshness: Freshness,
    locator: Locator,
    loader: Loader,
    bytes_max: u32,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader over what an agent shares.
    #[must_use]
    pub fn new(parts: ReaderParts) -> Self {
        let ReaderParts { metastore, tail, storage, cache, settings } = parts;
        Self {
            freshness: Freshness::new(Arc::clone(&metastore), tail.clone()),
            locator: Locator { metastore, tail },
            loader: Loader { storage, cache },
            bytes_max: settings.fetch_bytes_max,
        }
    }

    /// Bytes for one Fetch request: one outcome per partition, in the request's order.
    ///
    /// Answers as soon as there are `bytes_min` bytes or any partition has an error, else when `wait_max` is over.
    /// Dropping the future ends the wait and leaves nothing behind.
    pub async fn fetch(&self, request: FetchRequest) -> Vec<FetchOutcome> {
        let asked = Instant::now();
        let deadline = asked + request.wait_max.min(WAIT_LONGEST);
        let wanted: Vec<Wanted> =
            request.partitions.iter().map(|fetch| Wanted::of(fetch, request.read_committed)).collect();
        let mut located = self.locator.locate(&wanted).await;
        if !is_enough(&request, &located) && Instant::now() < deadline {
            // News that come between the look above and the subscription are found by the next look.
            let subscription = self.locator.tail.subscribe(wanted.iter().map(|wanted| wanted.partition));
            loop {
                located = self.locator.locate(&wanted).await;
                if is_enough(&request, &located) || Instant::now() >= deadline {
                    break;
                }
                // When time is over the answer is what there is, even if less than asked for.
                let _ = tokio::time::timeout_at(deadline, subscription.news()).await;
            }
        }
        if located.iter().all(|located| matches!(located, Located::AtEnd { .. })) {
            located = self.confirm(&wanted, located, asked).await;
        }
        self.serve(&request, &wanted, located).await
    }

    /// Bytes that are there now: one outcome per partition, in the request's order. Neither waits nor asks whether the
    /// logs went on elsewhere; for readers that are woken by news and look again.
    pub async fn read(&self, request: &FetchRequest) -> Vec<FetchOutcome> {
        let wanted: Vec<Wanted> =
            request.partitions.iter().map(|fetch| Wanted::of(fetch, request.read_committed)).collect();
        let located = self.locator.locate(&wanted).await;
        self.serve(request, &wanted, located).await
    }

    /// Returns once this agent knows of everything that was committed, wherever, before `moment`.
    ///
    /// # Errors
    /// When nobody can say where the logs end.
    pub async fn catch_up(&self, moment: Instant) -> Result<(), Failure> {
        self.freshness.since(moment).await.map_err(|error| failure_of(&error))
    }

    /// Looks again before a client is told that there is nothing: whatever was acknowledged before it asked, at
    /// whichever agent, must be there.
    async fn confirm(&self, wanted: &[Wanted], located: Vec<Located>, asked: Instant) -> Vec<Located> {
        match self.freshness.since(asked).await {
            Ok(()) => self.locator.locate(wanted).await,
            Err(error) => {
                warn!(%error, "nobody can say where the logs end just now");
                let failure = failure_of(&error);
                located.iter().map(|_| Located::Failed(failure.clone())).collect()
            }
        }
    }

    async fn serve(&self, request: &FetchRequest, wanted: &[Wanted], located: Vec<Located>) -> Vec<FetchOutcome> {
        let mut outcomes: Vec<FetchOutcome> = located.iter().map(empty_outcome).collect();
        let bytes_max = u64::from(request.bytes_max.min(self.bytes_max));
        let plans = plan(request, located, bytes_max);
        let extents: Vec<_> = plans.iter().flat_map(|plan| plan.extents.iter().cloned()).collect();
        let mut loaded = self.loader.load(&extents).await.into_iter();
        let mut left = bytes_max;
        let mut is_first = true;
        for plan in plans {
            let (index, fetch) = (plan.index, &request.partitions[plan.index]);
            let slices: Vec<_> = loaded.by_ref().take(plan.extents.len()).collect();
            let Ok(fetched) = &outcomes[index] else { continue };
            let bounds = fetched.bounds;
            let limits = limits(fetch, plan.until, left, is_first);
            let outcome = match assemble(&plan.extents, slices, limits) {
                Err(Fault::Missing) => self.serve_again(&wanted[index], fetch, limits).await,
                outcome => outcome.map(|read| (read, plan.aborted)),
            };
            outcomes[index] = match outcome {
                Ok((Read { records, bytes }, aborted)) => {
                    left = left.saturating_sub(bytes);
                    is_first &= bytes == 0;
                    Ok(Fetched { bounds, records, aborted })
                }
                Err(fault) => Err(fault.into_failure(fetch)),
            };
        }
        outcomes
    }

    /// An object was missing: its bytes may lie elsewhere by now. Asks once more where, and reads there.
    async fn serve_again(
        &self,
        wanted: &Wanted,
        fetch: &PartitionFetch,
        limits: Limits,
    ) -> Result<(Read, Vec<AbortedTransaction>), Fault> {
        match self.locator.locate_again(wanted).await {
            Located::Failed(failure) => Err(Fault::Failed(failure)),
            Located::AtEnd { .. } => Ok((Read::default(), Vec::new())),
            Located::Found { readable, .. } => {
                let slices = self.loader.load(&readable.extents).await;
                let limits = Limits { until: limits.until.min(readable.until), ..limits };
                let read = assemble(&readable.extents, slices, limits)?;
                Ok((read, reaching_into(&readable.extents, readable.aborted, fetch.offset)))
            }
        }
    }
}

/// What a partition's extents gave.
#[derive(Debug, Default)]
struct Read {
    records: Vec<bytes::Bytes>,
    bytes: u64,
}

/// Why a partition gave nothing.
enum Fault {
    Missing,
    Corrupt(String),
    Store(String),
    Failed(Failure),
}

impl Fault {
    fn into_failure(self, fetch: &PartitionFetch) -> Failure {
        let (partition, offset) = (fetch.partition, fetch.offset);
        let failure = match self {
            Self::Failed(failure) => return failure,
            Self::Missing => {
                Failure::new(Condition::KafkaStorageError, "the object that holds the records is not in the store")
            }
            Self::Corrupt(reason) => Failure::new(Condition::CorruptMessage, reason),
            Self::Store(reason) => Failure::new(Condition::KafkaStorageError, reason),
        };
        warn!(%partition, %offset, condition = %failure.condition, reason = %failure.message, "records can not be read");
        failure
    }
}

/// What a partition's outcome is as long as nothing was read.
fn empty_outcome(located: &Located) -> FetchOutcome {
    match located {
        Located::Failed(failure) => Err(failure.clone()),
        Located::Found { bounds, .. } | Located::AtEnd { bounds } => {
            Ok(Fetched { bounds: *bounds, records: Vec::new(), aborted: Vec::new() })
        }
    }
}

fn limits(fetch: &PartitionFetch, until: Offset, left: u64, first: bool) -> Limits {
    Limits {
        from: fetch.offset,
        until,
        bytes_max: left.min(u64::from(fetch.bytes_max)),
        at_least_one: first,
        stamps_time: fetch.timestamp_type == TimestampType::LogAppendTime,
    }
}

/// Puts an answer together up to the first fault; a fault behind good batches is for the next fetch to find.
fn assemble(
    extents: &[(Extent, Heat)],
    loaded: Vec<Result<Slices, ObjectError>>,
    limits: Limits,
) -> Result<Read, Fault> {
    let mut assembly = Assembly::new(limits);
    for ((extent, _), slices) in extents.iter().zip(loaded) {
        let pushed = match slices {
            Ok(slices) => assembly.push(extent, &slices).map_err(|error| Fault::Corrupt(error.to_string())),
            Err(ObjectError::NotFound(_)) => Err(Fault::Missing),
            Err(error @ ObjectError::Corrupt { .. }) => Err(Fault::Corrupt(error.to_string())),
            Err(error) => Err(Fault::Store(error.to_string())),
        };
        match pushed {
            Ok(()) if assembly.is_full() => break,
            Ok(()) => {}
            Err(fault) if assembly.bytes() == 0 => return Err(fault),
            Err(_) => break,
        }
    }
    let bytes = assembly.bytes();
    Ok(Read { records: assembly.finish(), bytes })
}

#[cfg(test)]
mod tests;
