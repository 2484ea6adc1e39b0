//! Locks end: by time, with the session, with the agent.

use crate::base::clock::Timestamp;
use crate::coordinator::share::partition::letter::{DeadLetter, LetterCause, Letters};
use crate::coordinator::share::partition::rewrite::Rewrite;
use crate::coordinator::share::partition::rules::Rules;
use crate::coordinator::share::partition::run::{Holder, RecordState, Run};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::model::group::MemberId;
use crate::model::node::NodeIdentity;

/// What ended. Units are offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lapsed {
    /// Locks whose time was over.
    pub timed_out: u64,
    /// Locks whose holder was over before that.
    pub released: u64,
    /// What was delivered too often.
    pub letters: Vec<DeadLetter>,
}

impl Lapsed {
    /// Whether anything ended, so that the state is another one.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.timed_out + self.released > 0
    }
}

/// Ends the locks whose time is over at `now`, and all locks of a holder that is over. What they held is available
/// again (after its rest), or archived when it has been delivered often enough.
pub fn lapse(
    state: &mut SharePartitionState,
    now: Timestamp,
    is_over: &dyn Fn(&Holder) -> bool,
    rules: &Rules,
) -> Lapsed {
    let over: Vec<bool> = state.holders().iter().map(is_over).collect();
    end_locks(state, now, &over, true, rules)
}

/// Ends all locks of a session that ended; delivery counts stay. Locks of others stay, whatever the time.
pub fn release(
    state: &mut SharePartitionState,
    member_id: &MemberId,
    node: NodeIdentity,
    now: Timestamp,
    rules: &Rules,
) -> Lapsed {
    let is_session = |holder: &Holder| holder.member_id == *member_id && holder.node == node;
    let over: Vec<bool> = state.holders().iter().map(is_session).collect();
    end_locks(state, now, &over, false, rules)
}

fn end_locks(state: &mut SharePartitionState, now: Timestamp, over: &[bool], by_time: bool, rules: &Rules) -> Lapsed {
    let mut lapsed = Lapsed::default();
    let ends = |run: &Run| match run.state {
        RecordState::Acquired { holder, deadline } => (by_time && deadline <= now) || over[holder.0 as usize],
        _ => false,
    };
    let Some(first) = state.runs().iter().find(|run| ends(run)).map(|run| run.first) else { return lapsed };
    let mut letters = Letters::default();
    let mut rewrite = Rewrite::beginning_at(state.runs(), first);
    while let Some(run) = rewrite.take(state.end_offset()) {
        if !ends(&run) {
            rewrite.put(run);
            continue;
        }
        let is_late = matches!(run.state, RecordState::Acquired { deadline, .. } if by_time && deadline <= now);
        *(if is_late { &mut lapsed.timed_out } else { &mut lapsed.released }) += run.offset_count();
        rewrite.put(give_back(run, now, rules, &mut letters));
    }
    let rewritten = rewrite.finish();
    state.replace(rewritten);
    state.settle();
    lapsed.letters = letters.into_inner();
    lapsed
}

/// What a run becomes whose delivery ended without success.
pub(super) fn give_back(run: Run, now: Timestamp, rules: &Rules, letters: &mut Letters) -> Run {
    if run.delivery_count >= rules.delivery_count_limit {
        letters.push(&run, LetterCause::DeliveryLimit);
        return Run { state: RecordState::Archived, delivery_count: 0, ..run };
    }
    let not_before = rules.backoff.not_before(run.delivery_count, now);
    Run { state: RecordState::Available { not_before }, ..run }
}

#[cfg(test)]
mod tests;
