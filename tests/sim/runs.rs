//! Whole runs by seed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use towpath::base::rng::Rng;
use towpath::model::producer::ProducerId;

use crate::checker::{Anomaly, check};
use crate::clients::{SimConsumer, SimObserver, SimProducer};
use crate::faults::{heal_all, nemesis};
use crate::groups::SimMember;
use crate::history::{History, Operation, SendOutcome};
use crate::mutants::Mutant;
use crate::trace;
use crate::world::World;

/// What a run consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) agents: usize,
    pub(crate) partitions: u32,
    pub(crate) producers: u32,
    pub(crate) consumers: u32,
    pub(crate) groups: u32,
    /// In each group.
    pub(crate) members: u32,
    pub(crate) idempotent: bool,
    pub(crate) faults: bool,
    pub(crate) span: Duration,
    pub(crate) mutant: Option<Mutant>,
}

impl Plan {
    /// Drawn from the seed, so that seeds differ in more than their faults.
    pub(crate) fn of(seed: u64) -> Self {
        let rng = Rng::from_seed(seed ^ 0x5eed);
        let small = |from: u64, to: u64| from + rng.below(to - from + 1);
        Self {
            agents: usize::try_from(small(1, 4)).expect("small"),
            partitions: u32::try_from(small(1, 4)).expect("small"),
            producers: u32::try_from(small(1, 4)).expect("small"),
            consumers: u32::try_from(small(1, 3)).expect("small"),
            idempotent: !rng.chance(0.2),
            faults: !rng.chance(0.1),
            span: Duration::from_secs(small(8, 20)),
            groups: u32::try_from(small(0, 2)).expect("small"),
            members: u32::try_from(small(1, 3)).expect("small"),
            mutant: None,
        }
    }
}

/// What a run gave.
pub(crate) struct Outcome {
    pub(crate) history: History,
    pub(crate) trace: u64,
}

/// Runs a plan to its end: faults, healing, and the final read.
pub(crate) fn run(seed: u64, plan: Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(async move {
        trace::begin();
        let rng = Rng::from_seed(seed);
        let world = World::build(rng.clone(), &plan).await;
        let mut clients = Vec::new();
        for number in 0..plan.producers {
            let id = plan.idempotent.then_some(ProducerId(1000 + i64::from(number)));
            let (world, rng) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
            clients.push(tokio::spawn(SimProducer { world, number, id, rng }.run()));
        }
        for number in 0..plan.consumers {
            let (world, rng) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
            clients.push(tokio::spawn(SimConsumer { world, number, rng }.run()));
        }
        for group in 0..plan.groups {
            for _ in 0..plan.members {
                let (world, rng) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
                clients.push(tokio::spawn(SimMember::new(world, group, rng).run()));
            }
        }
        let (watched, own) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
        clients.push(tokio::spawn(SimObserver { world: watched, rng: own }.run()));
        let own = Rng::from_seed(rng.next_u64());
        ride_out(&world, &plan, own, clients).await;
        let (reader, own) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
        SimConsumer { world: reader, number: u32::MAX, rng: own }.read_to_end().await;
        for group in 0..plan.groups {
            let (world, rng) = (Arc::clone(&world), Rng::from_seed(rng.next_u64()));
            SimMember::new(world, group, rng).read_offsets().await;
        }
        Outcome { history: world.history(), trace: trace::end() }
    })
}

pub(crate) fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What a run shows: records that were acknowledged, and reads of an offset that was committed.
#[derive(Clone, Copy, Debug, Default)]
struct Acked {
    records: usize,
    offsets: usize,
}

impl std::ops::AddAssign for Acked {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.offsets += other.offsets;
    }
}

fn anomalies(seed: u64) -> (BTreeSet<Anomaly>, Acked) {
    let outcome = run(seed, Plan::of(seed));
    let count =
        |acked: fn(&Operation) -> bool| outcome.history.events.iter().filter(|event| acked(&event.operation)).count();
    let records = count(|operation| matches!(operation, Operation::Send { outcome: SendOutcome::Acked(_), .. }));
    let offsets = count(|operation| matches!(operation, Operation::Committed { offset: 0.., .. }));
    (check(&outcome.history), Acked { records, offsets })
}

/// Lets the clients work among the plan's faults for as long as it says, then heals everything and waits for them.
pub(crate) async fn ride_out(world: &Arc<World>, plan: &Plan, rng: Rng, clients: Vec<JoinHandle<()>>) {
    let trouble = plan.faults.then(|| tokio::spawn(nemesis(Arc::clone(world), rng)));
    tokio::time::sleep(plan.span).await;
    world.stop_clients();
    if let Some(trouble) = trouble {
        trouble.await.expect("the nemesis does not panic");
    }
    heal_all(world).await;
    // After the faults everything must go through, soon: a client that can not finish is a finding.
    for client in clients {
        let finished = tokio::time::timeout(Duration::from_secs(120), client).await;
        finished.expect("clients finish once the faults are over").expect("clients do not panic");
    }
}

#[test]
fn no_seed_shows_an_anomaly() {
    let _process = trace::among_others();
    if let Some(seed) = number_from("TOWPATH_SIM_SEED") {
        assert_eq!(anomalies(seed).0, BTreeSet::new(), "seed {seed}: {:?}", Plan::of(seed));
        return;
    }
    let seeds = number_from("TOWPATH_SIM_SEEDS").unwrap_or(200);
    let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let total: Acked = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                let next = Arc::clone(&next);
                scope.spawn(move || {
                    let mut acked_here = Acked::default();
                    loop {
                        let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if seed >= seeds {
                            return acked_here;
                        }
                        let run = std::panic::catch_unwind(|| anomalies(seed));
                        let (found, acked) =
                            run.unwrap_or_else(|_| panic!("seed {seed} panicked: {:?}", Plan::of(seed)));
                        assert_eq!(found, BTreeSet::new(), "seed {seed}: {:?}", Plan::of(seed));
                        acked_here += acked;
                    }
                })
            })
            .collect();
        let mut total = Acked::default();
        handles.into_iter().for_each(|handle| total += handle.join().expect("a seed failed"));
        total
    });
    eprintln!("{seeds} seeds, {total:?}, no anomaly");
    assert!(total.records as u64 > seeds * 20, "the simulation hardly wrote anything: {total:?}");
    assert!(total.offsets as u64 > seeds * 5, "groups hardly read an offset that was committed: {total:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let _process = trace::alone();
    for seed in 0..6 {
        let (first, second) = (run(seed, Plan::of(seed)), run(seed, Plan::of(seed)));
        assert_eq!(first.trace, second.trace, "seed {seed} is not deterministic");
        assert_eq!(first.history, second.history, "seed {seed} is not deterministic");
        assert!(first.history.events.len() > 20, "seed {seed} did nothing");
    }
}
