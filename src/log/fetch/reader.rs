//! The reader: drives locate → plan → load → assemble, and waits for long polls.

use crate::log::fetch::values::{FetchOutcome, FetchRequest};

/// Serves fetches. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Reader {}

impl Reader {
    /// Bytes for one Fetch request: one outcome per partition, in the request's order.
    pub async fn fetch(&self, request: FetchRequest) -> Vec<FetchOutcome> {
        let _ = request;
        Vec::new()
    }
}
