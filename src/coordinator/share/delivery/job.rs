//! A piece of work in a lane, and which parts of it are done.

use tokio::time::Instant;

use crate::coordinator::share::delivery::read::bytes_of;
use crate::coordinator::share::delivery::work::{Acquisition, Done, Work};
use crate::coordinator::share::values::{AcknowledgeType, AcknowledgementBatch, PartitionAcknowledgement};
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicIdPartition;

/// A piece of work under way.
#[derive(Debug)]
pub(super) struct Job {
    pub work: Work,
    /// Rounds that did not finish it.
    pub attempts: u32,
    acknowledged: Vec<Option<Result<(), Failure>>>,
    /// By partition: whether it was given back.
    released: Vec<Option<bool>>,
    acquired: Vec<Option<Acquisition>>,
}

/// A part of a job: its place among the parts of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Acknowledgement(usize),
    Release(usize),
    Acquire(usize),
}

/// What became of a part.
#[derive(Debug)]
pub(super) enum Outcome {
    Acknowledged(Result<(), Failure>),
    /// Whether it was given back.
    Released(bool),
    Acquired(Acquisition),
}

impl Outcome {
    /// What a part gets that could not be done because the metastore failed.
    pub(super) fn unavailable(part: Part, reason: &str) -> Self {
        match part {
            Part::Acknowledgement(_) => Self::Acknowledged(Err(unavailable(reason))),
            Part::Release(_) => Self::Released(false),
            Part::Acquire(_) => {
                let message = format!("the share partition's state can not be read or stored now; retry: {reason}");
                Self::Acquired(Acquisition::Failed(Failure::new(Condition::KafkaStorageError, message)))
            }
        }
    }
}

fn unavailable(reason: &str) -> Failure {
    let message = format!("acknowledgements can not be stored now; retry: {reason}");
    Failure::new(Condition::CoordinatorNotAvailable, message)
}

impl Job {
    pub(super) fn new(work: Work) -> Self {
        let acknowledged = vec![None; work.acknowledgements.len()];
        let released = vec![None; work.releases.len()];
        let acquired = vec![None; work.acquire.partitions.len()];
        Self { work, attempts: 0, acknowledged, released, acquired }
    }

    /// What is left to do, with the partition it concerns.
    pub(super) fn pending(&self) -> impl Iterator<Item = (TopicIdPartition, Part)> {
        let Work { acknowledgements, releases, acquire, .. } = &self.work;
        let acknowledgements = (0..).zip(acknowledgements).zip(&self.acknowledged);
        let releases = (0..).zip(releases).zip(&self.released);
        let wanted = (0..).zip(&acquire.partitions).zip(&self.acquired);
        let acknowledgements = acknowledgements
            .filter(|(_, done)| done.is_none())
            .map(|((index, one), _)| (one.partition, Part::Acknowledgement(index)));
        let releases =
            releases.filter(|(_, done)| done.is_none()).map(|((index, one), _)| (*one, Part::Release(index)));
        let wanted =
            wanted.filter(|(_, done)| done.is_none()).map(|((index, one), _)| (one.partition, Part::Acquire(index)));
        acknowledgements.chain(releases).chain(wanted)
    }

    /// When the round must begin that this is in; `None`: at once.
    pub(super) fn patient_until(&self) -> Option<Instant> {
        self.work.patient_until.filter(|_| self.attempts == 0)
    }

    pub(super) fn is_done(&self) -> bool {
        self.pending().next().is_none()
    }

    /// Whether anybody would take what is acquired.
    pub(super) fn is_awaited(&self) -> bool {
        self.work.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    /// How many more offsets and bytes it may have; and whether it has none so far.
    pub(super) fn left(&self) -> (u32, u64, bool) {
        let (mut records, mut bytes, mut is_first) =
            (self.work.acquire.records_max, u64::from(self.work.acquire.bytes_max), true);
        for acquisition in self.acquired.iter().flatten() {
            if let Acquisition::Records(got) = acquisition {
                let count: i64 = got.acquired.iter().map(|range| range.last.0 - range.first.0 + 1).sum();
                records = records.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
                bytes = bytes.saturating_sub(bytes_of(&got.records));
                is_first = false;
            }
        }
        (records, bytes, is_first)
    }

    /// Notes what became of a part.
    pub(super) fn note(&mut self, part: Part, outcome: Outcome) {
        match (part, outcome) {
            (Part::Acknowledgement(index), Outcome::Acknowledged(outcome)) => self.acknowledged[index] = Some(outcome),
            (Part::Release(index), Outcome::Released(is_released)) => self.released[index] = Some(is_released),
            (Part::Acquire(index), Outcome::Acquired(acquisition)) => self.acquired[index] = Some(acquisition),
            (part, outcome) => debug_assert!(false, "{part:?} can not end in {outcome:?}"),
        }
    }

    /// Ends what is not done: it was tried for long enough. Whoever waits for records goes on waiting.
    pub(super) fn give_up(&mut self, reason: &str) {
        let pending: Vec<Part> = self.pending().map(|(_, part)| part).collect();
        for part in pending {
            match part {
                Part::Acquire(_) => self.note(part, Outcome::Acquired(Acquisition::Nothing)),
                _ => self.note(part, Outcome::unavailable(part, reason)),
            }
        }
    }

    /// Answers. What was acquired for somebody who does not listen any more comes back, as work to give it back.
    pub(super) fn answer(self) -> Option<Work> {
        let Self { work, acknowledged, released, acquired, .. } = self;
        let Work { member_id, asked, acquire, reply, .. } = work;
        let unfinished = || unavailable("it was not tried");
        let done = Done {
            acknowledged: acknowledged.into_iter().map(|done| done.unwrap_or_else(|| Err(unfinished()))).collect(),
            is_released: released.into_iter().all(|done| done == Some(true)),
            acquired: acquired.into_iter().map(|done| done.unwrap_or(Acquisition::Nothing)).collect(),
        };
        let done = reply?.send(done).err()?;
        let partitions = acquire.partitions.iter().zip(done.acquired);
        let given_back: Vec<PartitionAcknowledgement> = partitions
            .filter_map(|(wanted, acquisition)| {
                let Acquisition::Records(got) = acquisition else { return None };
                let release = |range: &crate::coordinator::share::values::AcquiredRange| AcknowledgementBatch {
                    first: range.first,
                    last: range.last,
                    types: vec![AcknowledgeType::Release],
                };
                let batches = got.acquired.iter().map(release).collect();
                Some(PartitionAcknowledgement { partition: wanted.partition, batches })
            })
            .collect();
        (!given_back.is_empty()).then(|| Work::acknowledging(member_id, asked, given_back))
    }
}
