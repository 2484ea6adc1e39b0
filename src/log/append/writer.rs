//! The writer: drives admit → buffer → upload → commit.
//!
//! One task owns the buffer and the list of objects in flight; uploads and commits run beside it and report back.
//! Uploads overlap; commits run one at a time, in the order in which the objects were sealed, so that the order of
//! admission is the order of offsets.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::base::clock::Clock;
use crate::base::task::{Supervisor, TaskKind};
use crate::log::append::admit::{BatchFacts, admit};
use crate::log::append::buffer::Admitted;
use crate::log::append::drive::Driver;
use crate::log::append::parts::WriterParts;
use crate::log::append::pressure::Pressure;
use crate::log::append::values::{AppendFailure, AppendOutcome, AppendRequest, PartitionAppend};

/// Hands appends to the writer. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Writer {
    // Not bounded by itself: every batch in it is charged to the pressure that the server obeys before it reads on.
    queue: mpsc::UnboundedSender<Admitted>,
    pressure: Pressure,
    clock: Arc<dyn Clock>,
}

impl Writer {
    /// Starts a writer. It stops in the supervisor's drain phase, when it writes what it has and answers; it fails,
    /// and with it the agent, when the metastore fences this node for good.
    #[must_use]
    pub fn start(supervisor: &Supervisor, parts: WriterParts) -> Self {
        let (queue, admitted) = mpsc::unbounded_channel();
        let pressure = Pressure::new(parts.settings.append_bytes_max);
        let clock = Arc::clone(&parts.clock);
        let driver = Driver::new(supervisor.clone(), parts, admitted);
        supervisor.spawn(TaskKind::Append, "append-writer", driver.run());
        Self { queue, pressure, clock }
    }

    /// Takes a request into the log.
    ///
    /// The batches are admitted in the order in which this method is *called*, before it returns; the future only
    /// waits for the outcome, one per partition in the request's order. Dropping the future does not undo the append.
    ///
    /// `RequestTimedOut` means that the outcome is not known (yet); every other failure means that nothing was
    /// appended.
    pub fn append(&self, request: AppendRequest) -> impl Future<Output = Vec<AppendOutcome>> + Send + 'static + use<> {
        let deadline = deadline_after(request.timeout);
        let now = self.clock.now();
        let tickets: Vec<Ticket> = request
            .partitions
            .into_iter()
            .map(|append| match admit(&append, request.produce_version, now) {
                Ok(facts) => self.enqueue(append, facts, deadline),
                Err(failure) => Ticket::Refused(failure),
            })
            .collect();
        async move {
            let mut outcomes = Vec::with_capacity(tickets.len());
            for ticket in tickets {
                outcomes.push(ticket.outcome(deadline).await);
            }
            outcomes
        }
    }

    /// How many bytes are under way; ask it before reading more from a producer.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.pressure.clone()
    }

    fn enqueue(&self, append: PartitionAppend, facts: BatchFacts, deadline: Instant) -> Ticket {
        let (answer, outcome) = oneshot::channel();
        let charge = self.pressure.charge(append.records.len() as u64);
        let PartitionAppend { partition, records, .. } = append;
        let admitted = Admitted { partition, records, facts, deadline, gap_since: None, answer, _charge: charge };
        match self.queue.send(admitted) {
            Ok(()) => Ticket::Admitted(outcome),
            Err(_) => Ticket::Refused(AppendFailure::stopping()),
        }
    }
}

/// A batch's claim to an outcome.
enum Ticket {
    Refused(AppendFailure),
    Admitted(oneshot::Receiver<AppendOutcome>),
}

impl Ticket {
    async fn outcome(self, deadline: Instant) -> AppendOutcome {
        match self {
            Self::Refused(failure) => Err(failure),
            Self::Admitted(outcome) => match tokio::time::timeout_at(deadline, outcome).await {
                Ok(Ok(outcome)) => outcome,
                // The writer was dropped with the batch in its hands, or is not done yet: nobody can say.
                Ok(Err(_)) | Err(_) => Err(AppendFailure::timed_out()),
            },
        }
    }
}

/// When a caller gives up; a timeout beyond all bounds counts as a day.
fn deadline_after(timeout: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(86_400);
    Instant::now() + timeout.min(LONGEST)
}

#[cfg(test)]
mod tests;
