//! The bell: wakes those who wait for news.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// How long between two looks at least: however many agents commit, and however often, each costs the database
/// only so much.
const LOOK_INTERVAL: Duration = Duration::from_millis(4);

/// Wakes those who wait for news, here and on other agents. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Bell(pub(super) Arc<BellInner>);

#[derive(Debug, Default)]
pub(super) struct BellInner {
    /// Counts wake-ups.
    pub(super) rung: watch::Sender<u64>,
    /// Other agents are to be told.
    pub(super) outgoing: Notify,
    /// Notifications of other agents arrive.
    pub(super) listening: AtomicBool,
    /// When the feed was looked at last.
    pub(super) looked: Mutex<Option<Instant>>,
}

impl Bell {
    /// There are news: wakes readers here, and soon elsewhere.
    pub(super) fn ring(&self) {
        self.heard();
        self.0.outgoing.notify_one();
    }

    /// Returns when it is time to look again, at once unless somebody looked a moment ago.
    pub(super) async fn pace(&self, deadline: Instant) {
        let next = {
            let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let next = looked.map_or(now, |last| last + LOOK_INTERVAL).min(deadline).max(now);
            *looked = Some(next);
            next
        };
        sleep_until(next).await;
    }

    /// Wakes readers here.
    pub(super) fn heard(&self) {
        self.0.rung.send_modify(|count| *count = count.wrapping_add(1));
    }
}
