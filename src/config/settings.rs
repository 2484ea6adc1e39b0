//! The sum of all sections.

use serde::{Deserialize, Serialize};

use crate::config::console::ConsoleSettings;

/// Everything an agent can be told. One section per room, each with its own defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// HTTP: metrics and health.
    pub console: ConsoleSettings,
}
