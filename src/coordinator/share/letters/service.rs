//! The entry: stores a round that gives records up, with their letters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{error, warn};

use crate::base::clock::Timestamp;
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::config::broker::BrokerDefaults;
use crate::config::share_group::ShareDeadLetterConfig;
use crate::coordinator::share::letters::breaker::Breaker;
use crate::coordinator::share::letters::build::{LetterWriter, Sender};
use crate::coordinator::share::letters::collect::{CONTENT_BYTES_MAX, Collector, SourceFault};
use crate::coordinator::share::letters::counters::Counters;
use crate::coordinator::share::letters::topic::{Destination, LetterTopic, TopicFinder};
use crate::coordinator::share::letters::values::{LetterFailure, LetterReceipt, LetterRound};
use crate::coordinator::share::partition::letter::DeadLetter;
use crate::log::append::atomic::{AtomicAppend, AtomicFailure};
use crate::log::append::values::PartitionAppend;
use crate::log::fetch::reader::Reader;
use crate::metastore::cached::CatalogCache;
use crate::metastore::error::MetastoreError;
use crate::metastore::store::Metastore;
use crate::model::group::GroupId;

/// How often a round is begun anew because its topic was deleted meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// What dead letters are written with.
pub struct LetterParts {
    /// Where documents and topics are.
    pub metastore: Arc<dyn Metastore>,
    /// Topics.
    pub catalog: CatalogCache,
    /// Reads the records that are given up.
    pub reader: Reader,
    /// Writes the letters together with the documents.
    pub append: AtomicAppend,
    /// What a topic for letters gets when it is created.
    pub defaults: BrokerDefaults,
    /// For the ids of topics.
    pub rng: Rng,
    /// Where to count.
    pub metrics: Metrics,
}

impl std::fmt::Debug for LetterParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LetterParts").finish_non_exhaustive()
    }
}

/// Writes dead letters. Cloning shares it.
#[derive(Clone)]
pub struct Letters(Arc<Inner>);

struct Inner {
    metastore: Arc<dyn Metastore>,
    catalog: CatalogCache,
    reader: Reader,
    append: AtomicAppend,
    topics: TopicFinder,
    breaker: Mutex<Breaker>,
    counters: Counters,
}

impl std::fmt::Debug for Letters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letters").field("breaker", &self.0.breaker).finish_non_exhaustive()
    }
}

/// The letters of a round, ready to be appended.
#[derive(Default)]
struct Packed {
    batches: Vec<PartitionAppend>,
    written: u64,
    dropped: u64,
}

/// Why an attempt at a round did not store it.
enum Stop {
    /// What was found out about the topic does not hold any more.
    Again,
    For(LetterFailure),
}

impl From<LetterFailure> for Stop {
    fn from(failure: LetterFailure) -> Self {
        Self::For(failure)
    }
}

impl From<MetastoreError> for Stop {
    fn from(error: MetastoreError) -> Self {
        Self::For(error.into())
    }
}

impl Letters {
    /// Letters over what an agent shares.
    #[must_use]
    pub fn new(parts: LetterParts) -> Self {
        let LetterParts { metastore, catalog, reader, append, defaults, rng, metrics } = parts;
        let counters = Counters::new(&metrics);
        let topics = TopicFinder { metastore: Arc::clone(&metastore), catalog: catalog.clone(), defaults, rng };
        Self(Arc::new(Inner { metastore, catalog, reader, append, topics, breaker: Mutex::default(), counters }))
    }

    /// Until when the group must not give records up; `None` when it may.
    ///
    /// Until then: acquire nothing for the group, and do not store what a decision that yields letters changed. Such
    /// records stay as they are, their locks too; what yields no letters goes on.
    #[must_use]
    pub fn held_until(&self, group_id: &GroupId, config: &ShareDeadLetterConfig, now: Timestamp) -> Option<Timestamp> {
        self.breaker().held_until(group_id, config.per_minute_max, now)
    }

    /// Changes the round's documents and writes its letters, in one step: both happen, or neither. On return readers
    /// find the letters. Where no topic takes letters, the documents change without; that is logged and counted.
    ///
    /// A round without letters is a plain write of its documents.
    ///
    /// # Errors
    /// Nothing has changed, except when it is `Unknown`. Dropping the future leaves it unknown too.
    pub async fn commit(&self, round: LetterRound) -> Result<LetterReceipt, LetterFailure> {
        if round.letters.iter().all(|(_, letters)| letters.is_empty()) {
            return self.store_plainly(&round, 0).await;
        }
        if let Some(until) = self.held_until(&round.group_id, &round.config, round.now) {
            return Err(LetterFailure::Held { until });
        }
        self.0.counters.tried();
        let outcome = self.try_commit(&round).await;
        match &outcome {
            Ok(receipt) => {
                let LetterReceipt { written, dropped, .. } = *receipt;
                self.breaker().count(&round.group_id, written, round.now);
                self.0.counters.stored(&round.group_id, written, dropped);
                if dropped > 0 {
                    self.0.counters.failed();
                }
            }
            Err(LetterFailure::Held { .. } | LetterFailure::Conflict(_)) => {}
            Err(failure) => {
                self.0.counters.failed();
                self.warn(&round, &failure.to_string(), "dead letters are not written yet");
            }
        }
        outcome
    }

