//! Whole runs of a share group by seed: producers, members that come and go, faults, and the emptying at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use towpath::base::rng::Rng;
use towpath::config::topic::TimestampType;
use towpath::log::fetch::values::{FetchRequest, PartitionFetch};
use towpath::model::offset::Offset;
use towpath::model::producer::ProducerId;
use towpath::record::batch::Batches;

use crate::checker;
use crate::clients::{SimConsumer, SimProducer, partition};
use crate::committed::SimCommittedConsumer;
use crate::history::{History, Operation, Partition, Verdict};
use crate::mutants::Mutant;
use crate::runs::{Outcome, Plan, number_from, ride_out};
use crate::share_checker::{ShareAnomaly, ShareRules, check};
use crate::sharing::SimSharer;
use crate::trace;
use crate::transactions::SimTransactor;
use crate::world::{LETTER_PARTITIONS, LETTERS, World};

/// Shorter than any run, so that locks end by time in most of them.
const LOCK: Duration = Duration::from_secs(2);

/// What a run of a share group consists of.
#[derive(Clone, Copy, Debug)]
struct SharePlan {
    log: Plan,
    members: u32,
    /// How many producers write in transactions.
    transactors: u32,
    /// Whether the group gets only what is committed.
    read_committed: bool,
}

impl SharePlan {
    /// Drawn from the seed, so that seeds differ in more than their faults.
    fn of(seed: u64) -> Self {
        let rng = Rng::from_seed(seed ^ 0x5a4e);
        let small = |from: u64, to: u64| u32::try_from(from + rng.below(to - from + 1)).expect("small");
        let log = Plan {
            agents: usize::try_from(small(1, 4)).expect("small"),
            partitions: small(1, 3),
            producers: small(1, 2),
            consumers: 0,
            idempotent: true,
            faults: !rng.chance(0.15),
            span: Duration::from_secs(u64::from(small(6, 14))),
            ..Plan::of(seed)
        };
        Self { log, members: small(1, 5), transactors: small(0, 2), read_committed: seed.is_multiple_of(2) }
    }

    fn rules(&self) -> ShareRules {
        let session = Duration::from_secs(6);
        ShareRules { lock: LOCK, delivery_count_limit: 5, session, read_committed: self.read_committed }
    }
}

/// Runs a plan to its end: faults, healing, the emptying, and what lies in the dead letter queue.
fn run(seed: u64, plan: SharePlan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(async move {
        trace::begin();
        let rng = Rng::from_seed(seed);
        let world = World::build(rng.clone(), &plan.log).await;
        world.prepare_sharing(LOCK, plan.read_committed).await;
        world.prepare_transactions().await;
        let mut clients = Vec::new();
        for number in 0..plan.log.producers {
            let id = Some(ProducerId(1000 + i64::from(number)));
            let (world, rng) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
            clients.push(tokio::spawn(SimProducer { world, number, id, rng }.run()));
        }
        for number in 0..plan.members {
            let (world, rng) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
            clients.push(tokio::spawn(SimSharer { world, number, rng, accepts_all: false }.run()));
        }
        for number in 0..plan.transactors {
            let (world, rng) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
            clients.push(tokio::spawn(SimTransactor { world, number, rng }.run()));
        }
        let (reader, own) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
        clients.push(tokio::spawn(SimCommittedConsumer { world: reader, rng: own }.run()));
        let own = Rng::from_seed(rng.next_u64());
        ride_out(&world, &plan.log, own, clients).await;
        let own = Rng::from_seed(rng.next_u64());
        SimSharer { world: Arc::clone(&world), number: u32::MAX, rng: own, accepts_all: true }.drain().await;
        for (partition, end) in world.ends().await {
            world.record(world.moment(), Operation::ShareEmptied { partition, end });
        }
        read_letters(&world, &Rng::from_seed(rng.next_u64())).await;
        let own = Rng::from_seed(rng.next_u64());
        SimConsumer { world: Arc::clone(&world), number: u32::MAX, rng: own }.read_to_end().await;
        Outcome { history: world.history(), trace: trace::end() }
    })
}

/// Notes every dead letter: whose it is.
async fn read_letters(world: &World, rng: &Rng) {
    for (index, end) in world.ends_of(LETTERS, LETTER_PARTITIONS).await {
        let (mut next, mut patience) = (0, 0);
        while next < end {
            patience += 1;
            assert!(patience < 1_000, "dead letters can not be read from offset {next} on");
            let fetch = PartitionFetch {
                partition: partition(LETTERS, index),
                offset: Offset(next),
                bytes_max: 100_000,
                timestamp_type: TimestampType::CreateTime,
            };
            let request = FetchRequest {
                partitions: vec![fetch],
                bytes_min: 1,
                wait_max: Duration::from_millis(100),
                bytes_max: 100_000,
                read_committed: false,
            };
            let agent = world.any_agent(rng);
            let answer = world.call(rng, agent, move |services| async move { services.reader.fetch(request).await });
            let Some(Ok(fetched)) = answer.await.and_then(|mut outcomes| outcomes.pop()) else { continue };
            let mut bytes = BytesMut::new();
            fetched.records.iter().for_each(|slice| bytes.extend_from_slice(slice));
            for batch in Batches::new(bytes.freeze()) {
                let batch = batch.expect("whole batches");
                let body = batch.body(1 << 20).expect("uncompressed");
                for record in batch.records(&body) {
                    let record = record.expect("readable record");
                    if record.offset.0 >= next {
                        next = record.offset.0 + 1;
                        let header = |name: &str| -> i64 {
                            let mut headers = record.headers;
                            let (_, value) = headers.find(|(key, _)| *key == name.as_bytes()).expect("a header");
                            let text = std::str::from_utf8(value.expect("a value")).expect("text");
                            text.parse().expect("a number")
                        };
                        let partition = Partition::try_from(header("__dlq.errors.partition")).expect("small");
                        let offset = header("__dlq.errors.offset");
                        world.record(world.moment(), Operation::ShareLetter { partition, offset });
                    }
                }
            }
        }
    }
}

