//! What a ShareFetch asks of each partition, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::api::error::{code, metastore_failure};
use crate::api::lookup::{snapshot_where, text};
use crate::api::services::Services;
use crate::api::share::acknowledgements::{Named, TypesAllowed, checked, existing};
use crate::api::share::share_session::{Finding, Plan, SessionKey, ShareSessions};
use crate::coordinator::share::values::{AcquiredRange, PartitionAcknowledgement, ShareFetchAnswer, SharedRecords};
use crate::model::error::Failure;
use crate::model::topic::TopicIdPartition;
use crate::wire::share::fetch_response::{AcquiredRecords, ShareFetchedPartition, ShareFetchedTopic};

/// What a request asks of each partition, and then what became of it.
#[derive(Debug)]
pub struct Parts {
    /// Partitions to fetch from, in order of priority.
    order: Vec<TopicIdPartition>,
    /// Each of them, failed or not.
    fetched: BTreeMap<TopicIdPartition, Result<SharedRecords, Failure>>,
    /// Acknowledged partitions in order, each with what is said of it, or why that can not be.
    acknowledged: Vec<(TopicIdPartition, Result<PartitionAcknowledgement, Failure>)>,
}

impl Parts {
    /// Looks for the partitions of the session and of the acknowledgements, and judges these by themselves.
    pub async fn look_up(services: &Services, plan: &Plan, named: &[Named], allowed: TypesAllowed) -> Self {
        let acknowledged = || named.iter().filter(|(_, batches)| !batches.is_empty());
        let partitions = || plan.partitions.iter().chain(acknowledged().map(|(partition, _)| partition));
        let found = snapshot_where(&services.catalog, |snapshot| {
            partitions().all(|partition| {
                let topic = snapshot.topics_by_id.get(&partition.topic_id);
                topic.is_some_and(|topic| (0..topic.partition_count).contains(&partition.partition.0))
            })
        })
        .await;
        let exists = |partition: TopicIdPartition| match &found {
            Ok(snapshot) => existing(snapshot, partition),
            Err(error) => Err(metastore_failure(error)),
        };
        let judged = acknowledged().map(|(partition, batches)| {
            let judged = checked(*partition, batches, allowed);
            (*partition, judged.and_then(|judged| exists(*partition).map(|_| judged)))
        });
        let empty = |partition: &TopicIdPartition| (*partition, exists(*partition).map(|_| SharedRecords::default()));
        Self {
            order: plan.partitions.clone(),
            fetched: plan.partitions.iter().map(empty).collect(),
            acknowledged: judged.collect(),
        }
    }

    /// Partitions to acquire from: those that exist, in order of priority.
    #[must_use]
    pub fn partitions(&self) -> Vec<TopicIdPartition> {
        let sound = |partition: &&TopicIdPartition| self.fetched.get(partition).is_some_and(Result::is_ok);
        self.order.iter().filter(sound).copied().collect()
    }

    /// Acknowledgements that are sound so far.
    #[must_use]
    pub fn acknowledgements(&self) -> Vec<PartitionAcknowledgement> {
        self.acknowledged.iter().filter_map(|(_, judged)| judged.as_ref().ok().cloned()).collect()
    }

    /// Takes the outcomes, which are in the order of what was asked, and gives the lock's duration.
    pub fn take(&mut self, answer: ShareFetchAnswer) -> Duration {
        for (partition, outcome) in self.partitions().into_iter().zip(answer.fetched) {
            self.fetched.insert(partition, outcome);
        }
        let asked = self.acknowledged.iter_mut().filter(|(_, judged)| judged.is_ok());
        for ((_, judged), outcome) in asked.zip(answer.acknowledged) {
            if let Err(failure) = outcome {
                *judged = Err(failure);
            }
        }
        answer.lock_duration
    }

    /// The answer, which names the partitions that the session wants named and all that were acknowledged.
    #[must_use]
    pub fn into_topics(self, sessions: &ShareSessions, key: &SessionKey, plan: &Plan) -> Vec<ShareFetchedTopic> {
        let Self { order, mut fetched, acknowledged } = self;
        let mut acknowledged: BTreeMap<TopicIdPartition, Result<(), Failure>> =
            acknowledged.into_iter().map(|(partition, judged)| (partition, judged.map(|_| ()))).collect();
        let finding = |partition: &TopicIdPartition| match fetched.get(partition) {
            Some(Err(_)) => Finding::Failed,
            Some(Ok(shared)) if !shared.acquired.is_empty() => Finding::News,
            _ if acknowledged.contains_key(partition) => Finding::News,
            _ => Finding::Nothing,
        };
        let findings: Vec<Finding> = order.iter().map(finding).collect();
        let is_named = sessions.finish(key, plan, &findings);
        let mut answered = Answered::default();
        for (partition, _) in order.iter().zip(is_named).filter(|(_, is_named)| *is_named) {
            let outcome = fetched.remove(partition).unwrap_or_else(|| Ok(SharedRecords::default()));
            answered.add(*partition, outcome, acknowledged.remove(partition));
        }
        // What was acknowledged without being fetched: the session is over, or the partition forgotten.
        for (partition, outcome) in acknowledged {
            answered.add(partition, Ok(SharedRecords::default()), Some(outcome));
        }
        answered.topics
    }
}

#[derive(Default)]
struct Answered {
    topics: Vec<ShareFetchedTopic>,
    places: BTreeMap<Uuid, usize>,
}

impl Answered {
    fn add(
        &mut self,
        partition: TopicIdPartition,
        fetched: Result<SharedRecords, Failure>,
        acknowledged: Option<Result<(), Failure>>,
    ) {
        let topic_id = partition.topic_id.0;
        let place = *self.places.entry(topic_id).or_insert_with(|| {
            self.topics.push(ShareFetchedTopic { topic_id, partitions: Vec::new() });
            self.topics.len() - 1
        });
        let mut answer = ShareFetchedPartition { partition: partition.partition.0, ..ShareFetchedPartition::default() };
        match fetched {
            Ok(shared) => {
                answer.records = shared.records;
                answer.acquired = shared.acquired.iter().map(acquired).collect();
            }
            Err(failure) => {
                answer.error_code = code(failure.condition);
                answer.error_message = Some(text(failure.message));
            }
        }
        if let Some(Err(failure)) = acknowledged {
            answer.acknowledge_error_code = code(failure.condition);
            answer.acknowledge_error_message = Some(text(failure.message));
        }
        self.topics[place].partitions.push(answer);
    }
}

fn acquired(range: &AcquiredRange) -> AcquiredRecords {
    AcquiredRecords {
        first_offset: range.first.0,
        last_offset: range.last.0,
        delivery_count: i16::try_from(range.delivery_count).unwrap_or(i16::MAX),
    }
}
