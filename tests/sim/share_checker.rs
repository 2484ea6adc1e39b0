//! Judges what share groups did: every anomaly that a queue may not show.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use towpath::coordinator::share::values::AcknowledgeType;

use crate::history::{History, Moment, Operation, Partition, Verdict};

/// What the group's configuration says, as the checker must know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareRules {
    pub(crate) lock: Duration,
    pub(crate) delivery_count_limit: u16,
    /// For how long after a fault an agent may count as dead.
    pub(crate) session: Duration,
    /// Whether the group gets only what is committed.
    pub(crate) read_committed: bool,
}

/// What must not happen, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShareAnomaly {
    /// Two members had it although the first one's lock had not ended.
    TwoHolders { partition: Partition, offset: i64, count: u16 },
    /// Delivered again after an acknowledged accept or reject.
    DeliveredAfterEnd { partition: Partition, offset: i64 },
    /// Two deliveries with the same count, or counts that go back.
    WrongCount { partition: Partition, offset: i64, count: u16 },
    /// Delivered more often than allowed.
    OverLimit { partition: Partition, offset: i64, count: u16 },
    /// Two members were told that their accept or reject counts.
    EndedTwice { partition: Partition, offset: i64 },
    /// The group is through, but nobody accepted or rejected it and there is no letter.
    Skipped { partition: Partition, offset: i64 },
    /// Rejected for certain, but there is no letter.
    LetterLost { partition: Partition, offset: i64 },
    /// More than one letter.
    LetterTwice { partition: Partition, offset: i64 },
    /// Accepted for certain, and yet a letter.
    LetterOfAccepted { partition: Partition, offset: i64 },
    /// Of an aborted transaction, and yet delivered, or there is a letter; the group gets only what is committed.
    AbortedDelivered { partition: Partition, offset: i64 },
    /// Delivered before a transaction had ended that began before it; the group gets only what is committed.
    OpenDelivered { partition: Partition, offset: i64 },
    /// A marker was delivered, or there is a letter of it.
    ControlDelivered { partition: Partition, offset: i64 },
}

/// One delivery that a member saw.
struct Seen {
    called: Moment,
    returned: Moment,
    member: u32,
    agent: usize,
    count: u16,
}

/// One verdict on a record.
struct Said {
    called: Moment,
    returned: Moment,
    member: u32,
    kind: AcknowledgeType,
    outcome: Verdict,
    /// The member's lock can not have ended before it was answered. Without it an acknowledgement may be answered as
    /// done although it does not count: what lies below the start offset is ignored, as in Kafka.
    held: bool,
}

#[derive(Default)]
struct Fate {
    seen: Vec<Seen>,
    said: Vec<Said>,
    letters: usize,
}

/// How far two agents' notions of the metastore's time may lie apart, and a lock's length with them.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(500);

/// Everything wrong with what the share group of `history` did, each anomaly once, in order.
pub(crate) fn check(history: &History, rules: ShareRules) -> BTreeSet<ShareAnomaly> {
    let mut found = BTreeSet::new();
    let mut fates = fates(history);
    let (ends, transactions) = (ends(history), transactions(history));
    for (partition, end) in &ends {
        for offset in 0..*end {
            fates.entry((*partition, offset)).or_default();
        }
    }
    for ((partition, offset), fate) in &mut fates {
        fate.seen.sort_by_key(|seen| (seen.count, seen.called));
        check_counts(*partition, *offset, fate, rules, &mut found);
        for said in &mut fate.said {
            said.held = held(history, &fate.seen, said, rules);
        }
        check_ended(*partition, *offset, fate, &mut found);
        check_holders(history, *partition, *offset, fate, rules, &mut found);
        let own = transactions.iter().filter(|ended| ended.partition == *partition).collect::<Vec<_>>();
        let is_withheld = check_withheld((*partition, *offset), fate, &own, rules, &mut found);
        if !is_withheld && ends.get(partition).is_some_and(|end| offset < end) {
            check_end(*partition, *offset, fate, &mut found);
        }
    }
    found
}

