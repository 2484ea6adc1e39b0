//! One share partition's acquisition state, what it says of itself, and what must always hold of it.

use std::collections::BTreeSet;

use crate::base::clock::Timestamp;
use crate::coordinator::share::partition::rewrite::Rewritten;
use crate::coordinator::share::partition::rules::Rules;
use crate::coordinator::share::partition::run::{Holder, HolderIndex, RecordState, Run};
use crate::coordinator::share::partition::signature::{Signature, Signatures};
use crate::model::group::MemberId;
use crate::model::node::NodeIdentity;
use crate::model::offset::Offset;

/// The window of a share partition: contiguous runs of offsets from the start offset up to the end offset.
///
/// Nothing before the start offset concerns the group any more; nothing from the end offset on has been acquired yet.
/// Equality is equality of everything that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePartitionState {
    start_offset: Offset,
    runs: Vec<Run>,
    holders: Vec<Holder>,
    signatures: Signatures,
}

/// No log gets this far: a window's offsets are below, so that their sums and distances are numbers too.
const OFFSETS_END: i64 = 1 << 62;

/// What metrics and administrators want to know of a window. Units are offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting for a member, resting ones included.
    pub available: u64,
    /// With a member.
    pub acquired: u64,
    /// Of those two: delivered more than once.
    pub redelivered: u64,
    /// Processed, but something before them is not.
    pub acknowledged: u64,
    /// Given up, but something before them is not.
    pub archived: u64,
    /// Runs, which is what the document's size depends on.
    pub runs: usize,
    /// The earliest moment at which a lock ends by itself.
    pub earliest_deadline: Option<Timestamp>,
}

/// What must hold of a state and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenState {
    /// Offsets are numbers from 0, and those in a window are below 2^62.
    #[error("offset {0} is outside the numbers that offsets can be")]
    Offset(Offset),
    /// A run does not begin where the one before it ends.
    #[error("a run begins at offset {found}, but {expected} is next")]
    Torn {
        /// Where it should begin.
        expected: Offset,
        /// Where it begins.
        found: Offset,
    },
    /// A run ends before it begins.
    #[error("a run that begins at offset {0} ends before it")]
    Backward(Offset),
    /// Two neighbours differ in nothing.
    #[error("the runs on both sides of offset {0} are one")]
    Split(Offset),
    /// The window begins with something that is finished.
    #[error("the window begins at offset {0}, which is finished")]
    FinishedStart(Offset),
    /// A run has a count that its state can not have.
    #[error("offset {0} has a delivery count that does not go with its state")]
    DeliveryCount(Offset),
    /// A run names a holder that does not exist.
    #[error("offset {0} is held by somebody who is not listed")]
    UnknownHolder(Offset),
    /// A holder holds nothing.
    #[error("holder {0} holds nothing")]
    IdleHolder(u32),
    /// A holder is listed twice.
    #[error("holder {0} is listed twice")]
    SameHolder(u32),
}

impl SharePartitionState {
    /// A window without anything in it: `start` is the first offset that will be delivered.
    #[must_use]
    pub fn starting_at(start: Offset) -> Self {
        Self { start_offset: start, runs: Vec::new(), holders: Vec::new(), signatures: Signatures::default() }
    }

    /// A state of its parts, as a document has them; nobody has signed it.
    ///
    /// # Errors
    /// When they do not make a state.
    pub fn from_parts(start_offset: Offset, runs: Vec<Run>, holders: Vec<Holder>) -> Result<Self, BrokenState> {
        let state = Self { start_offset, runs, holders, signatures: Signatures::default() };
        state.check().map(|()| state)
    }

    /// The same state as these agents wrote it.
    #[must_use]
    pub fn signed(self, signatures: Signatures) -> Self {
        Self { signatures, ..self }
    }

    /// Who wrote it.
    #[must_use]
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// Says who writes it now, as the last thing before it is stored.
    pub fn sign(&mut self, signature: Signature) {
        self.signatures.sign(signature);
    }

    /// Kafka's SPSO: the first offset that is not finished.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }

