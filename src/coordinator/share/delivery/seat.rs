//! One partition in a round: a copy of its state, what was decided on it, and for whom.
//!
//! Nothing leaves the seat before the round is stored; when the document turns out to be another one, the seat is
//! dropped and its parts wait for the next round.

use std::time::Duration;

use tokio::time::Instant;

use crate::base::clock::Timestamp;
use crate::coordinator::share::delivery::cache::Known;
use crate::coordinator::share::delivery::context::GroupRules;
use crate::coordinator::share::delivery::job::{Outcome, Part};
use crate::coordinator::share::delivery::living::Living;
use crate::coordinator::share::delivery::read::Window;
use crate::coordinator::share::delivery::work::{Acquisition, Work};
use crate::coordinator::share::partition::acknowledge::{AcknowledgeRefusal, Acknowledged, acknowledge};
use crate::coordinator::share::partition::document::StoredPartition;
use crate::coordinator::share::partition::lapse::{Lapsed, lapse, release};
use crate::coordinator::share::partition::letter::DeadLetter;
use crate::coordinator::share::partition::start::move_log_start;
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::PartitionAcknowledgement;
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;

/// While no other agent lives, what is remembered counts as fresh for this long: only the administration, which may
/// have gone through an agent that has left, changes documents then.
const FRESH_WHEN_ALONE: Duration = Duration::from_secs(1);

/// What all decisions of a round have in common.
#[derive(Debug)]
pub(super) struct Moment {
    pub rules: std::sync::Arc<GroupRules>,
    pub now: Timestamp,
    pub living: Living,
    /// The group has written as many dead letters as it may for now: nothing is given up.
    pub is_held: bool,
}

/// One partition in a round.
#[derive(Debug)]
pub(super) struct Seat {
    pub known: Known,
    /// It was read in this round, after everybody in it had asked.
    is_read: bool,
    pub state: SharePartitionState,
    /// What was decided for whom: the job's place and its part.
    pub outcomes: Vec<(usize, Part, Outcome)>,
    /// Something was refused on account of memory: nothing of this counts, it is decided anew on what is stored.
    pub is_doubted: bool,
    pub letters: Vec<DeadLetter>,
    pub tally: Tally,
    /// What was read last.
    pub window: Option<Window>,
    /// Why reading does not go on from an offset.
    pub blocked: Option<(Offset, Acquisition)>,
}

/// What is counted once it is stored.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub acknowledged: Vec<Acknowledged>,
    pub timed_out: u64,
    pub acquired: u64,
}

impl Moment {
    /// Whether what was confirmed then is as good as asked for now, by somebody who asked at `asked`.
    pub(super) fn is_fresh(&self, confirmed: Instant, asked: Instant) -> bool {
        is_fresh(&self.living, confirmed, asked)
    }
}

/// Whether what was confirmed then is as good as asked for now, by somebody who asked at `asked`.
pub(super) fn is_fresh(living: &Living, confirmed: Instant, asked: Instant) -> bool {
    // At the very same instant nobody knows what came first.
    confirmed > asked || (living.is_alone() && confirmed.elapsed() <= FRESH_WHEN_ALONE)
}

impl Seat {
    /// A seat for a partition whose start is decided; or is, from now on, `start`.
    pub(super) fn new(known: Known, is_read: bool, start: Option<Offset>) -> Option<Self> {
        let state = match (&*known.stored, start) {
            (StoredPartition::Decided(state), _) => state.clone(),
            (StoredPartition::Undecided, Some(start)) => SharePartitionState::starting_at(start),
            (StoredPartition::Undecided, None) => return None,
        };
        Some(Self {
            known,
            is_read,
            state,
            outcomes: Vec::new(),
            is_doubted: false,
            letters: Vec::new(),
            tally: Tally::default(),
            window: None,
            blocked: None,
        })
    }

    /// Whether there is anything to store.
    pub(super) fn is_changed(&self) -> bool {
        !matches!(&*self.known.stored, StoredPartition::Decided(state) if *state == self.state)
    }

    /// Ends what has ended by itself.
    pub(super) fn begin(&mut self, log_start: Option<Offset>, moment: &Moment) {
        if let Some(log_start) = log_start {
            move_log_start(&mut self.state, log_start);
        }
        let Moment { rules, now, living, .. } = moment;
        let is_over = |holder: &_| living.is_over(holder);
        if let Some(lapsed) = self.unless_held(moment, |state| lapse(state, *now, &is_over, &rules.rules)) {
            self.tally.timed_out += lapsed.timed_out;
        }
    }

    /// Gives back what a member's session holds; `false` when that must wait.
    pub(super) fn release(&mut self, work: &Work, moment: &Moment) -> bool {
        let Moment { rules, now, living, .. } = moment;
        let (member_id, node) = (&work.member_id, living.this());
        self.unless_held(moment, |state| release(state, member_id, node, *now, &rules.rules)).is_some()
    }

    /// Ends locks, unless that gives something up while nothing may be.
    fn unless_held(
        &mut self,
        moment: &Moment,
        decide: impl FnOnce(&mut SharePartitionState) -> Lapsed,
    ) -> Option<Lapsed> {
        let before = moment.is_held.then(|| self.state.clone());
        let mut lapsed = decide(&mut self.state);
        match before.filter(|_| !lapsed.letters.is_empty()) {
            Some(before) => {
                self.state = before;
                None
            }
            None => {
                self.letters.append(&mut lapsed.letters);
                Some(lapsed)
            }
        }
    }

    /// Applies a member's acknowledgements.
    pub(super) fn acknowledge(
        &mut self,
        work: &Work,
        acknowledgement: &PartitionAcknowledgement,
        moment: &Moment,
    ) -> Result<(), Failure> {
        let before = moment.is_held.then(|| self.state.clone());
        let batches = &acknowledgement.batches;
        match acknowledge(&mut self.state, &work.member_id, batches, moment.now, &moment.rules.rules) {
            Ok(mut done) => {
                if let Some(before) = before.filter(|_| !done.letters.is_empty()) {
                    self.state = before;
                    let message = "the group has written as many dead letters as it may for now; retry in a minute";
                    return Err(Failure::new(Condition::CoordinatorNotAvailable, message));
                }
                self.letters.append(&mut done.letters);
                if done.is_change() {
                    self.tally.acknowledged.push(done);
                }
                Ok(())
            }
            Err(refusal) => {
                self.is_doubted |= !self.is_read && !moment.is_fresh(self.known.confirmed, work.asked);
                Err(failure_of(refusal))
            }
        }
    }

    /// Where to read next for somebody who wants records; `None` when there is nothing to be had.
    pub(super) fn next_offset(&self, moment: &Moment) -> Option<Offset> {
        self.state.next_fetch_offset(moment.now, &moment.rules.rules)
    }

    /// Whether there may be something to be had.
    pub(super) fn is_acquirable(&self, moment: &Moment) -> bool {
        let next = self.next_offset(moment);
        next.is_some() && self.blocked.as_ref().map(|(offset, _)| *offset) != next
    }
}

fn failure_of(refusal: AcknowledgeRefusal) -> Failure {
    let condition =
        if refusal.is_invalid_request() { Condition::InvalidRequest } else { Condition::InvalidRecordState };
    Failure::new(condition, refusal.to_string())
}
