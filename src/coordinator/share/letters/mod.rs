//! Dead letters (KIP-1191): what a share group gives up is written to a topic, in the very step that gives it up.
//!
//! ```text
//! round ─► breaker ─► topic ─► collect ─► build ─► log/append/atomic: records and documents in one step
//!            │          │        (reads the records)                        │ topic deleted meanwhile
//!            ▼          ▼                                                   └─► topic, once more
//!          held    no topic takes them: the documents alone
//! ```
//!
//! The one entry: [`service::Letters::commit`] with a [`values::LetterRound`].
//!
//! *Invariants.* A letter exists exactly when the record is given up: both are one step, whatever fails. A letter stands
//! for a record that exists: offsets without one (compaction, markers) make none. *Failure.* What can not be reached now
//! is tried again by the caller, and nothing has changed until then; Kafka gives up after five attempts. Only a topic
//! that does not exist, does not take dead letters or is too small for them lets records go without a letter.
//! *Not here.* Which records are given up (`partition/`), when to try again (`delivery/`).

pub mod breaker;
pub mod build;
pub mod collect;
pub mod counters;
pub mod service;
pub mod topic;
pub mod values;
