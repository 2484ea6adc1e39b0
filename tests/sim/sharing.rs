//! Simulated members of a share group: they change agents, lose answers, forget records, end sessions and vanish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use towpath::base::rng::Rng;
use towpath::coordinator::share::values::{
    AcknowledgeType, AcknowledgementBatch, AcquireMode, PartitionAcknowledgement, ShareAcknowledgeRequest,
    ShareFetchAnswer, ShareFetchRequest, ShareHeartbeat, SharedRecords,
};
use towpath::model::error::{Condition, Failure};
use towpath::model::group::{GroupId, MemberId};
use towpath::model::offset::Offset;
use towpath::model::topic::TopicName;

use crate::clients::{partition, values};
use crate::history::{Delivery, Moment, Operation, Partition, Verdict};
use crate::world::World;

/// The group that all members are in.
pub(crate) const GROUP: &str = "sharers";

/// What is to be said of a record.
type Pending = BTreeMap<(Partition, i64), AcknowledgeType>;

/// A member of the share group.
pub(crate) struct SimSharer {
    pub(crate) world: Arc<World>,
    pub(crate) number: u32,
    pub(crate) rng: Rng,
    /// Accepts whatever comes, as the last member does that empties the group.
    pub(crate) accepts_all: bool,
}

impl SimSharer {
    fn member_id(&self) -> MemberId {
        format!("member-{}", self.number).as_str().into()
    }

    /// Works until the world says to stop, then answers for what it still holds, once.
    pub(crate) async fn run(self) {
        self.join().await;
        let mut pending = Pending::new();
        let mut agent = self.world.any_agent(&self.rng);
        while !self.world.stopping() {
            if self.rng.chance(0.15) {
                if self.rng.chance(0.5) {
                    self.leave(agent).await;
                }
                agent = self.world.any_agent(&self.rng);
            }
            if !pending.is_empty() && self.rng.chance(0.3) {
                self.acknowledge(agent, &mut pending).await;
            } else {
                let wait = Duration::from_millis(self.rng.below(400));
                self.fetch(agent, &mut pending, wait).await;
            }
            tokio::time::sleep(self.rng.jitter(Duration::from_millis(60))).await;
        }
        self.acknowledge(agent, &mut pending).await;
    }

    /// After all faults: takes and accepts until every share partition has come to the end of its log.
    pub(crate) async fn drain(&self) {
        let world = &self.world;
        let ends = world.ends().await;
        self.join().await;
        let mut pending = Pending::new();
        for _ in 0..400 {
            let agent = world.any_agent(&self.rng);
            self.fetch(agent, &mut pending, Duration::from_millis(200)).await;
            self.acknowledge(agent, &mut pending).await;
            let starts = self.starts(agent).await;
            if (0..world.partitions).all(|index| starts.get(&index) == ends.get(&index)) {
                return;
            }
        }
        panic!("the group does not come to the end: {:?} of {ends:?}", self.starts(0).await);
    }

    /// The start offset of every share partition, as an agent reads it.
    async fn starts(&self, agent: usize) -> BTreeMap<Partition, i64> {
        let world = &self.world;
        let partitions: Vec<_> = (0..world.partitions).map(|index| partition(world.topic, index)).collect();
        let answer = world
            .call(&self.rng, agent, move |services| async move {
                services.share_delivery.inspect(&GROUP.into(), partitions).await
            })
            .await;
        let Some(Ok(found)) = answer else { return BTreeMap::new() };
        let start = |(index, summary): (Partition, Option<_>)| {
            let summary: towpath::coordinator::share::values::SharePartitionSummary = summary?;
            Some((index, summary.start_offset?.0))
        };
        (0..).zip(found).filter_map(start).collect()
    }

    /// Joins at whichever agent is the group's home.
    async fn join(&self) {
        loop {
            let request = ShareHeartbeat {
                group_id: GROUP.into(),
                member_id: self.member_id(),
                member_epoch: 0,
                rack: None,
                subscribed: Some(vec![TopicName::new("simulated").expect("legal")]),
                client_id: "simulated".into(),
                client_host: "/192.0.2.1".into(),
            };
            let agent = self.world.any_agent(&self.rng);
            let answer = self
                .world
                .call(&self.rng, agent, move |services| async move { services.share_groups.heartbeat(request).await })
                .await;
            match answer {
                Some(Ok(joined)) => {
                    assert!(joined.assignment.is_some(), "the first answer carries the assignment");
                    return;
                }
                Some(Err(failure)) => assert!(
                    matches!(
                        failure.condition,
                        Condition::NotCoordinator
                            | Condition::CoordinatorNotAvailable
                            | Condition::CoordinatorLoadInProgress
                    ),
                    "a healthy heartbeat was refused: {failure:?}"
                ),
                None => {}
            }
            if self.world.stopping() && !self.accepts_all {
                return;
            }
            tokio::time::sleep(self.rng.jitter(Duration::from_millis(100))).await;
        }
    }

    /// The session on an agent ends, as when its connection does.
    async fn leave(&self, agent: usize) {
        let world = &self.world;
        let partitions = (0..world.partitions).map(|index| partition(world.topic, index)).collect();
        let member_id = self.member_id();
        let called = world.moment();
        // The agent may see the end although the client never hears of it, and it may take a while: from now on
        // whatever this member holds through it may be somebody else's.
        world.record(called, Operation::ShareLeft { member: self.number, agent });
        world
            .call(&self.rng, agent, move |services| async move {
                services.share_delivery.release(GROUP.into(), member_id, partitions);
            })
            .await;
    }

