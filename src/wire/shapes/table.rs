//! All shapes by api key.

use crate::wire::shapes::field::Message;
use crate::wire::shapes::{access, cluster, data, group, share, topic, transaction};

/// Every request that has a shape.
pub static REQUESTS: &[&Message] = &[
    &data::PRODUCE,
    &data::FETCH,
    &data::LIST_OFFSETS,
    &cluster::METADATA,
    &group::OFFSET_COMMIT,
    &group::OFFSET_FETCH,
    &cluster::FIND_COORDINATOR,
    &group::JOIN_GROUP,
    &group::HEARTBEAT,
    &group::LEAVE_GROUP,
    &group::SYNC_GROUP,
    &group::DESCRIBE_GROUPS,
    &group::LIST_GROUPS,
    &access::SASL_HANDSHAKE,
    &cluster::API_VERSIONS,
    &topic::CREATE_TOPICS,
    &topic::DELETE_TOPICS,
    &data::DELETE_RECORDS,
    &transaction::INIT_PRODUCER_ID,
    &data::OFFSET_FOR_LEADER_EPOCH,
    &transaction::ADD_PARTITIONS_TO_TXN,
    &transaction::ADD_OFFSETS_TO_TXN,
    &transaction::END_TXN,
    &transaction::WRITE_TXN_MARKERS,
    &transaction::TXN_OFFSET_COMMIT,
    &access::DESCRIBE_ACLS,
    &access::CREATE_ACLS,
    &access::DELETE_ACLS,
    &topic::DESCRIBE_CONFIGS,
    &topic::ALTER_CONFIGS,
    &cluster::DESCRIBE_LOG_DIRS,
    &access::SASL_AUTHENTICATE,
    &topic::CREATE_PARTITIONS,
    &group::DELETE_GROUPS,
    &cluster::ELECT_LEADERS,
    &topic::INCREMENTAL_ALTER_CONFIGS,
    &cluster::ALTER_PARTITION_REASSIGNMENTS,
    &cluster::LIST_PARTITION_REASSIGNMENTS,
    &group::OFFSET_DELETE,
    &access::DESCRIBE_CLIENT_QUOTAS,
    &access::ALTER_CLIENT_QUOTAS,
    &access::DESCRIBE_USER_SCRAM_CREDENTIALS,
    &access::ALTER_USER_SCRAM_CREDENTIALS,
    &cluster::DESCRIBE_CLUSTER,
    &transaction::DESCRIBE_PRODUCERS,
    &transaction::DESCRIBE_TRANSACTIONS,
    &transaction::LIST_TRANSACTIONS,
    &group::CONSUMER_GROUP_HEARTBEAT,
    &group::CONSUMER_GROUP_DESCRIBE,
    &topic::LIST_CONFIG_RESOURCES,
    &cluster::DESCRIBE_TOPIC_PARTITIONS,
    &share::SHARE_GROUP_HEARTBEAT,
    &share::SHARE_GROUP_DESCRIBE,
    &share::SHARE_FETCH,
    &share::SHARE_ACKNOWLEDGE,
    &share::DESCRIBE_SHARE_GROUP_OFFSETS,
    &share::ALTER_SHARE_GROUP_OFFSETS,
    &share::DELETE_SHARE_GROUP_OFFSETS,
];

/// The shape of an API's requests.
#[must_use]
pub fn request(key: i16) -> Option<&'static Message> {
    REQUESTS.iter().find(|message| message.key == key).copied()
}
