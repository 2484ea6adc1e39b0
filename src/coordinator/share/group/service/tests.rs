use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;

use super::kit::{Kit, beat, condition, indexes, join, request, topic};
use super::*;
use crate::base::task::Phase;
use crate::coordinator::group::service::kit::{Fault, alone, claim, group, join_request, nobody, pass, refusal, sync};
use crate::coordinator::group::values::{GroupDescription, Leaving, OffsetDelete, OffsetSelection as Committed};
use crate::coordinator::share::partition::document::{StoredPartition, encode, partition_key};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{ShareGroupState, ShareOffset};
use crate::metastore::catalog::Catalog;
use crate::metastore::conformance::kit::{Bench, plain};
use crate::metastore::state_store::StateStore;
use crate::metastore::values::{
    ConfigChange, ConfigResource, DocumentChange, DocumentPut, DocumentVersion, DocumentWrite, Expect,
};
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicIdPartition};

// ---------------------------------------------------------------- membership

#[tokio::test(start_paused = true)]
async fn members_join_live_are_shown_and_leave() {
    let kit = Kit::new().await;
    let joined = join(&kit.one, "a").await.unwrap();
    assert_eq!((joined.member_epoch, joined.heartbeat_interval), (1, Duration::from_secs(5)));
    assert_eq!(indexes(joined.assignment), (0..10).collect::<Vec<_>>());
    let joined = join(&kit.one, "b").await.unwrap();
    assert_eq!((joined.member_epoch, indexes(joined.assignment)), (2, (5..10).collect()));
    assert_eq!(beat(&kit.one, "a", 1).await, Ok(2));
    let stored = kit.stored(&group()).await;
    assert_eq!(stored.len(), 10);
    assert!(stored.iter().all(|(_, state)| matches!(state, StoredPartition::Undecided)));
    let description = kit.one.describe(&group()).await.unwrap();
    assert_eq!((description.state, description.group_epoch, description.assignment_epoch), {
        (ShareGroupState::Stable, 2, 2)
    });
    let members: Vec<_> =
        description.members.iter().map(|member| (member.member_id.as_str(), member.member_epoch)).collect();
    assert_eq!(members, [("a", 2), ("b", 2)]);
    let listing = |state| ShareGroupListing { group_id: group(), state };
    assert_eq!(kit.one.list().await, Ok(vec![listing(ShareGroupState::Stable)]));
    assert_eq!(kit.two.list().await, Ok(vec![]));
    assert_eq!(beat(&kit.one, "a", -1).await, Ok(-1));
    assert_eq!(beat(&kit.one, "b", -1).await, Ok(-1));
    assert_eq!(kit.one.list().await, Ok(vec![listing(ShareGroupState::Empty)]));
    assert_eq!(kit.stored(&group()).await.len(), 10, "what was read is remembered");
}

