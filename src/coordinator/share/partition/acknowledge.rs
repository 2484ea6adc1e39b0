//! A member says what became of records that it holds.

use crate::base::clock::Timestamp;
use crate::coordinator::share::partition::lapse::give_back;
use crate::coordinator::share::partition::letter::{DeadLetter, LetterCause, Letters};
use crate::coordinator::share::partition::rewrite::Rewrite;
use crate::coordinator::share::partition::rules::Rules;
use crate::coordinator::share::partition::run::{Holder, RecordState, Run};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{AcknowledgeType, AcknowledgementBatch};
use crate::model::group::MemberId;
use crate::model::offset::Offset;

/// How many offsets were acknowledged in which way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Processed.
    pub accepted: u64,
    /// Given back; those whose last delivery this was are among `letters`.
    pub released: u64,
    /// Given up.
    pub rejected: u64,
    /// Not there.
    pub gaps: u64,
    /// Kept for longer.
    pub renewed: u64,
    /// What was given up and may go to a dead letter queue.
    pub letters: Vec<DeadLetter>,
}

impl Acknowledged {
    /// Whether the state is another one.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.accepted + self.released + self.rejected + self.gaps + self.renewed > 0
    }
}

/// Why nothing of a partition's acknowledgements was applied. The sentences are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeRefusal {
    /// The range ends before it begins, or has neither one type nor one for each offset.
    #[error("The acknowledgement batch from offset {0} does not have one type, or one for each of its offsets.")]
    Malformed(Offset),
    /// Nothing is in flight.
    #[error("Batch record not found. The request batch offsets are not found in the cache.")]
    NotTracked,
    /// Nothing of the range was ever acquired.
    #[error("Batch record not found. The first offset in request is past acquired records.")]
    FirstPastAcquired,
    /// The end of the range was never acquired.
    #[error("Batch record not found. The last offset in request is past acquired records.")]
    LastPastAcquired,
    /// An offset is with nobody: it is finished, or its lock has ended.
    #[error("The offset cannot be acknowledged. The offset is not acquired.")]
    NotAcquired,
    /// An offset is with somebody else.
    #[error("Member is not the owner of offset")]
    OtherMember,
    /// An offset is named twice.
    #[error("The record state is invalid. The acknowledgement of delivery could not be completed.")]
    NamedTwice,
    /// The group does not allow locks to begin anew.
    #[error("Renewing acquisition locks is not allowed in this group.")]
    RenewNotAllowed,
}

impl AcknowledgeRefusal {
    /// Whether the request is at fault (Kafka's INVALID_REQUEST); else the records are in another state than it thinks
    /// (INVALID_RECORD_STATE).
    #[must_use]
    pub fn is_invalid_request(self) -> bool {
        matches!(self, Self::Malformed(_) | Self::FirstPastAcquired | Self::LastPastAcquired)
    }
}

/// Applies all of a member's acknowledgements, or none. What lies below the start offset is ignored. Locks whose time
/// is over at `now` do not count, whether or not somebody has looked since.
///
/// # Errors
/// The first refusal in the order of the batches; the state is as it was.
pub fn acknowledge(
    state: &mut SharePartitionState,
    member_id: &MemberId,
    batches: &[AcknowledgementBatch],
    now: Timestamp,
    rules: &Rules,
) -> Result<Acknowledged, AcknowledgeRefusal> {
    let relevant = relevant(state, batches)?;
    let Some(first) = relevant.first() else { return Ok(Acknowledged::default()) };
    if state.runs().is_empty() {
        return Err(AcknowledgeRefusal::NotTracked);
    }
    let is_own: Vec<bool> = state.holders().iter().map(|holder: &Holder| holder.member_id == *member_id).collect();
    let mut round = Round {
        rewrite: Rewrite::beginning_at(state.runs(), first.first.max(state.start_offset())),
        is_own,
        now,
        rules,
        done: Acknowledged::default(),
        letters: Letters::default(),
    };
    for batch in relevant {
        if batch.first >= state.end_offset() {
            return Err(AcknowledgeRefusal::FirstPastAcquired);
        }
        if batch.last >= state.end_offset() {
            return Err(AcknowledgeRefusal::LastPastAcquired);
        }
        round.batch(batch, state.start_offset())?;
    }
    let Round { rewrite, mut done, letters, .. } = round;
    let rewritten = rewrite.finish();
    state.replace(rewritten);
    state.settle();
    done.letters = letters.into_inner();
    Ok(done)
}

