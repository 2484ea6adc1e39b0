//! Kafka 4.x's topic configurations, and what each of them does here.

use std::collections::BTreeMap;

use crate::config::definition::{Bounds, Definition, Effect, ValueType, find, unknown};

const NO_UPKEEP: &str = "nothing drops records yet, they are kept for ever";
const DISKLESS: &str = "agents have no disks";
const NO_TIER: &str = "all data lives in the object store, there is no second tier";
const NO_REPLICAS: &str = "any agent serves any partition, nothing is replicated between agents";
const CODECS: &str = "batches are kept as the producer compressed them";

/// Every topic configuration, sorted by name.
pub const TOPIC_CONFIGS: &[Definition] = &[
    Definition {
        name: "cleanup.policy",
        value_type: ValueType::List,
        default: Some("delete"),
        bounds: Bounds::OneOf(&["compact", "delete"]),
        documentation: "What becomes of old records: delete drops them by time and size, compact keeps the last record of every key, both may be joined by a comma. With compact every record needs a key; nothing is dropped yet under either policy.",
        effect: Effect::Enforced,
        broker_name: Some("log.cleanup.policy"),
    },
    Definition {
        name: "compression.gzip.level",
        value_type: ValueType::Int,
        default: Some("-1"),
        bounds: Bounds::LevelOrDefault(1, 9),
        documentation: "The level when compression.type is gzip.",
        effect: Effect::Stored(CODECS),
        broker_name: Some("compression.gzip.level"),
    },
    Definition {
        name: "compression.lz4.level",
        value_type: ValueType::Int,
        default: Some("9"),
        bounds: Bounds::Between(1, 17),
        documentation: "The level when compression.type is lz4.",
        effect: Effect::Stored(CODECS),
        broker_name: Some("compression.lz4.level"),
    },
    Definition {
        name: "compression.type",
        value_type: ValueType::String,
        default: Some("producer"),
        bounds: Bounds::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        documentation: "The codec that records are kept in; producer keeps each batch as it was sent.",
        effect: Effect::Stored(CODECS),
        broker_name: Some("compression.type"),
    },
    Definition {
        name: "compression.zstd.level",
        value_type: ValueType::Int,
        default: Some("3"),
        bounds: Bounds::Between(-131_072, 22),
        documentation: "The level when compression.type is zstd.",
        effect: Effect::Stored(CODECS),
        broker_name: Some("compression.zstd.level"),
    },
    Definition {
        name: "delete.retention.ms",
        value_type: ValueType::Long,
        default: Some("86400000"),
        bounds: Bounds::AtLeast(0),
        documentation: "How long a compacted topic keeps tombstones, in milliseconds.",
        effect: Effect::Stored(NO_UPKEEP),
        broker_name: Some("log.cleaner.delete.retention.ms"),
    },
    Definition {
        name: "errors.deadletterqueue.group.enable",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Any,
        documentation: "Whether share groups may write dead letters into the topic: records that they give up.",
        effect: Effect::Enforced,
        broker_name: None,
    },
    Definition {
        name: "file.delete.delay.ms",
        value_type: ValueType::Long,
        default: Some("60000"),
        bounds: Bounds::AtLeast(0),
        documentation: "How long a deleted segment file stays on disk, in milliseconds.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.segment.delete.delay.ms"),
    },
    Definition {
        name: "flush.messages",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(1),
        documentation: "After how many records the log is forced to disk.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.flush.interval.messages"),
    },
    Definition {
        name: "flush.ms",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(0),
        documentation: "After how long the log is forced to disk, in milliseconds.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.flush.interval.ms"),
    },
    Definition {
        name: "follower.replication.throttled.replicas",
        value_type: ValueType::List,
        default: Some(""),
        bounds: Bounds::Any,
        documentation: "Replicas whose replication is throttled on the follower's side.",
        effect: Effect::Stored(NO_REPLICAS),
        broker_name: None,
    },
    Definition {
        name: "index.interval.bytes",
        value_type: ValueType::Int,
        default: Some("4096"),
        bounds: Bounds::AtLeast(0),
        documentation: "How often a segment's offset index gets an entry, in bytes.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.index.interval.bytes"),
    },
    Definition {
        name: "leader.replication.throttled.replicas",
        value_type: ValueType::List,
        default: Some(""),
        bounds: Bounds::Any,
        documentation: "Replicas whose replication is throttled on the leader's side.",
        effect: Effect::Stored(NO_REPLICAS),
        broker_name: None,
    },
    Definition {
        name: "local.retention.bytes",
        value_type: ValueType::Long,
        default: Some("-2"),
        bounds: Bounds::AtLeast(-2),
        documentation: "How many bytes stay on local disks with tiered storage.",
        effect: Effect::Stored(NO_TIER),
        broker_name: Some("log.local.retention.bytes"),
    },
    Definition {
        name: "local.retention.ms",
        value_type: ValueType::Long,
        default: Some("-2"),
        bounds: Bounds::AtLeast(-2),
        documentation: "How long records stay on local disks with tiered storage, in milliseconds.",
        effect: Effect::Stored(NO_TIER),
        broker_name: Some("log.local.retention.ms"),
    },
    Definition {
        name: "max.compaction.lag.ms",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(1),
        documentation: "How long a record may stay uncompacted at most, in milliseconds.",
        effect: Effect::Stored(NO_UPKEEP),
        broker_name: Some("log.cleaner.max.compaction.lag.ms"),
    },
    Definition {
        name: "max.message.bytes",
        value_type: ValueType::Int,
        default: Some("1048588"),
        bounds: Bounds::AtLeast(0),
        documentation: "The largest record batch, after compression, in bytes.",
        effect: Effect::Enforced,
        broker_name: Some("message.max.bytes"),
    },
    Definition {
        name: "message.timestamp.after.max.ms",
        value_type: ValueType::Long,
        default: Some("3600000"),
        bounds: Bounds::AtLeast(0),
        documentation: "How far a record's timestamp may lie after the agent's clock, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: Some("log.message.timestamp.after.max.ms"),
    },
    Definition {
        name: "message.timestamp.before.max.ms",
        value_type: ValueType::Long,
        default: Some("9223372036854775807"),
        bounds: Bounds::AtLeast(0),
        documentation: "How far a record's timestamp may lie before the agent's clock, in milliseconds.",
        effect: Effect::Enforced,
        broker_name: Some("log.message.timestamp.before.max.ms"),
    },
    Definition {
        name: "message.timestamp.type",
        value_type: ValueType::String,
        default: Some("CreateTime"),
        bounds: Bounds::OneOf(&["CreateTime", "LogAppendTime"]),
        documentation: "Whether records carry the producer's time or the time of their commit.",
        effect: Effect::Enforced,
        broker_name: Some("log.message.timestamp.type"),
    },
    Definition {
        name: "min.cleanable.dirty.ratio",
        value_type: ValueType::Double,
        default: Some("0.5"),
        bounds: Bounds::Ratio,
        documentation: "The share of uncompacted bytes from which a compacted topic is cleaned.",
        effect: Effect::Stored(NO_UPKEEP),
        broker_name: Some("log.cleaner.min.cleanable.ratio"),
    },
    Definition {
        name: "min.compaction.lag.ms",
        value_type: ValueType::Long,
        default: Some("0"),
        bounds: Bounds::AtLeast(0),
        documentation: "How long a record stays uncompacted at least, in milliseconds.",
        effect: Effect::Stored(NO_UPKEEP),
        broker_name: Some("log.cleaner.min.compaction.lag.ms"),
    },
    Definition {
        name: "min.insync.replicas",
        value_type: ValueType::Int,
        default: Some("1"),
        bounds: Bounds::AtLeast(1),
        documentation: "How many replicas must have a record before it is acknowledged.",
        effect: Effect::Stored(
            "a record is acknowledged once it is in the object store and sequenced, whatever this says",
        ),
        broker_name: Some("min.insync.replicas"),
    },
    Definition {
        name: "preallocate",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Any,
        documentation: "Whether segment files are created at full size.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.preallocate"),
    },
    Definition {
        name: "remote.log.copy.disable",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Any,
        documentation: "Whether tiered storage takes no new data.",
        effect: Effect::Stored(NO_TIER),
        broker_name: None,
    },
    Definition {
        name: "remote.log.delete.on.disable",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Any,
        documentation: "Whether tiered data goes when tiering is switched off.",
        effect: Effect::Stored(NO_TIER),
        broker_name: None,
    },
    Definition {
        name: "remote.storage.enable",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Only(
            "false",
            "Every topic lives in the object store already; there is no second tier to enable",
        ),
        documentation: "Whether the topic has a second tier.",
        effect: Effect::Stored(NO_TIER),
        broker_name: None,
    },
    Definition {
        name: "retention.bytes",
        value_type: ValueType::Long,
        default: Some("-1"),
        bounds: Bounds::AtLeast(-1),
        documentation: "How many bytes each partition keeps; -1 keeps all.",
        effect: Effect::Stored(NO_UPKEEP),
        broker_name: Some("log.retention.bytes"),
    },
    Definition {
        name: "retention.ms",
        value_type: ValueType::Long,
        default: Some("604800000"),
        bounds: Bounds::AtLeast(-1),
        documentation: "How long records are kept, in milliseconds; -1 keeps them for ever.",
        effect: Effect::Stored(NO_UPKEEP),
        broker_name: Some("log.retention.ms"),
    },
    Definition {
        name: "segment.bytes",
        value_type: ValueType::Int,
        default: Some("1073741824"),
        bounds: Bounds::AtLeast(1_048_576),
        documentation: "The size of a segment file.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.segment.bytes"),
    },
    Definition {
        name: "segment.index.bytes",
        value_type: ValueType::Int,
        default: Some("10485760"),
        bounds: Bounds::AtLeast(4),
        documentation: "The size of a segment's index file.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.index.size.max.bytes"),
    },
    Definition {
        name: "segment.jitter.ms",
        value_type: ValueType::Long,
        default: Some("0"),
        bounds: Bounds::AtLeast(0),
        documentation: "By how much the rolling of segments is spread, in milliseconds.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.roll.jitter.ms"),
    },
    Definition {
        name: "segment.ms",
        value_type: ValueType::Long,
        default: Some("604800000"),
        bounds: Bounds::AtLeast(1),
        documentation: "After how long a segment file is rolled, in milliseconds.",
        effect: Effect::Stored(DISKLESS),
        broker_name: Some("log.roll.ms"),
    },
    Definition {
        name: "unclean.leader.election.enable",
        value_type: ValueType::Boolean,
        default: Some("false"),
        bounds: Bounds::Any,
        documentation: "Whether a replica that is behind may lead.",
        effect: Effect::Stored(NO_REPLICAS),
        broker_name: Some("unclean.leader.election.enable"),
    },
];