fn fates(history: &History) -> BTreeMap<(Partition, i64), Fate> {
    let mut fates: BTreeMap<(Partition, i64), Fate> = BTreeMap::new();
    for event in &history.events {
        let (called, returned) = (event.called, event.returned);
        match &event.operation {
            Operation::ShareDelivered { member, agent, partition, records } => {
                for record in records {
                    let seen = Seen { called, returned, member: *member, agent: *agent, count: record.count };
                    fates.entry((*partition, record.offset)).or_default().seen.push(seen);
                }
            }
            Operation::ShareAcknowledged { member, partition, verdicts, outcome } => {
                for (offset, kind) in verdicts {
                    let said = Said { called, returned, member: *member, kind: *kind, outcome: *outcome, held: false };
                    fates.entry((*partition, *offset)).or_default().said.push(said);
                }
            }
            Operation::ShareLetter { partition, offset } => {
                fates.entry((*partition, *offset)).or_default().letters += 1;
            }
            _ => {}
        }
    }
    fates
}

/// A transaction's end, in one partition.
struct Ended<'a> {
    partition: Partition,
    /// It was still open then.
    called: Moment,
    offsets: &'a [i64],
    marker: i64,
    aborted: bool,
}

fn transactions(history: &History) -> Vec<Ended<'_>> {
    let mut all = Vec::new();
    for event in &history.events {
        if let Operation::TransactionEnded { partition, offsets, marker, aborted } = &event.operation {
            let (partition, marker, aborted) = (*partition, *marker, *aborted);
            all.push(Ended { partition, called: event.called, offsets, marker, aborted });
        }
    }
    all
}

/// What transactions forbid. Says whether the group may, and must, go past the offset without anybody having had it.
fn check_withheld(
    (partition, offset): (Partition, i64),
    fate: &Fate,
    transactions: &[&Ended<'_>],
    rules: ShareRules,
    found: &mut BTreeSet<ShareAnomaly>,
) -> bool {
    let was_given = !fate.seen.is_empty() || fate.letters > 0;
    let is_control = transactions.iter().any(|ended| ended.marker == offset);
    if is_control && was_given {
        found.insert(ShareAnomaly::ControlDelivered { partition, offset });
    }
    if !rules.read_committed {
        return is_control;
    }
    let is_aborted = transactions.iter().any(|ended| ended.aborted && ended.offsets.contains(&offset));
    if is_aborted && was_given {
        found.insert(ShareAnomaly::AbortedDelivered { partition, offset });
    }
    // The last stable offset is the first record of the oldest transaction that is open.
    let lies_within = |ended: &&&Ended| ended.offsets.first().is_some_and(|first| *first <= offset);
    let open_until = transactions.iter().filter(lies_within).filter(|ended| offset < ended.marker);
    if open_until.map(|ended| ended.called).max().is_some_and(|end| fate.seen.iter().any(|seen| seen.returned < end)) {
        found.insert(ShareAnomaly::OpenDelivered { partition, offset });
    }
    is_control || is_aborted
}

/// Ends of the share partitions that were emptied.
fn ends(history: &History) -> BTreeMap<Partition, i64> {
    let end = |operation: &Operation| match operation {
        Operation::ShareEmptied { partition, end } => Some((*partition, *end)),
        _ => None,
    };
    history.events.iter().filter_map(|event| end(&event.operation)).collect()
}

/// Every acquisition counts once: counts are as different as deliveries, and later deliveries have higher ones.
fn check_counts(partition: Partition, offset: i64, fate: &Fate, rules: ShareRules, found: &mut BTreeSet<ShareAnomaly>) {
    for pair in fate.seen.windows(2) {
        let same = pair[0].count == pair[1].count;
        if same || pair[0].called > pair[1].returned {
            found.insert(ShareAnomaly::WrongCount { partition, offset, count: pair[1].count });
        }
    }
    for seen in &fate.seen {
        if seen.count == 0 {
            found.insert(ShareAnomaly::WrongCount { partition, offset, count: 0 });
        }
        if seen.count > rules.delivery_count_limit {
            found.insert(ShareAnomaly::OverLimit { partition, offset, count: seen.count });
        }
    }
}

/// What was acknowledged as accepted or rejected is over, once and for all.
fn check_ended(partition: Partition, offset: i64, fate: &Fate, found: &mut BTreeSet<ShareAnomaly>) {
    let ended: Vec<&Said> =
        fate.said.iter().filter(|said| ends_it(said.kind) && said.outcome == Verdict::Done).collect();
    if ended.iter().filter(|said| said.held).count() > 1 {
        found.insert(ShareAnomaly::EndedTwice { partition, offset });
    }
    let again = |said: &&Said| fate.seen.iter().any(|seen| seen.called > said.returned);
    if ended.iter().any(again) {
        found.insert(ShareAnomaly::DeliveredAfterEnd { partition, offset });
    }
}

fn ends_it(kind: AcknowledgeType) -> bool {
    matches!(kind, AcknowledgeType::Accept | AcknowledgeType::Reject)
}

/// Between two deliveries that follow each other the first one's lock must have ended, and for a reason.
fn check_holders(
    history: &History,
    partition: Partition,
    offset: i64,
    fate: &Fate,
    rules: ShareRules,
    found: &mut BTreeSet<ShareAnomaly>,
) {
    for pair in fate.seen.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        // With a delivery between them that nobody saw there is nothing to say.
        if second.count != first.count + 1 {
            continue;
        }
        let apart = Duration::from_nanos(second.returned.saturating_sub(first.called));
        let expired = apart + CLOCK_TOLERANCE >= rules.lock;
        let released = fate.said.iter().any(|said| {
            said.member == first.member
                && said.kind == AcknowledgeType::Release
                && said.outcome != Verdict::Refused
                && said.called < second.returned
        });
        if !expired && !released && !excused(history, first, second.returned, rules) {
            found.insert(ShareAnomaly::TwoHolders { partition, offset, count: second.count });
        }
    }
}

