//! The checker of share groups is tested with histories that carry one planted bug each, and with clean ones.

use std::collections::BTreeSet;
use std::time::Duration;

use towpath::coordinator::share::values::AcknowledgeType::{self, Accept, Reject, Release};

use crate::history::Operation::{ShareEmptied, ShareLeft, ShareLetter, TransactionEnded, Trouble};
use crate::history::Verdict::{self, Done, Refused, Unknown};
use crate::history::{Delivery, History, Operation};
use crate::share_checker::{ShareAnomaly, ShareRules, check};

const P: u32 = 0;
const MILLISECOND: u64 = 1_000_000;
const RULES: ShareRules = ShareRules {
    lock: Duration::from_secs(2),
    delivery_count_limit: 3,
    session: Duration::from_secs(6),
    read_committed: false,
};

fn delivered(member: u32, count: u16) -> Operation {
    let records = vec![Delivery { offset: 0, value: Some(7), count }];
    Operation::ShareDelivered { member, agent: 0, partition: P, records }
}

fn said(member: u32, kind: AcknowledgeType, outcome: Verdict) -> Operation {
    Operation::ShareAcknowledged { member, partition: P, verdicts: vec![(0, kind)], outcome }
}

/// Operations with the moments of their calls, in milliseconds.
type Timed = Vec<(u64, Operation)>;

const EMPTIED: Operation = ShareEmptied { partition: P, end: 1 };
const LETTER: Operation = ShareLetter { partition: P, offset: 0 };

/// A transaction of these offsets ended; its marker lies right behind them.
fn ended(offsets: &[i64], aborted: bool) -> Operation {
    let marker = offsets.last().map_or(0, |last| last + 1);
    TransactionEnded { partition: P, offsets: offsets.to_vec(), marker, aborted }
}

/// The group came to the end of a log of several offsets.
fn emptied(end: i64) -> Operation {
    ShareEmptied { partition: P, end }
}

/// Operations at moments in milliseconds, each a millisecond long.
fn found(operations: Timed) -> BTreeSet<ShareAnomaly> {
    found_by(operations, RULES)
}

/// As [`found`], with a group that gets only what is committed.
fn found_committed(operations: Timed) -> BTreeSet<ShareAnomaly> {
    found_by(operations, ShareRules { read_committed: true, ..RULES })
}

fn found_by(operations: Timed, rules: ShareRules) -> BTreeSet<ShareAnomaly> {
    let mut history = History::default();
    for (at, operation) in operations {
        history.push(at * MILLISECOND, (at + 1) * MILLISECOND, operation);
    }
    check(&history, rules)
}

#[test]
fn clean_histories_have_no_anomaly() {
    let clean: Vec<(&str, Timed)> = vec![
        ("accepted", vec![(0, delivered(1, 1)), (5, said(1, Accept, Done)), (9, EMPTIED)]),
        (
            "released, then accepted by another",
            vec![
                (0, delivered(1, 1)),
                (5, said(1, Release, Done)),
                (9, delivered(2, 2)),
                (12, said(2, Accept, Done)),
                (15, EMPTIED),
            ],
        ),
        (
            "released, though the answer was lost",
            vec![(0, delivered(1, 1)), (5, said(1, Release, Unknown)), (9, delivered(2, 2))],
        ),
        ("the lock ended", vec![(0, delivered(1, 1)), (2_000, delivered(2, 2))]),
        (
            "an accept whose answer was lost counts or does not",
            vec![(0, delivered(1, 1)), (5, said(1, Accept, Unknown)), (9, EMPTIED)],
        ),
        ("the session ended", vec![(0, delivered(1, 1)), (5, ShareLeft { member: 1, agent: 0 }), (9, delivered(2, 2))]),
        ("the agent died", vec![(0, delivered(1, 1)), (5, Trouble { agent: 0, began: true }), (9, delivered(2, 2))]),
        ("a delivery that nobody saw", vec![(0, delivered(1, 1)), (9, delivered(2, 3))]),
        (
            "rejected, with its letter",
            vec![(0, delivered(1, 1)), (5, said(1, Reject, Done)), (9, EMPTIED), (12, LETTER)],
        ),
        (
            "accepted too late, after the letter: ignored",
            vec![(0, delivered(1, 3)), (2_000, said(1, Accept, Done)), (2_010, EMPTIED), (2_020, LETTER)],
        ),
        ("given up", vec![(0, delivered(1, 3)), (9, EMPTIED), (12, LETTER)]),
    ];
    for (name, operations) in clean {
        assert_eq!(found(operations), BTreeSet::new(), "{name}");
    }
}

