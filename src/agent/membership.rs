//! Keeps this agent a member of its cluster: registers, beats, drains, leaves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::base::task::{Supervisor, TaskError, TaskKind};
use crate::coordinator::placement::{ClusterView, Membership};
use crate::metastore::error::MetastoreError;
use crate::metastore::store::Metastore;
use crate::metastore::values::{NewNode, NodeRecord};
use crate::model::node::NodeIdentity;

/// Registers this agent, trying again while the metastore is away, for at most `patience`.
///
/// # Errors
/// The last refusal: a living agent holds the wanted id, or the metastore stays away.
pub async fn register(
    metastore: &dyn Metastore,
    node: &NewNode,
    rng: &Rng,
    patience: Duration,
) -> Result<NodeRecord, MetastoreError> {
    let deadline = Instant::now() + patience;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), rng.clone());
    loop {
        // A repetition is recognised by the incarnation, so an unknown outcome may be tried again.
        let failure = match metastore.register_node(node.clone()).await {
            Ok(record) => return Ok(record),
            Err(failure @ (MetastoreError::Unavailable(_) | MetastoreError::Unknown(_))) => failure,
            Err(failure) => return Err(failure),
        };
        if Instant::now() >= deadline {
            return Err(failure);
        }
        debug!(%failure, "registration failed; trying again");
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

/// Beats until it is told to stop, and keeps the shared view of the cluster fresh.
#[derive(Debug)]
pub struct Heart {
    draining: watch::Sender<bool>,
}

impl Heart {
    /// Starts beating for `record`, three times within its session.
    ///
    /// The task fails, which shuts the agent down, when the agent is fenced or could not beat for a whole session:
    /// from then on others act as if it were dead, and it must not act as if it were not.
    #[must_use]
    pub fn start(
        supervisor: &Supervisor,
        metastore: Arc<dyn Metastore>,
        record: &NodeRecord,
        session: Duration,
        membership: Membership,
    ) -> Self {
        let (draining, watched) = watch::channel(false);
        let identity = record.identity;
        let stop = supervisor.token(TaskKind::Membership);
        supervisor.spawn(TaskKind::Membership, "membership", async move {
            let mut beat = Beat { metastore, identity, session, membership, draining: watched };
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                outcome = beat.run() => outcome,
            };
            if let Err(failure) = beat.metastore.deregister_node(identity).await {
                warn!(%failure, "could not leave the cluster; the session will run out");
            }
            outcome
        });
        Self { draining }
    }

    /// Tells the cluster, at once, that this agent finishes what it has and wants no new work.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }
}

struct Beat {
    metastore: Arc<dyn Metastore>,
    identity: NodeIdentity,
    session: Duration,
    membership: Membership,
    draining: watch::Receiver<bool>,
}

impl Beat {
    async fn run(&mut self) -> Result<(), TaskError> {
        let mut last_beat = Instant::now();
        loop {
            let draining = *self.draining.borrow_and_update();
            let asked_at = Instant::now();
            match tokio::time::timeout(self.session / 3, self.metastore.beat(self.identity, draining)).await {
                Ok(Ok(nodes)) => {
                    last_beat = Instant::now();
                    self.see(nodes);
                    self.membership.confirm(asked_at);
                }
                Ok(Err(failure @ MetastoreError::Fenced { .. })) => return Err(failure.into()),
                Ok(Err(failure)) => warn!(%failure, "beat failed"),
                Err(_) => warn!("beat timed out"),
            }
            if last_beat.elapsed() > self.session {
                return Err("no beat reached the metastore for a whole session".into());
            }
            // A change of `draining` beats at once; the sender lives as long as the agent.
            let _ = tokio::time::timeout(self.session / 6, self.draining.changed()).await;
        }
    }

    fn see(&self, nodes: Vec<NodeRecord>) {
        let known = self.membership.view();
        if known.nodes.iter().map(key).ne(nodes.iter().map(key)) {
            let ids: Vec<i32> = nodes.iter().map(|node| node.identity.node_id.0).collect();
            info!(nodes = ?ids, "cluster membership changed");
            self.membership.replace(ClusterView { this: self.identity, nodes });
        }
    }
}

/// What of a node matters to placement.
fn key(node: &NodeRecord) -> (NodeIdentity, bool) {
    (node.identity, node.draining)
}
