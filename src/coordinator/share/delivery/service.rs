//! The way in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::base::backoff::Backoff;
use crate::base::task::{Supervisor, TaskKind};
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::fetching::Fetching;
use crate::coordinator::share::delivery::parts::DeliveryParts;
use crate::coordinator::share::delivery::store::{Found, read};
use crate::coordinator::share::delivery::submit::submit;
use crate::coordinator::share::delivery::topics::find;
use crate::coordinator::share::delivery::watch::watch;
use crate::coordinator::share::delivery::work::Work;
use crate::coordinator::share::partition::document::StoredPartition;
use crate::coordinator::share::values::{
    ShareAcknowledgeAnswer, ShareAcknowledgeRequest, ShareFetchAnswer, ShareFetchRequest, SharePartitionSummary,
};
use crate::model::error::Condition;
use crate::model::group::{GroupId, MemberId};
use crate::model::topic::TopicIdPartition;

/// How often it is tried to give back what a session held; then its locks end by time.
const RELEASES_MAX: u32 = 8;

/// Delivers records to members of share groups. Cloning shares it.
///
/// Work reaches a group in the order in which these methods are first polled.
#[derive(Clone, Debug)]
pub struct ShareDelivery(Arc<Context>);

impl ShareDelivery {
    /// Starts delivery; its tasks run until the supervisor stops them.
    #[must_use]
    pub fn start(supervisor: &Supervisor, parts: DeliveryParts) -> Self {
        let context = Arc::new(Context::new(supervisor.clone(), parts));
        supervisor.spawn(TaskKind::CoordinatorShard, "share watch", watch(Arc::clone(&context)));
        Self(context)
    }

    /// Applies acknowledgements, then acquires records, in one step; waits for records as long as the request allows.
    /// Whatever the answer says is stored. What is acquired for a request that is dropped is given back.
    pub async fn fetch(&self, request: ShareFetchRequest) -> ShareFetchAnswer {
        Box::pin(async { Fetching::new(&self.0, request).await.run().await }).await
    }

    /// Applies acknowledgements. Whatever the answer says is stored.
    pub async fn acknowledge(&self, request: ShareAcknowledgeRequest) -> ShareAcknowledgeAnswer {
        let ShareAcknowledgeRequest { group_id, member_id, acknowledgements } = request;
        let asked = Instant::now();
        let mut acknowledged = vec![Ok(()); acknowledgements.len()];
        let (mut places, mut existing) = (Vec::new(), Vec::new());
        for (place, acknowledgement) in acknowledgements.into_iter().enumerate() {
            match find(&self.0, acknowledgement.partition).await {
                Ok(_) => {
                    places.push(place);
                    existing.push(acknowledgement);
                }
                Err(failure) => acknowledged[place] = Err(failure),
            }
        }
        if !existing.is_empty() {
            let done = submit(&self.0, &group_id, Work::acknowledging(member_id, asked, existing)).await;
            for (place, outcome) in places.into_iter().zip(done.acknowledged) {
                acknowledged[place] = outcome;
            }
        }
        ShareAcknowledgeAnswer { lock_duration: self.0.rules_of(&group_id).rules.lock_duration, acknowledged }
    }

    /// A member's session on this agent ended: what it acquired here is given back, after everything that was asked
    /// before. Returns at once; what can not be given back now is tried for some seconds.
    pub fn release(&self, group_id: GroupId, member_id: MemberId, partitions: Vec<TopicIdPartition>) {
        if partitions.is_empty() {
            return;
        }
        let context = Arc::clone(&self.0);
        let stopped = self.0.supervisor.token(TaskKind::CoordinatorShard);
        self.0.supervisor.spawn(TaskKind::CoordinatorShard, "share release", async move {
            let (first, longest) = (Duration::from_millis(50), Duration::from_secs(2));
            let mut backoff = Backoff::new(first, longest, context.parts.rng.clone());
            for _ in 0..RELEASES_MAX {
                let nothing = Work::acknowledging(member_id.clone(), Instant::now(), Vec::new());
                let work = Work { releases: partitions.clone(), ..nothing };
                if submit(&context, &group_id, work).await.is_released || stopped.is_cancelled() {
                    return Ok(());
                }
                sleep(backoff.next_pause()).await;
            }
            warn!(group = %group_id, member = %member_id, "records of a session that ended wait for their locks to end");
            Ok(())
        });
    }

    /// The state of share partitions, in the order of the question; `None` for one that has none.
    ///
    /// # Errors
    /// `CoordinatorNotAvailable` when the metastore can not be asked, `UnknownServerError` for what can not be read.
    pub async fn inspect(
        &self,
        group_id: &GroupId,
        partitions: Vec<TopicIdPartition>,
    ) -> Result<Vec<Option<SharePartitionSummary>>, Condition> {
        let context = &self.0;
        let time = context.time.ensure(&*context.parts.metastore).await;
        time.map_err(|_| Condition::CoordinatorNotAvailable)?;
        let keys: Vec<_> = partitions.into_iter().map(|partition| (group_id.clone(), partition)).collect();
        let summary = |found| match found {
            Found::Known(known) => Ok(Some(self.summary(group_id, &known.stored))),
            Found::Missing => Ok(None),
            Found::Unreadable => Err(Condition::UnknownServerError),
            Found::Unavailable(_) => Err(Condition::CoordinatorNotAvailable),
        };
        read(context, &keys).await.into_iter().map(summary).collect()
    }

    fn summary(&self, group_id: &GroupId, stored: &StoredPartition) -> SharePartitionSummary {
        let StoredPartition::Decided(state) = stored else { return SharePartitionSummary::default() };
        let (counts, now) = (state.counts(), self.0.time.now());
        let lock_duration = self.0.rules_of(group_id).rules.lock_duration;
        let age = |deadline: crate::base::clock::Timestamp| lock_duration.saturating_sub(deadline.since(now));
        SharePartitionSummary {
            start_offset: Some(state.start_offset()),
            end_offset: Some(state.end_offset()),
            available: counts.available,
            acquired: counts.acquired,
            redelivered: counts.redelivered,
            acknowledged: counts.acknowledged,
            archived: counts.archived,
            oldest_acquired_age: counts.earliest_deadline.map(age),
        }
    }

    /// The administration changed or deleted documents of the group: nothing of them is remembered here any longer.
    pub fn forget(&self, group_id: &GroupId) {
        self.0.cache.remove_group(group_id);
        self.0.board.tell_all();
    }
}