#[test]
fn every_planted_bug_is_named() {
    let offset = 0;
    let planted: Vec<(&str, Timed, ShareAnomaly)> = vec![
        (
            "two members at once",
            vec![(0, delivered(1, 1)), (9, delivered(2, 2))],
            ShareAnomaly::TwoHolders { partition: P, offset, count: 2 },
        ),
        (
            "a release that was refused is none",
            vec![(0, delivered(1, 1)), (5, said(1, Release, Refused)), (9, delivered(2, 2))],
            ShareAnomaly::TwoHolders { partition: P, offset, count: 2 },
        ),
        (
            "another agent's death is no excuse",
            vec![(0, delivered(1, 1)), (5, Trouble { agent: 1, began: true }), (9, delivered(2, 2))],
            ShareAnomaly::TwoHolders { partition: P, offset, count: 2 },
        ),
        (
            "delivered after an accept",
            vec![(0, delivered(1, 1)), (5, said(1, Accept, Done)), (3_000, delivered(2, 2))],
            ShareAnomaly::DeliveredAfterEnd { partition: P, offset },
        ),
        (
            "the same count twice",
            vec![(0, delivered(1, 1)), (3_000, delivered(2, 1))],
            ShareAnomaly::WrongCount { partition: P, offset, count: 1 },
        ),
        (
            "a count goes back",
            vec![(0, delivered(1, 2)), (3_000, delivered(2, 1))],
            ShareAnomaly::WrongCount { partition: P, offset, count: 2 },
        ),
        ("a delivery too many", vec![(0, delivered(1, 4))], ShareAnomaly::OverLimit { partition: P, offset, count: 4 }),
        (
            "two accepts count",
            vec![(0, delivered(1, 1)), (5, delivered(2, 2)), (9, said(1, Accept, Done)), (12, said(2, Accept, Done))],
            ShareAnomaly::EndedTwice { partition: P, offset },
        ),
        ("nobody had it", vec![(9, EMPTIED)], ShareAnomaly::Skipped { partition: P, offset }),
        (
            "released, and then forgotten",
            vec![(0, delivered(1, 1)), (5, said(1, Release, Done)), (9, EMPTIED)],
            ShareAnomaly::Skipped { partition: P, offset },
        ),
        (
            "rejected without a letter",
            vec![(0, delivered(1, 1)), (5, said(1, Reject, Done)), (9, EMPTIED)],
            ShareAnomaly::LetterLost { partition: P, offset },
        ),
        (
            "two letters",
            vec![(0, delivered(1, 3)), (9, EMPTIED), (12, LETTER), (15, LETTER)],
            ShareAnomaly::LetterTwice { partition: P, offset },
        ),
        (
            "accepted, and yet a letter",
            vec![(0, delivered(1, 1)), (5, said(1, Accept, Done)), (9, EMPTIED), (12, LETTER)],
            ShareAnomaly::LetterOfAccepted { partition: P, offset },
        ),
    ];
    for (name, operations, anomaly) in planted {
        let found = found(operations);
        assert!(found.contains(&anomaly), "{name}: {found:?}");
    }
}

fn delivered_at(offset: i64) -> Operation {
    let records = vec![Delivery { offset, value: Some(7), count: 1 }];
    Operation::ShareDelivered { member: 1, agent: 0, partition: P, records }
}

