//! `towpath bench`: a steady load, and what it did to latency.
//!
//! The load is *open*: requests are due at fixed moments, whatever happened to those before them, and every latency
//! counts from the moment the request was due. A broker that stalls for a second is seen to stall for a second,
//! not once but for every request of that second.
//!
//! ```text
//! payload (batches) → open_loop (when) → produce | e2e      consume (as fast as it goes)      → report
//! ```

pub mod consume;
pub mod e2e;
pub mod ledger;
pub mod open_loop;
pub mod payload;
pub mod produce;
pub mod progress;
pub mod report;
pub mod run;
pub mod share;
pub mod share_report;
