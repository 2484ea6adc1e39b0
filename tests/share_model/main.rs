//! Every interleaving of two members on two agents that share one partition, with stateright.
//!
//! ```text
//!   member ── asks ──► agent: decides on its copy ── put if version ──► the document
//!     ▲                  │ (the real functions)        │ refused: reads again
//!     └──── answer ──────┘                             │ unknown: reads and compares
//! ```
//!
//! Agents die with what they were about to do, answers are lost in either direction, locks end, copies grow old. The
//! model decides nothing itself: it calls `coordinator::share::partition`, whose documents are the state it explores.
//! What must hold is judged by what members were told. Mutants show that the judges are awake.

mod decide;
mod model;
mod world;

use stateright::{Checker, HasDiscoveries, Model};

use crate::decide::Mutant;
use crate::model::{ALL_CAN_END, COUNTED, FINISHED_STAYS, LIMITED, NOTHING_SKIPPED, ONE_HOLDER, OWN_ONLY, ShareModel};

fn holds(deaths: u8, losses: u8) {
    let checker = ShareModel::new(None, deaths, losses).checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    assert!(states > 10_000, "{states} states are too few to mean anything");
}

#[test]
fn what_is_promised_holds_while_an_agent_dies() {
    holds(1, 0);
}

#[test]
fn what_is_promised_holds_while_an_answer_is_lost() {
    holds(0, 1);
}

/// A mutant must break a promise, and that one.
fn caught(mutant: Mutant, promise: &'static str) {
    let model = ShareModel::new(Some(mutant), 1, 1);
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyOf([promise].into())).spawn_bfs().join();
    assert!(checker.discovery(promise).is_some(), "{mutant:?} does not break the promise that {promise}");
}

#[test]
fn writing_over_another_agents_write_is_caught() {
    caught(Mutant::IgnoreVersion, ONE_HOLDER);
}

#[test]
fn answering_before_it_is_stored_is_caught() {
    caught(Mutant::AnswerFirst, ONE_HOLDER);
}

#[test]
fn taking_an_unknown_outcome_for_done_is_caught() {
    caught(Mutant::UnknownIsDone, ONE_HOLDER);
}

#[test]
fn a_lock_that_never_ends_is_caught() {
    caught(Mutant::ForgetExpiry, ALL_CAN_END);
}

#[test]
fn delivering_what_is_finished_is_caught() {
    caught(Mutant::DeliverFinished, FINISHED_STAYS);
}

#[test]
fn a_delivery_that_does_not_count_is_caught() {
    caught(Mutant::DoNotCount, COUNTED);
}

#[test]
fn delivering_without_limit_is_caught() {
    caught(Mutant::NoLimit, LIMITED);
}

#[test]
fn acknowledging_what_another_member_holds_is_caught() {
    caught(Mutant::AcknowledgeOthers, OWN_ONLY);
}

#[test]
fn a_start_beyond_what_is_unfinished_is_caught() {
    caught(Mutant::SkipFirst, NOTHING_SKIPPED);
}
