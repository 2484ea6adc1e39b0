//! Random operations against a model that knows one offset at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::base::clock::Timestamp;
use crate::coordinator::share::partition::acknowledge::{AcknowledgeRefusal, acknowledge};
use crate::coordinator::share::partition::acquire::{AcquireWish, Offer, OfferedBatch, acquire};
use crate::coordinator::share::partition::document::{StoredPartition, decode, encode};
use crate::coordinator::share::partition::kit::{RULES, batch, node};
use crate::coordinator::share::partition::lapse::{lapse, release};
use crate::coordinator::share::partition::letter::DeadLetter;
use crate::coordinator::share::partition::rules::{RedeliveryBackoff, Rules};
use crate::coordinator::share::partition::run::RecordState;
use crate::coordinator::share::partition::start::move_log_start;
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{AcknowledgeType, AcknowledgementBatch, AcquireMode, AcquiredRange};
use crate::model::group::MemberId;
use crate::model::offset::Offset;

const MEMBERS: [&str; 3] = ["m1", "m2", "m3"];

/// What the model knows of one offset of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    Available { not_before: i64, delivery_count: u16 },
    Acquired { member: String, node: i32, deadline: i64, delivery_count: u16 },
    Acknowledged,
    Archived,
}

/// The window, offset by offset.
#[derive(Debug)]
struct Naive {
    start: i64,
    end: i64,
    cells: BTreeMap<i64, Cell>,
}

impl Naive {
    fn settle(&mut self) {
        while matches!(self.cells.get(&self.start), Some(Cell::Acknowledged | Cell::Archived)) {
            self.cells.remove(&self.start);
            self.start += 1;
        }
        self.end = self.end.max(self.start);
    }

    fn give_back(cell: &Cell, now: i64, rules: &Rules) -> (Cell, bool) {
        let Cell::Acquired { delivery_count, .. } = cell else { panic!("only what is held is given back") };
        if *delivery_count >= rules.delivery_count_limit {
            return (Cell::Archived, true);
        }
        let rest = i64::try_from(rules.backoff.rest(*delivery_count).as_millis()).expect("short");
        let not_before = if rest == 0 { 0 } else { now + rest };
        (Cell::Available { not_before, delivery_count: *delivery_count }, false)
    }

    /// Ends the locks that `ends` says; answers the offsets that are given up.
    fn end_locks(&mut self, now: i64, rules: &Rules, ends: impl Fn(&str, i32, i64) -> bool) -> Vec<i64> {
        let mut given_up = Vec::new();
        for (offset, cell) in &mut self.cells {
            if let Cell::Acquired { member, node, deadline, .. } = cell
                && ends(member, *node, *deadline)
            {
                let (after, is_given_up) = Self::give_back(cell, now, rules);
                *cell = after;
                given_up.extend(is_given_up.then_some(*offset));
            }
        }
        self.settle();
        given_up
    }

    /// Answers the offsets that are given up, or what is refused: whether the request is at fault.
    fn acknowledge(
        &mut self,
        member: &str,
        batches: &[AcknowledgementBatch],
        now: i64,
        rules: &Rules,
    ) -> Result<Vec<i64>, bool> {
        let (mut cells, mut given_up, mut previous) = (self.cells.clone(), Vec::new(), None);
        let relevant: Vec<_> = batches.iter().filter(|batch| batch.last.0 >= self.start).collect();
        for batch in &relevant {
            if previous.replace(batch.last).is_some_and(|last| batch.first <= last) {
                return Err(false);
            }
        }
        for batch in relevant {
            if self.cells.is_empty() {
                return Err(false);
            }
            if batch.last.0 >= self.end {
                return Err(true);
            }
            for offset in batch.first.0.max(self.start)..=batch.last.0 {
                let index = usize::try_from(offset - batch.first.0).expect("in the range");
                let kind = if batch.types.len() == 1 { batch.types[0] } else { batch.types[index] };
                let cell = cells.get_mut(&offset).expect("in the window");
                let Cell::Acquired { member: holder, node, deadline, delivery_count } = &*cell else {
                    return Err(false);
                };
                if holder != member || *deadline <= now || (kind == AcknowledgeType::Renew && !rules.renew_allowed) {
                    return Err(false);
                }
                let deadline = now + i64::try_from(rules.lock_duration.as_millis()).expect("short");
                *cell = match kind {
                    AcknowledgeType::Accept => Cell::Acknowledged,
                    AcknowledgeType::Gap => Cell::Archived,
                    AcknowledgeType::Reject => {
                        given_up.push(offset);
                        Cell::Archived
                    }
                    AcknowledgeType::Release => {
                        let (after, is_given_up) = Self::give_back(cell, now, rules);
                        given_up.extend(is_given_up.then_some(offset));
                        after
                    }
                    AcknowledgeType::Renew => {
                        let (member, node, delivery_count) = (holder.clone(), *node, *delivery_count);
                        Cell::Acquired { member, node, deadline, delivery_count }
                    }
                };
            }
        }
        self.cells = cells;
        self.settle();
        Ok(given_up)
    }

