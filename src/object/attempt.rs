//! How a call becomes requests: a permit, an attempt, perhaps a second one beside it, pauses, further attempts.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore};
use tokio::time::{Instant, sleep, timeout};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::config::objects::ObjectSettings;
use crate::model::object::ObjectKey;
use crate::object::hedge::Hedging;
use crate::object::limit::{Limits, Permit};
use crate::object::meter::{Meter, Operation, Purpose};
use crate::object::verdict::{Verdict, judge};

/// What a request does, for limits, hedging and counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) purpose: Purpose,
    pub(crate) operation: Operation,
    /// Payload sent.
    pub(crate) bytes_sent: u64,
    /// Payload expected in the answer.
    pub(crate) bytes_received: u64,
}

impl Job {
    /// A request without payload worth counting.
    pub(crate) fn small(purpose: Purpose, operation: Operation) -> Self {
        Self { purpose, operation, bytes_sent: 0, bytes_received: 0 }
    }

    fn bytes(self) -> u64 {
        self.bytes_sent + self.bytes_received
    }
}

/// A store with everything that stands before it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// `scheme://bucket/prefix`, for sentences.
    pub(crate) location: String,
    /// What to add to a sentence when the store does not answer; may be empty.
    pub(crate) hint: &'static str,
    pub(crate) settings: ObjectSettings,
    pub(crate) rng: Rng,
    pub(crate) limits: Limits,
    pub(crate) hedging: Hedging,
    pub(crate) meter: Meter,
}

impl Client {
    /// Judges an error that came of `operation`.
    pub(crate) fn judge(&self, operation: Operation, error: &StoreError) -> Verdict {
        judge(error, operation, &self.location)
    }

    /// The key as the store wants it.
    pub(crate) fn path(&self, key: &ObjectKey) -> Result<Path, Verdict> {
        Path::parse(key.as_str()).map_err(|error| Verdict::Refused(format!("key '{key}' is not usable: {error}")))
    }

    /// A fresh budget for one call.
    pub(crate) fn budget(&self) -> Budget {
        let settings = &self.settings;
        Budget {
            deadline: Instant::now() + settings.call_timeout(),
            attempt_timeout: settings.attempt_timeout(),
            attempts_left: settings.attempts_max.max(1),
            backoff: Backoff::new(settings.pause_first(), settings.pause_longest(), self.rng.clone()),
        }
    }

    /// Repeats a request that changes nothing (or the same thing each time) until it succeeds, can not, or the budget
    /// is spent. Every attempt makes its request anew.
    pub(crate) async fn call<T, R>(&self, job: Job, request: impl Fn() -> R) -> Result<T, Verdict>
    where
        R: Future<Output = Result<T, Verdict>>,
    {
        let mut budget = self.budget();
        loop {
            let verdict = match self.hedged(job, &budget, &request).await.outcome {
                Ok(answer) => return Ok(answer),
                Err(verdict) => verdict,
            };
            if !verdict.is_passing() || !budget.pause().await {
                return Err(verdict);
            }
        }
    }

    /// One attempt, with a second one beside it when the first takes longer than nearly all before it.
    pub(crate) async fn hedged<T, R>(&self, job: Job, budget: &Budget, request: &impl Fn() -> R) -> Attempted<T>
    where
        R: Future<Output = Result<T, Verdict>>,
    {
        let Ok(_permit) = timeout(budget.time_left(), self.limits.acquire(job.purpose, job.bytes())).await else {
            let sentence =
                format!("{} on {}: no request slot came free in time", job.operation.as_str(), self.location);
            return Attempted { outcome: Err(Verdict::NotApplied(sentence)), twice: false };
        };
        let limit = budget.attempt_timeout();
        let mut first = pin!(self.attempt(job, limit, request()));
        let Some(delay) = self.hedging.delay(job.operation, job.bytes()) else {
            return Attempted { outcome: first.await, twice: false };
        };
        if let Ok(outcome) = timeout(delay, first.as_mut()).await {
            return Attempted { outcome, twice: false };
        }
        let Some(_second_permit) = self.second_permit(job) else {
            return Attempted { outcome: first.await, twice: false };
        };
        let second = pin!(self.attempt(job, limit, request()));
        let outcome = match select(first, second).await {
            Either::Left((outcome, second)) if is_passing(&outcome) => second.await,
            Either::Right((outcome, first)) if is_passing(&outcome) => first.await,
            Either::Left((outcome, _)) | Either::Right((outcome, _)) => outcome,
        };
        Attempted { outcome, twice: true }
    }

    fn second_permit(&self, job: Job) -> Option<Permit<'_>> {
        let permit = self.limits.try_acquire(job.purpose, job.bytes())?;
        self.hedging.take().then_some(permit)
    }

    /// One request: bounded in time, counted, its latency remembered.
    async fn attempt<T>(
        &self,
        job: Job,
        limit: Duration,
        request: impl Future<Output = Result<T, Verdict>>,
    ) -> Result<T, Verdict> {
        self.meter.sent(job.purpose, job.operation, job.bytes_sent);
        let started = Instant::now();
        let outcome = timeout(limit, request).await.unwrap_or_else(|_| {
            let (operation, location, hint) = (job.operation.as_str(), &self.location, self.hint);
            Err(Verdict::Doubtful(format!("{operation} on {location}: no answer within {limit:?}{hint}")))
        });
        let elapsed = started.elapsed();
        let failed = matches!(
            &outcome,
            Err(Verdict::Refused(_) | Verdict::NotApplied(_) | Verdict::Doubtful(_) | Verdict::OutOfRange)
        );
        self.meter.answered(job.purpose, job.operation, failed, elapsed);
        if outcome.is_ok() {
            self.meter.received(job.purpose, job.operation, job.bytes_received);
            self.hedging.observe(job.operation, job.bytes(), elapsed);
        }
        outcome
    }
}

fn is_passing<T>(outcome: &Result<T, Verdict>) -> bool {
    outcome.as_ref().is_err_and(Verdict::is_passing)
}

/// What an attempt came to.
pub(crate) struct Attempted<T> {
    pub(crate) outcome: Result<T, Verdict>,
    /// Whether the request was sent twice: either one may have been applied.
    pub(crate) twice: bool,
}

/// What is left of a call's time and attempts.
#[derive(Debug)]
pub(crate) struct Budget {
    deadline: Instant,
    attempt_timeout: Duration,
    attempts_left: u32,
    backoff: Backoff,
}

impl Budget {
    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn attempt_timeout(&self) -> Duration {
        self.attempt_timeout.min(self.time_left())
    }

    /// Waits before the next attempt; `false` when there is none.
    pub(crate) async fn pause(&mut self) -> bool {
        self.attempts_left = self.attempts_left.saturating_sub(1);
        let pause = self.backoff.next_pause();
        if self.attempts_left == 0 || pause >= self.time_left() {
            return false;
        }
        sleep(pause).await;
        true
    }
}
