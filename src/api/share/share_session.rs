//! Share sessions: which partitions a member fetches from, so that requests and answers carry only what changed.
//!
//! A session is named by group and member, numbered from request to request, and belongs to the connection that opened
//! it: when that closes, what the member holds is given back. ShareFetch and ShareAcknowledge share one number.
//!
//! Not here: what the member holds, and time. A session without room is refused; sessions are bounded by number and by
//! partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::error::{Condition, Failure};
use crate::model::group::{GroupId, MemberId};
use crate::model::topic::TopicIdPartition;

/// Partitions over all sessions at most: about 150 bytes each.
const PARTITIONS_MAX: usize = 200_000;

/// Opens a session.
pub const INITIAL_EPOCH: i32 = 0;
/// Closes a session.
pub const FINAL_EPOCH: i32 = -1;

/// Whose session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey {
    /// The group.
    pub group_id: GroupId,
    /// The member.
    pub member_id: MemberId,
}

/// The session part of a ShareFetch.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    /// 0 opens a session, −1 closes it, else its next number.
    pub epoch: i32,
    /// Partitions to fetch from here on.
    pub partitions: Vec<TopicIdPartition>,
    /// Partitions to fetch no longer.
    pub forgotten: Vec<TopicIdPartition>,
    /// Whether something is acknowledged: nobody has anything before the session is open.
    pub acknowledges: bool,
}

/// What to fetch, and how to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which session this is for, among all that ever were.
    number: u64,
    /// Whether partitions without news are left out of the answer.
    pub incremental: bool,
    /// Partitions in order of priority.
    pub partitions: Vec<TopicIdPartition>,
    /// The session is over: what the member holds of these is to be given back when all is said.
    pub closing: Option<Vec<TopicIdPartition>>,
}

/// What a fetch found in a partition, as far as sessions care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Nothing,
    /// Records, or what became of acknowledgements.
    News,
    /// An error.
    Failed,
}

/// All share sessions of an agent. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ShareSessions(Arc<Mutex<Table>>);

impl ShareSessions {
    /// No sessions yet, and never more than `sessions_max` (`group.share.max.share.sessions`).
    #[must_use]
    pub fn new(sessions_max: usize) -> Self {
        let table = Table { sessions: BTreeMap::new(), sessions_max, partition_count: 0, next_number: 0 };
        Self(Arc::new(Mutex::new(table)))
    }

    /// Takes a ShareFetch's session part and says what to fetch.
    ///
    /// # Errors
    /// For the whole answer: the session is not known, not at that epoch, or there is no room for it. Nothing changed.
    pub fn begin(&self, connection_id: u64, key: &SessionKey, request: SessionRequest) -> Result<Plan, Failure> {
        self.lock().begin(connection_id, key, request)
    }

    /// Takes what was found, in the plan's order, and says which partitions to name in the answer.
    #[must_use]
    pub fn finish(&self, key: &SessionKey, plan: &Plan, findings: &[Finding]) -> Vec<bool> {
        match self.lock().sessions.get_mut(key).filter(|session| session.number == plan.number) {
            Some(session) => session.finish(plan, findings),
            // Closed or replaced meanwhile: the answer only has to be complete.
            None => vec![true; findings.len()],
        }
    }

    /// Takes a ShareAcknowledge's number. `Some` when that closes the session: what the member holds of these
    /// partitions is to be given back when all is said.
    ///
    /// # Errors
    /// For the whole answer: the session is not known, or not at that epoch. Nothing changed.
    pub fn acknowledge(&self, key: &SessionKey, epoch: i32) -> Result<Option<Vec<TopicIdPartition>>, Failure> {
        self.lock().acknowledge(key, epoch)
    }

    /// Forgets the sessions of a connection that is gone; says whose they were and from which partitions their members
    /// may hold something.
    #[must_use]
    pub fn close_connection(&self, connection_id: u64) -> Vec<(SessionKey, Vec<TopicIdPartition>)> {
        let mut table = self.lock();
        let of_connection = table.sessions.iter().filter(|(_, session)| session.connection_id == connection_id);
        let keys: Vec<SessionKey> = of_connection.map(|(key, _)| key.clone()).collect();
        let gone = keys.into_iter().filter_map(|key| {
            let session = table.remove(&key)?;
            Some((key, session.all_partitions()))
        });
        gone.collect()
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
    sessions: BTreeMap<SessionKey, Session>,
    sessions_max: usize,
    partition_count: usize,
    next_number: u64,
}

impl Table {
    fn begin(&mut self, connection_id: u64, key: &SessionKey, request: SessionRequest) -> Result<Plan, Failure> {
        match request.epoch {
            INITIAL_EPOCH if request.acknowledges => Err(Failure::new(
                Condition::InvalidRequest,
                "a request that opens a share session can not acknowledge: nothing was delivered in it yet",
            )),
            INITIAL_EPOCH => self.open(connection_id, key, request),
            FINAL_EPOCH => {
                let session = self.remove(key).ok_or_else(|| not_found(key))?;
                let closing = Some(session.all_partitions());
                Ok(Plan { number: session.number, incremental: true, partitions: Vec::new(), closing })
            }
            _ => self.go_on(key, request),
        }
    }

