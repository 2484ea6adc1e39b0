//! The metastore itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::latest;
use async_trait::async_trait;

use crate::base::clock::{Clock, Timestamp};
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::memory::state::State;
use crate::metastore::store::Metastore;
use crate::metastore::values::FeedPosition;

/// A metastore in memory: deterministic, and gone with the process.
#[derive(Debug)]
pub struct MemoryMetastore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Where the feed ends, for those who wait for news.
    pub(super) news: latest::Sender<FeedPosition>,
}

impl MemoryMetastore {
    /// An empty metastore whose time is `clock`'s.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), news: latest::Sender::default() }
    }

    /// The state, for one step: everything a step does happens under one guard, so that it is atomic.
    pub(super) fn step(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(MetastoreError::Unavailable("the metastore is closed".to_owned())) } else { Ok(state) }
    }

    /// The present moment.
    pub(super) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ends a step that may have made news.
    pub(super) fn announce(&self, state: &State) {
        let position = state.feed.position();
        self.news.send_if_modified(|last| std::mem::replace(last, position) != position);
    }
}

#[async_trait]
impl Metastore for MemoryMetastore {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn close(&self) -> Result<()> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        // Wake those who wait for news: there will be none.
        self.news.send_modify(|_| ());
        Ok(())
    }
}
