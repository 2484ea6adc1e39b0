//! The metastore's contract, run against every backend that needs no service.

use std::sync::Arc;

use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use proptest::prelude::*;
use towpath::base::clock::{ManualClock, SystemClock, Timestamp};
use towpath::base::rng::Rng;
use towpath::base::task::Supervisor;
use towpath::config::metastore::MetastoreSettings;
use towpath::metastore::conformance::equivalence::compare;
use towpath::metastore::conformance::suite::run_all;
use towpath::metastore::memory::store::MemoryMetastore;
use towpath::metastore::open::{Surroundings, open};
use towpath::metastore::store::Metastore;

async fn embedded(store: Arc<dyn ObjectStore>) -> Arc<dyn Metastore> {
    let surroundings = Surroundings {
        store,
        prefix: "metastore".into(),
        clock: Arc::new(SystemClock),
        rng: Rng::from_entropy(),
        supervisor: Supervisor::default(),
    };
    open(&MetastoreSettings::default(), surroundings).await.expect("the metastore opens")
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    run_all(Arc::new(MemoryMetastore::new(Arc::new(SystemClock)))).await;
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract_in_virtual_time() {
    let clock = ManualClock::starting_at(Timestamp(1_700_000_000_000));
    run_all(Arc::new(MemoryMetastore::new(Arc::new(clock)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_in_memory_keeps_the_contract() {
    let metastore = embedded(Arc::new(InMemory::new())).await;
    run_all(Arc::clone(&metastore)).await;
    metastore.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_in_a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).expect("a store"));
    let metastore = embedded(Arc::clone(&store)).await;
    run_all(Arc::clone(&metastore)).await;
    metastore.close().await.expect("it closes");
    // Once more over what the first run left.
    run_all(embedded(store).await).await;
}

/// A runtime for one case of a property test.
fn in_runtime(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(case);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The driver itself: memory agrees with memory.
    #[test]
    fn memory_equals_memory(choices in prop::collection::vec(any::<u64>(), 1..150)) {
        in_runtime(async {
            let memory = || Arc::new(MemoryMetastore::new(Arc::new(SystemClock)));
            compare(&choices, memory(), memory(), None).await;
        });
    }

    /// The embedded metastore answers as the specification does, also when it crashes and opens again now and then.
    #[test]
    fn embedded_equals_memory(choices in prop::collection::vec(any::<u64>(), 1..250)) {
        in_runtime(async {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let memory = Arc::new(MemoryMetastore::new(Arc::new(SystemClock)));
            let first = embedded(Arc::clone(&store)).await;
            let reopen = move || -> BoxFuture<'static, Arc<dyn Metastore>> { Box::pin(embedded(Arc::clone(&store))) };
            compare(&choices, memory, first, Some(&reopen)).await;
        });
    }
}
