//! What a request asks of its group's lane.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::topic::TimestampType;
use crate::coordinator::share::values::{AcquireMode, PartitionAcknowledgement, SharedRecords};
use crate::model::error::Failure;
use crate::model::group::MemberId;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// What is to be done for one member. Its parts succeed and fail by partition, each for itself.
#[derive(Debug)]
pub(super) struct Work {
    pub member_id: MemberId,
    /// When the request came: what is refused on account of memory must be as young as this.
    pub asked: Instant,
    /// Applied first.
    pub acknowledgements: Vec<PartitionAcknowledgement>,
    /// What the member's session on this agent holds there is given back.
    pub releases: Vec<TopicIdPartition>,
    /// Acquired last.
    pub acquire: Acquire,
    /// Until then it may wait for other work's round, to share its write; at once when that is `None`.
    pub patient_until: Option<Instant>,
    /// Who waits; nobody, when the lane itself gives back what could not be delivered.
    pub reply: Option<oneshot::Sender<Done>>,
}

/// How much is wanted from where.
#[derive(Clone, Debug, Default)]
pub(super) struct Acquire {
    /// In order of priority, each once.
    pub partitions: Vec<WantedPartition>,
    pub records_max: u32,
    pub batch_size: u32,
    pub mode: AcquireMode,
    pub bytes_max: u32,
    /// Where partitions begin whose start was not decided.
    pub starts: BTreeMap<TopicIdPartition, Offset>,
    /// Even if there is nothing, that must be as young as the request.
    pub is_last_look: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct WantedPartition {
    pub partition: TopicIdPartition,
    /// How its topic stamps records.
    pub timestamp_type: TimestampType,
}

/// What became of a piece of work; everything is stored.
#[derive(Debug)]
pub(super) struct Done {
    /// One outcome per acknowledged partition, in order.
    pub acknowledged: Vec<Result<(), Failure>>,
    /// Whether everything was given back that was to be.
    pub is_released: bool,
    /// One outcome per wanted partition, in order.
    pub acquired: Vec<Acquisition>,
}

/// What a partition gave.
#[derive(Clone, Debug)]
pub(super) enum Acquisition {
    /// There is nothing to acquire now.
    Nothing,
    /// At least one offset.
    Records(SharedRecords),
    /// Where the partition begins must be found out first.
    Undecided,
    /// Records from this offset on are not in memory: load them and come again.
    Cold(Offset),
    /// It can not be read or written.
    Failed(Failure),
}

impl Work {
    /// Acknowledgements and nothing else.
    pub(super) fn acknowledging(
        member_id: MemberId,
        asked: Instant,
        acknowledgements: Vec<PartitionAcknowledgement>,
    ) -> Self {
        let (releases, acquire) = (Vec::new(), Acquire::default());
        Self { member_id, asked, acknowledgements, releases, acquire, patient_until: None, reply: None }
    }
}
