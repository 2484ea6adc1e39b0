//! The task behind the writer: what it holds, and what it does when something happens.
//!
//! ```text
//! queue ─► buffer ─► flights: uploading ─► uploaded ─► committing (the first one only) ─► settled
//!            ▲                                                                               │
//!            └────────────────────── holds: batches with a gap before them ◄─────────────────┘
//! ```

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFuture;
use tracing::{error, info, warn};

use crate::base::task::{Supervisor, TaskError, TaskKind};
use crate::log::append::buffer::{Admitted, Buffer, PartitionBatches, ProducerKey};
use crate::log::append::commit::{CommitEnd, Committer, commit_of, resolve};
use crate::log::append::gauges::Gauges;
use crate::log::append::hold::{Holds, Room, Watch};
use crate::log::append::pace::{Load, Pace, Step};
use crate::log::append::parts::WriterParts;
use crate::log::append::settle::{Gap, Settled, settle};
use crate::log::append::upload::{Uploaded, upload};
use crate::log::append::values::AppendFailure;
use crate::model::error::{Condition, Failure};
use crate::object::error::ObjectError;
use crate::object::layout::WalBatch;

/// What the tasks beside the driver report.
enum Event {
    Uploaded(u64, Result<Uploaded, ObjectError>),
    Committed(u64, CommitEnd),
    Released(ProducerKey),
}

/// An object on its way.
struct Flight {
    number: u64,
    bytes: u64,
    /// When the last waiter gives up.
    deadline: Instant,
    batches: Vec<PartitionBatches>,
    stage: Stage,
}

enum Stage {
    Uploading,
    Uploaded(Uploaded),
    Committing(Uploaded),
    Failed(ObjectError),
}

/// The state of the writer's task.
pub(crate) struct Driver {
    supervisor: Supervisor,
    parts: WriterParts,
    committer: Committer,
    gauges: Gauges,
    queue: mpsc::UnboundedReceiver<Admitted>,
    queue_open: bool,
    /// Events come from tasks of our own only: at most one per flight and one per hold.
    report: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    buffer: Buffer,
    pace: Pace,
    /// In the order in which they were sealed, which is the order of their commits.
    flights: VecDeque<Flight>,
    flight_bytes: u64,
    uploads: usize,
    next_number: u64,
    holds: Holds,
    draining: bool,
}

/// This agent's registration is over.
#[derive(Debug, thiserror::Error)]
#[error("the metastore fenced this agent's appends: {0}")]
struct FencedOut(String);

impl Driver {
    pub(crate) fn new(supervisor: Supervisor, parts: WriterParts, queue: mpsc::UnboundedReceiver<Admitted>) -> Self {
        let (report, events) = mpsc::unbounded_channel();
        let committer = Committer {
            metastore: Arc::clone(&parts.metastore),
            node: Arc::clone(&parts.node),
            rng: parts.rng.clone(),
        };
        Self {
            committer,
            gauges: Gauges::new(&parts.metrics),
            pace: Pace::new(parts.settings.clone(), Instant::now()),
            supervisor,
            parts,
            queue,
            queue_open: true,
            report,
            events,
            buffer: Buffer::default(),
            flights: VecDeque::new(),
            flight_bytes: 0,
            uploads: 0,
            next_number: 0,
            holds: Holds::default(),
            draining: false,
        }
    }

    /// Runs until the supervisor drains appends and everything is answered.
    ///
    /// # Errors
    /// When this node is fenced; everything that was not sequenced is answered as such.
    pub(crate) async fn run(mut self) -> Result<(), TaskError> {
        let stop = self.supervisor.token(TaskKind::Append);
        let mut stopped = pin!(stop.cancelled());
        while self.turn(stopped.as_mut()).await? {}
        info!("the writer has answered everything");
        Ok(())
    }

