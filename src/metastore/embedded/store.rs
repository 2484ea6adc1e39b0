//! The metastore itself: runs steps, flushes them together, and shows readers what is durable.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::future::BoxFuture;
use slatedb::config::{FlushOptions, FlushType};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot, watch};
use tracing::{info, warn};

use crate::base::clock::{Clock, Timestamp};
use crate::base::latest;
use crate::base::task::{Supervisor, TaskKind};
use crate::metastore::embedded::core::{Core, Step};
use crate::metastore::embedded::engine::{Ground, fenced, is_fenced, read_error, write_error};
use crate::metastore::embedded::reader::Moment;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::feed::FeedLog;
use crate::metastore::store::Metastore;
use crate::metastore::values::{CatalogSnapshot, FeedEntry, FeedPosition};
use crate::model::node::NodeId;

/// Steps are refused while more than this waits to become durable: the store below does not take writes.
const WAITING_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// After this many flushes what they wrote is gathered into a table, so that a restart reads few small files.
const FLUSHES_PER_TABLE: u64 = 512;

/// The metastore of a single agent. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct EmbeddedMetastore(pub(super) Arc<Shared>);

/// What steps, flushes and readers share.
#[derive(Debug)]
pub(super) struct Shared {
    ground: Ground,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    patience: Duration,
    core: Arc<AsyncMutex<Core>>,
    /// One flush at a time; counts them.
    flushing: AsyncMutex<u64>,
    view: ArcSwap<View>,
    progress: watch::Sender<Progress>,
    feed: Mutex<FeedLog>,
    pub(super) news: latest::Sender<FeedPosition>,
    closed: AtomicBool,
    /// The node that registered last, to name who is fenced.
    node_id: AtomicI32,
}

/// What readers see: the last durable moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) moment: Moment,
    pub(super) catalog: Arc<CatalogSnapshot>,
}

/// How far durability has come.
#[derive(Clone, Debug)]
struct Progress {
    generation: u64,
    durable: u64,
    /// Why the steps of this generation and earlier ones that are not durable never will be, for all we know.
    failed: Option<(u64, MetastoreError)>,
}

/// Which step's durability is waited for.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    generation: u64,
    step: u64,
}

impl Ticket {
    fn of(core: &Core) -> Self {
        Self { generation: core.generation, step: core.applied }
    }
}

/// What a metastore is built of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) ground: Ground,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) supervisor: Supervisor,
    pub(super) patience: Duration,
}

impl EmbeddedMetastore {
    /// A metastore over what was loaded.
    pub(super) fn new(parts: Parts, core: Core) -> Result<Self> {
        let moment = Moment::new(core.db.snapshot().map_err(read_error)?);
        let view = View { moment, catalog: Arc::clone(&core.snapshot) };
        let position = FeedPosition(core.feed_position);
        let progress = Progress { generation: core.generation, durable: core.applied, failed: None };
        Ok(Self(Arc::new(Shared {
            ground: parts.ground,
            clock: parts.clock,
            supervisor: parts.supervisor,
            patience: parts.patience,
            core: Arc::new(AsyncMutex::new(core)),
            flushing: AsyncMutex::new(0),
            view: ArcSwap::from_pointee(view),
            progress: watch::Sender::new(progress),
            feed: Mutex::new(FeedLog::starting_at(position)),
            news: latest::Sender::new(position),
            closed: AtomicBool::new(false),
            node_id: AtomicI32::new(-1),
        })))
    }

    /// Runs one step and waits until it, and everything it saw, is durable. The step goes on when the caller
    /// stops waiting: a half-applied step does not exist.
    ///
    /// # Errors
    /// Those of the step; `Unknown` when it takes too long or its batch may be lost.
    pub(super) async fn step<T, F>(&self, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'step> FnOnce(&'step mut Step) -> BoxFuture<'step, Result<T>> + Send + 'static,
    {
        self.check_open()?;
        let shared = Arc::clone(&self.0);
        let durable = async {
            // The lock is fair: steps take place in the order in which they were first polled.
            let core = Arc::clone(&shared.core).lock_owned().await;
            let (answer, answered) = oneshot::channel();
            self.0.supervisor.spawn(TaskKind::Feed, "embedded metastore step", async move {
                // Nobody listens any more when the caller gave up; the step is done all the same.
                let _ = answer.send(shared.run(core, run).await);
                Ok(())
            });
            let lost = |_| MetastoreError::Unknown("the step was dropped with its task".to_owned());
            let (ticket, outcome) = answered.await.map_err(lost)?;
            if let Some(ticket) = ticket {
                self.0.durable(ticket).await?;
            }
            outcome
        };
        let outcome = tokio::time::timeout(self.0.patience, durable).await;
        let late = || MetastoreError::Unknown("the object store did not take the write in time".to_owned());
        outcome.unwrap_or_else(|_| Err(late())).map_err(|error| self.0.named(error))
    }

