//! The contract of the metastore as cases that any backend can run: [`suite::run_all`] over an open metastore.
//!
//! Cases panic when the contract is broken, as tests do. Each makes its own topics, nodes, keys and documents,
//! so that all of them can share one store, even one that is used again; they run one after another because a
//! few steps (expiry) reach everything.
//!
//! ```text
//! suite         the list of all cases           equivalence   random steps, two backends, same answers
//! kit           what cases are made of          catalog  batch_index  atomic  reading  object_ledger  state_store   the cases
//! ```

pub mod atomic;
pub mod batch_index;
pub mod catalog;
pub mod equivalence;
pub mod kit;
pub mod object_ledger;
pub mod reading;
pub mod state_store;
pub mod suite;
