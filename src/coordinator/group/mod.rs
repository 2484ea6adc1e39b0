//! Classic consumer groups and committed offsets.
//!
//! ```text
//! service ── home? ──► shard (one per group) ── load ─► decide ─► persist, fenced ─► answer
//!    │                   └─ commits: validate ─► one write at a time, the rest gathers ─► answer
//!    └─ upkeep: homes that moved, offsets that expired
//! ```
//!
//! *Invariants.* A group is decided by its home agent alone: loading its document rewrites it, so that whatever a
//! former home still tries fails on the document's version. A commit of offsets checks that version in the same
//! step. Nothing is answered before it is stored. A move or a restart is no rebalance.
//!
//! *Failure.* When a step of the metastore conflicts, another home took over: the shard forgets the group and
//! answers `NotCoordinator`. When it can not be reached, waiting requests are told to retry and the group is read
//! again. *Not here:* who is home to what (`coordinator/placement`), how shards begin and end
//! (`coordinator/shards`), share groups, transactions.

pub mod classic;
pub mod command;
pub mod commits;
pub mod committing;
pub mod context;
pub mod document;
pub mod expiry;
pub mod member;
pub mod offsets;
pub mod run;
pub mod service;
pub mod shard;
pub mod store;
pub mod subscription;
pub mod upkeep;
pub mod values;
