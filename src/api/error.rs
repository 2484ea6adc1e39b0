//! Kafka's error codes: the one room that speaks them.
//!
//! Everything below says [`Condition`] or an error of its own seam; here, without a catch-all arm, each becomes a code.

use kafka_protocol::error::ResponseError;

use crate::metastore::error::MetastoreError;
use crate::model::error::{Condition, Failure};
use crate::object::error::ObjectError;

/// Kafka's "no error".
pub const NONE: i16 = 0;

/// The code of a condition.
#[must_use]
pub fn code(condition: Condition) -> i16 {
    response_error(condition).code()
}

/// The code of an outcome: [`NONE`], or its failure's code.
pub fn outcome_code<T>(outcome: &Result<T, Failure>) -> i16 {
    match outcome {
        Ok(_) => NONE,
        Err(failure) => code(failure.condition),
    }
}

/// What a failed metastore step means to a client that did nothing wrong.
#[must_use]
pub fn metastore_condition(error: &MetastoreError) -> Condition {
    match error {
        // This agent is out: a client that refreshes its metadata finds one that is not.
        MetastoreError::Fenced { .. } => Condition::NotLeaderOrFollower,
        // Nothing was applied, and trying again may well succeed.
        MetastoreError::Conflict { .. }
        | MetastoreError::Tombstoned { .. }
        | MetastoreError::Refused { .. }
        | MetastoreError::Unavailable(_) => Condition::KafkaStorageError,
        MetastoreError::Unknown(_) => Condition::RequestTimedOut,
        MetastoreError::Unreadable(_) => Condition::UnknownServerError,
    }
}

/// [`metastore_condition`] together with the error's own sentence.
#[must_use]
pub fn metastore_failure(error: &MetastoreError) -> Failure {
    Failure::new(metastore_condition(error), error.to_string())
}

/// What a failed call to the object store means to a client that did nothing wrong.
#[must_use]
pub fn object_condition(error: &ObjectError) -> Condition {
    match error {
        ObjectError::NotFound(_)
        | ObjectError::AlreadyExists(_)
        | ObjectError::Refused(_)
        | ObjectError::Unavailable(_) => Condition::KafkaStorageError,
        ObjectError::Unknown(_) => Condition::RequestTimedOut,
        ObjectError::Corrupt { .. } => Condition::CorruptMessage,
    }
}

/// [`object_condition`] together with the error's own sentence.
#[must_use]
pub fn object_failure(error: &ObjectError) -> Failure {
    Failure::new(object_condition(error), error.to_string())
}