/// Whether the first member's session ended, or its agent may have counted as dead.
fn excused(history: &History, first: &Seen, until: Moment, rules: ShareRules) -> bool {
    let session = u64::try_from(rules.session.as_nanos()).unwrap_or(u64::MAX);
    let mut in_trouble = false;
    for event in &history.events {
        if event.called > until {
            continue;
        }
        let concerns = match event.operation {
            Operation::ShareLeft { member, agent } => member == first.member && agent == first.agent,
            Operation::Trouble { agent, began } if agent == first.agent => {
                in_trouble = began;
                true
            }
            _ => false,
        };
        if concerns && event.called + session > first.called {
            return true;
        }
    }
    in_trouble
}

/// Whether the member's lock was there until its acknowledgement was answered: it had the record, not too long ago, and
/// nothing else can have ended the lock.
fn held(history: &History, seen: &[Seen], said: &Said, rules: ShareRules) -> bool {
    let own = seen.iter().filter(|seen| seen.member == said.member && seen.returned <= said.called);
    own.max_by_key(|seen| seen.count).is_some_and(|seen| {
        let age = Duration::from_nanos(said.returned.saturating_sub(seen.called));
        age + CLOCK_TOLERANCE < rules.lock && !excused(history, seen, said.returned, rules)
    })
}

/// The group went past it: somebody dealt with it, or there is a letter; and never both.
fn check_end(partition: Partition, offset: i64, fate: &Fate, found: &mut BTreeSet<ShareAnomaly>) {
    let said = |kind, outcome| fate.said.iter().filter(move |said| said.kind == kind && said.outcome == outcome);
    // Who did not hold it any more may be told that an acknowledgement is done which does not count.
    let surely = |kind| said(kind, Verdict::Done).any(|said| said.held);
    let maybe_accepted = said(AcknowledgeType::Accept, Verdict::Done)
        .chain(said(AcknowledgeType::Accept, Verdict::Unknown))
        .next()
        .is_some();
    let surely_rejected = surely(AcknowledgeType::Reject);
    if fate.letters > 1 {
        found.insert(ShareAnomaly::LetterTwice { partition, offset });
    }
    if fate.letters > 0 && surely(AcknowledgeType::Accept) {
        found.insert(ShareAnomaly::LetterOfAccepted { partition, offset });
    }
    if surely_rejected && fate.letters == 0 {
        found.insert(ShareAnomaly::LetterLost { partition, offset });
    }
    if !maybe_accepted && !surely_rejected && fate.letters == 0 {
        found.insert(ShareAnomaly::Skipped { partition, offset });
    }
}
