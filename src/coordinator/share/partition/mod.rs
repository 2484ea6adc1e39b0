//! The acquisition state of one share partition (KIP-932), as values and pure decisions.
//!
//! ```text
//! values       what crosses between these rooms and the API
//! ```

pub mod acknowledge;
pub mod acquire;
pub mod document;
#[cfg(test)]
mod kit;
pub mod lapse;
pub mod letter;
mod rewrite;
pub mod rules;
pub mod run;
pub mod start;
pub mod state;
pub mod unreadable;
mod varint;
