//! What a share group's configuration means for its membership.

use std::time::Duration;

use crate::config::share::ShareSettings;
use crate::config::share_group::ShareGroupConfig;
use crate::metastore::values::{CatalogSnapshot, ConfigResource};
use crate::model::group::GroupId;

/// What a share group's configuration means for its membership. Plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareGroupLimits {
    /// `share.session.timeout.ms`: after so much silence a member is removed.
    pub session_timeout: Duration,
    /// `share.heartbeat.interval.ms`: how often members are to say that they live.
    pub heartbeat_interval: Duration,
    /// `share.assignment.interval.ms`: the least time between two assignments (KIP-1263). A member that joins does not
    /// wait for it.
    pub assignment_interval: Duration,
    /// `group.share.max.size`: how many members a group may have.
    pub size_max: usize,
}

impl ShareGroupLimits {
    /// The limits that a group's entries in the catalog give over the agent's settings.
    #[must_use]
    pub fn of(group_id: &GroupId, catalog: &CatalogSnapshot, settings: &ShareSettings) -> Self {
        let own = catalog.configs.get(&ConfigResource::Group(group_id.clone()));
        Self::from(&ShareGroupConfig::effective(own, None, settings))
    }
}

impl From<&ShareGroupConfig> for ShareGroupLimits {
    fn from(config: &ShareGroupConfig) -> Self {
        Self {
            session_timeout: config.session_timeout,
            heartbeat_interval: config.heartbeat_interval,
            assignment_interval: config.assignment_interval,
            size_max: usize::try_from(config.size_max).unwrap_or(usize::MAX),
        }
    }
}
