use bytes::Bytes;

use super::kit::{Kit, protocols, request, static_request, with_metadata};
use super::*;
use crate::coordinator::group::values::{GroupState, JoinRequest, MemberClaim, Moment, Protocol, SyncRequest, Ticket};
use crate::model::error::Condition;
use crate::model::group::{GenerationId, GroupInstanceId, MemberId};

// ---------------------------------------------------------------- joining

#[test]
fn a_dynamic_member_is_told_its_id_first() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (condition, member_id) = kit.join_refused(ticket);
    assert_eq!(condition, Condition::MemberIdRequired);
    assert!(member_id.starts_with("client-"), "{member_id}");
    assert_eq!(kit.group.state, GroupState::Empty);
    assert_eq!(kit.persisted, 1, "a new group is stored");
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request(&member_id) });
    kit.pass(0);
    let joined = kit.joined(ticket);
    assert_eq!((joined.generation, joined.leader.as_str()), (GenerationId(1), &*member_id));
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn a_member_that_never_comes_back_with_its_id_is_forgotten() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (_, member_id) = kit.join_refused(ticket);
    kit.pass(10_000);
    let ticket = kit.join(request(&member_id));
    assert_eq!(kit.join_refused(ticket), (Condition::UnknownMemberId, member_id));
}

#[test]
fn a_rebalance_waits_for_a_member_that_was_told_its_id() {
    let (mut kit, members) = Kit::stable(1);
    let ticket = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (_, member_id) = kit.join_refused(ticket);
    let first = kit.join(request(members[0].as_str()));
    assert!(kit.waits(first));
    let second = kit.join(request(&member_id));
    assert_eq!(kit.joined(first).generation, GenerationId(2));
    assert_eq!(kit.joined(second).generation, GenerationId(2));
}

#[test]
fn joins_are_refused_as_kafka_does() {
    let refused = |mut kit: Kit, request: JoinRequest| {
        let ticket = kit.join(request);
        kit.join_refused(ticket)
    };
    let short = JoinRequest { session_timeout_ms: 5_999, ..request("m") };
    let long = JoinRequest { session_timeout_ms: 1_800_001, ..request("m") };
    let negative = JoinRequest { session_timeout_ms: -1, ..request("m") };
    for request in [short, long, negative] {
        assert_eq!(refused(Kit::new(0), request), (Condition::InvalidSessionTimeout, "m".to_owned()));
    }
    assert_eq!(refused(Kit::new(0), request("m")), (Condition::UnknownMemberId, "m".to_owned()));
    let nothing = JoinRequest { protocols: Vec::new(), ..request("") };
    let typeless = JoinRequest { protocol_type: "".into(), ..request("") };
    for request in [nothing, typeless] {
        assert_eq!(refused(Kit::new(0), request), (Condition::InconsistentGroupProtocol, String::new()));
    }
    let other_type = JoinRequest { protocol_type: "connect".into(), ..request("") };
    let other_protocol = JoinRequest { protocols: protocols(&["sticky"]), ..request("") };
    for request in [other_type, other_protocol] {
        assert_eq!(refused(Kit::stable(1).0, request), (Condition::InconsistentGroupProtocol, String::new()));
    }
    assert_eq!(refused(Kit::stable(1).0, request("m")), (Condition::UnknownMemberId, "m".to_owned()));
    assert_eq!(refused(Kit::stable(1).0, static_request("m", "i")), (Condition::UnknownMemberId, "m".to_owned()));
}

#[test]
fn a_refused_join_makes_no_group() {
    let mut kit = Kit::new(0);
    kit.join(JoinRequest { protocols: Vec::new(), ..request("") });
    assert_eq!((kit.group.state, kit.persisted), (GroupState::Dead, 0));
}

#[test]
fn a_full_group_refuses_newcomers_and_keeps_its_members() {
    let (mut kit, members) = Kit::stable(2);
    kit.settings.group_max_size = 2;
    let ticket = kit.join(request(""));
    assert_eq!(kit.join_refused(ticket), (Condition::GroupMaxSizeReached, String::new()));
    let follower = members.iter().find(|member_id| !kit.group.is_leader(member_id)).unwrap().clone();
    let ticket = kit.join(request(follower.as_str()));
    assert_eq!(kit.joined(ticket).generation, GenerationId(1));
}

