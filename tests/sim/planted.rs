//! The checker is tested with histories that carry one planted bug each, and with clean ones.

use std::collections::BTreeSet;

use crate::checker::{Anomaly, check};
use crate::history::{History, Operation, SendOutcome};

const P: u32 = 0;

fn send(value: u64, outcome: SendOutcome) -> Operation {
    Operation::Send { producer: 1, partition: P, value, outcome }
}

fn read(from: i64, records: &[(i64, u64)], high_watermark: i64) -> Operation {
    Operation::Read {
        consumer: 1,
        partition: P,
        from,
        records: records.to_vec(),
        high_watermark,
        claims_end: records.is_empty(),
    }
}

fn last(records: &[(i64, u64)]) -> Operation {
    Operation::Final { partition: P, records: records.to_vec() }
}

/// Operations one after the other, none overlapping.
fn history(operations: Vec<Operation>) -> History {
    let mut history = History { idempotent: true, ..History::default() };
    for (moment, operation) in (0..).step_by(10).zip(operations) {
        history.push(moment, moment + 5, operation);
    }
    history
}

fn found(operations: Vec<Operation>) -> BTreeSet<Anomaly> {
    check(&history(operations))
}

use SendOutcome::{Acked, Failed, Unknown};

#[test]
fn a_clean_history_has_no_anomaly() {
    let clean = vec![
        send(10, Acked(0)),
        read(0, &[(0, 10)], 1),
        send(11, Unknown),
        send(12, Acked(2)),
        send(13, Failed),
        Operation::End { partition: P, high_watermark: 3 },
        read(1, &[(1, 11), (2, 12)], 3),
        read(3, &[], 3),
        Operation::Commit { group: 1, partition: P, offset: 3, acked: true },
        Operation::Committed { group: 1, partition: P, offset: 3 },
        last(&[(0, 10), (1, 11), (2, 12)]),
    ];
    assert_eq!(found(clean), BTreeSet::new());
}

#[test]
fn an_unknown_send_may_be_there_or_not() {
    assert_eq!(found(vec![send(10, Unknown), last(&[])]), BTreeSet::new());
    assert_eq!(found(vec![send(10, Unknown), last(&[(0, 10)])]), BTreeSet::new());
}

#[test]
fn overlapping_sends_of_one_producer_may_take_either_order() {
    let mut history = History { idempotent: true, ..History::default() };
    history.push(0, 20, send(10, Acked(1)));
    history.push(5, 15, send(11, Acked(0)));
    history.push(30, 35, last(&[(0, 11), (1, 10)]));
    assert_eq!(check(&history), BTreeSet::new());
}

#[test]
fn a_duplicate_is_allowed_without_idempotence_only() {
    let operations = vec![send(10, Acked(0)), last(&[(0, 10), (1, 10)])];
    let mut history = history(operations.clone());
    history.idempotent = false;
    assert_eq!(check(&history), BTreeSet::new());
    assert!(found(operations).contains(&Anomaly::Duplicate { partition: P, value: 10 }));
}

#[test]
fn a_commit_in_flight_may_win_or_lose() {
    for shown in [3, 4] {
        let mut history = History::default();
        history.push(0, 5, Operation::Commit { group: 1, partition: P, offset: 3, acked: true });
        history.push(10, 30, Operation::Commit { group: 1, partition: P, offset: 4, acked: false });
        history.push(15, 20, Operation::Committed { group: 1, partition: P, offset: shown });
        assert_eq!(check(&history), BTreeSet::new(), "{shown}");
    }
}

