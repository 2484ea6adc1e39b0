use std::sync::atomic::Ordering;
use std::time::Duration;

use super::kit::{Fault, Kit, alone, claim, group, join_request, meanwhile, nobody, parked_join, pass, refusal, sync};
use super::*;
use crate::base::task::Phase;
use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::values::GroupState;
use crate::metastore::catalog::Catalog;
use crate::model::topic::TopicName;

#[tokio::test(start_paused = true)]
async fn members_join_sync_live_commit_and_leave() {
    let kit = Kit::new().await;
    let first = alone(&kit.one).await;
    let joining = parked_join(&kit.one, join_request("")).await;
    assert_eq!(kit.one.groups.heartbeat(claim(&first, 1)).await, Err(Condition::RebalanceInProgress));
    let first_joined = kit.one.groups.join(join_request(first.as_str())).await.unwrap();
    let second = joining.await.unwrap().unwrap().member_id;
    assert_eq!((first_joined.leader, first_joined.members.len()), (first.clone(), 2));
    let waiting = {
        let (groups, claim) = (kit.one.groups.clone(), claim(&second, 2));
        let request = SyncRequest { claim, protocol_type: None, protocol_name: None, assignments: Vec::new() };
        meanwhile(async move { groups.sync(request).await })
    };
    pass(1).await;
    sync(&kit.one, &claim(&first, 2), &[&first, &second]).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().assignment, second.as_str().as_bytes());
    for member_id in [&first, &second] {
        assert_eq!(kit.one.groups.heartbeat(claim(member_id, 2)).await, Ok(()));
    }
    assert_eq!(kit.commit(&kit.one, &claim(&second, 2), 0, 42).await, Ok(()));
    assert_eq!(kit.commit(&kit.one, &claim(&second, 1), 0, 43).await, Err(Condition::IllegalGeneration));
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(Some(42)));
    assert_eq!(kit.fetch(&kit.one, 1).await, Ok(None));
    let leaving = Leaving { member_id: second.clone(), instance_id: None };
    assert_eq!(kit.one.groups.leave(&group(), vec![leaving]).await, Ok(vec![Ok(())]));
    assert_eq!(kit.one.groups.heartbeat(claim(&first, 2)).await, Err(Condition::RebalanceInProgress));
    let description = kit.one.groups.describe(&group()).await.unwrap();
    assert_eq!((description.state, description.members.len()), (GroupState::PreparingRebalance, 1));
}

#[tokio::test(start_paused = true)]
async fn only_the_home_answers_and_names_are_checked() {
    let kit = Kit::new().await;
    assert_eq!(refusal(kit.two.groups.join(join_request("")).await), Condition::NotCoordinator);
    assert_eq!(kit.two.groups.heartbeat(nobody()).await, Err(Condition::NotCoordinator));
    assert_eq!(kit.fetch(&kit.two, 0).await, Err(Condition::NotCoordinator));
    assert_eq!(kit.two.groups.describe(&group()).await, Err(Condition::NotCoordinator));
    let unnamed = JoinRequest { group_id: "".into(), ..join_request("") };
    assert_eq!(refusal(kit.one.groups.join(unnamed).await), Condition::InvalidGroupId);
    let unspeakable = JoinRequest { group_id: "a\0b".into(), ..join_request("") };
    assert_eq!(refusal(kit.one.groups.join(unspeakable).await), Condition::InvalidGroupId);
    let unnamed = MemberClaim { group_id: "".into(), ..nobody() };
    assert_eq!(kit.commit(&kit.one, &unnamed, 0, 1).await, Ok(()), "offsets need no name, as ever");
}

// ---------------------------------------------------------------- homes

