//! One event at a time: what it makes of a group, and what has to be stored and answered.

use std::time::Duration;

use tokio::time::Instant;

use crate::coordinator::share::group::assign::{Subscriber, assign};
use crate::coordinator::share::group::limits::ShareGroupLimits;
use crate::coordinator::share::group::state::ShareGroup;
use crate::coordinator::share::values::{ShareHeartbeat, ShareHeartbeatAnswer};
use crate::metastore::values::CatalogSnapshot;
use crate::model::error::Failure;
use crate::model::topic::{TopicIdPartition, TopicName};

/// What happens to a group.
#[derive(Clone, Debug)]
pub enum Event {
    /// A member joins, lives or leaves.
    Heartbeat(ShareHeartbeat),
    /// Time has passed, or topics have changed.
    Tick,
}

/// What a decision looks at besides the group.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The present moment.
    pub now: Instant,
    /// The group's configuration.
    pub limits: &'a ShareGroupLimits,
    /// Topics, read after the group was loaded: a topic that the group knows and that is not here is gone.
    pub catalog: &'a CatalogSnapshot,
    /// How many documents of share partitions may come or go in one decision.
    pub documents_max: usize,
}

/// What a decision wants done: first store, in one step, then answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What is stored of the group has changed.
    pub persist: bool,
    /// Share partitions that come into being.
    pub initialise: Vec<Initialised>,
    /// Share partitions whose documents go.
    pub forget: Vec<TopicIdPartition>,
    /// The assignor has run.
    pub assigned: bool,
    /// The answer to a heartbeat.
    pub answer: Option<Result<ShareHeartbeatAnswer, Failure>>,
}

impl Effects {
    /// Adds what a later decision wants, and hands its answer back.
    pub fn absorb(&mut self, later: Self) -> Option<Result<ShareHeartbeatAnswer, Failure>> {
        self.persist |= later.persist;
        self.assigned |= later.assigned;
        self.initialise.extend(later.initialise);
        self.forget.extend(later.forget);
        later.answer
    }
}

/// A share partition that comes into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// Which.
    pub partition: TopicIdPartition,
    /// It was added to a topic that the group knew and begins at offset 0; else `share.auto.offset.reset` decides at
    /// the first fetch.
    pub from_the_beginning: bool,
}

/// What one decision works with.
#[derive(Debug)]
pub struct Turn<'a> {
    /// What it looks at.
    pub surroundings: Surroundings<'a>,
    /// What is to be done.
    pub effects: Effects,
    /// Something changed that the group epoch counts.
    pub bump: bool,
    /// The assignment must not wait for its interval.
    pub hurry: bool,
}

impl Turn<'_> {
    /// How many more documents may come or go.
    #[must_use]
    pub fn documents_left(&self) -> usize {
        let used = self.effects.initialise.len() + self.effects.forget.len();
        self.surroundings.documents_max.saturating_sub(used)
    }
}

/// What an event makes of a group.
#[must_use]
pub fn decide(mut group: ShareGroup, event: Event, surroundings: Surroundings<'_>) -> (ShareGroup, Effects) {
    let mut turn = Turn { surroundings, effects: Effects::default(), bump: false, hurry: false };
    match event {
        Event::Heartbeat(heartbeat) => {
            let answer = group.heartbeat(heartbeat, &mut turn);
            turn.effects.answer = Some(answer);
        }
        Event::Tick => {
            group.expire(&mut turn);
            group.settle(&mut turn);
        }
    }
    (group, turn.effects)
}

impl ShareGroup {
    /// Brings topics, epoch and assignment up to date with what happened.
    pub fn settle(&mut self, turn: &mut Turn<'_>) {
        if !self.exists {
            return;
        }
        self.compare_topics(turn);
        if std::mem::take(&mut turn.bump) {
            self.bump();
            turn.effects.persist = true;
        }
        let Surroundings { now, limits, catalog, .. } = turn.surroundings;
        if self.assignment_due(now, limits).is_some_and(|due| turn.hurry || due <= now) {
            self.reassign(now, catalog);
            turn.effects.assigned = true;
            turn.effects.persist = true;
        }
    }

    /// When the assignment that is behind may be made, or `None` when it is not behind.
    fn assignment_due(&self, now: Instant, limits: &ShareGroupLimits) -> Option<Instant> {
        // Without members there is nobody to spare.
        let interval = if self.members.is_empty() { Duration::ZERO } else { limits.assignment_interval };
        let is_behind = self.assignment_epoch != self.group_epoch;
        is_behind.then(|| self.assigned_at.map_or(now, |assigned_at| assigned_at + interval))
    }

    fn reassign(&mut self, now: Instant, catalog: &CatalogSnapshot) {
        let id_of = |name: &TopicName| catalog.topics.get(name).map(|topic| topic.topic_id);
        let subscribers = self.members.iter().map(|(member_id, member)| {
            let topics = member.subscribed.iter().filter_map(id_of).collect();
            (member_id.clone(), Subscriber { topics, assigned: &member.assigned })
        });
        // Only what has a document can be fetched from.
        let partitions = self.topics.iter().map(|(topic_id, topic)| (*topic_id, &topic.initialised)).collect();
        let assignment = assign(&subscribers.collect(), &partitions);
        self.assignment_epoch = self.group_epoch;
        self.assigned_at = Some(now);
        for (member_id, assigned) in assignment {
            if let Some(member) = self.members.get_mut(&member_id).filter(|member| member.assigned != assigned) {
                member.assigned = assigned;
                member.changed_at = self.assignment_epoch;
            }
        }
    }

    /// When something is due by itself.
    #[must_use]
    pub fn next_deadline(&self, now: Instant, limits: &ShareGroupLimits) -> Option<Instant> {
        let sessions = self.members.values().map(|member| member.session_deadline);
        sessions.chain(self.assignment_due(now, limits)).chain(self.topics_unfinished.then_some(now)).min()
    }
}

#[cfg(test)]
mod kit;
#[cfg(test)]
mod tests;
