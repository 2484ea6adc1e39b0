//! Simulation: whole agents under faults in virtual time, judged by a history checker.
//!
//! `TOWPATH_SIM_SEEDS=1000 cargo test --test sim` runs more seeds, `TOWPATH_SIM_SEED=17` one, and `TOWPATH_SIM_TRACE=1`
//! prints what happens, moment by moment. The same seed gives the same run on every machine.

#![allow(clippy::disallowed_methods, reason = "simulated clients are tasks of the test")]

mod checker;
mod clients;
mod committed;
mod faults;
mod groups;
mod history;
mod link;
mod mutants;
mod planted;
mod runs;
mod share_checker;
mod share_planted;
mod share_runs;
mod sharing;
#[path = "../kit/toxic_store.rs"]
mod toxic_store;
mod trace;
mod transactions;
mod world;
