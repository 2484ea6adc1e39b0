//! What share groups are asked and what they answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::error::Failure;
use crate::model::group::{GroupId, MemberId};
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

// ---------------------------------------------------------------- delivery

/// What a member says of a record it got (KIP-932; `Renew`: KIP-1222).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AcknowledgeType {
    /// There is no record at this offset, or it is not for users.
    Gap,
    /// Processed.
    Accept,
    /// Not processed; somebody else may try.
    Release,
    /// Can not be processed, ever.
    Reject,
    /// Still being processed: the lock begins anew.
    Renew,
}

/// What a member says of a range of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcknowledgementBatch {
    /// The first offset.
    pub first: Offset,
    /// The last offset, not before the first.
    pub last: Offset,
    /// One type for the whole range, or one per offset.
    pub types: Vec<AcknowledgeType>,
}

/// One partition's acknowledgements, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionAcknowledgement {
    /// The partition.
    pub partition: TopicIdPartition,
    /// Ranges that do not overlap.
    pub batches: Vec<AcknowledgementBatch>,
}

/// How strictly a limit of records is kept (KIP-1206).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AcquireMode {
    /// Whole batches of producers, so a little more than the limit may come.
    #[default]
    BatchOptimized,
    /// Never more than the limit.
    RecordLimit,
}

/// Offsets that a member holds from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquiredRange {
    /// The first offset.
    pub first: Offset,
    /// The last offset.
    pub last: Offset,
    /// How often these have been delivered, this time included: from 1.
    pub delivery_count: u16,
}

/// A ShareFetch, freed of its session.
#[derive(Clone, Debug)]
pub struct ShareFetchRequest {
    /// The group.
    pub group_id: GroupId,
    /// Who asks; membership is not checked, as in Kafka.
    pub member_id: MemberId,
    /// Applied before anything is acquired.
    pub acknowledgements: Vec<PartitionAcknowledgement>,
    /// Partitions to acquire from, in order of priority, each once.
    pub partitions: Vec<TopicIdPartition>,
    /// At most this many offsets over all partitions; 0 acquires nothing.
    pub records_max: u32,
    /// The wished size of one acquired range in offsets; ranges are cut at edges of producers' batches.
    pub batch_size: u32,
    /// How strictly `records_max` is kept.
    pub mode: AcquireMode,
    /// Wait until about this many bytes can be acquired …
    pub bytes_min: u32,
    /// … but for no longer than this.
    pub wait_max: Duration,
    /// About as many bytes of records as are wanted; one batch always comes.
    pub bytes_max: u32,
}

/// What a ShareFetch gave.
#[derive(Clone, Debug)]
pub struct ShareFetchAnswer {
    /// How long a lock lasts in this group.
    pub lock_duration: Duration,
    /// One outcome per wanted partition, in the request's order.
    pub fetched: Vec<Result<SharedRecords, Failure>>,
    /// One outcome per acknowledged partition, in the request's order.
    pub acknowledged: Vec<Result<(), Failure>>,
}

/// What a partition gave to a member.
#[derive(Clone, Debug, Default)]
pub struct SharedRecords {
    /// Whole record batches with real offsets in their headers; they may hold more than was acquired.
    pub records: Vec<Bytes>,
    /// What was acquired: sorted, without overlap.
    pub acquired: Vec<AcquiredRange>,
}

/// A ShareAcknowledge, freed of its session.
#[derive(Clone, Debug)]
pub struct ShareAcknowledgeRequest {
    /// The group.
    pub group_id: GroupId,
    /// Whose records.
    pub member_id: MemberId,
    /// What becomes of them.
    pub acknowledgements: Vec<PartitionAcknowledgement>,
}

/// What became of a ShareAcknowledge.
#[derive(Clone, Debug)]
pub struct ShareAcknowledgeAnswer {
    /// How long a lock lasts in this group.
    pub lock_duration: Duration,
    /// One outcome per partition, in the request's order.
    pub acknowledged: Vec<Result<(), Failure>>,
}

/// What a share partition's state comes to, for people and metrics. Offsets are counted, not records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharePartitionSummary {
    /// The first offset that is not done with; `None` while nobody has fetched and the start is not decided.
    pub start_offset: Option<Offset>,
    /// The first offset that was never acquired.
    pub end_offset: Option<Offset>,
    /// Delivered before and to be delivered again, now or after their rest.
    pub available: u64,
    /// With members now.
    pub acquired: u64,
    /// Of those two, delivered more than once.
    pub redelivered: u64,
    /// Processed, behind something that is not done with.
    pub acknowledged: u64,
    /// Given up or without a record, behind something that is not done with.
    pub archived: u64,
    /// How long ago the oldest lock that is still held began, about.
    pub oldest_acquired_age: Option<Duration>,
}

