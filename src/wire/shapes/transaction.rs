//! Requests of idempotent and transactional producers.

use crate::wire::shapes::field::{BOOL, Field, INT16, INT32, INT64, Kind, Message, STRING, field, structs};

/// InitProducerId, v0–5.
pub static INIT_PRODUCER_ID: Message = Message {
    key: 22,
    min: 0,
    max: 5,
    flexible: 2,
    fields: &[
        field(STRING).nullable(), // transactional_id
        field(INT32),             // transaction_timeout_ms
        field(INT64).since(3),    // producer_id
        field(INT16).since(3),    // producer_epoch
    ],
};

const ADD_PARTITIONS_TO_TXN_TOPIC: &[Field] = &[
    field(STRING),              // name
    field(Kind::Array(&INT32)), // partitions
];

const ADD_PARTITIONS_TO_TXN_TRANSACTION: &[Field] = &[
    field(STRING).since(4),                        // transactional_id
    field(INT64).since(4),                         // producer_id
    field(INT16).since(4),                         // producer_epoch
    field(BOOL).since(4),                          // verify_only
    structs(ADD_PARTITIONS_TO_TXN_TOPIC).since(4), // topics
];

/// AddPartitionsToTxn, v0–5.
pub static ADD_PARTITIONS_TO_TXN: Message = Message {
    key: 24,
    min: 0,
    max: 5,
    flexible: 3,
    fields: &[
        structs(ADD_PARTITIONS_TO_TXN_TRANSACTION).since(4), // transactions
        field(STRING).until(3),                              // v3_and_below_transactional_id
        field(INT64).until(3),                               // v3_and_below_producer_id
        field(INT16).until(3),                               // v3_and_below_producer_epoch
        structs(ADD_PARTITIONS_TO_TXN_TOPIC).until(3),       // v3_and_below_topics
    ],
};

/// AddOffsetsToTxn, v0–4.
pub static ADD_OFFSETS_TO_TXN: Message = Message {
    key: 25,
    min: 0,
    max: 4,
    flexible: 3,
    fields: &[
        field(STRING), // transactional_id
        field(INT64),  // producer_id
        field(INT16),  // producer_epoch
        field(STRING), // group_id
    ],
};

/// EndTxn, v0–5.
pub static END_TXN: Message = Message {
    key: 26,
    min: 0,
    max: 5,
    flexible: 3,
    fields: &[
        field(STRING), // transactional_id
        field(INT64),  // producer_id
        field(INT16),  // producer_epoch
        field(BOOL),   // committed
    ],
};

const TXN_OFFSET_COMMIT_REQUEST_PARTITION: &[Field] = &[
    field(INT32),             // partition_index
    field(INT64),             // committed_offset
    field(INT32).since(2),    // committed_leader_epoch
    field(STRING).nullable(), // committed_metadata
];

const TXN_OFFSET_COMMIT_REQUEST_TOPIC: &[Field] = &[
    field(STRING),                                // name
    structs(TXN_OFFSET_COMMIT_REQUEST_PARTITION), // partitions
];

/// TxnOffsetCommit, v0–5.
pub static TXN_OFFSET_COMMIT: Message = Message {
    key: 28,
    min: 0,
    max: 5,
    flexible: 3,
    fields: &[
        field(STRING),                            // transactional_id
        field(STRING),                            // group_id
        field(INT64),                             // producer_id
        field(INT16),                             // producer_epoch
        field(INT32).since(3),                    // generation_id
        field(STRING).since(3),                   // member_id
        field(STRING).since(3).nullable(),        // group_instance_id
        structs(TXN_OFFSET_COMMIT_REQUEST_TOPIC), // topics
    ],
};

const WRITABLE_TXN_MARKER_TOPIC: &[Field] = &[
    field(STRING),              // name
    field(Kind::Array(&INT32)), // partition_indexes
];

const WRITABLE_TXN_MARKER: &[Field] = &[
    field(INT64),                       // producer_id
    field(INT16),                       // producer_epoch
    field(BOOL),                        // transaction_result
    structs(WRITABLE_TXN_MARKER_TOPIC), // topics
    field(INT32),                       // coordinator_epoch
];

/// WriteTxnMarkers, v1.
pub static WRITE_TXN_MARKERS: Message = Message {
    key: 27,
    min: 1,
    max: 1,
    flexible: 0,
    fields: &[
        structs(WRITABLE_TXN_MARKER), // markers
    ],
};

const TOPIC_REQUEST: &[Field] = &[
    field(STRING),              // name
    field(Kind::Array(&INT32)), // partition_indexes
];

/// DescribeProducers, v0.
pub static DESCRIBE_PRODUCERS: Message = Message {
    key: 61,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        structs(TOPIC_REQUEST), // topics
    ],
};

/// DescribeTransactions, v0.
pub static DESCRIBE_TRANSACTIONS: Message = Message {
    key: 65,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        field(Kind::Array(&STRING)), // transactional_ids
    ],
};

/// ListTransactions, v0–2.
pub static LIST_TRANSACTIONS: Message = Message {
    key: 66,
    min: 0,
    max: 2,
    flexible: 0,
    fields: &[
        field(Kind::Array(&STRING)),       // state_filters
        field(Kind::Array(&INT64)),        // producer_id_filters
        field(INT64).since(1),             // duration_filter
        field(STRING).since(2).nullable(), // transactional_id_pattern
    ],
};
