//! A group's lane on this agent: the one task that decides for it here.
//!
//! While a round is being stored new work gathers in the queue, and all of it is the next round: the slower the
//! metastore, the more requests share a write. What says that it is patient waits for such company even while nothing
//! is being stored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::job::Job;
use crate::coordinator::share::delivery::round::{Leftover, round};
use crate::coordinator::share::delivery::work::Work;
use crate::model::group::GroupId;
use crate::model::topic::TopicIdPartition;

/// Requests that may wait for one lane: enough for every session of an agent in one group, small enough to push back.
pub(super) const QUEUE_MAX: usize = 2_048;
/// How long a lane stays after its last request.
const IDLE: Duration = Duration::from_secs(60);
/// How many rounds a request may take because others are faster.
const ROUNDS_MAX: u32 = 20;
/// The longest pause between two rounds that lost races.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// A group's lane.
pub(super) struct Lane {
    context: Arc<Context>,
    group_id: GroupId,
    queue: mpsc::Receiver<Work>,
    jobs: Vec<Job>,
    doubted: BTreeSet<TopicIdPartition>,
    /// Rounds in a row that lost a race.
    races_lost: u32,
    /// The agent stops: nothing waits for company any more.
    is_ending: bool,
}

impl Lane {
    pub(super) fn new(context: Arc<Context>, group_id: GroupId, queue: mpsc::Receiver<Work>) -> Self {
        Self { context, group_id, queue, jobs: Vec::new(), doubted: BTreeSet::new(), races_lost: 0, is_ending: false }
    }

    /// Serves the group until it is idle or the agent stops.
    ///
    /// # Errors
    /// None: what fails is answered to those who wait.
    pub(super) async fn run(mut self) -> Result<(), TaskError> {
        let stopped = self.context.supervisor.token(TaskKind::CoordinatorShard);
        loop {
            if !self.is_due() {
                let until = self.due_at().unwrap_or_else(|| Instant::now() + IDLE);
                // Every branch only waits; the work is done below, where nothing cancels it.
                tokio::select! {
                    biased;
                    () = stopped.cancelled() => break,
                    work = self.queue.recv() => match work {
                        Some(work) => self.jobs.push(Job::new(work)),
                        None => break,
                    },
                    () = sleep_until(until) => {
                        if self.jobs.is_empty() && self.context.lanes.retire(&self.group_id, &self.queue) {
                            self.end();
                            return Ok(());
                        }
                    }
                }
            }
            self.work().await;
        }
        // Who was let in before the end is served; a session that ends now still gives back what it holds.
        self.queue.close();
        self.is_ending = true;
        loop {
            self.work().await;
            if self.jobs.is_empty() && self.queue.is_empty() {
                self.end();
                return Ok(());
            }
        }
    }

    /// Whether a round can not wait.
    fn is_due(&self) -> bool {
        if self.is_ending {
            return !self.jobs.is_empty();
        }
        let now = Instant::now();
        self.jobs.iter().any(|job| job.patient_until().is_none_or(|until| until <= now))
    }

    /// When patience is over.
    fn due_at(&self) -> Option<Instant> {
        self.jobs.iter().filter_map(Job::patient_until).min()
    }

    /// Takes all that waits, and makes one round of it if some of it is due.
    async fn work(&mut self) {
        while let Ok(work) = self.queue.try_recv() {
            self.jobs.push(Job::new(work));
        }
        if !self.is_due() {
            return;
        }
        let doubted = std::mem::take(&mut self.doubted);
        let Leftover { doubted, is_conflict } =
            Box::pin(round(&self.context, &self.group_id, &mut self.jobs, &doubted)).await;
        self.doubted = doubted;
        self.answer();
        self.races_lost = if is_conflict { self.races_lost + 1 } else { 0 };
        if self.races_lost > 1 {
            // So that agents that meet again and again do not meet at the same moment.
            let ceiling = Duration::from_millis(1 << self.races_lost.min(8)).min(PAUSE_MAX);
            sleep(self.context.parts.rng.jitter(ceiling)).await;
        }
    }

    /// Answers what is done; the rest waits for the next round.
    fn answer(&mut self) {
        for mut job in std::mem::take(&mut self.jobs) {
            job.attempts += 1;
            if !job.is_done() && job.attempts >= ROUNDS_MAX {
                job.give_up("other agents were faster again and again");
            }
            if !job.is_done() {
                self.jobs.push(job);
            } else if let Some(work) = job.answer() {
                // Its member does not listen any more: others may have what it was to get.
                self.jobs.push(Job::new(work));
            }
        }
    }

    fn end(&self) {
        self.context.counters.hide(&self.group_id);
        debug!(group = %self.group_id, "no more deliveries to this group");
    }
}
