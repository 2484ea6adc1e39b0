//! Topics and partitions.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// A topic's identity (KIP-516): stable from creation to deletion, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub Uuid);

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A topic's name; legal by construction: 1–249 of `[a-zA-Z0-9._-]`, neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

/// Why a name can not be a topic's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTopicName {
    /// Nothing was given.
    #[error("topic name is empty")]
    Empty,
    /// `.` and `..` would be directories elsewhere.
    #[error("topic name cannot be \".\" or \"..\"")]
    Dots,
    /// Kafka's limit is 249.
    #[error("topic name is {0} characters long, 249 are allowed")]
    TooLong(usize),
    /// A character outside Kafka's set.
    #[error("topic name contains {0:?}; allowed are ASCII letters, digits, '.', '_' and '-'")]
    Character(char),
}

impl TopicName {
    /// Checks `name` against Kafka's rules.
    ///
    /// # Errors
    /// When the name is not legal in Kafka.
    pub fn new(name: &str) -> Result<Self, IllegalTopicName> {
        if name.is_empty() {
            return Err(IllegalTopicName::Empty);
        }
        if name == "." || name == ".." {
            return Err(IllegalTopicName::Dots);
        }
        if let Some(character) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
            return Err(IllegalTopicName::Character(character));
        }
        if name.len() > 249 {
            return Err(IllegalTopicName::TooLong(name.len()));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TopicName {
    type Error = IllegalTopicName;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A partition's number within its topic, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PartitionIndex(pub i32);

impl fmt::Debug for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A partition by its topic's identity. Orders by topic id, then partition: the order of ranges in an object
/// and of locks in the metastore.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TopicIdPartition {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition within it.
    pub partition: PartitionIndex,
}

impl TopicIdPartition {
    /// Names one partition.
    #[must_use]
    pub fn new(topic_id: TopicId, partition: PartitionIndex) -> Self {
        Self { topic_id, partition }
    }
}

impl fmt::Debug for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic_id, self.partition)
    }
}