#[test]
fn a_group_whose_limit_was_lowered_shrinks_by_those_who_rejoin_last() {
    let (mut kit, members) = Kit::stable(3);
    kit.settings.group_max_size = 2;
    let tickets: Vec<_> = members.iter().map(|member_id| kit.join(with_metadata(member_id, "changed"))).collect();
    assert_eq!(kit.join_refused(tickets[2]).0, Condition::GroupMaxSizeReached);
    assert_eq!(kit.joined(tickets[0]).generation, GenerationId(2));
    assert_eq!(kit.group.members.len(), 2);
}

#[test]
fn the_first_rebalance_waits_for_more_members_but_not_for_ever() {
    let mut kit = Kit::new(3_000);
    let first = kit.join(request(""));
    kit.pass(2_000);
    let second = kit.join(request(""));
    kit.pass(2_000);
    assert!(kit.waits(first) && kit.waits(second), "a newcomer extends the wait once");
    kit.pass(2_000);
    assert_eq!(kit.joined(first).members.len(), 2);
    assert_eq!(kit.joined(second).generation, GenerationId(1));

    let mut kit = Kit::new(3_000);
    let first = kit.join(JoinRequest { rebalance_timeout_ms: 10_000, ..request("") });
    for _ in 0..9 {
        kit.pass(1_000);
        assert!(kit.waits(first));
        kit.join(JoinRequest { rebalance_timeout_ms: 10_000, ..request("") });
    }
    kit.pass(3_000);
    assert!(!kit.waits(first), "the wait is bounded by the rebalance timeout");
}

#[test]
fn the_protocol_with_most_votes_among_the_common_ones_wins() {
    let check = |wishes: &[&[&str]], expected: &str| {
        let mut kit = Kit::new(0);
        let mut ticket = Ticket(0);
        for wish in wishes {
            ticket = kit.join(JoinRequest { protocols: protocols(wish), ..request("") });
        }
        kit.pass(0);
        assert_eq!(kit.joined(ticket).protocol_name.as_deref(), Some(expected), "{wishes:?}");
    };
    check(&[&["a", "b"]], "a");
    check(&[&["a", "b"], &["b", "a"], &["b", "a"]], "b");
    check(&[&["a", "b"], &["b"]], "b");
    check(&[&["b", "a"], &["a", "b"]], "b");
}

// ---------------------------------------------------------------- rejoining

#[test]
fn an_unchanged_follower_rejoins_without_a_rebalance() {
    let (mut kit, members) = Kit::stable(2);
    let follower = members.iter().find(|member_id| !kit.group.is_leader(member_id)).unwrap().clone();
    let ticket = kit.join(request(follower.as_str()));
    let joined = kit.joined(ticket);
    assert_eq!((joined.generation, joined.members.len()), (GenerationId(1), 0));
    assert_eq!(kit.group.state, GroupState::Stable);
    let ticket = kit.sync(&follower, &[]);
    assert_eq!(kit.synced(ticket), Ok(Bytes::from_static(b"some")));
}

#[test]
fn a_leader_or_a_changed_member_starts_a_rebalance() {
    for changed in [false, true] {
        let (mut kit, members) = Kit::stable(2);
        let leads = |member_id: &&MemberId| kit.group.is_leader(member_id) != changed;
        let member_id = members.iter().find(leads).unwrap().clone();
        let metadata = if changed { "changed" } else { "meta" };
        let ticket = kit.join(with_metadata(&member_id, metadata));
        assert!(kit.waits(ticket));
        assert_eq!(kit.group.state, GroupState::PreparingRebalance);
        let other = members.iter().find(|other| **other != member_id).unwrap().clone();
        assert_eq!(kit.heartbeat(&other), Err(Condition::RebalanceInProgress));
        kit.join(request(other.as_str()));
        assert_eq!(kit.joined(ticket).generation, GenerationId(2));
    }
}

#[test]
fn a_lost_answer_is_given_again_while_the_rebalance_completes() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(request(""));
    kit.pass(0);
    let joined = kit.joined(ticket);
    let again = kit.join(request(joined.member_id.as_str()));
    assert_eq!(kit.joined(again), joined);
    assert_eq!(kit.group.state, GroupState::CompletingRebalance);
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let (mut kit, members) = Kit::stable(2);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.into_iter().find(|member_id| *member_id != leader).unwrap();
    let ticket = kit.join(with_metadata(&follower, "changed"));
    for _ in 0..6 {
        // The old leader goes on with its heartbeats and yet does not rejoin.
        assert_eq!(kit.heartbeat(&leader), Err(Condition::RebalanceInProgress));
        kit.pass(9_000);
    }
    assert!(kit.waits(ticket));
    kit.heartbeat(&leader).unwrap_err();
    kit.pass(6_000);
    let joined = kit.joined(ticket);
    assert_eq!((joined.leader, joined.members.len()), (follower, 1));
    assert_eq!(kit.heartbeat(&leader), Err(Condition::UnknownMemberId));
}

