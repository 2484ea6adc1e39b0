//! A member of a classic consumer group: joins, is given partitions, commits offsets.
//!
//! The first member the coordinator names leads and hands out partitions by range, as Kafka's oldest assignor does,
//! so that it can share a group with any other client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::base::clock::Clock;
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::assignment::{
    Assigned, assign_ranges, assignment_bytes, read_assignment, read_subscription, subscription_bytes,
};
use crate::cli::kafka::cluster::Cluster;
use crate::cli::kafka::committed::{commit_request, committed_offsets};
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::consumer::{FetchTuning, FetchedPartition, Fetcher, TopicPartition, positions_of};
use crate::cli::kafka::offsets::OffsetChoice;
use crate::cli::kafka::protocol::{ErrorCode, check, text};

/// A member that says nothing for this long is taken for dead, in milliseconds: Kafka's shortest by default is 6000.
const SESSION_TIMEOUT_MS: i32 = 10_000;
/// How long members have to join again in a rebalance, in milliseconds.
const REBALANCE_TIMEOUT_MS: i32 = 30_000;
/// How often a member says that it lives: well within the session timeout.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// How often what was read is committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(2);
/// How often joining is tried before it counts as failed.
const JOIN_ATTEMPTS: u32 = 50;
const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";

/// A consumer that shares topics with the other members of its group. Delivers at least once: what was handed out by
/// [`GroupConsumer::poll`] is committed at the *next* poll at the earliest.
#[derive(Debug)]
pub struct GroupConsumer {
    cluster: Arc<Cluster>,
    clock: Arc<dyn Clock>,
    group: String,
    topics: Vec<String>,
    begin: OffsetChoice,
    coordinator: Option<Connection>,
    member_id: StrBytes,
    generation_id: i32,
    joined: bool,
    fetcher: Fetcher,
    committed: BTreeMap<TopicPartition, i64>,
    last_heartbeat: Instant,
    last_commit: Instant,
}

/// What the coordinator wants of a member after a request.
enum Verdict {
    Fine,
    Rejoin,
    Fails(ErrorCode),
}

impl GroupConsumer {
    /// A member to be, reading `topics` from `begin` where the group has no offsets yet.
    #[must_use]
    pub fn new(
        cluster: Arc<Cluster>,
        clock: Arc<dyn Clock>,
        group: &str,
        topics: &[String],
        begin: OffsetChoice,
        tuning: FetchTuning,
    ) -> Self {
        let fetcher = Fetcher::new(Arc::clone(&cluster), tuning);
        let now = Instant::now();
        Self {
            cluster,
            clock,
            group: group.to_owned(),
            topics: topics.to_vec(),
            begin,
            coordinator: None,
            member_id: StrBytes::default(),
            generation_id: -1,
            joined: false,
            fetcher,
            committed: BTreeMap::new(),
            last_heartbeat: now,
            last_commit: now,
        }
    }

