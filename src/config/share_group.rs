//! A share group's configuration, typed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::definition::find;
use crate::config::group_table::GROUP_CONFIGS;
use crate::config::iso_duration::parse_duration;
use crate::config::share::ShareSettings;
use crate::model::topic::TopicName;

/// Where a share group begins to read a partition (`share.auto.offset.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ShareOffsetReset {
    /// At the high watermark.
    #[default]
    Latest,
    /// At the log's start.
    Earliest,
    /// At the first record that is not older than this.
    ByDuration(Duration),
}

/// How long a record rests before it is delivered again (`towpath.share.redelivery.backoff.*`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShareRedeliveryBackoff {
    /// Before the second delivery; zero: no rest at all.
    pub first: Duration,
    /// How much longer each further rest is; from 1.
    pub multiplier: f64,
    /// The longest rest.
    pub longest: Duration,
}

/// What becomes of records that a share group gives up (KIP-1191).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareDeadLetterConfig {
    /// `errors.deadletterqueue.topic.name`: the topic they go to.
    pub topic: TopicName,
    /// `errors.deadletterqueue.copy.record.enable`: whether key and value go with them.
    pub copy_record: bool,
    /// `errors.deadletterqueue.auto.create.topics.enable` of the cluster: whether a missing topic is created.
    pub auto_create_topic: bool,
    /// `towpath.share.deadletterqueue.rate.limit.per.minute`: so many a minute at most; `None` for no limit.
    pub per_minute_max: Option<u32>,
}

/// What a share group's configuration comes to: its own entries over the agents' settings, within their bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareGroupConfig {
    /// `share.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `share.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `share.assignment.interval.ms`.
    pub assignment_interval: Duration,
    /// `group.share.max.size`: members at most; the same for every group.
    pub size_max: u32,
    /// `share.record.lock.duration.ms`.
    pub record_lock_duration: Duration,
    /// `share.delivery.count.limit`: deliveries at most, at least 2.
    pub delivery_count_limit: u16,
    /// `share.partition.max.record.locks`: offsets from start to end offset at most.
    pub record_locks_max: u32,
    /// `share.auto.offset.reset`.
    pub auto_offset_reset: ShareOffsetReset,
    /// `share.isolation.level` is `read_committed`.
    pub read_committed: bool,
    /// `share.renew.acknowledge.enable`.
    pub renew_allowed: bool,
    /// `towpath.share.redelivery.backoff.*`.
    pub backoff: ShareRedeliveryBackoff,
    /// `towpath.share.delivery.paused`: nothing is acquired.
    pub paused: bool,
    /// Where given-up records go; `None`: nowhere.
    pub dead_letters: Option<ShareDeadLetterConfig>,
}

impl ShareGroupConfig {
    /// The configuration that a group's `own` entries give over the `cluster`'s entries and the agents' `settings`.
    ///
    /// Entries that do not parse count as unset, and numbers that have come to lie outside of the bounds are brought
    /// back into them: both are judged when they are set, but bounds may have moved since. A topic for dead letters
    /// whose name the cluster does not allow any longer is none.
    #[must_use]
    pub fn effective(
        own: Option<&BTreeMap<String, String>>,
        cluster: Option<&BTreeMap<String, String>>,
        settings: &ShareSettings,
    ) -> Self {
        let entries = Entries { own, settings };
        let milliseconds = |name| Duration::from_millis(u64::from(entries.number(name)));
        Self {
            session_timeout: milliseconds("share.session.timeout.ms"),
            heartbeat_interval: milliseconds("share.heartbeat.interval.ms"),
            assignment_interval: milliseconds("share.assignment.interval.ms"),
            size_max: settings.group_size_max,
            record_lock_duration: milliseconds("share.record.lock.duration.ms"),
            delivery_count_limit: u16::try_from(entries.number("share.delivery.count.limit")).unwrap_or(u16::MAX),
            record_locks_max: entries.number("share.partition.max.record.locks"),
            auto_offset_reset: offset_reset(entries.text("share.auto.offset.reset")),
            read_committed: entries.text("share.isolation.level") == "read_committed",
            renew_allowed: entries.truth("share.renew.acknowledge.enable"),
            backoff: ShareRedeliveryBackoff {
                first: milliseconds("towpath.share.redelivery.backoff.ms"),
                multiplier: entries.text("towpath.share.redelivery.backoff.multiplier").trim().parse().unwrap_or(1.0),
                longest: milliseconds("towpath.share.redelivery.backoff.max.ms"),
            },
            paused: entries.truth("towpath.share.delivery.paused"),
            dead_letters: entries.dead_letters(cluster),
        }
    }
}

