//! Share groups: who is in them and what they may fetch from, and the administration of their start offsets.
//!
//! ```text
//! service ── home? ──► shard (one per group) ── load ─► decide ─► store, fenced ─► answer
//!    │                   └─ administration: alter and delete offsets, delete groups
//!    ├─ progress: how far a group is, read from its share partitions' documents
//!    └─ upkeep: homes that moved, groups that nobody asks for
//! ```
//!
//! *Invariants.* A group is decided by its home agent alone: loading its document rewrites it, so that whatever a former
//! home still tries fails on the document's version. Share partitions come into being and go in the same step as the
//! group's document says so, and only those that exist are assigned. An id is a classic group's or a share group's,
//! never both. Nothing is answered before it is stored; a heartbeat that changes nothing stores nothing. A move or a
//! restart is no rebalance.
//!
//! *Failure.* When a step of the metastore conflicts, another home took over: the shard forgets the group and answers
//! `NotCoordinator`. When its answer is lost, the document tells. *Not here:* how shards begin and end
//! (`coordinator/shards`), what is delivered to whom (`share/delivery`), what a share partition's state means
//! (`share/partition`).

pub mod administration;
pub mod assign;
pub mod command;
pub mod context;
pub mod decide;
pub mod document;
pub mod heartbeat;
pub mod limits;
pub mod progress;
pub mod run;
pub mod service;
pub mod shard;
pub mod state;
pub mod store;
pub mod topics;
pub mod upkeep;