#[test]
fn of_two_joins_of_one_member_the_later_one_is_answered_in_full() {
    let (mut kit, members) = Kit::stable(2);
    let first = kit.join(with_metadata(&members[0], "changed"));
    let second = kit.join(with_metadata(&members[0], "changed"));
    assert_eq!(kit.join_refused(first).0, Condition::RebalanceInProgress);
    kit.join(request(members[1].as_str()));
    assert_eq!(kit.joined(second).generation, GenerationId(2));
}

// ---------------------------------------------------------------- syncing

#[test]
fn the_leaders_assignment_reaches_everyone() {
    let mut kit = Kit::new(0);
    let tickets = [kit.join(request("")), kit.join(request(""))];
    kit.pass(0);
    let members = tickets.map(|ticket| kit.joined(ticket).member_id);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.iter().find(|member_id| **member_id != leader).unwrap();
    let waiting = kit.sync(follower, &[]);
    assert!(kit.waits(waiting));
    let persisted = kit.persisted;
    let own = kit.sync(&leader, &[(&leader, "one"), (follower, "two"), (&"stranger".into(), "three")]);
    assert_eq!(kit.synced(own), Ok(Bytes::from_static(b"one")));
    assert_eq!(kit.synced(waiting), Ok(Bytes::from_static(b"two")));
    assert_eq!((kit.group.state, kit.persisted), (GroupState::Stable, persisted + 1));
}

#[test]
fn whom_the_leader_forgets_gets_nothing() {
    let mut kit = Kit::new(0);
    let ticket = kit.join(request(""));
    kit.pass(0);
    let leader = kit.joined(ticket).member_id;
    let ticket = kit.sync(&leader, &[]);
    assert_eq!(kit.synced(ticket), Ok(Bytes::new()));
    assert_eq!(kit.group.state, GroupState::Stable);
}

#[test]
fn syncs_are_refused_as_kafka_does() {
    let (mut kit, members) = Kit::stable(1);
    let mut check = |change: &dyn Fn(&mut SyncRequest), expected: Result<(), Condition>| {
        let mut request = SyncRequest {
            claim: kit.claim(&members[0]),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: Vec::new(),
        };
        change(&mut request);
        let ticket = kit.ticket();
        kit.event(Event::Sync { ticket, request: request.clone() });
        assert_eq!(kit.synced(ticket).map(|_| ()), expected, "{request:?}");
    };
    check(&|_| (), Ok(()));
    check(&|request| request.protocol_name = None, Ok(()));
    check(&|request| request.claim.member_id = "m".into(), Err(Condition::UnknownMemberId));
    check(&|request| request.claim.instance_id = Some("i".into()), Err(Condition::UnknownMemberId));
    check(&|request| request.claim.generation = GenerationId(0), Err(Condition::IllegalGeneration));
    check(&|request| request.protocol_type = Some("connect".into()), Err(Condition::InconsistentGroupProtocol));
    check(&|request| request.protocol_name = Some("sticky".into()), Err(Condition::InconsistentGroupProtocol));
    let mut dead = Kit::new(0);
    let ticket = dead.sync(&"m".into(), &[]);
    assert_eq!(dead.synced(ticket), Err(Condition::UnknownMemberId));
}

#[test]
fn who_never_asks_for_an_assignment_is_removed() {
    let mut kit = Kit::new(0);
    let tickets = [kit.join(request("")), kit.join(request(""))];
    kit.pass(0);
    let members = tickets.map(|ticket| kit.joined(ticket).member_id);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.iter().find(|member_id| **member_id != leader).unwrap();
    kit.sync(&leader, &[]);
    for _ in 0..7 {
        kit.pass(9_000);
        let _ = (kit.heartbeat(&leader), kit.heartbeat(follower));
    }
    assert_eq!(kit.heartbeat(follower), Err(Condition::UnknownMemberId));
    assert_eq!(kit.heartbeat(&leader), Err(Condition::RebalanceInProgress));
}

