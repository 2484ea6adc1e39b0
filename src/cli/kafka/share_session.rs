//! One share session: what a member and one broker remember of each other, over one connection.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::protocol::text;
use crate::cli::kafka::share_acknowledgements::{Acknowledgements, PartitionKey};
use crate::wire::share::acknowledge_request::ShareAcknowledgeRequest;
use crate::wire::share::acknowledgements::{SharePartition, ShareTopic};
use crate::wire::share::fetch_request::{ForgottenTopic, ShareFetchRequest};

/// The number that closes a session.
const CLOSE: i32 = -1;

/// How to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareTuning {
    /// The longest wait for records, in milliseconds.
    pub wait_max_ms: i32,
    /// The most records of one answer.
    pub records_max: i32,
    /// Never more than that, rather than whole batches of producers (KIP-1206).
    pub is_strict: bool,
}

impl Default for ShareTuning {
    fn default() -> Self {
        Self { wait_max_ms: 500, records_max: 500, is_strict: false }
    }
}

/// Who a session belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareMember {
    /// The group.
    pub group: String,
    /// The member's id.
    pub id: String,
}

/// A session of one member with one broker.
#[derive(Debug)]
pub struct ShareSession {
    /// A connection of its own: the broker gives back what is held when it ends.
    pub connection: Connection,
    /// What is to be said with the next request.
    pub pending: Acknowledgements,
    /// What a request on its way says.
    pub sending: Acknowledgements,
    numbers: Numbers,
}

/// The part of a session that both sides count.
#[derive(Debug, Default, PartialEq, Eq)]
struct Numbers {
    /// 0 while the session is not open.
    epoch: i32,
    /// What the broker knows us to fetch.
    known: BTreeSet<PartitionKey>,
}

impl ShareSession {
    /// A session that is not open yet.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        let (pending, sending) = (Acknowledgements::default(), Acknowledgements::default());
        Self { connection, pending, sending, numbers: Numbers::default() }
    }

    /// Whether the broker knows it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.numbers.epoch > 0
    }

    /// Whether the broker must be told something even where nothing of it is wanted.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.is_open() && !(self.pending.is_empty() && self.numbers.known.is_empty())
    }

    /// The next fetch, of exactly the partitions `wanted`; it carries what is pending.
    pub fn fetch(
        &mut self,
        member: &ShareMember,
        wanted: &BTreeSet<PartitionKey>,
        tuning: ShareTuning,
    ) -> ShareFetchRequest {
        // Nothing can be acknowledged in a session that only opens.
        self.sending = if self.is_open() { std::mem::take(&mut self.pending) } else { Acknowledgements::default() };
        let (topics, forgotten) = self.numbers.fetch(wanted, &self.sending);
        ShareFetchRequest {
            group_id: Some(text(&member.group)),
            member_id: Some(text(&member.id)),
            session_epoch: self.numbers.epoch,
            wait_max_ms: tuning.wait_max_ms,
            bytes_min: 1,
            bytes_max: 50 << 20,
            records_max: tuning.records_max,
            batch_size: tuning.records_max,
            acquire_mode: i8::from(tuning.is_strict),
            topics,
            forgotten,
            ..ShareFetchRequest::default()
        }
    }

    /// Says what is pending without fetching; `is_last` closes the session, which gives the rest back.
    pub fn acknowledge(&mut self, member: &ShareMember, is_last: bool) -> ShareAcknowledgeRequest {
        self.sending = std::mem::take(&mut self.pending);
        ShareAcknowledgeRequest {
            group_id: Some(text(&member.group)),
            member_id: Some(text(&member.id)),
            session_epoch: if is_last { CLOSE } else { self.numbers.epoch },
            is_renew: false,
            topics: topics_of(self.sending.partitions().map(|partition| (partition, &self.sending))),
        }
    }

    /// The broker took the request.
    pub fn went_on(&mut self) {
        self.numbers.epoch = self.numbers.epoch.checked_add(1).unwrap_or(1);
    }

    /// The broker knows nothing of it (any longer): the next fetch opens it anew.
    pub fn start_over(&mut self) {
        self.numbers = Numbers::default();
    }
}

