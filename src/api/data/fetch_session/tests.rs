use super::*;

const CONNECTION: u64 = 7;

fn sessions() -> FetchSessions {
    FetchSessions::new(Rng::from_seed(1))
}

fn slot(partition: i32) -> Slot {
    Slot { topic: TopicRef::Name("t".into()), partition }
}

fn wanted(offset: i64) -> Wanted {
    Wanted { offset, bytes_max: 1000, leader_epoch: -1 }
}

fn request(session_id: i32, epoch: i32, partitions: &[(i32, i64)]) -> SessionRequest {
    SessionRequest {
        session_id,
        epoch,
        by_id: false,
        partitions: partitions.iter().map(|&(partition, offset)| (slot(partition), wanted(offset))).collect(),
        forgotten: Vec::new(),
    }
}

fn found(high_watermark: i64, records: bool) -> Finding {
    Finding { told: Some(Told { high_watermark, last_stable_offset: high_watermark, log_start_offset: 0 }), records }
}

const FAILED: Finding = Finding { told: None, records: false };

fn open(sessions: &FetchSessions, partitions: &[(i32, i64)]) -> Plan {
    let plan = sessions.begin(CONNECTION, request(0, 0, partitions), Instant::now()).expect("a new session");
    assert_ne!(plan.session_id, 0);
    plan
}

fn order(plan: &Plan) -> Vec<i32> {
    plan.partitions.iter().map(|(slot, _)| slot.partition).collect()
}

#[test]
fn a_full_answer_names_every_partition_and_an_incremental_one_only_news() {
    let sessions = sessions();
    let plan = open(&sessions, &[(0, 5), (1, 6)]);
    assert!(!plan.incremental);
    assert_eq!(sessions.finish(CONNECTION, &plan, &[found(5, false), found(6, false)]), [true, true]);

    let plan = sessions.begin(CONNECTION, request(plan.session_id, 1, &[]), Instant::now()).expect("goes on");
    assert!(plan.incremental);
    assert_eq!(plan.partitions, [(slot(0), wanted(5)), (slot(1), wanted(6))]);
    assert_eq!(sessions.finish(CONNECTION, &plan, &[found(5, false), found(7, false)]), [false, true]);

    let plan = sessions.begin(CONNECTION, request(plan.session_id, 2, &[]), Instant::now()).expect("goes on");
    assert_eq!(sessions.finish(CONNECTION, &plan, &[found(5, false), found(7, false)]), [false, false]);
}

#[test]
fn errors_are_named_every_time_and_so_is_the_recovery() {
    let sessions = sessions();
    let session_id = open(&sessions, &[(0, 5)]).session_id;
    for (epoch, finding, named) in
        [(1, FAILED, true), (2, FAILED, true), (3, found(5, false), true), (4, found(5, false), false)]
    {
        let plan = sessions.begin(CONNECTION, request(session_id, epoch, &[]), Instant::now()).expect("goes on");
        assert_eq!(sessions.finish(CONNECTION, &plan, &[finding]), [named], "epoch {epoch}");
    }
}

#[test]
fn a_partition_that_gave_records_goes_to_the_end() {
    let sessions = sessions();
    let plan = open(&sessions, &[(0, 0), (1, 0), (2, 0)]);
    let _ = sessions.finish(CONNECTION, &plan, &[found(9, true), found(9, true), found(9, false)]);
    let plan = sessions.begin(CONNECTION, request(plan.session_id, 1, &[(0, 9)]), Instant::now()).expect("goes on");
    assert_eq!(order(&plan), [2, 0, 1]);
    assert_eq!(plan.partitions[1].1, wanted(9));
}

