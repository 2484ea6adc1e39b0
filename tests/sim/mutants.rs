//! Bugs planted in the running system: the simulation as a whole must see each of them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::checker::check;
use crate::runs::{Plan, run};
use crate::trace;
use crate::world::Mutant;

fn plan(mutant: Option<Mutant>) -> Plan {
    Plan {
        agents: 3,
        partitions: 2,
        producers: 3,
        consumers: 2,
        groups: 1,
        members: 2,
        // Without sequences only the key makes a repeated commit recognisable.
        idempotent: mutant != Some(Mutant::ForgetReceipts),
        faults: true,
        span: Duration::from_secs(12),
        mutant,
    }
}

#[test]
fn every_mutant_is_caught_within_a_few_seeds() {
    let _process = trace::among_others();
    for mutant in Mutant::ALL {
        let caught = (0..12).any(|seed| {
            // A mutant may also be caught by an assertion of the clients or by a run that never ends.
            let outcome = std::panic::catch_unwind(|| check(&run(seed, plan(Some(mutant))).history));
            outcome.map_or(true, |found| found != BTreeSet::new())
        });
        assert!(caught, "{mutant:?} went unnoticed");
    }
}

#[test]
fn the_same_plan_without_a_mutant_is_clean() {
    let _process = trace::among_others();
    for seed in 0..12 {
        assert_eq!(check(&run(seed, plan(None)).history), BTreeSet::new(), "seed {seed}");
    }
}