fn response_error(condition: Condition) -> ResponseError {
    match condition {
        Condition::UnknownServerError => ResponseError::UnknownServerError,
        Condition::OffsetOutOfRange => ResponseError::OffsetOutOfRange,
        Condition::CorruptMessage => ResponseError::CorruptMessage,
        Condition::UnknownTopicOrPartition => ResponseError::UnknownTopicOrPartition,
        Condition::LeaderNotAvailable => ResponseError::LeaderNotAvailable,
        Condition::NotLeaderOrFollower => ResponseError::NotLeaderOrFollower,
        Condition::RequestTimedOut => ResponseError::RequestTimedOut,
        Condition::MessageTooLarge => ResponseError::MessageTooLarge,
        Condition::OffsetMetadataTooLarge => ResponseError::OffsetMetadataTooLarge,
        Condition::CoordinatorLoadInProgress => ResponseError::CoordinatorLoadInProgress,
        Condition::CoordinatorNotAvailable => ResponseError::CoordinatorNotAvailable,
        Condition::NotCoordinator => ResponseError::NotCoordinator,
        Condition::InvalidTopicException => ResponseError::InvalidTopicException,
        Condition::RecordListTooLarge => ResponseError::RecordListTooLarge,
        Condition::InvalidRequiredAcks => ResponseError::InvalidRequiredAcks,
        Condition::IllegalGeneration => ResponseError::IllegalGeneration,
        Condition::InconsistentGroupProtocol => ResponseError::InconsistentGroupProtocol,
        Condition::InvalidGroupId => ResponseError::InvalidGroupId,
        Condition::UnknownMemberId => ResponseError::UnknownMemberId,
        Condition::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout,
        Condition::RebalanceInProgress => ResponseError::RebalanceInProgress,
        Condition::InvalidCommitOffsetSize => ResponseError::InvalidCommitOffsetSize,
        Condition::TopicAuthorizationFailed => ResponseError::TopicAuthorizationFailed,
        Condition::GroupAuthorizationFailed => ResponseError::GroupAuthorizationFailed,
        Condition::ClusterAuthorizationFailed => ResponseError::ClusterAuthorizationFailed,
        Condition::InvalidTimestamp => ResponseError::InvalidTimestamp,
        Condition::UnsupportedSaslMechanism => ResponseError::UnsupportedSaslMechanism,
        Condition::IllegalSaslState => ResponseError::IllegalSaslState,
        Condition::UnsupportedVersion => ResponseError::UnsupportedVersion,
        Condition::TopicAlreadyExists => ResponseError::TopicAlreadyExists,
        Condition::InvalidPartitions => ResponseError::InvalidPartitions,
        Condition::InvalidReplicationFactor => ResponseError::InvalidReplicationFactor,
        Condition::InvalidReplicaAssignment => ResponseError::InvalidReplicaAssignment,
        Condition::InvalidConfig => ResponseError::InvalidConfig,
        Condition::InvalidRequest => ResponseError::InvalidRequest,
        Condition::UnsupportedForMessageFormat => ResponseError::UnsupportedForMessageFormat,
        Condition::PolicyViolation => ResponseError::PolicyViolation,
        Condition::OutOfOrderSequenceNumber => ResponseError::OutOfOrderSequenceNumber,
        Condition::DuplicateSequenceNumber => ResponseError::DuplicateSequenceNumber,
        Condition::InvalidProducerEpoch => ResponseError::InvalidProducerEpoch,
        Condition::InvalidTxnState => ResponseError::InvalidTxnState,
        Condition::InvalidProducerIdMapping => ResponseError::InvalidProducerIdMapping,
        Condition::TransactionalIdAuthorizationFailed => ResponseError::TransactionalIdAuthorizationFailed,
        Condition::SecurityDisabled => ResponseError::SecurityDisabled,
        Condition::KafkaStorageError => ResponseError::KafkaStorageError,
        Condition::LogDirNotFound => ResponseError::LogDirNotFound,
        Condition::UnknownProducerId => ResponseError::UnknownProducerId,
        Condition::ReassignmentInProgress => ResponseError::ReassignmentInProgress,
        Condition::NonEmptyGroup => ResponseError::NonEmptyGroup,
        Condition::GroupIdNotFound => ResponseError::GroupIdNotFound,
        Condition::FetchSessionIdNotFound => ResponseError::FetchSessionIdNotFound,
        Condition::InvalidFetchSessionEpoch => ResponseError::InvalidFetchSessionEpoch,
        Condition::TopicDeletionDisabled => ResponseError::TopicDeletionDisabled,
        Condition::FencedLeaderEpoch => ResponseError::FencedLeaderEpoch,
        Condition::UnknownLeaderEpoch => ResponseError::UnknownLeaderEpoch,
        Condition::UnsupportedCompressionType => ResponseError::UnsupportedCompressionType,
        Condition::StaleBrokerEpoch => ResponseError::StaleBrokerEpoch,
        Condition::OffsetNotAvailable => ResponseError::OffsetNotAvailable,
        Condition::MemberIdRequired => ResponseError::MemberIdRequired,
        Condition::PreferredLeaderNotAvailable => ResponseError::PreferredLeaderNotAvailable,
        Condition::GroupMaxSizeReached => ResponseError::GroupMaxSizeReached,
        Condition::FencedInstanceId => ResponseError::FencedInstanceId,
        Condition::FencedMemberEpoch => ResponseError::FencedMemberEpoch,
        Condition::UnsupportedAssignor => ResponseError::UnsupportedAssignor,
        Condition::InvalidRecordState => ResponseError::InvalidRecordState,
        Condition::ShareSessionNotFound => ResponseError::ShareSessionNotFound,
        Condition::InvalidShareSessionEpoch => ResponseError::InvalidShareSessionEpoch,
        Condition::FencedStateEpoch => ResponseError::FencedStateEpoch,
        Condition::ShareSessionLimitReached => ResponseError::ShareSessionLimitReached,
        Condition::EligibleLeadersNotAvailable => ResponseError::EligibleLeadersNotAvailable,
        Condition::ElectionNotNeeded => ResponseError::ElectionNotNeeded,
        Condition::NoReassignmentInProgress => ResponseError::NoReassignmentInProgress,
        Condition::GroupSubscribedToTopic => ResponseError::GroupSubscribedToTopic,
        Condition::InvalidRecord => ResponseError::InvalidRecord,
        Condition::UnstableOffsetCommit => ResponseError::UnstableOffsetCommit,
        Condition::ProducerFenced => ResponseError::ProducerFenced,
        Condition::ResourceNotFound => ResponseError::ResourceNotFound,
        Condition::UnknownTopicId => ResponseError::UnknownTopicId,
        Condition::InconsistentTopicId => ResponseError::InconsistentTopicId,
        Condition::FetchSessionTopicIdError => ResponseError::FetchSessionTopicIdError,
        Condition::TransactionAbortable => ResponseError::TransactionAbortable,
        // Kafka has no code of its own for it.
        Condition::UnsupportedOperation => ResponseError::InvalidRequest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_have_the_codes_that_kafka_gives_them() {
        let known = [
            (Condition::UnknownServerError, -1),
            (Condition::OffsetOutOfRange, 1),
            (Condition::CorruptMessage, 2),
            (Condition::UnknownTopicOrPartition, 3),
            (Condition::NotCoordinator, 16),
            (Condition::UnknownMemberId, 25),
            (Condition::UnsupportedVersion, 35),
            (Condition::InvalidRequest, 42),
            (Condition::DuplicateSequenceNumber, 46),
            (Condition::KafkaStorageError, 56),
            (Condition::GroupIdNotFound, 69),
            (Condition::MemberIdRequired, 79),
            (Condition::InvalidRecord, 87),
            (Condition::UnknownTopicId, 100),
            (Condition::FencedMemberEpoch, 110),
            (Condition::UnsupportedAssignor, 112),
            (Condition::TransactionAbortable, 120),
            (Condition::InvalidRecordState, 121),
            (Condition::ShareSessionNotFound, 122),
            (Condition::InvalidShareSessionEpoch, 123),
            (Condition::FencedStateEpoch, 124),
            (Condition::ShareSessionLimitReached, 133),
        ];
        for (condition, expected) in known {
            assert_eq!(code(condition), expected, "{condition}");
        }
    }

    #[test]
    fn a_lost_answer_is_never_reported_as_a_definite_failure() {
        let unknown = MetastoreError::Unknown("connection reset".into());
        assert_eq!(metastore_condition(&unknown), Condition::RequestTimedOut);
        assert_eq!(object_condition(&ObjectError::Unknown("timeout".into())), Condition::RequestTimedOut);
    }
}
