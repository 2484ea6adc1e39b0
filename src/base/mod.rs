//! Floor 1: time, randomness, tasks and metrics, the only room that touches the machine for them.

pub mod backoff;
pub mod clock;
pub mod crc;
pub mod latest;
pub mod metrics;
pub mod rng;
pub mod task;
