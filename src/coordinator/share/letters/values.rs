//! What the dead letters of a round are asked and what they answer.

use crate::base::clock::Timestamp;
use crate::config::share_group::ShareDeadLetterConfig;
use crate::coordinator::share::partition::letter::DeadLetter;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{DocumentKey, DocumentVersion, DocumentWrite};
use crate::model::group::GroupId;
use crate::model::topic::TopicIdPartition;

/// A round that gives records up: the letters, and the documents that say so.
#[derive(Clone, Debug)]
pub struct LetterRound {
    /// The group that gives them up.
    pub group_id: GroupId,
    /// Where to, and how.
    pub config: ShareDeadLetterConfig,
    /// What each partition gives up; offsets at most once. May be empty.
    pub letters: Vec<(TopicIdPartition, Vec<DeadLetter>)>,
    /// Every change of the round, those of partitions without letters too.
    pub documents: DocumentWrite,
    /// The metastore's time.
    pub now: Timestamp,
}

/// What a round did. The documents are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterReceipt {
    /// The documents' versions now, one per put; `None` where the put expected no version (then read it).
    pub documents: Vec<Option<DocumentVersion>>,
    /// Letters written.
    pub written: u64,
    /// Records that were given up without a letter: there is no topic that takes them. Logged and counted.
    pub dropped: u64,
}

/// Why a round was not stored. Nothing has changed, except for `Unknown`: the records are what they were before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterFailure {
    /// The group has written as many letters as it may for now: give nothing up until then.
    #[error("the group has written as many dead letters as it may until {until:?}")]
    Held {
        /// By the metastore's clock.
        until: Timestamp,
    },
    /// A document is not at the expected version: read it and decide again.
    #[error("document {0} is not at the expected version")]
    Conflict(DocumentKey),
    /// The store or the metastore can not be reached: try again.
    #[error("dead letters can not be written now: {0}")]
    Unavailable(String),
    /// This agent's registration is over: stop.
    #[error("this agent is fenced: {0}")]
    Fenced(String),
    /// Whether it happened can not be found out: read the documents and compare.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

impl From<MetastoreError> for LetterFailure {
    fn from(error: MetastoreError) -> Self {
        match error {
            MetastoreError::Conflict { key } => Self::Conflict(key),
            MetastoreError::Fenced { reason, .. } => Self::Fenced(reason),
            MetastoreError::Unknown(reason) => Self::Unknown(reason),
            MetastoreError::Tombstoned { .. }
            | MetastoreError::Refused { .. }
            | MetastoreError::Unavailable(_)
            | MetastoreError::Unreadable(_) => Self::Unavailable(error.to_string()),
        }
    }
}
