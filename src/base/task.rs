//! Supervised tasks: the only place that spawns.
//!
//! Every task has a [`TaskKind`]; the kind says in which shutdown phase it stops and what its failure means.
//! Phases stop in order, each with a deadline, so that produces in flight are answered before coordinators
//! release their shards, and those before the metastore closes.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, warn};

/// The list of everything that runs in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Accepts connections.
    Accept,
    /// Serves one connection.
    Connection,
    /// The append writer and its uploads.
    Append,
    /// Follows the commit feed.
    Feed,
    /// A coordinator's timers.
    CoordinatorShard,
    /// Expiry, sweeping and other leased jobs.
    Upkeep,
    /// Keeps this agent a member of its cluster.
    Membership,
    /// Serves HTTP.
    Http,
}

/// What the end of a task by error means for the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Say so and go on.
    Log,
    /// The agent can not do its work: shut it down.
    ShutDown,
}

/// Shutdown phases, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No new connections.
    Accept,
    /// Requests in flight are finished and answered.
    Drain,
    /// Coordinators persist and release what they hold.
    Coordinators,
    /// Upkeep stops between two steps.
    Upkeep,
    /// The agent leaves the cluster and closes its metastore.
    Metastore,
    /// Metrics and health stop last.
    Telemetry,
}

impl Phase {
    /// All phases in the order in which they stop.
    pub const ALL: [Self; 6] =
        [Self::Accept, Self::Drain, Self::Coordinators, Self::Upkeep, Self::Metastore, Self::Telemetry];

    fn index(self) -> usize {
        self as usize
    }
}

impl TaskKind {
    /// What the task's failure means.
    #[must_use]
    pub fn on_error(self) -> OnError {
        match self {
            Self::Accept | Self::Append | Self::Membership => OnError::ShutDown,
            Self::Connection | Self::Feed | Self::CoordinatorShard | Self::Upkeep | Self::Http => OnError::Log,
        }
    }

    /// In which phase the task is told to stop.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self {
            Self::Accept => Phase::Accept,
            Self::Connection | Self::Append => Phase::Drain,
            Self::CoordinatorShard => Phase::Coordinators,
            Self::Upkeep => Phase::Upkeep,
            Self::Feed | Self::Membership => Phase::Metastore,
            Self::Http => Phase::Telemetry,
        }
    }
}

/// Why a task stopped before it was told to.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// Starts tasks, watches how they end, and stops them phase by phase. Cloning shares the supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    phases: Vec<(CancellationToken, TaskTracker)>,
    kill: CancellationToken,
    /// Whether `kill` is cancelled: cheap to ask each time a task is polled, which asking the token is not.
    killed: AtomicBool,
    failure: watch::Sender<Option<String>>,
}

impl Default for Supervisor {
    fn default() -> Self {
        let phases = Phase::ALL.iter().map(|_| (CancellationToken::new(), TaskTracker::new())).collect();
        let (kill, failure) = (CancellationToken::new(), watch::Sender::new(None));
        Self(Arc::new(Inner { phases, kill, killed: AtomicBool::new(false), failure }))
    }
}

impl Supervisor {
    /// Runs `task` until it ends, fails or is aborted.
    ///
    /// The task is expected to watch [`Supervisor::token`] of its kind and to return soon after it is cancelled.
    pub fn spawn<F>(&self, kind: TaskKind, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let supervisor = self.clone();
        let watched = async move {
            let Some(outcome) = supervisor.unless_killed(task).await else { return };
            match outcome {
                Ok(()) => debug!(task = name, "task ended"),
                Err(failure) if kind.on_error() == OnError::ShutDown => {
                    error!(task = name, %failure, "task failed; the agent shuts down");
                    supervisor.0.failure.send_if_modified(|slot| {
                        let first = slot.is_none();
                        slot.get_or_insert_with(|| format!("{name}: {failure}"));
                        first
                    });
                }
                Err(failure) => warn!(task = name, %failure, "task failed"),
            }
        };
        let (_, tracker) = &self.0.phases[kind.phase().index()];
        tracker.spawn(watched.in_current_span());
    }

    /// Runs `task`; `None` when it is killed before it ends.
    async fn unless_killed(&self, task: impl Future<Output = Result<(), TaskError>>) -> Option<Result<(), TaskError>> {
        let mut killed = pin!(self.0.kill.cancelled());
        // A panic is a bug of ours; it ends the task as an error does, and must not go unnoticed.
        let mut task = pin!(AssertUnwindSafe(task).catch_unwind());
        let mut is_registered = false;
        let ended = poll_fn(|context| {
            // A task is always woken through the same waker, so the token needs to learn it once only.
            let is_killed = if is_registered {
                self.0.killed.load(Ordering::Acquire)
            } else {
                is_registered = true;
                killed.as_mut().poll(context).is_ready()
            };
            if is_killed { Poll::Ready(None) } else { task.as_mut().poll(context).map(Some) }
        });
        let outcome = ended.await?;
        Some(outcome.unwrap_or_else(|panic| Err(panic_message(panic.as_ref()).into())))
    }

    /// Cancelled when the phase of `kind` begins to stop.
    #[must_use]
    pub fn token(&self, kind: TaskKind) -> CancellationToken {
        self.0.phases[kind.phase().index()].0.clone()
    }

    /// Resolves with the reason once a task failed whose kind shuts the agent down.
    pub async fn failed(&self) -> String {
        let mut failure = self.0.failure.subscribe();
        loop {
            if let Some(reason) = failure.borrow_and_update().clone() {
                return reason;
            }
            if failure.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Stops one phase: cancels its tasks and waits for them, at most `deadline`. Says whether all ended in time.
    pub async fn stop_phase(&self, phase: Phase, deadline: Duration) -> bool {
        let (token, tracker) = &self.0.phases[phase.index()];
        token.cancel();
        tracker.close();
        tokio::time::timeout(deadline, tracker.wait()).await.is_ok()
    }

    /// Stops every phase in order and drops whatever did not end within `deadline` per phase.
    pub async fn stop(&self, deadline: Duration) {
        for phase in Phase::ALL {
            if !self.stop_phase(phase, deadline).await {
                warn!(?phase, "tasks did not stop in time; they are dropped");
            }
        }
        self.kill();
    }

    /// Drops every task at its present await, as a crash would.
    pub fn kill(&self) {
        // First, so that whoever is woken by the token sees it.
        self.0.killed.store(true, Ordering::Release);
        self.0.kill.cancel();
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_vital_task_shuts_the_agent_down() {
        let supervisor = Supervisor::default();
        supervisor.spawn(TaskKind::Append, "writer", async { panic!("a bug of {}", "ours") });
        assert_eq!(supervisor.failed().await, "writer: panicked: a bug of ours");
    }

    #[tokio::test]
    async fn phases_stop_in_order_and_killed_tasks_are_dropped() {
        let supervisor = Supervisor::default();
        let (token, other) = (supervisor.token(TaskKind::Upkeep), supervisor.token(TaskKind::Append));
        supervisor.spawn(TaskKind::Upkeep, "upkeep", async move {
            token.cancelled().await;
            assert!(other.is_cancelled(), "appends end before upkeep does");
            Ok(())
        });
        supervisor.spawn(TaskKind::Http, "deaf", std::future::pending());
        supervisor.stop(Duration::from_millis(10)).await;
        assert!(supervisor.stop_phase(Phase::Telemetry, Duration::from_secs(5)).await, "the deaf task was dropped");
    }
}
