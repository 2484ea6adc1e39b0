//! Floor 4: the HTTP side of an agent. `/metrics`, `/livez`, `/readyz`, and a look at share groups; nothing here takes
//! part in serving Kafka.

pub mod health;
pub mod http;
pub mod share;
