//! Membership of a share group: heartbeats, and the assignment that they bring.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{GroupId, ShareGroupHeartbeatRequest, TopicName};
use tokio::time::Instant;

use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::protocol::{ErrorCode, check, text};
use crate::cli::kafka::share_acknowledgements::PartitionKey;
use crate::cli::kafka::share_session::ShareMember;

/// The epoch with which a member joins.
const JOIN: i32 = 0;
/// The epoch with which a member leaves.
const LEAVE: i32 = -1;
/// How often a heartbeat is tried again while the coordinator is gone.
const ATTEMPTS: u32 = 20;

/// A member of a share group.
#[derive(Debug)]
pub struct Membership {
    cluster: Arc<Cluster>,
    /// Who we are.
    pub member: ShareMember,
    topics: Vec<String>,
    coordinator: Option<Connection>,
    epoch: i32,
    due: Instant,
    /// What we were given.
    pub assigned: BTreeSet<PartitionKey>,
}

impl Membership {
    /// A member that has not joined yet.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, member: ShareMember, topics: Vec<String>) -> Self {
        let (coordinator, assigned) = (None, BTreeSet::new());
        Self { cluster, member, topics, coordinator, epoch: JOIN, due: Instant::now(), assigned }
    }

    /// When the next heartbeat is due.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Joins, or says that we are still there. Answers whether the assignment changed. A coordinator that is gone is
    /// looked for again before this fails.
    ///
    /// # Errors
    /// When the group can not be joined.
    pub async fn heartbeat(&mut self) -> Result<bool> {
        let mut backoff = self.cluster.backoff();
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let failure = match self.heartbeat_once().await {
                Ok(Ok(changed)) => return Ok(changed),
                Ok(Err(code))
                    if code.is(ResponseError::UnknownMemberId) || code.is(ResponseError::FencedMemberEpoch) =>
                {
                    // We were away for too long: as a new member.
                    self.epoch = JOIN;
                    self.refused(code)
                }
                Ok(Err(code)) if code.is_retriable() => {
                    self.coordinator = None;
                    self.refused(code)
                }
                Ok(Err(code)) => return Err(self.refused(code)),
                Err(error @ CliError::Unreachable(_)) => {
                    if let Some(gone) = self.coordinator.take() {
                        self.cluster.forget(gone.address()).await;
                    }
                    error
                }
                Err(error) => return Err(error),
            };
            if attempts_left == 0 {
                return Err(failure);
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    async fn heartbeat_once(&mut self) -> Result<std::result::Result<bool, ErrorCode>> {
        let coordinator = self.coordinator().await?;
        let topics = (self.epoch == JOIN).then(|| self.topics.iter().map(|topic| TopicName(text(topic))).collect());
        let answer = coordinator.send(1, &self.request(self.epoch).with_subscribed_topic_names(topics)).await?;
        if let Some(code) = ErrorCode::of(answer.error_code) {
            if code.is_retriable() || self.epoch != JOIN {
                return Ok(Err(code));
            }
            let tried = format!("joining share group '{}'", self.member.group);
            check(answer.error_code, tried, answer.error_message.as_ref())?;
        }
        self.epoch = answer.member_epoch;
        let interval = u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0).max(100);
        self.due = Instant::now() + Duration::from_millis(interval);
        let Some(assignment) = answer.assignment else { return Ok(Ok(false)) };
        let topics = assignment.topic_partitions.iter();
        let assigned: BTreeSet<PartitionKey> =
            topics.flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition))).collect();
        let changed = assigned != self.assigned;
        self.assigned = assigned;
        Ok(Ok(changed))
    }

    /// Leaves the group.
    ///
    /// # Errors
    /// When the coordinator can not be told; the group finds out by itself later.
    pub async fn leave(&mut self) -> Result<()> {
        if self.epoch == JOIN {
            return Ok(());
        }
        let coordinator = self.coordinator().await?;
        let answer = coordinator.send(1, &self.request(LEAVE)).await?;
        check(answer.error_code, format!("leaving share group '{}'", self.member.group), answer.error_message.as_ref())
    }

    fn request(&self, epoch: i32) -> ShareGroupHeartbeatRequest {
        ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.member.group)))
            .with_member_id(text(&self.member.id))
            .with_member_epoch(epoch)
            .with_subscribed_topic_names(None)
    }

    async fn coordinator(&mut self) -> Result<Connection> {
        if let Some(known) = &self.coordinator {
            return Ok(known.clone());
        }
        let found = self.cluster.coordinator(&self.member.group).await?;
        self.coordinator = Some(found.clone());
        Ok(found)
    }

    fn refused(&self, code: ErrorCode) -> CliError {
        CliError::Failed(format!("heartbeat of share group '{}': {code}", self.member.group))
    }
}
