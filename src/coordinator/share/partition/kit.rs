//! What the tests of this room share: a partition with a few members, and its state as a line of text.

use std::fmt::Write as _;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::coordinator::share::partition::acknowledge::{AcknowledgeRefusal, Acknowledged, acknowledge};
use crate::coordinator::share::partition::acquire::{AcquireWish, Offer, OfferedBatch, acquire};
use crate::coordinator::share::partition::lapse::{Lapsed, lapse, release};
use crate::coordinator::share::partition::letter::{DeadLetter, LetterCause};
use crate::coordinator::share::partition::rules::{RedeliveryBackoff, Rules};
use crate::coordinator::share::partition::run::RecordState;
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{AcknowledgeType, AcknowledgementBatch, AcquireMode};
use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};
use crate::model::offset::Offset;

/// Kafka's defaults.
pub(super) const RULES: Rules = Rules {
    lock_duration: Duration::from_secs(30),
    delivery_count_limit: 5,
    record_locks_max: 2_000,
    renew_allowed: true,
    backoff: RedeliveryBackoff::NONE,
};

pub(super) fn node(id: i32) -> NodeIdentity {
    NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(1) }
}

/// A log of batches of `size` offsets each, from offset 0, as a read at `from` up to `end` gives it.
pub(super) fn offer(from: i64, end: i64, size: i64) -> Offer {
    let first = from / size * size;
    let bases = (first..end).step_by(usize::try_from(size).expect("small"));
    let edges: Vec<_> = bases.map(|base| (base, base + size - 1)).collect();
    offer_of(from, &edges)
}

/// A read at `from` that gives batches of these first and last offsets.
pub(super) fn offer_of(from: i64, edges: &[(i64, i64)]) -> Offer {
    let batch = |(first, last): &(i64, i64)| OfferedBatch {
        base_offset: Offset(*first),
        last_offset: Offset(*last),
        byte_size: 100,
    };
    Offer { from: Offset(from), batches: edges.iter().map(batch).collect(), withheld: Vec::new() }
}

pub(super) fn batch(first: i64, last: i64, types: &[AcknowledgeType]) -> AcknowledgementBatch {
    AcknowledgementBatch { first: Offset(first), last: Offset(last), types: types.to_vec() }
}

/// Acknowledgements as text: `0-9 accept, 10-11 gap release`.
pub(super) fn acknowledgements(text: &str) -> Vec<AcknowledgementBatch> {
    let kind = |word: &str| match word {
        "gap" => AcknowledgeType::Gap,
        "accept" => AcknowledgeType::Accept,
        "release" => AcknowledgeType::Release,
        "reject" => AcknowledgeType::Reject,
        "renew" => AcknowledgeType::Renew,
        other => panic!("'{other}' is no type"),
    };
    let one = |part: &str| {
        let mut words = part.split_whitespace();
        let (first, last) = words.next().expect("a range").split_once('-').expect("two offsets");
        let types: Vec<_> = words.map(kind).collect();
        batch(first.parse().expect("a number"), last.parse().expect("a number"), &types)
    };
    text.split(',').map(one).collect()
}

/// One partition, and what time it is.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) state: SharePartitionState,
    pub(super) rules: Rules,
    pub(super) now: Timestamp,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self { state: SharePartitionState::starting_at(Offset(0)), rules: RULES, now: Timestamp(1_000) }
    }

    pub(super) fn wish(member: &str, records_max: u32) -> AcquireWish {
        AcquireWish {
            member_id: member.into(),
            node: node(1),
            records_max,
            batch_size: records_max,
            mode: AcquireMode::BatchOptimized,
        }
    }

    /// What `wish` acquires of `offer`: `0-9×1 10-14×2`.
    pub(super) fn acquire(&mut self, offer: &Offer, wish: &AcquireWish) -> String {
        let ranges = acquire(&mut self.state, offer, wish, self.now, &self.rules);
        self.sound();
        let one = |range: &crate::coordinator::share::values::AcquiredRange| {
            format!("{}-{}×{}", range.first, range.last, range.delivery_count)
        };
        ranges.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// What `member` acquires of a log with batches of ten offsets that ends at `end`.
    pub(super) fn take(&mut self, member: &str, records_max: u32, end: i64) -> String {
        let Some(from) = self.state.next_fetch_offset(self.now, &self.rules) else { return String::new() };
        self.acquire(&offer(from.0, end, 10), &Self::wish(member, records_max))
    }

    pub(super) fn acknowledge(&mut self, member: &str, text: &str) -> Result<Acknowledged, AcknowledgeRefusal> {
        let before = self.state.clone();
        let batches = acknowledgements(text);
        let outcome = acknowledge(&mut self.state, &member.into(), &batches, self.now, &self.rules);
        self.sound();
        assert!(outcome.is_ok() || self.state == before, "a refusal changed something");
        outcome
    }

    pub(super) fn lapse(&mut self) -> Lapsed {
        let lapsed = lapse(&mut self.state, self.now, &|_| false, &self.rules);
        self.sound();
        lapsed
    }

    pub(super) fn release(&mut self, member: &str) -> Lapsed {
        let lapsed = release(&mut self.state, &member.into(), node(1), self.now, &self.rules);
        self.sound();
        lapsed
    }

    pub(super) fn later(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self
    }

    fn sound(&self) {
        self.state.check().unwrap_or_else(|broken| panic!("{broken}: {}", self.sketch()));
    }

    /// The window as text, from the start offset up to the end offset: `5 | 5-9 a×1 m1 | 10-10 done | 11-19 gone`,
    /// where `a×1` was acquired once (by whom is told), and `w×2@7000` waits after two deliveries until 7,000.
    pub(super) fn sketch(&self) -> String {
        let mut text = format!("{}", self.state.start_offset());
        for run in self.state.runs() {
            let (first, last, count) = (run.first, run.last, run.delivery_count);
            let _ = write!(text, " | {first}-{last} ");
            let _ = match run.state {
                RecordState::Available { not_before: Timestamp(0) } => write!(text, "w×{count}"),
                RecordState::Available { not_before } => write!(text, "w×{count}@{not_before}"),
                RecordState::Acquired { holder, .. } => {
                    let holder = self.state.holder(holder).expect("it is listed");
                    write!(text, "a×{count} {}", holder.member_id)
                }
                RecordState::Acknowledged => write!(text, "done"),
                RecordState::Archived => write!(text, "gone"),
            };
        }
        text
    }
}

/// Letters as text: `0-9×5 limit`.
pub(super) fn letters(letters: &[DeadLetter]) -> String {
    let one = |letter: &DeadLetter| {
        let cause = match letter.cause {
            LetterCause::Rejected => "rejected",
            LetterCause::DeliveryLimit => "limit",
        };
        format!("{}-{}×{} {cause}", letter.first, letter.last, letter.delivery_count)
    };
    letters.iter().map(one).collect::<Vec<_>>().join(" ")
}
