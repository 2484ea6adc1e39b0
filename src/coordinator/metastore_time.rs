//! The metastore's time, reckoned between two questions.
//!
//! Deadlines go by the metastore's clock (law 7), but not every decision is worth a round trip: what it said last is
//! carried on with this agent's monotonic time. What is reckoned is ahead of the metastore's own time by the way of one
//! answer at most, and by what two clocks drift apart since the last question.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::clock::Timestamp;
use crate::metastore::error::Result;
use crate::metastore::store::Metastore;

/// The metastore's time between two questions.
#[derive(Debug)]
pub struct MetastoreTime {
    started: Instant,
    /// What it said, and when it was asked.
    anchor: Mutex<Option<(Timestamp, Instant)>>,
}

impl Default for MetastoreTime {
    /// Was never asked; monotonic time begins now.
    fn default() -> Self {
        Self { started: Instant::now(), anchor: Mutex::new(None) }
    }
}

impl MetastoreTime {
    /// The beginning of monotonic time.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The metastore's time now; [`Timestamp::NONE`] when it was never asked.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.anchor().map_or(Timestamp::NONE, |(wall, asked_at)| wall.plus(asked_at.elapsed()))
    }

    /// The metastore's time at an instant of this agent; [`Timestamp::NONE`] when it was never asked.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Timestamp {
        self.anchor().map_or(Timestamp::NONE, |(wall, asked_at)| {
            wall.plus(instant.saturating_duration_since(asked_at)).minus(asked_at.saturating_duration_since(instant))
        })
    }

    /// How long it will be until a time of the metastore's; zero when that is over, or when it was never asked.
    #[must_use]
    pub fn until(&self, moment: Timestamp) -> Duration {
        if self.anchor().is_none() { Duration::ZERO } else { moment.since(self.now()) }
    }

    /// Asks the metastore for its time.
    ///
    /// # Errors
    /// When it can not be asked.
    pub async fn refresh(&self, metastore: &dyn Metastore) -> Result<()> {
        let asked_at = Instant::now();
        let wall = metastore.now().await?;
        *self.lock() = Some((wall, asked_at));
        Ok(())
    }

    /// Asks the metastore for its time unless it was asked before.
    ///
    /// # Errors
    /// When it can not be asked.
    pub async fn ensure(&self, metastore: &dyn Metastore) -> Result<()> {
        if self.anchor().is_some() { Ok(()) } else { self.refresh(metastore).await }
    }

    /// Asks the metastore for its time unless it was asked less than `age_max` ago. When it can not be asked, what it
    /// said before goes on to hold.
    ///
    /// # Errors
    /// When it can not be asked and never was.
    pub async fn renew(&self, metastore: &dyn Metastore, age_max: Duration) -> Result<()> {
        match self.anchor() {
            Some((_, asked_at)) if asked_at.elapsed() < age_max => Ok(()),
            Some(_) => self.refresh(metastore).await.or(Ok(())),
            None => self.refresh(metastore).await,
        }
    }

    fn anchor(&self) -> Option<(Timestamp, Instant)> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Timestamp, Instant)>> {
        // A poisoned lock only means that a thread died between two whole changes.
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::ManualClock;
    use crate::metastore::memory::store::MemoryMetastore;

    #[tokio::test(start_paused = true)]
    async fn time_is_carried_on_from_the_last_question() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp(1_000_000)));
        let metastore = MemoryMetastore::new(clock.clone());
        let time = MetastoreTime::default();
        assert_eq!((time.now(), time.until(Timestamp(5))), (Timestamp::NONE, Duration::ZERO));
        time.ensure(&metastore).await.expect("available");
        let asked_at = Instant::now();
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(time.now(), Timestamp(1_001_500));
        assert_eq!(time.at(asked_at), Timestamp(1_000_000));
        assert_eq!(time.at(asked_at + Duration::from_millis(200)), Timestamp(1_000_200));
        assert_eq!(time.until(Timestamp(1_002_000)), Duration::from_millis(500));
        clock.skew(300);
        time.renew(&metastore, Duration::from_secs(10)).await.expect("available");
        assert_eq!(time.now(), Timestamp(1_001_500), "young enough");
        time.renew(&metastore, Duration::from_secs(1)).await.expect("available");
        assert_eq!(time.now(), Timestamp(1_001_800));
    }
}
