//! What a metastore call can end in besides success.

use crate::metastore::values::{BatchRefusal, DocumentKey};
use crate::model::node::NodeId;
use crate::model::object::ObjectKey;
use crate::model::topic::TopicIdPartition;

/// Why a step was not (or may not have been) carried out. Every variant says what the caller may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetastoreError {
    /// The caller's registration is over: stop serving. Nothing was applied.
    #[error("node {node_id} is fenced: {reason}")]
    Fenced {
        /// The fenced node.
        node_id: NodeId,
        /// Who or what took over.
        reason: String,
    },
    /// A document is not at the expected version: read it again and decide again. Nothing was applied.
    #[error("document {key} is not at the expected version")]
    Conflict {
        /// The first document that differs.
        key: DocumentKey,
    },
    /// The object's key carries a tombstone: it can never be committed. Nothing was applied.
    #[error("object {key} is tombstoned")]
    Tombstoned {
        /// The object.
        key: ObjectKey,
    },
    /// A batch of an all-or-nothing commit gets no offsets. Nothing was applied, documents neither.
    #[error("a batch for partition {partition} is refused, and everything with it: {refusal:?}")]
    Refused {
        /// The first partition with a refused batch.
        partition: TopicIdPartition,
        /// Why its first refused batch is.
        refusal: BatchRefusal,
    },
    /// The metastore can not be reached or refuses for now; nothing was applied, a retry is safe.
    #[error("metastore unavailable: {0}")]
    Unavailable(String),
    /// The answer was lost: the step may or may not have been applied. Ask before doing it again.
    #[error("metastore outcome unknown: {0}")]
    Unknown(String),
    /// What is stored can not be read by this version. Nothing was applied.
    #[error("metastore content unreadable: {0}")]
    Unreadable(String),
}

/// The result of a metastore step.
pub type Result<T> = std::result::Result<T, MetastoreError>;
