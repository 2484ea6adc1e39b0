//! Whose locks still hold: those of members whose agents live.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::coordinator::metastore_time::MetastoreTime;
use crate::coordinator::placement::{ClusterView, Membership};
use crate::coordinator::share::partition::run::Holder;
use crate::model::node::NodeIdentity;

/// How far two agents' ideas of the metastore's time may lie apart: more than an answer takes on its way.
const CLOCKS_APART: Duration = Duration::from_secs(1);

/// The cluster at one moment.
#[derive(Debug)]
pub(super) struct Living {
    view: Arc<ClusterView>,
    /// The view was made after this.
    since: Option<Timestamp>,
}

impl Living {
    pub(super) fn now(membership: &Membership, time: &MetastoreTime) -> Self {
        let (confirmed, view) = membership.confirmed_view();
        let since = confirmed.map(|asked_at| time.at(asked_at)).filter(|since| *since != Timestamp::NONE);
        Self { view, since: since.map(|since| since.minus(CLOCKS_APART)) }
    }

    /// This agent.
    pub(super) fn this(&self) -> NodeIdentity {
        self.view.this
    }

    /// Whether no other agent is known to live, so that nobody else changes documents.
    pub(super) fn is_alone(&self) -> bool {
        self.view.nodes.iter().all(|node| node.identity.node_id == self.view.this.node_id)
    }

    /// Whether the agent that a holder's session is with is over: another process has taken its place, or it is
    /// missing in a view that was made after the holder acquired something.
    pub(super) fn is_over(&self, holder: &Holder) -> bool {
        let node = holder.node;
        if node.node_id == self.view.this.node_id {
            return node.node_epoch < self.view.this.node_epoch;
        }
        match self.view.node(node.node_id) {
            Some(record) => record.identity.node_epoch > node.node_epoch,
            None => self.since.is_some_and(|since| holder.acquired_at < since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metastore::values::NodeRecord;
    use crate::model::node::{Endpoint, NodeEpoch, NodeId};
    use uuid::Uuid;

    fn identity(id: i32, epoch: i64) -> NodeIdentity {
        NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(epoch) }
    }

    #[test]
    fn an_agent_is_over_when_another_process_has_its_place_or_it_is_gone() {
        let record = |(id, epoch)| NodeRecord {
            identity: identity(id, epoch),
            incarnation: Uuid::nil(),
            endpoint: Endpoint { host: "h".into(), port: 1 },
            rack: None,
            draining: false,
            expires_at: Timestamp(0),
        };
        let nodes = [(1, 5), (2, 7)].map(record).to_vec();
        let view = Arc::new(ClusterView { this: identity(1, 5), nodes });
        let check = |since: Option<i64>, (id, epoch), acquired_at, expected| {
            let living = Living { view: view.clone(), since: since.map(Timestamp) };
            let acquired_at = Timestamp(acquired_at);
            let holder = Holder { member_id: "m".into(), node: identity(id, epoch), acquired_at };
            assert_eq!(living.is_over(&holder), expected, "{holder:?} since {since:?}");
        };
        check(None, (1, 5), 0, false);
        check(None, (1, 4), 0, true);
        check(None, (2, 7), 0, false);
        check(None, (2, 6), 0, true);
        check(None, (2, 8), 0, false);
        check(None, (3, 1), 0, false);
        check(Some(1_000), (3, 1), 999, true);
        check(Some(1_000), (3, 1), 1_000, false);
        check(Some(1_000), (2, 7), 0, false);
        assert!(!Living { view, since: None }.is_alone());
    }
}
