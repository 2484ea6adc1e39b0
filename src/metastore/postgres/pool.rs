//! Connections: where to, how many, and how long anything may take.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::config::metastore::PostgresSettings;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::postgres::error::{Effect, Failure, describe};

/// The schema when the URL names none.
const DEFAULT_SCHEMA: &str = "towpath";
/// The parameter of the URL that names the schema.
const SCHEMA_PARAMETER: &str = "towpath_schema=";
/// PostgreSQL 15, as the server counts.
const OLDEST_VERSION: i32 = 150_000;
/// How much longer the agent waits for an answer than the server works on a statement, so that the answer is
/// definite as often as possible.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// Attempts at a step that nothing speaks against repeating.
const ATTEMPTS_MAX: u32 = 6;

/// Where the metastore lies: server, database and schema.
#[derive(Clone, Debug)]
pub(super) struct Address {
    config: Config,
    schema: String,
    /// How long to wait for a connection, be it made or become free.
    connect_timeout: Duration,
    /// How long to wait for an answer.
    answer_timeout: Duration,
}

impl Address {
    /// Reads a URL as libpq does, with one parameter of our own, `towpath_schema`.
    pub(super) fn parse(url: &str, settings: &PostgresSettings) -> Result<Self> {
        let (url, schema) = take_schema(url);
        let schema = schema.unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty() || schema.len() > 63 || !schema.chars().all(legal) || schema.starts_with("pg_") {
            let reason = format!("{SCHEMA_PARAMETER}{schema:?}: a schema is 1 to 63 of a-z, 0-9 and _");
            return Err(MetastoreError::Unavailable(reason));
        }
        // The error may quote the URL, and that may hold a password.
        let mut config: Config = url
            .parse()
            .map_err(|_| MetastoreError::Unavailable("the metastore's URL is not a PostgreSQL URL".to_owned()))?;
        if config.get_ssl_mode() == SslMode::Require {
            let reason = "the metastore's URL asks for TLS (sslmode=require), which is not supported yet".to_owned();
            return Err(MetastoreError::Unavailable(reason));
        }
        // A lock is waited for half as long as a statement may take, so that waiting for one is told from working.
        let (statement_ms, lock_ms) = (settings.statement_timeout_ms, settings.statement_timeout_ms / 2);
        let options = format!(
            "{} -c search_path={schema} -c statement_timeout={statement_ms} -c lock_timeout={lock_ms} \
             -c idle_in_transaction_session_timeout=30000 -c default_transaction_isolation=read\\ committed -c jit=off \
             -c plan_cache_mode=force_generic_plan",
            config.get_options().unwrap_or_default()
        );
        config.options(options.trim_start());
        if config.get_application_name().is_none() {
            config.application_name("towpath");
        }
        let connect_timeout = Duration::from_millis(settings.connect_timeout_ms);
        let answer_timeout = Duration::from_millis(settings.statement_timeout_ms) + ANSWER_GRACE;
        config.connect_timeout(connect_timeout);
        config
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3);
        config.tcp_user_timeout(answer_timeout);
        Ok(Self { config, schema, connect_timeout, answer_timeout })
    }

    /// The schema that holds everything.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// How to connect, outside the pool.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

