//! What an agent decides: the real functions, in the order in which an agent calls them, and what mutants do instead.

use std::time::Duration;

use bytes::Bytes;
use towpath::base::clock::Timestamp;
use towpath::coordinator::share::partition::acknowledge::{AcknowledgeRefusal, acknowledge};
use towpath::coordinator::share::partition::acquire::{AcquireWish, Offer, OfferedBatch, acquire};
use towpath::coordinator::share::partition::document::{StoredPartition, decode, encode};
use towpath::coordinator::share::partition::lapse::lapse;
use towpath::coordinator::share::partition::letter::DeadLetter;
use towpath::coordinator::share::partition::rules::{RedeliveryBackoff, Rules};
use towpath::coordinator::share::partition::run::{Holder, RecordState, Run};
use towpath::coordinator::share::partition::state::SharePartitionState;
use towpath::coordinator::share::values::{AcknowledgeType, AcknowledgementBatch, AcquireMode};
use towpath::model::group::MemberId;
use towpath::model::node::NodeIdentity;
use towpath::model::offset::Offset;

use crate::world::{Ask, DELIVERY_COUNT_LIMIT, LOCK_TICKS, RECORDS};

/// An agent that does something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Writes whatever version is there.
    IgnoreVersion,
    /// Answers, then writes.
    AnswerFirst,
    /// Answers when the store does not.
    UnknownIsDone,
    /// Never ends a lock.
    ForgetExpiry,
    /// Takes what is finished for what is available.
    DeliverFinished,
    /// Leaves the delivery count as it is when it delivers again.
    DoNotCount,
    /// Gives back whatever the count.
    NoLimit,
    /// Acknowledges for whoever holds the record.
    AcknowledgeOthers,
    /// Lets the start offset go one record too far.
    SkipFirst,
}

/// A decision.
#[derive(Clone)]
pub(crate) struct Decision {
    pub(crate) body: Vec<u8>,
    pub(crate) acquired: Vec<(i64, u16)>,
    pub(crate) finished: Vec<i64>,
}

pub(crate) fn member_id(member: usize) -> MemberId {
    MemberId::from(["m0", "m1"][member])
}

/// A document in which nothing has happened yet.
pub(crate) fn empty() -> Vec<u8> {
    stored(SharePartitionState::starting_at(Offset(0)))
}

pub(crate) fn state(body: &[u8]) -> SharePartitionState {
    match decode(Bytes::copy_from_slice(body)).expect("it was encoded") {
        StoredPartition::Decided(state) => state,
        StoredPartition::Undecided => unreachable!("the model starts decided"),
    }
}

fn stored(state: SharePartitionState) -> Vec<u8> {
    state.check().expect("decisions leave it sound");
    encode(&StoredPartition::Decided(state)).to_vec()
}

/// Who asks an agent, and when.
pub(crate) struct Asked {
    pub(crate) member: usize,
    pub(crate) node: NodeIdentity,
    pub(crate) now: Timestamp,
    pub(crate) mutant: Option<Mutant>,
}

impl Asked {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn rules(&self) -> Rules {
        Rules {
            lock_duration: Duration::from_millis(LOCK_TICKS),
            delivery_count_limit: if self.is(Mutant::NoLimit) { 9 } else { DELIVERY_COUNT_LIMIT },
            record_locks_max: 100,
            renew_allowed: true,
            backoff: RedeliveryBackoff::NONE,
        }
    }

