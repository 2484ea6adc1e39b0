//! What group requests ask and answer, free of the wire.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::model::error::Condition;
use crate::model::group::{GenerationId, GroupId, GroupInstanceId, MemberId};
use crate::model::offset::Offset;
use crate::model::topic::{TopicIdPartition, TopicName};

/// The protocol type of consumers; their subscriptions can be read.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The id belongs to a share group, as JoinGroup says it.
pub const OTHER_KIND: Condition = Condition::InconsistentGroupProtocol;

/// `condition`, or what a request other than JoinGroup answers when the id belongs to a share group.
#[must_use]
pub fn outside_of_join(condition: Condition, other_kind: Condition) -> Condition {
    if condition == OTHER_KIND { other_kind } else { condition }
}

/// Monotonic time of one agent: milliseconds since its coordinator started. Never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment plus `ms` milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u32) -> Self {
        Self(self.0.saturating_add(u64::from(ms)))
    }
}

/// Both times a decision may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For sessions and timers.
    pub moment: Moment,
    /// The metastore's time, for what is stored.
    pub wall: Timestamp,
}

/// Names one waiting request within a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A protocol that a member supports, with its metadata under that protocol: opaque bytes, save that a
/// consumer's subscription can be read from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// The protocol's name, for consumers the assignor's.
    pub name: Arc<str>,
    /// The member's metadata.
    pub metadata: Bytes,
}

/// The state of a classic group, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum GroupState {
    /// No members; offsets may be kept.
    Empty,
    /// Members are joining.
    PreparingRebalance,
    /// Members wait for the leader's assignment.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
    /// The group does not exist.
    Dead,
}

impl GroupState {
    /// Kafka's name of the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// ---------------------------------------------------------------- join

/// A JoinGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// Which group.
    pub group_id: GroupId,
    /// The member's id, empty when it has none yet.
    pub member_id: MemberId,
    /// A static member's id (KIP-345).
    pub instance_id: Option<GroupInstanceId>,
    /// The client's own name, from the request's header.
    pub client_id: Arc<str>,
    /// The client's address, as Kafka writes it: `/192.0.2.1`.
    pub client_host: Arc<str>,
    /// Without a heartbeat for so long the member is removed.
    pub session_timeout_ms: i32,
    /// How long the group waits for this member in a rebalance.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect` or anything else; the same for all members of a group.
    pub protocol_type: Arc<str>,
    /// What the member supports, most wanted first.
    pub protocols: Vec<Protocol>,
    /// A dynamic member without an id is told one and has to ask again (JoinGroup v4, KIP-394).
    pub requires_known_member_id: bool,
    /// The client understands an answer that tells the leader to skip the assignment (JoinGroup v9, KIP-814).
    pub supports_skipping_assignment: bool,
}

/// The answer to a member that is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its id.
    pub member_id: MemberId,
    /// The round it is in.
    pub generation: GenerationId,
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol the members voted for.
    pub protocol_name: Option<Arc<str>>,
    /// Who assigns.
    pub leader: MemberId,
    /// The leader must not assign anew: the assignment stands.
    pub skip_assignment: bool,
    /// Everyone, for the leader; nobody, for the others.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: MemberId,
    /// A static member's id.
    pub instance_id: Option<GroupInstanceId>,
    /// Its metadata under the chosen protocol.
    pub metadata: Bytes,
}

/// The answer to a member that is not in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub condition: Condition,
    /// The id to go on with: a fresh one with `MemberIdRequired`, else the request's or none.
    pub member_id: MemberId,
}

/// The answer to JoinGroup.
pub type JoinOutcome = Result<Joined, JoinRefused>;

// ---------------------------------------------------------------- sync, heartbeat, leave

/// Who speaks, as a group member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberClaim {
    /// Which group.
    pub group_id: GroupId,
    /// The member's id; empty for none.
    pub member_id: MemberId,
    /// A static member's id.
    pub instance_id: Option<GroupInstanceId>,
    /// The round it believes to be in; negative for none.
    pub generation: GenerationId,
}

/// A SyncGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    /// Who asks.
    pub claim: MemberClaim,
    /// The protocol type it believes in.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol it believes in.
    pub protocol_name: Option<Arc<str>>,
    /// The assignments, from the leader.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The group's protocol.
    pub protocol_name: Option<Arc<str>>,
    /// What the leader gave this member; opaque.
    pub assignment: Bytes,
}

/// The answer to SyncGroup.
pub type SyncOutcome = Result<Synced, Condition>;

/// One member to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its id; empty when it is named by instance id alone.
    pub member_id: MemberId,
    /// A static member's id.
    pub instance_id: Option<GroupInstanceId>,
}

