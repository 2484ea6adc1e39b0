//! Produced batches become durable, sequenced offsets.
//!
//! ```text
//! admit → buffer → upload → commit          driven by writer
//! ```

pub mod values;
pub mod writer;
