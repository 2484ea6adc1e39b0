//! The sets of operations that a client is told it may do, as Kafka packs them: one bit per operation code.

/// What stands for "not asked for".
pub const NOT_ASKED: i32 = i32::MIN;

/// Everything one can do to a topic: READ 3, WRITE 4, CREATE 5, DELETE 6, ALTER 7, DESCRIBE 8, DESCRIBE_CONFIGS 10,
/// ALTER_CONFIGS 11.
const ON_TOPICS: i32 = 0b1101_1111_1000;

/// Everything one can do to a cluster: CREATE 5, ALTER 7, DESCRIBE 8, CLUSTER_ACTION 9, DESCRIBE_CONFIGS 10,
/// ALTER_CONFIGS 11, IDEMPOTENT_WRITE 12.
const ON_CLUSTERS: i32 = 0b1_1111_1010_0000;

/// What the client may do to a topic, if it asked. Without an authoriser: everything.
#[must_use]
pub fn on_topic(asked: bool) -> i32 {
    if asked { ON_TOPICS } else { NOT_ASKED }
}

/// What the client may do to the cluster, if it asked. Without an authoriser: everything.
#[must_use]
pub fn on_cluster(asked: bool) -> i32 {
    if asked { ON_CLUSTERS } else { NOT_ASKED }
}