    /// Does whatever is next; says whether there may be more.
    async fn turn(&mut self, stopped: Pin<&mut WaitForCancellationFuture<'_>>) -> Result<bool, TaskError> {
        let load = Load {
            bytes: self.buffer.bytes(),
            since: self.buffer.since(),
            uploads: self.uploads,
            draining: self.draining,
        };
        let due = match self.pace.step(load, Instant::now()) {
            Step::Flush => {
                self.seal();
                return Ok(true);
            }
            Step::At(due) => Some(due),
            Step::Wait => None,
        };
        if !self.queue_open && self.buffer.since().is_none() && self.flights.is_empty() && self.holds.is_empty() {
            return Ok(false);
        }
        let has_room = self.queue_open && self.has_room();
        // Every branch is cancel-safe: channels keep what was not received, and the rest holds no state.
        tokio::select! {
            biased;
            () = stopped, if !self.draining => self.drain(),
            Some(event) = self.events.recv() => self.on_event(event).await?,
            batch = self.queue.recv(), if has_room => match batch {
                Some(batch) => self.on_batches(batch),
                None => self.queue_open = false,
            },
            () = sleep_until(due), if due.is_some() => {}
        }
        Ok(true)
    }

    /// Whether another batch may leave the queue. Beyond the budget batches stay there, in order.
    fn has_room(&self) -> bool {
        let settings = &self.parts.settings;
        self.buffer.bytes() < settings.object_bytes_max
            && self.flight_bytes.saturating_add(self.buffer.bytes()) < settings.append_bytes_max
    }

    /// Takes no more appends; writes and answers what there is.
    fn drain(&mut self) {
        self.draining = true;
        self.queue.close();
        for batch in self.holds.release_all() {
            batch.answer(Err(AppendFailure::stopping()));
        }
    }

    /// Takes a batch and whatever else is in the queue already.
    fn on_batches(&mut self, first: Admitted) {
        let now = Instant::now();
        let mut next = Some(first);
        while let Some(batch) = next {
            if batch.deadline <= now {
                // Its caller has been told that nothing is known; not to write it is the better half of that.
                drop(batch);
            } else if let Some(batch) = self.holds.join(batch) {
                self.buffer.push(batch, now);
            }
            next = if self.has_room() { self.queue.try_recv().ok() } else { None };
        }
        self.gauges.in_flight(self.flight_bytes + self.buffer.bytes());
    }

    /// Makes an object of the buffer and starts its upload.
    fn seal(&mut self) {
        let now = Instant::now();
        self.pace.spend(now);
        let bytes = self.buffer.bytes();
        let batches = self.buffer.take();
        let deadline = batches.iter().flat_map(|(_, batches)| batches).map(|batch| batch.deadline).max();
        let number = self.next_number;
        self.next_number += 1;
        self.flight_bytes += bytes;
        let deadline = deadline.unwrap_or(now);
        self.flights.push_back(Flight { number, bytes, deadline, batches, stage: Stage::Uploading });
        self.start_upload(self.flights.len() - 1);
    }

    fn start_upload(&mut self, index: usize) {
        let Some(flight) = self.flights.get(index) else { return };
        let number = flight.number;
        let batches = flight.batches.iter();
        let part_of = |batch: &Admitted| WalBatch { bytes: batch.records.clone(), crc: batch.facts.crc };
        let parts = batches.map(|(partition, batches)| (*partition, batches.iter().map(part_of).collect())).collect();
        self.uploads += 1;
        let (storage, cluster_id, rng) = (self.parts.storage.clone(), self.parts.cluster_id, self.parts.rng.clone());
        let (node, report) = (**self.parts.node.load(), self.report.clone());
        self.supervisor.spawn(TaskKind::Append, "append-upload", async move {
            // In a box, because a task's future is moved several times before it runs, and this one is large.
            let outcome = Box::pin(upload(&storage, cluster_id, node, &rng, parts)).await;
            // Without a driver nobody wants to know.
            let _ = report.send(Event::Uploaded(number, outcome));
            Ok(())
        });
    }

