//! The list of all cases.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::metastore::conformance::kit::Bench;
use crate::metastore::conformance::{atomic, batch_index, catalog, object_ledger, reading, state_store};
use crate::metastore::store::Metastore;

type Run = Box<dyn Fn(Bench) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// One case: a sentence of the contract, and the function that tries to break it.
pub struct Case {
    /// What must hold.
    pub name: &'static str,
    run: Run,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Case {
    /// Joins a name and a function.
    pub(super) fn new<F, Running>(name: &'static str, run: F) -> Self
    where
        F: Fn(Bench) -> Running + Send + Sync + 'static,
        Running: Future<Output = ()> + Send + 'static,
    {
        Self { name, run: Box::new(move |bench| Box::pin(run(bench))) }
    }

    /// Runs the case; panics when the contract is broken.
    pub async fn run(&self, metastore: Arc<dyn Metastore>) {
        (self.run)(Bench::new(metastore).await).await;
    }
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = catalog::cases();
    cases.extend(batch_index::cases());
    cases.extend(atomic::cases());
    cases.extend(reading::cases());
    cases.extend(object_ledger::cases());
    cases.extend(state_store::cases());
    cases
}

/// Runs every case against one open metastore, in order; panics at the first broken one. The case that runs is
/// logged before it starts.
pub async fn run_all(metastore: Arc<dyn Metastore>) {
    for case in cases() {
        tracing::info!(case = case.name, backend = metastore.backend(), "conformance");
        case.run(Arc::clone(&metastore)).await;
    }
}