#[test]
fn a_newcomer_sends_those_who_wait_for_an_assignment_back_to_join() {
    let mut kit = Kit::new(0);
    let tickets = [kit.join(request("")), kit.join(request(""))];
    kit.pass(0);
    let members = tickets.map(|ticket| kit.joined(ticket).member_id);
    let leader = kit.group.leader.clone().unwrap();
    let follower = members.iter().find(|member_id| **member_id != leader).unwrap();
    let waiting = kit.sync(follower, &[]);
    kit.join(request(""));
    assert_eq!(kit.synced(waiting), Err(Condition::RebalanceInProgress));
    let late = kit.sync(&leader, &[]);
    assert_eq!(kit.synced(late), Err(Condition::RebalanceInProgress));
}

// ---------------------------------------------------------------- living and leaving

#[test]
fn heartbeats_are_answered_as_kafka_does() {
    let (mut kit, members) = Kit::stable(1);
    assert_eq!(kit.heartbeat(&members[0]), Ok(()));
    let claim = kit.claim(&members[0]);
    assert_eq!(kit.heartbeat(&"m".into()), Err(Condition::UnknownMemberId));
    let old = MemberClaim { generation: GenerationId(0), ..claim.clone() };
    assert_eq!(kit.heartbeat_as(old), Err(Condition::IllegalGeneration));
    let instance = MemberClaim { instance_id: Some("i".into()), ..claim };
    assert_eq!(kit.heartbeat_as(instance), Err(Condition::UnknownMemberId));
    assert_eq!(Kit::new(0).heartbeat(&members[0]), Err(Condition::UnknownMemberId));
}

#[test]
fn heartbeats_keep_a_member_and_silence_removes_it() {
    let (mut kit, members) = Kit::stable(2);
    for _ in 0..5 {
        kit.pass(9_000);
        kit.heartbeat(&members[0]).ok();
    }
    assert_eq!(kit.heartbeat(&members[1]), Err(Condition::UnknownMemberId));
    assert_eq!(kit.heartbeat(&members[0]), Err(Condition::RebalanceInProgress));
    let ticket = kit.join(request(members[0].as_str()));
    assert_eq!(kit.joined(ticket).generation, GenerationId(2));
}

#[test]
fn a_waiting_member_outlives_its_session_but_a_silent_newcomer_does_not() {
    let (mut kit, members) = Kit::stable(2);
    let rejoining = kit.join(with_metadata(&members[0], "changed"));
    for _ in 0..5 {
        kit.pass(9_000);
        kit.heartbeat(&members[1]).ok();
    }
    assert!(kit.waits(rejoining), "a rejoining member waits as long as the rebalance takes");

    let mut kit = Kit::new(0);
    let long = JoinRequest { rebalance_timeout_ms: 3_600_000, ..request("") };
    kit.join(long.clone());
    kit.pass(0);
    kit.sync_all();
    let member_id = kit.group.leader.clone().unwrap();
    let newcomer = kit.join(long);
    for _ in 0..40 {
        kit.pass(9_000);
        kit.heartbeat(&member_id).ok();
    }
    assert_eq!(kit.join_refused(newcomer), (Condition::UnknownMemberId, String::new()));
}

#[test]
fn the_last_one_leaves_an_empty_group_of_a_new_generation() {
    let (mut kit, members) = Kit::stable(1);
    let persisted = kit.persisted;
    assert_eq!(kit.leave(&[(members[0].as_str(), None)]), [Ok(())]);
    assert_eq!((kit.group.state, kit.group.generation), (GroupState::Empty, GenerationId(2)));
    assert_eq!((kit.group.leader.clone(), kit.group.protocol_name.clone()), (None, None));
    assert_eq!(kit.group.next_deadline(), None);
    assert!(kit.persisted > persisted);
}

#[test]
fn members_leave_each_for_itself() {
    let (mut kit, members) = Kit::stable(3);
    let pending = kit.join(JoinRequest { requires_known_member_id: true, ..request("") });
    let (_, pending) = kit.join_refused(pending);
    let results = kit.leave(&[(members[0].as_str(), None), ("stranger", None), (&pending, None), ("", Some("i"))]);
    assert_eq!(results, [Ok(()), Err(Condition::UnknownMemberId), Ok(()), Err(Condition::UnknownMemberId)]);
    assert_eq!(kit.group.state, GroupState::PreparingRebalance);
    assert_eq!(kit.group.members.len(), 2);
    assert_eq!(Kit::new(0).leave(&[("m", None)]), [Err(Condition::UnknownMemberId)]);
}