/// The answer to LeaveGroup: one result per member, in the request's order.
pub type LeaveOutcome = Result<Vec<Result<(), Condition>>, Condition>;

// ---------------------------------------------------------------- offsets

/// An OffsetCommit request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Who commits; generation −1 with an empty member id for clients that do not use group membership.
    pub claim: MemberClaim,
    /// The client knows `GroupIdNotFound` (OffsetCommit v9).
    pub knows_group_id_not_found: bool,
    /// The request's own retention time (OffsetCommit v2–4).
    pub retention: Option<Duration>,
    /// What to commit.
    pub partitions: Vec<PartitionCommit>,
}

/// One partition's offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionCommit {
    /// Which partition.
    pub partition: TopicIdPartition,
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch of the last record read, −1 for none.
    pub leader_epoch: i32,
    /// The client's note.
    pub metadata: Arc<str>,
}

/// The answer to OffsetCommit: one result per partition, in the request's order.
pub type CommitOutcome = Result<Vec<Result<(), Condition>>, Condition>;

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch that was committed with it, −1 for none.
    pub leader_epoch: i32,
    /// The client's note.
    pub metadata: Arc<str>,
    /// When, by the metastore's clock.
    pub committed_at: Timestamp,
    /// When it expires, if the request said so itself.
    pub expires_at: Option<Timestamp>,
}

/// Which committed offsets are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetSelection {
    /// All that the group has.
    All,
    /// These.
    Partitions(Vec<TopicIdPartition>),
}

/// An OffsetDelete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDelete {
    /// Which group.
    pub group_id: GroupId,
    /// Which offsets, with the topics' names, by which subscriptions are known.
    pub partitions: Vec<(TopicName, TopicIdPartition)>,
}

// ---------------------------------------------------------------- administration

/// A group as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its state; `Dead` when there is no such group.
    pub state: GroupState,
    /// Its protocol type, empty for none.
    pub protocol_type: Arc<str>,
    /// Its protocol, empty unless it is stable.
    pub protocol_name: Arc<str>,
    /// Its members, sorted by id.
    pub members: Vec<MemberDescription>,
}

impl GroupDescription {
    /// The group that does not exist.
    #[must_use]
    pub fn dead() -> Self {
        Self { state: GroupState::Dead, protocol_type: "".into(), protocol_name: "".into(), members: Vec::new() }
    }
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub member_id: MemberId,
    /// A static member's id.
    pub instance_id: Option<GroupInstanceId>,
    /// The client's name.
    pub client_id: Arc<str>,
    /// The client's address.
    pub client_host: Arc<str>,
    /// Its metadata under the group's protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// Its assignment; empty unless the group is stable.
    pub assignment: Bytes,
}

/// A group as ListGroups shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group_id: GroupId,
    /// Its protocol type, empty for none.
    pub protocol_type: Arc<str>,
    /// Its state.
    pub state: GroupState,
}

// ---------------------------------------------------------------- decisions

/// What happens to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A member joins. `fresh` makes its id unique, should it need one.
    Join {
        /// Whom to answer.
        ticket: Ticket,
        /// What it asks.
        request: JoinRequest,
        /// Random.
        fresh: uuid::Uuid,
    },
    /// A member wants its assignment, or the leader brings all of them.
    Sync {
        /// Whom to answer.
        ticket: Ticket,
        /// What it asks.
        request: SyncRequest,
    },
    /// A member lives.
    Heartbeat {
        /// Whom to answer.
        ticket: Ticket,
        /// Who.
        claim: MemberClaim,
    },
    /// Members leave.
    Leave {
        /// Whom to answer.
        ticket: Ticket,
        /// Who.
        members: Vec<Leaving>,
    },
    /// Time has passed: sessions and timers may be due.
    Tick,
}

/// An answer to a waiting request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To JoinGroup.
    Join(JoinOutcome),
    /// To SyncGroup.
    Sync(SyncOutcome),
    /// To Heartbeat.
    Heartbeat(Result<(), Condition>),
    /// To LeaveGroup.
    Leave(LeaveOutcome),
}

/// What a decision wants done, in this order: persist the new state, then give the answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What is stored of the group has changed.
    pub persist: bool,
    /// Whom to answer what.
    pub answers: Vec<(Ticket, Answer)>,
}

impl Effects {
    /// Refuses a JoinGroup request.
    pub fn refuse_join(&mut self, ticket: Ticket, condition: Condition, member_id: MemberId) {
        self.answers.push((ticket, Answer::Join(Err(JoinRefused { condition, member_id }))));
    }

    /// Refuses a SyncGroup request.
    pub fn refuse_sync(&mut self, ticket: Ticket, condition: Condition) {
        self.answers.push((ticket, Answer::Sync(Err(condition))));
    }
}