    fn open(&mut self, connection_id: u64, key: &SessionKey, request: SessionRequest) -> Result<Plan, Failure> {
        // What the member holds stays with it: it opens a new session because it lost count, not because it is gone.
        self.remove(key);
        if self.sessions.len() >= self.sessions_max || self.partition_count + request.partitions.len() > PARTITIONS_MAX
        {
            let sentence = format!("the agent keeps {} share sessions and has no room for more", self.sessions.len());
            return Err(Failure::new(Condition::ShareSessionLimitReached, sentence));
        }
        self.next_number += 1;
        let mut session = Session::new(connection_id, self.next_number);
        request.partitions.iter().for_each(|partition| session.add(*partition));
        let partitions = session.in_order(INITIAL_EPOCH);
        self.partition_count += session.weight();
        self.sessions.insert(key.clone(), session);
        Ok(Plan { number: self.next_number, incremental: false, partitions, closing: None })
    }

    fn go_on(&mut self, key: &SessionKey, request: SessionRequest) -> Result<Plan, Failure> {
        let session = self.sessions.get_mut(key).ok_or_else(|| not_found(key))?;
        session.check_epoch(request.epoch)?;
        let weight_before = session.weight();
        let fresh = request.partitions.iter().filter(|partition| !session.knows(partition)).count();
        if fresh > 0 && self.partition_count + fresh > PARTITIONS_MAX {
            let sentence = format!("the agent's share sessions hold {} partitions already", self.partition_count);
            return Err(Failure::new(Condition::ShareSessionLimitReached, sentence));
        }
        session.epoch = next_epoch(session.epoch);
        request.partitions.iter().for_each(|partition| session.add(*partition));
        request.forgotten.iter().for_each(|partition| session.forget(partition));
        let partitions = session.in_order(request.epoch);
        self.partition_count = self.partition_count.saturating_sub(weight_before) + session.weight();
        Ok(Plan { number: session.number, incremental: true, partitions, closing: None })
    }

    fn acknowledge(&mut self, key: &SessionKey, epoch: i32) -> Result<Option<Vec<TopicIdPartition>>, Failure> {
        if epoch == INITIAL_EPOCH {
            let sentence = "a share session is opened by fetching, not by acknowledging";
            return Err(Failure::new(Condition::InvalidShareSessionEpoch, sentence));
        }
        if epoch == FINAL_EPOCH {
            let session = self.remove(key).ok_or_else(|| not_found(key))?;
            return Ok(Some(session.all_partitions()));
        }
        let session = self.sessions.get_mut(key).ok_or_else(|| not_found(key))?;
        session.check_epoch(epoch)?;
        session.epoch = next_epoch(session.epoch);
        Ok(None)
    }

    fn remove(&mut self, key: &SessionKey) -> Option<Session> {
        let session = self.sessions.remove(key)?;
        self.partition_count = self.partition_count.saturating_sub(session.weight());
        Some(session)
    }
}

fn not_found(key: &SessionKey) -> Failure {
    let sentence = format!("member '{}' of group '{}' has no share session here", key.member_id, key.group_id);
    Failure::new(Condition::ShareSessionNotFound, sentence)
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[derive(Debug)]
struct Session {
    connection_id: u64,
    number: u64,
    /// The epoch that the next request must carry.
    epoch: i32,
    partitions: BTreeMap<TopicIdPartition, Standing>,
    /// The same by the turn in which they came.
    order: BTreeMap<u64, TopicIdPartition>,
    /// Fetched no longer, but the member may still hold something.
    left: BTreeSet<TopicIdPartition>,
    next_turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    turn: u64,
    /// Whether the next answer names the partition in any case: it is new, or failed the last time.
    is_due: bool,
}

impl Session {
    fn new(connection_id: u64, number: u64) -> Self {
        Self {
            connection_id,
            number,
            epoch: 1,
            partitions: BTreeMap::new(),
            order: BTreeMap::new(),
            left: BTreeSet::new(),
            next_turn: 0,
        }
    }

    fn check_epoch(&self, epoch: i32) -> Result<(), Failure> {
        if self.epoch == epoch {
            return Ok(());
        }
        let sentence = format!("the share session is at epoch {}, the request says {epoch}", self.epoch);
        Err(Failure::new(Condition::InvalidShareSessionEpoch, sentence))
    }

    fn knows(&self, partition: &TopicIdPartition) -> bool {
        self.partitions.contains_key(partition) || self.left.contains(partition)
    }

    fn add(&mut self, partition: TopicIdPartition) {
        if self.partitions.contains_key(&partition) {
            return;
        }
        self.left.remove(&partition);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.partitions.insert(partition, Standing { turn, is_due: true });
        self.order.insert(turn, partition);
    }

    fn forget(&mut self, partition: &TopicIdPartition) {
        if let Some(standing) = self.partitions.remove(partition) {
            self.order.remove(&standing.turn);
            self.left.insert(*partition);
        }
    }

    /// Partitions as they came, but beginning with another one each time: none goes short for ever when an answer is
    /// full before all had their turn.
    fn in_order(&self, epoch: i32) -> Vec<TopicIdPartition> {
        let mut partitions: Vec<TopicIdPartition> = self.order.values().copied().collect();
        if !partitions.is_empty() {
            let start = usize::try_from(epoch).unwrap_or(0) % partitions.len();
            partitions.rotate_left(start);
        }
        partitions
    }

    fn all_partitions(&self) -> Vec<TopicIdPartition> {
        self.partitions.keys().chain(&self.left).copied().collect()
    }

    fn weight(&self) -> usize {
        self.partitions.len() + self.left.len()
    }

    fn finish(&mut self, plan: &Plan, findings: &[Finding]) -> Vec<bool> {
        let named = plan.partitions.iter().zip(findings).map(|(partition, finding)| {
            let was_due = match self.partitions.get_mut(partition) {
                Some(standing) => std::mem::replace(&mut standing.is_due, *finding == Finding::Failed),
                None => false,
            };
            was_due || *finding != Finding::Nothing || !plan.incremental
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests;
