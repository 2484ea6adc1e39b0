//! The stored document of a share group; `docs/formats/group_documents.md` describes it.
//!
//! ```text
//! version: u8 = 1 | JSON
//! ```
//!
//! Only what another agent needs to go on is stored: no sessions, and of the epochs that members were told only those
//! that were known at the last change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;

use crate::coordinator::share::group::state::{KnownTopic, ShareGroup, ShareMember};
use crate::coordinator::share::values::Assignment;
use crate::metastore::values::{DocumentKey, DocumentKind};
use crate::model::group::{GroupId, MemberId};
use crate::model::node::NodeIdentity;
use crate::model::topic::{PartitionIndex, TopicId, TopicName};

const VERSION: u8 = 1;

/// Partitions are numbered from 0 and a topic has far fewer; a document that says otherwise is damaged.
const PARTITIONS_MAX: i32 = 1_000_000;

/// Why a stored document can not be used.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableDocument {
    /// It was written by a later release, or by something else.
    #[error("document has format version {0}, this release knows {VERSION}")]
    Version(u8),
    /// It holds nothing.
    #[error("document is empty")]
    Short,
    /// It does not parse.
    #[error("document does not parse: {0}")]
    Content(#[from] serde_json::Error),
    /// It names partitions that can not be.
    #[error("document names partitions {0} to {1}")]
    Partitions(i32, i32),
}

/// Partitions as runs of neighbours: first and last.
type Runs = Vec<(i32, i32)>;

#[derive(serde::Serialize, serde::Deserialize)]
struct Stored {
    group_epoch: i32,
    assignment_epoch: i32,
    topics: Vec<StoredTopic>,
    members: Vec<StoredMember>,
    /// Who wrote it; two homes never write the same bytes.
    home: NodeIdentity,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredTopic {
    topic_id: TopicId,
    partition_count: i32,
    initialised: Runs,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredMember {
    member_id: MemberId,
    rack: Option<Arc<str>>,
    client_id: Arc<str>,
    client_host: Arc<str>,
    subscribed: BTreeSet<TopicName>,
    epoch: i32,
    previous_epoch: i32,
    changed_at: i32,
    assigned: BTreeMap<TopicId, Runs>,
}

/// The key of a share group's document.
#[must_use]
pub fn group_key(group_id: &GroupId) -> DocumentKey {
    DocumentKey { kind: DocumentKind::ShareGroup, name: group_id.0.clone() }
}

/// The key of the document that a classic group of the same id has: a group is of one kind only.
#[must_use]
pub fn classic_key(group_id: &GroupId) -> DocumentKey {
    DocumentKey { kind: DocumentKind::Group, name: group_id.0.clone() }
}

/// The document of a share group, as `home` writes it.
#[must_use]
pub fn encode(group: &ShareGroup, home: NodeIdentity) -> Bytes {
    let topic = |(topic_id, topic): (&TopicId, &KnownTopic)| StoredTopic {
        topic_id: *topic_id,
        partition_count: topic.partition_count,
        initialised: runs(&topic.initialised),
    };
    let member = |(member_id, member): (&MemberId, &ShareMember)| StoredMember {
        member_id: member_id.clone(),
        rack: member.rack.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed: member.subscribed.clone(),
        epoch: member.epoch,
        previous_epoch: member.previous_epoch,
        changed_at: member.changed_at,
        assigned: member.assigned.iter().map(|(topic_id, partitions)| (*topic_id, runs(partitions))).collect(),
    };
    let stored = Stored {
        group_epoch: group.group_epoch,
        assignment_epoch: group.assignment_epoch,
        topics: group.topics.iter().map(topic).collect(),
        members: group.members.iter().map(member).collect(),
        home,
    };
    let body = serde_json::to_vec(&stored).expect("text and numbers always have a JSON form");
    let mut document = BytesMut::with_capacity(1 + body.len());
    document.put_u8(VERSION);
    document.put_slice(&body);
    document.freeze()
}

/// The group a document holds. Every member's session ends at `sessions_end`: only the former home knew how long ago
/// it heard of it.
///
/// # Errors
/// When the document is of another version or damaged.
pub fn decode(group_id: &GroupId, document: &[u8], sessions_end: Instant) -> Result<ShareGroup, UnreadableDocument> {
    let (version, body) = document.split_first().ok_or(UnreadableDocument::Short)?;
    if *version != VERSION {
        return Err(UnreadableDocument::Version(*version));
    }
    let stored: Stored = serde_json::from_slice(body)?;
    let mut topics = BTreeMap::new();
    for topic in stored.topics {
        let initialised = partitions(&topic.initialised)?.collect();
        topics.insert(topic.topic_id, KnownTopic { partition_count: topic.partition_count, initialised });
    }
    let mut members = BTreeMap::new();
    for member in stored.members {
        let mut assigned = Assignment::new();
        for (topic_id, runs) in &member.assigned {
            assigned.insert(*topic_id, partitions(runs)?.collect());
        }
        let restored = ShareMember {
            rack: member.rack,
            client_id: member.client_id,
            client_host: member.client_host,
            subscribed: member.subscribed,
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            changed_at: member.changed_at,
            assigned,
            is_restored: true,
            session_deadline: sessions_end,
        };
        members.insert(member.member_id, restored);
    }
    Ok(ShareGroup {
        exists: true,
        group_epoch: stored.group_epoch,
        assignment_epoch: stored.assignment_epoch,
        topics,
        members,
        ..ShareGroup::absent(group_id.clone())
    })
}

/// Ascending partitions as runs.
fn runs<'a>(partitions: impl IntoIterator<Item = &'a PartitionIndex>) -> Runs {
    let mut runs = Runs::new();
    for PartitionIndex(index) in partitions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => runs.push((*index, *index)),
        }
    }
    runs
}

