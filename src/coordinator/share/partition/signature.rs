//! Who wrote a state last: by this an agent whose write was not answered finds out whether it was applied, even after
//! others have written on top of it.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::model::node::NodeIdentity;

/// Nobody waits this long for a write to be answered.
const KEPT: Duration = Duration::from_secs(120);
/// More agents do not write one partition between a write and the look at what became of it.
const SIGNATURES_MAX: usize = 64;

/// The newest write of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whose.
    pub node: NodeIdentity,
    /// Which of its writes; each has a number of its own.
    pub number: u64,
    /// When, by the metastore's clock.
    pub at: Timestamp,
}

/// The newest write of each agent that wrote lately, the newest of all first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures(Vec<Signature>);

impl Signatures {
    /// Those of a document, in its order.
    #[must_use]
    pub fn from_parts(signatures: Vec<Signature>) -> Self {
        Self(signatures)
    }

    /// The newest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Signature] {
        &self.0
    }

    /// The write that made the state what it is.
    #[must_use]
    pub fn newest(&self) -> Option<&Signature> {
        self.0.first()
    }

    /// Whether a write is among them.
    #[must_use]
    pub fn contains(&self, signature: &Signature) -> bool {
        self.0.contains(signature)
    }

    /// Adds a write, and forgets what nobody asks for any more.
    pub fn sign(&mut self, signature: Signature) {
        let oldest = signature.at.minus(KEPT);
        self.0.retain(|other| other.node.node_id != signature.node.node_id && other.at > oldest);
        self.0.insert(0, signature);
        self.0.truncate(SIGNATURES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node::{NodeEpoch, NodeId};

    fn signature(id: i32, number: u64, at: i64) -> Signature {
        let node = NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(7) };
        Signature { node, number, at: Timestamp(at) }
    }

    #[test]
    fn each_agent_has_its_newest_write_until_nobody_can_ask() {
        let mut signatures = Signatures::default();
        for (id, number, at) in [(1, 1, 1_000), (2, 1, 2_000), (1, 2, 3_000)] {
            signatures.sign(signature(id, number, at));
        }
        assert_eq!(signatures.as_slice(), [signature(1, 2, 3_000), signature(2, 1, 2_000)]);
        assert_eq!(signatures.newest(), Some(&signature(1, 2, 3_000)));
        assert!(signatures.contains(&signature(2, 1, 2_000)) && !signatures.contains(&signature(1, 1, 1_000)));
        signatures.sign(signature(3, 9, 122_500));
        assert_eq!(signatures.as_slice(), [signature(3, 9, 122_500), signature(1, 2, 3_000)]);
        (10..200).for_each(|id| signatures.sign(signature(id, 1, 122_501)));
        assert_eq!(signatures.as_slice().len(), SIGNATURES_MAX);
    }
}
