//! The sum of all sections.

use serde::{Deserialize, Serialize};

use crate::config::agent::AgentSettings;
use crate::config::broker::BrokerDefaults;
use crate::config::console::ConsoleSettings;
use crate::config::coordinators::CoordinatorSettings;
use crate::config::listeners::ListenerSettings;
use crate::config::log::LogSettings;
use crate::config::metastore::MetastoreSettings;
use crate::config::objects::ObjectSettings;
use crate::config::share::ShareSettings;

/// Everything an agent can be told. One section per room, each with its own defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who this agent is, and where its data lives.
    pub agent: AgentSettings,
    /// Where clients connect.
    pub listener: ListenerSettings,
    /// HTTP: metrics and health.
    pub console: ConsoleSettings,
    /// The bucket's client and the cache.
    pub objects: ObjectSettings,
    /// Where metadata lives.
    pub metastore: MetastoreSettings,
    /// How appends are packed, and what readers keep in memory.
    pub log: LogSettings,
    /// Groups.
    pub group: CoordinatorSettings,
    /// Share groups.
    pub share: ShareSettings,
    /// What topics get when nobody says.
    pub topics: BrokerDefaults,
}