// ---------------------------------------------------------------- membership

/// Partitions by topic.
pub type Assignment = BTreeMap<TopicId, Vec<PartitionIndex>>;

/// A ShareGroupHeartbeat.
#[derive(Clone, Debug)]
pub struct ShareHeartbeat {
    /// The group.
    pub group_id: GroupId,
    /// The id that the member gave itself.
    pub member_id: MemberId,
    /// 0 joins, −1 leaves, else the epoch it knows.
    pub member_epoch: i32,
    /// Where it runs.
    pub rack: Option<Arc<str>>,
    /// What it subscribes to; `None` when nothing changed.
    pub subscribed: Option<Vec<TopicName>>,
    /// The client id of the request.
    pub client_id: Arc<str>,
    /// Where it comes from, as Kafka prints it: `/127.0.0.1`.
    pub client_host: Arc<str>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareHeartbeatAnswer {
    /// The epoch that the member is at now; −1 when it left.
    pub member_epoch: i32,
    /// When to say so again.
    pub heartbeat_interval: Duration,
    /// What the member may fetch from; `None` when that did not change.
    pub assignment: Option<Assignment>,
}

/// A share group's state, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShareGroupState {
    /// Nobody is in it.
    Empty,
    /// Everybody has an assignment.
    Stable,
    /// It is gone.
    Dead,
}

/// A share group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupListing {
    /// The group.
    pub group_id: GroupId,
    /// Its state.
    pub state: ShareGroupState,
}

/// A share group as ShareGroupDescribe shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupDescription {
    /// The group.
    pub group_id: GroupId,
    /// Its state.
    pub state: ShareGroupState,
    /// Counts changes of its members and their subscriptions.
    pub group_epoch: i32,
    /// The group epoch that the assignment was made for.
    pub assignment_epoch: i32,
    /// Who is in it, by id.
    pub members: Vec<ShareMemberDescription>,
}

/// A member as ShareGroupDescribe shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareMemberDescription {
    /// Its id.
    pub member_id: MemberId,
    /// Where it runs.
    pub rack: Option<Arc<str>>,
    /// The epoch it is at.
    pub member_epoch: i32,
    /// Its client id.
    pub client_id: Arc<str>,
    /// Where it comes from.
    pub client_host: Arc<str>,
    /// What it subscribes to, sorted.
    pub subscribed: Vec<TopicName>,
    /// What it may fetch from.
    pub assignment: Assignment,
}

// ---------------------------------------------------------------- administration of offsets

/// Topics by name with partitions of each: which start offsets DescribeShareGroupOffsets wants.
pub type OffsetSelection = Vec<(TopicName, Vec<PartitionIndex>)>;

/// One topic as DescribeShareGroupOffsets shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareTopicOffsets {
    /// Its name.
    pub topic: TopicName,
    /// Its identity; `None` when there is no such topic.
    pub topic_id: Option<TopicId>,
    /// Its partitions, in the order asked for, else ascending. A failure concerns its partition alone.
    pub partitions: Vec<(PartitionIndex, Result<ShareOffset, Failure>)>,
}

/// How far a group is with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ShareOffset {
    /// Everything before it is done; `None` (−1 on the wire) when the group never read the partition.
    pub start_offset: Option<Offset>,
    /// How many offsets are not done yet, up to the high watermark; `None` (−1) when the start is not known (KIP-1226).
    pub lag: Option<u64>,
}

/// A topic's new start offsets, as AlterShareGroupOffsets brings them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTopicOffsets {
    /// Its name.
    pub topic: TopicName,
    /// Where each partition is to begin. −1 leaves it to `share.auto.offset.reset`.
    pub partitions: Vec<(PartitionIndex, Offset)>,
}

/// What AlterShareGroupOffsets did to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlteredTopicOffsets {
    /// Its name.
    pub topic: TopicName,
    /// Its identity; `None` when there is no such topic.
    pub topic_id: Option<TopicId>,
    /// One outcome per partition, in the request's order.
    pub partitions: Vec<(PartitionIndex, Result<(), Failure>)>,
}

/// What DeleteShareGroupOffsets did to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopicOffsets {
    /// Its name.
    pub topic: TopicName,
    /// Its identity; `None` when there is no such topic.
    pub topic_id: Option<TopicId>,
    /// Whether it is forgotten.
    pub outcome: Result<(), Failure>,
}
