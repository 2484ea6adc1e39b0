//! `[console]`: the HTTP side of an agent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where `/metrics`, `/livez` and `/readyz` are served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// `host:port` of the HTTP listener; empty for none. Default `127.0.0.1:8080`: the pages carry no
    /// authentication, so that only this machine sees them unless someone decides otherwise.
    pub http: String,
    /// How long one readiness check may take, in milliseconds, before the part counts as not reachable. Default
    /// 2000: well below the period at which orchestrators probe (5–10 s), well above a slow PUT.
    pub readiness_timeout_ms: u64,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self { http: "127.0.0.1:8080".to_owned(), readiness_timeout_ms: 2_000 }
    }
}

impl ConsoleSettings {
    /// Where to listen, if at all.
    #[must_use]
    pub fn listen(&self) -> Option<&str> {
        Some(self.http.as_str()).filter(|address| !address.is_empty())
    }

    /// How long one readiness check may take.
    #[must_use]
    pub fn readiness_timeout(&self) -> Duration {
        Duration::from_millis(self.readiness_timeout_ms)
    }
}