impl Default for ShareGroupConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self::effective(None, None, &ShareSettings::default())
    }
}

/// How the name of a topic for dead letters must begin: what the cluster's entries say, else the settings.
#[must_use]
pub fn dead_letter_prefix<'a>(cluster: Option<&'a BTreeMap<String, String>>, settings: &'a ShareSettings) -> &'a str {
    let shared = cluster.and_then(|entries| entries.get("errors.deadletterqueue.topic.name.prefix"));
    shared.map_or(settings.deadletterqueue_topic_name_prefix.as_str(), String::as_str)
}

/// The topic for dead letters that `name` names.
///
/// # Errors
/// A sentence on why it can not be one.
pub fn dead_letter_topic(name: &str, prefix: &str) -> Result<TopicName, String> {
    if name.starts_with("__") {
        return Err("names that begin with __ belong to internal topics".to_owned());
    }
    if !name.starts_with(prefix) {
        return Err(format!(
            "the name must begin with {prefix}, as errors.deadletterqueue.topic.name.prefix of the cluster says"
        ));
    }
    TopicName::new(name).map_err(|illegal| illegal.to_string())
}

struct Entries<'a> {
    own: Option<&'a BTreeMap<String, String>>,
    settings: &'a ShareSettings,
}

impl Entries<'_> {
    /// The group's own value if it is one, else the table's default.
    fn text(&self, name: &str) -> &str {
        let Some(definition) = find(GROUP_CONFIGS, name) else { return "" };
        let own = self.own.and_then(|entries| entries.get(name)).filter(|value| definition.check(value).is_ok());
        own.map_or(definition.default.unwrap_or_default(), String::as_str)
    }

    fn truth(&self, name: &str) -> bool {
        self.text(name).trim().eq_ignore_ascii_case("true")
    }

    fn number(&self, name: &str) -> u32 {
        let own = self.own.and_then(|entries| entries.get(name)?.trim().parse::<i64>().ok());
        let numbers = self.settings.group_numbers();
        let Some(number) = numbers.iter().find(|number| number.name == name) else {
            return self.text(name).trim().parse().unwrap_or(0);
        };
        let clamped = own.map(|value| value.clamp(i64::from(number.least), i64::from(number.most.max(number.least))));
        clamped.and_then(|value| u32::try_from(value).ok()).unwrap_or(number.default)
    }

    fn dead_letters(&self, cluster: Option<&BTreeMap<String, String>>) -> Option<ShareDeadLetterConfig> {
        let name = self.text("errors.deadletterqueue.topic.name");
        if name.is_empty() {
            return None;
        }
        let topic = dead_letter_topic(name, dead_letter_prefix(cluster, self.settings)).ok()?;
        let per_minute = self.number("towpath.share.deadletterqueue.rate.limit.per.minute");
        let auto_create = cluster.and_then(|entries| entries.get("errors.deadletterqueue.auto.create.topics.enable"));
        Some(ShareDeadLetterConfig {
            topic,
            copy_record: self.truth("errors.deadletterqueue.copy.record.enable"),
            auto_create_topic: auto_create.map_or(self.settings.deadletterqueue_auto_create_topics, |value| {
                value.trim().eq_ignore_ascii_case("true")
            }),
            per_minute_max: (per_minute > 0).then_some(per_minute),
        })
    }
}

