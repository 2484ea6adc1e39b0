//! Kafka's error conditions by name. `api/error.rs` alone turns them into codes.

use std::fmt;

/// What went wrong, in Kafka's vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The server failed in a way it did not foresee.
    UnknownServerError,
    /// The offset lies outside the partition's log.
    OffsetOutOfRange,
    /// A batch or an object fails its checksum.
    CorruptMessage,
    /// The topic or partition does not exist.
    UnknownTopicOrPartition,
    /// The partition has no leader just now.
    LeaderNotAvailable,
    /// This agent can not serve the partition now; refresh and retry.
    NotLeaderOrFollower,
    /// The request did not finish in time; its outcome is unknown.
    RequestTimedOut,
    /// A batch is larger than the topic allows.
    MessageTooLarge,
    /// Offset metadata is larger than allowed.
    OffsetMetadataTooLarge,
    /// The coordinator is loading.
    CoordinatorLoadInProgress,
    /// No coordinator is available now.
    CoordinatorNotAvailable,
    /// Another agent is the group's home.
    NotCoordinator,
    /// The topic name is not legal.
    InvalidTopicException,
    /// The batch list is larger than the segment.
    RecordListTooLarge,
    /// `acks` is none of −1, 0, 1.
    InvalidRequiredAcks,
    /// The generation is not the group's.
    IllegalGeneration,
    /// The member's protocols do not match the group's.
    InconsistentGroupProtocol,
    /// The group id is not legal.
    InvalidGroupId,
    /// The member is not known.
    UnknownMemberId,
    /// The session timeout lies outside the broker's bounds.
    InvalidSessionTimeout,
    /// The group rebalances; join again.
    RebalanceInProgress,
    /// The commit is larger than allowed.
    InvalidCommitOffsetSize,
    /// Not authorised for the topic.
    TopicAuthorizationFailed,
    /// Not authorised for the group.
    GroupAuthorizationFailed,
    /// Not authorised for the cluster.
    ClusterAuthorizationFailed,
    /// A timestamp is out of bounds.
    InvalidTimestamp,
    /// The SASL mechanism is not supported.
    UnsupportedSaslMechanism,
    /// The request is not legal in the connection's SASL state.
    IllegalSaslState,
    /// The version is not supported.
    UnsupportedVersion,
    /// The topic exists already.
    TopicAlreadyExists,
    /// The number of partitions is not legal.
    InvalidPartitions,
    /// The replication factor is not legal.
    InvalidReplicationFactor,
    /// The replica assignment is not legal.
    InvalidReplicaAssignment,
    /// The configuration is not legal.
    InvalidConfig,
    /// The request makes no sense.
    InvalidRequest,
    /// The message format does not support the request.
    UnsupportedForMessageFormat,
    /// A policy forbids it.
    PolicyViolation,
    /// A sequence number has a gap before it.
    OutOfOrderSequenceNumber,
    /// A sequence number was seen before, too long ago to answer with its offset.
    DuplicateSequenceNumber,
    /// The producer's epoch is old.
    InvalidProducerEpoch,
    /// The transaction is not in a state that allows it.
    InvalidTxnState,
    /// The producer id is not mapped to the transactional id.
    InvalidProducerIdMapping,
    /// Not authorised for the transactional id.
    TransactionalIdAuthorizationFailed,
    /// Security features are off.
    SecurityDisabled,
    /// The object store or the metastore failed; retry.
    KafkaStorageError,
    /// The directory does not exist.
    LogDirNotFound,
    /// The producer id is not known.
    UnknownProducerId,
    /// A reassignment is going on.
    ReassignmentInProgress,
    /// The group is not empty.
    NonEmptyGroup,
    /// The group does not exist.
    GroupIdNotFound,
    /// The fetch session does not exist.
    FetchSessionIdNotFound,
    /// The fetch session's epoch is wrong.
    InvalidFetchSessionEpoch,
    /// Topic deletion is switched off.
    TopicDeletionDisabled,
    /// The leader epoch is older than the broker's.
    FencedLeaderEpoch,
    /// The leader epoch is newer than the broker's.
    UnknownLeaderEpoch,
    /// The compression is not allowed at this version.
    UnsupportedCompressionType,
    /// The broker's epoch is old.
    StaleBrokerEpoch,
    /// The offset is not available yet.
    OffsetNotAvailable,
    /// The member must send the id it is given.
    MemberIdRequired,
    /// A preferred leader is not available.
    PreferredLeaderNotAvailable,
    /// The group is full.
    GroupMaxSizeReached,
    /// Another member holds the same instance id now.
    FencedInstanceId,
    /// The member's epoch is not one that the group gave it; join again.
    FencedMemberEpoch,
    /// The group has no assignor of that name.
    UnsupportedAssignor,
    /// A record is not with the member that speaks of it.
    InvalidRecordState,
    /// The share session does not exist.
    ShareSessionNotFound,
    /// The share session's epoch is wrong.
    InvalidShareSessionEpoch,
    /// The share partition's state was made anew meanwhile.
    FencedStateEpoch,
    /// No room for another share session.
    ShareSessionLimitReached,
    /// No leader can be elected.
    EligibleLeadersNotAvailable,
    /// The election changes nothing.
    ElectionNotNeeded,
    /// No reassignment is going on.
    NoReassignmentInProgress,
    /// A consumer still subscribes to the topic.
    GroupSubscribedToTopic,
    /// A record is not valid.
    InvalidRecord,
    /// Offsets of an open transaction stand in the way.
    UnstableOffsetCommit,
    /// Another producer took over.
    ProducerFenced,
    /// The resource does not exist.
    ResourceNotFound,
    /// The topic id is not known.
    UnknownTopicId,
    /// Topic id and session disagree.
    InconsistentTopicId,
    /// The session's topic ids and names mix.
    FetchSessionTopicIdError,
    /// The transaction may be aborted only.
    TransactionAbortable,
    /// The topic's state does not allow it.
    UnsupportedOperation,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A condition with a sentence for the person who reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong, in Kafka's vocabulary.
    pub condition: Condition,
    /// What went wrong and what to do, in a sentence.
    pub message: String,
}

impl Failure {
    /// Joins a condition and its sentence.
    pub fn new(condition: Condition, message: impl Into<String>) -> Self {
        Self { condition, message: message.into() }
    }
}

impl From<Condition> for Failure {
    fn from(condition: Condition) -> Self {
        Self { condition, message: condition.to_string() }
    }
}
