//! Requests of idempotent and transactional producers.

pub mod init_producer_id;
