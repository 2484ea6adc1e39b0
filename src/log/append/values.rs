//! What an append asks and answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::config::topic::TopicConfig;
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// One Produce request's batches.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// Batches per partition, in the request's order.
    pub partitions: Vec<PartitionAppend>,
    /// After this long the caller gives up and is answered `RequestTimedOut`.
    pub timeout: Duration,
    /// The version of the Produce request (compression rules depend on it).
    pub produce_version: i16,
}

/// One partition's share of a Produce request.
#[derive(Clone, Debug)]
pub struct PartitionAppend {
    /// Where to.
    pub partition: TopicIdPartition,
    /// The topic's rules.
    pub config: Arc<TopicConfig>,
    /// The producer's own bytes: exactly one record batch, as Kafka requires.
    pub records: Bytes,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first record's offset (the original one for a duplicate).
    pub base_offset: Offset,
    /// The append time when the topic stamps by it, else [`Timestamp::NONE`].
    pub log_append_time: Timestamp,
    /// The partition's log start.
    pub log_start_offset: Offset,
}

/// Why a batch was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendFailure {
    /// Condition and sentence.
    pub failure: Failure,
    /// Records at fault, by index in the batch, each with a sentence (Produce v8+).
    pub records: Vec<(i32, String)>,
}

/// The answer for one partition.
pub type AppendOutcome = Result<Appended, AppendFailure>;

impl AppendFailure {
    /// The outcome is not known, and may stay so.
    pub(crate) fn timed_out() -> Self {
        let message = "the append did not finish in time; it may or may not take effect";
        Failure::new(Condition::RequestTimedOut, message).into()
    }

    /// The agent leaves, and another one takes the batch. Nothing was appended.
    pub(crate) fn stopping() -> Self {
        Failure::new(Condition::NotLeaderOrFollower, "this agent is stopping; nothing was appended").into()
    }
}

impl From<Failure> for AppendFailure {
    fn from(failure: Failure) -> Self {
        Self { failure, records: Vec::new() }
    }
}
