//! Idempotent producers that hop between agents while store and metastore misbehave: whatever happens, every record is
//! in the log once, in its producer's order, where its acknowledgement said.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use crate::base::rng::Rng;
use crate::config::log::LogSettings;
use crate::log::append::values::AppendOutcome;
use crate::log::kit::{Agent, Mishap, World, batch, request};
use crate::model::error::Condition;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::TopicIdPartition;

const WINDOWS: i32 = 12;
const BATCHES_IN_FLIGHT: i32 = 5;
const BATCHES: i32 = WINDOWS * BATCHES_IN_FLIGHT;

/// What a producer was told: its values, each with its offset.
type Told = Vec<(i64, String)>;

/// Sends windows of five batches; what fails is sent again in order, perhaps to another agent, until all is told.
async fn produce(agents: &[Agent], partition: TopicIdPartition, producer_id: i64, rng: Rng) -> Told {
    let mut told = Told::new();
    for window in 0..WINDOWS {
        let first = window * BATCHES_IN_FLIGHT;
        let mut outstanding: Vec<i32> = (first..first + BATCHES_IN_FLIGHT).collect();
        while !outstanding.is_empty() {
            let mut sent = Vec::new();
            let mut agent = &agents[rng.below(agents.len() as u64) as usize];
            for number in &outstanding {
                if rng.chance(0.1) {
                    // The leader moves in the middle of the window.
                    agent = &agents[rng.below(agents.len() as u64) as usize];
                }
                let value = format!("{producer_id}:{number}");
                let producer = (ProducerId(producer_id), ProducerEpoch(0), Sequence(*number));
                let timeout = Duration::from_millis(200 + rng.below(3_000));
                let append = agent.writer.append(request(partition, batch(Some(producer), &[&value]), timeout));
                sent.push(async move { (*number, value, append.await.remove(0)) });
                if rng.chance(0.5) {
                    tokio::time::sleep(rng.jitter(Duration::from_millis(30))).await;
                }
            }
            let outcomes: Vec<(i32, String, AppendOutcome)> = join_all(sent).await;
            outstanding.clear();
            for (number, value, outcome) in outcomes {
                match outcome {
                    Ok(appended) => told.push((appended.base_offset.0, value)),
                    Err(failure) => {
                        let condition = failure.failure.condition;
                        let retriable = matches!(
                            condition,
                            Condition::RequestTimedOut
                                | Condition::KafkaStorageError
                                | Condition::OutOfOrderSequenceNumber
                        );
                        assert!(retriable, "{value}: {failure:?}");
                        outstanding.push(number);
                    }
                }
            }
        }
    }
    told
}

async fn misbehave(world: &World, rng: Rng) {
    loop {
        tokio::time::sleep(rng.jitter(Duration::from_millis(300))).await;
        let mishap = match rng.below(7) {
            0 => Mishap::AnswerLost,
            1 => Mishap::RequestLost,
            2 => Mishap::Unavailable,
            3 => Mishap::Tombstoned,
            4 => Mishap::Slow(rng.jitter(Duration::from_millis(1_500))),
            5 => {
                *world.metastore.receipts_unavailable.lock().unwrap() = rng.below(4) as u32;
                Mishap::AnswerLost
            }
            _ => {
                *world.store.refuses.lock().unwrap() = rng.chance(0.2);
                continue;
            }
        };
        world.mishaps(&[mishap]);
        world.put_times(&[rng.below(400), rng.below(100)]);
    }
}

async fn storm(seed: u64) -> u64 {
    let world = World::new().await;
    let rng = Rng::from_seed(seed);
    let settings = LogSettings {
        puts_per_second: 50.0,
        linger_busy_ms: 20,
        object_bytes_max: 1_000,
        append_bytes_max: 4_000,
        // Longer than any first batch is kept away: after that its successor is let in without it.
        sequence_gap_wait_ms: 600_000,
        ..LogSettings::default()
    };
    let agents = [world.agent(seed, settings.clone()).await, world.agent(seed + 1_000, settings).await];
    let producers = (0..6).map(|number| produce(&agents, world.partition((number % 2) as i32), number, rng.clone()));
    let told = tokio::select! {
        told = join_all(producers) => told,
        () = tokio::time::sleep(Duration::from_secs(3_600)) => panic!("seed {seed}: no progress"),
        () = misbehave(&world, rng.clone()) => unreachable!("it has no end"),
    };
    *world.store.refuses.lock().unwrap() = false;
    world.metastore.mishaps.lock().unwrap().clear();
    *world.metastore.receipts_unavailable.lock().unwrap() = 0;
    // Attempts whose callers gave up are still on their way.
    tokio::time::sleep(Duration::from_secs(60)).await;

    let mut held = 0;
    for partition in 0..2 {
        let mut expected: BTreeMap<i64, String> = BTreeMap::new();
        for (offset, value) in told.iter().skip(partition as usize).step_by(2).flatten() {
            let before = expected.insert(*offset, value.clone());
            assert_eq!(before, None, "two records were told to be at {offset}");
        }
        for agent in &agents {
            let mut found = Vec::new();
            loop {
                let next = agent.read(world.partition(partition), found.len() as i64).await;
                if next.is_empty() {
                    break;
                }
                found.extend(next);
            }
            let expected: Vec<_> = expected.clone().into_iter().collect();
            assert_eq!(found, expected, "seed {seed}: the log is what was told, and nothing else");
            held = found.len() as u64;
        }
    }
    for one in &told {
        let mut in_log = one.clone();
        in_log.sort();
        let numbers: Vec<i32> =
            in_log.iter().map(|(_, value)| value.split_once(':').expect("told").1.parse().expect("a number")).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: out of order: {numbers:?}");
        assert_eq!(numbers.len() as i32, BATCHES);
    }
    assert_eq!(agents[0].writer.pressure().bytes() + agents[1].writer.pressure().bytes(), 0);
    held
}

#[tokio::test(start_paused = true)]
async fn every_record_is_in_the_log_once_and_in_order_whatever_happens() {
    for seed in 0..20 {
        assert_eq!(storm(seed).await, 3 * BATCHES as u64);
    }
}
