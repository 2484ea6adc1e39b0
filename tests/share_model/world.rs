//! What there is: a document, two agents, two members, and what members were told.

use towpath::base::clock::Timestamp;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};

/// The log: two batches of one record.
pub(crate) const RECORDS: i64 = 2;

/// How often a record is delivered at most.
pub(crate) const DELIVERY_COUNT_LIMIT: u16 = 2;

/// How long a lock lasts, in ticks of the clock.
pub(crate) const LOCK_TICKS: u64 = 1;

/// When the clock stops.
pub(crate) const LAST_TICK: i64 = 2;

/// A moment of the whole system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) now: i64,
    /// The stored document.
    pub(crate) body: Vec<u8>,
    pub(crate) agents: [Agent; 2],
    pub(crate) members: [Member; 2],
    pub(crate) told: Told,
    /// How many agents may still die.
    pub(crate) deaths_left: u8,
    /// How many answers may still be lost.
    pub(crate) losses_left: u8,
}

/// An agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Agent {
    pub(crate) epoch: i64,
    /// The document as it knows it; `None`: it reads before it decides.
    pub(crate) known: Option<Known>,
    /// What it has decided and not finished.
    pub(crate) work: Option<Work>,
}

/// A document as it once was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) body: Vec<u8>,
    /// Whether it still has the newest version.
    pub(crate) is_newest: bool,
}

/// A decision on its way to the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Work {
    pub(crate) member: usize,
    pub(crate) ask: Ask,
    pub(crate) body: Vec<u8>,
    /// Whether the version that it was decided on is still the newest.
    pub(crate) is_newest: bool,
    /// Whether it was sent and nobody knows what came of it.
    pub(crate) is_unknown: bool,
    /// When locks end that begin with it.
    pub(crate) deadline: i64,
    /// What is acquired: offset, delivery count.
    pub(crate) acquired: Vec<(i64, u16)>,
    /// What is finished by it.
    pub(crate) finished: Vec<i64>,
}

/// What a member asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ask {
    Acquire,
    Accept(i64),
    Reject(i64),
    Release(i64),
    Renew(i64),
}

/// A member and the agent that its session is with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) agent: usize,
    pub(crate) held: Vec<Held>,
}

/// A record that a member was told to have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) offset: i64,
    pub(crate) deadline: i64,
    /// Whether it may count on it: it has not let go of it, and neither time nor its agent has ended.
    pub(crate) is_live: bool,
}

/// What happened, for the judges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    /// By offset: how many acquisitions were stored.
    pub(crate) deliveries: [u16; RECORDS as usize],
    /// By offset: whether a member was told that it is finished.
    pub(crate) finished: [bool; RECORDS as usize],
    /// By offset: whether it is finished in the store, for a reason.
    pub(crate) ended: [bool; RECORDS as usize],
    /// What must not happen and did.
    pub(crate) broken: Vec<&'static str>,
}

impl World {
    pub(crate) fn node(&self, agent: usize) -> NodeIdentity {
        let node_id = NodeId(i32::try_from(agent).expect("two agents"));
        NodeIdentity { node_id, node_epoch: NodeEpoch(self.agents[agent].epoch) }
    }

    pub(crate) fn time(&self) -> Timestamp {
        // Not from 0, which stands for "at once" where a record rests.
        Timestamp(1 + self.now)
    }

    pub(crate) fn broken(&mut self, promise: &'static str) {
        if !self.told.broken.contains(&promise) {
            self.told.broken.push(promise);
        }
    }
}
