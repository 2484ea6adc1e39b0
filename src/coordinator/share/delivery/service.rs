//! The way in.

use std::sync::Arc;

use crate::base::task::Supervisor;
use crate::coordinator::share::delivery::parts::DeliveryParts;
use crate::coordinator::share::values::{
    ShareAcknowledgeAnswer, ShareAcknowledgeRequest, ShareFetchAnswer, ShareFetchRequest, SharePartitionSummary,
};
use crate::model::error::{Condition, Failure};
use crate::model::group::{GroupId, MemberId};
use crate::model::topic::TopicIdPartition;

/// Delivers records to members of share groups. Cloning shares it.
#[derive(Clone, Debug)]
pub struct ShareDelivery(Arc<DeliveryParts>);

impl ShareDelivery {
    /// Starts delivery; its tasks run until the supervisor stops them.
    #[must_use]
    pub fn start(_supervisor: &Supervisor, parts: DeliveryParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Applies acknowledgements, then acquires records; waits for some as long as the request allows.
    pub async fn fetch(&self, request: ShareFetchRequest) -> ShareFetchAnswer {
        let refused = || Failure::new(Condition::CoordinatorNotAvailable, "delivery has not begun");
        ShareFetchAnswer {
            lock_duration: std::time::Duration::from_millis(u64::from(self.0.settings.record_lock_duration_ms)),
            fetched: request.partitions.iter().map(|_| Err(refused())).collect(),
            acknowledged: request.acknowledgements.iter().map(|_| Err(refused())).collect(),
        }
    }

    /// Applies acknowledgements.
    pub async fn acknowledge(&self, request: ShareAcknowledgeRequest) -> ShareAcknowledgeAnswer {
        let refused = || Failure::new(Condition::CoordinatorNotAvailable, "delivery has not begun");
        ShareAcknowledgeAnswer {
            lock_duration: std::time::Duration::from_millis(u64::from(self.0.settings.record_lock_duration_ms)),
            acknowledged: request.acknowledgements.iter().map(|_| Err(refused())).collect(),
        }
    }

    /// A member's session on this agent ended: what it acquired here is given back. Returns at once.
    pub fn release(&self, _group_id: GroupId, _member_id: MemberId, _partitions: Vec<TopicIdPartition>) {}

    /// The state of share partitions, in the order of the question; `None` for one that has none.
    ///
    /// # Errors
    /// When the metastore can not be asked.
    pub async fn inspect(
        &self,
        _group_id: &GroupId,
        partitions: Vec<TopicIdPartition>,
    ) -> Result<Vec<Option<SharePartitionSummary>>, Condition> {
        Ok(vec![None; partitions.len()])
    }

    /// The administration changed or deleted the group's documents: nothing of them is remembered any longer.
    pub fn forget(&self, _group_id: &GroupId) {}
}
