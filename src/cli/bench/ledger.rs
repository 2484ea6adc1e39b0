//! What became of every record of a measurement, by its number.

use std::sync::{Mutex, PoisonError};

const PRODUCED: u8 = 1;
const DELIVERED: u8 = 2;
const ACCEPTED: u8 = 4;
const DOUBLED: u8 = 8;

/// Records by number. Shared by all producers and members.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    flags: Vec<u8>,
    tally: Tally,
}

/// Counts of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Durable, as their producer was told.
    pub produced: u64,
    /// Delivered at least once.
    pub delivered: u64,
    /// Accepted, as their member was told.
    pub accepted: u64,
    /// Produced but not delivered (yet).
    pub lost: u64,
    /// Delivered, or accepted, again after they had been accepted.
    pub doubled: u64,
    /// Deliveries beyond the first of each record.
    pub redelivered: u64,
}

impl Tally {
    /// Whether something that was produced is not accepted.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.lost > 0 || self.accepted < self.produced
    }
}

impl Ledger {
    /// These are durable.
    pub fn produced(&self, numbers: std::ops::Range<u64>) {
        let mut entries = self.lock();
        for number in numbers {
            let flags = entries.at(number);
            let is_delivered = *flags & DELIVERED != 0;
            *flags |= PRODUCED;
            entries.tally.produced += 1;
            entries.tally.lost += u64::from(!is_delivered);
        }
    }

    /// A member has it. Answers whether it is the first that does.
    pub fn delivered(&self, number: u64) -> bool {
        let mut entries = self.lock();
        let flags = entries.at(number);
        let before = *flags;
        *flags |= DELIVERED;
        if before & DELIVERED == 0 {
            entries.tally.delivered += 1;
            entries.tally.lost -= u64::from(before & PRODUCED != 0);
            return true;
        }
        entries.tally.redelivered += 1;
        if before & ACCEPTED != 0 {
            entries.double(number);
        }
        false
    }

    /// The broker took its acceptance.
    pub fn accepted(&self, number: u64) {
        let mut entries = self.lock();
        let flags = entries.at(number);
        let before = *flags;
        *flags |= ACCEPTED;
        if before & ACCEPTED == 0 {
            entries.tally.accepted += 1;
        } else {
            // Two members held it at once: its second delivery was seen before its first acceptance was known.
            entries.double(number);
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().tally
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn at(&mut self, number: u64) -> &mut u8 {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if index >= self.flags.len() {
            self.flags.resize(index + 1, 0);
        }
        &mut self.flags[index]
    }

    fn double(&mut self, number: u64) {
        let flags = self.at(number);
        let is_new = *flags & DOUBLED == 0;
        *flags |= DOUBLED;
        self.tally.doubled += u64::from(is_new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_records_are_told_from_redelivered_ones() {
        let ledger = Ledger::default();
        assert!(ledger.delivered(2), "a member may be faster than the producer's answer");
        ledger.produced(0..4);
        assert_eq!(ledger.tally().lost, 3);
        assert!(ledger.delivered(0) && ledger.delivered(1));
        assert!(!ledger.delivered(0), "a lock ended");
        ledger.accepted(0);
        assert_eq!(ledger.tally().doubled, 0, "it was not accepted before");
        ledger.accepted(1);
        assert!(!ledger.delivered(1), "accepted, and delivered again");
        ledger.accepted(1);
        ledger.accepted(2);
        ledger.accepted(2);
        let expected = Tally { produced: 4, delivered: 3, accepted: 3, lost: 1, doubled: 2, redelivered: 2 };
        assert_eq!(ledger.tally(), expected);
        assert!(ledger.tally().is_pending());
    }
}
