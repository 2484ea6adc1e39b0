//! Requests about the cluster.

use crate::wire::shapes::field::{BOOL, Field, INT8, INT32, Kind, Message, STRING, UUID, field, structs};

/// ApiVersions, v0–4.
pub static API_VERSIONS: Message = Message {
    key: 18,
    min: 0,
    max: 4,
    flexible: 3,
    fields: &[
        field(STRING).since(3), // client_software_name
        field(STRING).since(3), // client_software_version
    ],
};

const METADATA_REQUEST_TOPIC: &[Field] = &[
    field(UUID).since(10),    // topic_id
    field(STRING).nullable(), // name
];

/// Metadata, v0–13.
pub static METADATA: Message = Message {
    key: 3,
    min: 0,
    max: 13,
    flexible: 9,
    fields: &[
        structs(METADATA_REQUEST_TOPIC).nullable(), // topics
        field(BOOL).since(4),                       // allow_auto_topic_creation
        field(BOOL).since(8).until(10),             // include_cluster_authorized_operations
        field(BOOL).since(8),                       // include_topic_authorized_operations
    ],
};

/// FindCoordinator, v0–6.
pub static FIND_COORDINATOR: Message = Message {
    key: 10,
    min: 0,
    max: 6,
    flexible: 3,
    fields: &[
        field(STRING).until(3),               // key
        field(INT8).since(1),                 // key_type
        field(Kind::Array(&STRING)).since(4), // coordinator_keys
    ],
};

/// DescribeCluster, v0–2.
pub static DESCRIBE_CLUSTER: Message = Message {
    key: 60,
    min: 0,
    max: 2,
    flexible: 0,
    fields: &[
        field(BOOL),          // include_cluster_authorized_operations
        field(INT8).since(1), // endpoint_type
        field(BOOL).since(2), // include_fenced_brokers
    ],
};

const TOPIC_REQUEST: &[Field] = &[
    field(STRING), // name
];

const CURSOR: &[Field] = &[
    field(STRING), // topic_name
    field(INT32),  // partition_index
];

/// DescribeTopicPartitions, v0.
pub static DESCRIBE_TOPIC_PARTITIONS: Message = Message {
    key: 75,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        structs(TOPIC_REQUEST),                   // topics
        field(INT32),                             // response_partition_limit
        field(Kind::Optional(CURSOR)).nullable(), // cursor
    ],
};

const DESCRIBABLE_LOG_DIR_TOPIC: &[Field] = &[
    field(STRING),              // topic
    field(Kind::Array(&INT32)), // partitions
];

/// DescribeLogDirs, v1–4.
pub static DESCRIBE_LOG_DIRS: Message = Message {
    key: 35,
    min: 1,
    max: 4,
    flexible: 2,
    fields: &[
        structs(DESCRIBABLE_LOG_DIR_TOPIC).nullable(), // topics
    ],
};

const TOPIC_PARTITIONS: &[Field] = &[
    field(STRING),              // topic
    field(Kind::Array(&INT32)), // partitions
];

/// ElectLeaders, v0–2.
pub static ELECT_LEADERS: Message = Message {
    key: 43,
    min: 0,
    max: 2,
    flexible: 2,
    fields: &[
        field(INT8).since(1),                 // election_type
        structs(TOPIC_PARTITIONS).nullable(), // topic_partitions
        field(INT32),                         // timeout_ms
    ],
};

const REASSIGNABLE_PARTITION: &[Field] = &[
    field(INT32),                          // partition_index
    field(Kind::Array(&INT32)).nullable(), // replicas
];

const REASSIGNABLE_TOPIC: &[Field] = &[
    field(STRING),                   // name
    structs(REASSIGNABLE_PARTITION), // partitions
];

/// AlterPartitionReassignments, v0–1.
pub static ALTER_PARTITION_REASSIGNMENTS: Message = Message {
    key: 45,
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[
        field(INT32),                // timeout_ms
        field(BOOL).since(1),        // allow_replication_factor_change
        structs(REASSIGNABLE_TOPIC), // topics
    ],
};

const LIST_PARTITION_REASSIGNMENTS_TOPICS: &[Field] = &[
    field(STRING),              // name
    field(Kind::Array(&INT32)), // partition_indexes
];

/// ListPartitionReassignments, v0.
pub static LIST_PARTITION_REASSIGNMENTS: Message = Message {
    key: 46,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        field(INT32),                                            // timeout_ms
        structs(LIST_PARTITION_REASSIGNMENTS_TOPICS).nullable(), // topics
    ],
};
