//! One member's turn: takes what it may have from one partition after the other.

use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::read::{ReadOutcome, bytes_of, read_window};
use crate::coordinator::share::delivery::seat::{Moment, Seat};
use crate::coordinator::share::delivery::work::{Acquisition, WantedPartition, Work};
use crate::coordinator::share::partition::acquire::{AcquireWish, Offer, acquire};
use crate::coordinator::share::partition::start::move_log_start;
use crate::coordinator::share::values::{AcquiredRange, SharedRecords};
use crate::model::offset::Offset;

/// So often a member's turn at one partition reads, archives what can not be had, and goes on.
const STEPS_MAX: u32 = 16;
/// Reads go on in pieces of about this size: most members want far less than they would take.
const READ_BYTES: u32 = 256 << 10;

/// One member's turn.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    pub context: &'a Context,
    pub moment: &'a Moment,
    pub work: &'a Work,
    /// So many offsets it may have …
    pub records: u32,
    /// … in about so many bytes …
    pub bytes: u64,
    /// … of which each partition gives about its share.
    pub share: u64,
    /// It has nothing yet: one batch comes, however large.
    pub is_first: bool,
}

enum Step {
    /// There is an offer.
    Offer(Offer),
    /// Something changed: look again.
    Again,
    /// That is all.
    End(Acquisition),
}

impl Taker<'_> {
    /// Takes from one partition what limits allow.
    pub(super) async fn take(&mut self, seat: &mut Seat, wanted: &WantedPartition) -> Acquisition {
        let mut got = SharedRecords::default();
        let mut left = self.share.min(self.bytes);
        let mut end = Acquisition::Nothing;
        for _ in 0..STEPS_MAX {
            if self.records == 0 || (left == 0 && !self.is_first) {
                break;
            }
            let Some(offset) = seat.next_offset(self.moment) else { break };
            let offer = match self.step(seat, wanted, offset, left).await {
                Step::Offer(offer) => offer,
                Step::Again => continue,
                Step::End(reason) => {
                    end = reason;
                    break;
                }
            };
            let Some(edge) = offer.batches.last().map(|batch| batch.last_offset) else { break };
            let ranges = self.acquire(seat, &offer);
            let Some(last) = ranges.last().copied() else {
                // What can not be had was archived, or nothing moved at all.
                if seat.next_offset(self.moment) == Some(offset) {
                    break;
                }
                continue;
            };
            let records = seat.window.as_ref().map(|window| window.cut(&ranges)).unwrap_or_default();
            let bytes = bytes_of(&records);
            left = left.saturating_sub(bytes);
            self.bytes = self.bytes.saturating_sub(bytes);
            self.is_first = false;
            got.records.extend(records);
            let comes_alone = self.is_suspect(&last);
            got.acquired.extend(ranges);
            if comes_alone || last.last < edge {
                break;
            }
        }
        if got.acquired.is_empty() { end } else { Acquisition::Records(got) }
    }

    fn acquire(&mut self, seat: &mut Seat, offer: &Offer) -> Vec<AcquiredRange> {
        let wish = AcquireWish {
            member_id: self.work.member_id.clone(),
            node: self.moment.living.this(),
            records_max: self.records,
            batch_size: self.work.acquire.batch_size,
            mode: self.work.acquire.mode,
        };
        let ranges = acquire(&mut seat.state, offer, &wish, self.moment.now, &self.moment.rules.rules);
        let count: i64 = ranges.iter().map(|range| range.last.0 - range.first.0 + 1).sum();
        self.records = self.records.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        seat.tally.acquired += u64::try_from(count).unwrap_or(0);
        ranges
    }

    /// Whether these were delivered so often that nothing else may come with them.
    fn is_suspect(&self, range: &AcquiredRange) -> bool {
        let throttled_from = self.moment.rules.rules.throttled_from();
        throttled_from.is_some_and(|from| range.delivery_count > from)
    }

    /// What there is from `offset` on.
    async fn step(&self, seat: &mut Seat, wanted: &WantedPartition, offset: Offset, left: u64) -> Step {
        if let Some((at, reason)) = &seat.blocked
            && *at == offset
        {
            return Step::End(reason.clone());
        }
        if let Some(offer) = seat.window.as_ref().and_then(|window| window.offer(offset, left, self.is_first)) {
            return Step::Offer(offer);
        }
        let bytes = u32::try_from(left).unwrap_or(u32::MAX).clamp(1, READ_BYTES);
        let read_committed = self.moment.rules.config.read_committed;
        match read_window(self.context, wanted, offset, bytes, read_committed).await {
            ReadOutcome::Window(window) => {
                seat.window = Some(window);
                Step::Again
            }
            ReadOutcome::OutOfRange => {
                let log_start = self.context.parts.tail.bounds(wanted.partition).map(|bounds| bounds.log_start_offset);
                let has_moved = log_start.is_some_and(|log_start| move_log_start(&mut seat.state, log_start));
                // Else it lies beyond the end, where somebody put it, and may be reached some day.
                if has_moved { Step::Again } else { Step::End(Acquisition::Nothing) }
            }
            other => {
                let reason = blocked_by(other).unwrap_or(Acquisition::Nothing);
                seat.blocked = Some((offset, reason.clone()));
                Step::End(reason)
            }
        }
    }
}

/// What a member gets where a read gave nothing.
pub(super) fn blocked_by(outcome: ReadOutcome) -> Option<Acquisition> {
    match outcome {
        ReadOutcome::Window(_) | ReadOutcome::OutOfRange => None,
        ReadOutcome::AtEnd => Some(Acquisition::Nothing),
        ReadOutcome::Cold(offset) => Some(Acquisition::Cold(offset)),
        ReadOutcome::Failed(failure) => Some(Acquisition::Failed(failure)),
    }
}
