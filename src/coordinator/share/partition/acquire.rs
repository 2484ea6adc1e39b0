//! A member takes records: those given back first, then new ones, as far as the limits go.

use crate::base::clock::Timestamp;
use crate::coordinator::share::partition::rewrite::Rewrite;
use crate::coordinator::share::partition::rules::Rules;
use crate::coordinator::share::partition::run::{Holder, RecordState, Run};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{AcquireMode, AcquiredRange};
use crate::model::group::MemberId;
use crate::model::node::NodeIdentity;
use crate::model::offset::Offset;

/// What a read of the log gave. A later state than the one that was read for may acquire from it as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Where the read began: there is no record between here and the first batch.
    pub from: Offset,
    /// Batches in the order of their offsets; there is no record between two of them. The first may begin before
    /// `from`.
    pub batches: Vec<OfferedBatch>,
    /// First and last offsets of what is no record for anybody: control records, and for those who read only what is
    /// committed whatever aborted transactions wrote.
    pub withheld: Vec<(Offset, Offset)>,
}

/// A producer's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedBatch {
    /// Its first offset.
    pub base_offset: Offset,
    /// Its last offset.
    pub last_offset: Offset,
    /// Its size, for whoever counts bytes.
    pub byte_size: u32,
}

/// Who wants how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcquireWish {
    /// The member.
    pub member_id: MemberId,
    /// The agent that its session is with.
    pub node: NodeIdentity,
    /// At most this many offsets; 0 acquires nothing.
    pub records_max: u32,
    /// From how many offsets on a range ends at the edge of a batch, when whole batches are acquired.
    pub batch_size: u32,
    /// How strictly `records_max` is kept.
    pub mode: AcquireMode,
}

/// Acquires what is available in `offer` and answers it, sorted, neighbours of different delivery counts apart.
///
/// Offsets without a record and offsets that are withheld are archived, which can change the state although
/// nothing was acquired. New offsets are acquired only if they go on where the window ends.
pub fn acquire(
    state: &mut SharePartitionState,
    offer: &Offer,
    wish: &AcquireWish,
    now: Timestamp,
    rules: &Rules,
) -> Vec<AcquiredRange> {
    let Some(first) = offer.batches.first().filter(|_| wish.records_max > 0) else { return Vec::new() };
    let begin = offer.from.min(first.base_offset).max(state.start_offset());
    let holder = state.holder_index(&wish.member_id, wish.node);
    let mut round = Round {
        rewrite: Rewrite::beginning_at(state.runs(), begin),
        acquired: RecordState::Acquired { holder, deadline: now.plus(rules.lock_duration) },
        wish,
        now,
        rules,
        withheld: joined(&offer.withheld),
        window_start: (!state.runs().is_empty()).then(|| state.start_offset()),
        old_end: state.end_offset(),
        end: state.end_offset(),
        taken: 0,
        suspects: None,
        is_over: false,
        ranges: Vec::new(),
    };
    let mut covered = offer.from.max(state.start_offset());
    for batch in &offer.batches {
        round.hole(covered, batch.base_offset);
        if round.is_over {
            break;
        }
        round.known(batch);
        round.unknown(batch, covered);
        // What was delivered often comes alone, and a batch is taken whole before anybody counts.
        round.is_over |= round.suspects.is_some() || round.taken >= u64::from(wish.records_max);
        covered = covered.max(batch.last_offset.plus(1));
    }
    let Round { rewrite, ranges, .. } = round;
    let rewritten = rewrite.finish();
    state.replace(rewritten);
    if !ranges.is_empty() {
        state.note_acquisition(holder, Holder { member_id: wish.member_id.clone(), node: wish.node, acquired_at: now });
    }
    state.settle();
    ranges
}