impl Numbers {
    fn fetch(
        &mut self,
        wanted: &BTreeSet<PartitionKey>,
        sending: &Acknowledgements,
    ) -> (Vec<ShareTopic>, Vec<ForgottenTopic>) {
        if self.epoch == 0 {
            self.known.clear();
        }
        let said: BTreeSet<PartitionKey> = sending.partitions().collect();
        let added = wanted.difference(&self.known).copied();
        let named: BTreeSet<PartitionKey> = added.chain(said.iter().copied()).collect();
        // What only carries acknowledgements is added by naming it, so it is forgotten in the same request.
        let gone = self.known.union(&said).filter(|partition| !wanted.contains(partition)).copied();
        let mut forgotten: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in gone {
            forgotten.entry(topic).or_default().push(partition);
        }
        self.known.clone_from(wanted);
        let forgotten = forgotten.into_iter().map(|(topic_id, partitions)| ForgottenTopic { topic_id, partitions });
        (topics_of(named.into_iter().map(|partition| (partition, sending))), forgotten.collect())
    }
}

fn topics_of<'a>(partitions: impl Iterator<Item = (PartitionKey, &'a Acknowledgements)>) -> Vec<ShareTopic> {
    let mut topics: BTreeMap<Uuid, Vec<SharePartition>> = BTreeMap::new();
    for (key, acknowledgements) in partitions {
        let partition = SharePartition { partition: key.1, batches: acknowledgements.batches(key) };
        topics.entry(key.0).or_default().push(partition);
    }
    topics.into_iter().map(|(topic_id, partitions)| ShareTopic { topic_id, partitions }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::share::values::AcknowledgeType;

    fn key(partition: i32) -> PartitionKey {
        (Uuid::from_u128(1), partition)
    }

    fn named(topics: &[ShareTopic]) -> Vec<(i32, usize)> {
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| (partition.partition, partition.batches.len())).collect()
    }

    #[test]
    fn only_changes_are_said_once_a_session_is_open() {
        let mut numbers = Numbers::default();
        let nothing = Acknowledgements::default();
        let (topics, forgotten) = numbers.fetch(&BTreeSet::from([key(0), key(1)]), &nothing);
        assert_eq!((named(&topics), forgotten.len()), (vec![(0, 0), (1, 0)], 0));

        numbers.epoch = 1;
        let (topics, forgotten) = numbers.fetch(&BTreeSet::from([key(0), key(1)]), &nothing);
        assert!(topics.is_empty() && forgotten.is_empty());

        // Partition 0 moved away, but what it delivered is still to be acknowledged here.
        let mut said = Acknowledgements::default();
        said.add(key(0), 5, AcknowledgeType::Accept);
        let (topics, forgotten) = numbers.fetch(&BTreeSet::from([key(1), key(2)]), &said);
        assert_eq!(named(&topics), [(0, 1), (2, 0)]);
        assert_eq!(forgotten[0].partitions, [0]);

        let (topics, forgotten) = numbers.fetch(&BTreeSet::from([key(1), key(2)]), &said);
        assert_eq!(named(&topics), [(0, 1)]);
        assert_eq!(forgotten[0].partitions, [0], "naming it has added it again");
    }

    #[test]
    fn a_session_that_starts_over_says_everything() {
        let mut numbers = Numbers { epoch: 7, known: BTreeSet::from([key(0), key(1)]) };
        numbers.epoch = 0;
        let (topics, forgotten) = numbers.fetch(&BTreeSet::from([key(1)]), &Acknowledgements::default());
        assert_eq!(named(&topics), [(1, 0)]);
        assert!(forgotten.is_empty());
    }
}
