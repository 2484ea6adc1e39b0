//! Incremental fetch sessions (KIP-227): what a client fetches is remembered, so that requests and answers carry only
//! what changed.
//!
//! Sessions belong to the connection that opened them and hold nothing that the client could not say again: a lost one
//! costs one full request. They are bounded by number and by partitions; when there is no room, a client gets session id
//! 0 and goes on with full requests, which is legal and correct.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::lookup::TopicRef;
use crate::base::rng::Rng;
use crate::model::error::Condition;

/// Sessions an agent keeps at most, as many as Kafka keeps by default.
const SESSIONS_MAX: usize = 1000;
/// Partitions over all sessions at most: about 200 bytes each.
const PARTITIONS_MAX: usize = 200_000;
/// A session that was not used for so long makes room for a new one.
const IDLE: Duration = Duration::from_secs(120);

/// A partition as the client names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The topic.
    pub topic: TopicRef,
    /// The partition's index, not checked yet.
    pub partition: i32,
}

/// What a client wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From which offset on.
    pub offset: i64,
    /// How many bytes at most.
    pub bytes_max: i32,
    /// Which leader epoch the client believes in, −1 for none.
    pub leader_epoch: i32,
}

/// The session part of a Fetch request.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    /// The session, 0 for none.
    pub session_id: i32,
    /// −1: no session (and close this one); 0: open one; else the next number of an open one.
    pub epoch: i32,
    /// Whether topics are named by identity (v13+).
    pub by_id: bool,
    /// Partitions to fetch, or whose wishes changed.
    pub partitions: Vec<(Slot, Wanted)>,
    /// Partitions to fetch no longer.
    pub forgotten: Vec<Slot>,
}

/// What the client was last told of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The high watermark.
    pub high_watermark: i64,
    /// The last stable offset.
    pub last_stable_offset: i64,
    /// The log start.
    pub log_start_offset: i64,
}

/// What a fetch found in a partition, as far as sessions care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The bounds, or `None` for an error.
    pub told: Option<Told>,
    /// Whether there are records.
    pub records: bool,
}

/// What to fetch, and how to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The session id to answer with.
    pub session_id: i32,
    /// Whether partitions without news are left out of the answer.
    pub incremental: bool,
    /// Partitions in order of priority.
    pub partitions: Vec<(Slot, Wanted)>,
}

/// All sessions of an agent. Cloning shares them.
#[derive(Clone, Debug)]
pub struct FetchSessions(Arc<Mutex<Table>>);

impl FetchSessions {
    /// No sessions yet; ids are drawn from `rng`.
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(Table { sessions: BTreeMap::new(), partition_count: 0, rng })))
    }

    /// Takes a request's session part and says what to fetch.
    ///
    /// # Errors
    /// The condition for the whole answer, when the session is not known or not at that epoch.
    pub fn begin(&self, connection_id: u64, request: SessionRequest, now: Instant) -> Result<Plan, Condition> {
        self.lock().begin(connection_id, request, now)
    }

    /// Takes what was found, in the plan's order, and says which partitions to name in the answer.
    #[must_use]
    pub fn finish(&self, connection_id: u64, plan: &Plan, findings: &[Finding]) -> Vec<bool> {
        if plan.session_id == 0 {
            return vec![true; findings.len()];
        }
        match self.lock().sessions.get_mut(&(connection_id, plan.session_id)) {
            Some(session) => session.finish(plan, findings),
            // Evicted meanwhile: the next request will hear of it, this answer only has to be complete.
            None => vec![true; findings.len()],
        }
    }

    /// Forgets the sessions of a connection that is gone.
    pub fn close_connection(&self, connection_id: u64) {
        let mut table = self.lock();
        let gone: Vec<(u64, i32)> =
            table.sessions.range((connection_id, i32::MIN)..=(connection_id, i32::MAX)).map(|(key, _)| *key).collect();
        for key in gone {
            table.remove(key);
        }
    }

    /// How many sessions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic between two statements of the table's methods leaves counts at worst too high: sessions still work.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Table {
    sessions: BTreeMap<(u64, i32), Session>,
    partition_count: usize,
    rng: Rng,
}

impl Table {
    fn begin(&mut self, connection_id: u64, request: SessionRequest, now: Instant) -> Result<Plan, Condition> {
        let key = (connection_id, request.session_id);
        match request.epoch {
            -1 => {
                self.remove(key);
                Ok(Plan { session_id: 0, incremental: false, partitions: request.partitions })
            }
            0 => {
                self.remove(key);
                let session_id = self.open(connection_id, &request, now).unwrap_or(0);
                Ok(Plan { session_id, incremental: false, partitions: request.partitions })
            }
            _ => self.go_on(key, request, now),
        }
    }