/// The batches that are not wholly below the start offset, in ascending order without overlap.
fn relevant<'a>(
    state: &SharePartitionState,
    batches: &'a [AcknowledgementBatch],
) -> Result<Vec<&'a AcknowledgementBatch>, AcknowledgeRefusal> {
    let mut relevant: Vec<&AcknowledgementBatch> = Vec::with_capacity(batches.len());
    for batch in batches {
        let offsets = batch.last.0.checked_sub(batch.first.0).filter(|distance| *distance >= 0);
        let offsets = offsets.and_then(|distance| usize::try_from(distance).ok());
        if offsets.is_none_or(|distance| batch.types.len() != 1 && batch.types.len() != distance.saturating_add(1)) {
            return Err(AcknowledgeRefusal::Malformed(batch.first));
        }
        if batch.last < state.start_offset() {
            continue;
        }
        if relevant.last().is_some_and(|previous| batch.first <= previous.last) {
            return Err(AcknowledgeRefusal::NamedTwice);
        }
        relevant.push(batch);
    }
    Ok(relevant)
}

/// All acknowledgements of one request for one partition.
struct Round<'a> {
    rewrite: Rewrite<'a>,
    /// By holder: whether it is the member that acknowledges, through whichever agent.
    is_own: Vec<bool>,
    now: Timestamp,
    rules: &'a Rules,
    done: Acknowledged,
    letters: Letters,
}

impl Round<'_> {
    fn batch(&mut self, batch: &AcknowledgementBatch, start: Offset) -> Result<(), AcknowledgeRefusal> {
        let mut first = batch.first.max(start);
        self.rewrite.keep_before(first);
        if let [only] = batch.types[..] {
            return self.stretch(batch.last, only);
        }
        // One type per offset; those of the offsets below the start are passed over.
        let below = usize::try_from(first.0 - batch.first.0).unwrap_or(usize::MAX);
        for same in batch.types[below..].chunk_by(|left, right| left == right) {
            let next = first.plus(i64::try_from(same.len()).unwrap_or(i64::MAX));
            self.stretch(next.previous(), same[0])?;
            first = next;
        }
        Ok(())
    }

    /// Everything up to `last` that was not dealt with yet.
    fn stretch(&mut self, last: Offset, kind: AcknowledgeType) -> Result<(), AcknowledgeRefusal> {
        if kind == AcknowledgeType::Renew && !self.rules.renew_allowed {
            return Err(AcknowledgeRefusal::RenewNotAllowed);
        }
        while let Some(run) = self.rewrite.take(last) {
            let acknowledged = self.run(run, kind)?;
            self.rewrite.put(acknowledged);
        }
        Ok(())
    }

    fn run(&mut self, run: Run, kind: AcknowledgeType) -> Result<Run, AcknowledgeRefusal> {
        let RecordState::Acquired { holder, deadline } = run.state else {
            return Err(AcknowledgeRefusal::NotAcquired);
        };
        if deadline <= self.now {
            return Err(AcknowledgeRefusal::NotAcquired);
        }
        if !self.is_own[holder.0 as usize] {
            return Err(AcknowledgeRefusal::OtherMember);
        }
        let (count, run) = match kind {
            AcknowledgeType::Accept => {
                (&mut self.done.accepted, Run { state: RecordState::Acknowledged, delivery_count: 0, ..run })
            }
            AcknowledgeType::Gap => {
                (&mut self.done.gaps, Run { state: RecordState::Archived, delivery_count: 0, ..run })
            }
            AcknowledgeType::Reject => {
                self.letters.push(&run, LetterCause::Rejected);
                (&mut self.done.rejected, Run { state: RecordState::Archived, delivery_count: 0, ..run })
            }
            AcknowledgeType::Release => {
                (&mut self.done.released, give_back(run, self.now, self.rules, &mut self.letters))
            }
            AcknowledgeType::Renew => {
                let deadline = self.now.plus(self.rules.lock_duration);
                (&mut self.done.renewed, Run { state: RecordState::Acquired { holder, deadline }, ..run })
            }
        };
        *count += run.offset_count();
        Ok(run)
    }
}

#[cfg(test)]
mod tests;
