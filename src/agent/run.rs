//! A whole agent: opened, probed, registered, serving; and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tracing::info;
use uuid::Uuid;

use crate::agent::core::{Core, CoreError};
use crate::agent::environment::Environment;
use crate::api::dispatch::Dispatcher;
use crate::base::clock::{Clock, SystemClock};
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::settings::Settings;
use crate::console::health::Health;
use crate::console::http::{self, ConsoleState};
use crate::console::share::{SharePartitionPage, ShareView};
use crate::coordinator::share::delivery::service::ShareDelivery;
use crate::coordinator::share::values::SharePartitionSummary;
use crate::metastore::error::MetastoreError;
use crate::metastore::open::{Surroundings, open};
use crate::metastore::store::Metastore;
use crate::model::group::GroupId;
use crate::model::node::{NodeId, Rack};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use crate::object::key::METASTORE_FOLDER;
use crate::object::meter::Purpose;
use crate::object::open::OpenError;
use crate::object::probe::{ProbeError, probe};
use crate::object::store::ObjectStorage;
use crate::server::budget::ByteBudget;
use crate::server::listener::{BoundListener, ListenError};
use crate::server::metrics::ServerMetrics;

/// Why an agent did not start: one sentence that names what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No store is named.
    #[error(
        "no object store is named: set --store (agent.store) to s3://bucket/prefix, gs://…, az://… or file:///folder"
    )]
    NoStore,
    /// The store's URL is not usable.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store can not carry a log.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The metastore can not be opened.
    #[error("{0}; see --metastore (metastore.url)")]
    Metastore(#[from] MetastoreError),
    /// The inside did not start.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The Kafka address is taken or not ours.
    #[error("{0}; see --listen (listener.bind)")]
    Listen(#[from] ListenError),
    /// The HTTP address is taken or not ours.
    #[error("can not listen on {address} for HTTP: {reason}; see --http (console.http)")]
    Http {
        /// The address.
        address: String,
        /// What the system says.
        reason: std::io::Error,
    },
}

/// A serving agent.
#[derive(Debug)]
pub struct RunningAgent {
    /// Where Kafka clients connect.
    pub bootstrap: SocketAddr,
    /// Where metrics and health are.
    pub http: Option<SocketAddr>,
    /// Everything it counts.
    pub metrics: Metrics,
    /// Its bucket, for request counts.
    pub storage: ObjectStorage,
    core: Core,
    health: Health,
    stop_timeout: Duration,
}

impl RunningAgent {
    /// Opens, probes, registers and serves.
    ///
    /// # Errors
    /// When anything that the agent needs is not there, with a sentence that names the setting to change.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let store = settings.agent.store.as_deref().ok_or(StartError::NoStore)?;
        let (clock, rng, metrics) = (Arc::new(SystemClock), Rng::from_entropy(), Metrics::default());
        // The addresses are taken first: a port that is in use is the most frequent mistake and the cheapest to find.
        let listener = BoundListener::bind(settings.listener.clone())?;
        let storage = ObjectStorage::open(store, &settings.objects, rng.clone(), &metrics)?;
        probe(&storage, &rng).await?;
        let supervisor = Supervisor::default();
        let metastore = open_metastore(settings, &storage, Arc::clone(&clock) as _, &rng, &supervisor).await?;
        let environment = Environment {
            clock,
            rng,
            metrics: metrics.clone(),
            storage: storage.clone(),
            metastore: Arc::clone(&metastore),
            endpoint: settings.listener.advertised(listener.local_addr),
            rack: settings.agent.rack.as_deref().map(|rack| Rack(rack.into())),
            node_id: settings.agent.node_id.map(NodeId),
        };
        let core = Core::start(settings, environment, supervisor).await?;
        let health = health(settings, &storage, metastore);
        let http = start_http(settings, &core, &metrics, &health).await?;
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(core.services())));
        // Requests may fill the append buffer once over while it is being uploaded.
        let budget = ByteBudget::new(usize::try_from(settings.log.append_bytes_max * 2).unwrap_or(usize::MAX));
        let server = listener.serve(core.supervisor(), dispatcher, budget, &ServerMetrics::new(&metrics));
        let node_id = core.node().identity.node_id;
        info!(%node_id, cluster_id = %core.services().cluster_id, store = storage.location(), "agent started");
        let stop_timeout = Duration::from_millis(settings.agent.stop_timeout_ms);
        Ok(Self { bootstrap: server.local_addr, http, metrics, storage, core, health, stop_timeout })
    }

    /// Resolves with the reason when the agent can not go on and must be stopped.
    pub async fn failed(&self) -> String {
        self.core.supervisor().failed().await
    }

    /// Leaves Metadata, answers what was begun, releases, leaves the cluster, and ends.
    pub async fn stop(self) {
        info!("agent stops");
        self.health.start_draining();
        self.core.stop(self.stop_timeout).await;
        info!("agent stopped");
    }
}

