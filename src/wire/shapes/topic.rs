//! Requests about topics and configurations.

use crate::wire::shapes::field::{BOOL, Field, INT8, INT16, INT32, Kind, Message, STRING, UUID, field, structs};

const CREATABLE_REPLICA_ASSIGNMENT: &[Field] = &[
    field(INT32),               // partition_index
    field(Kind::Array(&INT32)), // broker_ids
];

const CREATABLE_TOPIC_CONFIG: &[Field] = &[
    field(STRING),            // name
    field(STRING).nullable(), // value
];

const CREATABLE_TOPIC: &[Field] = &[
    field(STRING),                         // name
    field(INT32),                          // num_partitions
    field(INT16),                          // replication_factor
    structs(CREATABLE_REPLICA_ASSIGNMENT), // assignments
    structs(CREATABLE_TOPIC_CONFIG),       // configs
];

/// CreateTopics, v2–7.
pub static CREATE_TOPICS: Message = Message {
    key: 19,
    min: 2,
    max: 7,
    flexible: 5,
    fields: &[
        structs(CREATABLE_TOPIC), // topics
        field(INT32),             // timeout_ms
        field(BOOL),              // validate_only
    ],
};

const DELETE_TOPIC_STATE: &[Field] = &[
    field(STRING).since(6).nullable(), // name
    field(UUID).since(6),              // topic_id
];

/// DeleteTopics, v1–6.
pub static DELETE_TOPICS: Message = Message {
    key: 20,
    min: 1,
    max: 6,
    flexible: 4,
    fields: &[
        structs(DELETE_TOPIC_STATE).since(6), // topics
        field(Kind::Array(&STRING)).until(5), // topic_names
        field(INT32),                         // timeout_ms
    ],
};

const CREATE_PARTITIONS_ASSIGNMENT: &[Field] = &[
    field(Kind::Array(&INT32)), // broker_ids
];

const CREATE_PARTITIONS_TOPIC: &[Field] = &[
    field(STRING),                                    // name
    field(INT32),                                     // count
    structs(CREATE_PARTITIONS_ASSIGNMENT).nullable(), // assignments
];

/// CreatePartitions, v0–3.
pub static CREATE_PARTITIONS: Message = Message {
    key: 37,
    min: 0,
    max: 3,
    flexible: 2,
    fields: &[
        structs(CREATE_PARTITIONS_TOPIC), // topics
        field(INT32),                     // timeout_ms
        field(BOOL),                      // validate_only
    ],
};

const DESCRIBE_CONFIGS_RESOURCE: &[Field] = &[
    field(INT8),                            // resource_type
    field(STRING),                          // resource_name
    field(Kind::Array(&STRING)).nullable(), // configuration_keys
];

/// DescribeConfigs, v1–4.
pub static DESCRIBE_CONFIGS: Message = Message {
    key: 32,
    min: 1,
    max: 4,
    flexible: 4,
    fields: &[
        structs(DESCRIBE_CONFIGS_RESOURCE), // resources
        field(BOOL),                        // include_synonyms
        field(BOOL).since(3),               // include_documentation
    ],
};

const ALTER_CONFIGS_ALTERABLE_CONFIG: &[Field] = &[
    field(STRING),            // name
    field(STRING).nullable(), // value
];

const ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: &[Field] = &[
    field(INT8),                             // resource_type
    field(STRING),                           // resource_name
    structs(ALTER_CONFIGS_ALTERABLE_CONFIG), // configs
];

/// AlterConfigs, v0–2.
pub static ALTER_CONFIGS: Message = Message {
    key: 33,
    min: 0,
    max: 2,
    flexible: 2,
    fields: &[
        structs(ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE), // resources
        field(BOOL),                                   // validate_only
    ],
};

const INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG: &[Field] = &[
    field(STRING),            // name
    field(INT8),              // config_operation
    field(STRING).nullable(), // value
];

const INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: &[Field] = &[
    field(INT8),                                         // resource_type
    field(STRING),                                       // resource_name
    structs(INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG), // configs
];

/// IncrementalAlterConfigs, v0–1.
pub static INCREMENTAL_ALTER_CONFIGS: Message = Message {
    key: 44,
    min: 0,
    max: 1,
    flexible: 1,
    fields: &[
        structs(INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE), // resources
        field(BOOL),                                               // validate_only
    ],
};

/// ListConfigResources, v0–1.
pub static LIST_CONFIG_RESOURCES: Message = Message {
    key: 74,
    min: 0,
    max: 1,
    flexible: 0,
    fields: &[
        field(Kind::Array(&INT8)).since(1), // resource_types
    ],
};
