//! Share groups (KIP-932): queues whose acquisition state lives in the metastore.
//!
//! ```text
//! values       what crosses between these rooms and the API
//! partition    pure: one share partition's state and every decision on it
//! group        the home agent: members, assignment, the administration of offsets
//! letters      dead letters: what is given up goes to a topic, in the same step
//! delivery     any agent: load documents → read batches → decide → write → answer
//! ```
//!
//! *Invariants.* A record is with one member at a time unless its lock ended; what was answered as acknowledged is never
//! delivered again; every acquisition counts once, whatever agent dies; nothing between the start offset and the end
//! offset is forgotten. *Not here:* who may do what, sessions and versions (`api/share`).

pub mod delivery;
pub mod group;
pub mod letters;
pub mod partition;
pub mod values;
