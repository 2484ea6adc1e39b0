//! A cluster in one thread and in virtual time: agents, bucket, metastore, and the weather between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::memory::InMemory;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use towpath::agent::core::Core;
use towpath::agent::environment::Environment;
use towpath::api::services::Services;
use towpath::base::clock::{ManualClock, Timestamp};
use towpath::base::metrics::Metrics;
use towpath::base::rng::Rng;
use towpath::base::task::Supervisor;
use towpath::config::settings::Settings;
use towpath::metastore::batch_index::BatchIndex;
use towpath::metastore::catalog::Catalog;
use towpath::metastore::memory::store::MemoryMetastore;
use towpath::metastore::values::{ConfigChange, ConfigResource, NewNode, NewTopic};
use towpath::model::node::{Endpoint, NodeId};
use towpath::model::topic::{TopicId, TopicName};
use towpath::object::store::ObjectStorage;

use crate::clients::partition;
use crate::history::{Event, History, Moment, Operation, Partition};
use crate::link::{Linked, Weather};
use crate::mutants::Mutant;
use crate::runs::Plan;
use crate::sharing::GROUP;
use crate::toxic_store::{Climate, ToxicStore};
use crate::trace::note;
use crate::transactions::{Scribe, Transactions};

/// One agent's place: the agent, if it runs, and what stands between it and the rest.
struct Slot {
    running: Option<(Core, CancellationToken)>,
    weather: Arc<Mutex<Weather>>,
    store: Arc<ToxicStore>,
    clock: Arc<ManualClock>,
}

/// Everything a simulated run shares.
pub(crate) struct World {
    pub(crate) topic: TopicId,
    pub(crate) partitions: u32,
    pub(crate) metastore: Arc<MemoryMetastore>,
    /// Who writes transactions, where there are any.
    pub(crate) scribe: OnceLock<Scribe>,
    pub(crate) transactions: Arc<Transactions>,
    bucket: Arc<InMemory>,
    slots: Mutex<Vec<Slot>>,
    began: Instant,
    history: Mutex<History>,
    stop: CancellationToken,
    rng: Rng,
    pub(crate) mutant: Option<Mutant>,
}

/// Where dead letters of the simulated share group go.
pub(crate) const LETTERS: TopicId = TopicId(uuid::Uuid::from_u128(0xd1e7));
pub(crate) const LETTER_PARTITIONS: u32 = 2;

/// When the simulated world begins: 2026-01-01T00:00:00Z.
const ORIGIN: Timestamp = Timestamp(1_767_225_600_000);

