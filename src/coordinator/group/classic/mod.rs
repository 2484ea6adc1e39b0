//! The classic group protocol as pure decisions: no I/O, no clock, no randomness.
//!
//! ```text
//!            join                 all joined or time is up            the leader's assignment
//!   Empty ─────────► PreparingRebalance ─────────► CompletingRebalance ─────────► Stable
//!     ▲                   │    ▲   ▲                        │                       │
//!     └── nobody left ────┘    │   └─ member joins or goes ─┘                       │
//!                              └──────────── member joins, goes or changes ─────────┘
//!   Dead: there is no such group; the first join or commit makes it Empty, deletion makes it Dead.
//! ```
//!
//! *Invariants.* Generations only grow. In every state but `Dead` and an empty group exactly one member leads. A
//! waiting request is answered exactly once. What is stored changes only when [`Effects::persist`] says so.
//!
//! *Files.* `state` holds the group and small questions about it, `rebalance` the way from one generation to the
//! next, `join`, `sync` and `leave` the requests, `rules` who may do what with offsets and when they expire,
//! `decide` puts them together.
//!
//! *Not here.* Loading, storing, waiting: `shard`. Committed offsets themselves: `offsets`.
//!
//! [`Effects::persist`]: crate::coordinator::group::values::Effects

pub mod decide;
pub mod join;
pub mod leave;
pub mod rebalance;
pub mod rules;
pub mod state;
pub mod sync;
