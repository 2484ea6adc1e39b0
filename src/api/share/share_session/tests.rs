use super::*;
use crate::model::topic::{PartitionIndex, TopicId};
use uuid::Uuid;

const CONNECTION: u64 = 7;

fn key(member: &str) -> SessionKey {
    SessionKey { group_id: "g".into(), member_id: member.into() }
}

fn partition(index: i32) -> TopicIdPartition {
    TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(index))
}

fn fetch(epoch: i32, added: &[i32], forgotten: &[i32]) -> SessionRequest {
    let partitions = |indices: &[i32]| indices.iter().map(|index| partition(*index)).collect();
    SessionRequest { epoch, partitions: partitions(added), forgotten: partitions(forgotten), acknowledges: false }
}

fn order(plan: &Plan) -> Vec<i32> {
    plan.partitions.iter().map(|partition| partition.partition.0).collect()
}

fn condition<T>(outcome: Result<T, Failure>) -> Condition {
    outcome.err().expect("refused").condition
}

fn indices(partitions: &[TopicIdPartition]) -> Vec<i32> {
    partitions.iter().map(|partition| partition.partition.0).collect()
}

#[test]
fn a_session_is_opened_continued_and_closed() {
    let sessions = ShareSessions::new(10);
    let key = key("m");
    let plan = sessions.begin(CONNECTION, &key, fetch(0, &[0, 1], &[])).expect("opened");
    assert_eq!((plan.incremental, order(&plan), plan.closing.is_none()), (false, vec![0, 1], true));
    assert_eq!(sessions.finish(&key, &plan, &[Finding::Nothing, Finding::Nothing]), [true, true]);

    let plan = sessions.begin(CONNECTION, &key, fetch(1, &[2], &[0])).expect("continued");
    assert_eq!((plan.incremental, order(&plan)), (true, vec![2, 1]));
    assert_eq!(sessions.acknowledge(&key, 2), Ok(None), "both requests share one number");
    let plan = sessions.begin(CONNECTION, &key, fetch(3, &[], &[])).expect("continued");
    assert_eq!(order(&plan), [2, 1]);

    let plan = sessions.begin(CONNECTION, &key, fetch(-1, &[5], &[])).expect("closed");
    assert_eq!(order(&plan), [0_i32; 0]);
    assert_eq!(indices(&plan.closing.expect("closing")), [1, 2, 0], "what was forgotten may still be held");
    assert!(sessions.is_empty());
    assert_eq!(condition(sessions.begin(CONNECTION, &key, fetch(-1, &[], &[]))), Condition::ShareSessionNotFound);
}

#[test]
fn epochs_that_do_not_fit_are_refused_and_change_nothing() {
    let sessions = ShareSessions::new(10);
    let key = key("m");
    let begin = |epoch| sessions.begin(CONNECTION, &key, fetch(epoch, &[0], &[]));
    assert_eq!(condition(begin(1)), Condition::ShareSessionNotFound);
    assert_eq!(condition(sessions.acknowledge(&key, 1)), Condition::ShareSessionNotFound);
    assert_eq!(condition(sessions.acknowledge(&key, -1)), Condition::ShareSessionNotFound);
    assert_eq!(condition(sessions.acknowledge(&key, 0)), Condition::InvalidShareSessionEpoch);
    begin(0).expect("opened");
    for epoch in [2, 7, -2, i32::MIN, i32::MAX] {
        assert_eq!(condition(begin(epoch)), Condition::InvalidShareSessionEpoch);
        assert_eq!(condition(sessions.acknowledge(&key, epoch)), Condition::InvalidShareSessionEpoch);
    }
    begin(1).expect("still expected");
    let acknowledges = SessionRequest { acknowledges: true, ..fetch(0, &[0], &[]) };
    assert_eq!(condition(sessions.begin(CONNECTION, &key, acknowledges)), Condition::InvalidRequest);
    begin(2).expect("the session is still there");
    begin(0).expect("opened anew");
    assert_eq!(condition(begin(3)), Condition::InvalidShareSessionEpoch);
    assert_eq!(sessions.len(), 1);
}

#[test]
fn after_the_largest_epoch_comes_one() {
    let sessions = ShareSessions::new(10);
    let key = key("m");
    sessions.begin(CONNECTION, &key, fetch(0, &[0], &[])).expect("opened");
    sessions.lock().sessions.get_mut(&key).expect("open").epoch = i32::MAX;
    sessions.begin(CONNECTION, &key, fetch(i32::MAX, &[], &[])).expect("continued");
    sessions.begin(CONNECTION, &key, fetch(1, &[], &[])).expect("continued");
}

