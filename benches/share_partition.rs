//! How much a decision of a share partition costs, and how that grows with the runs in flight.
//!
//! `delivery` is what one request adds to the work around it: copy the state, end locks, acknowledge, acquire, encode.

use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use towpath::base::clock::Timestamp;
use towpath::coordinator::share::partition::acknowledge::acknowledge;
use towpath::coordinator::share::partition::acquire::{AcquireWish, Offer, OfferedBatch, acquire};
use towpath::coordinator::share::partition::document::{StoredPartition, decode, encode};
use towpath::coordinator::share::partition::lapse::lapse;
use towpath::coordinator::share::partition::rules::{RedeliveryBackoff, Rules};
use towpath::coordinator::share::partition::state::SharePartitionState;
use towpath::coordinator::share::values::{AcknowledgeType, AcknowledgementBatch, AcquireMode};
use towpath::model::group::MemberId;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};
use towpath::model::offset::Offset;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const RULES: Rules = Rules {
    lock_duration: Duration::from_secs(30),
    delivery_count_limit: 5,
    record_locks_max: 10_000,
    renew_allowed: true,
    backoff: RedeliveryBackoff::NONE,
};

fn wish(member: i64, records_max: u32) -> AcquireWish {
    AcquireWish {
        member_id: MemberId::from(format!("{member:022}").as_str()),
        node: NodeIdentity { node_id: NodeId(1), node_epoch: NodeEpoch(1) },
        records_max,
        batch_size: records_max,
        mode: AcquireMode::RecordLimit,
    }
}

fn offer(from: Offset, offsets: i64) -> Offer {
    let batch = OfferedBatch { base_offset: from, last_offset: from.plus(offsets - 1), byte_size: 1_000 };
    Offer { from, batches: vec![batch], withheld: Vec::new() }
}

fn all(first: Offset, last: Offset) -> AcknowledgementBatch {
    AcknowledgementBatch { first, last, types: vec![AcknowledgeType::Accept] }
}

/// `runs` runs in flight: 100 members in turn, each at its own moment, hold one record; then a member holds `tail`.
fn state(runs: i64, tail: i64) -> (SharePartitionState, AcknowledgementBatch) {
    let mut state = SharePartitionState::starting_at(Offset(1_000_000));
    for index in 0..runs {
        let now = Timestamp(NOW.0 - 10_000 + index);
        let offer = offer(state.end_offset(), 1);
        acquire(&mut state, &offer, &wish(index % 100, 1), now, &RULES);
    }
    let first = state.end_offset();
    acquire(&mut state, &offer(first, tail), &wish(999, 10_000), NOW, &RULES);
    assert_eq!(state.runs().len(), usize::try_from(runs + 1).expect("small"));
    (state, all(first, first.plus(tail - 1)))
}

/// One request: acknowledge what it got last, acquire as much again, and what is to be stored.
fn delivery(state: &SharePartitionState, done: &AcknowledgementBatch, records: i64) -> Bytes {
    let mut state = state.clone();
    let member = wish(999, 10_000);
    lapse(&mut state, NOW, &|_| false, &RULES);
    let done = acknowledge(&mut state, &member.member_id, std::slice::from_ref(done), NOW, &RULES);
    assert!(done.is_ok());
    let offer = offer(state.end_offset(), records);
    let ranges = acquire(&mut state, &offer, &member, NOW, &RULES);
    assert_eq!(ranges.len(), 1);
    encode(&StoredPartition::Decided(state))
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("share_partition");
    for runs in [10, 2_000] {
        for records in [1, 500] {
            let (state, done) = state(runs, records);
            let id = format!("{records} records, {runs} runs");
            group.bench_function(BenchmarkId::new("delivery", id), |bencher| {
                bencher.iter(|| delivery(&state, &done, records));
            });
        }
        let (state, done) = state(runs, 500);
        let id = format!("{runs} runs");
        group.bench_function(BenchmarkId::new("acknowledge one type per offset", &id), |bencher| {
            let types = [AcknowledgeType::Accept, AcknowledgeType::Release].repeat(250);
            let mixed = [AcknowledgementBatch { types, ..done.clone() }];
            let member = wish(999, 1).member_id;
            bencher.iter(|| {
                let mut state = state.clone();
                acknowledge(&mut state, &member, &mixed, NOW, &RULES).expect("they are its own");
                state
            });
        });
        let stored = StoredPartition::Decided(state);
        let document = encode(&stored);
        group.bench_function(BenchmarkId::new("encode", &id), |bencher| bencher.iter(|| encode(&stored)));
        group.bench_function(BenchmarkId::new("decode", &id), |bencher| {
            bencher.iter(|| decode(document.clone()).expect("it was just encoded"));
        });
    }
    group.finish();
}

criterion_group!(share_partition, benches);
criterion_main!(share_partition);
