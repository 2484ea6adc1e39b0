//! Simulated members of classic groups: they look for their coordinator, join, sync, commit and fetch offsets, lose
//! requests and answers, and write what they were told into the history.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use towpath::base::rng::Rng;
use towpath::coordinator::group::values::{
    JoinRequest, Joined, Leaving, MemberClaim, OffsetCommit, OffsetSelection, PartitionCommit, Protocol, SyncRequest,
};
use towpath::model::error::Condition;
use towpath::model::group::{GenerationId, GroupId, MemberId};
use towpath::model::offset::Offset;

use crate::clients::partition;
use crate::history::Operation;
use crate::world::World;

const SESSION_MS: i32 = 3_000;

/// What a member does after an answer.
enum Next {
    /// What was asked is done.
    GoOn,
    /// Ask again, perhaps another agent.
    Again,
    /// Join anew.
    Rejoin,
}

/// One member of a group.
pub(crate) struct SimMember {
    pub(crate) world: Arc<World>,
    pub(crate) group: u32,
    pub(crate) rng: Rng,
    /// Where the coordinator was last.
    home: usize,
    member_id: MemberId,
    generation: GenerationId,
}

fn group_id(group: u32) -> GroupId {
    GroupId::from(format!("group-{group}").as_str())
}

impl SimMember {
    pub(crate) fn new(world: Arc<World>, group: u32, rng: Rng) -> Self {
        Self { world, group, rng, home: 0, member_id: "".into(), generation: GenerationId(-1) }
    }

    /// A member until the world says to stop.
    pub(crate) async fn run(mut self) {
        while !self.world.stopping() {
            if let Some(own) = self.enter().await {
                self.serve(&own).await;
            }
            self.pause(300).await;
        }
    }

    /// After all faults: what is committed of every partition, until each was told.
    pub(crate) async fn read_offsets(&mut self) {
        for index in 0..self.world.partitions {
            let mut patience = 0;
            while !self.fetch_committed(index).await {
                patience += 1;
                assert!(patience < 10_000, "the committed offset of partition {index} can not be asked for");
                self.pause(50).await;
            }
        }
    }

    async fn pause(&self, longest_ms: u64) {
        tokio::time::sleep(Duration::from_millis(5) + self.rng.jitter(Duration::from_millis(longest_ms))).await;
    }

    fn claim(&self) -> MemberClaim {
        let (group_id, member_id) = (group_id(self.group), self.member_id.clone());
        MemberClaim { group_id, member_id, instance_id: None, generation: self.generation }
    }

