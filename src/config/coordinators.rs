//! Settings of the group coordinator.

use std::time::Duration;

/// How groups and committed offsets are coordinated. Kafka's own name of each setting stands in its docs.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoordinatorSettings {
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members before its first
    /// rebalance. Kafka's default of 3000 spares a starting fleet a rebalance per member; 0 suits tests.
    pub group_initial_rebalance_delay_ms: u32,
    /// `group.min.session.timeout.ms`: the shortest session timeout a member may ask for. Kafka's default, 6000.
    pub group_min_session_timeout_ms: u32,
    /// `group.max.session.timeout.ms`: the longest one. Kafka's default, 1 800 000 (half an hour).
    pub group_max_session_timeout_ms: u32,
    /// `group.max.size`: how many members a group may have. Unbounded by default, as in Kafka.
    pub group_max_size: u32,
    /// `offset.metadata.max.bytes`: the largest metadata text of a committed offset, in bytes. Kafka's default, 4096.
    pub offset_metadata_bytes_max: u32,
    /// `offsets.retention.minutes`: how long the offsets of a group without members are kept. Kafka's default is
    /// a week, 10 080.
    pub offsets_retention_minutes: u32,
    /// `offsets.retention.check.interval.ms`: how often offsets are looked through for expired ones. Kafka's
    /// default, 600 000 (ten minutes).
    pub offsets_retention_check_interval_ms: u32,
}

impl Default for CoordinatorSettings {
    fn default() -> Self {
        Self {
            group_initial_rebalance_delay_ms: 3_000,
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_max_size: i32::MAX.unsigned_abs(),
            offset_metadata_bytes_max: 4_096,
            offsets_retention_minutes: 7 * 24 * 60,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}

impl CoordinatorSettings {
    /// How long the offsets of a group without members are kept.
    #[must_use]
    pub fn offsets_retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.offsets_retention_minutes) * 60)
    }
}
