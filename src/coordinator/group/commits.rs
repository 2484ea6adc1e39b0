//! Commits of offsets on their way to the metastore.
//!
//! One write is under way per group; what comes meanwhile gathers and leaves together, so that order is kept and
//! a slow metastore costs latency, not throughput.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::coordinator::group::command::{Reply, tell};
use crate::coordinator::group::values::CommitOutcome;
use crate::metastore::values::{DocumentChange, DocumentKey, DocumentPut, DocumentVersion, DocumentWrite, Expect};
use crate::model::error::Condition;

/// Commits that wait to be written together.
#[derive(Debug, Default)]
pub struct CommitQueue {
    puts: BTreeMap<DocumentKey, Bytes>,
    waiters: Vec<Waiter>,
}

#[derive(Debug)]
enum Waiter {
    /// A commit, with the results of partitions that are decided already.
    Commit(Vec<Result<(), Condition>>, Reply<CommitOutcome>),
    /// Somebody who wants to read what is being committed.
    Settle(Reply<Result<(), Condition>>),
}

impl CommitQueue {
    /// How many documents wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Adds a commit; of two commits of one partition the later one counts.
    pub fn push(
        &mut self,
        puts: Vec<(DocumentKey, Bytes)>,
        results: Vec<Result<(), Condition>>,
        reply: Reply<CommitOutcome>,
    ) {
        self.puts.extend(puts);
        self.waiters.push(Waiter::Commit(results, reply));
    }

    /// Adds somebody who waits for what is here.
    pub fn settle(&mut self, reply: Reply<Result<(), Condition>>) {
        self.waiters.push(Waiter::Settle(reply));
    }

    /// The step that writes it all, provided that `guards` hold: of the group's document first.
    #[must_use]
    pub fn write(&mut self, guards: Vec<DocumentPut>) -> DocumentWrite {
        let puts = std::mem::take(&mut self.puts).into_iter();
        let put = |(key, body)| DocumentPut { key, expect: Expect::Any, change: DocumentChange::Put(body) };
        DocumentWrite { puts: guards.into_iter().chain(puts.map(put)).collect() }
    }

    /// Answers everyone.
    pub fn answer(self, outcome: Result<(), Condition>) {
        for waiter in self.waiters {
            match waiter {
                Waiter::Commit(results, reply) => tell(reply, outcome.map(|()| results)),
                Waiter::Settle(reply) => tell(reply, outcome),
            }
        }
    }
}

/// What a write that makes a group expects: no group of another kind has its id.
#[must_use]
pub fn check_absent(key: DocumentKey) -> DocumentPut {
    DocumentPut { key, expect: Expect::Absent, change: DocumentChange::Check }
}

/// What a write of offsets expects of the group's document: to be as this home last wrote it.
#[must_use]
pub fn check(key: DocumentKey, version: DocumentVersion) -> DocumentPut {
    DocumentPut { key, expect: Expect::Version(version), change: DocumentChange::Check }
}