fn anomalies(seed: u64, plan: SharePlan) -> (BTreeSet<ShareAnomaly>, History) {
    let history = run(seed, plan).history;
    assert_eq!(checker::check(&history), BTreeSet::new(), "seed {seed}: {plan:?}");
    (check(&history, plan.rules()), history)
}

/// What a run shows: acknowledgements that count, by what members were told, and transactions that ended.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    acknowledged: usize,
    committed: usize,
    aborted: usize,
}

impl Shown {
    fn by(history: &History) -> Self {
        let mut shown = Self::default();
        for event in &history.events {
            match &event.operation {
                Operation::ShareAcknowledged { verdicts, outcome: Verdict::Done, .. } => {
                    shown.acknowledged += verdicts.len();
                }
                Operation::TransactionEnded { aborted: false, .. } => shown.committed += 1,
                Operation::TransactionEnded { aborted: true, .. } => shown.aborted += 1,
                _ => {}
            }
        }
        shown
    }
}

impl std::iter::Sum for Shown {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |one, other| Self {
            acknowledged: one.acknowledged + other.acknowledged,
            committed: one.committed + other.committed,
            aborted: one.aborted + other.aborted,
        })
    }
}

#[test]
fn no_seed_shows_a_share_anomaly() {
    let _process = trace::among_others();
    if let Some(seed) = number_from("TOWPATH_SIM_SEED") {
        assert_eq!(anomalies(seed, SharePlan::of(seed)).0, BTreeSet::new(), "seed {seed}: {:?}", SharePlan::of(seed));
        return;
    }
    let seeds = number_from("TOWPATH_SIM_SEEDS").unwrap_or(200);
    let next = std::sync::atomic::AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let total: Shown = std::thread::scope(|scope| {
        let work = || {
            let mut shown = Vec::new();
            loop {
                let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if seed >= seeds {
                    return shown.into_iter().sum::<Shown>();
                }
                let plan = SharePlan::of(seed);
                let run = std::panic::catch_unwind(|| anomalies(seed, plan));
                let (found, history) = run.unwrap_or_else(|_| panic!("seed {seed} panicked: {plan:?}"));
                assert_eq!(found, BTreeSet::new(), "seed {seed}: {plan:?}");
                shown.push(Shown::by(&history));
            }
        };
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a seed failed")).sum()
    });
    eprintln!("{seeds} seeds, {total:?}, no anomaly");
    assert!(total.acknowledged as u64 > seeds * 20, "the members hardly did anything: {total:?}");
    assert!(total.aborted.min(total.committed) as u64 > seeds * 2, "there were hardly any transactions: {total:?}");
}

#[test]
fn the_same_seed_gives_the_same_share_trace() {
    let _process = trace::alone();
    for seed in 0..4 {
        let (first, second) = (run(seed, SharePlan::of(seed)), run(seed, SharePlan::of(seed)));
        assert_eq!(first.trace, second.trace, "seed {seed} is not deterministic");
        assert_eq!(first.history, second.history, "seed {seed} is not deterministic");
    }
}

fn hard_plan(seed: u64, mutant: Option<Mutant>) -> SharePlan {
    let log = Plan {
        agents: 3,
        partitions: 2,
        producers: 2,
        consumers: 0,
        idempotent: true,
        faults: true,
        span: Duration::from_secs(10),
        mutant,
        ..Plan::of(seed)
    };
    SharePlan { log, members: 4, transactors: 2, read_committed: seed.is_multiple_of(2) }
}

/// The one anomaly that gives a mutant away, where there is one.
fn named(mutant: Mutant) -> Option<fn(&ShareAnomaly) -> bool> {
    match mutant {
        Mutant::ForgetAborted => Some(|found| matches!(found, ShareAnomaly::AbortedDelivered { .. })),
        Mutant::ForgetOpen => Some(|found| matches!(found, ShareAnomaly::OpenDelivered { .. })),
        Mutant::UnmarkedControl => Some(|found| matches!(found, ShareAnomaly::ControlDelivered { .. })),
        _ => None,
    }
}

#[test]
fn every_share_mutant_is_caught_within_a_few_seeds() {
    let _process = trace::among_others();
    for mutant in Mutant::SHARE {
        let caught = (0..12).find(|seed| {
            let plan = hard_plan(*seed, Some(mutant));
            if let Some(is_it) = named(mutant) {
                return check(&run(*seed, plan).history, plan.rules()).iter().any(is_it);
            }
            // It may also be caught by an assertion of the clients or by a run that never ends.
            let outcome = std::panic::catch_unwind(|| anomalies(*seed, plan).0);
            outcome.map_or(true, |found| found != BTreeSet::new())
        });
        eprintln!("{mutant:?}: seed {caught:?}");
        assert!(caught.is_some(), "{mutant:?} went unnoticed");
    }
}

#[test]
fn the_same_share_plan_without_a_mutant_is_clean() {
    let _process = trace::among_others();
    for seed in 0..12 {
        assert_eq!(anomalies(seed, hard_plan(seed, None)).0, BTreeSet::new(), "seed {seed}");
    }
}