#[tokio::test(start_paused = true)]
async fn a_group_moves_without_a_rebalance() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.commit(&kit.one, &claim(&member_id, 1), 0, 5).await.unwrap();
    pass(9_000).await;
    kit.one.sees(&[2]);
    kit.two.sees(&[2]);
    assert_eq!(kit.one.groups.heartbeat(claim(&member_id, 1)).await, Err(Condition::NotCoordinator));
    let description = kit.two.groups.describe(&group()).await.unwrap();
    assert_eq!((description.state, description.members.len()), (GroupState::Stable, 1));
    pass(9_000).await;
    assert_eq!(kit.two.groups.heartbeat(claim(&member_id, 1)).await, Ok(()), "its session starts afresh");
    assert_eq!(kit.commit(&kit.two, &claim(&member_id, 1), 0, 6).await, Ok(()));
    assert_eq!(kit.fetch(&kit.two, 0).await, Ok(Some(6)));
    let synced = sync(&kit.two, &claim(&member_id, 1), &[]).await.unwrap();
    assert_eq!(synced.assignment, member_id.as_str().as_bytes());
    pass(10_001).await;
    assert_eq!(kit.two.groups.heartbeat(claim(&member_id, 1)).await, Err(Condition::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_under_way_goes_on_at_the_new_home() {
    let kit = Kit::new().await;
    let joined = kit.one.groups.join(join_request("")).await.unwrap();
    kit.two.sees(&[2]);
    let synced = sync(&kit.two, &claim(&joined.member_id, 1), &[&joined.member_id]).await.unwrap();
    assert_eq!(synced.assignment, joined.member_id.as_str().as_bytes());
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_are_sent_on_when_the_group_moves() {
    let kit = Kit::new().await;
    alone(&kit.one).await;
    let joining = parked_join(&kit.one, join_request("")).await;
    kit.one.sees(&[2]);
    let outcome = tokio::time::timeout(Duration::from_millis(300), joining).await.unwrap().unwrap();
    assert_eq!(refusal(outcome), Condition::NotCoordinator);
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_are_answered_when_the_agent_drains_or_stops() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    let joining = parked_join(&kit.one, join_request("")).await;
    kit.one.drains();
    assert_eq!(refusal(joining.await.unwrap()), Condition::NotCoordinator);
    assert_eq!(kit.commit(&kit.one, &claim(&member_id, 1), 0, 1).await, Ok(()), "the rest is served to the end");
    kit.one.sees(&[1]);
    let joining = parked_join(&kit.one, join_request("")).await;
    assert!(kit.one.supervisor.stop_phase(Phase::Coordinators, Duration::from_secs(1)).await);
    assert_eq!(refusal(joining.await.unwrap()), Condition::NotCoordinator);
}

#[tokio::test(start_paused = true)]
async fn a_former_home_that_does_not_know_can_not_change_anything() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.commit(&kit.one, &claim(&member_id, 1), 0, 5).await.unwrap();
    // The second agent takes over; the first one still believes that it is the home.
    kit.two.sees(&[2]);
    assert_eq!(kit.fetch(&kit.two, 0).await, Ok(Some(5)));
    assert_eq!(kit.commit(&kit.one, &claim(&member_id, 1), 0, 99).await, Err(Condition::NotCoordinator));
    assert_eq!(kit.fetch(&kit.two, 0).await, Ok(Some(5)));
    kit.two.groups.heartbeat(claim(&member_id, 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_former_home_that_does_not_know_can_not_rebalance() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.two.sees(&[2]);
    kit.two.groups.heartbeat(claim(&member_id, 1)).await.unwrap();
    let outcome = kit.one.groups.join(join_request(member_id.as_str())).await;
    assert_eq!(refusal(outcome), Condition::NotCoordinator);
    kit.two.groups.heartbeat(claim(&member_id, 1)).await.unwrap();
    assert_eq!(kit.two.groups.describe(&group()).await.unwrap().state, GroupState::Stable);
}

#[tokio::test(start_paused = true)]
async fn two_homes_do_not_make_the_same_group_twice() {
    let kit = Kit::new().await;
    kit.two.sees(&[2]);
    // Both load a group that does not exist.
    kit.one.groups.describe(&group()).await.unwrap();
    kit.two.groups.describe(&group()).await.unwrap();
    assert_eq!(kit.commit(&kit.two, &nobody(), 0, 1).await, Ok(()));
    assert_eq!(kit.commit(&kit.one, &nobody(), 0, 2).await, Err(Condition::NotCoordinator));
    assert_eq!(kit.fetch(&kit.two, 0).await, Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_not_a_rebalance() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.one.supervisor.kill();
    let again = kit.restarted(1);
    assert_eq!(again.groups.heartbeat(claim(&member_id, 1)).await, Ok(()));
    let description = again.groups.describe(&group()).await.unwrap();
    assert_eq!(description.members[0].assignment, member_id.as_str().as_bytes());
    let joined = again.groups.join(join_request(member_id.as_str())).await.unwrap();
    assert_eq!(joined.generation.0, 2, "the count of generations goes on");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_left_stays_away_after_a_restart() {
    let kit = Kit::new().await;
    let first = alone(&kit.one).await;
    let joining = parked_join(&kit.one, join_request("")).await;
    kit.one.groups.join(join_request(first.as_str())).await.unwrap();
    let second = joining.await.unwrap().unwrap().member_id;
    sync(&kit.one, &claim(&first, 2), &[&first, &second]).await.unwrap();
    let leaving = Leaving { member_id: second.clone(), instance_id: None };
    kit.one.groups.leave(&group(), vec![leaving]).await.unwrap();
    kit.one.supervisor.kill();
    let again = kit.restarted(1);
    assert_eq!(again.groups.heartbeat(claim(&second, 2)).await, Err(Condition::UnknownMemberId));
    assert_eq!(again.groups.heartbeat(claim(&first, 2)).await, Err(Condition::RebalanceInProgress));
    assert_eq!(again.groups.join(join_request(first.as_str())).await.unwrap().generation.0, 3);
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_removed_by_itself() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    pass(10_001).await;
    let description = kit.one.groups.describe(&group()).await.unwrap();
    assert_eq!((description.state, description.members.len()), (GroupState::Empty, 0));
    assert_eq!(kit.one.groups.heartbeat(claim(&member_id, 1)).await, Err(Condition::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_deserted_group_leaves_memory_and_comes_back() {
    let kit = Kit::new().await;
    kit.commit(&kit.one, &nobody(), 0, 1).await.unwrap();
    assert_eq!(kit.one.groups.0.shards.len(), 1);
    pass(61_000).await;
    assert_eq!(kit.one.groups.0.shards.len(), 0);
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(Some(1)));
    let member_id = alone(&kit.one).await;
    for _ in 0..20 {
        pass(9_000).await;
        kit.one.groups.heartbeat(claim(&member_id, 1)).await.unwrap();
    }
    assert_eq!(kit.one.groups.0.shards.len(), 1);
}

// ---------------------------------------------------------------- faults

#[tokio::test(start_paused = true)]
async fn steps_of_membership_survive_a_short_outage_and_lost_answers() {
    for faults in [
        &[Fault::Unavailable, Fault::Unavailable][..],
        &[Fault::UnknownDone],
        &[Fault::UnknownUndone],
        &[Fault::UnknownUndone, Fault::Unavailable, Fault::UnknownDone],
    ] {
        let kit = Kit::new().await;
        kit.metastore.fail(faults);
        let member_id = alone(&kit.one).await;
        kit.metastore.fail(faults);
        let again = kit.one.groups.join(join_request(member_id.as_str())).await;
        assert_eq!(again.unwrap().generation.0, 2, "{faults:?}");
        kit.one.supervisor.kill();
        let restarted = kit.restarted(1);
        assert_eq!(restarted.groups.heartbeat(claim(&member_id, 2)).await, Ok(()), "{faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_is_answered_with_try_again_and_nothing_is_made_up() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.metastore.fail(&[Fault::Unavailable; 4]);
    let outcome = kit.one.groups.join(join_request(member_id.as_str())).await;
    assert_eq!(refusal(outcome), Condition::CoordinatorNotAvailable);
    assert_eq!(kit.one.groups.heartbeat(claim(&member_id, 1)).await, Ok(()), "the last stored generation holds");
    let joined = kit.one.groups.join(join_request(member_id.as_str())).await.unwrap();
    assert_eq!(joined.generation.0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_leaves_the_group_as_it_is() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    for fault in [Fault::Unavailable, Fault::UnknownUndone, Fault::UnknownDone] {
        kit.metastore.fail(&[fault]);
        let outcome = kit.commit(&kit.one, &claim(&member_id, 1), 0, 1).await;
        assert_eq!(outcome, Err(Condition::CoordinatorNotAvailable), "{fault:?}");
        assert_eq!(kit.one.groups.heartbeat(claim(&member_id, 1)).await, Ok(()));
    }
    assert_eq!(kit.commit(&kit.one, &claim(&member_id, 1), 0, 2).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_first_commit_with_a_lost_answer_can_be_repeated() {
    for fault in [Fault::UnknownUndone, Fault::UnknownDone] {
        let kit = Kit::new().await;
        kit.metastore.fail(&[fault]);
        assert_eq!(kit.commit(&kit.one, &nobody(), 0, 1).await, Err(Condition::CoordinatorNotAvailable));
        assert_eq!(kit.commit(&kit.one, &nobody(), 0, 2).await, Ok(()), "{fault:?}");
        assert_eq!(kit.fetch(&kit.one, 0).await, Ok(Some(2)));
    }
}

// ---------------------------------------------------------------- offsets

#[tokio::test(start_paused = true)]
async fn commits_keep_their_order_and_share_writes() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.metastore.write_ms.store(100, Ordering::Relaxed);
    let before = kit.metastore.writes.load(Ordering::Relaxed);
    let claim = claim(&member_id, 1);
    let mut commits: Vec<_> = (1..=50)
        .map(|offset| Box::pin(kit.one.groups.commit_offsets(kit.commit_of(&claim, offset % 3, i64::from(offset)))))
        .collect();
    // Polled in order, like the requests of one connection; a fetch comes last and sees them all.
    for commit in &mut commits {
        assert!(futures::poll!(commit).is_pending());
    }
    assert_eq!(kit.fetch(&kit.one, 2).await, Ok(Some(50)));
    for commit in commits {
        assert_eq!(commit.await, Ok(vec![Ok(())]));
    }
    assert_eq!((kit.fetch(&kit.one, 0).await, kit.fetch(&kit.one, 1).await), (Ok(Some(48)), Ok(Some(49))));
    assert!(kit.metastore.writes.load(Ordering::Relaxed) - before <= 2);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_do_not_wait_for_a_commit() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.metastore.write_ms.store(5_000, Ordering::Relaxed);
    let (groups, commit) = (kit.one.groups.clone(), kit.commit_of(&claim(&member_id, 1), 0, 1));
    let committing = meanwhile(async move { groups.commit_offsets(commit).await });
    pass(1).await;
    let beat = kit.one.groups.heartbeat(claim(&member_id, 1));
    assert_eq!(tokio::time::timeout(Duration::from_millis(1), beat).await, Ok(Ok(())));
    assert!(!committing.is_finished());
    assert_eq!(committing.await.unwrap(), Ok(vec![Ok(())]));
}

#[tokio::test(start_paused = true)]
async fn a_commit_under_way_comes_before_the_rebalance_that_follows() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.metastore.write_ms.store(100, Ordering::Relaxed);
    let (groups, commit) = (kit.one.groups.clone(), kit.commit_of(&claim(&member_id, 1), 0, 1));
    let committing = meanwhile(async move { groups.commit_offsets(commit).await });
    pass(1).await;
    assert_eq!(kit.one.groups.join(join_request(member_id.as_str())).await.unwrap().generation.0, 2);
    assert_eq!(committing.await.unwrap(), Ok(vec![Ok(())]));
}

#[tokio::test(start_paused = true)]
async fn too_much_metadata_is_refused_for_its_partition_alone() {
    let kit = Kit::new().await;
    let mut commit = kit.commit_of(&nobody(), 0, 1);
    let metadata: Arc<str> = "é".repeat(4_097).into();
    commit.partitions.extend(kit.commit_of(&nobody(), 1, 2).partitions);
    commit.partitions[0].metadata = metadata;
    let outcome = kit.one.groups.commit_offsets(commit).await;
    assert_eq!(outcome, Ok(vec![Err(Condition::OffsetMetadataTooLarge), Ok(())]));
    let all = kit.one.groups.fetch_offsets(&group(), OffsetSelection::All).await.unwrap();
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [kit.partition(1)]);
    assert_eq!((&*all[&kit.partition(1)].metadata, all[&kit.partition(1)].leader_epoch), ("note", 0));
}

#[tokio::test(start_paused = true)]
async fn offsets_of_subscribed_topics_can_not_be_deleted() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.commit(&kit.one, &claim(&member_id, 1), 0, 1).await.unwrap();
    let topic = |name| TopicName::new(name).unwrap();
    let delete = |name| OffsetDelete { group_id: group(), partitions: vec![(topic(name), kit.partition(0))] };
    let subscribed = kit.one.groups.delete_offsets(delete("t")).await;
    assert_eq!(subscribed, Ok(vec![Err(Condition::GroupSubscribedToTopic)]));
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(Some(1)));
    assert_eq!(kit.one.groups.delete_offsets(delete("other")).await, Ok(vec![Ok(())]));
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(None));
    let unknown = OffsetDelete { group_id: "h".into(), partitions: Vec::new() };
    assert_eq!(kit.one.groups.delete_offsets(unknown).await, Err(Condition::GroupIdNotFound));
}

// ---------------------------------------------------------------- the end of groups

#[tokio::test(start_paused = true)]
async fn a_group_is_deleted_with_its_offsets_once_nobody_is_in_it() {
    let kit = Kit::new().await;
    assert_eq!(kit.one.groups.delete(&group()).await, Err(Condition::GroupIdNotFound));
    let member_id = alone(&kit.one).await;
    kit.commit(&kit.one, &claim(&member_id, 1), 0, 1).await.unwrap();
    assert_eq!(kit.one.groups.delete(&group()).await, Err(Condition::NonEmptyGroup));
    let leaving = Leaving { member_id, instance_id: None };
    kit.one.groups.leave(&group(), vec![leaving]).await.unwrap();
    assert_eq!(kit.one.groups.delete(&group()).await, Ok(()));
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(None));
    assert_eq!(kit.one.groups.describe(&group()).await.unwrap().state, GroupState::Dead);
    assert_eq!(kit.one.groups.list().await, Ok(Vec::new()));
    assert_eq!(kit.one.groups.join(join_request("")).await.unwrap().generation.0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_with_very_many_offsets_is_deleted_whole() {
    let kit = Kit::new().await;
    let mut commit = kit.commit_of(&nobody(), 0, 1);
    commit.partitions = (0..2_500).flat_map(|index| kit.commit_of(&nobody(), index, 1).partitions).collect();
    kit.one.groups.commit_offsets(commit).await.unwrap();
    let all = kit.one.groups.fetch_offsets(&group(), OffsetSelection::All).await.unwrap();
    assert_eq!(all.len(), 2_500);
    assert_eq!(kit.one.groups.delete(&group()).await, Ok(()));
    let all = kit.one.groups.fetch_offsets(&group(), OffsetSelection::All).await.unwrap();
    assert_eq!(all.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_where_they_are_at_home_as_they_are_now() {
    let kit = Kit::new().await;
    kit.commit(&kit.one, &nobody(), 0, 1).await.unwrap();
    let other = MemberClaim { group_id: "h".into(), ..nobody() };
    kit.commit(&kit.one, &other, 0, 1).await.unwrap();
    alone(&kit.one).await;
    let _joining = parked_join(&kit.one, join_request("")).await;
    let listing = |id: &str, protocol_type: &str, state| GroupListing {
        group_id: id.into(),
        protocol_type: protocol_type.into(),
        state,
    };
    let expected = [listing("g", "consumer", GroupState::PreparingRebalance), listing("h", "", GroupState::Empty)];
    assert_eq!(kit.one.groups.list().await.unwrap(), expected);
    assert_eq!(kit.two.groups.list().await, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_deserted_group_expire_and_the_group_with_them() {
    let kit = Kit::with(CoordinatorSettings { offsets_retention_minutes: 60, ..CoordinatorSettings::default() }).await;
    let member_id = alone(&kit.one).await;
    kit.commit(&kit.one, &claim(&member_id, 1), 0, 1).await.unwrap();
    for _ in 0..10 * 60 {
        pass(9_000).await;
        kit.one.groups.heartbeat(claim(&member_id, 1)).await.unwrap();
    }
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(Some(1)), "members keep the offsets of their topics");
    let leaving = Leaving { member_id, instance_id: None };
    kit.one.groups.leave(&group(), vec![leaving]).await.unwrap();
    pass(59 * 60_000).await;
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(Some(1)));
    pass(12 * 60_000).await;
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(None));
    assert_eq!(kit.one.groups.describe(&group()).await.unwrap().state, GroupState::Dead);
}

#[tokio::test(start_paused = true)]
async fn a_requests_own_retention_is_honoured() {
    let kit = Kit::new().await;
    let mut commit = kit.commit_of(&nobody(), 0, 1);
    commit.retention = Some(Duration::from_secs(60));
    kit.one.groups.commit_offsets(commit).await.unwrap();
    kit.commit(&kit.one, &nobody(), 1, 1).await.unwrap();
    pass(601_000).await;
    assert_eq!((kit.fetch(&kit.one, 0).await, kit.fetch(&kit.one, 1).await), (Ok(None), Ok(Some(1))));
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_deleted_topic_are_removed_though_members_subscribe_to_it() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.one).await;
    kit.commit(&kit.one, &claim(&member_id, 1), 0, 1).await.unwrap();
    kit.metastore.delete_topics(vec![kit.topic_id]).await.unwrap()[0].clone().unwrap();
    for _ in 0..70 {
        pass(9_000).await;
        kit.one.groups.heartbeat(claim(&member_id, 1)).await.unwrap();
    }
    assert_eq!(kit.fetch(&kit.one, 0).await, Ok(None));
}
