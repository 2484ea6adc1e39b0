//! Consumer groups and committed offsets.
//!
//! Every handler translates in, asks the group coordinator once per group, and translates out. Authorisation is not
//! here yet: there is no authoriser to ask.

pub mod delete_groups;
pub mod describe_groups;
pub mod heartbeat;
pub mod join_group;
#[cfg(test)]
mod kit;
pub mod leave_group;
pub mod list_groups;
pub mod names;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod sync_group;
