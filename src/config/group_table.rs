//! Kafka 4.3's group configurations.

use crate::config::definition::{Bounds, Definition, Effect, ValueType};

/// Every group configuration, sorted by name.
pub const GROUP_CONFIGS: &[Definition] = &[
    Definition {
        name: "consumer.assignment.interval.ms",
        value_type: ValueType::Int,
        default: Some("1000"),
        bounds: Bounds::AtLeast(0),
        documentation: "The least time between two assignments of a consumer group, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "consumer.heartbeat.interval.ms",
        value_type: ValueType::Int,
        default: Some("5000"),
        bounds: Bounds::AtLeast(1),
        documentation: "How often members of a consumer group say that they live, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "consumer.session.timeout.ms",
        value_type: ValueType::Int,
        default: Some("45000"),
        bounds: Bounds::AtLeast(1),
        documentation: "After how long of silence a member of a consumer group counts as dead, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.assignment.interval.ms",
        value_type: ValueType::Int,
        default: Some("1000"),
        bounds: Bounds::AtLeast(0),
        documentation: "The least time between two assignments of a share group, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.auto.offset.reset",
        value_type: ValueType::String,
        default: Some("latest"),
        bounds: Bounds::OffsetReset,
        documentation: "Where a share group begins to read a partition.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.delivery.count.limit",
        value_type: ValueType::Int,
        default: Some("5"),
        bounds: Bounds::Between(2, 10),
        documentation: "How often a record is delivered before it is given up.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.heartbeat.interval.ms",
        value_type: ValueType::Int,
        default: Some("5000"),
        bounds: Bounds::AtLeast(1),
        documentation: "How often members of a share group say that they live, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.isolation.level",
        value_type: ValueType::String,
        default: Some("read_uncommitted"),
        bounds: Bounds::OneOf(&["read_uncommitted", "read_committed"]),
        documentation: "Whether a share group sees records of transactions that are not committed.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.partition.max.record.locks",
        value_type: ValueType::Int,
        default: Some("2000"),
        bounds: Bounds::Between(100, 10_000),
        documentation: "How many records of one partition may be with consumers at the same time.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.record.lock.duration.ms",
        value_type: ValueType::Int,
        default: Some("30000"),
        bounds: Bounds::Between(1000, 3_600_000),
        documentation: "How long a record belongs to the consumer that got it, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.renew.acknowledge.enable",
        value_type: ValueType::Boolean,
        default: Some("true"),
        bounds: Bounds::Any,
        documentation: "Whether consumers may extend the time for which a record is theirs.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "share.session.timeout.ms",
        value_type: ValueType::Int,
        default: Some("45000"),
        bounds: Bounds::AtLeast(1),
        documentation: "After how long of silence a member of a share group counts as dead, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_its_defaults_pass_its_own_rules() {
        assert!(GROUP_CONFIGS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for definition in GROUP_CONFIGS {
            let default = definition.default.expect("group configurations have defaults");
            assert_eq!(definition.check(default), Ok(()), "{}", definition.name);
        }
    }
}