#[test]
fn a_member_that_leaves_while_it_joins_is_told() {
    let (mut kit, members) = Kit::stable(2);
    let ticket = kit.join(with_metadata(&members[0], "changed"));
    kit.leave(&[(members[0].as_str(), None)]);
    assert_eq!(kit.join_refused(ticket), (Condition::UnknownMemberId, String::new()));
}

// ---------------------------------------------------------------- static members

fn stable_static() -> (Kit, MemberId, MemberId) {
    let mut kit = Kit::new(0);
    let first = kit.join(static_request("", "i"));
    let second = kit.join(static_request("", "j"));
    kit.pass(0);
    let (first, second) = (kit.joined(first).member_id, kit.joined(second).member_id);
    kit.sync_all();
    assert!(first.as_str().starts_with("i-"), "{first}");
    (kit, first, second)
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    for (leads, skips) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut kit, ..) = stable_static();
        let former_leader = kit.group.leader.clone().unwrap();
        let by_lead = |(_, member_id): &(&GroupInstanceId, &MemberId)| (**member_id == former_leader) == leads;
        let (instance_id, former) =
            kit.group.static_members.iter().find(by_lead).map(|(i, m)| (i.clone(), m.clone())).unwrap();
        let persisted = kit.persisted;
        let back = static_request("", instance_id.as_str());
        let ticket = kit.join(JoinRequest { supports_skipping_assignment: skips, ..back });
        let joined = kit.joined(ticket);
        assert_eq!((kit.group.state, joined.generation), (GroupState::Stable, GenerationId(1)));
        assert_eq!(kit.persisted, persisted + 1, "the former id has to be fenced after a restart, too");
        assert_ne!(joined.member_id, former);
        assert_eq!(joined.skip_assignment, leads && skips);
        assert_eq!(joined.members.len(), if leads && skips { 2 } else { 0 });
        let told = if leads && skips { &joined.member_id } else { &former_leader };
        assert_eq!(joined.leader, *told, "leads {leads}, skips {skips}");
        let ticket = kit.sync(&joined.member_id, &[]);
        assert_eq!(kit.synced(ticket), Ok(Bytes::from_static(b"some")));
        let former = MemberClaim { instance_id: Some(instance_id), ..kit.claim(&former) };
        assert_eq!(kit.heartbeat_as(former), Err(Condition::FencedInstanceId));
    }
}

#[test]
fn a_static_member_that_changes_the_protocol_starts_a_rebalance() {
    let mut kit = Kit::new(0);
    let both = JoinRequest { protocols: protocols(&["range", "sticky"]), ..static_request("", "i") };
    kit.join(both.clone());
    kit.pass(0);
    kit.sync_all();
    let ticket = kit.join(JoinRequest { protocols: protocols(&["sticky", "range"]), ..both });
    let joined = kit.joined(ticket);
    assert_eq!((joined.generation, joined.protocol_name.as_deref()), (GenerationId(2), Some("sticky")));
}

#[test]
fn a_second_holder_of_an_instance_id_fences_the_first_at_once() {
    let (mut kit, first, second) = stable_static();
    let waiting = kit.join(JoinRequest { instance_id: Some("i".into()), ..with_metadata(&first, "changed") });
    let back = kit.join(static_request("", "i"));
    assert_eq!(kit.join_refused(waiting), (Condition::FencedInstanceId, first.to_string()));
    kit.join(static_request(second.as_str(), "j"));
    assert_eq!(kit.joined(back).generation, GenerationId(2));
    let ticket = kit.join(static_request(first.as_str(), "i"));
    assert_eq!(kit.join_refused(ticket).0, Condition::FencedInstanceId);
}

#[test]
fn a_static_member_that_comes_back_while_assignments_are_awaited_restarts_the_rebalance() {
    let (mut kit, first, second) = stable_static();
    kit.join(JoinRequest { instance_id: Some("i".into()), ..with_metadata(&first, "changed") });
    kit.join(static_request(second.as_str(), "j"));
    assert_eq!(kit.group.state, GroupState::CompletingRebalance);
    let ticket = kit.join(static_request("", "i"));
    assert!(kit.waits(ticket));
    assert_eq!(kit.group.state, GroupState::PreparingRebalance);
}

