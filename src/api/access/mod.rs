//! Requests about who may do what, and how much.

pub mod alter_client_quotas;
pub mod create_acls;
pub mod delete_acls;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod refusal;