#[test]
fn forgotten_partitions_go_and_an_empty_session_ends() {
    let sessions = sessions();
    let session_id = open(&sessions, &[(0, 0), (1, 0)]).session_id;
    let mut forget = request(session_id, 1, &[(2, 4)]);
    forget.forgotten = vec![slot(0)];
    let plan = sessions.begin(CONNECTION, forget, Instant::now()).expect("goes on");
    assert_eq!(order(&plan), [1, 2]);

    let mut forget = request(session_id, 2, &[]);
    forget.forgotten = vec![slot(1), slot(2)];
    let plan = sessions.begin(CONNECTION, forget, Instant::now()).expect("ends");
    assert_eq!((plan.session_id, plan.partitions.len()), (0, 0));
    assert!(sessions.is_empty());
}

#[test]
fn wrong_sessions_and_epochs_are_refused() {
    let sessions = sessions();
    let session_id = open(&sessions, &[(0, 0)]).session_id;
    let begin = |connection, request| sessions.begin(connection, request, Instant::now()).map(|_| ());
    assert_eq!(begin(CONNECTION, request(session_id, 2, &[])), Err(Condition::InvalidFetchSessionEpoch));
    assert_eq!(begin(CONNECTION, request(session_id + 1, 1, &[])), Err(Condition::FetchSessionIdNotFound));
    assert_eq!(begin(CONNECTION + 1, request(session_id, 1, &[])), Err(Condition::FetchSessionIdNotFound));
    let by_id = SessionRequest { by_id: true, ..request(session_id, 1, &[]) };
    assert_eq!(begin(CONNECTION, by_id), Err(Condition::FetchSessionTopicIdError));
    // None of these moved the session on.
    assert_eq!(begin(CONNECTION, request(session_id, 1, &[])), Ok(()));
}

#[test]
fn a_sessionless_request_closes_the_session_it_names() {
    let sessions = sessions();
    let session_id = open(&sessions, &[(0, 0)]).session_id;
    let plan = sessions.begin(CONNECTION, request(session_id, -1, &[(3, 0)]), Instant::now()).expect("sessionless");
    assert_eq!((plan.session_id, plan.incremental, order(&plan)), (0, false, vec![3]));
    assert!(sessions.is_empty());
}

#[test]
fn epochs_wrap_past_zero() {
    assert_eq!(next_epoch(1), 2);
    assert_eq!(next_epoch(i32::MAX), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_table_makes_room_from_idle_sessions_only() {
    let sessions = sessions();
    for _ in 0..SESSIONS_MAX {
        open(&sessions, &[(0, 0)]);
    }
    let asked = || sessions.begin(CONNECTION + 1, request(0, 0, &[(0, 0)]), Instant::now()).expect("never an error");
    assert_eq!(asked().session_id, 0, "no session is idle yet: a full answer without a session");
    tokio::time::advance(IDLE).await;
    assert_ne!(asked().session_id, 0);
    assert_eq!(sessions.len(), SESSIONS_MAX);
}

#[test]
fn partitions_are_bounded_over_all_sessions() {
    let sessions = sessions();
    let half = i32::try_from(PARTITIONS_MAX / 2 + 1).expect("small");
    let many: Vec<(i32, i64)> = (0..half).map(|partition| (partition, 0)).collect();
    let first = open(&sessions, &many);
    let second = sessions.begin(CONNECTION, request(0, 0, &many), Instant::now()).expect("never an error");
    assert_eq!(second.session_id, 0);
    sessions.close_connection(CONNECTION);
    assert!(sessions.is_empty());
    assert_ne!(open(&sessions, &many).session_id, first.session_id);
}

#[test]
fn a_session_that_outgrows_the_room_ends_with_a_full_answer() {
    let sessions = sessions();
    let session_id = open(&sessions, &[(0, 0)]).session_id;
    let too_many: Vec<(i32, i64)> =
        (0..=i32::try_from(PARTITIONS_MAX).expect("small")).map(|partition| (partition, 0)).collect();
    let plan = sessions.begin(CONNECTION, request(session_id, 1, &too_many), Instant::now()).expect("ends");
    assert_eq!((plan.session_id, plan.incremental), (0, false));
    assert!(sessions.is_empty());
    let findings = vec![found(0, false); plan.partitions.len()];
    assert!(sessions.finish(CONNECTION, &plan, &findings).iter().all(|named| *named));
}
