//! Share groups (KIP-932): fetching and acknowledging, membership, administration of offsets.
//!
//! ```text
//! ShareFetch, ShareAcknowledge: caller → share_session (epochs, partitions) → acknowledgements (checked) → delivery
//! ShareGroupHeartbeat, Describe, offsets: → the group's home agent
//! ```
//!
//! Sessions belong to the connection that opened them and are all that an agent keeps of a member; what the member
//! holds is stored. `closed` of the dispatcher ends sessions and gives their records back.

pub mod acknowledgements;
pub mod alter_share_group_offsets;
pub mod caller;
pub mod closing;
pub mod delete_share_group_offsets;
pub mod describe_share_group_offsets;
pub mod fetch_parts;
pub mod share_acknowledge;
pub mod share_fetch;
pub mod share_group_describe;
pub mod share_group_heartbeat;
pub mod share_session;