    fn go_on(&mut self, key: (u64, i32), request: SessionRequest, now: Instant) -> Result<Plan, Condition> {
        let session = self.sessions.get_mut(&key).ok_or(Condition::FetchSessionIdNotFound)?;
        if session.epoch != request.epoch {
            return Err(Condition::InvalidFetchSessionEpoch);
        }
        if session.by_id != request.by_id {
            return Err(Condition::FetchSessionTopicIdError);
        }
        let count_before = session.partitions.len();
        session.epoch = next_epoch(session.epoch);
        session.used_at = now;
        for slot in &request.forgotten {
            session.forget(slot);
        }
        for (slot, wanted) in request.partitions {
            session.want(slot, wanted);
        }
        let partitions = session.in_order();
        let count = session.partitions.len();
        self.partition_count = self.partition_count.saturating_sub(count_before).saturating_add(count);
        // A session that fetches nothing is over, and one that outgrew the room gives it back: either way the client
        // is told by session id 0 and begins anew, and this answer is a full one.
        if count == 0 || self.partition_count > PARTITIONS_MAX {
            self.remove(key);
            return Ok(Plan { session_id: 0, incremental: false, partitions });
        }
        Ok(Plan { session_id: key.1, incremental: true, partitions })
    }

    fn open(&mut self, connection_id: u64, request: &SessionRequest, now: Instant) -> Option<i32> {
        let count = request.partitions.len();
        if count == 0 || count > PARTITIONS_MAX {
            return None;
        }
        while self.sessions.len() >= SESSIONS_MAX || self.partition_count + count > PARTITIONS_MAX {
            let (key, oldest) = self.sessions.iter().min_by_key(|(_, session)| session.used_at)?;
            if now.saturating_duration_since(oldest.used_at) < IDLE {
                return None;
            }
            self.remove(*key);
        }
        let mut session = Session::new(request.by_id, now);
        for (slot, wanted) in &request.partitions {
            session.want(slot.clone(), *wanted);
        }
        loop {
            let drawn = i32::try_from(self.rng.below(i32::MAX as u64)).unwrap_or(0);
            let key = (connection_id, drawn);
            if drawn != 0 && !self.sessions.contains_key(&key) {
                self.partition_count += session.partitions.len();
                self.sessions.insert(key, session);
                return Some(drawn);
            }
        }
    }

    fn remove(&mut self, key: (u64, i32)) {
        if let Some(session) = self.sessions.remove(&key) {
            self.partition_count = self.partition_count.saturating_sub(session.partitions.len());
        }
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// One client's standing wishes.
#[derive(Debug)]
struct Session {
    by_id: bool,
    /// The epoch that the next request must carry.
    epoch: i32,
    used_at: Instant,
    partitions: BTreeMap<Slot, Standing>,
    /// Who comes next, by turn: a partition that gave records goes to the end.
    order: BTreeMap<u64, Slot>,
    next_turn: u64,
}

#[derive(Debug)]
struct Standing {
    wanted: Wanted,
    told: Option<Told>,
    turn: u64,
}

impl Session {
    fn new(by_id: bool, now: Instant) -> Self {
        Self { by_id, epoch: 1, used_at: now, partitions: BTreeMap::new(), order: BTreeMap::new(), next_turn: 0 }
    }

    fn want(&mut self, slot: Slot, wanted: Wanted) {
        if let Some(standing) = self.partitions.get_mut(&slot) {
            standing.wanted = wanted;
            return;
        }
        let turn = self.take_turn();
        self.order.insert(turn, slot.clone());
        self.partitions.insert(slot, Standing { wanted, told: None, turn });
    }

    fn forget(&mut self, slot: &Slot) {
        if let Some(standing) = self.partitions.remove(slot) {
            self.order.remove(&standing.turn);
        }
    }

    fn in_order(&self) -> Vec<(Slot, Wanted)> {
        let wanted = |slot: &Slot| self.partitions.get(slot).map(|standing| (slot.clone(), standing.wanted));
        self.order.values().filter_map(wanted).collect()
    }

    fn finish(&mut self, plan: &Plan, findings: &[Finding]) -> Vec<bool> {
        plan.partitions
            .iter()
            .zip(findings)
            .map(|((slot, _), finding)| {
                let news = self.tell(slot, finding);
                news || !plan.incremental
            })
            .collect()
    }

    /// Remembers what the client is told now; says whether it is news.
    fn tell(&mut self, slot: &Slot, finding: &Finding) -> bool {
        let turn = self.take_turn();
        let Some(standing) = self.partitions.get_mut(slot) else { return true };
        let news = finding.records || finding.told.is_none() || finding.told != standing.told;
        standing.told = finding.told;
        if finding.records {
            self.order.remove(&standing.turn);
            standing.turn = turn;
            self.order.insert(turn, slot.clone());
        }
        news
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

#[cfg(test)]
mod tests;
