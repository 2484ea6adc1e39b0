//! Settings of share groups (KIP-932): what holds where a group's own configuration says nothing, and how far that may go.

use crate::config::broker_table::BROKER_CONFIGS;
use crate::config::definition::find;

/// The `[share]` section. Kafka's own name of each setting stands in its docs; a group's configuration (`share.*` on a
/// resource of type GROUP) overrides the first of each three within the other two.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShareSettings {
    /// `group.share.session.timeout.ms`: after how long of silence a member counts as dead. Kafka's default, 45 s.
    pub session_timeout_ms: u32,
    /// `group.share.min.session.timeout.ms`: the shortest that a group may have. Kafka's default, 45 s.
    pub session_timeout_min_ms: u32,
    /// `group.share.max.session.timeout.ms`: the longest that a group may have. Kafka's default, 60 s.
    pub session_timeout_max_ms: u32,
    /// `group.share.heartbeat.interval.ms`: how often members say that they live. Kafka's default, 5 s.
    pub heartbeat_interval_ms: u32,
    /// `group.share.min.heartbeat.interval.ms`: the shortest that a group may have. Kafka's default, 5 s.
    pub heartbeat_interval_min_ms: u32,
    /// `group.share.max.heartbeat.interval.ms`: the longest that a group may have. Kafka's default, 15 s.
    pub heartbeat_interval_max_ms: u32,
    /// `group.share.record.lock.duration.ms`: how long a record belongs to the member that got it. Kafka's default,
    /// 30 s.
    pub record_lock_duration_ms: u32,
    /// `group.share.min.record.lock.duration.ms`: the shortest that a group may have. Kafka's default, 15 s.
    pub record_lock_duration_min_ms: u32,
    /// `group.share.max.record.lock.duration.ms`: the longest that a group may have. Kafka's default, 60 s.
    pub record_lock_duration_max_ms: u32,
    /// `group.share.delivery.count.limit`: how often a record is delivered before it is given up. Kafka's default, 5.
    pub delivery_count_limit: u32,
    /// `group.share.min.delivery.count.limit`: the least that a group may have. Kafka's default, 2.
    pub delivery_count_limit_min: u32,
    /// `group.share.max.delivery.count.limit`: the most that a group may have. Kafka's default, 10.
    pub delivery_count_limit_max: u32,
    /// `group.share.partition.max.record.locks`: how many records of one partition may be between its start and its end
    /// offset, with members or done out of order. Kafka's default, 2000.
    pub partition_record_locks: u32,
    /// `group.share.min.partition.max.record.locks`: the least that a group may have. Kafka's default, 100.
    pub partition_record_locks_min: u32,
    /// `group.share.max.partition.max.record.locks`: the most that a group may have. Kafka's default, 4000.
    pub partition_record_locks_max: u32,
    /// `group.share.assignment.interval.ms`: the least time between two assignments of a group. Kafka's default, 1 s.
    pub assignment_interval_ms: u32,
    /// `group.share.min.assignment.interval.ms`: the shortest that a group may have. Kafka's default, 0.
    pub assignment_interval_min_ms: u32,
    /// `group.share.max.assignment.interval.ms`: the longest that a group may have. Kafka's default, 15 s.
    pub assignment_interval_max_ms: u32,
    /// `group.share.max.size`: how many members a share group may have. Kafka's default, 200.
    pub group_size_max: u32,
    /// `group.share.max.share.sessions`: how many share sessions an agent keeps, one for each member that fetches from
    /// it. Kafka's default, 2000.
    pub sessions_max: u32,
    /// `errors.deadletterqueue.auto.create.topics.enable`: whether the topic for dead letters that a group names is
    /// created when it is missing. Kafka's default, no. The cluster's entry of that name overrides it.
    pub deadletterqueue_auto_create_topics: bool,
    /// `errors.deadletterqueue.topic.name.prefix`: how the name of a topic for dead letters must begin. Kafka's default,
    /// `dlq.`. The cluster's entry of that name overrides it.
    pub deadletterqueue_topic_name_prefix: String,
}

