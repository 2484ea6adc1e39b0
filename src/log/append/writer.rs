//! The writer: drives admit → buffer → upload → commit.

use crate::log::append::values::{AppendOutcome, AppendRequest};

/// Hands appends to the writer. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Writer {}

impl Writer {
    /// Takes a request into the log.
    ///
    /// The batches are admitted in the order in which this method is *called*, before it returns; the future only
    /// waits for the outcome, one per partition in the request's order. Dropping the future does not undo the append.
    pub fn append(&self, request: AppendRequest) -> impl Future<Output = Vec<AppendOutcome>> + Send + 'static {
        let _ = request;
        async { Vec::new() }
    }
}
