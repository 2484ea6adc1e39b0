//! The `postgres` metastore against a real PostgreSQL: the contract, races between agents, lost answers.
//!
//! Skipped, loudly, where PostgreSQL is not installed.
#![allow(clippy::disallowed_methods, reason = "tests spawn what races")]

mod kit;

use std::sync::Arc;
use std::time::Duration;

use kit::postgres::postgres;
use towpath::base::task::Supervisor;
use towpath::metastore::conformance::suite;
use towpath::metastore::postgres::store::open;
use towpath::metastore::store::Metastore;

/// A metastore and the supervisor of its tasks.
struct Agent {
    metastore: Arc<dyn Metastore>,
    supervisor: Supervisor,
}

impl Agent {
    async fn start(url: &str, connections: usize) -> Self {
        let supervisor = Supervisor::default();
        let metastore = open(url, connections, &supervisor).await.expect("the metastore opens");
        Self { metastore, supervisor }
    }

    async fn stop(self) {
        self.metastore.close().await.expect("the metastore closes");
        self.supervisor.stop(Duration::from_secs(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let Some(server) = postgres() else { return };
    let agent = Agent::start(&server.url(), 4).await;
    let mut broken = Vec::new();
    for case in suite::cases() {
        let metastore = Arc::clone(&agent.metastore);
        let name = case.name;
        if tokio::spawn(async move { case.run(metastore).await }).await.is_err() {
            broken.push(name);
        }
    }
    agent.stop().await;
    assert!(broken.is_empty(), "broken: {broken:#?}");
}
