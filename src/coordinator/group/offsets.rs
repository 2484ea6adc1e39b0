//! Committed offsets as documents; `docs/formats/group_documents.md` describes them.
//!
//! Every offset is a document of its own, named so that a group's offsets stand together and no group's name can
//! be mistaken for another's:
//!
//! ```text
//! {length of the group id in bytes}:{group id}:{topic id}:{partition}
//! ```

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::clock::Timestamp;
use crate::coordinator::group::document::UnreadableDocument;
use crate::coordinator::group::values::CommittedOffset;
use crate::metastore::error::Result;
use crate::metastore::store::Metastore;
use crate::metastore::values::{Document, DocumentKey, DocumentKind};
use crate::model::group::GroupId;
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

const VERSION: u8 = 1;

/// How many documents one page of a listing holds: a page stays well below a megabyte.
pub const PAGE_DOCUMENTS_MAX: u32 = 1_000;

#[derive(serde::Serialize, serde::Deserialize)]
struct Stored {
    offset: Offset,
    leader_epoch: i32,
    metadata: Arc<str>,
    committed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

/// What the names of all committed offsets of a group begin with.
#[must_use]
pub fn name_prefix(group_id: &GroupId) -> String {
    format!("{}:{group_id}:", group_id.as_str().len())
}

/// The key of one committed offset.
#[must_use]
pub fn offset_key(group_id: &GroupId, partition: TopicIdPartition) -> DocumentKey {
    let name = format!("{}{}:{}", name_prefix(group_id), partition.topic_id, partition.partition);
    DocumentKey { kind: DocumentKind::CommittedOffset, name: name.into() }
}

/// The partition in a name that begins with `prefix`.
fn partition_of(name: &str, prefix: &str) -> Option<TopicIdPartition> {
    let (topic_id, partition) = name.strip_prefix(prefix)?.split_once(':')?;
    let topic_id = TopicId(uuid::Uuid::try_parse(topic_id).ok()?);
    Some(TopicIdPartition::new(topic_id, PartitionIndex(partition.parse().ok()?)))
}

/// The document of a committed offset.
#[must_use]
pub fn encode(committed: &CommittedOffset) -> Bytes {
    let stored = Stored {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.clone(),
        committed_at: committed.committed_at,
        expires_at: committed.expires_at,
    };
    let body = serde_json::to_vec(&stored).expect("text and numbers always have a JSON form");
    let mut document = BytesMut::with_capacity(1 + body.len());
    document.put_u8(VERSION);
    document.put_slice(&body);
    document.freeze()
}

/// The committed offset a document holds.
///
/// # Errors
/// When the document is of another version or damaged.
pub fn decode(document: &[u8]) -> std::result::Result<CommittedOffset, UnreadableDocument> {
    let (version, body) = document.split_first().ok_or(UnreadableDocument::Short)?;
    if *version != VERSION {
        return Err(UnreadableDocument::Version(*version));
    }
    let stored: Stored = serde_json::from_slice(body)?;
    Ok(CommittedOffset {
        offset: stored.offset,
        leader_epoch: stored.leader_epoch,
        metadata: stored.metadata,
        committed_at: stored.committed_at,
        expires_at: stored.expires_at,
    })
}

/// All committed offsets of a group, ordered by topic id. A document that can not be read is left out with a
/// warning: its consumer starts from its reset policy rather than not at all.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn list(metastore: &dyn Metastore, group_id: &GroupId) -> Result<Vec<(TopicIdPartition, CommittedOffset)>> {
    let prefix = name_prefix(group_id);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let kind = DocumentKind::CommittedOffset;
        let page = metastore.list_documents(kind, &prefix, after.take(), PAGE_DOCUMENTS_MAX).await?;
        after = page.last().map(|document| document.key.name.clone());
        let is_last = page.len() < usize::try_from(PAGE_DOCUMENTS_MAX).unwrap_or(usize::MAX);
        found.extend(page.iter().filter_map(|document| read(document, &prefix)));
        if is_last {
            return Ok(found);
        }
    }
}

/// The wanted committed offsets of a group, in the order asked for.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn get(
    metastore: &dyn Metastore,
    group_id: &GroupId,
    partitions: &[TopicIdPartition],
) -> Result<Vec<Option<CommittedOffset>>> {
    let prefix = name_prefix(group_id);
    let keys = partitions.iter().map(|partition| offset_key(group_id, *partition)).collect();
    let documents = metastore.get_documents(keys).await?;
    Ok(documents.iter().map(|document| read(document.as_ref()?, &prefix).map(|(_, committed)| committed)).collect())
}

fn read(document: &Document, prefix: &str) -> Option<(TopicIdPartition, CommittedOffset)> {
    let partition = partition_of(&document.key.name, prefix)?;
    match decode(&document.body) {
        Ok(committed) => Some((partition, committed)),
        Err(unreadable) => {
            tracing::warn!(key = %document.key, %unreadable, "committed offset left out");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partition(number: i32) -> TopicIdPartition {
        TopicIdPartition::new(TopicId(uuid::Uuid::from_u128(5)), PartitionIndex(number))
    }

    #[test]
    fn no_group_sees_the_offsets_of_another() {
        let groups = ["", ":", "a", "a:", "1:a", "1:a:", "a:1", "11:a", "é"];
        for owner in groups {
            let key = offset_key(&owner.into(), partition(0));
            for reader in groups {
                let starts = key.name.starts_with(&name_prefix(&reader.into()));
                assert_eq!(starts, owner == reader, "{owner:?} read as {reader:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn names_and_bodies_come_back(group in ".{0,20}", other in ".{0,20}", number in 0..i32::MAX,
                offset in any::<i64>(), metadata in ".{0,30}", expires_at in any::<Option<i64>>()) {
            let (group, other) = (GroupId::from(&*group), GroupId::from(&*other));
            let name = offset_key(&group, partition(number)).name;
            prop_assert_eq!(partition_of(&name, &name_prefix(&group)), Some(partition(number)));
            prop_assert_eq!(name.starts_with(&name_prefix(&other)), group == other);
            let committed = CommittedOffset {
                offset: Offset(offset),
                leader_epoch: -1,
                metadata: metadata.into(),
                committed_at: Timestamp(3),
                expires_at: expires_at.map(Timestamp),
            };
            prop_assert_eq!(decode(&encode(&committed)).unwrap(), committed);
        }
    }

    #[test]
    fn version_1_is_read_as_it_was_written() {
        let document = b"\x01{\"offset\":42,\"leader_epoch\":0,\"metadata\":\"m\",\"committed_at\":7}";
        let committed = decode(document).unwrap();
        assert_eq!((committed.offset, committed.committed_at, committed.expires_at), (Offset(42), Timestamp(7), None));
        assert!(matches!(decode(b"\x02{}"), Err(UnreadableDocument::Version(2))));
        assert!(decode(b"").is_err());
    }
}
