//! Holds batches back whose predecessor may still be committed by another agent.
//!
//! A producer whose leader moved has batches in flight through two agents; the later ones may arrive first. They wait
//! here, per partition and producer in order of sequence, until the partition has moved on or their time is over.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::log::append::buffer::{Admitted, ProducerKey, insert_in_sequence};
use crate::model::offset::Offset;

/// Batches of one producer that may wait in one partition; clients have five in flight.
const GROUP_BATCHES_MAX: usize = 64;

/// Producers that may wait, over all partitions. What is beyond tries once more and no longer waits.
const GROUPS_MAX: usize = 1_024;

/// The batches that wait.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    groups: BTreeMap<ProducerKey, Vec<Admitted>>,
}

/// When a new group of batches may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    pub key: ProducerKey,
    /// As soon as the partition's high watermark is beyond this: what was missing may be there now.
    pub beyond: Offset,
    /// At the latest then.
    pub until: Instant,
}

/// Whether one more batch of a producer may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// Many batches of this producer wait: it has sent some of them again, and can do so with this one.
    ManyBatches,
    /// Many producers wait, and this one does not.
    ManyProducers,
}

impl Holds {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether there is room for one more batch of a producer.
    pub(crate) fn room(&self, key: &ProducerKey) -> Room {
        match self.groups.get(key) {
            Some(group) if group.len() >= GROUP_BATCHES_MAX => Room::ManyBatches,
            None if self.groups.len() >= GROUPS_MAX => Room::ManyProducers,
            _ => Room::Free,
        }
    }

    /// A newly admitted batch whose predecessors wait here waits with them; any other is handed back.
    pub(crate) fn join(&mut self, mut batch: Admitted) -> Option<Admitted> {
        if self.groups.is_empty() {
            return Some(batch);
        }
        let Some(key) = batch.producer_key().filter(|key| self.room(key) == Room::Free) else { return Some(batch) };
        let Some(group) = self.groups.get_mut(&key) else { return Some(batch) };
        let Some(first) = group.first().filter(|first| batch.follows(first)) else { return Some(batch) };
        batch.gap_since = first.gap_since;
        insert_in_sequence(group, batch);
        None
    }

    /// Takes a batch that the metastore refused for the gap before it. Says what to watch for when it is the first of
    /// its group.
    pub(crate) fn hold(&mut self, watch: Watch, batch: Admitted) -> Option<Watch> {
        let group = self.groups.entry(watch.key).or_default();
        let is_new = group.is_empty();
        insert_in_sequence(group, batch);
        is_new.then_some(watch)
    }

    /// Takes a group out, in order of sequence.
    pub(crate) fn release(&mut self, key: &ProducerKey) -> Vec<Admitted> {
        self.groups.remove(key).unwrap_or_default()
    }

    /// Takes everything out.
    pub(crate) fn release_all(&mut self) -> Vec<Admitted> {
        std::mem::take(&mut self.groups).into_values().flatten().collect()
    }
}
