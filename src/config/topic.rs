//! A topic's configuration, typed.

use std::collections::BTreeMap;

use crate::config::definition::{find, items};
use crate::config::topic_table::TOPIC_CONFIGS;

/// Which clock stamps records (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The metastore's, at commit.
    LogAppendTime,
}

/// What the log must know of a topic's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `max.message.bytes`: the largest record batch.
    pub message_bytes_max: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
    /// `cleanup.policy` contains `delete`.
    pub deleted: bool,
    /// `retention.ms`, when `cleanup.policy` contains `delete` and it is not −1.
    pub retention_ms: Option<u64>,
    /// `retention.bytes` per partition, when `cleanup.policy` contains `delete` and it is not −1.
    pub retention_bytes: Option<u64>,
    /// `errors.deadletterqueue.group.enable`: share groups may write dead letters here.
    pub takes_dead_letters: bool,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compacted: false,
            deleted: true,
            retention_ms: Some(604_800_000),
            retention_bytes: None,
            takes_dead_letters: false,
        }
    }
}

impl TopicConfig {
    /// The configuration that a topic's own entries give; entries that do not parse count as unset (they are
    /// judged when they are set).
    #[must_use]
    pub fn from_entries(entries: &BTreeMap<String, String>) -> Self {
        Self::effective(entries, None)
    }

    /// Whether records only go when a newer one has their key.
    #[must_use]
    pub fn only_compacted(&self) -> bool {
        self.compacted && !self.deleted
    }

    /// The configuration that a topic's own entries give, over the cluster's entries by their broker-wide names
    /// (`log.retention.ms` for `retention.ms`), over Kafka's defaults.
    #[must_use]
    pub fn effective(topic: &BTreeMap<String, String>, cluster: Option<&BTreeMap<String, String>>) -> Self {
        let default = Self::default();
        if topic.is_empty() && cluster.is_none_or(BTreeMap::is_empty) {
            return default;
        }
        let value = |name| effective_value(name, topic, cluster);
        let number = |name| value(name).trim().parse::<i64>().ok();
        let deletes = items(value("cleanup.policy")).any(|policy| policy == "delete");
        let limit = |name| number(name).and_then(|limit| u64::try_from(limit).ok()).filter(|_| deletes);
        Self {
            message_bytes_max: number("max.message.bytes")
                .and_then(|bytes| u32::try_from(bytes).ok())
                .unwrap_or(default.message_bytes_max),
            timestamp_type: match value("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms")
                .unwrap_or(default.timestamp_before_max_ms),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms").unwrap_or(default.timestamp_after_max_ms),
            compacted: items(value("cleanup.policy")).any(|policy| policy == "compact"),
            deleted: deletes,
            retention_ms: limit("retention.ms"),
            retention_bytes: limit("retention.bytes"),
            takes_dead_letters: value("errors.deadletterqueue.group.enable").trim().eq_ignore_ascii_case("true"),
        }
    }
}

/// The value that holds for a topic configuration: the first valid one of the topic's own, the cluster's and
/// Kafka's default.
fn effective_value<'a>(
    name: &str,
    topic: &'a BTreeMap<String, String>,
    cluster: Option<&'a BTreeMap<String, String>>,
) -> &'a str {
    let Some(definition) = find(TOPIC_CONFIGS, name) else { return "" };
    let own = topic.get(name);
    let shared = || cluster.and_then(|entries| entries.get(definition.broker_name?));
    let valid = |value: &&'a String| definition.check(value).is_ok();
    own.filter(valid).or_else(|| shared().filter(valid)).map_or(definition.default.unwrap_or_default(), String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn nothing_set_gives_kafkas_defaults() {
        // Setting something irrelevant takes the long way, which must agree with the short one.
        assert_eq!(TopicConfig::from_entries(&entries(&[("segment.ms", "5000")])), TopicConfig::default());
        assert_eq!(TopicConfig::from_entries(&BTreeMap::new()), TopicConfig::default());
    }

    #[test]
    fn entries_are_read_and_nonsense_counts_as_unset() {
        let config = TopicConfig::from_entries(&entries(&[
            ("max.message.bytes", "2000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "1000000"),
            ("message.timestamp.after.max.ms", "soon"),
            ("errors.deadletterqueue.group.enable", "TRUE"),
        ]));
        let expected = TopicConfig {
            message_bytes_max: 2000,
            timestamp_type: TimestampType::LogAppendTime,
            compacted: true,
            retention_ms: None,
            retention_bytes: Some(1_000_000),
            takes_dead_letters: true,
            ..TopicConfig::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn a_compacted_topic_that_does_not_delete_has_no_retention() {
        let config = TopicConfig::from_entries(&entries(&[("cleanup.policy", "compact"), ("retention.ms", "1000")]));
        assert_eq!((config.compacted, config.retention_ms, config.retention_bytes), (true, None, None));
    }

    #[test]
    fn the_clusters_default_holds_where_the_topic_says_nothing() {
        let cluster = entries(&[("log.retention.ms", "1000"), ("message.max.bytes", "500")]);
        let config = TopicConfig::effective(&entries(&[("max.message.bytes", "600")]), Some(&cluster));
        assert_eq!((config.retention_ms, config.message_bytes_max), (Some(1000), 600));
    }
}