/// Ranges in order, those that touch or overlap as one.
fn joined(ranges: &[(Offset, Offset)]) -> Vec<(Offset, Offset)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<(Offset, Offset)> = Vec::with_capacity(sorted.len());
    for (first, last) in sorted {
        match joined.last_mut() {
            Some(previous) if first <= previous.1.plus(1) => previous.1 = previous.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// One acquisition.
struct Round<'a> {
    rewrite: Rewrite<'a>,
    /// What becomes of whatever is acquired.
    acquired: RecordState,
    wish: &'a AcquireWish,
    now: Timestamp,
    rules: &'a Rules,
    withheld: Vec<(Offset, Offset)>,
    /// Where the window begins; `None` while nothing unfinished is in it.
    window_start: Option<Offset>,
    /// Where the window ended before …
    old_end: Offset,
    /// … and where it ends now.
    end: Offset,
    taken: u64,
    /// How many more records may come that were delivered often; `None` while there are none of them.
    suspects: Option<u64>,
    /// Nothing more is to be acquired.
    is_over: bool,
    ranges: Vec<AcquiredRange>,
}

impl Round<'_> {
    /// There is no record from `first` up to `end`: whoever waits there waits in vain.
    fn hole(&mut self, first: Offset, end: Offset) {
        if first >= end {
            return;
        }
        self.rewrite.keep_before(first);
        while let Some(run) = self.rewrite.take(end.previous()) {
            let is_available = matches!(run.state, RecordState::Available { .. });
            self.rewrite.put(if is_available { archived(run) } else { run });
        }
    }

    /// The part of a batch that the window has already.
    fn known(&mut self, batch: &OfferedBatch) {
        self.rewrite.keep_before(batch.base_offset);
        while let Some(run) = self.rewrite.take(batch.last_offset) {
            if matches!(run.state, RecordState::Available { .. }) {
                self.available(run, batch);
            } else {
                self.rewrite.put(run);
            }
        }
    }

    fn available(&mut self, mut run: Run, batch: &OfferedBatch) {
        while let Some((piece, is_withheld)) = self.cut(&mut run) {
            if is_withheld {
                self.rewrite.put(archived(piece));
                continue;
            }
            let is_ready = piece.state.is_ready(self.now);
            let count = if is_ready { self.allowed(&piece, batch) } else { 0 };
            self.take(piece, count, batch);
        }
    }

    /// The part of a batch that was never acquired. `covered`: up to here the log has been read without a gap.
    fn unknown(&mut self, batch: &OfferedBatch, covered: Offset) {
        let first = self.end.max(batch.base_offset);
        let is_next = self.end >= covered.min(batch.base_offset);
        if self.is_over || !is_next || batch.last_offset < first || self.room(first) == 0 {
            return;
        }
        self.rewrite.keep_before(self.old_end);
        if self.end < first {
            let nothing =
                Run { first: self.end, last: first.previous(), state: RecordState::Archived, delivery_count: 0 };
            self.rewrite.put(nothing);
            self.end = first;
        }
        let state = RecordState::Available { not_before: Timestamp(0) };
        let mut run = Run { first, last: batch.last_offset, state, delivery_count: 0 };
        while let Some((piece, is_withheld)) = self.cut(&mut run) {
            let mut count = piece.offset_count();
            if !is_withheld {
                count = self.allowed(&piece, batch);
            }
            // While nothing in the window is unfinished, what is withheld takes no room: the start goes past it.
            let takes_room = !is_withheld || self.window_start.is_some();
            if self.wish.mode == AcquireMode::RecordLimit && takes_room {
                count = count.min(self.room(piece.first));
            }
            let Some(taken) = first_of(&piece, count) else { break };
            if is_withheld {
                self.rewrite.put(archived(taken));
            } else {
                self.window_start.get_or_insert(piece.first);
                self.acquire(taken, batch);
            }
            self.end = taken.last.plus(1);
            if taken.last < piece.last {
                break;
            }
        }
    }

    /// How many offsets fit into the window from `first` on.
    fn room(&self, first: Offset) -> u64 {
        let used = u64::try_from(first.0 - self.window_start.unwrap_or(first).0).unwrap_or(0);
        u64::from(self.rules.record_locks_max).saturating_sub(used)
    }

    /// The next piece of a run that is withheld as a whole or not at all.
    fn cut(&self, run: &mut Run) -> Option<(Run, bool)> {
        if run.first > run.last {
            return None;
        }
        let next = self.withheld.get(self.withheld.partition_point(|(_, last)| *last < run.first));
        let (last, is_withheld) = match next {
            Some((first, last)) if *first <= run.first => ((*last).min(run.last), true),
            Some((first, _)) => (first.previous().min(run.last), false),
            None => (run.last, false),
        };
        let piece = Run { last, ..*run };
        run.first = last.plus(1);
        Some((piece, is_withheld))
    }

    /// How many offsets of a piece may be acquired; notes when this was all.
    fn allowed(&mut self, piece: &Run, batch: &OfferedBatch) -> u64 {
        if self.is_over {
            return 0;
        }
        let mut count = piece.offset_count();
        let suspected_from = self.rules.throttled_from().filter(|from| piece.delivery_count >= *from);
        match suspected_from {
            None if self.suspects.is_some() => count = 0,
            None => {}
            Some(from) => {
                let is_last_attempt = piece.delivery_count >= self.rules.delivery_count_limit - 1;
                if self.taken > 0 && (is_last_attempt || self.suspects.is_none()) {
                    count = 0;
                } else {
                    let more = self.suspects.unwrap_or_else(|| share_of(batch, piece.delivery_count - from));
                    count = count.min(if is_last_attempt { 1 } else { more });
                    self.suspects = Some(if is_last_attempt { 0 } else { more - count });
                }
            }
        }
        if self.wish.mode == AcquireMode::RecordLimit {
            count = count.min(u64::from(self.wish.records_max) - self.taken);
        }
        self.is_over = count == 0 || self.suspects == Some(0);
        count
    }

    /// Acquires the first `count` offsets of a piece and leaves the others.
    fn take(&mut self, piece: Run, count: u64, batch: &OfferedBatch) {
        let Some(taken) = first_of(&piece, count) else {
            self.rewrite.put(piece);
            return;
        };
        self.acquire(taken, batch);
        if taken.last < piece.last {
            self.rewrite.put(Run { first: taken.last.plus(1), ..piece });
        }
    }

    fn acquire(&mut self, run: Run, batch: &OfferedBatch) {
        let delivery_count = run.delivery_count.saturating_add(1);
        self.taken += run.offset_count();
        self.rewrite.put(Run { state: self.acquired, delivery_count, ..run });
        let is_edge = self.wish.mode == AcquireMode::BatchOptimized && run.first == batch.base_offset;
        let batch_size = i64::from(self.wish.batch_size.max(1));
        match self.ranges.last_mut() {
            Some(range)
                if range.last.plus(1) == run.first
                    && range.delivery_count == delivery_count
                    && !(is_edge && run.first.0 - range.first.0 >= batch_size) =>
            {
                range.last = run.last;
            }
            _ => self.ranges.push(AcquiredRange { first: run.first, last: run.last, delivery_count }),
        }
    }
}

/// A batch's share for records that have been delivered often: half of the batch at first, half as much with every
/// delivery more, so that the record that breaks its readers is alone in the end.
fn share_of(batch: &OfferedBatch, deliveries_more: u16) -> u64 {
    let offsets = u64::try_from(batch.last_offset.0 - batch.base_offset.0 + 1).unwrap_or(1);
    offsets.checked_shr(u32::from(deliveries_more) + 1).unwrap_or(0).max(1)
}

fn first_of(piece: &Run, count: u64) -> Option<Run> {
    let count = i64::try_from(count.min(piece.offset_count())).unwrap_or(i64::MAX);
    (count > 0).then(|| Run { last: piece.first.plus(count - 1), ..*piece })
}

fn archived(run: Run) -> Run {
    Run { state: RecordState::Archived, delivery_count: 0, ..run }
}

#[cfg(test)]
mod tests;