    fn move_log_start(&mut self, log_start: i64) {
        if log_start > self.start {
            self.cells = self.cells.split_off(&log_start);
            self.start = log_start;
            self.settle();
        }
    }

    /// The offsets that are acquired, each with its new delivery count.
    fn acquire(&mut self, offer: &Offer, wish: &AcquireWish, now: i64, rules: &Rules) -> Vec<(i64, u16)> {
        let is_strict = wish.mode == AcquireMode::RecordLimit;
        let limit = i64::from(rules.delivery_count_limit);
        let locks = i64::from(rules.record_locks_max);
        let deadline = now + i64::try_from(rules.lock_duration.as_millis()).expect("short");
        let mut taken: Vec<(i64, u16)> = Vec::new();
        let mut covered = offer.from.0.max(self.start);
        let mut window_start = (!self.cells.is_empty()).then_some(self.start);
        let mut is_over = wish.records_max == 0 || offer.batches.is_empty();
        let mut suspects: Option<i64> = None;
        for OfferedBatch { base_offset: Offset(base), last_offset: Offset(last), .. } in &offer.batches {
            if wish.records_max == 0 {
                break;
            }
            for offset in covered..*base {
                if let Some(cell @ Cell::Available { .. }) = self.cells.get_mut(&offset) {
                    *cell = Cell::Archived;
                }
            }
            if is_over {
                break;
            }
            let mut has_new = false;
            for offset in *base..=*last {
                let known = self.cells.get(&offset).cloned();
                let delivery_count = match known {
                    Some(Cell::Available { not_before, delivery_count }) => {
                        if is_withheld(offer, offset) {
                            self.cells.insert(offset, Cell::Archived);
                            continue;
                        }
                        if not_before > now {
                            continue;
                        }
                        delivery_count
                    }
                    Some(_) => continue,
                    None if offset < self.start || offset < self.end => continue,
                    None => {
                        let used = offset - window_start.unwrap_or(offset);
                        let has_room = used < locks || (has_new && !is_strict);
                        if is_over || self.end < covered.min(*base) || !has_room || (has_new && self.end != offset) {
                            break;
                        }
                        has_new = true;
                        (self.end..offset).for_each(|hole| drop(self.cells.insert(hole, Cell::Archived)));
                        if is_withheld(offer, offset) {
                            self.cells.insert(offset, Cell::Archived);
                            self.end = offset + 1;
                            continue;
                        }
                        0
                    }
                };
                // May this one come?
                let throttled_from = if limit > 2 { ((limit + 1) / 2).max(2) } else { i64::MAX };
                let count = i64::from(delivery_count);
                let is_suspect = count >= throttled_from;
                let is_last = is_suspect && count >= limit - 1;
                is_over |= is_strict && taken.len() >= wish.records_max as usize;
                is_over |= !is_suspect && suspects.is_some();
                is_over |= is_suspect && !taken.is_empty() && (is_last || suspects.is_none());
                if is_over {
                    if !self.cells.contains_key(&offset) {
                        break;
                    }
                    continue;
                }
                if is_suspect {
                    let size = last - base + 1;
                    let share = if is_last { 1 } else { (size >> (count - throttled_from + 1)).max(1) };
                    let left = suspects.unwrap_or(share) - 1;
                    suspects = Some(left);
                    is_over = left == 0;
                }
                window_start.get_or_insert(offset);
                let delivery_count = delivery_count + 1;
                let member = wish.member_id.as_str().to_owned();
                let acquired = Cell::Acquired { member, node: wish.node.node_id.0, deadline, delivery_count };
                self.cells.insert(offset, acquired);
                self.end = self.end.max(offset + 1);
                taken.push((offset, delivery_count));
            }
            is_over |= suspects.is_some() || taken.len() >= wish.records_max as usize;
            covered = covered.max(last + 1);
        }
        self.settle();
        taken
    }
}

