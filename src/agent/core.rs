//! An agent without its sockets: what the simulation runs, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::agent::background;
use crate::agent::environment::Environment;
use crate::agent::membership::{Heart, register};
use crate::api::services::Services;
use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::base::task::{Phase, Supervisor};
use crate::config::settings::Settings;
use crate::coordinator::placement::{ClusterView, Membership};
use crate::metastore::error::MetastoreError;
use crate::metastore::store::Metastore;
use crate::metastore::values::{NewNode, NodeRecord};
use crate::object::identity::{IdentityError, bind};

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The metastore refuses this agent or stays away.
    #[error(transparent)]
    Metastore(#[from] MetastoreError),
    /// The bucket's prefix is another cluster's, or can not be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// How long a start waits for a metastore that is not there yet.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent's inside.
pub struct Core {
    services: Arc<Services>,
    supervisor: Supervisor,
    heart: Heart,
    metastore: Arc<dyn Metastore>,
    node: NodeRecord,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("node", &self.node.identity).finish_non_exhaustive()
    }
}

impl Core {
    /// Binds the bucket to the cluster, registers this agent and starts everything that runs behind the sockets, as
    /// tasks of `supervisor`.
    ///
    /// # Errors
    /// When the metastore stays away for half a minute or fences this agent, or the bucket belongs to others.
    pub async fn start(
        settings: &Settings,
        environment: Environment,
        supervisor: Supervisor,
    ) -> Result<Self, CoreError> {
        let metastore = Arc::clone(&environment.metastore);
        let cluster_id = cluster_id(metastore.as_ref(), &environment.rng).await?;
        bind(&environment.storage, cluster_id).await?;
        let session = Duration::from_millis(u64::from(settings.metastore.session_ms));
        let new = NewNode {
            node_id: environment.node_id,
            incarnation: environment.rng.uuid(),
            endpoint: environment.endpoint.clone(),
            rack: environment.rack.clone(),
            session_ms: settings.metastore.session_ms,
        };
        let node = register(metastore.as_ref(), &new, &environment.rng, PATIENCE.max(session)).await?;
        let membership = Membership::new(ClusterView { this: node.identity, nodes: vec![node.clone()] });
        let heart = Heart::start(&supervisor, Arc::clone(&metastore), &node, session, membership.clone());
        let services = background::start(&supervisor, settings, &environment, cluster_id, node.identity, membership);
        let services = Arc::new(services);
        // A catalog that can not be read yet is read when it is asked for.
        let _ = services.catalog.refresh().await;
        Ok(Self { services, supervisor, heart, metastore, node })
    }

    /// What API handlers work with.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// The supervisor of everything that this agent runs.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// This agent's registration.
    #[must_use]
    pub fn node(&self) -> &NodeRecord {
        &self.node
    }

    /// Leaves Metadata at once, finishes what was begun, releases, leaves the cluster and closes the metastore; each
    /// phase may take `deadline`.
    pub async fn stop(self, deadline: Duration) {
        self.heart.drain();
        for phase in Phase::ALL {
            if !self.supervisor.stop_phase(phase, deadline).await {
                tracing::warn!(?phase, "tasks did not stop in time; they are dropped");
            }
            if phase == Phase::Metastore
                && let Err(failure) = self.metastore.close().await
            {
                tracing::warn!(%failure, "the metastore did not close cleanly");
            }
        }
        self.supervisor.kill();
    }

    /// Ends everything at its present await, as a crash would.
    pub fn kill(self) {
        self.supervisor.kill();
    }
}

/// The cluster's identity; waits for a metastore that is not there yet.
async fn cluster_id(metastore: &dyn Metastore, rng: &Rng) -> Result<Uuid, MetastoreError> {
    let proposed = rng.uuid();
    let deadline = Instant::now() + PATIENCE;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), rng.clone());
    loop {
        match metastore.cluster_id(proposed).await {
            Err(MetastoreError::Unavailable(_) | MetastoreError::Unknown(_)) if Instant::now() < deadline => {
                tokio::time::sleep(backoff.next_pause()).await;
            }
            outcome => return outcome,
        }
    }
}
