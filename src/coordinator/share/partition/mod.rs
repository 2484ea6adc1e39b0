//! The acquisition state of one share partition (KIP-932): values and pure decisions, no time, no waiting, no storage.
//!
//! ```text
//!                start offset                                 end offset        high watermark
//!                     │                                            │                  │
//!   … finished …      ▼ 40            45    47         55     60   ▼ 70               ▼
//!   ──────────────────┬───────────────┬─────┬──────────┬──────┬────┬──────────────────┬──
//!                     │ acquired ×1   │ ackn│ available│ arch.│ …  │ never acquired   │
//!                     │ by m1 until t │     │ ×2       │      │    │                  │
//!   ──────────────────┴───────────────┴─────┴──────────┴──────┴────┴──────────────────┴──
//!                     └── the window, at most `record_locks_max` ──┘
//!
//!   never acquired ─────── acquire (delivery count: 1) ───────────►┐
//!                                                                  │
//!      ┌────────────────── acquire (delivery count + 1) ──────────►│
//!      │                                                           ▼
//!   AVAILABLE ◄── release, lock ended: count below the limit ── ACQUIRED ◄─┐
//!      │           (available after a rest)                       │ │ └────┘ renew
//!      │ hole,                                                    │ │
//!      │ withheld           gap; with a letter: reject, or        │ │
//!      └─────► ARCHIVED ◄── release or lock ended at the limit ───┘ └── accept ──► ACKNOWLEDGED
//!
//!   run, rules     neighbouring offsets with one fate; what the group's configuration means
//!   state          the window: what it says of itself, what must hold of it
//!   rewrite        a stretch of runs is written anew, all at once or not at all
//!   letter         what is given up: candidates for a dead letter queue
//!   lapse          locks end: by time, with the session, with the agent
//!   acknowledge    a member says what became of what it holds
//!   acquire        a member takes what is available, then what is new
//!   start          the log begins later than it did
//!   signature      who wrote last, for whoever was not answered
//!   document       the stored form (varint, unreadable)
//! ```
//!
//! *Invariants* ([`state::SharePartitionState::check`]). The runs are contiguous from the start offset to the end offset
//! and neighbours differ; the start offset is the first that is not finished; every offset in the window is with one
//! holder at most, and every holder that is listed holds something. An acquisition adds one to the delivery count, and
//! nothing else changes it. What was acknowledged or archived stays so. The end offset only moves on from where it is:
//! no record is passed over.
//!
//! *Cost.* One pass over the runs at worst, and one copy of those behind the stretch that changed; a window has at most
//! some thousands.
//!
//! *Failure.* A decision is all or nothing: a refusal leaves the state as it was. Callers decide on a copy and drop it
//! when the metastore refuses it.
//!
//! *Not here:* when locks are looked at, reading and storing (`delivery`), who may do what, sessions (`api/share`), the
//! group's membership (`group`), writing dead letters (`letters`).

pub mod acknowledge;
pub mod acquire;
pub mod document;
#[cfg(test)]
mod kit;
pub mod lapse;
pub mod letter;
mod rewrite;
pub mod rules;
pub mod run;
pub mod signature;
pub mod start;
pub mod state;
#[cfg(test)]
mod tests;
pub mod unreadable;
mod varint;