    async fn on_event(&mut self, event: Event) -> Result<(), TaskError> {
        match event {
            Event::Uploaded(number, outcome) => {
                self.uploads -= 1;
                let flight = self.flights.iter_mut().find(|flight| flight.number == number);
                if let Some(flight) = flight {
                    flight.stage = match outcome {
                        Ok(uploaded) => Stage::Uploaded(uploaded),
                        Err(failure) => Stage::Failed(failure),
                    };
                }
            }
            Event::Committed(number, end) => self.on_committed(number, end).await?,
            Event::Released(key) => self.on_released(&key),
        }
        self.advance();
        Ok(())
    }

    /// Commits the first flight once it is uploaded; drops it when its upload failed.
    fn advance(&mut self) {
        while let Some(flight) = self.flights.front_mut() {
            match std::mem::replace(&mut flight.stage, Stage::Uploading) {
                Stage::Failed(failure) => {
                    warn!(%failure, bytes = flight.bytes, "an object could not be written; its batches are refused");
                    if let Some(flight) = self.flights.pop_front() {
                        self.flight_bytes -= flight.bytes;
                        refuse(flight.batches, &storage_failure("object store", &failure));
                    }
                }
                Stage::Uploaded(uploaded) => {
                    let commit = commit_of(**self.parts.node.load(), &uploaded, &flight.batches);
                    let (committer, report) = (self.committer.clone(), self.report.clone());
                    let (number, deadline) = (flight.number, flight.deadline);
                    flight.stage = Stage::Committing(uploaded);
                    self.supervisor.spawn(TaskKind::Append, "append-commit", async move {
                        let end = resolve(&committer, commit, deadline).await;
                        // Without a driver nobody wants to know.
                        let _ = report.send(Event::Committed(number, end));
                        Ok(())
                    });
                    return;
                }
                stage => {
                    flight.stage = stage;
                    return;
                }
            }
        }
    }

    async fn on_committed(&mut self, number: u64, end: CommitEnd) -> Result<(), TaskError> {
        let is_first = self.flights.front().is_some_and(|flight| flight.number == number);
        assert!(is_first, "only the first flight commits");
        let receipt = match end {
            CommitEnd::Done(receipt) => receipt,
            CommitEnd::Tombstoned => {
                warn!(flight = number, "an object was swept before its commit; it is written again");
                if let Some(flight) = self.flights.front_mut() {
                    flight.stage = Stage::Uploading;
                }
                self.start_upload(0);
                return Ok(());
            }
            CommitEnd::GaveUp(reason) => {
                if let Some(flight) = self.flights.pop_front() {
                    self.flight_bytes -= flight.bytes;
                    refuse(flight.batches, &storage_failure("metastore", &reason));
                }
                return Ok(());
            }
            refusal @ (CommitEnd::Conflict { .. } | CommitEnd::Refused { .. }) => {
                error!(?refusal, "the metastore refused conditions that the writer did not set");
                if let Some(flight) = self.flights.pop_front() {
                    self.flight_bytes -= flight.bytes;
                    refuse(flight.batches, &storage_failure("metastore", &"it refused the commit"));
                }
                return Ok(());
            }
            CommitEnd::Fenced(reason) => return Err(self.on_fenced(reason)),
            CommitEnd::Lost(reason) => {
                // Dropped without an answer: its waiters hear that nothing is known.
                drop(self.flights.pop_front());
                return Err(self.on_fenced(reason));
            }
        };
        let Some(Flight { bytes, batches, stage: Stage::Committing(uploaded), .. }) = self.flights.pop_front() else {
            return Ok(());
        };
        self.flight_bytes -= bytes;
        self.gauges.committed(bytes);
        self.on_settled(&uploaded, settle(&uploaded, batches, receipt)).await;
        Ok(())
    }

