//! A member of a classic group.

use std::sync::Arc;

use bytes::Bytes;

use crate::coordinator::group::values::{JoinRequest, Moment, Protocol, Ticket};
use crate::model::group::{GroupInstanceId, MemberId};

/// A member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub member_id: MemberId,
    /// A static member's id.
    pub instance_id: Option<GroupInstanceId>,
    /// The client's name.
    pub client_id: Arc<str>,
    /// The client's address.
    pub client_host: Arc<str>,
    /// Without a heartbeat for so long it is removed.
    pub session_timeout_ms: u32,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: u32,
    /// What it supports, most wanted first.
    pub protocols: Vec<Protocol>,
    /// What the leader gave it.
    pub assignment: Bytes,
    /// Its JoinGroup request that waits. In memory only.
    pub awaiting_join: Option<Ticket>,
    /// Its SyncGroup request that waits. In memory only.
    pub awaiting_sync: Option<Ticket>,
    /// It joined but was never told so; not stored until it is. In memory only.
    pub is_new: bool,
    /// When its session ends, or `None` while a waiting request keeps it alive. In memory only.
    pub session_deadline: Option<Moment>,
}

impl Member {
    /// A member as its first JoinGroup request describes it.
    #[must_use]
    pub fn joining(member_id: MemberId, request: JoinRequest) -> Self {
        Self {
            member_id,
            session_timeout_ms: millis(request.session_timeout_ms),
            rebalance_timeout_ms: millis(request.rebalance_timeout_ms),
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            protocols: request.protocols,
            assignment: Bytes::new(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: true,
            session_deadline: None,
        }
    }

    /// Takes over what a later JoinGroup request says.
    pub fn update(&mut self, request: JoinRequest) {
        self.session_timeout_ms = millis(request.session_timeout_ms);
        self.rebalance_timeout_ms = millis(request.rebalance_timeout_ms);
        self.protocols = request.protocols;
    }

    /// Whether it supports the protocol.
    #[must_use]
    pub fn supports(&self, protocol_name: &str) -> bool {
        self.protocols.iter().any(|protocol| &*protocol.name == protocol_name)
    }

    /// Its metadata under the protocol, empty when it does not support it.
    #[must_use]
    pub fn metadata(&self, protocol_name: &str) -> Bytes {
        let protocol = self.protocols.iter().find(|protocol| &*protocol.name == protocol_name);
        protocol.map(|protocol| protocol.metadata.clone()).unwrap_or_default()
    }

    /// Whether a request of it waits for an answer.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.awaiting_join.is_some() || self.awaiting_sync.is_some()
    }

    /// Starts its session anew.
    pub fn extend_session(&mut self, now: Moment) {
        self.session_deadline = Some(now.plus_ms(self.session_timeout_ms));
    }
}

/// A timeout from the wire; a negative one is none at all.
fn millis(timeout_ms: i32) -> u32 {
    u32::try_from(timeout_ms).unwrap_or(0)
}