    /// Joins and syncs; gives the partitions that are this member's.
    async fn enter(&mut self) -> Option<Vec<u32>> {
        let request = JoinRequest {
            group_id: group_id(self.group),
            member_id: self.member_id.clone(),
            instance_id: None,
            client_id: "sim".into(),
            client_host: "/192.0.2.1".into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: SESSION_MS,
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "range".into(), metadata: Bytes::new() }],
            requires_known_member_id: true,
            supports_skipping_assignment: false,
        };
        let answer = self
            .world
            .call(&self.rng, self.home, move |services| async move { services.groups.join(request).await })
            .await;
        let joined = match answer {
            Some(Ok(joined)) => joined,
            Some(Err(refused)) if refused.condition == Condition::MemberIdRequired => {
                self.member_id = refused.member_id;
                return None;
            }
            Some(Err(refused)) => {
                self.judge(Some(refused.condition));
                return None;
            }
            None => {
                self.judge(None);
                return None;
            }
        };
        (self.member_id, self.generation) = (joined.member_id.clone(), joined.generation);
        let request = SyncRequest {
            claim: self.claim(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: self.assign(&joined),
        };
        let answer = self
            .world
            .call(&self.rng, self.home, move |services| async move { services.groups.sync(request).await })
            .await;
        match answer {
            Some(Ok(synced)) => {
                let mut assignment = synced.assignment;
                let mut own = Vec::new();
                while assignment.has_remaining() {
                    own.push(assignment.get_u32());
                }
                Some(own)
            }
            Some(Err(condition)) => {
                self.judge(Some(condition));
                None
            }
            None => {
                self.judge(None);
                None
            }
        }
    }

    /// The leader's work: every partition to one member.
    fn assign(&self, joined: &Joined) -> Vec<(MemberId, Bytes)> {
        let count = joined.members.len();
        let own = |place: usize| {
            let mut assignment = BytesMut::new();
            let indexes = (0..self.world.partitions).skip(place).step_by(count);
            indexes.for_each(|index| assignment.put_u32(index));
            assignment.freeze()
        };
        joined.members.iter().enumerate().map(|(place, member)| (member.member_id.clone(), own(place))).collect()
    }

    /// Beats, commits and asks until the group moves on.
    async fn serve(&mut self, own: &[u32]) {
        while !self.world.stopping() {
            let next = match self.rng.below(10) {
                0..3 => self.beat().await,
                3..7 if !own.is_empty() => {
                    let index = own[usize::try_from(self.rng.below(own.len() as u64)).expect("small")];
                    self.commit(index).await
                }
                9 if self.rng.chance(0.1) => {
                    self.leave().await;
                    return;
                }
                _ => {
                    let index = u32::try_from(self.rng.below(u64::from(self.world.partitions))).expect("small");
                    self.fetch_committed(index).await;
                    Next::GoOn
                }
            };
            match next {
                Next::GoOn => {}
                Next::Again => self.home = self.world.any_agent(&self.rng),
                Next::Rejoin => return,
            }
            self.pause(150).await;
        }
    }

    async fn beat(&mut self) -> Next {
        let claim = self.claim();
        let answer = self
            .world
            .call(&self.rng, self.home, move |services| async move { services.groups.heartbeat(claim).await })
            .await;
        match answer {
            Some(Ok(())) => Next::GoOn,
            Some(Err(condition)) => self.judge(Some(condition)),
            None => self.judge(None),
        }
    }

    /// Commits a number that nobody commits again, so that what is read later names its commit.
    async fn commit(&mut self, index: u32) -> Next {
        let called = self.world.moment();
        let offset = i64::try_from(called).expect("a short run");
        let commit = OffsetCommit {
            claim: self.claim(),
            knows_group_id_not_found: true,
            retention: None,
            partitions: vec![PartitionCommit {
                partition: partition(self.world.topic, index),
                offset: Offset(offset),
                leader_epoch: -1,
                metadata: "".into(),
            }],
        };
        let answer = self
            .world
            .call(&self.rng, self.home, move |services| async move { services.groups.commit_offsets(commit).await })
            .await;
        let outcome = answer.map(|outcome| outcome.and_then(|mut results| results.pop().expect("one result")));
        let refused = matches!(
            outcome,
            Some(Err(Condition::IllegalGeneration | Condition::UnknownMemberId | Condition::RebalanceInProgress))
        );
        // What was refused for certain must never be seen: the history does not know it.
        if !refused {
            let acked = matches!(outcome, Some(Ok(())));
            self.world.record(called, Operation::Commit { group: self.group, partition: index, offset, acked });
        }
        match outcome {
            Some(Ok(())) => Next::GoOn,
            Some(Err(condition)) => self.judge(Some(condition)),
            None => self.judge(None),
        }
    }

    /// Asks for a committed offset; says whether it was told.
    async fn fetch_committed(&mut self, index: u32) -> bool {
        let (called, group, wanted) = (self.world.moment(), group_id(self.group), partition(self.world.topic, index));
        let asked = if self.rng.chance(0.5) { OffsetSelection::All } else { OffsetSelection::Partitions(vec![wanted]) };
        let answer =
            self.world
                .call(&self.rng, self.home, move |services| async move {
                    services.groups.fetch_offsets(&group, asked).await
                })
                .await;
        let Some(Ok(found)) = answer else {
            self.home = self.world.any_agent(&self.rng);
            return false;
        };
        let offset = found.get(&wanted).map_or(-1, |committed| committed.offset.0);
        self.world.record(called, Operation::Committed { group: self.group, partition: index, offset });
        true
    }

    async fn leave(&mut self) {
        let (group, member_id) = (group_id(self.group), self.member_id.clone());
        let leaving = vec![Leaving { member_id, instance_id: None }];
        let left = self
            .world
            .call(&self.rng, self.home, move |services| async move { services.groups.leave(&group, leaving).await });
        drop(left.await);
        self.forget();
    }

    fn forget(&mut self) {
        (self.member_id, self.generation) = ("".into(), GenerationId(-1));
    }

    /// What to do after a refusal, or after no answer at all.
    fn judge(&mut self, condition: Option<Condition>) -> Next {
        match condition {
            None | Some(Condition::NotCoordinator | Condition::CoordinatorNotAvailable) => {
                self.home = self.world.any_agent(&self.rng);
                Next::Again
            }
            Some(Condition::CoordinatorLoadInProgress) => Next::Again,
            Some(Condition::UnknownMemberId) => {
                self.forget();
                Next::Rejoin
            }
            Some(Condition::IllegalGeneration | Condition::RebalanceInProgress) => Next::Rejoin,
            Some(other) => panic!("a healthy member of group {} was refused: {other}", self.group),
        }
    }
}