    /// What readers see now.
    pub(super) fn view(&self) -> Result<Arc<View>> {
        self.check_open()?;
        Ok(self.0.view.load_full())
    }

    /// Runs a read with the patience of a step.
    pub(super) async fn read<T>(&self, reading: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let late = || MetastoreError::Unavailable("the object store did not answer a read in time".to_owned());
        let outcome = tokio::time::timeout(self.0.patience, reading).await;
        outcome.unwrap_or_else(|_| Err(late())).map_err(|error| self.0.named(error))
    }

    pub(super) fn clock_now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(super) fn remember_node(&self, node_id: NodeId) {
        self.0.node_id.store(node_id.0, Ordering::Relaxed);
    }

    pub(super) fn with_feed<T>(&self, look: impl FnOnce(&FeedLog) -> T) -> T {
        look(&self.0.feed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(MetastoreError::Unavailable("the metastore is closed".to_owned()));
        }
        Ok(())
    }
}

impl Shared {
    async fn run<T, F>(self: &Arc<Self>, mut core: OwnedMutexGuard<Core>, run: F) -> (Option<Ticket>, Result<T>)
    where
        F: for<'step> FnOnce(&'step mut Step) -> BoxFuture<'step, Result<T>>,
    {
        if let Err(error) = self.make_ready(&mut core).await {
            return (None, Err(error));
        }
        let mut step = match Step::begin(core, self.clock.now()) {
            Ok(step) => step,
            Err(error) => return (None, Err(error)),
        };
        match run(&mut step).await {
            Ok(value) => {
                let (mut core, applied) = step.apply().await;
                self.ask_for_flush(&mut core);
                match applied {
                    Ok(()) => (Some(Ticket::of(&core)), Ok(value)),
                    Err(error) => (None, Err(error)),
                }
            }
            // A refusal may rest on what is not durable yet, so it waits like a success.
            Err(error) => (Some(Ticket::of(&step.abandon())), Err(error)),
        }
    }

    /// Sees to it that the core can take a step.
    async fn make_ready(self: &Arc<Self>, core: &mut Core) -> Result<()> {
        // Whoever queued for the lock while the metastore was closed must not reopen it.
        if self.closed.load(Ordering::Acquire) {
            return Err(MetastoreError::Unavailable("the metastore is closed".to_owned()));
        }
        if core.fenced {
            return Err(fenced());
        }
        if core.broken || core.db.status().close_reason.is_some() {
            self.read_anew(core).await?;
        }
        if core.waiting_bytes > WAITING_BYTES_MAX {
            let reason = "the object store has not taken the last writes yet".to_owned();
            return Err(MetastoreError::Unavailable(reason));
        }
        Ok(())
    }

    /// Drops what is in memory and opens the store again, unless another agent has done so.
    async fn read_anew(self: &Arc<Self>, core: &mut Core) -> Result<()> {
        let generation = core.generation + 1;
        warn!(generation, "the embedded metastore's engine stopped; reading everything anew");
        let writer_epoch = core.db.manifest().writer_epoch();
        let reopened = async {
            let db = self.ground.open(Some(writer_epoch)).await?;
            Core::load(db, generation, core.applied).await
        };
        let mut fresh = reopened.await.inspect_err(|error| {
            core.fenced |= matches!(error, MetastoreError::Fenced { .. });
        })?;
        // Beats are not stored, and no other process has registered nodes meanwhile.
        fresh.nodes = core.nodes.clone();
        let moment = Moment::new(fresh.db.snapshot().map_err(read_error)?);
        self.view.store(Arc::new(View { moment, catalog: Arc::clone(&fresh.snapshot) }));
        {
            let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
            // News that were durable and never told are lost: every reader starts over.
            fresh.feed_position = fresh.feed_position.max(feed.position().0) + 1;
            *feed = FeedLog::starting_at(FeedPosition(fresh.feed_position));
        }
        let (durable, position) = (fresh.applied, FeedPosition(fresh.feed_position));
        *core = fresh;
        self.news.send_replace(position);
        self.progress
            .send_modify(|progress| *progress = Progress { generation, durable, failed: progress.failed.take() });
        Ok(())
    }

    /// Sees to it that what is applied now becomes durable.
    fn ask_for_flush(self: &Arc<Self>, core: &mut Core) {
        let waits = core.applied > self.progress.borrow().durable || !core.news.is_empty();
        if core.broken || core.flush_asked || !waits {
            return;
        }
        core.flush_asked = true;
        let shared = Arc::clone(self);
        self.supervisor.spawn(TaskKind::Feed, "embedded metastore flush", async move {
            shared.flush().await;
            Ok(())
        });
    }

    /// Makes everything that is applied durable in one write, and shows it to readers.
    async fn flush(&self) {
        let mut flushes = self.flushing.lock().await;
        let mut core = self.core.lock().await;
        core.flush_asked = false;
        let (ticket, db) = (Ticket::of(&core), core.db.clone());
        let (news, bytes) = (std::mem::take(&mut core.news), core.waiting_bytes);
        let snapshot = db.snapshot();
        let catalog = Arc::clone(&core.snapshot);
        drop(core);

        let flushed = match snapshot {
            Ok(snapshot) => db.flush().await.map(|()| snapshot),
            Err(error) => Err(error),
        };
        let mut core = self.core.lock().await;
        if core.generation != ticket.generation {
            return;
        }
        match flushed {
            Ok(snapshot) => {
                core.waiting_bytes = core.waiting_bytes.saturating_sub(bytes);
                self.publish(ticket, View { moment: Moment::new(snapshot), catalog }, news);
            }
            Err(error) => {
                core.broken = true;
                core.fenced |= is_fenced(&error);
                let failed = Some((ticket.generation, write_error(error)));
                self.progress.send_modify(|progress| progress.failed = failed);
                // Those who wait for news must learn of it too.
                self.news.send_modify(|_| ());
            }
        }
        drop(core);
        *flushes += 1;
        if flushes.is_multiple_of(FLUSHES_PER_TABLE) {
            let table = FlushOptions { flush_type: FlushType::MemTable };
            if let Err(error) = db.flush_with_options(table).await {
                warn!(%error, "the embedded metastore's table could not be written");
            }
        }
    }

    fn publish(&self, ticket: Ticket, view: View, news: Vec<Option<FeedEntry>>) {
        self.view.store(Arc::new(view));
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        news.into_iter().for_each(|entry| feed.push(entry));
        let position = feed.position();
        drop(feed);
        self.news.send_if_modified(|last| std::mem::replace(last, position) != position);
        self.progress.send_modify(|progress| progress.durable = ticket.step);
    }

    /// Waits until a step is durable.
    async fn durable(&self, ticket: Ticket) -> Result<()> {
        let mut progress = self.progress.subscribe();
        loop {
            {
                let now = progress.borrow_and_update();
                if now.generation == ticket.generation && now.durable >= ticket.step {
                    return Ok(());
                }
                if let Some((generation, error)) = &now.failed
                    && *generation >= ticket.generation
                {
                    return Err(error.clone());
                }
                if now.generation > ticket.generation {
                    return Err(MetastoreError::Unknown("the engine stopped before the write was durable".to_owned()));
                }
            }
            if progress.changed().await.is_err() {
                return Err(MetastoreError::Unknown("the metastore went away".to_owned()));
            }
        }
    }

    /// Says which node is fenced, where only the process is known.
    fn named(&self, error: MetastoreError) -> MetastoreError {
        match error {
            MetastoreError::Fenced { node_id: NodeId(-1), reason } => {
                MetastoreError::Fenced { node_id: NodeId(self.node_id.load(Ordering::Relaxed)), reason }
            }
            other => other,
        }
    }
}

#[async_trait]
impl Metastore for EmbeddedMetastore {
    fn backend(&self) -> &'static str {
        "embedded"
    }

    async fn close(&self) -> Result<()> {
        // The step in progress ends first; those behind it are refused.
        if self.0.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let closing = async {
            let core = self.0.core.lock().await;
            core.db.close().await.map_err(write_error)
        };
        let late = || MetastoreError::Unknown("the object store did not take the last writes in time".to_owned());
        let outcome = tokio::time::timeout(self.0.patience, closing).await.unwrap_or_else(|_| Err(late()));
        self.0.news.send_modify(|_| ());
        info!("embedded metastore closed");
        outcome.map_err(|error| self.0.named(error))
    }
}