    /// Decides on a document what becomes of it. `None`: nothing.
    pub(crate) fn decide(
        &self,
        body: &[u8],
        ask: Ask,
        is_over: &dyn Fn(&Holder) -> bool,
    ) -> Result<Option<Decision>, AcknowledgeRefusal> {
        let mut state = state(body);
        let mut letters = Vec::new();
        if !self.is(Mutant::ForgetExpiry) {
            letters.extend(lapse(&mut state, self.now, is_over, &self.rules()).letters);
        }
        let mut acquired = Vec::new();
        let mut finished = Vec::new();
        let said = match ask {
            Ask::Acquire => {
                acquired = self.take(&mut state);
                Vec::new()
            }
            Ask::Accept(offset) => {
                finished.push(offset);
                self.say(&mut state, offset, AcknowledgeType::Accept)?
            }
            Ask::Reject(offset) => self.say(&mut state, offset, AcknowledgeType::Reject)?,
            Ask::Release(offset) => self.say(&mut state, offset, AcknowledgeType::Release)?,
            Ask::Renew(offset) => self.say(&mut state, offset, AcknowledgeType::Renew)?,
        };
        letters.extend(said);
        finished.extend(letters.iter().flat_map(|letter| letter.first.0..=letter.last.0));
        if self.is(Mutant::SkipFirst) {
            state = without_first(&state).unwrap_or(state);
        }
        let body_after = stored(state);
        Ok((body_after != body).then_some(Decision { body: body_after, acquired, finished }))
    }

    fn say(
        &self,
        state: &mut SharePartitionState,
        offset: i64,
        kind: AcknowledgeType,
    ) -> Result<Vec<DeadLetter>, AcknowledgeRefusal> {
        let mut member_id = member_id(self.member);
        if self.is(Mutant::AcknowledgeOthers) {
            let run = state.runs().iter().find(|run| run.first.0 <= offset && offset <= run.last.0);
            if let Some(RecordState::Acquired { holder, .. }) = run.map(|run| run.state) {
                member_id = state.holder(holder).expect("it is listed").member_id.clone();
            }
        }
        let batch = AcknowledgementBatch { first: Offset(offset), last: Offset(offset), types: vec![kind] };
        acknowledge(state, &member_id, &[batch], self.now, &self.rules()).map(|done| done.letters)
    }

    /// Acquires one record: its offset, and its delivery count as the member hears it.
    fn take(&self, state: &mut SharePartitionState) -> Vec<(i64, u16)> {
        if self.is(Mutant::DeliverFinished) {
            *state = with_runs(state, |run| if run.state.is_terminal() { waiting(run) } else { run });
        }
        let Some(from) = state.next_fetch_offset(self.now, &self.rules()) else { return Vec::new() };
        let batch = |offset| OfferedBatch { base_offset: Offset(offset), last_offset: Offset(offset), byte_size: 1 };
        let offer = Offer { from, batches: (from.0..RECORDS).map(batch).collect(), withheld: Vec::new() };
        let wish = AcquireWish {
            member_id: member_id(self.member),
            node: self.node,
            records_max: 1,
            batch_size: 1,
            mode: AcquireMode::BatchOptimized,
        };
        let ranges = acquire(state, &offer, &wish, self.now, &self.rules());
        let mut acquired: Vec<_> = ranges
            .iter()
            .flat_map(|range| (range.first.0..=range.last.0).map(|offset| (offset, range.delivery_count)))
            .collect();
        if self.is(Mutant::DoNotCount) {
            *state = with_runs(state, |run| Run { delivery_count: run.delivery_count.min(1), ..run });
            acquired.iter_mut().for_each(|(_, delivery_count)| *delivery_count = 1);
        }
        acquired
    }
}

fn waiting(run: Run) -> Run {
    Run { state: RecordState::Available { not_before: Timestamp(0) }, delivery_count: 1, ..run }
}

/// A mutant's state, if that is one.
fn with_runs(state: &SharePartitionState, change: impl Fn(Run) -> Run) -> SharePartitionState {
    let runs = state.runs().iter().map(|run| change(*run)).collect();
    let changed = SharePartitionState::from_parts(state.start_offset(), runs, state.holders().to_vec());
    changed.unwrap_or_else(|_| state.clone())
}

/// A mutant's state: it forgets the first record if that waits and something unfinished comes after it.
fn without_first(state: &SharePartitionState) -> Option<SharePartitionState> {
    let [first, rest @ ..] = state.runs() else { return None };
    let waits = matches!(first.state, RecordState::Available { .. });
    let (start, holders) = (first.last.plus(1), state.holders().to_vec());
    waits.then(|| SharePartitionState::from_parts(start, rest.to_vec(), holders).ok()).flatten()
}