async fn open_metastore(
    settings: &Settings,
    storage: &ObjectStorage,
    clock: Arc<dyn Clock>,
    rng: &Rng,
    supervisor: &Supervisor,
) -> Result<Arc<dyn Metastore>, StartError> {
    let surroundings = Surroundings {
        store: storage.raw(),
        prefix: METASTORE_FOLDER.into(),
        clock,
        rng: rng.clone(),
        supervisor: supervisor.clone(),
    };
    Ok(open(&settings.metastore, surroundings).await?)
}

/// Readiness asks the bucket and the metastore each time.
fn health(settings: &Settings, storage: &ObjectStorage, metastore: Arc<dyn Metastore>) -> Health {
    let storage = storage.clone();
    let store = move || {
        let storage = storage.clone();
        async move { storage.list("cluster", None, 1, Purpose::Probe).await.map(drop).map_err(|error| error.to_string()) }
            .boxed()
    };
    let metadata = move || {
        let metastore = Arc::clone(&metastore);
        async move { metastore.now().await.map(drop).map_err(|error| error.to_string()) }.boxed()
    };
    let timeout = Duration::from_millis(settings.console.readiness_timeout_ms);
    Health::new(vec![("store", Arc::new(store)), ("metastore", Arc::new(metadata))], timeout)
}

/// Any agent can look at any group: the states are stored.
fn share_view(delivery: ShareDelivery) -> ShareView {
    ShareView(Arc::new(move |group, keys: Vec<(Uuid, i32)>| {
        let delivery = delivery.clone();
        async move {
            let partition = |(topic_id, partition): &(Uuid, i32)| TopicIdPartition {
                topic_id: TopicId(*topic_id),
                partition: PartitionIndex(*partition),
            };
            let partitions = keys.iter().map(partition).collect();
            let group_id = GroupId(group.into());
            let found = delivery.inspect(&group_id, partitions).await;
            let found =
                found.map_err(|condition| format!("share group '{group_id}' can not be looked at: {condition:?}\n"))?;
            let page = |((topic_id, partition), summary): ((Uuid, i32), Option<SharePartitionSummary>)| {
                let summary = summary?;
                Some(SharePartitionPage {
                    topic_id,
                    partition,
                    start_offset: summary.start_offset.map(|offset| offset.0),
                    end_offset: summary.end_offset.map(|offset| offset.0),
                    available: summary.available,
                    in_flight: summary.acquired,
                    redelivered: summary.redelivered,
                    acknowledged: summary.acknowledged,
                    archived: summary.archived,
                    oldest_age_ms: summary
                        .oldest_acquired_age
                        .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
                })
            };
            Ok(keys.into_iter().zip(found).filter_map(page).collect())
        }
        .boxed()
    }))
}

async fn start_http(
    settings: &Settings,
    core: &Core,
    metrics: &Metrics,
    health: &Health,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = settings.console.listen() else { return Ok(None) };
    let share = share_view(core.services().share_delivery.clone());
    let state = ConsoleState { metrics: metrics.clone(), health: health.clone(), share };
    match http::start(core.supervisor(), address, state).await {
        Ok(bound) => Ok(Some(bound)),
        Err(reason) => Err(StartError::Http { address: address.to_owned(), reason }),
    }
}
