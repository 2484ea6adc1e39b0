//! Judges a history: every anomaly that a log may not show.
//!
//! The rules follow the Jepsen workload for Kafka, made stricter where one sequencer makes stricter claims cheap:
//! offsets are dense, and whatever was acknowledged is visible at once at any agent.

use std::collections::{BTreeMap, BTreeSet};

use crate::committed::check_committed;
use crate::history::{Event, History, Moment, Operation, Partition, SendOutcome};

/// What must not happen, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anomaly {
    /// Acknowledged, but the final read does not have it.
    Lost { partition: Partition, value: u64, offset: i64 },
    /// One value at several offsets, although producers are idempotent.
    Duplicate { partition: Partition, value: u64 },
    /// One offset with several values, or a value at another offset than the acknowledged one.
    InconsistentOffset { partition: Partition, offset: i64 },
    /// Refused for certain, yet seen.
    FailedButSeen { partition: Partition, value: u64 },
    /// Seen, though nobody sent it.
    OutOfThinAir { partition: Partition, value: u64 },
    /// A producer's later record got a lower offset.
    ReorderedSend { producer: u32, partition: Partition, value: u64 },
    /// Offsets inside one answer do not rise one by one, or the answer does not begin where it was asked to.
    GapInRead { consumer: u32, partition: Partition, offset: i64 },
    /// A consumer's later read does not go on where its earlier one stopped.
    NonMonotonicRead { consumer: u32, partition: Partition, from: i64 },
    /// A record at or beyond the high watermark that came with it.
    ReadBeyondEnd { partition: Partition, offset: i64 },
    /// An end that lies before what was acknowledged or shown earlier, at whichever agent.
    StaleHighWatermark { partition: Partition, shown: i64, known: i64 },
    /// The final read has a hole.
    Hole { partition: Partition, offset: i64 },
    /// Seen by a consumer, but missing from the final read.
    Unseen { partition: Partition, value: u64, offset: i64 },
    /// A group's committed offset is not one that may be the last.
    WrongCommit { group: u32, partition: Partition, offset: i64 },
    /// Who reads what is committed saw a record of an aborted transaction.
    AbortedRead { partition: Partition, offset: i64 },
    /// Who reads what is committed saw a record before a transaction had ended that began before it.
    OpenRead { partition: Partition, offset: i64 },
    /// Who reads what is committed did not see a record that is, and read on.
    CommittedSkipped { partition: Partition, offset: i64 },
}

/// Everything wrong with `history`, each anomaly once, in order.
pub(crate) fn check(history: &History) -> BTreeSet<Anomaly> {
    let mut found = BTreeSet::new();
    check_values(history, &mut found);
    check_sends(history, &mut found);
    check_reads(history, &mut found);
    check_ends(history, &mut found);
    check_final(history, &mut found);
    check_commits(history, &mut found);
    check_committed(history, &mut found);
    found
}

/// Everything that anybody saw: (partition, offset, value).
fn seen(history: &History) -> impl Iterator<Item = (Partition, i64, u64)> + '_ {
    history.events.iter().flat_map(|event| match &event.operation {
        Operation::Read { partition, records, .. }
        | Operation::ReadCommitted { partition, records, .. }
        | Operation::Final { partition, records } => {
            records.iter().map(|(offset, value)| (*partition, *offset, *value)).collect::<Vec<_>>()
        }
        Operation::ShareDelivered { partition, records, .. } => {
            records.iter().filter_map(|record| Some((*partition, record.offset, record.value?))).collect()
        }
        _ => Vec::new(),
    })
}

fn check_values(history: &History, found: &mut BTreeSet<Anomaly>) {
    let mut by_offset: BTreeMap<(Partition, i64), BTreeSet<u64>> = BTreeMap::new();
    let mut by_value: BTreeMap<(Partition, u64), BTreeSet<i64>> = BTreeMap::new();
    for (partition, offset, value) in seen(history) {
        by_offset.entry((partition, offset)).or_default().insert(value);
        by_value.entry((partition, value)).or_default().insert(offset);
    }
    let mut sent: BTreeMap<(Partition, u64), SendOutcome> = BTreeMap::new();
    for event in &history.events {
        if let Operation::Send { partition, value, outcome, .. } = event.operation {
            sent.insert((partition, value), outcome);
            if let SendOutcome::Acked(offset) = outcome {
                by_offset.entry((partition, offset)).or_default().insert(value);
                if history.idempotent {
                    by_value.entry((partition, value)).or_default().insert(offset);
                }
            }
        }
    }
    for ((partition, offset), values) in &by_offset {
        if values.len() > 1 {
            found.insert(Anomaly::InconsistentOffset { partition: *partition, offset: *offset });
        }
    }
    for ((partition, value), offsets) in &by_value {
        let (partition, value) = (*partition, *value);
        if history.idempotent && offsets.len() > 1 {
            found.insert(Anomaly::Duplicate { partition, value });
        }
        match sent.get(&(partition, value)) {
            None => drop(found.insert(Anomaly::OutOfThinAir { partition, value })),
            Some(SendOutcome::Failed) => drop(found.insert(Anomaly::FailedButSeen { partition, value })),
            Some(_) => {}
        }
    }
}

