//! The metastore's contract, run against every backend.

use std::sync::Arc;

use towpath::base::clock::{ManualClock, SystemClock, Timestamp};
use towpath::metastore::conformance::suite::run_all;
use towpath::metastore::memory::store::MemoryMetastore;

#[tokio::test]
async fn memory_keeps_the_contract() {
    run_all(Arc::new(MemoryMetastore::new(Arc::new(SystemClock)))).await;
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract_in_virtual_time() {
    let clock = ManualClock::starting_at(Timestamp(1_700_000_000_000));
    run_all(Arc::new(MemoryMetastore::new(Arc::new(clock)))).await;
}
