//! Nodes and their epochs as one table, with the decisions about them; shared by backends that hold it in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::values::{NewNode, NodeRecord};
use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};

/// Every node id that was ever registered. Ended registrations stay, so that epochs never repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTable(BTreeMap<NodeId, Registration>);

/// The last registration of a node id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The node as others see it.
    pub record: NodeRecord,
    /// How long a beat keeps it alive, in milliseconds.
    pub session_ms: u32,
    /// It was deregistered: its epoch is fenced.
    pub ended: bool,
}

impl Registration {
    fn lives(&self, now: Timestamp) -> bool {
        !self.ended && now < self.record.expires_at
    }
}

impl NodeTable {
    /// A table from what was stored.
    #[must_use]
    pub fn from_stored(registrations: impl IntoIterator<Item = Registration>) -> Self {
        Self(registrations.into_iter().map(|entry| (entry.record.identity.node_id, entry)).collect())
    }

    /// The last registration of an id.
    #[must_use]
    pub fn registration(&self, node_id: NodeId) -> Option<&Registration> {
        self.0.get(&node_id)
    }

    /// Whether the registration still holds: nobody took the id, nobody ended it. A node whose time ran out
    /// holds it until somebody does.
    ///
    /// # Errors
    /// `Fenced` when it does not.
    pub fn check(&self, node: NodeIdentity) -> Result<()> {
        let reason = match self.0.get(&node.node_id) {
            None => "it was never registered here".to_owned(),
            Some(entry) if entry.record.identity.node_epoch != node.node_epoch => {
                format!("epoch {} took over from epoch {}", entry.record.identity.node_epoch.0, node.node_epoch.0)
            }
            Some(entry) if entry.ended => format!("epoch {} was deregistered", node.node_epoch.0),
            Some(_) => return Ok(()),
        };
        Err(MetastoreError::Fenced { node_id: node.node_id, reason })
    }

    /// Registers a node under a fresh epoch.
    ///
    /// # Errors
    /// `Fenced` when a living other incarnation holds the wanted id.
    pub fn register(&mut self, node: NewNode, now: Timestamp) -> Result<NodeRecord> {
        let node_id = node.node_id.unwrap_or_else(|| self.free_id(node.incarnation, now));
        let former = self.0.get(&node_id);
        if let Some(former) = former
            && former.lives(now)
            && former.record.incarnation != node.incarnation
        {
            let reason = format!("a living agent at {} holds the id", former.record.endpoint);
            return Err(MetastoreError::Fenced { node_id, reason });
        }
        let node_epoch = NodeEpoch(former.map_or(0, |former| former.record.identity.node_epoch.0) + 1);
        let record = NodeRecord {
            identity: NodeIdentity { node_id, node_epoch },
            incarnation: node.incarnation,
            endpoint: node.endpoint,
            rack: node.rack,
            draining: false,
            expires_at: now.plus(session(node.session_ms)),
        };
        let registration = Registration { record: record.clone(), session_ms: node.session_ms, ended: false };
        self.0.insert(node_id, registration);
        Ok(record)
    }

    /// Extends a node's life and lists the living, sorted by id.
    ///
    /// # Errors
    /// `Fenced` when its registration is over.
    pub fn beat(&mut self, node: NodeIdentity, draining: bool, now: Timestamp) -> Result<Vec<NodeRecord>> {
        self.check(node)?;
        if let Some(entry) = self.0.get_mut(&node.node_id) {
            entry.record.draining = draining;
            entry.record.expires_at = now.plus(session(entry.session_ms));
        }
        Ok(self.living(now))
    }

    /// Ends a registration; says whether anything changed.
    pub fn deregister(&mut self, node: NodeIdentity) -> bool {
        let holds = self.check(node).is_ok();
        if let Some(entry) = self.0.get_mut(&node.node_id)
            && holds
        {
            entry.ended = true;
        }
        holds
    }

    /// Nodes that live, sorted by id.
    #[must_use]
    pub fn living(&self, now: Timestamp) -> Vec<NodeRecord> {
        self.0.values().filter(|entry| entry.lives(now)).map(|entry| entry.record.clone()).collect()
    }

    /// The id the incarnation holds already, else the smallest that no living node holds. Kafka's clients take
    /// 0 for a node like any other, but operators read it as "unset": count from 1.
    fn free_id(&self, incarnation: Uuid, now: Timestamp) -> NodeId {
        let own = self.0.iter().find(|(_, entry)| entry.record.incarnation == incarnation && !entry.ended);
        if let Some((node_id, _)) = own {
            return *node_id;
        }
        let taken = |id: &i32| self.0.get(&NodeId(*id)).is_some_and(|entry| entry.lives(now));
        NodeId((1..i32::MAX).find(|id| !taken(id)).unwrap_or(i32::MAX))
    }
}

fn session(session_ms: u32) -> Duration {
    Duration::from_millis(u64::from(session_ms))
}