/// One planted bug each: its name, its history and the anomaly that must be named.
fn planted() -> Vec<(&'static str, Vec<Operation>, Anomaly)> {
    let commit = |offset, acked| Operation::Commit { group: 1, partition: P, offset, acked };
    let committed = |offset| Operation::Committed { group: 1, partition: P, offset };
    let end = |high_watermark| Operation::End { partition: P, high_watermark };
    vec![
        ("acked, gone", vec![send(10, Acked(0)), last(&[])], Anomaly::Lost { partition: P, value: 10, offset: 0 }),
        (
            "acked, gone in the middle",
            vec![send(10, Acked(0)), send(11, Acked(1)), send(12, Acked(2)), last(&[(0, 10), (2, 12)])],
            Anomaly::Lost { partition: P, value: 11, offset: 1 },
        ),
        (
            "a hole in the log",
            vec![send(10, Acked(0)), send(12, Acked(2)), last(&[(0, 10), (2, 12)])],
            Anomaly::Hole { partition: P, offset: 1 },
        ),
        (
            "written twice",
            vec![send(10, Acked(0)), last(&[(0, 10), (1, 10)])],
            Anomaly::Duplicate { partition: P, value: 10 },
        ),
        (
            "acked with another offset than it has",
            vec![send(10, Acked(5)), last(&[(0, 10)])],
            Anomaly::Duplicate { partition: P, value: 10 },
        ),
        (
            "two values at one offset, two readers",
            vec![send(10, Acked(0)), send(11, Unknown), read(0, &[(0, 11)], 1), last(&[(0, 10)])],
            Anomaly::InconsistentOffset { partition: P, offset: 0 },
        ),
        (
            "two acks for one offset",
            vec![send(10, Acked(0)), send(11, Acked(0)), last(&[(0, 10)])],
            Anomaly::InconsistentOffset { partition: P, offset: 0 },
        ),
        (
            "refused, yet there",
            vec![send(10, Failed), last(&[(0, 10)])],
            Anomaly::FailedButSeen { partition: P, value: 10 },
        ),
        ("never sent", vec![last(&[(0, 99)])], Anomaly::OutOfThinAir { partition: P, value: 99 }),
        (
            "a later send before an earlier one",
            vec![send(10, Acked(1)), send(11, Acked(0)), last(&[(0, 11), (1, 10)])],
            Anomaly::ReorderedSend { producer: 1, partition: P, value: 11 },
        ),
        (
            "a read skips",
            vec![send(10, Acked(0)), send(11, Acked(1)), send(12, Acked(2)), read(0, &[(0, 10), (2, 12)], 3)],
            Anomaly::GapInRead { consumer: 1, partition: P, offset: 2 },
        ),
        (
            "a read begins too late",
            vec![send(10, Acked(0)), send(11, Acked(1)), read(0, &[(1, 11)], 2)],
            Anomaly::GapInRead { consumer: 1, partition: P, offset: 1 },
        ),
        (
            "a read goes back inside one answer",
            vec![send(10, Acked(0)), send(11, Acked(1)), read(0, &[(0, 10), (1, 11), (0, 10)], 2)],
            Anomaly::GapInRead { consumer: 1, partition: P, offset: 0 },
        ),
        (
            "a reader is sent back",
            vec![send(10, Acked(0)), send(11, Acked(1)), read(0, &[(0, 10), (1, 11)], 2), read(1, &[(1, 11)], 2)],
            Anomaly::NonMonotonicRead { consumer: 1, partition: P, from: 1 },
        ),
        (
            "a record beyond the end",
            vec![send(10, Acked(0)), send(11, Acked(1)), read(0, &[(0, 10), (1, 11)], 1)],
            Anomaly::ReadBeyondEnd { partition: P, offset: 1 },
        ),
        (
            "an agent that is behind says there is nothing",
            vec![send(10, Acked(0)), send(11, Acked(1)), read(0, &[(0, 10)], 2), read(1, &[], 1)],
            Anomaly::StaleHighWatermark { partition: P, shown: 1, known: 2 },
        ),
        (
            "an agent that is behind names an old end",
            vec![send(10, Acked(0)), send(11, Acked(1)), end(1)],
            Anomaly::StaleHighWatermark { partition: P, shown: 1, known: 2 },
        ),
        ("the end goes back", vec![end(7), end(6)], Anomaly::StaleHighWatermark { partition: P, shown: 6, known: 7 }),
        (
            "seen once, gone later",
            vec![send(10, Unknown), read(0, &[(0, 10)], 1), last(&[])],
            Anomaly::Unseen { partition: P, value: 10, offset: 0 },
        ),
        (
            "a commit forgotten",
            vec![commit(5, true), committed(-1)],
            Anomaly::WrongCommit { group: 1, partition: P, offset: -1 },
        ),
        (
            "an older commit comes back",
            vec![commit(5, true), commit(9, true), committed(5)],
            Anomaly::WrongCommit { group: 1, partition: P, offset: 5 },
        ),
        (
            "a commit nobody made",
            vec![commit(5, true), committed(7)],
            Anomaly::WrongCommit { group: 1, partition: P, offset: 7 },
        ),
    ]
}

#[test]
fn every_planted_bug_is_named() {
    for (name, operations, anomaly) in planted() {
        let found = found(operations);
        assert!(found.contains(&anomaly), "'{name}' must be reported as {anomaly:?}, found {found:?}");
    }
}

fn committed_read(from: i64, until: i64, records: &[(i64, u64)]) -> Operation {
    Operation::ReadCommitted { partition: P, from, until, records: records.to_vec() }
}

/// A transaction of these offsets ended; its marker lies right behind them.
fn ended(offsets: &[i64], aborted: bool) -> Operation {
    let marker = offsets.last().map_or(0, |last| last + 1);
    Operation::TransactionEnded { partition: P, offsets: offsets.to_vec(), marker, aborted }
}

#[test]
fn markers_and_what_was_aborted_are_no_holes() {
    let sent = [send(10, Acked(0)), send(11, Acked(1)), send(12, Acked(3))];
    let clean = [
        vec![read(0, &[(0, 10), (1, 11), (3, 12)], 4), read(4, &[], 4)],
        vec![read(2, &[(3, 12)], 4)],
        vec![committed_read(0, 4, &[(0, 10), (3, 12)]), committed_read(1, 3, &[])],
        vec![last(&[(0, 10), (1, 11), (3, 12)])],
    ];
    for more in clean {
        let operations = [sent.to_vec(), vec![ended(&[1], true)], more].concat();
        assert_eq!(found(operations.clone()), BTreeSet::new(), "{operations:?}");
    }
}

#[test]
fn every_planted_bug_of_committed_reads_is_named() {
    let planted = [
        (
            "aborted",
            vec![ended(&[0], true), committed_read(0, 2, &[(0, 10)])],
            Anomaly::AbortedRead { partition: P, offset: 0 },
        ),
        (
            "open, though committed later",
            vec![committed_read(0, 1, &[(0, 10)]), ended(&[0], false)],
            Anomaly::OpenRead { partition: P, offset: 0 },
        ),
        (
            "committed, and left out",
            vec![ended(&[0], false), committed_read(0, 2, &[])],
            Anomaly::CommittedSkipped { partition: P, offset: 0 },
        ),
    ];
    for (name, operations, anomaly) in planted {
        let found = found([vec![send(10, Acked(0))], operations].concat());
        assert!(found.contains(&anomaly), "'{name}' must be reported as {anomaly:?}, found {found:?}");
    }
}