    async fn try_commit(&self, round: &LetterRound) -> Result<LetterReceipt, LetterFailure> {
        for _ in 0..ATTEMPTS_MAX {
            match Box::pin(self.attempt(round)).await {
                Ok(receipt) => return Ok(receipt),
                Err(Stop::For(failure)) => return Err(failure),
                Err(Stop::Again) => {}
            }
        }
        Err(LetterFailure::Unavailable("the topic for dead letters is deleted again and again".to_owned()))
    }

    async fn attempt(&self, round: &LetterRound) -> Result<LetterReceipt, Stop> {
        let Packed { batches, written, dropped } = match self.0.topics.find(&round.config).await? {
            Destination::Topic(topic) => self.pack(round, &topic).await?,
            Destination::Nowhere(reason) => {
                self.warn(round, &reason, "records are given up without dead letters");
                let lengths = round.letters.iter().flat_map(|(_, letters)| letters).map(length);
                Packed { dropped: lengths.sum(), ..Packed::default() }
            }
        };
        if batches.is_empty() {
            return Ok(self.store_plainly(round, dropped).await?);
        }
        match self.0.append.commit(batches, round.documents.clone()).await {
            Ok(receipt) => Ok(LetterReceipt { documents: receipt.documents, written, dropped }),
            Err(AtomicFailure::Refused { .. }) => {
                self.0.catalog.refresh().await?;
                Err(Stop::Again)
            }
            Err(failure @ AtomicFailure::Invalid { .. }) => {
                error!(group = %round.group_id, topic = %round.config.topic, %failure, "dead letters are not valid");
                Ok(self.store_plainly(round, written + dropped).await?)
            }
            Err(AtomicFailure::Conflict(key)) => Err(Stop::For(LetterFailure::Conflict(key))),
            Err(AtomicFailure::Unavailable(reason)) => Err(Stop::For(LetterFailure::Unavailable(reason))),
            Err(AtomicFailure::Fenced(reason)) => Err(Stop::For(LetterFailure::Fenced(reason))),
            Err(AtomicFailure::Unknown(reason)) => Err(Stop::For(LetterFailure::Unknown(reason))),
        }
    }

    /// Makes batches of a round's letters.
    async fn pack(&self, round: &LetterRound, topic: &LetterTopic) -> Result<Packed, Stop> {
        let mut packed = Packed::default();
        let mut collector = Collector {
            reader: &self.0.reader,
            metastore: &*self.0.metastore,
            copies: round.config.copy_record,
            content_bytes_left: CONTENT_BYTES_MAX,
        };
        for (partition, letters) in &round.letters {
            let source = self.0.catalog.topic_by_id(partition.topic_id).await?;
            let name = source.map(|record| record.name.clone());
            let Some(name) = name else {
                packed.dropped += letters.iter().map(length).sum::<u64>();
                continue;
            };
            let sender = Sender { group_id: round.group_id.clone(), topic: name, partition: partition.partition };
            let mut writer = LetterWriter::new(&sender, &topic.config, round.now);
            match collector.collect(*partition, letters, &mut writer).await {
                Ok(()) => {}
                Err(SourceFault::Gone) => {
                    packed.dropped += letters.iter().map(length).sum::<u64>();
                    continue;
                }
                Err(SourceFault::Unavailable(reason)) => return Err(Stop::For(LetterFailure::Unavailable(reason))),
            }
            let written = writer.finish();
            let target = topic.partition_for(partition.partition);
            let append = |records| PartitionAppend { partition: target, config: Arc::clone(&topic.config), records };
            packed.batches.extend(written.batches.into_iter().map(append));
            packed.written += written.written;
            packed.dropped += written.dropped;
        }
        if packed.dropped > 0 {
            self.warn(round, "they do not fit into its topic, or were deleted with theirs", "dead letters are dropped");
        }
        Ok(packed)
    }

    async fn store_plainly(&self, round: &LetterRound, dropped: u64) -> Result<LetterReceipt, LetterFailure> {
        let versions = self.0.metastore.write_documents(round.documents.clone()).await?;
        Ok(LetterReceipt { documents: versions.into_iter().map(Some).collect(), written: 0, dropped })
    }

    fn warn(&self, round: &LetterRound, reason: &str, what: &'static str) {
        if self.0.counters.may_warn(&round.group_id, round.now) {
            warn!(group = %round.group_id, topic = %round.config.topic, reason, "{what}");
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many offsets a letter stands for.
fn length(letter: &DeadLetter) -> u64 {
    u64::try_from(letter.last.0.saturating_sub(letter.first.0).saturating_add(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
