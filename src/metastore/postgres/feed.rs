//! The feed: reading it, being woken, and trimming it.
//!
//! A commit wakes readers on its own agent at once, and those on others by a notification. It is not sent by the
//! commit's transaction, since every transaction that notifies holds one lock of the whole server while it
//! commits, disk flush included; instead one session per agent sends it just after, many commits at once. Should an
//! agent die between the two, others find the news by looking now and then.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Socket};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::base::task::TaskError;
use crate::metastore::error::Result;
use crate::metastore::postgres::bell::Bell;
use crate::metastore::postgres::convert::{column, only, unsigned, unsigned_column};
use crate::metastore::postgres::error::{Effect, describe};
use crate::metastore::postgres::handle::PostgresMetastore;
use crate::metastore::postgres::pool::{Address, Database, greet};
use crate::metastore::postgres::step::{StepColumns, decode, entries};
use crate::metastore::values::{CatalogVersion, FeedPage, FeedPosition};
use crate::model::object::ObjectKey;

/// How many steps one page holds, besides those that share the last one's position.
const PAGE_STEPS: i64 = 256;
/// How often to look without having been woken: only a lost notification makes that find anything.
const SLOW_POLL: Duration = Duration::from_secs(1);
/// How often to look while no notification can arrive.
const FAST_POLL: Duration = Duration::from_millis(50);
/// The first pause before looking again for a step that is there but may not be read yet; it doubles.
const BLOCKED_POLL: Duration = Duration::from_millis(1);
/// Once that pause is longer than this, it is worth asking whose transaction it is.
const BLOCKED_PATIENCE: Duration = Duration::from_millis(8);
/// How long the listening session may be silent before it is asked whether it lives.
const PING: Duration = Duration::from_secs(5);
/// How often old steps are looked for.
const TRIM_PERIOD: Duration = Duration::from_secs(60);
/// Receipts are kept for this long; callers rely on an hour.
const RECEIPTS_KEPT_MS: i64 = 2 * 3_600_000;
/// At least so many entries are kept; readers rely on 10,000.
const STEPS_KEPT: i32 = 10_000;
const TRIMMED_MAX: i32 = 5_000;

// ---------------------------------------------------------------- reading

/// One look at the feed.
struct Look {
    page: FeedPage,
    /// There are steps that may not be read yet, because an older transaction is still under way.
    blocked: bool,
}

impl PostgresMetastore {
    /// News after a position, or none once `wait` is over.
    pub(super) async fn follow(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        let deadline = Instant::now() + wait;
        let mut rung = self.bell.0.rung.subscribe();
        let mut blocked_pause = BLOCKED_POLL;
        let mut beyond = 0;
        loop {
            self.bell.pace(deadline).await;
            // Marked as seen before looking, so that nothing between the two is missed.
            rung.borrow_and_update();
            let Look { page, blocked } = self.look(after, beyond).await?;
            let now = Instant::now();
            if page.reset || page.position != after || (now >= deadline && !blocked) {
                return Ok(page);
            }
            if now >= deadline {
                // The last chance to see what only waits for somebody else's transaction.
                beyond = self.horizon_of_writers().await?;
                return Ok(self.look(after, beyond).await?.page);
            }
            let pause = if blocked {
                blocked_pause = (blocked_pause * 2).min(FAST_POLL);
                if blocked_pause > BLOCKED_PATIENCE {
                    beyond = self.horizon_of_writers().await?;
                }
                blocked_pause
            } else if self.bell.0.listening.load(Ordering::Relaxed) {
                SLOW_POLL
            } else {
                FAST_POLL
            };
            tokio::select! {
                biased;
                // The sender lives as long as the metastore, which this borrows.
                _ = rung.changed() => {}
                () = sleep_until((now + pause).min(deadline)) => {}
            }
        }
    }

    /// How far the feed may be read when only its own writers count; dear, since it looks at all locks.
    async fn horizon_of_writers(&self) -> Result<i64> {
        let rows = self.database.query(Effect::Read, "SELECT feed_horizon_of_writers()", &[]).await?;
        column(only(&rows)?, 0)
    }

    /// Looks for news up to the horizon, or up to `beyond` if that is further: a horizon that was true before.
    async fn look(&self, after: FeedPosition, beyond: i64) -> Result<Look> {
        let from = i64::try_from(after.0).unwrap_or(i64::MAX);
        // One statement, one moment: what was trimmed, where the horizon is, and the steps between.
        let statement = "WITH state AS MATERIALIZED ( \
                           SELECT c.catalog_version, f.trimmed, greatest(feed_horizon(), $3) AS horizon, \
                             f.base + (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 16) AS reached \
                           FROM feed_state f, cluster c) \
                         SELECT catalog_version, trimmed, horizon, reached, \
                           EXISTS (SELECT 1 FROM steps WHERE position >= horizon AND position > $1), \
                           s.position, s.object_key, s.body, s.committed_at, s.log_starts, s.high_watermarks, \
                           s.byte_sizes, s.append_times \
                         FROM state LEFT JOIN ( \
                           SELECT * FROM steps WHERE position > $1 AND position < (SELECT horizon FROM state) \
                           ORDER BY position FETCH FIRST ($2) ROWS WITH TIES) s ON true ORDER BY s.position";
        let rows = self.database.query(Effect::Read, statement, &[&from, &PAGE_STEPS, &beyond]).await?;
        let first = only(&rows)?;
        let catalog_version = CatalogVersion(unsigned_column(first, 0)?);
        let (trimmed, horizon, reached): (i64, i64, i64) = (column(first, 1)?, column(first, 2)?, column(first, 3)?);
        let mut page = FeedPage { position: after, catalog_version, entries: Vec::new(), reset: false };
        if from < trimmed || from >= reached {
            // Too far behind, or ahead of everything: then this is not the database that the position is from.
            page.position = FeedPosition(unsigned(horizon.saturating_sub(1))?);
            page.reset = true;
            return Ok(Look { page, blocked: false });
        }
        for row in &rows {
            let Some(position) = column::<Option<i64>>(row, 5)? else { continue };
            page.position = FeedPosition(unsigned(position)?);
            let object = column::<Option<&str>>(row, 6)?.map(ObjectKey::from);
            let columns = StepColumns {
                committed_at: column(row, 8)?,
                log_starts: column(row, 9)?,
                high_watermarks: column(row, 10)?,
                byte_sizes: column(row, 11)?,
                append_times: column(row, 12)?,
            };
            page.entries.extend(entries(object.as_ref(), decode(column(row, 7)?)?, &columns)?);
        }
        Ok(Look { page, blocked: column(first, 4)? })
    }
}

