//! Confirms that an agent knows the logs' ends as they were at a given moment.
//!
//! The feed tells an agent of others' commits soon, but "soon" is not "before your answer": whoever was acknowledged
//! at one agent and asks another must not be told that there is nothing. So before an agent says "nothing yet" it
//! looks once more, and whoever waits for the same look shares it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::log::tail::Tail;
use crate::metastore::error::Result;
use crate::metastore::store::Metastore;

/// Looks follow each other at this distance at least, so that however many consumers idle, the metastore is asked at
/// most two hundred times a second.
const GAP: Duration = Duration::from_millis(5);

/// Asks the feed for what it has not told yet. Cloning shares the looks.
#[derive(Clone)]
pub(crate) struct Freshness(Arc<Inner>);

struct Inner {
    metastore: Arc<dyn Metastore>,
    tail: Tail,
    /// When the last look that succeeded began.
    confirmed: Mutex<Option<Instant>>,
}

impl Freshness {
    pub(crate) fn new(metastore: Arc<dyn Metastore>, tail: Tail) -> Self {
        Self(Arc::new(Inner { metastore, tail, confirmed: Mutex::new(None) }))
    }

    /// Returns once the tail knows everything that was committed before `moment`.
    ///
    /// # Errors
    /// When the metastore does not answer; then nobody can say where the logs end.
    pub(crate) async fn since(&self, moment: Instant) -> Result<()> {
        let mut confirmed = self.0.confirmed.lock().await;
        if let Some(last) = *confirmed {
            if last >= moment {
                return Ok(());
            }
            tokio::time::sleep_until(last + GAP).await;
        }
        let began = Instant::now();
        // The follower alone moves the position: what this look finds it will find again, and that does no harm.
        let mut position = self.0.tail.followed();
        loop {
            let page = self.0.metastore.feed(position, Duration::ZERO).await?;
            if page.reset {
                self.0.tail.mark_stale();
            }
            for entry in &page.entries {
                self.0.tail.apply(entry.partition, entry.bounds, &entry.extents);
            }
            if page.entries.is_empty() || page.position == position {
                break;
            }
            position = page.position;
        }
        *confirmed = Some(began);
        Ok(())
    }
}