#[test]
fn clean_histories_of_transactions_have_no_anomaly() {
    let accepted = || vec![(5, delivered(1, 1)), (9, said(1, Accept, Done)), (12, emptied(2))];
    let with = |end: Operation, more: Timed| [vec![(0, end)], more].concat();
    let clean: Vec<(&str, Timed, bool)> = vec![
        ("committed, delivered and accepted", with(ended(&[0], false), accepted()), true),
        ("aborted, and passed over with its marker", vec![(0, ended(&[0], true)), (9, emptied(2))], true),
        ("nothing but a marker", vec![(0, ended(&[], false)), (9, emptied(1))], true),
        ("aborted, but the group gets all", with(ended(&[0], true), accepted()), false),
        (
            "open, but the group gets all",
            vec![(0, delivered(1, 1)), (5, said(1, Accept, Done)), (9, ended(&[0], true)), (12, emptied(2))],
            false,
        ),
        (
            "delivered while a later transaction is open",
            vec![(0, delivered(1, 1)), (3, said(1, Accept, Done)), (5, ended(&[1], true)), (9, emptied(3))],
            true,
        ),
        (
            "given up after it was delivered too often",
            vec![(0, ended(&[0], false)), (5, delivered(1, 3)), (9, emptied(2)), (12, LETTER)],
            true,
        ),
    ];
    for (name, operations, read_committed) in clean {
        let found = if read_committed { found_committed(operations) } else { found(operations) };
        assert_eq!(found, BTreeSet::new(), "{name}");
    }
}

#[test]
fn every_planted_bug_with_transactions_is_named() {
    let planted: Vec<(&str, Timed, bool, ShareAnomaly)> = vec![
        (
            "delivered, though aborted",
            vec![(0, ended(&[0], true)), (5, delivered(1, 1)), (9, said(1, Accept, Done))],
            true,
            ShareAnomaly::AbortedDelivered { partition: P, offset: 0 },
        ),
        (
            "a letter of what was aborted",
            vec![(0, ended(&[0], true)), (9, emptied(2)), (12, LETTER)],
            true,
            ShareAnomaly::AbortedDelivered { partition: P, offset: 0 },
        ),
        (
            "delivered before its transaction was committed",
            vec![(0, delivered(1, 1)), (5, ended(&[0], false))],
            true,
            ShareAnomaly::OpenDelivered { partition: P, offset: 0 },
        ),
        (
            "beyond the last stable offset, in no transaction itself",
            vec![(0, delivered_at(1)), (5, ended(&[0, 2], false))],
            true,
            ShareAnomaly::OpenDelivered { partition: P, offset: 1 },
        ),
        (
            "a marker was delivered",
            vec![(0, ended(&[0], false)), (5, delivered_at(1))],
            true,
            ShareAnomaly::ControlDelivered { partition: P, offset: 1 },
        ),
        (
            "a marker was delivered to a group that gets all",
            vec![(0, ended(&[0], true)), (5, delivered_at(1))],
            false,
            ShareAnomaly::ControlDelivered { partition: P, offset: 1 },
        ),
        (
            "a letter of a marker",
            vec![(0, ended(&[0], false)), (5, ShareLetter { partition: P, offset: 1 })],
            false,
            ShareAnomaly::ControlDelivered { partition: P, offset: 1 },
        ),
        (
            "committed, and yet passed over",
            vec![(0, ended(&[0], false)), (9, emptied(2))],
            true,
            ShareAnomaly::Skipped { partition: P, offset: 0 },
        ),
        (
            "aborted, and passed over though the group gets all",
            vec![(0, ended(&[0], true)), (9, emptied(2))],
            false,
            ShareAnomaly::Skipped { partition: P, offset: 0 },
        ),
        (
            "passed over together with what was aborted around it",
            vec![(0, ended(&[0, 2], true)), (9, emptied(4))],
            true,
            ShareAnomaly::Skipped { partition: P, offset: 1 },
        ),
    ];
    for (name, operations, read_committed, anomaly) in planted {
        let found = if read_committed { found_committed(operations) } else { found(operations) };
        assert!(found.contains(&anomaly), "{name}: {found:?}");
    }
}