fn is_withheld(offer: &Offer, offset: i64) -> bool {
    offer.withheld.iter().any(|(first, last)| (first.0..=last.0).contains(&offset))
}

/// What can happen.
#[derive(Clone, Debug)]
enum Op {
    Acquire {
        member: usize,
        node: i32,
        behind: i64,
        batches: usize,
        wish: (u32, u32),
        is_strict: bool,
        committed: bool,
    },
    AcknowledgeOwn {
        member: usize,
        skip: usize,
        take: usize,
        kinds: Vec<u8>,
        is_single: bool,
    },
    AcknowledgeAny {
        member: usize,
        ranges: Vec<(i64, i64, u8)>,
    },
    Wait(i64),
    Lapse,
    NodeIsOver(i32),
    Release {
        member: usize,
        node: i32,
    },
    MoveLogStart(i64),
    Limits {
        delivery_count_limit: u16,
        record_locks_max: u32,
        renew_allowed: bool,
        backoff_ms: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let member = 0..MEMBERS.len();
    prop_oneof![
        8 => (member.clone(), 1..3, 0i64..20, 0usize..6, (0u32..40, 0u32..30), any::<bool>(), any::<bool>()).prop_map(
            |(member, node, behind, batches, wish, is_strict, committed)| Op::Acquire {
                member, node, behind: behind.saturating_sub(12).max(0), batches, wish, is_strict, committed
            }
        ),
        6 => (member.clone(), 0usize..10, 1usize..40, prop::collection::vec(0u8..5, 1..12), any::<bool>()).prop_map(
            |(member, skip, take, kinds, is_single)| Op::AcknowledgeOwn { member, skip, take, kinds, is_single }
        ),
        1 => (member.clone(), prop::collection::vec((-5i64..40, 0i64..8, 0u8..5), 1..3)).prop_map(
            |(member, ranges)| Op::AcknowledgeAny { member, ranges }
        ),
        3 => (0i64..2_000).prop_map(Op::Wait),
        3 => Just(Op::Lapse),
        1 => (1..3).prop_map(Op::NodeIsOver),
        2 => (member, 1..3).prop_map(|(member, node)| Op::Release { member, node }),
        1 => (-5i64..20).prop_map(Op::MoveLogStart),
        1 => (1u16..8, 1u32..60, any::<bool>(), prop_oneof![Just(0u64), 0u64..500]).prop_map(
            |(delivery_count_limit, record_locks_max, renew_allowed, backoff_ms)| Op::Limits {
                delivery_count_limit, record_locks_max, renew_allowed, backoff_ms
            }
        ),
    ]
}

fn kind(number: u8) -> AcknowledgeType {
    match number {
        0 => AcknowledgeType::Gap,
        1 => AcknowledgeType::Accept,
        2 => AcknowledgeType::Release,
        3 => AcknowledgeType::Reject,
        _ => AcknowledgeType::Renew,
    }
}

/// The state, the model, and what has been told to members.
struct Pair {
    state: SharePartitionState,
    naive: Naive,
    rules: Rules,
    now: i64,
    /// A log with holes: first and last offset of each batch, and whether it was aborted.
    log: Vec<(i64, i64, bool)>,
    /// By offset: how often it was delivered, and whether it was answered as finished.
    told: BTreeMap<i64, (u16, bool)>,
}

impl Pair {
    fn new(log: &[(i64, i64, bool)]) -> Self {
        let mut next = 0;
        let mut placed = Vec::new();
        for (hole, size, is_aborted) in log {
            let first = next + hole;
            placed.push((first, first + size - 1, *is_aborted));
            next = first + size;
        }
        let backoff =
            RedeliveryBackoff { factor_thousandths: 2_000, longest: Duration::from_secs(1), ..RedeliveryBackoff::NONE };
        let rules = Rules { lock_duration: Duration::from_secs(2), record_locks_max: 50, backoff, ..RULES };
        let naive = Naive { start: 0, end: 0, cells: BTreeMap::new() };
        let state = SharePartitionState::starting_at(Offset(0));
        Self { state, naive, rules, now: 1_000, log: placed, told: BTreeMap::new() }
    }

    fn offer(&self, from: i64, batches: usize, committed: bool) -> Offer {
        let read = || self.log.iter().filter(|(_, last, _)| *last >= from).take(batches);
        let offered = |(first, last, _): &(i64, i64, bool)| OfferedBatch {
            base_offset: Offset(*first),
            last_offset: Offset(*last),
            byte_size: 1,
        };
        let aborted = read().filter(|(.., is_aborted)| *is_aborted && committed);
        Offer {
            from: Offset(from),
            batches: read().map(offered).collect(),
            withheld: aborted.map(|(first, last, _)| (Offset(*first), Offset(*last))).collect(),
        }
    }