/// A producer sends one record of a partition after the other when the next call begins after the last return.
fn check_sends(history: &History, found: &mut BTreeSet<Anomaly>) {
    let mut last: BTreeMap<(u32, Partition), (Moment, i64)> = BTreeMap::new();
    let mut sends: Vec<&Event> =
        history.events.iter().filter(|event| matches!(event.operation, Operation::Send { .. })).collect();
    sends.sort_by_key(|event| event.called);
    for event in sends {
        let Operation::Send { producer, partition, value, outcome: SendOutcome::Acked(offset) } = event.operation
        else {
            continue;
        };
        if let Some((returned, earlier)) = last.get(&(producer, partition))
            && *returned <= event.called
            && *earlier >= offset
        {
            found.insert(Anomaly::ReorderedSend { producer, partition, value });
        }
        let entry = last.entry((producer, partition)).or_insert((event.returned, offset));
        if offset > entry.1 {
            *entry = (event.returned, offset);
        }
    }
}

fn check_reads(history: &History, found: &mut BTreeSet<Anomaly>) {
    let markers = history.markers();
    let behind_markers = |partition, mut offset| {
        while markers.contains(&(partition, offset)) {
            offset += 1;
        }
        offset
    };
    let mut next: BTreeMap<(u32, Partition), i64> = BTreeMap::new();
    for event in &history.events {
        let Operation::Read { consumer, partition, from, records, high_watermark, .. } = &event.operation else {
            continue;
        };
        let (consumer, partition) = (*consumer, *partition);
        let mut expected = behind_markers(partition, *from);
        if next.get(&(consumer, partition)).is_some_and(|next| *next != expected) {
            found.insert(Anomaly::NonMonotonicRead { consumer, partition, from: *from });
        }
        for (offset, _) in records {
            if *offset != expected {
                found.insert(Anomaly::GapInRead { consumer, partition, offset: *offset });
            }
            if offset >= high_watermark {
                found.insert(Anomaly::ReadBeyondEnd { partition, offset: *offset });
            }
            expected = behind_markers(partition, offset + 1);
        }
        next.insert((consumer, partition), expected);
    }
}

/// Whatever was acknowledged or shown before a call began must be covered by the end that the call shows.
fn check_ends(history: &History, found: &mut BTreeSet<Anomaly>) {
    let mut known: BTreeMap<Partition, Vec<(Moment, i64)>> = BTreeMap::new();
    for event in &history.events {
        match &event.operation {
            Operation::Send { partition, outcome: SendOutcome::Acked(offset), .. } => {
                known.entry(*partition).or_default().push((event.returned, offset + 1));
            }
            Operation::Read { partition, high_watermark, .. } | Operation::End { partition, high_watermark } => {
                known.entry(*partition).or_default().push((event.returned, *high_watermark));
            }
            _ => {}
        }
    }
    for event in &history.events {
        let (partition, shown) = match &event.operation {
            // An answer with records did not need the end: only an empty one claims to have reached it.
            Operation::Read { partition, high_watermark, claims_end: true, .. } => (*partition, *high_watermark),
            Operation::End { partition, high_watermark } => (*partition, *high_watermark),
            _ => continue,
        };
        let before = known.get(&partition).into_iter().flatten().filter(|(returned, _)| *returned < event.called);
        if let Some(best) = before.map(|(_, end)| *end).max()
            && best > shown
        {
            found.insert(Anomaly::StaleHighWatermark { partition, shown, known: best });
        }
    }
}

fn check_final(history: &History, found: &mut BTreeSet<Anomaly>) {
    let markers = history.markers();
    let mut finals: BTreeMap<Partition, BTreeMap<u64, i64>> = BTreeMap::new();
    for event in &history.events {
        let Operation::Final { partition, records } = &event.operation else { continue };
        let mut expected = records.first().map_or(0, |(offset, _)| *offset);
        for (offset, value) in records {
            while markers.contains(&(*partition, expected)) {
                expected += 1;
            }
            if *offset != expected {
                found.insert(Anomaly::Hole { partition: *partition, offset: expected });
            }
            expected = offset + 1;
            finals.entry(*partition).or_default().insert(*value, *offset);
        }
        finals.entry(*partition).or_default();
    }
    for event in &history.events {
        match &event.operation {
            Operation::Send { partition, value, outcome: SendOutcome::Acked(offset), .. }
                if finals.get(partition).is_some_and(|values| !values.contains_key(value)) =>
            {
                found.insert(Anomaly::Lost { partition: *partition, value: *value, offset: *offset });
            }
            Operation::Read { partition, records, .. } => {
                for (offset, value) in records {
                    if finals.get(partition).is_some_and(|values| !values.contains_key(value)) {
                        found.insert(Anomaly::Unseen { partition: *partition, value: *value, offset: *offset });
                    }
                }
            }
            _ => {}
        }
    }
}

/// A committed offset that is shown must be the last acknowledged one, or one whose outcome is open.
fn check_commits(history: &History, found: &mut BTreeSet<Anomaly>) {
    for event in &history.events {
        let Operation::Committed { group, partition, offset } = event.operation else { continue };
        let commits = history.events.iter().filter_map(|other| match other.operation {
            Operation::Commit { group: g, partition: p, offset, acked } if g == group && p == partition => {
                Some((other, offset, acked))
            }
            _ => None,
        });
        let commits: Vec<_> = commits.filter(|(other, ..)| other.called < event.returned).collect();
        // The last acknowledged commit that began after no later one ended; everything not surely overwritten is legal.
        let overwritten = |candidate: &Event| {
            commits
                .iter()
                .any(|(other, _, acked)| *acked && other.called > candidate.returned && other.returned < event.called)
        };
        let legal =
            commits.iter().any(|(other, committed, acked)| *committed == offset && (!*acked || !overwritten(other)));
        let none_is_legal = !commits.iter().any(|(other, _, acked)| *acked && other.returned < event.called);
        if !(legal || offset == -1 && none_is_legal) {
            found.insert(Anomaly::WrongCommit { group, partition, offset });
        }
    }
}
