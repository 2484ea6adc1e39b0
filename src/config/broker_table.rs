//! Kafka's broker configurations that tools read, and the broker-wide defaults of topics.

use crate::config::definition::{Bounds, Definition, Effect, ValueType, find};
use crate::config::topic_table::TOPIC_CONFIGS;

const DISKLESS: &str = "agents have no disks";
const NO_TIER: &str = "all data lives in the object store, there is no second tier";
const NO_REPLICAS: &str = "any agent serves any partition, nothing is replicated between agents";
const CODECS: &str = "batches are kept as the producer compressed them";

/// Every broker configuration that is shown, sorted by name.
pub const BROKER_CONFIGS: &[Definition] = &[
    Definition {
        name: "advertised.listeners",
        value_type: ValueType::String,
        default: None,
        bounds: Bounds::Any,
        documentation: "Where clients reach the agent.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "auto.create.topics.enable",
        value_type: ValueType::Boolean,
        default: Some("true"),
        bounds: Bounds::Any,
        documentation: "Whether asking for the metadata of a topic creates it.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "broker.id",
        value_type: ValueType::Int,
        default: Some("-1"),
        bounds: Bounds::Any,
        documentation: "The agent's id in this cluster.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "broker.rack",
        value_type: ValueType::String,
        default: None,
        bounds: Bounds::Any,
        documentation: "The agent's zone.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "compression.gzip.level",
        value_type: ValueType::Int,
        default: Some("-1"),
        bounds: Bounds::LevelOrDefault(1, 9),
        documentation: "The default of the topic configuration compression.gzip.level.",
        effect: Effect::Stored(CODECS),
        broker_name: None,
    },
    Definition {
        name: "compression.lz4.level",
        value_type: ValueType::Int,
        default: Some("9"),
        bounds: Bounds::Between(1, 17),
        documentation: "The default of the topic configuration compression.lz4.level.",
        effect: Effect::Stored(CODECS),
        broker_name: None,
    },
    Definition {
        name: "compression.type",
        value_type: ValueType::String,
        default: Some("producer"),
        bounds: Bounds::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        documentation: "The default of the topic configuration compression.type.",
        effect: Effect::Stored(CODECS),
        broker_name: None,
    },
    Definition {
        name: "compression.zstd.level",
        value_type: ValueType::Int,
        default: Some("3"),
        bounds: Bounds::Between(-131_072, 22),
        documentation: "The default of the topic configuration compression.zstd.level.",
        effect: Effect::Stored(CODECS),
        broker_name: None,
    },
    Definition {
        name: "default.replication.factor",
        value_type: ValueType::Int,
        default: Some("1"),
        bounds: Bounds::AtLeast(1),
        documentation: "The replication factor of topics created without one; it is stored and shown, durability is the object store's.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "delete.topic.enable",
        value_type: ValueType::Boolean,
        default: Some("true"),
        bounds: Bounds::Any,
        documentation: "Whether topics can be deleted.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "inter.broker.protocol.version",
        value_type: ValueType::String,
        default: Some("4.1"),
        bounds: Bounds::Any,
        documentation: "The Kafka version whose protocol is spoken; tools read it to know what to offer.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.cleaner.delete.retention.ms",
        value_type: ValueType::Long,
        default: Some("86400000"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration delete.retention.ms.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.cleaner.max.compaction.lag.ms",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(1),
        documentation: "The default of the topic configuration max.compaction.lag.ms.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.cleaner.min.cleanable.ratio",
        value_type: ValueType::Double,
        default: Some("0.5"),
        bounds: Bounds::Ratio,
        documentation: "The default of the topic configuration min.cleanable.dirty.ratio.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.cleaner.min.compaction.lag.ms",
        value_type: ValueType::Long,
        default: Some("0"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration min.compaction.lag.ms.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.cleanup.policy",
        value_type: ValueType::List,
        default: Some("delete"),
        bounds: Bounds::OneOf(&["compact", "delete"]),
        documentation: "The default of the topic configuration cleanup.policy.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.dirs",
        value_type: ValueType::List,
        default: None,
        bounds: Bounds::Any,
        documentation: "The one directory there is: the bucket.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.flush.interval.messages",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(1),
        documentation: "The default of the topic configuration flush.messages.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.flush.interval.ms",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration flush.ms.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.index.interval.bytes",
        value_type: ValueType::Int,
        default: Some("4096"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration index.interval.bytes.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.index.size.max.bytes",
        value_type: ValueType::Int,
        default: Some("10485760"),
        bounds: Bounds::AtLeast(4),
        documentation: "The default of the topic configuration segment.index.bytes.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.local.retention.bytes",
        value_type: ValueType::Long,
        default: Some("-2"),
        bounds: Bounds::AtLeast(-2),
        documentation: "The default of the topic configuration local.retention.bytes.",
        effect: Effect::Stored(NO_TIER),
        broker_name: None,
    },
    Definition {
        name: "log.local.retention.ms",
        value_type: ValueType::Long,
        default: Some("-2"),
        bounds: Bounds::AtLeast(-2),
        documentation: "The default of the topic configuration local.retention.ms.",
        effect: Effect::Stored(NO_TIER),
        broker_name: None,
    },
    Definition {
        name: "log.message.timestamp.after.max.ms",
        value_type: ValueType::Long,
        default: Some("3600000"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration message.timestamp.after.max.ms.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.message.timestamp.before.max.ms",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration message.timestamp.before.max.ms.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.message.timestamp.type",
        value_type: ValueType::String,
        default: Some("CreateTime"),
        bounds: Bounds::OneOf(&["CreateTime", "LogAppendTime"]),
        documentation: "The default of the topic configuration message.timestamp.type.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.preallocate",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Any,
        documentation: "The default of the topic configuration preallocate.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.retention.bytes",
        value_type: ValueType::Long,
        default: Some("-1"),
        bounds: Bounds::AtLeast(-1),
        documentation: "The default of the topic configuration retention.bytes.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.retention.ms",
        value_type: ValueType::Long,
        default: Some("604800000"),
        bounds: Bounds::AtLeast(-1),
        documentation: "The default of the topic configuration retention.ms.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "log.roll.jitter.ms",
        value_type: ValueType::Long,
        default: Some("0"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration segment.jitter.ms.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.roll.ms",
        value_type: ValueType::Long,
        default: Some("604800000"),
        bounds: Bounds::AtLeast(1),
        documentation: "The default of the topic configuration segment.ms.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.segment.bytes",
        value_type: ValueType::Int,
        default: Some("1073741824"),
        bounds: Bounds::AtLeast(1_048_576),
        documentation: "The default of the topic configuration segment.bytes.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "log.segment.delete.delay.ms",
        value_type: ValueType::Long,
        default: Some("60000"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration file.delete.delay.ms.",
        effect: Effect::Stored(DISKLESS),
        broker_name: None,
    },
    Definition {
        name: "message.max.bytes",
        value_type: ValueType::Int,
        default: Some("1048588"),
        bounds: Bounds::AtLeast(0),
        documentation: "The default of the topic configuration max.message.bytes.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "min.insync.replicas",
        value_type: ValueType::Int,
        default: Some("1"),
        bounds: Bounds::AtLeast(1),
        documentation: "The default of the topic configuration min.insync.replicas.",
        effect: Effect::Stored(
            "a record is acknowledged once it is in the object store and sequenced, whatever this says",
        ),
        broker_name: None,
    },
    Definition {
        name: "node.id",
        value_type: ValueType::Int,
        default: Some("-1"),
        bounds: Bounds::Any,
        documentation: "The agent's id in this cluster.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "num.partitions",
        value_type: ValueType::Int,
        default: Some("1"),
        bounds: Bounds::AtLeast(1),
        documentation: "The number of partitions of topics created without one.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "offsets.topic.replication.factor",
        value_type: ValueType::Short,
        default: Some("1"),
        bounds: Bounds::AtLeast(1),
        documentation: "The replication factor of committed offsets; they live in the metastore.",
        effect: Effect::Stored("there is no offsets topic"),
        broker_name: None,
    },
    Definition {
        name: "process.roles",
        value_type: ValueType::List,
        default: Some("broker"),
        bounds: Bounds::Any,
        documentation: "What the node does.",
        effect: Effect::Stored("every agent has every role"),
        broker_name: None,
    },
    Definition {
        name: "transaction.state.log.replication.factor",
        value_type: ValueType::Short,
        default: Some("1"),
        bounds: Bounds::AtLeast(1),
        documentation: "The replication factor of transaction state; it lives in the metastore.",
        effect: Effect::Stored("there is no transaction topic"),
        broker_name: None,
    },
    Definition {
        name: "unclean.leader.election.enable",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Any,
        documentation: "The default of the topic configuration unclean.leader.election.enable.",
        effect: Effect::Stored(NO_REPLICAS),
        broker_name: None,
    },
];

/// The topic configuration whose cluster-wide default `broker_name` is. Only these can be changed while agents run.
#[must_use]
pub fn topic_config_of(broker_name: &str) -> Option<&'static Definition> {
    find(BROKER_CONFIGS, broker_name)?;
    TOPIC_CONFIGS.iter().find(|definition| definition.broker_name == Some(broker_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_its_defaults_pass_its_own_rules() {
        assert!(BROKER_CONFIGS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for definition in BROKER_CONFIGS {
            if let Some(default) = definition.default {
                assert_eq!(definition.check(default), Ok(()), "{}", definition.name);
            }
        }
    }

    #[test]
    fn every_topic_default_has_the_type_and_default_of_its_topic_configuration() {
        for topic in TOPIC_CONFIGS {
            let Some(broker_name) = topic.broker_name else { continue };
            let broker = find(BROKER_CONFIGS, broker_name).expect("the broker-wide name is in the table");
            assert_eq!((broker.value_type, broker.default), (topic.value_type, topic.default), "{broker_name}");
        }
    }
}