    /// The first offset that was never acquired: Kafka's SPEO and one.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.runs.last().map_or(self.start_offset, |run| run.last.plus(1))
    }

    /// How far the window reaches, in offsets: what `record_locks_max` limits.
    #[must_use]
    pub fn window(&self) -> u64 {
        u64::try_from(self.end_offset().0 - self.start_offset.0).unwrap_or(0)
    }

    /// The runs between the start offset and the end offset, in order.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Who holds something, each once.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// The holder that a run of this state names.
    #[must_use]
    pub fn holder(&self, index: HolderIndex) -> Option<&Holder> {
        self.holders.get(index.0 as usize)
    }

    /// What the window consists of; one pass over the runs.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { runs: self.runs.len(), ..Counts::default() };
        for run in &self.runs {
            let offsets = run.offset_count();
            match run.state {
                RecordState::Available { .. } => counts.available += offsets,
                RecordState::Acquired { deadline, .. } => {
                    counts.acquired += offsets;
                    let earlier = counts.earliest_deadline.is_none_or(|earliest| deadline < earliest);
                    counts.earliest_deadline = if earlier { Some(deadline) } else { counts.earliest_deadline };
                }
                RecordState::Acknowledged => counts.acknowledged += offsets,
                RecordState::Archived => counts.archived += offsets,
            }
            if run.delivery_count > 1 {
                counts.redelivered += offsets;
            }
        }
        counts
    }

    /// How many offsets of the window are finished: what lag does not count (KIP-1226).
    #[must_use]
    pub fn delivery_complete_count(&self) -> u64 {
        self.runs.iter().filter(|run| run.state.is_terminal()).map(Run::offset_count).sum()
    }

    /// When something changes by itself next, after `now`: a lock ends, or a rest does.
    #[must_use]
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let moment = |run: &Run| match run.state {
            RecordState::Available { not_before } => Some(not_before),
            RecordState::Acquired { deadline, .. } => Some(deadline),
            RecordState::Acknowledged | RecordState::Archived => None,
        };
        self.runs.iter().filter_map(moment).filter(|moment| *moment > now).min()
    }

    /// Where to read next: the first offset that is available now, else the end offset when the window has room;
    /// `None` when nothing can be acquired.
    #[must_use]
    pub fn next_fetch_offset(&self, now: Timestamp, rules: &Rules) -> Option<Offset> {
        let ready = self.runs.iter().find(|run| run.state.is_ready(now)).map(|run| run.first);
        ready.or_else(|| (self.window() < u64::from(rules.record_locks_max)).then(|| self.end_offset()))
    }

    /// The index of the first run that does not end before `offset`.
    pub(super) fn position(&self, offset: Offset) -> usize {
        self.runs.partition_point(|run| run.last < offset)
    }

    /// Puts a rewritten stretch in place.
    pub(super) fn replace(&mut self, rewritten: Rewritten) {
        self.runs.splice(rewritten.range, rewritten.runs);
    }

    /// The index that a member's session on an agent has, or has once it holds something.
    pub(super) fn holder_index(&self, member_id: &MemberId, node: NodeIdentity) -> HolderIndex {
        let is_holder = |holder: &Holder| holder.member_id == *member_id && holder.node == node;
        let index = self.holders.iter().position(is_holder).unwrap_or(self.holders.len());
        // A partition has at most one holder for each of its few thousand locks.
        HolderIndex(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Lists the session that acquired something just now, under the index it was promised.
    pub(super) fn note_acquisition(&mut self, index: HolderIndex, holder: Holder) {
        match self.holders.get_mut(index.0 as usize) {
            Some(known) => *known = holder,
            None => self.holders.push(holder),
        }
    }

    /// Forgets everything before `start`, whatever became of it.
    pub(super) fn cut_before(&mut self, start: Offset) {
        let finished = self.position(start);
        self.runs.drain(..finished);
        if let Some(run) = self.runs.first_mut() {
            run.first = run.first.max(start);
        }
        self.start_offset = start;
    }

    /// Ends every decision: the start offset goes past what is finished, and who holds nothing is forgotten.
    pub(super) fn settle(&mut self) {
        let finished = self.runs.iter().take_while(|run| run.state.is_terminal()).count();
        if finished > 0 {
            let start = self.runs[finished - 1].last.plus(1);
            self.cut_before(start);
        }
        self.forget_idle_holders();
    }

    fn forget_idle_holders(&mut self) {
        let mut is_named = vec![false; self.holders.len()];
        for run in &self.runs {
            if let RecordState::Acquired { holder, .. } = run.state {
                is_named[holder.0 as usize] = true;
            }
        }
        if is_named.iter().all(|named| *named) {
            return;
        }
        let mut next = 0;
        let moved: Vec<u32> = is_named
            .iter()
            .map(|named| {
                let index = next;
                next += u32::from(*named);
                index
            })
            .collect();
        let mut index = 0;
        self.holders.retain(|_| {
            index += 1;
            is_named[index - 1]
        });
        for run in &mut self.runs {
            if let RecordState::Acquired { holder, .. } = &mut run.state {
                holder.0 = moved[holder.0 as usize];
            }
        }
    }

    /// Whether everything holds that must: runs are contiguous and begin at the start offset, neighbours differ, the
    /// first is not finished, counts go with states, and everybody who is listed holds something.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Result<(), BrokenState> {
        if self.start_offset.0 < 0 {
            return Err(BrokenState::Offset(self.start_offset));
        }
        let mut is_named = vec![false; self.holders.len()];
        let mut expected = self.start_offset;
        let mut previous: Option<&Run> = None;
        for run in &self.runs {
            if run.first != expected {
                return Err(BrokenState::Torn { expected, found: run.first });
            }
            if run.last < run.first {
                return Err(BrokenState::Backward(run.first));
            }
            if run.last.0 >= OFFSETS_END {
                return Err(BrokenState::Offset(run.last));
            }
            match previous {
                None if run.state.is_terminal() => return Err(BrokenState::FinishedStart(run.first)),
                Some(previous) if previous.goes_on_in(run) => return Err(BrokenState::Split(run.first)),
                _ => {}
            }
            if run.state.is_terminal() != (run.delivery_count == 0) {
                return Err(BrokenState::DeliveryCount(run.first));
            }
            if let RecordState::Acquired { holder, .. } = run.state {
                *is_named.get_mut(holder.0 as usize).ok_or(BrokenState::UnknownHolder(run.first))? = true;
            }
            expected = run.last.plus(1);
            previous = Some(run);
        }
        let mut listed = BTreeSet::new();
        for (index, holder) in (0..).zip(&self.holders) {
            if !is_named[index as usize] {
                return Err(BrokenState::IdleHolder(index));
            }
            if !listed.insert((&holder.member_id, holder.node.node_id, holder.node.node_epoch)) {
                return Err(BrokenState::SameHolder(index));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
