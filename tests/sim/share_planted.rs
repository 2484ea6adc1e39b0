//! The checker of share groups is tested with histories that carry one planted bug each, and with clean ones.

use std::collections::BTreeSet;
use std::time::Duration;

use towpath::coordinator::share::values::AcknowledgeType::{self, Accept, Reject, Release};

use crate::history::Operation::{ShareEmptied, ShareLeft, ShareLetter, Trouble};
use crate::history::Verdict::{self, Done, Refused, Unknown};
use crate::history::{Delivery, History, Operation};
use crate::share_checker::{ShareAnomaly, ShareRules, check};

const P: u32 = 0;
const MILLISECOND: u64 = 1_000_000;
const RULES: ShareRules =
    ShareRules { lock: Duration::from_secs(2), delivery_count_limit: 3, session: Duration::from_secs(6) };

fn delivered(member: u32, count: u16) -> Operation {
    let records = vec![Delivery { offset: 0, value: 7, count }];
    Operation::ShareDelivered { member, agent: 0, partition: P, records }
}

fn said(member: u32, kind: AcknowledgeType, outcome: Verdict) -> Operation {
    Operation::ShareAcknowledged { member, partition: P, verdicts: vec![(0, kind)], outcome }
}

/// Operations with the moments of their calls, in milliseconds.
type Timed = Vec<(u64, Operation)>;

const EMPTIED: Operation = ShareEmptied { partition: P, end: 1 };
const LETTER: Operation = ShareLetter { partition: P, offset: 0 };

/// Operations at moments in milliseconds, each a millisecond long.
fn found(operations: Timed) -> BTreeSet<ShareAnomaly> {
    let mut history = History::default();
    for (at, operation) in operations {
        history.push(at * MILLISECOND, (at + 1) * MILLISECOND, operation);
    }
    check(&history, RULES)
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
