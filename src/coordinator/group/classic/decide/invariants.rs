//! Whatever clients do, in whatever order, the group stays sound.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::kit::{Kit, request};
use super::*;
use crate::base::clock::Timestamp;
use crate::coordinator::group::document;
use crate::coordinator::group::values::{
    GroupState, JoinRequest, Leaving, MemberClaim, Moment, Protocol, SyncRequest, Ticket,
};
use crate::model::error::Condition;
use crate::model::group::{GenerationId, GroupInstanceId, MemberId};
use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};

const HOME: NodeIdentity = NodeIdentity { node_id: NodeId(1), node_epoch: NodeEpoch(1) };

/// What a random client does.
#[derive(Clone, Debug)]
enum Act {
    Join { client: usize, known: bool, requires_id: bool, metadata: u8 },
    Sync { client: usize },
    Heartbeat { client: usize },
    Leave { client: usize },
    Pass { ms: u64 },
    Move,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let client = 0..4_usize;
    let act = prop_oneof![
        4 => (client.clone(), prop::bool::weighted(0.8), any::<bool>(), 0..2_u8)
            .prop_map(|(client, known, requires_id, metadata)| Act::Join { client, known, requires_id, metadata }),
        4 => client.clone().prop_map(|client| Act::Sync { client }),
        2 => client.clone().prop_map(|client| Act::Heartbeat { client }),
        1 => client.prop_map(|client| Act::Leave { client }),
        3 => prop_oneof![Just(0), Just(3_000), 0..20_000_u64].prop_map(|ms| Act::Pass { ms }),
        1 => Just(Act::Move),
    ];
    prop::collection::vec(act, 0..60)
}

/// Clients 2 and 3 are static.
fn act_join(member_id: &str, client: usize, requires_id: bool, metadata: u8) -> JoinRequest {
    let metadata = Bytes::copy_from_slice(&[metadata]);
    JoinRequest {
        instance_id: (client >= 2).then(|| format!("i{client}").as_str().into()),
        protocols: vec![Protocol { name: "range".into(), metadata }],
        requires_known_member_id: requires_id,
        ..request(member_id)
    }
}

/// What storage holds, apart from the leader while nobody leads yet.
fn stored(group: &ClassicGroup) -> Bytes {
    let mut group = group.clone();
    if group.members.values().all(|member| member.is_new) && group.state == GroupState::PreparingRebalance {
        // An initial rebalance is read back as an empty group.
        (group.state, group.leader) = (GroupState::Empty, None);
    }
    if group.state == GroupState::PreparingRebalance {
        group.leader = None;
        for member in group.members.values_mut() {
            // Those who have rejoined do it again after a move.
            member.protocols.clear();
            (member.session_timeout_ms, member.rebalance_timeout_ms) = (0, 0);
        }
    }
    if group.state == GroupState::Empty {
        (group.since, group.protocol_type) = (Timestamp(0), None);
    }
    document::encode(&group, HOME)
}

fn check_invariants(group: &ClassicGroup) {
    let leads = group.leader.as_ref().is_some_and(|leader| group.members.contains_key(leader));
    match group.state {
        GroupState::Dead | GroupState::Empty => assert!(group.members.is_empty() && group.leader.is_none()),
        GroupState::PreparingRebalance => assert!(leads || group.members.is_empty()),
        GroupState::CompletingRebalance | GroupState::Stable => assert!(leads && group.protocol_name.is_some()),
    }
    for (instance_id, member_id) in &group.static_members {
        assert_eq!(group.members[member_id].instance_id.as_ref(), Some(instance_id));
    }
    let statics = group.members.values().filter(|member| member.instance_id.is_some()).count();
    assert_eq!(statics, group.static_members.len());
    for (member_id, member) in &group.members {
        assert_eq!(*member_id, member.member_id);
        assert!(member.awaiting_join.is_none() || group.state == GroupState::PreparingRebalance);
        assert!(member.awaiting_sync.is_none() || group.state == GroupState::CompletingRebalance);
        assert!(member.session_deadline.is_some() || member.is_waiting(), "{member_id} could stay for ever");
        assert!(!member.is_new || group.state == GroupState::PreparingRebalance);
        let assigned = group.state == GroupState::Stable;
        assert!(!assigned || &member.assignment[..] == b"some", "{member_id} has no assignment");
    }
    assert!(group.pending_sync.iter().all(|member_id| group.members.contains_key(member_id)));
    assert!(group.pending_join.keys().all(|member_id| !group.members.contains_key(member_id)));
    assert!(group.state != GroupState::PreparingRebalance || group.join_timer.is_some(), "nothing ends the join phase");
}