    /// Readers first: whoever is answered finds what was appended.
    async fn on_settled(&mut self, uploaded: &Uploaded, settled: Settled) {
        let Settled { cached, news, answers, gaps, unanswered } = settled;
        if unanswered > 0 {
            // Their answers are dropped, so that their waiters hear that nothing is known.
            error!(object = %uploaded.key, unanswered, "the metastore's receipt does not match its commit");
        }
        self.parts.cache.insert_all(&uploaded.key, cached);
        for (partition, bounds, extents) in news {
            self.parts.tail.apply(partition, bounds, &extents);
        }
        for (batch, outcome) in answers {
            batch.answer(outcome);
        }
        for gap in gaps {
            self.on_gap(gap);
        }
        self.gauges.in_flight(self.flight_bytes + self.buffer.bytes());
    }

    /// Lets a batch wait for the one before it. One that can not wait, or has waited long enough, gets a last try.
    fn on_gap(&mut self, gap: Gap) {
        let Gap { mut batch, beyond, refusal } = gap;
        if self.draining {
            return batch.answer(Err(AppendFailure::stopping()));
        }
        let (Some(key), false) = (batch.producer_key(), batch.begins_anywhere()) else {
            return batch.answer(Err(refusal.into()));
        };
        let now = Instant::now();
        let since = *batch.gap_since.get_or_insert(now);
        let until = since + self.parts.settings.sequence_gap_wait();
        match self.holds.room(&key) {
            Room::Free if now < until => {}
            Room::ManyBatches => return batch.answer(Err(refusal.into())),
            Room::Free | Room::ManyProducers => {
                batch.let_begin();
                return self.buffer.rejoin(key, vec![batch], now);
            }
        }
        self.gauges.held();
        if let Some(watch) = self.holds.hold(Watch { key, beyond, until }, batch) {
            self.watch(watch);
        }
    }

    fn watch(&self, watch: Watch) {
        let (tail, report, stop) =
            (self.parts.tail.clone(), self.report.clone(), self.supervisor.token(TaskKind::Append));
        self.supervisor.spawn(TaskKind::Append, "append-hold", async move {
            let Watch { key, beyond, until } = watch;
            // Whichever comes first, the batches go on.
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tail.wait_beyond(key.0, beyond) => {}
                () = tokio::time::sleep_until(until) => {}
            }
            // Without a driver nobody wants to know.
            let _ = report.send(Event::Released(key));
            Ok(())
        });
    }

    /// Batches that waited try again. When the time of one of them is over it is the last try of all, and where
    /// nothing is known of the producer, the first of them begins.
    fn on_released(&mut self, key: &ProducerKey) {
        let mut waited = self.holds.release(key);
        let (now, wait) = (Instant::now(), self.parts.settings.sequence_gap_wait());
        if waited.iter().any(|batch| batch.gap_since.is_some_and(|since| since + wait <= now)) {
            waited.iter_mut().for_each(Admitted::let_begin);
        }
        if !waited.is_empty() {
            self.buffer.rejoin(*key, waited, now);
        }
    }

    /// Nothing that is still here was sequenced, and this agent can sequence nothing more.
    fn on_fenced(&mut self, reason: String) -> TaskError {
        self.queue.close();
        let failure = AppendFailure::from(Failure::new(
            Condition::NotLeaderOrFollower,
            "this agent's registration is over; nothing was appended",
        ));
        for flight in self.flights.drain(..) {
            refuse(flight.batches, &failure);
        }
        refuse(self.buffer.take(), &failure);
        for batch in self.holds.release_all() {
            batch.answer(Err(failure.clone()));
        }
        while let Ok(batch) = self.queue.try_recv() {
            batch.answer(Err(failure.clone()));
        }
        Box::new(FencedOut(reason))
    }
}

fn refuse(batches: Vec<PartitionBatches>, failure: &AppendFailure) {
    for batch in batches.into_iter().flat_map(|(_, batches)| batches) {
        batch.answer(Err(failure.clone()));
    }
}

fn storage_failure(what: &str, reason: &dyn std::fmt::Display) -> AppendFailure {
    let message = format!("the {what} does not take appends now; nothing was appended: {reason}");
    Failure::new(Condition::KafkaStorageError, message).into()
}

/// Sleeps until `due`, for ever without one.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
