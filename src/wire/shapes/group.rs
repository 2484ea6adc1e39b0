//! Requests about consumer groups.

use crate::wire::shapes::field::{
    BOOL, BYTES, Field, INFLEXIBLE, INT32, INT64, Kind, Message, STRING, UUID, field, structs,
};

const OFFSET_COMMIT_REQUEST_PARTITION: &[Field] = &[
    field(INT32),             // partition_index
    field(INT64),             // committed_offset
    field(INT32).since(6),    // committed_leader_epoch
    field(STRING).nullable(), // committed_metadata
];

const OFFSET_COMMIT_REQUEST_TOPIC: &[Field] = &[
    field(STRING).until(9),                   // name
    field(UUID).since(10),                    // topic_id
    structs(OFFSET_COMMIT_REQUEST_PARTITION), // partitions
];

/// OffsetCommit, v2–10.
pub static OFFSET_COMMIT: Message = Message {
    key: 8,
    min: 2,
    max: 10,
    flexible: 8,
    fields: &[
        field(STRING),                        // group_id
        field(INT32),                         // generation_id_or_member_epoch
        field(STRING),                        // member_id
        field(STRING).since(7).nullable(),    // group_instance_id
        field(INT64).until(4),                // retention_time_ms
        structs(OFFSET_COMMIT_REQUEST_TOPIC), // topics
    ],
};

const OFFSET_FETCH_REQUEST_TOPIC: &[Field] = &[
    field(STRING).until(7),              // name
    field(Kind::Array(&INT32)).until(7), // partition_indexes
];

const OFFSET_FETCH_REQUEST_TOPICS: &[Field] = &[
    field(STRING).since(8).until(9),     // name
    field(UUID).since(10),               // topic_id
    field(Kind::Array(&INT32)).since(8), // partition_indexes
];

const OFFSET_FETCH_REQUEST_GROUP: &[Field] = &[
    field(STRING).since(8),                                   // group_id
    field(STRING).since(9).nullable(),                        // member_id
    field(INT32).since(9),                                    // member_epoch
    structs(OFFSET_FETCH_REQUEST_TOPICS).since(8).nullable(), // topics
];

/// OffsetFetch, v1–10.
pub static OFFSET_FETCH: Message = Message {
    key: 9,
    min: 1,
    max: 10,
    flexible: 6,
    fields: &[
        field(STRING).until(7),                                  // group_id
        structs(OFFSET_FETCH_REQUEST_TOPIC).until(7).nullable(), // topics
        structs(OFFSET_FETCH_REQUEST_GROUP).since(8),            // groups
        field(BOOL).since(7),                                    // require_stable
    ],
};

const JOIN_GROUP_REQUEST_PROTOCOL: &[Field] = &[
    field(STRING), // name
    field(BYTES),  // metadata
];

/// JoinGroup, v0–9.
pub static JOIN_GROUP: Message = Message {
    key: 11,
    min: 0,
    max: 9,
    flexible: 6,
    fields: &[
        field(STRING),                        // group_id
        field(INT32),                         // session_timeout_ms
        field(INT32).since(1),                // rebalance_timeout_ms
        field(STRING),                        // member_id
        field(STRING).since(5).nullable(),    // group_instance_id
        field(STRING),                        // protocol_type
        structs(JOIN_GROUP_REQUEST_PROTOCOL), // protocols
        field(STRING).since(8).nullable(),    // reason
    ],
};

/// Heartbeat, v0–4.
pub static HEARTBEAT: Message = Message {
    key: 12,
    min: 0,
    max: 4,
    flexible: 4,
    fields: &[
        field(STRING),                     // group_id
        field(INT32),                      // generation_id
        field(STRING),                     // member_id
        field(STRING).since(3).nullable(), // group_instance_id
    ],
};

const MEMBER_IDENTITY: &[Field] = &[
    field(STRING).since(3),            // member_id
    field(STRING).since(3).nullable(), // group_instance_id
    field(STRING).since(5).nullable(), // reason
];