impl Default for ShareSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            session_timeout_min_ms: 45_000,
            session_timeout_max_ms: 60_000,
            heartbeat_interval_ms: 5_000,
            heartbeat_interval_min_ms: 5_000,
            heartbeat_interval_max_ms: 15_000,
            record_lock_duration_ms: 30_000,
            record_lock_duration_min_ms: 15_000,
            record_lock_duration_max_ms: 60_000,
            delivery_count_limit: 5,
            delivery_count_limit_min: 2,
            delivery_count_limit_max: 10,
            partition_record_locks: 2_000,
            partition_record_locks_min: 100,
            partition_record_locks_max: 4_000,
            assignment_interval_ms: 1_000,
            assignment_interval_min_ms: 0,
            assignment_interval_max_ms: 15_000,
            group_size_max: 200,
            sessions_max: 2_000,
            deadletterqueue_auto_create_topics: false,
            deadletterqueue_topic_name_prefix: "dlq.".to_owned(),
        }
    }
}

/// A number that groups may set for themselves: what holds when they do not, and how far they may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupNumber {
    /// The group configuration's name.
    pub name: &'static str,
    /// What holds when the group says nothing.
    pub default: u32,
    /// The least that it may say.
    pub least: u32,
    /// The most that it may say.
    pub most: u32,
    /// How `[share]` calls the default; the bounds' names stand in [`Self::setting_of_bounds`].
    pub setting: &'static str,
}

impl GroupNumber {
    /// The names of the settings that move the bounds.
    #[must_use]
    pub fn setting_of_bounds(&self) -> (String, String) {
        match self.setting.strip_suffix("_ms") {
            Some(name) => (format!("share.{name}_min_ms"), format!("share.{name}_max_ms")),
            None => (format!("share.{}_min", self.setting), format!("share.{}_max", self.setting)),
        }
    }
}

impl ShareSettings {
    /// The numbers that groups may set for themselves.
    #[must_use]
    pub fn group_numbers(&self) -> [GroupNumber; 6] {
        let number = |name, setting, (default, least, most)| GroupNumber { name, default, least, most, setting };
        [
            number(
                "share.session.timeout.ms",
                "session_timeout_ms",
                (self.session_timeout_ms, self.session_timeout_min_ms, self.session_timeout_max_ms),
            ),
            number(
                "share.heartbeat.interval.ms",
                "heartbeat_interval_ms",
                (self.heartbeat_interval_ms, self.heartbeat_interval_min_ms, self.heartbeat_interval_max_ms),
            ),
            number(
                "share.record.lock.duration.ms",
                "record_lock_duration_ms",
                (self.record_lock_duration_ms, self.record_lock_duration_min_ms, self.record_lock_duration_max_ms),
            ),
            number(
                "share.delivery.count.limit",
                "delivery_count_limit",
                (self.delivery_count_limit, self.delivery_count_limit_min, self.delivery_count_limit_max),
            ),
            number(
                "share.partition.max.record.locks",
                "partition_record_locks",
                (self.partition_record_locks, self.partition_record_locks_min, self.partition_record_locks_max),
            ),
            number(
                "share.assignment.interval.ms",
                "assignment_interval_ms",
                (self.assignment_interval_ms, self.assignment_interval_min_ms, self.assignment_interval_max_ms),
            ),
        ]
    }

    /// The settings by Kafka's broker-wide names.
    #[must_use]
    pub fn by_broker_name(&self) -> Vec<(&'static str, String)> {
        vec![
            ("errors.deadletterqueue.auto.create.topics.enable", self.deadletterqueue_auto_create_topics.to_string()),
            ("errors.deadletterqueue.topic.name.prefix", self.deadletterqueue_topic_name_prefix.clone()),
            ("group.share.assignment.interval.ms", self.assignment_interval_ms.to_string()),
            ("group.share.delivery.count.limit", self.delivery_count_limit.to_string()),
            ("group.share.heartbeat.interval.ms", self.heartbeat_interval_ms.to_string()),
            ("group.share.max.assignment.interval.ms", self.assignment_interval_max_ms.to_string()),
            ("group.share.max.delivery.count.limit", self.delivery_count_limit_max.to_string()),
            ("group.share.max.heartbeat.interval.ms", self.heartbeat_interval_max_ms.to_string()),
            ("group.share.max.partition.max.record.locks", self.partition_record_locks_max.to_string()),
            ("group.share.max.record.lock.duration.ms", self.record_lock_duration_max_ms.to_string()),
            ("group.share.max.session.timeout.ms", self.session_timeout_max_ms.to_string()),
            ("group.share.max.share.sessions", self.sessions_max.to_string()),
            ("group.share.max.size", self.group_size_max.to_string()),
            ("group.share.min.assignment.interval.ms", self.assignment_interval_min_ms.to_string()),
            ("group.share.min.delivery.count.limit", self.delivery_count_limit_min.to_string()),
            ("group.share.min.heartbeat.interval.ms", self.heartbeat_interval_min_ms.to_string()),
            ("group.share.min.partition.max.record.locks", self.partition_record_locks_min.to_string()),
            ("group.share.min.record.lock.duration.ms", self.record_lock_duration_min_ms.to_string()),
            ("group.share.min.session.timeout.ms", self.session_timeout_min_ms.to_string()),
            ("group.share.partition.max.record.locks", self.partition_record_locks.to_string()),
            ("group.share.record.lock.duration.ms", self.record_lock_duration_ms.to_string()),
            ("group.share.session.timeout.ms", self.session_timeout_ms.to_string()),
        ]
    }

