//! What goes wrong, when, drawn from the seed: crashes, cuts, storms, skewed clocks, a sick bucket.

use std::sync::Arc;
use std::time::Duration;

use towpath::base::rng::Rng;

use crate::link::Weather;
use crate::toxic_store::Climate;
use crate::world::World;

/// Does something bad about every second, until the world says to stop; then heals everything.
pub(crate) async fn nemesis(world: Arc<World>, rng: Rng) {
    while !world.stopping() {
        tokio::time::sleep(Duration::from_millis(200) + rng.jitter(Duration::from_millis(1500))).await;
        let victim = world.any_agent(&rng);
        match rng.below(9) {
            0 | 1 => world.crash(victim),
            2 => world.set_weather(victim, Weather { cut: true, ..Weather::default() }),
            3 => world.set_weather(victim, storm(&rng)),
            4 => world.set_climate(victim, sickness(&rng)),
            5 => world.skew(victim, i64::try_from(rng.below(7_200_000)).expect("small") - 3_600_000),
            6 => {
                world.set_weather(victim, storm(&rng));
                world.set_climate(victim, sickness(&rng));
            }
            // A quiet while: also without faults a cluster must work.
            _ => heal(&world, victim),
        }
        // Whoever runs the agents starts the dead ones again.
        for index in 0..world.agents() {
            if !world.runs(index) && rng.chance(0.6) {
                let (world, pause) = (Arc::clone(&world), rng.jitter(Duration::from_millis(800)));
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    world.start(index).await;
                });
            }
        }
    }
}

/// Ends all faults and sees to it that every agent runs.
pub(crate) async fn heal_all(world: &Arc<World>) {
    for index in 0..world.agents() {
        heal(world, index);
    }
    for index in 0..world.agents() {
        world.revive(index).await;
    }
}

fn heal(world: &World, index: usize) {
    world.set_weather(index, Weather::default());
    world.set_climate(index, Climate::default());
    world.skew(index, 0);
}

fn storm(rng: &Rng) -> Weather {
    let part = |most: f64| rng.unit() * most;
    Weather {
        unavailable: part(0.3),
        lost_before: part(0.15),
        lost_after: part(0.25),
        late: part(0.15),
        delay: rng.jitter(Duration::from_millis(80)),
        cut: false,
    }
}

fn sickness(rng: &Rng) -> Climate {
    let part = |most: f64| rng.unit() * most;
    Climate {
        latency: Duration::ZERO..rng.jitter(Duration::from_millis(150)) + Duration::from_millis(1),
        error_before: part(0.3),
        error_after: part(0.25),
        stall: part(0.02),
        truncate: part(0.1),
        flip_bit: part(0.05),
    }
}
