//! Floor 3: the metastore. Four role traits, every method one atomic step over plain values.
//!
//! No transaction handle crosses the seam: what must change together travels in one request value.
//! `memory` is the executable specification; every backend passes `conformance`.

pub mod batch_index;
pub mod cached;
pub mod catalog;
pub mod error;
pub mod object_ledger;
pub mod state_store;
pub mod store;
pub mod values;
