//! The stored document of a classic group; `docs/formats/group_documents.md` describes it.
//!
//! ```text
//! version: u8 = 1 | head length: u32 | head: JSON | metadata and assignments of all members, back to back
//! ```
//!
//! Only what another agent needs to go on is stored: no sessions, no timers, no waiting requests, and no member
//! that was never told that it is one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::base::clock::Timestamp;
use crate::coordinator::group::classic::state::{ClassicGroup, JoinTimer};
use crate::coordinator::group::member::Member;
use crate::coordinator::group::values::{GroupState, Moment, Protocol};
use crate::metastore::values::{DocumentKey, DocumentKind};
use crate::model::group::{GenerationId, GroupId, GroupInstanceId, MemberId};
use crate::model::node::NodeIdentity;

const VERSION: u8 = 1;

/// Why a stored document can not be used.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableDocument {
    /// It was written by a later release, or by something else.
    #[error("document has format version {0}, this release knows {VERSION}")]
    Version(u8),
    /// It ends too soon.
    #[error("document ends before its content does")]
    Short,
    /// Its head does not parse.
    #[error("document does not parse: {0}")]
    Head(#[from] serde_json::Error),
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Head {
    state: GroupState,
    since: Timestamp,
    generation: GenerationId,
    protocol_type: Option<Arc<str>>,
    protocol_name: Option<Arc<str>>,
    leader: Option<MemberId>,
    members: Vec<StoredMember>,
    /// Who wrote it; two homes never write the same bytes.
    home: NodeIdentity,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredMember {
    member_id: MemberId,
    instance_id: Option<GroupInstanceId>,
    client_id: Arc<str>,
    client_host: Arc<str>,
    session_timeout_ms: u32,
    rebalance_timeout_ms: u32,
    protocols: Vec<(Arc<str>, u32)>,
    assignment: u32,
}

/// The key of a group's document.
#[must_use]
pub fn group_key(group_id: &GroupId) -> DocumentKey {
    DocumentKey { kind: DocumentKind::Group, name: group_id.0.clone() }
}

/// The key of the document that a share group of the same id has: a group is of one kind only.
#[must_use]
pub fn share_key(group_id: &GroupId) -> DocumentKey {
    DocumentKey { kind: DocumentKind::ShareGroup, name: group_id.0.clone() }
}

/// The document of a group, as `home` writes it.
#[must_use]
pub fn encode(group: &ClassicGroup, home: NodeIdentity) -> Bytes {
    let mut blobs = Vec::new();
    // A member's bytes came in one frame, and frames are far smaller than 4 GiB.
    let mut keep = |bytes: &Bytes| {
        blobs.push(bytes.clone());
        u32::try_from(bytes.len()).unwrap_or(u32::MAX)
    };
    let mut store = |member: &Member| StoredMember {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        protocols: member.protocols.iter().map(|protocol| (protocol.name.clone(), keep(&protocol.metadata))).collect(),
        assignment: keep(&member.assignment),
    };
    let head = Head {
        state: group.state,
        since: group.since,
        generation: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol_name.clone(),
        leader: group.leader.clone(),
        members: group.members.values().filter(|member| !member.is_new).map(&mut store).collect(),
        home,
    };
    let head = serde_json::to_vec(&head).expect("text and numbers always have a JSON form");
    let mut document = BytesMut::with_capacity(5 + head.len() + blobs.iter().map(Bytes::len).sum::<usize>());
    document.put_u8(VERSION);
    document.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
    document.put_slice(&head);
    blobs.iter().for_each(|bytes| document.put_slice(bytes));
    document.freeze()
}

/// The group a document holds. Sessions and timers start at `now`.
///
/// # Errors
/// When the document is of another version or damaged.
pub fn decode(group_id: &GroupId, mut document: Bytes, now: Moment) -> Result<ClassicGroup, UnreadableDocument> {
    let version = document.try_get_u8().map_err(|_| UnreadableDocument::Short)?;
    if version != VERSION {
        return Err(UnreadableDocument::Version(version));
    }
    let head_length = document.try_get_u32().map_err(|_| UnreadableDocument::Short)?;
    let head: Head = serde_json::from_slice(&take(&mut document, head_length)?)?;
    let mut members = BTreeMap::new();
    for stored in head.members {
        let mut protocols = Vec::with_capacity(stored.protocols.len());
        for (name, length) in stored.protocols {
            protocols.push(Protocol { name, metadata: take(&mut document, length)? });
        }
        let mut member = Member {
            member_id: stored.member_id.clone(),
            instance_id: stored.instance_id,
            client_id: stored.client_id,
            client_host: stored.client_host,
            session_timeout_ms: stored.session_timeout_ms,
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            protocols,
            assignment: take(&mut document, stored.assignment)?,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            session_deadline: None,
        };
        // Only the former home knew how long ago it heard of the member; this one gives it a whole session.
        member.extend_session(now);
        members.insert(stored.member_id, member);
    }
    let mut group = ClassicGroup {
        state: if members.is_empty() { GroupState::Empty } else { head.state },
        since: head.since,
        generation: head.generation,
        protocol_type: head.protocol_type,
        protocol_name: head.protocol_name,
        leader: head.leader.filter(|leader| members.contains_key(leader)),
        members,
        ..ClassicGroup::dead(group_id.clone())
    };
    resume(&mut group, now);
    Ok(group)
}

/// Sets up what memory alone knows, so that the group goes on where it stood.
fn resume(group: &mut ClassicGroup, now: Moment) {
    if group.leader.is_none() {
        group.leader = group.members.keys().next().cloned();
    }
    let by_instance = |member: &Member| Some((member.instance_id.clone()?, member.member_id.clone()));
    group.static_members = group.members.values().filter_map(by_instance).collect();
    let due = now.plus_ms(group.rebalance_timeout_ms());
    match group.state {
        GroupState::PreparingRebalance => group.join_timer = Some(JoinTimer { due, initial: None }),
        GroupState::CompletingRebalance => {
            group.pending_sync = group.members.keys().cloned().collect::<BTreeSet<_>>();
            group.sync_deadline = Some(due);
        }
        GroupState::Empty | GroupState::Stable | GroupState::Dead => {}
    }
}

fn take(document: &mut Bytes, length: u32) -> Result<Bytes, UnreadableDocument> {
    let length = usize::try_from(length).map_err(|_| UnreadableDocument::Short)?;
    if length > document.len() {
        return Err(UnreadableDocument::Short);
    }
    Ok(document.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node::{NodeEpoch, NodeId};

    const HOME: NodeIdentity = NodeIdentity { node_id: NodeId(3), node_epoch: NodeEpoch(7) };

    fn member(id: &str, instance_id: Option<&str>) -> Member {
        Member {
            member_id: id.into(),
            instance_id: instance_id.map(Into::into),
            client_id: "client".into(),
            client_host: "/192.0.2.1".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocols: vec![
                Protocol { name: "range".into(), metadata: Bytes::from_static(b"\0\xff") },
                Protocol { name: "sticky".into(), metadata: Bytes::new() },
            ],
            assignment: Bytes::from_static(b"mine"),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            session_deadline: Some(Moment(10_500)),
        }
    }

    fn group() -> ClassicGroup {
        let members = [member("a", None), member("b", Some("b-1"))];
        ClassicGroup {
            state: GroupState::Stable,
            since: Timestamp(1_000),
            generation: GenerationId(4),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: Some("b".into()),
            members: members.into_iter().map(|member| (member.member_id.clone(), member)).collect(),
            static_members: BTreeMap::from([("b-1".into(), "b".into())]),
            ..ClassicGroup::dead("g".into())
        }
    }

    fn reread(document: Bytes) -> Result<ClassicGroup, UnreadableDocument> {
        decode(&"g".into(), document, Moment(500))
    }

    #[test]
    fn what_is_stored_comes_back_with_fresh_sessions() {
        assert_eq!(reread(encode(&group(), HOME)).unwrap(), group());
    }

    #[test]
    fn a_newcomer_is_not_stored() {
        let mut with_newcomer = group();
        with_newcomer.members.insert("c".into(), Member { is_new: true, ..member("c", None) });
        assert_eq!(reread(encode(&with_newcomer, HOME)).unwrap(), group());
    }

    #[test]
    fn a_rebalance_goes_on_where_it_stood() {
        let mut completing = group();
        completing.state = GroupState::CompletingRebalance;
        let completing = reread(encode(&completing, HOME)).unwrap();
        assert_eq!(completing.pending_sync.len(), 2);
        assert_eq!(completing.sync_deadline, Some(Moment(60_500)));
        let mut preparing = group();
        preparing.state = GroupState::PreparingRebalance;
        let preparing = reread(encode(&preparing, HOME)).unwrap();
        assert_eq!(preparing.join_timer, Some(JoinTimer { due: Moment(60_500), initial: None }));
    }

    #[test]
    fn a_damaged_document_is_refused_at_every_length() {
        let document = encode(&group(), HOME);
        for length in 0..document.len() {
            assert!(reread(document.slice(..length)).is_err(), "{length} bytes were enough");
        }
        let mut other_version = BytesMut::from(&document[..]);
        other_version[0] = 9;
        assert!(matches!(reread(other_version.freeze()), Err(UnreadableDocument::Version(9))));
    }

    #[test]
    fn version_1_is_read_as_it_was_written() {
        let head = r#"{"state":"Stable","since":1000,"generation":4,"protocol_type":"connect","protocol_name":"p","leader":"m","members":[{"member_id":"m","instance_id":null,"client_id":"c","client_host":"/h","session_timeout_ms":10000,"rebalance_timeout_ms":60000,"protocols":[["p",2]],"assignment":1}],"home":{"node_id":1,"node_epoch":2}}"#;
        let mut document = BytesMut::new();
        document.put_u8(1);
        document.put_u32(u32::try_from(head.len()).unwrap());
        document.put_slice(head.as_bytes());
        document.put_slice(b"\x01\x02\x03");
        let group = reread(document.freeze()).unwrap();
        assert_eq!(group.generation, GenerationId(4));
        let member = &group.members[&MemberId::from("m")];
        assert_eq!((&member.metadata("p")[..], &member.assignment[..]), (&b"\x01\x02"[..], &b"\x03"[..]));
    }
}
