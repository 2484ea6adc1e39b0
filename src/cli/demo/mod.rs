//! `towpath demo`: an agent, producers and a consumer group in one process, and a table of what happens.
//!
//! ```text
//! logs (synthetic records) → work (producers, members) → stats (counters) → screen (table or lines)   driven by run
//! ```

pub mod logs;
pub mod run;
pub mod screen;
pub mod stats;
pub mod work;