/// Clients that act at random, and what they believe.
struct Crowd {
    kit: Kit,
    ids: [String; 4],
    open: BTreeMap<Ticket, usize>,
    generation: GenerationId,
}

impl Crowd {
    fn event(&mut self, event: Event) {
        let (before, persisted) = (stored(&self.kit.group), self.kit.persisted);
        self.kit.event(event);
        assert!(self.kit.persisted > persisted || before == stored(&self.kit.group), "a change was not persisted");
        check_invariants(&self.kit.group);
        assert!(self.kit.group.generation >= self.generation, "the generation went back");
        self.generation = self.kit.group.generation;
        for (ticket, answer) in std::mem::take(&mut self.kit.answers) {
            let client = self.open.remove(&ticket).expect("only open requests are answered");
            match answer {
                Answer::Join(Ok(joined)) => {
                    assert_eq!(joined.generation, self.generation);
                    self.ids[client] = joined.member_id.to_string();
                }
                Answer::Join(Err(refused)) if refused.condition == Condition::UnknownMemberId => {
                    self.ids[client].clear();
                }
                Answer::Join(Err(refused)) => self.ids[client] = refused.member_id.to_string(),
                Answer::Sync(_) | Answer::Heartbeat(_) | Answer::Leave(_) => {}
            }
        }
    }

    fn act(&mut self, act: &Act) {
        let client = match *act {
            Act::Join { client, .. } | Act::Sync { client } | Act::Heartbeat { client } | Act::Leave { client } => {
                client
            }
            Act::Pass { ms } => return self.pass(ms),
            Act::Move => return self.take_over(),
        };
        let ticket = self.kit.ticket();
        self.open.insert(ticket, client);
        let member_id: MemberId = self.ids[client].as_str().into();
        let instance_id: Option<GroupInstanceId> = (client >= 2).then(|| format!("i{client}").as_str().into());
        let claim = MemberClaim { instance_id: instance_id.clone(), ..self.kit.claim(&member_id) };
        let everyone = self.kit.group.members.keys().map(|member_id| (member_id.clone(), Bytes::from_static(b"some")));
        let assignments = everyone.collect();
        self.event(match act {
            Act::Join { known, requires_id, metadata, .. } => {
                let member_id = if *known { member_id.as_str() } else { "" };
                let request = act_join(member_id, client, *requires_id, *metadata);
                Event::Join { ticket, request, fresh: uuid::Uuid::from_u128(u128::from(ticket.0)) }
            }
            Act::Sync { .. } => {
                let request = SyncRequest { claim, protocol_type: None, protocol_name: None, assignments };
                Event::Sync { ticket, request }
            }
            Act::Heartbeat { .. } => Event::Heartbeat { ticket, claim },
            _ => Event::Leave { ticket, members: vec![Leaving { member_id, instance_id }] },
        });
    }

    fn pass(&mut self, ms: u64) {
        let end = self.kit.now_ms + ms;
        while let Some(due) = self.kit.group.next_deadline().filter(|due| due.0 <= end) {
            self.kit.now_ms = self.kit.now_ms.max(due.0);
            self.event(Event::Tick);
        }
        self.kit.now_ms = end;
    }

    /// The group moves to another home, which knows only what is stored.
    fn take_over(&mut self) {
        if self.kit.group.state == GroupState::Dead {
            return;
        }
        let stored = document::encode(&self.kit.group, HOME);
        self.kit.group = document::decode(&"g".into(), stored, Moment(self.kit.now_ms)).unwrap();
        self.open.clear();
        check_invariants(&self.kit.group);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn whatever_clients_do_the_group_stays_sound(acts in acts(), delay_ms in prop_oneof![Just(0), Just(3_000)]) {
        let kit = Kit::new(delay_ms);
        let ids = std::array::from_fn(|_| String::new());
        let mut crowd = Crowd { kit, ids, open: BTreeMap::new(), generation: GenerationId(0) };
        for act in &acts {
            crowd.act(act);
        }
        // Left alone, the group ends up empty, and nobody waits for an answer.
        crowd.pass(24 * 3_600_000);
        prop_assert!(crowd.kit.group.members.is_empty());
        prop_assert!(crowd.open.is_empty(), "{:?} were never answered", crowd.open);
    }
}