fn offset_reset(text: &str) -> ShareOffsetReset {
    match text.strip_prefix("by_duration:").and_then(parse_duration) {
        Some(duration) => ShareOffsetReset::ByDuration(duration),
        None if text == "earliest" => ShareOffsetReset::Earliest,
        None => ShareOffsetReset::Latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn config(own: &[(&str, &str)], cluster: &[(&str, &str)]) -> ShareGroupConfig {
        ShareGroupConfig::effective(Some(&entries(own)), Some(&entries(cluster)), &ShareSettings::default())
    }

    #[test]
    fn a_group_that_says_nothing_has_kafkas_defaults() {
        let expected = ShareGroupConfig {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            assignment_interval: Duration::from_secs(1),
            size_max: 200,
            record_lock_duration: Duration::from_secs(30),
            delivery_count_limit: 5,
            record_locks_max: 2000,
            auto_offset_reset: ShareOffsetReset::Latest,
            read_committed: false,
            renew_allowed: true,
            backoff: ShareRedeliveryBackoff {
                first: Duration::ZERO,
                multiplier: 2.0,
                longest: Duration::from_secs(60),
            },
            paused: false,
            dead_letters: None,
        };
        assert_eq!(ShareGroupConfig::default(), expected);
        assert_eq!(config(&[("share.delivery.count.limit", "many"), ("share.isolation.level", "none")], &[]), expected);
    }

    #[test]
    fn entries_are_read_within_the_bounds() {
        let config = config(
            &[
                ("share.session.timeout.ms", "1"),
                ("share.record.lock.duration.ms", "9999999999"),
                ("share.delivery.count.limit", " 7 "),
                ("share.auto.offset.reset", "by_duration:PT1H"),
                ("share.isolation.level", "read_committed"),
                ("share.renew.acknowledge.enable", "False"),
                ("towpath.share.redelivery.backoff.ms", "250"),
                ("towpath.share.redelivery.backoff.multiplier", "1.5"),
                ("towpath.share.delivery.paused", "true"),
            ],
            &[],
        );
        assert_eq!(config.session_timeout, Duration::from_secs(45));
        assert_eq!(config.record_lock_duration, Duration::from_secs(60));
        assert_eq!(config.delivery_count_limit, 7);
        assert_eq!(config.auto_offset_reset, ShareOffsetReset::ByDuration(Duration::from_secs(3600)));
        assert_eq!((config.read_committed, config.renew_allowed, config.paused), (true, false, true));
        assert_eq!((config.backoff.first, config.backoff.multiplier), (Duration::from_millis(250), 1.5));
    }

    #[test]
    fn dead_letters_go_where_the_cluster_allows() {
        let named = |name: &str, cluster: &[(&str, &str)]| {
            let own =
                [("errors.deadletterqueue.topic.name", name), ("errors.deadletterqueue.copy.record.enable", "true")];
            config(&own, cluster).dead_letters
        };
        let expected = |name: &str, auto_create_topic| {
            let topic = TopicName::new(name).expect("legal");
            Some(ShareDeadLetterConfig { topic, copy_record: true, auto_create_topic, per_minute_max: None })
        };
        assert_eq!(named("dlq.a", &[]), expected("dlq.a", false));
        assert_eq!(named("", &[]), None);
        assert_eq!(named("a", &[]), None);
        let cluster = [
            ("errors.deadletterqueue.topic.name.prefix", ""),
            ("errors.deadletterqueue.auto.create.topics.enable", "true"),
        ];
        assert_eq!(named("a", &cluster), expected("a", true));
        assert_eq!(named("__a", &cluster), None);
        let own = [
            ("errors.deadletterqueue.topic.name", "dlq.a"),
            ("towpath.share.deadletterqueue.rate.limit.per.minute", "60"),
        ];
        assert_eq!(config(&own, &[]).dead_letters.expect("some").per_minute_max, Some(60));
    }
}