#[tokio::test(start_paused = true)]
async fn only_the_home_answers_and_names_are_checked() {
    let kit = Kit::new().await;
    assert_eq!(condition(join(&kit.two, "a").await), Condition::NotCoordinator);
    assert_eq!(condition(kit.two.describe(&group()).await), Condition::NotCoordinator);
    assert_eq!(condition(kit.two.describe_offsets(&group(), None).await), Condition::NotCoordinator);
    let unnamed = ShareHeartbeat { group_id: "".into(), ..request("a", 0, Some(&["t"])) };
    assert_eq!(condition(kit.one.heartbeat(unnamed).await), Condition::InvalidRequest);
    for name in ["", "a\0b"] {
        assert_eq!(condition(kit.one.describe(&name.into()).await), Condition::InvalidGroupId);
        assert_eq!(condition(kit.one.alter_offsets(&name.into(), vec![]).await), Condition::InvalidGroupId);
    }
    let missing = kit.one.describe(&group()).await.unwrap_err();
    assert_eq!((missing.condition, &*missing.message), (Condition::GroupIdNotFound, "Group g not found."));
    assert_eq!(condition(kit.one.delete(&group()).await), Condition::GroupIdNotFound);
    assert_eq!(condition(kit.one.delete_offsets(&group(), vec![topic("t")]).await), Condition::GroupIdNotFound);
    assert_eq!(beat(&kit.one, "a", 1).await, Err(Condition::GroupIdNotFound));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_another_agent_just_made_is_assigned_at_once() {
    let kit = Kit::new().await;
    kit.create_topic("new", 2).await;
    let joined = kit.one.heartbeat(request("a", 0, Some(&["new"]))).await.unwrap();
    assert_eq!(indexes(joined.assignment), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_groups_own_configuration_holds() {
    let kit = Kit::new().await;
    let set = |name: &str, value: &str| ConfigChange::Set(name.to_owned(), value.to_owned());
    let changes = vec![set("share.heartbeat.interval.ms", "7000"), set("share.session.timeout.ms", "60000")];
    kit.classic.metastore.alter_configs(ConfigResource::Group(group()), changes).await.unwrap().unwrap();
    kit.classic.catalog.refresh().await.unwrap();
    assert_eq!(join(&kit.one, "a").await.unwrap().heartbeat_interval, Duration::from_secs(7));
    pass(59_999).await;
    assert_eq!(beat(&kit.one, "a", 1).await, Ok(1));
    pass(60_001).await;
    assert_eq!(beat(&kit.one, "a", 1).await, Err(Condition::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_removed_by_itself() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    pass(45_001).await;
    assert_eq!(kit.one.list().await.unwrap()[0].state, ShareGroupState::Empty);
    assert_eq!(beat(&kit.one, "a", 1).await, Err(Condition::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn members_that_come_at_once_share_writes_and_lives_cost_none() {
    let kit = Kit::new().await;
    kit.classic.metastore.write_ms.store(100, Ordering::Relaxed);
    let writes = || kit.classic.metastore.writes.load(Ordering::Relaxed);
    let before = writes();
    let names: Vec<_> = (0..100).map(|number| format!("m{number}")).collect();
    let joined = join_all(names.iter().map(|name| join(&kit.one, name))).await;
    assert!(joined.iter().all(Result::is_ok));
    assert!(writes() - before <= 3, "{} writes", writes() - before);
    let before = writes();
    for (name, joined) in names.iter().zip(joined) {
        assert_eq!(beat(&kit.one, name, joined.unwrap().member_epoch).await, Ok(100));
    }
    assert_eq!(writes(), before);
}

#[tokio::test(start_paused = true)]
async fn a_deserted_group_leaves_memory_and_comes_back() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    beat(&kit.one, "a", -1).await.unwrap();
    assert_eq!(kit.one.0.shards.len(), 1);
    pass(61_000).await;
    assert_eq!(kit.one.0.shards.len(), 0);
    assert_eq!(join(&kit.one, "a").await.unwrap().member_epoch, 3, "the count of epochs goes on");
    for _ in 0..20 {
        pass(9_000).await;
        assert_eq!(beat(&kit.one, "a", 3).await, Ok(3));
    }
    assert_eq!(kit.one.0.shards.len(), 1);
}

// ---------------------------------------------------------------- homes

#[tokio::test(start_paused = true)]
async fn a_group_moves_without_a_rebalance() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    join(&kit.one, "b").await.unwrap();
    assert_eq!(beat(&kit.one, "a", 1).await, Ok(2));
    pass(40_000).await;
    kit.home_is(2);
    assert_eq!(beat(&kit.one, "a", 2).await, Err(Condition::NotCoordinator));
    let answer = kit.two.heartbeat(request("a", 2, None)).await.unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, None));
    pass(44_000).await;
    assert_eq!(beat(&kit.two, "b", 2).await, Ok(2), "its session started afresh");
    pass(1_001).await;
    assert_eq!(beat(&kit.two, "a", 2).await, Err(Condition::UnknownMemberId));
    assert_eq!(kit.one.0.shards.len(), 0, "the former home let go");
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_not_a_rebalance() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    let again = kit.restarted();
    assert_eq!(beat(&again, "a", 1).await, Ok(1));
    let description = again.describe(&group()).await.unwrap();
    assert_eq!((description.group_epoch, description.members[0].assignment.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_former_home_that_does_not_know_can_not_change_anything() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    // The second agent takes over; the first one still believes that it is the home.
    kit.classic.two.sees(&[2]);
    assert_eq!(beat(&kit.two, "a", 1).await, Ok(1));
    assert_eq!(condition(join(&kit.one, "b").await), Condition::NotCoordinator);
    assert_eq!(join(&kit.two, "c").await.unwrap().member_epoch, 2);
    let members = kit.two.describe(&group()).await.unwrap().members;
    assert_eq!(members.iter().map(|member| member.member_id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn two_homes_do_not_make_the_same_group_twice() {
    let kit = Kit::new().await;
    kit.classic.two.sees(&[2]);
    kit.classic.metastore.write_ms.store(100, Ordering::Relaxed);
    let (first, second) = tokio::join!(join(&kit.one, "a"), join(&kit.two, "b"));
    assert_eq!(first.unwrap().member_epoch, 1);
    assert_eq!(condition(second), Condition::NotCoordinator);
    assert_eq!(kit.stored(&group()).await.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_sent_on_when_the_agent_stops() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    assert!(kit.classic.one.supervisor.stop_phase(Phase::Coordinators, Duration::from_secs(1)).await);
    assert_eq!(beat(&kit.one, "a", 1).await, Err(Condition::NotCoordinator));
}

#[tokio::test(start_paused = true)]
async fn members_that_a_dead_home_left_behind_are_removed_though_nobody_asks() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    let again = kit.restarted();
    assert_eq!(again.list().await.unwrap()[0].state, ShareGroupState::Stable);
    pass(600_000 + 46_000).await;
    assert_eq!(again.list().await.unwrap()[0].state, ShareGroupState::Empty);
}

// ---------------------------------------------------------------- faults

#[tokio::test(start_paused = true)]
async fn steps_survive_a_short_outage_and_lost_answers() {
    for faults in [
        &[Fault::Unavailable, Fault::Unavailable][..],
        &[Fault::UnknownDone],
        &[Fault::UnknownUndone],
        &[Fault::UnknownUndone, Fault::Unavailable, Fault::UnknownDone],
    ] {
        let kit = Kit::new().await;
        kit.classic.metastore.fail(faults);
        assert_eq!(join(&kit.one, "a").await.unwrap().member_epoch, 1, "{faults:?}");
        kit.classic.metastore.fail(faults);
        assert_eq!(join(&kit.one, "b").await.unwrap().member_epoch, 2, "{faults:?}");
        assert_eq!(kit.stored(&group()).await.len(), 10);
        let again = kit.restarted();
        assert_eq!((beat(&again, "a", 1).await, beat(&again, "b", 2).await), (Ok(2), Ok(2)), "{faults:?}");
        for member in ["a", "b"] {
            beat(&again, member, -1).await.unwrap();
        }
        kit.classic.metastore.fail(faults);
        again.alter_offsets(&group(), vec![alteration("t", &[(0, 5)])]).await.unwrap();
        assert_eq!(again.describe(&group()).await.unwrap().group_epoch, 5, "{faults:?}");
        assert_eq!(offsets(&again, "t", &[0]).await, [(5, 0)]);
        kit.classic.metastore.fail(faults);
        assert_eq!(again.delete(&group()).await, Ok(()), "{faults:?}");
        assert_eq!((kit.stored(&group()).await, again.list().await), (vec![], Ok(vec![])));
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_is_answered_with_try_again_and_nothing_is_made_up() {
    let kit = Kit::new().await;
    join(&kit.one, "a").await.unwrap();
    kit.classic.metastore.fail(&[Fault::Unavailable; 4]);
    assert_eq!(condition(join(&kit.one, "b").await), Condition::CoordinatorNotAvailable);
    assert_eq!(beat(&kit.one, "b", 2).await, Err(Condition::UnknownMemberId));
    assert_eq!(beat(&kit.one, "a", 1).await, Ok(1), "the last stored state holds");
    assert_eq!(join(&kit.one, "b").await.unwrap().member_epoch, 2);
}

#[tokio::test(start_paused = true)]
async fn a_share_partition_that_is_there_already_is_kept() {
    let kit = Kit::new().await;
    let partition = kit.classic.partition(3);
    let state = StoredPartition::Decided(SharePartitionState::starting_at(Offset(42)));
    let change = DocumentChange::Put(encode(&state));
    let put = DocumentPut { key: partition_key(&group(), partition), expect: Expect::Absent, change };
    kit.classic.metastore.write_documents(DocumentWrite { puts: vec![put] }).await.unwrap();
    assert_eq!(indexes(join(&kit.one, "a").await.unwrap().assignment).len(), 10);
    let stored = kit.stored(&group()).await;
    assert_eq!(stored.len(), 10);
    assert!(stored.contains(&(partition, state)));
}

// ---------------------------------------------------------------- kinds of groups

#[tokio::test(start_paused = true)]
async fn the_id_of_a_classic_group_is_no_share_groups() {
    let kit = Kit::new().await;
    let member_id = alone(&kit.classic.one).await;
    let refused = join(&kit.one, "a").await.unwrap_err();
    assert_eq!((refused.condition, &*refused.message), (Condition::GroupIdNotFound, "Group g is not a share group."));
    assert_eq!(beat(&kit.one, "a", 1).await, Err(Condition::GroupIdNotFound));
    let described = kit.one.describe(&group()).await.unwrap_err();
    assert_eq!(described.message, "Group g is not a share group.");
    let starts = || vec![alteration("t", &[(0, 5)])];
    assert_eq!(condition(kit.one.alter_offsets(&group(), starts()).await), Condition::GroupIdNotFound);
    assert_eq!(condition(kit.one.delete_offsets(&group(), vec![topic("t")]).await), Condition::GroupIdNotFound);
    assert_eq!(condition(kit.one.delete(&group()).await), Condition::GroupIdNotFound);
    assert_eq!(kit.one.describe_offsets(&group(), None).await, Ok(vec![]));
    assert_eq!(kit.stored(&group()).await, []);
    // An empty one is still one; a deleted one is not.
    kit.classic.one.groups.leave(&group(), vec![Leaving { member_id, instance_id: None }]).await.unwrap();
    assert_eq!(condition(join(&kit.one, "a").await), Condition::GroupIdNotFound);
    kit.classic.one.groups.delete(&group()).await.unwrap();
    assert_eq!(join(&kit.one, "a").await.unwrap().member_epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_share_group_is_no_classic_groups() {
    let kit = Kit::new().await;
    let classic = &kit.classic.one.groups;
    // The classic side remembers that there is no such group, and is told better.
    assert_eq!(classic.describe(&group()).await, Ok(GroupDescription::dead()));
    join(&kit.one, "a").await.unwrap();
    for is_empty in [false, true] {
        if is_empty {
            beat(&kit.one, "a", -1).await.unwrap();
        }
        assert_eq!(refusal(classic.join(join_request("")).await), Condition::InconsistentGroupProtocol);
        assert_eq!(classic.heartbeat(claim(&"m".into(), 1)).await, Err(Condition::UnknownMemberId));
        assert_eq!(sync(&kit.classic.one, &claim(&"m".into(), 1), &[]).await, Err(Condition::UnknownMemberId));
        let leaving = Leaving { member_id: "m".into(), instance_id: None };
        assert_eq!(classic.leave(&group(), vec![leaving]).await, Err(Condition::UnknownMemberId));
        for who in [nobody(), claim(&"m".into(), 1)] {
            assert_eq!(kit.classic.commit(&kit.classic.one, &who, 0, 1).await, Err(Condition::GroupIdNotFound));
        }
        assert_eq!(classic.fetch_offsets(&group(), Committed::All).await, Err(Condition::GroupIdNotFound));
        let delete = OffsetDelete { group_id: group(), partitions: vec![(topic("t"), kit.classic.partition(0))] };
        assert_eq!(classic.delete_offsets(delete).await, Err(Condition::GroupIdNotFound));
        assert_eq!(classic.describe(&group()).await, Ok(GroupDescription::dead()));
        assert_eq!(classic.delete(&group()).await, Err(Condition::GroupIdNotFound));
        assert_eq!(classic.list().await, Ok(vec![]));
    }
    kit.one.delete(&group()).await.unwrap();
    assert_eq!(kit.classic.commit(&kit.classic.one, &nobody(), 0, 1).await, Ok(()));
    assert_eq!(condition(join(&kit.one, "a").await), Condition::GroupIdNotFound);
}

#[tokio::test(start_paused = true)]
async fn of_two_kinds_made_at_once_one_is_refused() {
    for classic_first in [false, true] {
        let kit = Kit::new().await;
        kit.classic.metastore.write_ms.store(100, Ordering::Relaxed);
        // Both have looked before either has written.
        let share = async {
            pass(u64::from(classic_first)).await;
            join(&kit.one, "a").await
        };
        let classic = async {
            pass(u64::from(!classic_first)).await;
            kit.classic.commit(&kit.classic.one, &nobody(), 0, 1).await
        };
        let (share, classic) = tokio::join!(share, classic);
        if classic_first {
            assert_eq!(classic, Ok(()));
            assert_eq!(share.unwrap_err().message, "Group g is not a share group.");
            assert_eq!(kit.stored(&group()).await, []);
        } else {
            assert_eq!((share.unwrap().member_epoch, classic), (1, Err(Condition::GroupIdNotFound)));
        }
    }
    // A JoinGroup that comes too late is told that its protocol does not fit.
    let kit = Kit::new().await;
    kit.classic.metastore.write_ms.store(100, Ordering::Relaxed);
    let late = async {
        pass(1).await;
        kit.classic.one.groups.join(join_request("")).await
    };
    let (share, classic) = tokio::join!(join(&kit.one, "a"), late);
    assert_eq!((share.unwrap().member_epoch, refusal(classic)), (1, Condition::InconsistentGroupProtocol));
}

// ---------------------------------------------------------------- topics

#[tokio::test(start_paused = true)]
async fn share_partitions_of_a_deleted_topic_go() {
    let kit = Kit::new().await;
    let other = kit.create_topic("u", 1).await;
    kit.one.heartbeat(request("a", 0, Some(&["t", "u"]))).await.unwrap();
    assert_eq!(kit.stored(&group()).await.len(), 11);
    kit.classic.metastore.delete_topics(vec![kit.classic.topic_id]).await.unwrap()[0].clone().unwrap();
    kit.classic.catalog.refresh().await.unwrap();
    pass(1_000).await;
    let answer = kit.one.heartbeat(request("a", 1, None)).await.unwrap();
    assert_eq!(answer.assignment.unwrap().into_keys().collect::<Vec<_>>(), [other]);
    assert_eq!(kit.stored(&group()).await.len(), 1);
    // Also when nobody is in the group and no agent remembers it.
    beat(&kit.one, "a", -1).await.unwrap();
    pass(61_000).await;
    kit.classic.metastore.delete_topics(vec![other]).await.unwrap()[0].clone().unwrap();
    pass(600_000).await;
    assert_eq!(kit.stored(&group()).await, []);
    assert_eq!(kit.one.describe(&group()).await.unwrap().state, ShareGroupState::Empty);
}

#[tokio::test(start_paused = true)]
async fn a_group_with_very_many_partitions_is_made_and_deleted_whole() {
    let kit = Kit::new().await;
    kit.create_topic("wide", 2_500).await;
    let joined = kit.one.heartbeat(request("a", 0, Some(&["wide"]))).await.unwrap();
    assert_eq!(indexes(joined.assignment).len(), 1_000, "as many as one step makes");
    pass(5_000).await;
    let answer = kit.one.heartbeat(request("a", joined.member_epoch, None)).await.unwrap();
    assert_eq!(indexes(answer.assignment).len(), 2_500);
    assert_eq!(condition(kit.one.delete(&group()).await), Condition::NonEmptyGroup);
    beat(&kit.one, "a", -1).await.unwrap();
    assert_eq!(kit.one.delete(&group()).await, Ok(()));
    assert_eq!((kit.stored(&group()).await, kit.one.list().await), (vec![], Ok(vec![])));
    assert_eq!(kit.one.heartbeat(request("a", 0, Some(&["t"]))).await.unwrap().member_epoch, 1);
}

// ---------------------------------------------------------------- start offsets

fn alteration(name: &str, starts: &[(i32, i64)]) -> AlterTopicOffsets {
    let partitions = starts.iter().map(|(index, start)| (PartitionIndex(*index), Offset(*start))).collect();
    AlterTopicOffsets { topic: topic(name), partitions }
}

/// Start offset and lag of partitions of a topic, −1 for what is not known.
async fn offsets(shares: &ShareGroups, name: &str, partitions: &[i32]) -> Vec<(i64, i64)> {
    let wanted = vec![(topic(name), partitions.iter().copied().map(PartitionIndex).collect())];
    let described = shares.describe_offsets(&group(), Some(wanted)).await.unwrap().remove(0);
    let shown = |offset: ShareOffset| {
        let lag = offset.lag.map_or(-1, |lag| i64::try_from(lag).unwrap());
        (offset.start_offset.map_or(-1, |start| start.0), lag)
    };
    described.partitions.into_iter().map(|(_, offset)| shown(offset.unwrap())).collect()
}

/// The version of a share partition's document.
async fn version(kit: &Kit, partition: TopicIdPartition) -> Option<DocumentVersion> {
    let found = kit.classic.metastore.get_documents(vec![partition_key(&group(), partition)]).await.unwrap();
    found[0].as_ref().map(|document| document.version)
}

#[tokio::test(start_paused = true)]
async fn start_offsets_and_lags_are_described() {
    let kit = Kit::new().await;
    assert_eq!(kit.one.describe_offsets(&group(), None).await, Ok(vec![]), "no such group is no error");
    assert_eq!(offsets(&kit.one, "t", &[0, 99]).await, [(-1, -1), (-1, -1)]);
    assert_eq!(offsets(&kit.one, "none", &[0]).await, [(-1, -1)]);
    let unknown = kit.one.describe_offsets(&group(), Some(vec![(topic("none"), vec![])])).await.unwrap();
    assert_eq!(unknown[0].topic_id, None);
    join(&kit.one, "a").await.unwrap();
    assert_eq!(offsets(&kit.one, "t", &[0]).await, [(-1, -1)], "nothing was fetched yet");
    beat(&kit.one, "a", -1).await.unwrap();
    let bench = Bench::new(Arc::clone(&kit.classic.metastore) as _).await;
    bench.append("object", kit.classic.partition(0), vec![plain(100, 1_000)]).await;
    kit.one.alter_offsets(&group(), vec![alteration("t", &[(0, 40), (1, 7)])]).await.unwrap();
    assert_eq!(offsets(&kit.one, "t", &[1, 0, 2]).await, [(7, 0), (40, 60), (-1, -1)], "in the order asked for");
    let all = kit.one.describe_offsets(&group(), None).await.unwrap();
    assert_eq!((all.len(), &all[0].topic, all[0].topic_id), (1, &topic("t"), Some(kit.classic.topic_id)));
    let indexes: Vec<_> = all[0].partitions.iter().map(|(index, _)| index.0).collect();
    assert_eq!(indexes, (0..10).collect::<Vec<_>>());
    // Those of a deleted topic are left out, even before they go.
    kit.classic.metastore.delete_topics(vec![kit.classic.topic_id]).await.unwrap()[0].clone().unwrap();
    assert_eq!(kit.one.describe_offsets(&group(), None).await, Ok(vec![]));
    assert_eq!(offsets(&kit.one, "t", &[0]).await, [(-1, -1)]);
}

#[tokio::test(start_paused = true)]
async fn start_offsets_are_altered_while_nobody_is_there() {
    let kit = Kit::new().await;
    let request = vec![alteration("t", &[(0, 5), (99, 1), (1, -2), (2, -1)]), alteration("none", &[(0, 0)])];
    let altered = kit.one.alter_offsets(&group(), request).await.unwrap();
    let outcomes: Vec<_> = altered
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|(index, outcome)| (index.0, outcome.as_ref().map_err(|failure| failure.condition).copied()))
        .collect();
    let unknown = Err(Condition::UnknownTopicOrPartition);
    assert_eq!(outcomes, [(0, Ok(())), (99, unknown), (1, Err(Condition::InvalidRequest)), (2, Ok(())), (0, unknown)]);
    assert_eq!((altered[0].topic_id, altered[1].topic_id), (Some(kit.classic.topic_id), None));
    let description = kit.one.describe(&group()).await.unwrap();
    assert_eq!((description.state, description.group_epoch), (ShareGroupState::Empty, 1), "the group was made");
    let stored = kit.stored(&group()).await;
    let start = StoredPartition::Decided(SharePartitionState::starting_at(Offset(5)));
    assert_eq!(stored, [(kit.classic.partition(0), start), (kit.classic.partition(2), StoredPartition::Undecided)]);
    // The same again changes the documents' versions: what agents remember of them is void.
    let before = version(&kit, kit.classic.partition(0)).await;
    kit.one.alter_offsets(&group(), vec![alteration("t", &[(0, 5)])]).await.unwrap();
    assert_ne!(version(&kit, kit.classic.partition(0)).await, before);
    assert_eq!(kit.one.describe(&group()).await.unwrap().group_epoch, 2);
    // Who subscribes then begins there, and by the reset policy elsewhere.
    let joined = join(&kit.one, "a").await.unwrap();
    assert_eq!((joined.member_epoch, indexes(joined.assignment).len()), (3, 10));
    let undecided = |stored: &[(TopicIdPartition, StoredPartition)]| {
        stored.iter().filter(|(_, state)| matches!(state, StoredPartition::Undecided)).count()
    };
    assert_eq!(undecided(&kit.stored(&group()).await), 9);
    let refused = kit.one.alter_offsets(&group(), vec![alteration("t", &[(0, 9)])]).await.unwrap_err();
    assert_eq!(refused.condition, Condition::NonEmptyGroup);
    assert!(refused.message.ends_with("has 1 member: stop it first."), "{refused:?}");
    assert_eq!(offsets(&kit.one, "t", &[0]).await, [(5, 0)]);
}

#[tokio::test(start_paused = true)]
async fn an_alteration_that_alters_nothing_makes_no_group() {
    let kit = Kit::new().await;
    kit.one.alter_offsets(&group(), vec![alteration("none", &[(0, 5)])]).await.unwrap();
    assert_eq!(kit.one.list().await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn start_offsets_are_deleted_and_the_topic_begins_anew() {
    let kit = Kit::new().await;
    kit.create_topic("u", 1).await;
    kit.one
        .alter_offsets(&group(), vec![alteration("t", &[(0, 5), (1, 6)]), alteration("u", &[(0, 0)])])
        .await
        .unwrap();
    let deleted = kit.one.delete_offsets(&group(), vec![topic("t"), topic("none"), topic("t")]).await.unwrap();
    let outcomes: Vec<_> =
        deleted.iter().map(|topic| topic.outcome.clone().map_err(|failure| failure.condition)).collect();
    let unknown = Err(Condition::UnknownTopicOrPartition);
    assert_eq!(outcomes, [Ok(()), unknown, unknown]);
    let nothing = deleted[2].outcome.clone().unwrap_err();
    assert_eq!(nothing.message, "There is no offset information to delete.");
    assert_eq!(kit.stored(&group()).await.len(), 1);
    join(&kit.one, "a").await.unwrap();
    let stored = kit.stored(&group()).await;
    let of_topic = |partition: &TopicIdPartition| partition.topic_id == kit.classic.topic_id;
    let anew = stored.iter().filter(|(partition, state)| of_topic(partition) && *state == StoredPartition::Undecided);
    assert_eq!(anew.count(), 10, "the reset policy decides again");
    assert_eq!(condition(kit.one.delete_offsets(&group(), vec![topic("t")]).await), Condition::NonEmptyGroup);
}
