//! The end of a share session: its member gives back what it holds.

use crate::api::share::share_session::SessionKey;
use crate::coordinator::share::delivery::service::ShareDelivery;
use crate::model::topic::TopicIdPartition;

/// Gives a member's records back when it is dropped: after the last request of its session was answered, or when that
/// request is abandoned because its connection is gone.
pub struct Closing {
    delivery: ShareDelivery,
    key: SessionKey,
    partitions: Vec<TopicIdPartition>,
}

impl Closing {
    /// What `key`'s member holds of `partitions` will be given back.
    #[must_use]
    pub fn new(delivery: &ShareDelivery, key: &SessionKey, partitions: Vec<TopicIdPartition>) -> Self {
        Self { delivery: delivery.clone(), key: key.clone(), partitions }
    }
}

impl std::fmt::Debug for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Closing").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let SessionKey { group_id, member_id } = self.key.clone();
        self.delivery.release(group_id, member_id, std::mem::take(&mut self.partitions));
    }
}