impl World {
    /// A world with one topic and all agents running.
    pub(crate) async fn build(rng: Rng, plan: &Plan) -> Arc<Self> {
        let Plan { agents, partitions, mutant, .. } = *plan;
        let metastore = Arc::new(MemoryMetastore::new(Arc::new(ManualClock::starting_at(ORIGIN))));
        let topic = TopicId(rng.uuid());
        let new = NewTopic {
            topic_id: topic,
            name: TopicName::new("simulated").expect("legal"),
            partition_count: i32::try_from(partitions).expect("small"),
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        metastore.create_topics(vec![new]).await.expect("memory is there").remove(0).expect("new");
        let world = Arc::new(Self {
            topic,
            partitions,
            metastore,
            scribe: OnceLock::new(),
            transactions: Arc::default(),
            bucket: Arc::new(InMemory::new()),
            slots: Mutex::new(Vec::new()),
            began: Instant::now(),
            // Simulated clients never repeat a send whose outcome they do not know unless it carries a sequence, so a
            // value at two offsets is the system's doing in either case.
            history: Mutex::new(History { idempotent: true, ..History::default() }),
            stop: CancellationToken::new(),
            rng,
            mutant,
        });
        for index in 0..agents {
            world.slots.lock().expect("whole").push(Slot {
                running: None,
                weather: Arc::default(),
                store: ToxicStore::new(Arc::clone(&world.bucket) as _, Rng::from_seed(world.rng.next_u64())),
                clock: Arc::new(ManualClock::starting_at(ORIGIN)),
            });
            world.start(index).await;
        }
        world
    }

    /// Configures the share group, and makes the topic for what it gives up.
    pub(crate) async fn prepare_sharing(&self, lock: Duration, read_committed: bool) {
        let new = NewTopic {
            topic_id: LETTERS,
            name: TopicName::new("dlq.simulated").expect("legal"),
            partition_count: i32::try_from(LETTER_PARTITIONS).expect("small"),
            replication_factor: 1,
            configs: BTreeMap::from([("errors.deadletterqueue.group.enable".to_owned(), "true".to_owned())]),
        };
        self.metastore.create_topics(vec![new]).await.expect("memory is there").remove(0).expect("new");
        let lock_ms = lock.as_millis().to_string();
        let changes = [
            ("share.auto.offset.reset", "earliest"),
            ("share.record.lock.duration.ms", lock_ms.as_str()),
            ("share.isolation.level", if read_committed { "read_committed" } else { "read_uncommitted" }),
            ("errors.deadletterqueue.topic.name", "dlq.simulated"),
            ("errors.deadletterqueue.copy.record.enable", "true"),
        ];
        let set = |(name, value): (&str, &str)| ConfigChange::Set(name.to_owned(), value.to_owned());
        let group = ConfigResource::Group(GROUP.into());
        let changes = changes.into_iter().map(set).collect();
        self.metastore.alter_configs(group, changes).await.expect("memory is there").expect("legal");
    }

    /// Lets simulated producers write transactions. Whoever writes for them is a node of its own, and no living one: it
    /// is nobody's home and nobody's broker.
    pub(crate) async fn prepare_transactions(&self) {
        let new = NewNode {
            node_id: Some(NodeId(900)),
            incarnation: self.rng.uuid(),
            endpoint: Endpoint { host: "scribe".into(), port: 9092 },
            rack: None,
            session_ms: 1,
        };
        let node = self.metastore.register_node(new).await.expect("memory is there").identity;
        let (rng, metrics) = (Rng::from_seed(self.rng.next_u64()), Metrics::default());
        let bucket = Arc::clone(&self.bucket) as _;
        let storage = ObjectStorage::over(bucket, "sim", &settings().objects, rng.clone(), &metrics);
        assert!(self.scribe.set(Scribe { storage, node, rng }).is_ok(), "it is prepared once");
    }

    /// Where a topic's partitions end, as the metastore itself knows.
    pub(crate) async fn ends_of(&self, topic: TopicId, partitions: u32) -> BTreeMap<Partition, i64> {
        let partitions = (0..partitions).map(|index| partition(topic, index)).collect();
        let bounds = self.metastore.bounds(partitions).await.expect("memory is there");
        (0..).zip(bounds.into_iter().map(|bounds| bounds.expect("exists").high_watermark.0)).collect()
    }

    /// Starts the agent in a place, as a new process would. No effect when it runs.
    pub(crate) async fn start(self: &Arc<Self>, index: usize) {
        let (metastore, store, clock) = {
            let slots = self.slots.lock().expect("whole");
            let slot = &slots[index];
            if slot.running.is_some() {
                return;
            }
            let inner: Arc<dyn towpath::metastore::store::Metastore> = Arc::clone(&self.metastore) as _;
            let rng = Rng::from_seed(self.rng.next_u64());
            let transactions = Arc::clone(&self.transactions);
            let link = Linked::new(inner, Arc::clone(&slot.weather), transactions, rng, self.mutant);
            (Arc::new(link), Arc::clone(&slot.store), Arc::clone(&slot.clock))
        };
        let rng = Rng::from_seed(self.rng.next_u64());
        let metrics = Metrics::default();
        let settings = settings();
        let storage = ObjectStorage::over(store, "sim", &settings.objects, rng.clone(), &metrics);
        let environment = Environment {
            clock,
            rng,
            metrics,
            storage,
            metastore,
            endpoint: Endpoint { host: format!("agent-{index}"), port: 9092 },
            rack: None,
            node_id: Some(NodeId(i32::try_from(index).expect("small"))),
        };
        // A start that fails in bad weather is tried again by whoever restarts the agent.
        if let Ok(core) = Core::start(&settings, environment, Supervisor::default()).await {
            note(&format!("agent {index} started"));
            self.trouble(index, false);
            let (alive, supervisor) = (CancellationToken::new(), core.supervisor().clone());
            tokio::spawn(Arc::clone(self).restart_when_failed(index, alive.clone(), supervisor));
            self.slots.lock().expect("whole")[index].running = Some((core, alive));
        }
    }

    /// What an orchestrator does: an agent that says that it can not go on (fenced, no beat for a session) ends, and
    /// another process takes its place.
    fn restart_when_failed(
        self: Arc<Self>,
        index: usize,
        alive: CancellationToken,
        supervisor: Supervisor,
    ) -> BoxFuture<'static, ()> {
        // Boxed, because starting an agent starts this again.
        async move {
            let reason = tokio::select! {
                biased;
                () = alive.cancelled() => return,
                reason = supervisor.failed() => reason,
            };
            note(&format!("agent {index} gave up: {reason}"));
            self.crash(index);
            self.revive(index).await;
        }
        .boxed()
    }

    /// Ends an agent between two instructions: every task at its present await, every request in it.
    pub(crate) fn crash(&self, index: usize) {
        let running = self.slots.lock().expect("whole")[index].running.take();
        if let Some((core, alive)) = running {
            note(&format!("agent {index} crashed"));
            self.trouble(index, true);
            alive.cancel();
            core.kill();
        }
    }