    fn apply(&mut self, op: &Op) {
        let now = Timestamp(self.now);
        match op {
            Op::Acquire {
                member,
                node: id,
                behind,
                batches,
                wish: (records_max, batch_size),
                is_strict,
                committed,
            } => {
                let from = self.state.next_fetch_offset(now, &self.rules).unwrap_or(self.state.end_offset());
                let offer = self.offer((from.0 - behind).max(0), *batches, *committed);
                let mode = if *is_strict { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
                let member_id = MemberId::from(MEMBERS[*member]);
                let wish = AcquireWish {
                    member_id,
                    node: node(*id),
                    records_max: *records_max,
                    batch_size: *batch_size,
                    mode,
                };
                let ranges = acquire(&mut self.state, &offer, &wish, now, &self.rules);
                let expected = self.naive.acquire(&offer, &wish, self.now, &self.rules);
                self.delivered(&ranges, &expected, &wish);
            }
            Op::AcknowledgeOwn { member, skip, take, kinds, is_single } => {
                let batches = self.own(MEMBERS[*member], *skip, *take, kinds, *is_single);
                self.acknowledge(MEMBERS[*member], &batches);
            }
            Op::AcknowledgeAny { member, ranges } => {
                let mut batches = Vec::new();
                let mut from = self.state.start_offset().0;
                for (ahead, more, number) in ranges {
                    let first = (from + ahead).max(0);
                    batches.push(batch(first, first + more, &[kind(*number)]));
                    from = first + more;
                }
                self.acknowledge(MEMBERS[*member], &batches);
            }
            Op::Wait(ms) => self.now += ms,
            Op::Lapse => {
                let lapsed = lapse(&mut self.state, now, &|_| false, &self.rules);
                let given_up = self.naive.end_locks(self.now, &self.rules, |_, _, deadline| deadline <= now.0);
                self.given_up(&lapsed.letters, &given_up);
            }
            Op::NodeIsOver(id) => {
                let lapsed = lapse(&mut self.state, now, &|holder| holder.node == node(*id), &self.rules);
                let ends = |_: &str, node: i32, deadline: i64| deadline <= now.0 || node == *id;
                let given_up = self.naive.end_locks(self.now, &self.rules, ends);
                self.given_up(&lapsed.letters, &given_up);
            }
            Op::Release { member, node: id } => {
                let (member, session) = (MEMBERS[*member], node(*id));
                let lapsed = release(&mut self.state, &member.into(), session, now, &self.rules);
                let ends = |holder: &str, node: i32, _: i64| holder == member && node == *id;
                let given_up = self.naive.end_locks(self.now, &self.rules, ends);
                self.given_up(&lapsed.letters, &given_up);
            }
            Op::MoveLogStart(ahead) => {
                let log_start = (self.state.start_offset().0 + ahead).max(0);
                move_log_start(&mut self.state, Offset(log_start));
                self.naive.move_log_start(log_start);
            }
            Op::Limits { delivery_count_limit, record_locks_max, renew_allowed, backoff_ms } => {
                self.rules.delivery_count_limit = *delivery_count_limit;
                self.rules.record_locks_max = *record_locks_max;
                self.rules.renew_allowed = *renew_allowed;
                self.rules.backoff.first = Duration::from_millis(*backoff_ms);
            }
        }
    }

    /// Some of what a member holds, as it would acknowledge it.
    fn own(&self, member: &str, skip: usize, take: usize, kinds: &[u8], is_single: bool) -> Vec<AcknowledgementBatch> {
        let is_own = |cell: &Cell| matches!(cell, Cell::Acquired { member: holder, .. } if holder == member);
        let own = self.naive.cells.iter().filter(|(_, cell)| is_own(cell)).map(|(offset, _)| *offset);
        let own: Vec<i64> = own.skip(skip).take(take).collect();
        let mut kinds = kinds.iter().cycle().map(|number| kind(*number));
        let one = |stretch: &[i64]| {
            let count = if is_single { 1 } else { stretch.len() };
            let types: Vec<_> = kinds.by_ref().take(count).collect();
            batch(stretch[0], stretch[stretch.len() - 1], &types)
        };
        own.chunk_by(|left, right| left + 1 == *right).map(one).collect()
    }

    fn acknowledge(&mut self, member: &str, batches: &[AcknowledgementBatch]) {
        let before = self.state.clone();
        let now = Timestamp(self.now);
        let outcome = acknowledge(&mut self.state, &member.into(), batches, now, &self.rules);
        let expected = self.naive.acknowledge(member, batches, self.now, &self.rules);
        match (outcome, expected) {
            (Ok(done), Ok(given_up)) => {
                self.given_up(&done.letters, &given_up);
                for batch in batches {
                    for (index, offset) in (batch.first.0..=batch.last.0).enumerate() {
                        let kind = if batch.types.len() == 1 { batch.types[0] } else { batch.types[index] };
                        if !matches!(kind, AcknowledgeType::Release | AcknowledgeType::Renew) {
                            self.told.entry(offset).or_default().1 = true;
                        }
                    }
                }
            }
            (Err(refusal), Err(is_invalid_request)) => {
                assert_eq!(refusal.is_invalid_request(), is_invalid_request, "{refusal}");
                assert_ne!(refusal, AcknowledgeRefusal::Malformed(batches[0].first));
                assert_eq!(self.state, before, "a refusal changed something");
            }
            (outcome, expected) => panic!("{outcome:?}, but the model says {expected:?} to {batches:?}"),
        }
    }

    fn delivered(&mut self, ranges: &[AcquiredRange], expected: &[(i64, u16)], wish: &AcquireWish) {
        let offsets: Vec<(i64, u16)> = ranges
            .iter()
            .flat_map(|range| (range.first.0..=range.last.0).map(|it| (it, range.delivery_count)))
            .collect();
        assert_eq!(offsets, expected);
        for (offset, delivery_count) in offsets {
            let (told, is_finished) = self.told.entry(offset).or_default();
            assert!(!*is_finished, "{offset} is delivered although it is finished");
            *told += 1;
            assert_eq!(delivery_count, *told, "{offset} is counted wrongly");
            assert!(
                self.log.iter().any(|(first, last, _)| (*first..=*last).contains(&offset)),
                "{offset} is no record"
            );
        }
        if wish.mode == AcquireMode::RecordLimit {
            assert!(expected.len() <= wish.records_max as usize);
        }
    }

    fn given_up(&mut self, letters: &[DeadLetter], expected: &[i64]) {
        let offsets: Vec<i64> = letters.iter().flat_map(|letter| letter.first.0..=letter.last.0).collect();
        assert_eq!(offsets, expected);
        for letter in letters {
            for offset in letter.first.0..=letter.last.0 {
                let (told, is_finished) = self.told.entry(offset).or_default();
                assert_eq!(letter.delivery_count, *told);
                *is_finished = true;
            }
        }
    }

    /// The state says what the model does, offset by offset, is sound, and survives being stored.
    fn compare(&self) {
        self.state.check().unwrap_or_else(|broken| panic!("{broken}: {:?}", self.state));
        assert_eq!((self.state.start_offset().0, self.state.end_offset().0), (self.naive.start, self.naive.end));
        let mut cells = BTreeMap::new();
        for run in self.state.runs() {
            let delivery_count = run.delivery_count;
            let cell = match run.state {
                RecordState::Available { not_before: Timestamp(not_before) } => {
                    Cell::Available { not_before, delivery_count }
                }
                RecordState::Acquired { holder, deadline } => {
                    let holder = self.state.holder(holder).expect("it is listed");
                    let (member, node) = (holder.member_id.as_str().to_owned(), holder.node.node_id.0);
                    Cell::Acquired { member, node, deadline: deadline.0, delivery_count }
                }
                RecordState::Acknowledged => Cell::Acknowledged,
                RecordState::Archived => Cell::Archived,
            };
            (run.first.0..=run.last.0).for_each(|offset| drop(cells.insert(offset, cell.clone())));
        }
        assert_eq!(cells, self.naive.cells);
        let counts = self.state.counts();
        let total = counts.available + counts.acquired + counts.acknowledged + counts.archived;
        assert_eq!(total, self.state.window());
        let stored = StoredPartition::Decided(self.state.clone());
        assert_eq!(decode(encode(&stored)), Ok(stored));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_behave_as_single_offsets_would(
        log in prop::collection::vec((prop_oneof![4 => Just(0i64), 1 => 1i64..5], 1i64..14, prop::bool::weighted(0.2)), 1..40),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut pair = Pair::new(&log);
        for op in &ops {
            pair.apply(op);
            pair.compare();
        }
    }
}
