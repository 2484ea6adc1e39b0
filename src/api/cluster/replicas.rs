//! The replicas that a partition is said to have.
//!
//! There are none: any agent serves any partition. Clients and tools want a list, so they get one that is useful: the
//! leader for this client first, then one agent of every other zone, then others, as many as the topic's replication
//! factor says and agents live. All are always in sync.

use crate::coordinator::placement::ClusterView;
use crate::metastore::values::{NodeRecord, TopicRecord};
use crate::model::node::{NodeId, Rack};
use crate::model::topic::{PartitionIndex, TopicIdPartition};

/// The nodes a client may know: all that live and do not leave, or all if all leave.
#[must_use]
pub fn brokers(view: &ClusterView) -> Vec<&NodeRecord> {
    let staying: Vec<_> = view.nodes.iter().filter(|node| !node.draining).collect();
    if staying.is_empty() { view.nodes.iter().collect() } else { staying }
}

/// The node to send cluster-wide requests to: any will do, so spread them over the topics' leaders' rule: this one if
/// it stays, else the first.
#[must_use]
pub fn controller(view: &ClusterView) -> NodeId {
    let brokers = brokers(view);
    let this = brokers.iter().find(|node| node.identity.node_id == view.this.node_id);
    this.or(brokers.first()).map_or(NodeId(-1), |node| node.identity.node_id)
}

/// What clients are told of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// Its index.
    pub index: i32,
    /// Leader first; empty when no agent lives.
    pub nodes: Vec<NodeId>,
}

impl Replicas {
    /// The leader, if any agent lives.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.nodes.first().copied()
    }
}

/// The replicas of `partition` of `topic` as a client in `rack` sees them.
#[must_use]
pub fn replicas_of(view: &ClusterView, topic: &TopicRecord, index: i32, rack: Option<&Rack>) -> Replicas {
    let partition = TopicIdPartition::new(topic.topic_id, PartitionIndex(index));
    let brokers = brokers(view);
    let wanted = usize::try_from(topic.replication_factor).unwrap_or(1).clamp(1, brokers.len().max(1));
    let mut nodes = Vec::with_capacity(wanted);
    let mut add = |node: Option<&NodeRecord>| {
        let id = node.map(|node| node.identity.node_id);
        nodes.extend(id.filter(|id| nodes.len() < wanted && !nodes.contains(id)));
    };
    let leader = view.leader_of(partition, rack);
    add(leader);
    if wanted > 1 {
        let mut zones: Vec<&Rack> = brokers.iter().filter_map(|node| node.rack.as_ref()).collect();
        zones.sort_unstable();
        zones.dedup();
        zones.retain(|zone| leader.is_none_or(|leader| leader.rack.as_ref() != Some(zone)));
        zones.iter().for_each(|zone| add(view.leader_of(partition, Some(zone))));
        let first = usize::try_from(index).unwrap_or(0) % brokers.len().max(1);
        brokers[first..].iter().chain(&brokers[..first]).for_each(|node| add(Some(node)));
    }
    Replicas { index, nodes }
}

#[cfg(test)]
pub(crate) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::node::{Endpoint, NodeEpoch, NodeIdentity};
    use crate::model::topic::{TopicId, TopicName};

    /// A view of these nodes by id and zone; the first is "this".
    pub(crate) fn view(nodes: &[(i32, Option<&str>)]) -> ClusterView {
        let record = |&(id, rack): &(i32, Option<&str>)| NodeRecord {
            identity: NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(1) },
            incarnation: Uuid::from_u128(1),
            endpoint: Endpoint { host: format!("host-{id}"), port: 9092 },
            rack: rack.map(|rack| Rack(rack.into())),
            draining: false,
            expires_at: Timestamp(0),
        };
        let nodes: Vec<_> = nodes.iter().map(record).collect();
        ClusterView { this: nodes[0].identity, nodes }
    }

    fn topic(replication_factor: i16) -> TopicRecord {
        TopicRecord {
            topic_id: TopicId(Uuid::from_u128(5)),
            name: TopicName::new("t").expect("legal"),
            partition_count: 50,
            replication_factor,
            created_at: Timestamp(0),
            configs: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn replicas_are_as_many_as_asked_for_and_alive() {
        let view = view(&[(1, Some("a")), (2, Some("a")), (3, Some("b"))]);
        for (factor, count) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
            for index in 0..50 {
                let nodes = replicas_of(&view, &topic(factor), index, None).nodes;
                let mut different = nodes.clone();
                different.sort_unstable();
                different.dedup();
                assert_eq!((nodes.len(), different.len()), (count, count), "factor {factor}, partition {index}");
            }
        }
    }

    #[test]
    fn the_leader_is_of_the_clients_zone_and_the_second_of_another() {
        let view = view(&[(1, Some("a")), (2, Some("a")), (3, Some("b")), (4, Some("b"))]);
        for index in 0..50 {
            let nodes = replicas_of(&view, &topic(2), index, Some(&Rack("b".into()))).nodes;
            assert!(nodes[0].0 >= 3 && nodes[1].0 <= 2, "{nodes:?}");
        }
    }

    #[test]
    fn a_node_that_leaves_is_not_named_unless_all_leave() {
        let mut view = view(&[(1, None), (2, None)]);
        view.nodes[0].draining = true;
        assert_eq!(brokers(&view).iter().map(|node| node.identity.node_id.0).collect::<Vec<_>>(), [2]);
        assert_eq!(controller(&view), NodeId(2));
        for index in 0..20 {
            assert_eq!(replicas_of(&view, &topic(2), index, None).nodes, [NodeId(2)]);
        }
        view.nodes[1].draining = true;
        assert_eq!(brokers(&view).len(), 2);
        assert_eq!(controller(&view), NodeId(1));
    }
}