/// LeaveGroup, v0–5.
pub static LEAVE_GROUP: Message = Message {
    key: 13,
    min: 0,
    max: 5,
    flexible: 4,
    fields: &[
        field(STRING),                     // group_id
        field(STRING).until(2),            // member_id
        structs(MEMBER_IDENTITY).since(3), // members
    ],
};

const SYNC_GROUP_REQUEST_ASSIGNMENT: &[Field] = &[
    field(STRING), // member_id
    field(BYTES),  // assignment
];

/// SyncGroup, v0–5.
pub static SYNC_GROUP: Message = Message {
    key: 14,
    min: 0,
    max: 5,
    flexible: 4,
    fields: &[
        field(STRING),                          // group_id
        field(INT32),                           // generation_id
        field(STRING),                          // member_id
        field(STRING).since(3).nullable(),      // group_instance_id
        field(STRING).since(5).nullable(),      // protocol_type
        field(STRING).since(5).nullable(),      // protocol_name
        structs(SYNC_GROUP_REQUEST_ASSIGNMENT), // assignments
    ],
};

/// DescribeGroups, v0–6.
pub static DESCRIBE_GROUPS: Message = Message {
    key: 15,
    min: 0,
    max: 6,
    flexible: 5,
    fields: &[
        field(Kind::Array(&STRING)), // groups
        field(BOOL).since(3),        // include_authorized_operations
    ],
};

/// ListGroups, v0–5.
pub static LIST_GROUPS: Message = Message {
    key: 16,
    min: 0,
    max: 5,
    flexible: 3,
    fields: &[
        field(Kind::Array(&STRING)).since(4), // states_filter
        field(Kind::Array(&STRING)).since(5), // types_filter
    ],
};

/// DeleteGroups, v0–2.
pub static DELETE_GROUPS: Message = Message {
    key: 42,
    min: 0,
    max: 2,
    flexible: 2,
    fields: &[
        field(Kind::Array(&STRING)), // groups_names
    ],
};

const OFFSET_DELETE_REQUEST_PARTITION: &[Field] = &[
    field(INT32), // partition_index
];

const OFFSET_DELETE_REQUEST_TOPIC: &[Field] = &[
    field(STRING),                            // name
    structs(OFFSET_DELETE_REQUEST_PARTITION), // partitions
];

/// OffsetDelete, v0.
pub static OFFSET_DELETE: Message = Message {
    key: 47,
    min: 0,
    max: 0,
    flexible: INFLEXIBLE,
    fields: &[
        field(STRING),                        // group_id
        structs(OFFSET_DELETE_REQUEST_TOPIC), // topics
    ],
};

const TOPIC_PARTITIONS: &[Field] = &[
    field(UUID),                // topic_id
    field(Kind::Array(&INT32)), // partitions
];

/// ConsumerGroupHeartbeat, v0–1.
pub static CONSUMER_GROUP_HEARTBEAT: Message = Message {
    key: 68,
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[
        field(STRING),                          // group_id
        field(STRING),                          // member_id
        field(INT32),                           // member_epoch
        field(STRING).nullable(),               // instance_id
        field(STRING).nullable(),               // rack_id
        field(INT32),                           // rebalance_timeout_ms
        field(Kind::Array(&STRING)).nullable(), // subscribed_topic_names
        field(STRING).since(1).nullable(),      // subscribed_topic_regex
        field(STRING).nullable(),               // server_assignor
        structs(TOPIC_PARTITIONS).nullable(),   // topic_partitions
    ],
};

/// ConsumerGroupDescribe, v0–1.
pub static CONSUMER_GROUP_DESCRIBE: Message = Message {
    key: 69,
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[
        field(Kind::Array(&STRING)), // group_ids
        field(BOOL),                 // include_authorized_operations
    ],
};
