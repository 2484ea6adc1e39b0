//! Bugs planted in the running system: the simulation as a whole must see each of them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::checker::check;
use crate::runs::{Plan, run};
use crate::trace;

/// A bug planted in the way to the metastore, for the test of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Commits lose what makes duplicates recognisable.
    ForgetProducers,
    /// A commit is answered, but was not made.
    AnswerWithoutCommit,
    /// A commit whose outcome is unknown is repeated under another key.
    ForgetReceipts,
    /// Bounds are as they were a while ago.
    StaleBounds,
    /// A receipt names the offset after the true one.
    WrongOffset,
    /// The first extent of an answer is left out.
    LoseExtent,
    /// The state of a share partition is written whatever somebody else has made of it.
    IgnoreVersions,
    /// A change of a share partition's state is answered, but was not made.
    AnswerWithoutState,
    /// Deliveries are not counted.
    ForgetCounts,
    /// A share partition's window begins behind a record that is not finished.
    SkipRecords,
    /// Nobody can tell afterwards whose writes a share partition's state consists of.
    ForgetSignatures,
    /// A record is given up, but its dead letter is not written.
    LoseLetters,
    /// Nobody is told which transactions were aborted.
    ForgetAborted,
    /// The last stable offset is the high watermark, whatever is open.
    ForgetOpen,
    /// Markers look like records.
    UnmarkedControl,
    /// A producer that a partition does not know begins with whichever of its batches comes first.
    BeginAnywhere,
    /// A commit of offsets is answered, but was not made.
    AnswerWithoutOffsets,
    /// Committed offsets are as they were when an agent first asked for them.
    StaleOffsets,
}

impl Mutant {
    pub(crate) const ALL: [Self; 9] = [
        Self::ForgetProducers,
        Self::AnswerWithoutCommit,
        Self::ForgetReceipts,
        Self::StaleBounds,
        Self::WrongOffset,
        Self::LoseExtent,
        Self::BeginAnywhere,
        Self::AnswerWithoutOffsets,
        Self::StaleOffsets,
    ];

    /// Those that only a share group can notice.
    pub(crate) const SHARE: [Self; 9] = [
        Self::IgnoreVersions,
        Self::AnswerWithoutState,
        Self::ForgetCounts,
        Self::SkipRecords,
        Self::ForgetSignatures,
        Self::LoseLetters,
        Self::ForgetAborted,
        Self::ForgetOpen,
        Self::UnmarkedControl,
    ];
}

fn plan(mutant: Option<Mutant>) -> Plan {
    Plan {
        agents: 3,
        partitions: 2,
        producers: 3,
        consumers: 2,
        groups: 1,
        members: 2,
        // Without sequences only the key makes a repeated commit recognisable.
        idempotent: mutant != Some(Mutant::ForgetReceipts),
        faults: true,
        span: Duration::from_secs(12),
        mutant,
    }
}

#[test]
fn every_mutant_is_caught_within_a_few_seeds() {
    let _process = trace::among_others();
    for mutant in Mutant::ALL {
        let caught = (0..12).any(|seed| {
            // A mutant may also be caught by an assertion of the clients or by a run that never ends.
            let outcome = std::panic::catch_unwind(|| check(&run(seed, plan(Some(mutant))).history));
            outcome.map_or(true, |found| found != BTreeSet::new())
        });
        assert!(caught, "{mutant:?} went unnoticed");
    }
}

#[test]
fn the_same_plan_without_a_mutant_is_clean() {
    let _process = trace::among_others();
    for seed in 0..12 {
        assert_eq!(check(&run(seed, plan(None)).history), BTreeSet::new(), "seed {seed}");
    }
}
