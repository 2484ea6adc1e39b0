//! Requests about the data itself.

use crate::wire::shapes::field::{
    BYTES, Field, INT8, INT16, INT32, INT64, Kind, Message, STRING, UUID, field, structs,
};

const PARTITION_PRODUCE_DATA: &[Field] = &[
    field(INT32),            // index
    field(BYTES).nullable(), // records
];

const TOPIC_PRODUCE_DATA: &[Field] = &[
    field(STRING).until(12),         // name
    field(UUID).since(13),           // topic_id
    structs(PARTITION_PRODUCE_DATA), // partition_data
];

/// Produce, v3–13.
pub static PRODUCE: Message = Message {
    key: 0,
    min: 3,
    max: 13,
    flexible: 9,
    fields: &[
        field(STRING).nullable(),    // transactional_id
        field(INT16),                // acks
        field(INT32),                // timeout_ms
        structs(TOPIC_PRODUCE_DATA), // topic_data
    ],
};

const FETCH_PARTITION: &[Field] = &[
    field(INT32),                     // partition
    field(INT32).since(9),            // current_leader_epoch
    field(INT64),                     // fetch_offset
    field(INT32).since(12),           // last_fetched_epoch
    field(INT64).since(5),            // log_start_offset
    field(INT32),                     // partition_max_bytes
    field(UUID).since(17).tagged(0),  // replica_directory_id
    field(INT64).since(18).tagged(1), // high_watermark
];

const FETCH_TOPIC: &[Field] = &[
    field(STRING).until(12),  // topic
    field(UUID).since(13),    // topic_id
    structs(FETCH_PARTITION), // partitions
];

const FORGOTTEN_TOPIC: &[Field] = &[
    field(STRING).since(7).until(12),    // topic
    field(UUID).since(13),               // topic_id
    field(Kind::Array(&INT32)).since(7), // partitions
];

const REPLICA_STATE: &[Field] = &[
    field(INT32).since(15), // replica_id
    field(INT64).since(15), // replica_epoch
];

/// Fetch, v4–18.
pub static FETCH: Message = Message {
    key: 1,
    min: 4,
    max: 18,
    flexible: 12,
    fields: &[
        field(INT32).until(14),                                 // replica_id
        field(INT32),                                           // max_wait_ms
        field(INT32),                                           // min_bytes
        field(INT32),                                           // max_bytes
        field(INT8),                                            // isolation_level
        field(INT32).since(7),                                  // session_id
        field(INT32).since(7),                                  // session_epoch
        structs(FETCH_TOPIC),                                   // topics
        structs(FORGOTTEN_TOPIC).since(7),                      // forgotten_topics_data
        field(STRING).since(11),                                // rack_id
        field(STRING).tagged(0).nullable(),                     // cluster_id
        field(Kind::Struct(REPLICA_STATE)).since(15).tagged(1), // replica_state
    ],
};

const LIST_OFFSETS_PARTITION: &[Field] = &[
    field(INT32),          // partition_index
    field(INT32).since(4), // current_leader_epoch
    field(INT64),          // timestamp
];

const LIST_OFFSETS_TOPIC: &[Field] = &[
    field(STRING),                   // name
    structs(LIST_OFFSETS_PARTITION), // partitions
];

/// ListOffsets, v1–10.
pub static LIST_OFFSETS: Message = Message {
    key: 2,
    min: 1,
    max: 10,
    flexible: 6,
    fields: &[
        field(INT32),                // replica_id
        field(INT8).since(2),        // isolation_level
        structs(LIST_OFFSETS_TOPIC), // topics
        field(INT32).since(10),      // timeout_ms
    ],
};

const DELETE_RECORDS_PARTITION: &[Field] = &[
    field(INT32), // partition_index
    field(INT64), // offset
];

const DELETE_RECORDS_TOPIC: &[Field] = &[
    field(STRING),                     // name
    structs(DELETE_RECORDS_PARTITION), // partitions
];

/// DeleteRecords, v0–2.
pub static DELETE_RECORDS: Message = Message {
    key: 21,
    min: 0,
    max: 2,
    flexible: 2,
    fields: &[
        structs(DELETE_RECORDS_TOPIC), // topics
        field(INT32),                  // timeout_ms
    ],
};

const OFFSET_FOR_LEADER_PARTITION: &[Field] = &[
    field(INT32), // partition
    field(INT32), // current_leader_epoch
    field(INT32), // leader_epoch
];

const OFFSET_FOR_LEADER_TOPIC: &[Field] = &[
    field(STRING),                        // topic
    structs(OFFSET_FOR_LEADER_PARTITION), // partitions
];

/// OffsetForLeaderEpoch, v2–4.
pub static OFFSET_FOR_LEADER_EPOCH: Message = Message {
    key: 23,
    min: 2,
    max: 4,
    flexible: 4,
    fields: &[
        field(INT32).since(3),            // replica_id
        structs(OFFSET_FOR_LEADER_TOPIC), // topics
    ],
};
