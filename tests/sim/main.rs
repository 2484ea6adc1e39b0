//! Simulation: whole agents under faults in virtual time, judged by a history checker.

mod checker;
mod history;
mod planted;