    async fn fetch(&self, agent: usize, pending: &mut Pending, wait: Duration) {
        let world = &self.world;
        let said = std::mem::take(pending);
        let order: Vec<Partition> = {
            let first = u32::try_from(self.rng.below(u64::from(world.partitions))).expect("small");
            (0..world.partitions).map(|index| (index + first) % world.partitions).collect()
        };
        let request = ShareFetchRequest {
            group_id: GroupId::from(GROUP),
            member_id: self.member_id(),
            acknowledgements: self.acknowledgements(&said),
            partitions: order.iter().map(|index| partition(world.topic, *index)).collect(),
            records_max: u32::try_from(1 + self.rng.below(20)).expect("small"),
            batch_size: 5,
            mode: if self.rng.chance(0.5) { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized },
            bytes_min: 1,
            wait_max: wait,
            bytes_max: 6_000,
        };
        let called = world.moment();
        let answer =
            world.call(&self.rng, agent, move |services| async move { services.share_delivery.fetch(request).await });
        let answer = answer.await;
        let Some(ShareFetchAnswer { fetched, acknowledged, .. }) = answer else {
            return self.note_verdicts(called, &said, None);
        };
        self.note_verdicts(called, &said, Some(&acknowledged));
        for (index, outcome) in order.into_iter().zip(fetched) {
            match outcome {
                Ok(shared) => self.take(called, agent, index, shared, pending),
                Err(failure) => assert!(
                    matches!(
                        failure.condition,
                        Condition::KafkaStorageError
                            | Condition::NotLeaderOrFollower
                            | Condition::CorruptMessage
                            | Condition::CoordinatorNotAvailable
                    ) || (!self.accepts_all && failure.condition == Condition::UnknownServerError),
                    "a healthy share fetch of partition {index} was refused: {failure:?}"
                ),
            }
        }
    }

    /// Notes what came, and decides what will be said of it.
    fn take(&self, called: Moment, agent: usize, index: Partition, shared: SharedRecords, pending: &mut Pending) {
        if shared.acquired.is_empty() {
            return;
        }
        let records: BTreeMap<i64, u64> = values(shared.records, 0).0.into_iter().collect();
        let mut delivered = Vec::new();
        for range in &shared.acquired {
            for offset in range.first.0..=range.last.0 {
                let value = records.get(&offset).copied();
                let is_marker = || self.world.history_has_marker(index, offset);
                assert!(value.is_some() || is_marker(), "offset {offset} was acquired without its record");
                delivered.push(Delivery { offset, value, count: range.delivery_count });
                if let Some(kind) = self.verdict() {
                    pending.insert((index, offset), kind);
                }
            }
        }
        let operation = Operation::ShareDelivered { member: self.number, agent, partition: index, records: delivered };
        self.world.record(called, operation);
    }

    /// What will be said of a record; nothing when it is forgotten.
    fn verdict(&self) -> Option<AcknowledgeType> {
        if self.accepts_all {
            return Some(AcknowledgeType::Accept);
        }
        match self.rng.below(100) {
            0..70 => Some(AcknowledgeType::Accept),
            70..80 => Some(AcknowledgeType::Release),
            80..86 => Some(AcknowledgeType::Reject),
            86..90 => Some(AcknowledgeType::Renew),
            _ => None,
        }
    }

    async fn acknowledge(&self, agent: usize, pending: &mut Pending) {
        let said = std::mem::take(pending);
        if said.is_empty() {
            return;
        }
        let request = ShareAcknowledgeRequest {
            group_id: GROUP.into(),
            member_id: self.member_id(),
            acknowledgements: self.acknowledgements(&said),
        };
        let called = self.world.moment();
        let answer = self
            .world
            .call(&self.rng, agent, move |services| async move { services.share_delivery.acknowledge(request).await })
            .await;
        self.note_verdicts(called, &said, answer.map(|answer| answer.acknowledged).as_deref());
    }

    /// In the order of their partitions, as [`Self::note_verdicts`] reads the outcomes.
    fn acknowledgements(&self, said: &Pending) -> Vec<PartitionAcknowledgement> {
        let mut all: Vec<PartitionAcknowledgement> = Vec::new();
        for ((index, offset), kind) in said {
            let of = partition(self.world.topic, *index);
            let batch = AcknowledgementBatch { first: Offset(*offset), last: Offset(*offset), types: vec![*kind] };
            match all.last_mut().filter(|last| last.partition == of) {
                Some(last) => last.batches.push(batch),
                None => all.push(PartitionAcknowledgement { partition: of, batches: vec![batch] }),
            }
        }
        all
    }

    fn note_verdicts(&self, called: Moment, said: &Pending, outcomes: Option<&[Result<(), Failure>]>) {
        let mut by_partition: BTreeMap<Partition, Vec<(i64, AcknowledgeType)>> = BTreeMap::new();
        for ((index, offset), kind) in said {
            by_partition.entry(*index).or_default().push((*offset, *kind));
        }
        for (place, (index, verdicts)) in by_partition.into_iter().enumerate() {
            let verdict = match outcomes.map(|outcomes| &outcomes[place]) {
                Some(Ok(())) => Verdict::Done,
                Some(Err(failure)) => match failure.condition {
                    Condition::InvalidRecordState | Condition::InvalidRequest => Verdict::Refused,
                    _ => Verdict::Unknown,
                },
                None => Verdict::Unknown,
            };
            let operation =
                Operation::ShareAcknowledged { member: self.number, partition: index, verdicts, outcome: verdict };
            self.world.record(called, operation);
        }
    }
}
