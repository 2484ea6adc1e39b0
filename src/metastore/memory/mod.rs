//! The metastore as ordered maps behind one lock: the executable specification of every backend.
//!
//! One file per role; each method reads like the sentence in its trait. Nothing survives the process.

mod batch_index;
mod catalog;
mod object_ledger;
mod state;
mod state_store;
pub mod store;
