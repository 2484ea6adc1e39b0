//! Who this agent is, and where its data lives.

/// The `[agent]` section.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSettings {
    /// The bucket: `s3://bucket/prefix?endpoint=…&region=…`, `gs://bucket/prefix`, `az://container/prefix`,
    /// `file:///folder` or `memory:`. No default: a broker must be told where its data lives.
    pub store: String,
    /// The zone this agent runs in (Kafka: `broker.rack`). Default none. Clients of the same zone are sent here.
    pub rack: Option<String>,
    /// A fixed node id (Kafka: `node.id`). Default none: the metastore gives a free one.
    pub node_id: Option<i32>,
    /// How long each phase of a shutdown may take, in milliseconds. Default 10000: longer than an upload and its
    /// retries, shorter than the 30 s that orchestrators wait.
    pub stop_timeout_ms: u64,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self { store: String::new(), rack: None, node_id: None, stop_timeout_ms: 10_000 }
    }
}