#[test]
fn a_static_member_that_is_late_to_rejoin_stays_until_its_session_ends() {
    let (mut kit, first, second) = stable_static();
    let ticket = kit.join(JoinRequest {
        rebalance_timeout_ms: 8_000,
        instance_id: Some("i".into()),
        ..with_metadata(&first, "changed")
    });
    kit.group.members.get_mut(&second).unwrap().rebalance_timeout_ms = 8_000;
    kit.group.join_timer.as_mut().unwrap().due = Moment(kit.now_ms + 8_000);
    kit.pass(8_000);
    assert_eq!(kit.joined(ticket).generation, GenerationId(2));
    assert_eq!(kit.group.members.len(), 2);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let (mut kit, first, _) = stable_static();
    assert_eq!(kit.leave(&[("stranger", Some("i"))]), [Err(Condition::FencedInstanceId)]);
    assert_eq!(kit.leave(&[("", Some("i"))]), [Ok(())]);
    assert!(!kit.group.members.contains_key(&first));
    assert_eq!(kit.group.state, GroupState::PreparingRebalance);
}

// ---------------------------------------------------------------- offsets

#[test]
fn commits_are_judged_as_kafka_does() {
    let claim = |member_id: &str, instance_id: Option<&str>, generation| MemberClaim {
        group_id: "g".into(),
        member_id: member_id.into(),
        instance_id: instance_id.map(Into::into),
        generation: GenerationId(generation),
    };
    let mut dead = Kit::new(0);
    assert_eq!(dead.commit(&claim("m", None, 1), false), Err(Condition::IllegalGeneration));
    assert_eq!(dead.commit(&claim("m", None, 1), true), Err(Condition::GroupIdNotFound));
    assert_eq!(dead.commit(&claim("", None, -1), true), Ok(()));
    assert_eq!((dead.group.state, dead.group.protocol_type.clone()), (GroupState::Empty, None));
    assert_eq!(dead.commit(&claim("m", None, -1), true), Ok(()));
    assert_eq!(dead.commit(&claim("m", None, 0), true), Err(Condition::UnknownMemberId));

    let (mut kit, members) = Kit::stable(1);
    let member_id = members[0].as_str();
    assert_eq!(kit.commit(&claim(member_id, None, 1), true), Ok(()));
    assert_eq!(kit.commit(&claim(member_id, None, 0), true), Err(Condition::IllegalGeneration));
    assert_eq!(kit.commit(&claim(member_id, None, -1), true), Err(Condition::IllegalGeneration));
    assert_eq!(kit.commit(&claim("", None, -1), true), Err(Condition::UnknownMemberId));
    assert_eq!(kit.commit(&claim(member_id, Some("i"), 1), true), Err(Condition::UnknownMemberId));
    kit.join(with_metadata(&members[0], "changed"));
    assert_eq!(kit.group.state, GroupState::CompletingRebalance);
    assert_eq!(kit.commit(&claim(member_id, None, 2), true), Err(Condition::RebalanceInProgress));
}

#[test]
fn members_may_commit_while_others_rejoin_and_it_counts_as_a_heartbeat() {
    let (mut kit, members) = Kit::stable(2);
    kit.join(with_metadata(&members[0], "changed"));
    let claim = kit.claim(&members[1]);
    for _ in 0..4 {
        kit.pass(9_000);
        assert_eq!(kit.commit(&claim, true), Ok(()));
    }
}

#[test]
fn deletions_are_judged_as_kafka_does() {
    let judged = |group: &ClassicGroup| (group.accept_offset_delete(), group.accept_delete());
    let not_found = Err(Condition::GroupIdNotFound);
    assert_eq!(judged(&Kit::new(0).group), (not_found, not_found));
    let (mut kit, members) = Kit::stable(1);
    assert_eq!(judged(&kit.group), (Ok(()), Err(Condition::NonEmptyGroup)));
    kit.group.protocol_type = Some("connect".into());
    assert_eq!(judged(&kit.group), (Err(Condition::NonEmptyGroup), Err(Condition::NonEmptyGroup)));
    kit.leave(&[(members[0].as_str(), None)]);
    assert_eq!(judged(&kit.group), (Ok(()), Ok(())));
}

#[test]
fn subscriptions_are_known_for_consumers_only() {
    let mut kit = Kit::new(0);
    let subscription = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t");
    let protocol = Protocol { name: "range".into(), metadata: subscription };
    kit.join(JoinRequest { protocols: vec![protocol], ..request("") });
    kit.pass(0);
    assert!(kit.group.may_subscribe_to("t") && !kit.group.may_subscribe_to("u"));
    kit.group.protocol_type = Some("connect".into());
    assert!(!kit.group.may_subscribe_to("t"));
    let (unreadable, _) = Kit::stable(1);
    assert!(unreadable.group.may_subscribe_to("anything"));
}
