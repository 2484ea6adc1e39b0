//! Holds batches back whose predecessor may still be committed by another agent.
//!
//! A producer whose leader moved has batches in flight through two agents; the later ones may arrive first. They wait
//! here, per partition and producer in order of sequence, until the partition has moved on or their time is over.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::log::append::buffer::Admitted;
use crate::model::offset::Offset;
use crate::model::producer::ProducerId;
use crate::model::topic::TopicIdPartition;

/// Whose batches wait where.
pub(crate) type HoldKey = (TopicIdPartition, ProducerId);

/// The batches that wait.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    groups: BTreeMap<HoldKey, Vec<Admitted>>,
}

/// When a new group of batches may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    pub key: HoldKey,
    /// As soon as the partition's high watermark is beyond this: what was missing may be there now.
    pub beyond: Offset,
    /// At the latest then.
    pub until: Instant,
}

impl Holds {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// A newly admitted batch whose predecessors wait here waits with them; any other is handed back.
    pub(crate) fn join(&mut self, mut batch: Admitted) -> Option<Admitted> {
        let Some(group) = batch.producer_id().and_then(|id| self.groups.get_mut(&(batch.partition, id))) else {
            return Some(batch);
        };
        let Some(first) = group.first().filter(|first| batch.follows(first)) else { return Some(batch) };
        batch.gap_since = first.gap_since;
        insert(group, batch);
        None
    }

    /// Takes a batch that the metastore refused for the gap before it, at a time when the partition ended at
    /// `beyond`. Says what to watch for when it is the first of its group.
    ///
    /// # Errors
    /// Hands the batch back when it names no producer, or its time, `until`, is over.
    pub(crate) fn hold(&mut self, batch: Admitted, beyond: Offset, until: Instant) -> Result<Option<Watch>, Admitted> {
        let Some(producer_id) = batch.producer_id().filter(|_| Instant::now() < until) else { return Err(batch) };
        let key = (batch.partition, producer_id);
        let group = self.groups.entry(key).or_default();
        let is_new = group.is_empty();
        insert(group, batch);
        Ok(is_new.then_some(Watch { key, beyond, until }))
    }

    /// Takes a group out, in order of sequence.
    pub(crate) fn release(&mut self, key: &HoldKey) -> Vec<Admitted> {
        self.groups.remove(key).unwrap_or_default()
    }

    /// Takes everything out.
    pub(crate) fn release_all(&mut self) -> Vec<Admitted> {
        std::mem::take(&mut self.groups).into_values().flatten().collect()
    }
}

fn insert(group: &mut Vec<Admitted>, batch: Admitted) {
    let place = group.iter().position(|other| other.follows(&batch)).unwrap_or(group.len());
    group.insert(place, batch);
}
