//! How many letters a group may write in a minute. Pure, over a `now` that is handed in.
//!
//! ```text
//! first letter ──► the group's minute ──────────────────────► over: the next letter begins another one
//!                    count < limit: rounds with letters go      ▲
//!                    count ≥ limit: such rounds are held until ─┘
//! ```
//!
//! A round is never cut: the one that reaches the limit may go beyond it. Counted by each agent for itself, so that a
//! group whose members are served by several agents may write that many times the limit; a count that all agents share
//! would make every round of one agent a conflict for the others.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::model::group::GroupId;

/// What the limit is counted over.
const WINDOW: Duration = Duration::from_secs(60);

/// The letters of every group's current minute.
#[derive(Debug, Default)]
pub(super) struct Breaker(BTreeMap<GroupId, Window>);

#[derive(Debug)]
struct Window {
    began: Timestamp,
    count: u64,
}

impl Breaker {
    /// Until when a group must not write letters; `None` when it may.
    pub(super) fn held_until(&self, group_id: &GroupId, limit: Option<u32>, now: Timestamp) -> Option<Timestamp> {
        let window = self.0.get(group_id).filter(|window| window.runs_at(now))?;
        limit.filter(|limit| window.count >= u64::from(*limit)).map(|_| window.began.plus(WINDOW))
    }

    /// A group has written letters.
    pub(super) fn count(&mut self, group_id: &GroupId, letters: u64, now: Timestamp) {
        if letters == 0 {
            return;
        }
        // Groups that are quiet for a minute are forgotten, so that as few are remembered as write.
        self.0.retain(|_, window| window.runs_at(now));
        let window = self.0.entry(group_id.clone()).or_insert(Window { began: now, count: 0 });
        window.count = window.count.saturating_add(letters);
    }
}

impl Window {
    fn runs_at(&self, now: Timestamp) -> bool {
        now < self.began.plus(WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupId {
        GroupId::from(name)
    }

    #[test]
    fn a_group_is_held_until_its_minute_is_over() {
        let (mut breaker, group_id) = (Breaker::default(), group("orders"));
        let held = |breaker: &Breaker, limit, now| breaker.held_until(&group_id, limit, Timestamp(now));
        assert_eq!(held(&breaker, Some(10), 1_000), None);
        breaker.count(&group_id, 9, Timestamp(1_000));
        assert_eq!(held(&breaker, Some(10), 2_000), None);
        breaker.count(&group_id, 500, Timestamp(2_000));
        assert_eq!(held(&breaker, Some(10), 2_000), Some(Timestamp(61_000)), "beyond the limit, but not cut");
        assert_eq!(held(&breaker, Some(10), 60_999), Some(Timestamp(61_000)));
        assert_eq!(held(&breaker, Some(510), 60_999), None, "a limit that was raised holds at once");
        assert_eq!(held(&breaker, None, 2_000), None);
        assert_eq!(held(&breaker, Some(10), 61_000), None);
        breaker.count(&group_id, 1, Timestamp(61_000));
        assert_eq!(held(&breaker, Some(10), 61_001), None, "a new minute counts from nothing");
    }

    #[test]
    fn groups_do_not_hold_each_other_and_are_forgotten() {
        let mut breaker = Breaker::default();
        breaker.count(&group("a"), 5, Timestamp(0));
        breaker.count(&group("b"), 0, Timestamp(0));
        assert_eq!(breaker.held_until(&group("b"), Some(1), Timestamp(1)), None);
        breaker.count(&group("b"), 1, Timestamp(60_000));
        assert_eq!(breaker.0.len(), 1, "only who wrote within the last minute is remembered");
    }
}
