//! Where metadata lives, and how patient agents are with it.

use std::time::Duration;

/// The `[metastore]` section.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetastoreSettings {
    /// `embedded`, `memory`, or a PostgreSQL URL (`postgres://user:password@host/database`). Default `embedded`:
    /// one agent needs nothing but the bucket. `memory` forgets everything at exit.
    pub url: String,
    /// How long an agent counts as alive after a beat, in milliseconds. Default 9000, as Kafka's
    /// `broker.session.timeout.ms`.
    pub session_ms: u32,
    /// How long a partition remembers an idempotent producer that writes nothing, in milliseconds. Default
    /// 86400000 (a day), as Kafka's `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: u64,
    /// How long one step may wait for the store below before the caller is told that its outcome is unknown, in
    /// milliseconds. Default 15000: shorter than the 30 s that Kafka's clients wait for an answer.
    pub step_timeout_ms: u64,
    /// PostgreSQL alone.
    pub postgres: PostgresSettings,
    /// The embedded metastore alone.
    pub embedded: EmbeddedSettings,
}

impl Default for MetastoreSettings {
    fn default() -> Self {
        Self {
            url: "embedded".to_owned(),
            session_ms: 9_000,
            producer_id_expiration_ms: 86_400_000,
            step_timeout_ms: 15_000,
            postgres: PostgresSettings::default(),
            embedded: EmbeddedSettings::default(),
        }
    }
}

/// The `[metastore.postgres]` section.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresSettings {
    /// How many connections an agent keeps at most. Default 8: commits of one agent are in order, so that more
    /// only help reads.
    pub pool_size: u32,
    /// How long to wait for a connection, in milliseconds. Default 5000.
    pub connect_timeout_ms: u64,
    /// How long one statement may run before PostgreSQL cancels it, in milliseconds. Default 10000.
    pub statement_timeout_ms: u64,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self { pool_size: 8, connect_timeout_ms: 5_000, statement_timeout_ms: 10_000 }
    }
}

/// The `[metastore.embedded]` section.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedSettings {
    /// How much memory keeps index blocks that were read, in bytes. Default 32 MiB.
    pub cache_bytes_max: u64,
    /// How often an idle agent looks whether another one took over, and whether there is something to compact,
    /// in milliseconds. Default 60000: each look is a few cheap reads; a busy agent notices at its next write.
    pub poll_interval_ms: u64,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self { cache_bytes_max: 32 * 1024 * 1024, poll_interval_ms: 60_000 }
    }
}

/// Which engine keeps the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetastoreBackend<'url> {
    /// Ordered maps in this process, gone at its end.
    Memory,
    /// In the bucket, for one agent.
    Embedded,
    /// PostgreSQL at this URL, for any number of agents.
    Postgres(&'url str),
}

/// The URL names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metastore.url is {0:?}; it must be \"embedded\", \"memory\" or begin with \"postgres://\"")]
pub struct UnknownBackend(pub String);

impl MetastoreSettings {
    /// The engine that `url` names.
    ///
    /// # Errors
    /// When it names none.
    pub fn backend(&self) -> Result<MetastoreBackend<'_>, UnknownBackend> {
        match self.url.as_str() {
            "memory" => Ok(MetastoreBackend::Memory),
            "embedded" => Ok(MetastoreBackend::Embedded),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(MetastoreBackend::Postgres(url))
            }
            // The scheme alone: a URL may carry a password.
            other => Err(UnknownBackend(other.split("://").next().unwrap_or_default().to_owned())),
        }
    }

    /// How long one step may wait.
    #[must_use]
    pub fn step_timeout(&self) -> Duration {
        Duration::from_millis(self.step_timeout_ms)
    }

    /// How long idle producers are remembered.
    #[must_use]
    pub fn producer_id_expiration(&self) -> Duration {
        Duration::from_millis(self.producer_id_expiration_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(url: &str) -> Result<MetastoreBackend<'_>, UnknownBackend> {
        let settings = MetastoreSettings { url: url.to_owned(), ..MetastoreSettings::default() };
        settings.backend().map(|backend| match backend {
            MetastoreBackend::Postgres(_) => MetastoreBackend::Postgres(url),
            MetastoreBackend::Memory => MetastoreBackend::Memory,
            MetastoreBackend::Embedded => MetastoreBackend::Embedded,
        })
    }

    #[test]
    fn the_url_names_the_backend() {
        assert_eq!(MetastoreSettings::default().backend(), Ok(MetastoreBackend::Embedded));
        assert_eq!(backend("memory"), Ok(MetastoreBackend::Memory));
        let url = "postgresql://user:secret@host/name";
        assert_eq!(backend(url), Ok(MetastoreBackend::Postgres(url)));
        let refused = backend("mysql://user:secret@host/name").unwrap_err().to_string();
        assert!(refused.contains("mysql") && !refused.contains("secret"), "{refused}");
    }
}