    /// Starts the agent in a place, and again if it is fenced or dead, until it serves.
    pub(crate) async fn revive(self: &Arc<Self>, index: usize) {
        while !self.runs(index) {
            self.start(index).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the agent in a place runs (it also ends by itself, when it is fenced).
    pub(crate) fn runs(&self, index: usize) -> bool {
        self.slots.lock().expect("whole")[index].running.is_some()
    }

    fn trouble(&self, agent: usize, began: bool) {
        let moment = self.moment();
        self.history.lock().expect("whole").push(moment, moment, Operation::Trouble { agent, began });
    }

    /// Changes what stands between an agent and the metastore.
    pub(crate) fn set_weather(&self, index: usize, weather: Weather) {
        note(&format!("agent {index} has {weather:?}"));
        self.trouble(index, weather != Weather::default());
        *self.slots.lock().expect("whole")[index].weather.lock().expect("whole") = weather;
    }

    /// Changes what stands between an agent and the bucket.
    pub(crate) fn set_climate(&self, index: usize, climate: Climate) {
        note(&format!("agent {index} has {climate:?}"));
        self.slots.lock().expect("whole")[index].store.set_climate(climate);
    }

    /// Shifts an agent's clock.
    pub(crate) fn skew(&self, index: usize, skew_ms: i64) {
        note(&format!("agent {index} skewed by {skew_ms}"));
        self.slots.lock().expect("whole")[index].clock.skew(skew_ms);
    }

    pub(crate) fn agents(&self) -> usize {
        self.slots.lock().expect("whole").len()
    }

    /// Any agent's place, running or not: clients do not know.
    pub(crate) fn any_agent(&self, rng: &Rng) -> usize {
        usize::try_from(rng.below(self.agents() as u64)).expect("small")
    }

    /// A client's request to an agent over a network that loses some: `None` when no answer came.
    pub(crate) async fn call<T, F, C>(&self, rng: &Rng, index: usize, request: C) -> Option<T>
    where
        C: FnOnce(Arc<Services>) -> F,
        F: Future<Output = T>,
    {
        let running = self.slots.lock().expect("whole")[index]
            .running
            .as_ref()
            .map(|(core, alive)| (Arc::clone(core.services()), alive.clone()));
        tokio::time::sleep(Duration::from_millis(1) + rng.jitter(Duration::from_millis(4))).await;
        let (services, alive) = running?;
        let calm = self.stopping();
        if !calm && rng.chance(0.02) {
            return None;
        }
        let answer = tokio::select! {
            biased;
            () = alive.cancelled() => return None,
            answer = tokio::time::timeout(Duration::from_secs(8), request(services)) => answer.ok()?,
        };
        if !calm && rng.chance(0.02) { None } else { Some(answer) }
    }

    /// Virtual time, strictly rising with every look: two events never share a moment.
    pub(crate) fn moment(&self) -> Moment {
        let mut history = self.history.lock().expect("whole");
        let now = u64::try_from(self.began.elapsed().as_micros()).expect("short run") * 1000;
        history.clock = (history.clock + 1).max(now);
        history.clock
    }

    pub(crate) fn record(&self, called: Moment, operation: Operation) {
        let returned = self.moment();
        note(&format!("{called} {returned} {operation:?}"));
        self.history.lock().expect("whole").push(called, returned, operation);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(crate) fn stop_clients(&self) {
        self.stop.cancel();
    }

    pub(crate) fn history(&self) -> History {
        self.history.lock().expect("whole").clone()
    }

    /// Whether a marker is known to be there.
    pub(crate) fn history_has_marker(&self, of: Partition, offset: i64) -> bool {
        self.history.lock().expect("whole").markers().contains(&(of, offset))
    }

    pub(crate) fn events(&self) -> usize {
        self.history.lock().expect("whole").events.len()
    }

    /// What a consumer read of a partition in events from number `since` on.
    pub(crate) fn records_since(&self, since: usize, reader: u32, wanted: Partition) -> Vec<(i64, u64)> {
        let history = self.history.lock().expect("whole");
        let read = |event: &Event| match &event.operation {
            Operation::Read { consumer, partition, records, .. } if *consumer == reader && *partition == wanted => {
                records.clone()
            }
            _ => Vec::new(),
        };
        history.events[since..].iter().flat_map(read).collect()
    }

    /// The partitions' ends as the metastore itself knows them.
    pub(crate) async fn ends(&self) -> BTreeMap<Partition, i64> {
        self.ends_of(self.topic, self.partitions).await
    }
}

/// Small objects, short waits: many steps in little time.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.log.object_bytes_max = 4_000;
    settings.log.puts_per_second = 0.0;
    settings.log.linger_busy_ms = 50;
    // Faults may keep a producer's first batch away for longer than the default; then its second is let in without it,
    // as Kafka would at once, and nothing can be said of the first any more.
    settings.log.sequence_gap_wait_ms = 600_000;
    settings.metastore.session_ms = 3_000;
    settings.share.record_lock_duration_min_ms = 1_000;
    settings.group.group_initial_rebalance_delay_ms = 200;
    settings.group.group_min_session_timeout_ms = 1_000;
    settings
}