/// Judges a topic's entries, each by itself and together.
///
/// # Errors
/// A sentence about the first entry at fault.
pub fn check_entries(entries: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in entries {
        find(TOPIC_CONFIGS, name).ok_or_else(|| unknown("topic", TOPIC_CONFIGS, name))?.check(value)?;
    }
    let lag = |name: &str| {
        let text = entries.get(name).map(String::as_str).or(find(TOPIC_CONFIGS, name).and_then(|found| found.default));
        text.and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0)
    };
    let (least, most) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
    if least > most {
        return Err(format!(
            "conflict between topic config setting min.compaction.lag.ms ({least}) and max.compaction.lag.ms ({most})"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn table_is_sorted_and_its_defaults_pass_its_own_rules() {
        assert!(TOPIC_CONFIGS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for definition in TOPIC_CONFIGS {
            let default = definition.default.expect("topic configurations have defaults");
            assert_eq!(definition.check(default), Ok(()), "{}", definition.name);
        }
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion() {
        assert_eq!(
            check_entries(&entries(&[("retention.sm", "1")])),
            Err("Unknown topic config name: retention.sm; did you mean retention.ms?".to_owned())
        );
        assert_eq!(
            check_entries(&entries(&[("quite.another.thing", "1")])),
            Err("Unknown topic config name: quite.another.thing".to_owned())
        );
    }

    #[test]
    fn compaction_lags_must_not_cross() {
        let crossed = entries(&[("min.compaction.lag.ms", "20"), ("max.compaction.lag.ms", "10")]);
        assert!(check_entries(&crossed).is_err_and(|sentence| sentence.starts_with("conflict between topic config")));
        assert_eq!(check_entries(&entries(&[("min.compaction.lag.ms", "20")])), Ok(()));
    }

    #[test]
    fn tiering_is_refused_with_a_reason() {
        let sentence = check_entries(&entries(&[("remote.storage.enable", "true")])).expect_err("refused");
        assert!(sentence.contains("lives in the object store already"), "{sentence}");
        assert_eq!(check_entries(&entries(&[("remote.storage.enable", "false")])), Ok(()));
    }
}