/// Runs as partitions.
fn partitions(runs: &Runs) -> Result<impl Iterator<Item = PartitionIndex>, UnreadableDocument> {
    let is_wrong = |(first, last): &&(i32, i32)| *first < 0 || last < first || *last > PARTITIONS_MAX;
    if let Some((first, last)) = runs.iter().find(is_wrong) {
        return Err(UnreadableDocument::Partitions(*first, *last));
    }
    Ok(runs.iter().flat_map(|(first, last)| (*first..=*last).map(PartitionIndex)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node::{NodeEpoch, NodeId};

    const HOME: NodeIdentity = NodeIdentity { node_id: NodeId(3), node_epoch: NodeEpoch(7) };

    fn topic_id() -> TopicId {
        TopicId(uuid::Uuid::from_u128(5))
    }

    fn group(now: Instant) -> ShareGroup {
        let member = |epoch, partitions: &[i32]| ShareMember {
            rack: Some("r".into()),
            client_id: "client".into(),
            client_host: "/192.0.2.1".into(),
            subscribed: BTreeSet::from([TopicName::new("t").unwrap()]),
            epoch,
            previous_epoch: epoch - 1,
            changed_at: 3,
            assigned: Assignment::from([(topic_id(), partitions.iter().copied().map(PartitionIndex).collect())]),
            is_restored: true,
            session_deadline: now,
        };
        let initialised = [0, 1, 2, 7, 9].map(PartitionIndex).into();
        ShareGroup {
            exists: true,
            group_epoch: 6,
            assignment_epoch: 5,
            topics: BTreeMap::from([(topic_id(), KnownTopic { partition_count: 12, initialised })]),
            members: BTreeMap::from([("a".into(), member(5, &[0, 1, 7])), ("b".into(), member(4, &[2, 9]))]),
            ..ShareGroup::absent("g".into())
        }
    }

    #[test]
    fn what_is_stored_comes_back_with_fresh_sessions() {
        let now = Instant::now();
        assert_eq!(decode(&"g".into(), &encode(&group(now), HOME), now).unwrap(), group(now));
    }

    #[test]
    fn a_damaged_document_is_refused_at_every_length() {
        let now = Instant::now();
        let document = encode(&group(now), HOME);
        for length in 0..document.len() {
            assert!(decode(&"g".into(), &document[..length], now).is_err(), "{length} bytes were enough");
        }
        let mut other_version = document.to_vec();
        other_version[0] = 9;
        assert!(matches!(decode(&"g".into(), &other_version, now), Err(UnreadableDocument::Version(9))));
        for runs in ["[[3,2]]", "[[-1,2]]", "[[0,2147483647]]"] {
            let text = String::from_utf8(document[1..].to_vec()).unwrap().replace("[[0,2],[7,7],[9,9]]", runs);
            let lie = [&[1], text.as_bytes()].concat();
            assert!(matches!(decode(&"g".into(), &lie, now), Err(UnreadableDocument::Partitions(..))), "{runs}");
        }
    }
}
