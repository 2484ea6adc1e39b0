//! Floor 3: the metastore. Four role traits, every method one atomic step over plain values.
//!
//! No transaction handle crosses the seam: what must change together travels in one request value.
//! `memory` is the executable specification; every backend passes `conformance`.
//!
//! ```text
//! catalog  batch_index  object_ledger  state_store     roles, joined in store
//! values  error                                        what crosses the seam
//! topics  nodes  sequencing  feed                      decisions that backends share, pure
//! memory  embedded  postgres                           backends; open chooses one
//! cached                                               what agents put in front of a backend
//! conformance                                          what every backend must do
//! ```

pub mod batch_index;
pub mod cached;
pub mod catalog;
#[doc(hidden)]
pub mod conformance;
pub mod embedded;
pub mod error;
pub mod feed;
pub mod memory;
pub mod nodes;
pub mod object_ledger;
pub mod open;
pub mod postgres;
pub mod sequencing;
pub mod state_store;
pub mod store;
pub mod topics;
pub mod values;
