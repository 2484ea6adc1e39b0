//! `[agent]`: what makes an agent this agent.

use serde::{Deserialize, Serialize};

/// Where an agent keeps its cluster's data, and who it is in that cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSettings {
    /// The object store: `s3://bucket/prefix?endpoint=…&region=…`, `gs://bucket/prefix`, `az://container/prefix`,
    /// `file:///folder` or `memory:`. No default: an agent that guessed where to write would be worse than one that
    /// asks. Credentials come from the environment, as the clouds' own tools read them.
    pub store: Option<String>,
    /// The zone the agent runs in (Kafka's `broker.rack`). Default none: clients are not steered by zone.
    pub rack: Option<String>,
    /// The agent's id (Kafka's `node.id`). Default none: the metastore gives out a free one. An agent keeps nothing,
    /// so that its number does not matter to it.
    pub node_id: Option<i32>,
    /// How long each phase of a shutdown may take, in milliseconds. Default 10000: longer than an upload and its
    /// retries, shorter than the 30 s that orchestrators wait.
    pub stop_timeout_ms: u64,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self { store: None, rack: None, node_id: None, stop_timeout_ms: 10_000 }
    }
}
