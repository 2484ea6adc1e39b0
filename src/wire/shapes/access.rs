//! Requests about who may do what.

use crate::wire::shapes::field::{BOOL, BYTES, Field, INFLEXIBLE, INT8, INT32, INT64, Message, STRING, field, structs};

/// SaslHandshake, v0–1.
pub static SASL_HANDSHAKE: Message = Message {
    key: 17,
    min: 0,
    max: 1,
    flexible: INFLEXIBLE,
    fields: &[
        field(STRING), // mechanism
    ],
};

/// SaslAuthenticate, v0–2.
pub static SASL_AUTHENTICATE: Message = Message {
    key: 36,
    min: 0,
    max: 2,
    flexible: 2,
    fields: &[
        field(BYTES), // auth_bytes
    ],
};

/// DescribeAcls, v1–3.
pub static DESCRIBE_ACLS: Message = Message {
    key: 29,
    min: 1,
    max: 3,
    flexible: 2,
    fields: &[
        field(INT8),              // resource_type_filter
        field(STRING).nullable(), // resource_name_filter
        field(INT8),              // pattern_type_filter
        field(STRING).nullable(), // principal_filter
        field(STRING).nullable(), // host_filter
        field(INT8),              // operation
        field(INT8),              // permission_type
    ],
};

const ACL_CREATION: &[Field] = &[
    field(INT8),   // resource_type
    field(STRING), // resource_name
    field(INT8),   // resource_pattern_type
    field(STRING), // principal
    field(STRING), // host
    field(INT8),   // operation
    field(INT8),   // permission_type
];

/// CreateAcls, v1–3.
pub static CREATE_ACLS: Message = Message {
    key: 30,
    min: 1,
    max: 3,
    flexible: 2,
    fields: &[
        structs(ACL_CREATION), // creations
    ],
};

const DELETE_ACLS_FILTER: &[Field] = &[
    field(INT8),              // resource_type_filter
    field(STRING).nullable(), // resource_name_filter
    field(INT8),              // pattern_type_filter
    field(STRING).nullable(), // principal_filter
    field(STRING).nullable(), // host_filter
    field(INT8),              // operation
    field(INT8),              // permission_type
];

/// DeleteAcls, v1–3.
pub static DELETE_ACLS: Message = Message {
    key: 31,
    min: 1,
    max: 3,
    flexible: 2,
    fields: &[
        structs(DELETE_ACLS_FILTER), // filters
    ],
};

const USER_NAME: &[Field] = &[
    field(STRING), // name
];

/// DescribeUserScramCredentials, v0.
pub static DESCRIBE_USER_SCRAM_CREDENTIALS: Message = Message {
    key: 50,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        structs(USER_NAME).nullable(), // users
    ],
};

const SCRAM_CREDENTIAL_DELETION: &[Field] = &[
    field(STRING), // name
    field(INT8),   // mechanism
];

const SCRAM_CREDENTIAL_UPSERTION: &[Field] = &[
    field(STRING), // name
    field(INT8),   // mechanism
    field(INT32),  // iterations
    field(BYTES),  // salt
    field(BYTES),  // salted_password
];

/// AlterUserScramCredentials, v0.
pub static ALTER_USER_SCRAM_CREDENTIALS: Message = Message {
    key: 51,
    min: 0,
    max: 0,
    flexible: 0,
    fields: &[
        structs(SCRAM_CREDENTIAL_DELETION),  // deletions
        structs(SCRAM_CREDENTIAL_UPSERTION), // upsertions
    ],
};

const COMPONENT_DATA: &[Field] = &[
    field(STRING),            // entity_type
    field(INT8),              // match_type
    field(STRING).nullable(), // _match
];

/// DescribeClientQuotas, v0–1.
pub static DESCRIBE_CLIENT_QUOTAS: Message = Message {
    key: 48,
    min: 0,
    max: 1,
    flexible: 1,
    fields: &[
        structs(COMPONENT_DATA), // components
        field(BOOL),             // strict
    ],
};

const ENTITY_DATA: &[Field] = &[
    field(STRING),            // entity_type
    field(STRING).nullable(), // entity_name
];

const OP_DATA: &[Field] = &[
    field(STRING), // key
    field(INT64),  // value
    field(BOOL),   // remove
];

const ENTRY_DATA: &[Field] = &[
    structs(ENTITY_DATA), // entity
    structs(OP_DATA),     // ops
];

/// AlterClientQuotas, v0–1.
pub static ALTER_CLIENT_QUOTAS: Message = Message {
    key: 49,
    min: 0,
    max: 1,
    flexible: 1,
    fields: &[
        structs(ENTRY_DATA), // entries
        field(BOOL),         // validate_only
    ],
};