    /// Judges the settings by Kafka's bounds and among each other.
    ///
    /// # Errors
    /// The setting's key and what is wrong with its value.
    pub fn check(&self) -> Result<(), (String, String)> {
        for (name, value) in self.by_broker_name() {
            if let Some(Err(reason)) = find(BROKER_CONFIGS, name).map(|definition| definition.check(&value)) {
                return Err((self.key_of(name), reason));
            }
        }
        for number in self.group_numbers() {
            if !(number.least..=number.most).contains(&number.default) {
                let (least, most) = number.setting_of_bounds();
                let reason = format!("{} does not lie between {least} and {most}", number.default);
                return Err((format!("share.{}", number.setting), reason));
            }
        }
        if self.session_timeout_ms <= self.heartbeat_interval_ms {
            let reason = "it must be longer than share.heartbeat_interval_ms".to_owned();
            return Err(("share.session_timeout_ms".to_owned(), reason));
        }
        if self.sessions_max < self.group_size_max {
            let reason = "it must not be less than share.group_size_max".to_owned();
            return Err(("share.sessions_max".to_owned(), reason));
        }
        Ok(())
    }

    /// The key of the setting behind Kafka's broker-wide name.
    fn key_of(&self, broker_name: &str) -> String {
        let bounds = self.group_numbers().into_iter().find_map(|number| {
            let (least, most) = number.setting_of_bounds();
            let stem = number.name.strip_prefix("share.")?;
            match broker_name.strip_prefix("group.share.")? {
                name if name == stem => Some(format!("share.{}", number.setting)),
                name if name.strip_prefix("min.") == Some(stem) => Some(least),
                name if name.strip_prefix("max.") == Some(stem) => Some(most),
                _ => None,
            }
        });
        bounds.unwrap_or_else(|| match broker_name {
            "group.share.max.share.sessions" => "share.sessions_max".to_owned(),
            "group.share.max.size" => "share.group_size_max".to_owned(),
            "errors.deadletterqueue.topic.name.prefix" => "share.deadletterqueue_topic_name_prefix".to_owned(),
            other => other.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_kafkas_and_pass() {
        let settings = ShareSettings::default();
        assert_eq!(settings.check(), Ok(()));
        for (name, value) in settings.by_broker_name() {
            let definition = find(BROKER_CONFIGS, name).expect("the table has it");
            assert_eq!(definition.default, Some(value.as_str()), "{name}");
        }
    }

    #[test]
    fn what_can_not_be_is_refused_by_the_settings_own_name() {
        let check = |settings: ShareSettings, key: &str, reason: &str| {
            let (found, words) = settings.check().expect_err("refused");
            assert_eq!(found, key, "{words}");
            assert!(words.contains(reason), "{words}");
        };
        let plain = ShareSettings::default;
        check(
            ShareSettings { record_lock_duration_min_ms: 999, ..plain() },
            "share.record_lock_duration_min_ms",
            "between 1000 and 30000",
        );
        check(ShareSettings { delivery_count_limit: 1, ..plain() }, "share.delivery_count_limit", "between 2 and 10");
        check(
            ShareSettings { record_lock_duration_ms: 1_000, ..plain() },
            "share.record_lock_duration_ms",
            "share.record_lock_duration_min_ms",
        );
        check(
            ShareSettings { heartbeat_interval_ms: 60_000, heartbeat_interval_max_ms: 60_000, ..plain() },
            "share.session_timeout_ms",
            "longer",
        );
        check(ShareSettings { sessions_max: 100, ..plain() }, "share.sessions_max", "group_size_max");
        check(ShareSettings { group_size_max: 0, ..plain() }, "share.group_size_max", "between 1 and 1000");
    }
}