#[test]
fn an_answer_names_what_is_new_failed_or_has_news() {
    let sessions = ShareSessions::new(10);
    let key = key("m");
    let mut epoch = 0;
    // Three partitions: with epochs that are multiples of three the order is 0, 1, 2.
    let mut step = |added: &[i32], findings: [Finding; 3], expected: [bool; 3]| {
        let plan = sessions.begin(CONNECTION, &key, fetch(epoch, added, &[])).expect("in order");
        let named = sessions.finish(&key, &plan, &findings);
        let mut by_partition: Vec<(i32, bool)> = order(&plan).into_iter().zip(named).collect();
        by_partition.sort_unstable();
        assert_eq!(by_partition.iter().map(|(_, named)| *named).collect::<Vec<_>>(), expected, "epoch {epoch}");
        for _ in 0..2 {
            if epoch > 0 {
                sessions.acknowledge(&key, epoch + 1).expect("in order");
                epoch += 1;
            }
        }
        epoch = if epoch == 0 { 1 } else { epoch + 1 };
    };
    use Finding::{Failed, News, Nothing};
    step(&[0, 1, 2], [Nothing, Nothing, Nothing], [true, true, true]);
    // Epoch 1: the order is 1, 2, 0.
    step(&[], [Nothing, Failed, Nothing], [false, false, true]);
    // Epoch 4: again 1, 2, 0. Partition 2 failed before, and is told to be well.
    step(&[], [Nothing, Nothing, News], [true, false, true]);
    step(&[], [Nothing, Nothing, Nothing], [false, false, false]);
}

#[test]
fn each_request_begins_with_another_partition() {
    let sessions = ShareSessions::new(10);
    let key = key("m");
    let orders: Vec<Vec<i32>> = (0..4)
        .map(|epoch| {
            let added: &[i32] = if epoch == 0 { &[0, 1, 2] } else { &[] };
            order(&sessions.begin(CONNECTION, &key, fetch(epoch, added, &[])).expect("in order"))
        })
        .collect();
    assert_eq!(orders, [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1], vec![0, 1, 2]]);
}

#[test]
fn what_is_added_and_forgotten_at_once_is_forgotten() {
    let sessions = ShareSessions::new(10);
    let key = key("m");
    sessions.begin(CONNECTION, &key, fetch(0, &[0], &[])).expect("opened");
    let plan = sessions.begin(CONNECTION, &key, fetch(1, &[0, 1, 1], &[1])).expect("continued");
    assert_eq!(order(&plan), [0]);
}

#[test]
fn there_is_room_for_so_many_sessions_and_no_more() {
    let sessions = ShareSessions::new(2);
    let open = |member| sessions.begin(CONNECTION, &key(member), fetch(0, &[0], &[]));
    open("a").expect("room");
    open("b").expect("room");
    assert_eq!(condition(open("c")), Condition::ShareSessionLimitReached);
    open("b").expect("its own room");
    sessions.begin(CONNECTION, &key("a"), fetch(-1, &[], &[])).expect("closed");
    open("c").expect("room again");
}

#[test]
fn partitions_are_bounded_over_all_sessions() {
    let sessions = ShareSessions::new(10);
    let many: Vec<i32> = (0..200_000).collect();
    sessions.begin(CONNECTION, &key("a"), fetch(0, &many, &[])).expect("room");
    assert_eq!(
        condition(sessions.begin(CONNECTION, &key("b"), fetch(0, &[0], &[]))),
        Condition::ShareSessionLimitReached
    );
    let more = sessions.begin(CONNECTION, &key("a"), fetch(1, &[200_000], &[]));
    assert_eq!(condition(more), Condition::ShareSessionLimitReached);
    sessions.begin(CONNECTION, &key("a"), fetch(1, &[5], &[7])).expect("nothing new");
    assert_eq!(sessions.lock().partition_count, 200_000);
    sessions.begin(CONNECTION, &key("a"), fetch(-1, &[], &[])).expect("closed");
    assert_eq!(sessions.lock().partition_count, 0);
}

#[test]
fn a_connection_takes_its_sessions_with_it() {
    let sessions = ShareSessions::new(10);
    sessions.begin(1, &key("a"), fetch(0, &[0, 1], &[])).expect("opened");
    sessions.begin(2, &key("b"), fetch(0, &[0], &[])).expect("opened");
    sessions.begin(3, &key("a"), fetch(1, &[], &[0])).expect("any connection may continue it");
    assert!(sessions.close_connection(3).is_empty());
    let gone = sessions.close_connection(1);
    assert_eq!(gone.len(), 1);
    assert_eq!((gone[0].0.clone(), indices(&gone[0].1)), (key("a"), vec![1, 0]));
    assert_eq!(sessions.len(), 1);
}

#[test]
fn an_answer_of_a_session_that_was_replaced_is_complete() {
    let sessions = ShareSessions::new(10);
    let key = key("m");
    sessions.begin(CONNECTION, &key, fetch(0, &[0], &[])).expect("opened");
    let plan = sessions.begin(CONNECTION, &key, fetch(1, &[], &[])).expect("continued");
    sessions.begin(CONNECTION, &key, fetch(0, &[0], &[])).expect("opened anew");
    assert_eq!(sessions.finish(&key, &plan, &[Finding::Nothing]), [true]);
}