/// Splits our own parameter off a URL; what is left is libpq's.
fn take_schema(url: &str) -> (String, Option<String>) {
    let Some((location, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (ours, theirs): (Vec<_>, Vec<_>) =
        query.split('&').filter(|parameter| !parameter.is_empty()).partition(|p| p.starts_with(SCHEMA_PARAMETER));
    let schema = ours.last().map(|parameter| parameter[SCHEMA_PARAMETER.len()..].to_owned());
    let rest = if theirs.is_empty() { location.to_owned() } else { format!("{location}?{}", theirs.join("&")) };
    (rest, schema)
}

/// A bounded set of connections. Cloning shares it.
#[derive(Clone)]
pub(super) struct Database {
    pool: Pool,
    address: Arc<Address>,
    rng: Rng,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("schema", &self.address.schema).field("pool", &self.pool.status()).finish()
    }
}

impl Database {
    /// A pool of at most `connections`; none is made yet.
    pub(super) fn new(address: Address, connections: usize, rng: Rng) -> Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), NoTls, recycling);
        let pool = Pool::builder(manager)
            .max_size(connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(address.connect_timeout))
            .create_timeout(Some(address.connect_timeout))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move { greet(client).await.map_err(HookError::message) })
            }))
            .build()
            .map_err(|error| MetastoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool, address: Arc::new(address), rng })
    }

    /// Refuses every later call.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// A connection that was alive a moment ago.
    pub(super) async fn client(&self) -> std::result::Result<Object, Failure> {
        Ok(self.pool.get().await?)
    }

    /// Bounds one attempt in time; [`settle`] ends it.
    pub(super) async fn within<T>(
        &self,
        attempt: impl Future<Output = std::result::Result<T, Failure>>,
    ) -> std::result::Result<std::result::Result<T, Failure>, Elapsed> {
        timeout(self.address.answer_timeout, attempt).await
    }

    /// A fresh budget of attempts.
    pub(super) fn attempts(&self) -> Attempts {
        let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(250), self.rng.clone());
        Attempts { left: ATTEMPTS_MAX, backoff }
    }

    /// Runs one statement, which is a transaction of its own: one round trip once it is prepared. It is
    /// repeated as long as that is safe and useful.
    pub(super) async fn query(
        &self,
        effect: Effect,
        statement: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let mut attempts = self.attempts();
        loop {
            match self.try_query(effect, statement, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    /// One attempt at [`Database::query`].
    pub(super) async fn try_query(
        &self,
        effect: Effect,
        statement: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> std::result::Result<Vec<Row>, Failure> {
        let client = self.client().await?;
        let answer = self.within(async {
            let prepared = client.prepare_cached(statement).await.map_err(|error| Failure::of(Effect::Read, &error))?;
            client.query(&prepared, parameters).await.map_err(|error| Failure::of(effect, &error))
        });
        let answer = answer.await;
        settle(client, effect, answer)
    }
}

/// Ends an attempt: a connection that went silent is not used again, one whose prepared statements are stale
/// prepares them anew.
pub(super) fn settle<T>(
    client: Object,
    effect: Effect,
    answer: std::result::Result<std::result::Result<T, Failure>, Elapsed>,
) -> std::result::Result<T, Failure> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => {
            if matches!(failure, Failure::Retry(_)) {
                client.statement_cache.clear();
            }
            Err(failure)
        }
        Err(_elapsed) => {
            drop(Object::take(client));
            Err(Failure::silent(effect))
        }
    }
}

/// A bounded number of attempts with pauses between them.
#[derive(Debug)]
pub(super) struct Attempts {
    left: u32,
    backoff: Backoff,
}

impl Attempts {
    /// Returns after a pause when another attempt may be made, else says what the step ended in.
    pub(super) async fn after(&mut self, failure: Failure) -> Result<()> {
        let reason = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Retry(reason) => reason,
        };
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(MetastoreError::Unavailable(reason));
        }
        tokio::time::sleep(self.backoff.next_pause()).await;
        Ok(())
    }
}

/// Makes sure that a new connection leads to a server we can trust with writes.
pub(super) async fn greet(client: &Client) -> std::result::Result<(), String> {
    let question = "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(), \
                    CASE WHEN current_setting('synchronous_commit') = 'off' \
                    THEN set_config('synchronous_commit', 'on', false) END";
    let row = client.query_one(question, &[]).await.map_err(|error| describe(&error))?;
    let (version, replica): (i32, bool) = (row.get(0), row.get(1));
    if version < OLDEST_VERSION {
        let major = version / 10_000;
        return Err(format!("the database is PostgreSQL {major}; the metastore needs 15 or newer"));
    }
    if replica {
        return Err("the database is a replica that follows another server; the metastore needs the primary".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_taken_from_the_url() {
        let check = |url: &str, rest: &str, schema: Option<&str>| {
            assert_eq!(take_schema(url), (rest.to_owned(), schema.map(str::to_owned)), "{url}");
        };
        check("postgres://h/d", "postgres://h/d", None);
        check("postgres://h/d?towpath_schema=s", "postgres://h/d", Some("s"));
        check("postgres://h/d?a=b&towpath_schema=s&c=d", "postgres://h/d?a=b&c=d", Some("s"));
        check("postgres://h/d?a=b", "postgres://h/d?a=b", None);
    }

    #[test]
    fn bad_urls_are_refused_without_quoting_them() {
        for url in
            ["postgres://user:secret@h:port/d", "postgres://h/d?sslmode=require", "postgres://h/d?towpath_schema=A-b"]
        {
            let refusal = Address::parse(url, &PostgresSettings::default()).expect_err("refused").to_string();
            assert!(!refusal.contains("secret"), "{refusal}");
        }
        let address = Address::parse(
            "postgres://u@h:5433/d?options=-c%20work_mem=8MB&towpath_schema=s1",
            &PostgresSettings::default(),
        )
        .expect("legal");
        assert_eq!(address.schema(), "s1");
        let options = address.config().get_options().expect("options are set");
        assert!(options.starts_with("-c work_mem=8MB -c search_path=s1 "), "{options}");
    }
}
