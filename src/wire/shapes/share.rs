//! Requests of share groups.

use crate::wire::shapes::field::{BOOL, Field, INT8, INT32, INT64, Kind, Message, STRING, UUID, field, structs};

/// ShareGroupHeartbeat, v1.
pub static SHARE_GROUP_HEARTBEAT: Message = Message {
    key: 76,
    min: 1,
    max: 1,
    flexible: 0,
    fields: &[
        field(STRING),                          // group_id
        field(STRING),                          // member_id
        field(INT32),                           // member_epoch
        field(STRING).nullable(),               // rack_id
        field(Kind::Array(&STRING)).nullable(), // subscribed_topic_names
    ],
};

/// ShareGroupDescribe, v1.
pub static SHARE_GROUP_DESCRIBE: Message = Message {
    key: 77,
    min: 1,
    max: 1,
    flexible: 0,
    fields: &[
        field(Kind::Array(&STRING)), // group_ids
        field(BOOL),                 // include_authorized_operations
    ],
};

const SHARE_FETCH_ACKNOWLEDGEMENT_BATCH: &[Field] = &[
    field(INT64),              // first_offset
    field(INT64),              // last_offset
    field(Kind::Array(&INT8)), // acknowledge_types
];

const FETCH_PARTITION: &[Field] = &[
    field(INT32),                               // partition_index
    structs(SHARE_FETCH_ACKNOWLEDGEMENT_BATCH), // acknowledgement_batches
];

const FETCH_TOPIC: &[Field] = &[
    field(UUID),              // topic_id
    structs(FETCH_PARTITION), // partitions
];

const FORGOTTEN_TOPIC: &[Field] = &[
    field(UUID),                // topic_id
    field(Kind::Array(&INT32)), // partitions
];

/// ShareFetch, v1–2.
pub static SHARE_FETCH: Message = Message {
    key: 78,
    min: 1,
    max: 2,
    flexible: 0,
    fields: &[
        field(STRING).nullable(), // group_id
        field(STRING).nullable(), // member_id
        field(INT32),             // share_session_epoch
        field(INT32),             // max_wait_ms
        field(INT32),             // min_bytes
        field(INT32),             // max_bytes
        field(INT32),             // max_records
        field(INT32),             // batch_size
        field(INT8).since(2),     // share_acquire_mode
        field(BOOL).since(2),     // is_renew_ack
        structs(FETCH_TOPIC),     // topics
        structs(FORGOTTEN_TOPIC), // forgotten_topics_data
    ],
};

const SHARE_ACKNOWLEDGE_ACKNOWLEDGEMENT_BATCH: &[Field] = &[
    field(INT64),              // first_offset
    field(INT64),              // last_offset
    field(Kind::Array(&INT8)), // acknowledge_types
];

const ACKNOWLEDGE_PARTITION: &[Field] = &[
    field(INT32),                                     // partition_index
    structs(SHARE_ACKNOWLEDGE_ACKNOWLEDGEMENT_BATCH), // acknowledgement_batches
];

const ACKNOWLEDGE_TOPIC: &[Field] = &[
    field(UUID),                    // topic_id
    structs(ACKNOWLEDGE_PARTITION), // partitions
];

/// ShareAcknowledge, v1–2.
pub static SHARE_ACKNOWLEDGE: Message = Message {
    key: 79,
    min: 1,
    max: 2,
    flexible: 0,
    fields: &[
        field(STRING).nullable(),   // group_id
        field(STRING).nullable(),   // member_id
        field(INT32),               // share_session_epoch
        field(BOOL).since(2),       // is_renew_ack
        structs(ACKNOWLEDGE_TOPIC), // topics
    ],
};

const DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: &[Field] = &[
    field(STRING),              // topic_name
    field(Kind::Array(&INT32)), // partitions
];

const DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_GROUP: &[Field] = &[
    field(STRING),                                                  // group_id
    structs(DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC).nullable(), // topics
];

/// DescribeShareGroupOffsets, v0–1.
pub static DESCRIBE_SHARE_GROUP_OFFSETS: Message = Message {
    key: 90,
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[
        structs(DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_GROUP), // groups
    ],
};

const ALTER_SHARE_GROUP_OFFSETS_REQUEST_PARTITION: &[Field] = &[
    field(INT32), // partition_index
    field(INT64), // start_offset
];

const ALTER_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: &[Field] = &[
    field(STRING),                                        // topic_name
    structs(ALTER_SHARE_GROUP_OFFSETS_REQUEST_PARTITION), // partitions
];

/// AlterShareGroupOffsets, v0.
pub static ALTER_SHARE_GROUP_OFFSETS: Message = Message {
    key: 91,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        field(STRING),                                    // group_id
        structs(ALTER_SHARE_GROUP_OFFSETS_REQUEST_TOPIC), // topics
    ],
};

const DELETE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: &[Field] = &[
    field(STRING), // topic_name
];

/// DeleteShareGroupOffsets, v0.
pub static DELETE_SHARE_GROUP_OFFSETS: Message = Message {
    key: 92,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        field(STRING),                                     // group_id
        structs(DELETE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC), // topics
    ],
};