    /// The partitions this member was given.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.fetcher.positions().keys().cloned().collect()
    }

    /// Takes back what lies beyond `offset`: it is neither committed nor left out of the next poll.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        self.fetcher.seek(partition, offset);
    }

    /// Waits for news of this member's partitions. Joins the group first, beats and commits on the way; must be
    /// called at least every few seconds.
    ///
    /// # Errors
    /// When the group or a partition can not be used.
    pub async fn poll(&mut self) -> Result<Vec<FetchedPartition>> {
        if self.joined && self.last_commit.elapsed() >= COMMIT_INTERVAL {
            self.commit().await?;
        }
        if self.joined && self.last_heartbeat.elapsed() >= HEARTBEAT_INTERVAL {
            self.heartbeat().await?;
        }
        if !self.joined {
            self.join().await?;
        }
        if self.fetcher.positions().is_empty() {
            // Nothing was given to us; the next rebalance may.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Ok(Vec::new());
        }
        self.fetcher.poll().await
    }

    /// Commits what was read and leaves, so that the others need not wait for our session to end.
    ///
    /// # Errors
    /// When the last commit fails.
    pub async fn leave(mut self) -> Result<()> {
        if !self.joined {
            return Ok(());
        }
        self.commit().await?;
        let member = MemberIdentity::default().with_member_id(self.member_id.clone());
        let request = LeaveGroupRequest::default().with_group_id(self.group_id()).with_members(vec![member]);
        let answer = self.coordinator().await?.send(4, &request).await?;
        check(answer.error_code, format!("leaving group '{}'", self.group), None)
    }

    fn group_id(&self) -> GroupId {
        GroupId(text(&self.group))
    }

    async fn coordinator(&mut self) -> Result<Connection> {
        if let Some(connection) = &self.coordinator {
            return Ok(connection.clone());
        }
        let connection = self.cluster.coordinator(&self.group).await?;
        self.coordinator = Some(connection.clone());
        Ok(connection)
    }

    /// What an error code of the coordinator means for a member.
    async fn judge(&mut self, code: i16) -> Verdict {
        let Some(code) = ErrorCode::of(code) else { return Verdict::Fine };
        let is = |errors: &[ResponseError]| errors.iter().any(|error| code.is(*error));
        if is(&[ResponseError::NotCoordinator, ResponseError::CoordinatorNotAvailable]) {
            if let Some(gone) = self.coordinator.take() {
                self.cluster.forget(gone.address()).await;
            }
            return Verdict::Rejoin;
        }
        if is(&[ResponseError::UnknownMemberId, ResponseError::FencedInstanceId]) {
            self.member_id = StrBytes::default();
            return Verdict::Rejoin;
        }
        if is(&[
            ResponseError::RebalanceInProgress,
            ResponseError::IllegalGeneration,
            ResponseError::CoordinatorLoadInProgress,
            ResponseError::MemberIdRequired,
        ]) {
            return Verdict::Rejoin;
        }
        Verdict::Fails(code)
    }

    async fn join(&mut self) -> Result<()> {
        let mut backoff = self.cluster.backoff();
        for _ in 0..JOIN_ATTEMPTS {
            match self.try_join().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(CliError::Unreachable(reason)) => {
                    tracing::warn!(group = %self.group, reason, "coordinator does not answer");
                    if let Some(gone) = self.coordinator.take() {
                        self.cluster.forget(gone.address()).await;
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
        Err(CliError::Unreachable(format!("group '{}' can not be joined: it never settles", self.group)))
    }

    /// One round of joining; `false` when it has to be done again.
    async fn try_join(&mut self) -> Result<bool> {
        let coordinator = self.coordinator().await?;
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text(ASSIGNOR))
            .with_metadata(subscription_bytes(&self.topics)?);
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(SESSION_TIMEOUT_MS)
            .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(text(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        let answer = coordinator.send(5, &request).await?;
        if ErrorCode::of(answer.error_code).is_some_and(|code| code.is(ResponseError::MemberIdRequired)) {
            self.member_id = answer.member_id;
            return Box::pin(self.try_join()).await;
        }
        match self.judge(answer.error_code).await {
            Verdict::Fine => {}
            Verdict::Rejoin => return Ok(false),
            Verdict::Fails(code) => {
                return Err(CliError::Failed(format!("joining group '{}': {code}", self.group)));
            }
        }
        self.member_id = answer.member_id.clone();
        self.generation_id = answer.generation_id;
        let assignments = if answer.leader == answer.member_id { self.assign(&answer).await? } else { Vec::new() };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation_id)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(Some(text(PROTOCOL_TYPE)))
            .with_protocol_name(Some(text(ASSIGNOR)))
            .with_assignments(assignments);
        let answer = coordinator.send(5, &request).await?;
        match self.judge(answer.error_code).await {
            Verdict::Fine => {}
            Verdict::Rejoin => return Ok(false),
            Verdict::Fails(code) => {
                return Err(CliError::Failed(format!("joining group '{}': {code}", self.group)));
            }
        }
        self.begin_reading(&read_assignment(answer.assignment)?).await?;
        self.joined = true;
        (self.last_heartbeat, self.last_commit) = (Instant::now(), Instant::now());
        Ok(true)
    }

    /// As the leader: hands out all partitions of all topics that members want.
    async fn assign(&mut self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>> {
        let mut wants = BTreeMap::new();
        for JoinGroupResponseMember { member_id, metadata, .. } in &joined.members {
            wants.insert(member_id.as_str().to_owned(), read_subscription(metadata.clone())?);
        }
        let mut partition_counts = BTreeMap::new();
        for name in wants.values().flatten().collect::<BTreeSet<_>>() {
            if let Ok((topic, _)) = self.cluster.topic(name, false).await {
                partition_counts.insert(name.clone(), i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
            }
        }
        let assigned = assign_ranges(&wants, &partition_counts);
        assigned
            .into_iter()
            .map(|(member, topics)| {
                Ok(SyncGroupRequestAssignment::default()
                    .with_member_id(text(&member))
                    .with_assignment(assignment_bytes(&topics)?))
            })
            .collect()
    }

    /// Starts where the group has committed, else where the user chose.
    async fn begin_reading(&mut self, assigned: &Assigned) -> Result<()> {
        let coordinator = self.coordinator().await?;
        let committed = committed_offsets(&coordinator, &self.group, Some(assigned)).await?;
        let mut positions = BTreeMap::new();
        for (topic, partitions) in assigned {
            let chosen =
                positions_of(&self.cluster, std::slice::from_ref(topic), partitions, self.begin, self.clock.as_ref());
            for (partition, chosen) in chosen.await? {
                let offset = committed.get(&partition).copied().unwrap_or(chosen);
                positions.insert(partition, offset);
            }
        }
        self.committed = committed;
        self.fetcher.assign(positions).await
    }

    async fn heartbeat(&mut self) -> Result<()> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.generation_id)
            .with_member_id(self.member_id.clone());
        self.last_heartbeat = Instant::now();
        let code = match self.coordinator().await?.send(4, &request).await {
            Ok(answer) => answer.error_code,
            Err(CliError::Unreachable(_)) => ResponseError::NotCoordinator.code(),
            Err(error) => return Err(error),
        };
        match self.judge(code).await {
            Verdict::Fine => Ok(()),
            Verdict::Rejoin => {
                // What was read is ours to commit until the new generation begins.
                self.commit().await?;
                self.joined = false;
                Ok(())
            }
            Verdict::Fails(code) => Err(CliError::Failed(format!("staying in group '{}': {code}", self.group))),
        }
    }

    async fn commit(&mut self) -> Result<()> {
        self.last_commit = Instant::now();
        let positions = self.fetcher.positions();
        let news: BTreeMap<TopicPartition, i64> = positions
            .iter()
            .filter(|(partition, offset)| self.committed.get(partition) != Some(offset))
            .map(|(partition, offset)| (partition.clone(), *offset))
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let request = commit_request(&self.group, self.generation_id, &self.member_id, &news);
        let codes = match self.coordinator().await?.send(8, &request).await {
            Ok(answer) => {
                answer.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code).collect()
            }
            Err(CliError::Unreachable(_)) => vec![ResponseError::NotCoordinator.code()],
            Err(error) => return Err(error),
        };
        for code in codes {
            match self.judge(code).await {
                Verdict::Fine => {}
                Verdict::Rejoin => {
                    self.joined = false;
                    return Ok(());
                }
                Verdict::Fails(code) => {
                    return Err(CliError::Failed(format!("committing offsets of group '{}': {code}", self.group)));
                }
            }
        }
        self.committed.extend(news);
        Ok(())
    }
}