// ---------------------------------------------------------------- being woken

/// Keeps one session that listens for news of other agents and tells them ours, until cancelled.
pub(super) async fn keep_listening(
    address: Address,
    bell: Bell,
    stop: CancellationToken,
    rng: Rng,
) -> std::result::Result<(), TaskError> {
    let backoff = || Backoff::new(Duration::from_millis(100), Duration::from_secs(5), rng.clone());
    let mut pauses = backoff();
    loop {
        let session = tokio::select! {
            biased;
            // Nothing to finish: whoever waits for our news looks by itself.
            () = stop.cancelled() => return Ok(()),
            failure = listen(&address, &bell) => failure,
        };
        if bell.0.listening.swap(false, Ordering::Relaxed) {
            pauses = backoff();
        }
        warn!(reason = session, "not listening for news of other agents; looking for them instead");
        // Readers go over to looking more often.
        bell.heard();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pauses.next_pause()) => {}
        }
    }
}

/// One session; says why it ended.
async fn listen(address: &Address, bell: &Bell) -> String {
    let (client, connection) = match address.config().connect(NoTls).await {
        Ok(session) => session,
        Err(error) => return describe(&error),
    };
    tokio::select! {
        reason = receive(connection, address.schema(), bell) => reason,
        reason = send(&client, address.schema(), bell) => reason,
    }
}

/// Drives the session and wakes readers; says why it ended.
async fn receive(mut connection: Connection<Socket, NoTlsStream>, schema: &str, bell: &Bell) -> String {
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(news))) if news.payload() == schema => bell.heard(),
            Some(Ok(_)) => {}
            Some(Err(error)) => return describe(&error),
            None => return "the connection was closed".to_owned(),
        }
    }
}

/// Begins to listen, then tells others our news; says why it ended.
async fn send(client: &Client, schema: &str, bell: &Bell) -> String {
    if let Err(reason) = greet(client).await {
        return reason;
    }
    // A notification that a crash of the server swallows is no loss: without this it would wait for the disk.
    if let Err(error) = client.batch_execute("SET synchronous_commit = off; LISTEN towpath").await {
        return describe(&error);
    }
    let notify = match client.prepare("SELECT pg_notify('towpath', $1)").await {
        Ok(statement) => statement,
        Err(error) => return describe(&error),
    };
    bell.0.listening.store(true, Ordering::Relaxed);
    debug!(schema, "listening for news of other agents");
    // What was committed before the session began was not heard of.
    bell.heard();
    loop {
        let told = timeout(PING, bell.0.outgoing.notified()).await.is_ok();
        let asked = async {
            if told {
                client.query(&notify, &[&schema]).await.map(drop)
            } else {
                client.simple_query("").await.map(drop)
            }
        };
        match timeout(PING, asked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return describe(&error),
            Err(_elapsed) => return "the database did not answer in time".to_owned(),
        }
    }
}

// ---------------------------------------------------------------- trimming

/// Removes steps that nobody may ask for any more, until cancelled.
pub(super) async fn keep_trimming(
    database: Database,
    stop: CancellationToken,
    rng: Rng,
) -> std::result::Result<(), TaskError> {
    loop {
        // Agents that start together need not look together.
        let pause = TRIM_PERIOD + rng.jitter(TRIM_PERIOD);
        tokio::select! {
            biased;
            // Each piece is a transaction of its own, so stopping between two loses nothing.
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        if let Err(error) = trim(&database, RECEIPTS_KEPT_MS, STEPS_KEPT).await {
            warn!(%error, "old receipts were not removed; trying again later");
        }
    }
}

/// Removes steps that are older than `age_ms` and not among the last `kept`; says how many.
pub(super) async fn trim(database: &Database, age_ms: i64, kept: i32) -> Result<u64> {
    let statement = "SELECT trim_steps(now_ms() - $1, $2, $3)";
    let mut trimmed = 0;
    loop {
        let rows = database.query(Effect::Write, statement, &[&age_ms, &kept, &TRIMMED_MAX]).await?;
        let removed: u64 = unsigned_column(only(&rows)?, 0)?;
        trimmed += removed;
        if removed < u64::from(TRIMMED_MAX.unsigned_abs()) {
            return Ok(trimmed);
        }
    }
}
