//! Who does what: rendezvous hashing over live nodes.
//!
//! Every agent computes the same answer from the same membership, nobody stores it, and a node that comes or goes
//! moves only the share that it wins or held.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::metastore::values::NodeRecord;
use crate::model::node::{NodeId, NodeIdentity, Rack};
use crate::model::topic::TopicIdPartition;

/// The live members of the cluster as this agent last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    /// This agent.
    pub this: NodeIdentity,
    /// Live nodes, sorted by id; holds this agent while it is registered.
    pub nodes: Vec<NodeRecord>,
}

impl ClusterView {
    /// The node that is home to a group or a transactional id: a live one that is not draining, if there is any.
    #[must_use]
    pub fn home_of(&self, id: &str) -> Option<&NodeRecord> {
        winner(self.nodes.iter().filter(|node| !node.draining), id.as_bytes())
            .or_else(|| winner(self.nodes.iter(), id.as_bytes()))
    }

    /// Whether this agent is home to `id`.
    #[must_use]
    pub fn is_home_of(&self, id: &str) -> bool {
        self.home_of(id).is_some_and(|node| node.identity.node_id == self.this.node_id)
    }

    /// The node to name as a partition's leader for a client in `rack`: of the same zone if one lives there.
    #[must_use]
    pub fn leader_of(&self, partition: TopicIdPartition, rack: Option<&Rack>) -> Option<&NodeRecord> {
        let mut key = [0_u8; 20];
        key[..16].copy_from_slice(partition.topic_id.0.as_bytes());
        key[16..].copy_from_slice(&partition.partition.0.to_be_bytes());
        let serving = || self.nodes.iter().filter(|node| !node.draining);
        winner(serving().filter(|node| rack.is_some() && node.rack.as_ref() == rack), &key)
            .or_else(|| winner(serving(), &key))
            .or_else(|| winner(self.nodes.iter(), &key))
    }

    /// The live node with this id.
    #[must_use]
    pub fn node(&self, node_id: NodeId) -> Option<&NodeRecord> {
        self.nodes.iter().find(|node| node.identity.node_id == node_id)
    }
}

/// The node with the highest hash of (key, node id).
fn winner<'a>(nodes: impl Iterator<Item = &'a NodeRecord>, key: &[u8]) -> Option<&'a NodeRecord> {
    nodes.max_by_key(|node| {
        let id = node.identity.node_id;
        (xxh3_64_with_seed(key, u64::from(id.0.unsigned_abs())), id)
    })
}

/// The current view, shared by all who read it; the agent's membership task replaces it.
#[derive(Clone, Debug)]
pub struct Membership(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    view: ArcSwap<ClusterView>,
    /// When the newest beat that was answered was sent.
    confirmed: Mutex<Option<Instant>>,
}

impl Membership {
    /// Starts with `view`.
    #[must_use]
    pub fn new(view: ClusterView) -> Self {
        Self(Arc::new(Shared { view: ArcSwap::from_pointee(view), confirmed: Mutex::new(None) }))
    }

    /// The view now.
    #[must_use]
    pub fn view(&self) -> Arc<ClusterView> {
        self.0.view.load_full()
    }

    /// Replaces the view.
    pub fn replace(&self, view: ClusterView) {
        self.0.view.store(Arc::new(view));
    }

    /// The view held at `asked_at`, or at some moment after it: a beat that was sent then has been answered, and if it
    /// brought anything new, that has been put in place.
    pub fn confirm(&self, asked_at: Instant) {
        *self.0.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked_at);
    }

    /// The view, and a moment before it was made (`None` before the first beat): who is missing in the view was no live
    /// member at some time after that moment.
    #[must_use]
    pub fn confirmed_view(&self) -> (Option<Instant>, Arc<ClusterView>) {
        // In this order: a view that is replaced in between is only newer.
        let confirmed = *self.0.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        (confirmed, self.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::node::{Endpoint, NodeEpoch};
    use crate::model::topic::{PartitionIndex, TopicId};
    use uuid::Uuid;

    fn view(nodes: &[(i32, &str, bool)]) -> ClusterView {
        let record = |&(id, rack, draining): &(i32, &str, bool)| NodeRecord {
            identity: NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(1) },
            incarnation: Uuid::from_u128(1),
            endpoint: Endpoint { host: "h".into(), port: 1 },
            rack: Some(Rack(rack.into())),
            draining,
            expires_at: Timestamp(0),
        };
        let nodes: Vec<_> = nodes.iter().map(record).collect();
        ClusterView { this: nodes[0].identity, nodes }
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_own_groups() {
        let three = view(&[(1, "a", false), (2, "a", false), (3, "a", false)]);
        let two = view(&[(1, "a", false), (2, "a", false)]);
        let mut moved = 0;
        for number in 0..300 {
            let group = format!("group-{number}");
            let before = three.home_of(&group).map(|node| node.identity.node_id.0);
            let after = two.home_of(&group).map(|node| node.identity.node_id.0);
            if before == Some(3) {
                moved += 1;
            } else {
                assert_eq!(before, after, "{group} moved without need");
            }
        }
        assert!((50..150).contains(&moved), "node 3 held {moved} of 300 groups");
    }

    #[test]
    fn leaders_come_from_the_clients_zone_and_never_from_a_draining_node() {
        let view = view(&[(1, "a", false), (2, "b", false), (3, "b", true)]);
        let rack = Rack("b".into());
        for partition in 0..50 {
            let partition = TopicIdPartition::new(TopicId(Uuid::from_u128(9)), PartitionIndex(partition));
            assert_eq!(view.leader_of(partition, Some(&rack)).map(|node| node.identity.node_id), Some(NodeId(2)));
        }
    }
}
