use super::*;
use crate::coordinator::share::partition::kit::{Fixture, letters};

/// m1 holds 0–19, m2 holds 20–29.
fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.take("m1", 20, 20), "0-19×1");
    assert_eq!(fixture.take("m2", 10, 30), "20-29×1");
    fixture
}

fn check(member: &str, acknowledgements: &str, sketch: &str) {
    let mut fixture = fixture();
    fixture.acknowledge(member, acknowledgements).unwrap_or_else(|refusal| panic!("{acknowledgements}: {refusal}"));
    assert_eq!(fixture.sketch(), sketch, "after {member}: {acknowledgements}");
}

#[test]
fn each_type_has_its_effect() {
    check("m1", "0-19 accept", "20 | 20-29 a×1 m2");
    check("m1", "0-19 reject", "20 | 20-29 a×1 m2");
    check("m1", "0-19 gap", "20 | 20-29 a×1 m2");
    check("m1", "0-19 release", "0 | 0-19 w×1 | 20-29 a×1 m2");
    check("m1", "5-9 accept", "0 | 0-4 a×1 m1 | 5-9 done | 10-19 a×1 m1 | 20-29 a×1 m2");
    check("m1", "5-9 reject, 10-14 gap", "0 | 0-4 a×1 m1 | 5-14 gone | 15-19 a×1 m1 | 20-29 a×1 m2");
    check("m2", "20-29 accept", "0 | 0-19 a×1 m1 | 20-29 done");
}

#[test]
fn one_type_per_offset_is_one_per_offset() {
    let sketch = "3 | 3-3 w×1 | 4-4 done | 5-19 a×1 m1 | 20-29 a×1 m2";
    check("m1", "0-4 accept reject gap release accept", sketch);
    check("m1", "0-0 accept, 1-1 reject, 2-3 gap release, 4-4 accept", sketch);
}

#[test]
fn the_start_goes_past_what_is_finished_and_the_end_stays() {
    let mut fixture = fixture();
    fixture.acknowledge("m1", "10-19 accept").expect("they are its own");
    fixture.acknowledge("m2", "20-29 reject").expect("they are its own");
    assert_eq!(fixture.sketch(), "0 | 0-9 a×1 m1 | 10-19 done | 20-29 gone");
    assert_eq!(fixture.state.delivery_complete_count(), 20);
    fixture.acknowledge("m1", "0-9 accept").expect("they are its own");
    assert_eq!((fixture.sketch().as_str(), fixture.state.end_offset()), ("30", Offset(30)));
    assert!(fixture.state.holders().is_empty());
}

#[test]
fn counts_and_letters_tell_what_happened() {
    let mut fixture = fixture();
    let text = "0-4 accept, 5-6 reject, 7-7 gap, 8-9 release, 10-12 renew";
    let done = fixture.acknowledge("m1", text).expect("they are its own");
    let counts = (done.accepted, done.rejected, done.gaps, done.released, done.renewed);
    assert_eq!(counts, (5, 2, 1, 2, 3));
    assert!(done.is_change());
    assert_eq!(letters(&done.letters), "5-6×1 rejected");
}

#[test]
fn the_last_delivery_that_is_given_back_is_given_up() {
    let mut fixture = fixture();
    fixture.rules.delivery_count_limit = 2;
    fixture.acknowledge("m1", "0-19 release").expect("they are its own");
    assert_eq!(fixture.take("m1", 10, 30), "0-9×2");
    let done = fixture.acknowledge("m1", "0-3 release, 4-4 accept, 5-9 release").expect("they are its own");
    assert_eq!((done.released, letters(&done.letters).as_str()), (9, "0-3×2 limit 5-9×2 limit"));
    assert_eq!(fixture.sketch(), "10 | 10-19 w×1 | 20-29 a×1 m2");
}

fn refused(member: &str, acknowledgements: &str, refusal: AcknowledgeRefusal, is_invalid_request: bool) {
    let outcome = fixture().acknowledge(member, acknowledgements);
    assert_eq!(outcome, Err(refusal), "{member}: {acknowledgements}");
    assert_eq!(refusal.is_invalid_request(), is_invalid_request, "{refusal}");
}

#[test]
fn refusals_are_kafkas() {
    refused("m1", "20-29 accept", AcknowledgeRefusal::OtherMember, false);
    refused("m3", "0-9 accept", AcknowledgeRefusal::OtherMember, false);
    refused("m1", "0-9 accept, 15-20 accept", AcknowledgeRefusal::OtherMember, false);
    refused("m2", "20-30 accept", AcknowledgeRefusal::LastPastAcquired, true);
    refused("m2", "30-31 accept", AcknowledgeRefusal::FirstPastAcquired, true);
    refused("m1", "0-9 accept accept", AcknowledgeRefusal::Malformed(Offset(0)), true);
    refused("m1", "9-0 accept", AcknowledgeRefusal::Malformed(Offset(9)), true);
    refused("m1", "0-9", AcknowledgeRefusal::Malformed(Offset(0)), true);
    refused("m1", "0-9 accept, 9-10 accept", AcknowledgeRefusal::NamedTwice, false);
    refused("m1", "0-9 renew, 0-9 accept", AcknowledgeRefusal::NamedTwice, false);
    // The first refusal in the order of the request is the answer.
    refused("m1", "20-20 accept, 40-40 accept", AcknowledgeRefusal::OtherMember, false);
    let mut nothing = Fixture::new();
    assert_eq!(nothing.acknowledge("m1", "0-0 accept"), Err(AcknowledgeRefusal::NotTracked));
}

#[test]
fn what_is_finished_or_given_back_can_not_be_acknowledged_again() {
    for first in ["5-9 accept", "5-9 reject", "5-9 gap", "5-9 release"] {
        let mut fixture = fixture();
        fixture.acknowledge("m1", first).expect("they are its own");
        for second in ["5-5 accept", "9-9 release", "0-19 reject", "7-7 renew", "4-5 gap gap"] {
            let outcome = fixture.acknowledge("m1", second);
            assert_eq!(outcome, Err(AcknowledgeRefusal::NotAcquired), "{first}, then {second}");
        }
    }
}

#[test]
fn what_lies_below_the_start_is_ignored() {
    let mut fixture = fixture();
    fixture.acknowledge("m1", "0-9 accept").expect("they are its own");
    for again in ["0-9 accept", "0-0 reject, 5-9 release", "3-3 renew"] {
        let done = fixture.acknowledge("m1", again).expect("ignored");
        assert!(!done.is_change(), "{again}");
    }
    // Whoever says so: it makes no difference any more.
    fixture.acknowledge("m9", "0-9 accept").expect("ignored");
    // A range that begins below: only its upper part counts, and types keep their offsets.
    let types = ["gap"; 10].join(" ");
    fixture.acknowledge("m1", &format!("0-12 {types} accept release reject")).expect("they are its own");
    assert_eq!(fixture.sketch(), "11 | 11-11 w×1 | 12-12 gone | 13-19 a×1 m1 | 20-29 a×1 m2");
}

#[test]
fn a_lock_that_has_ended_does_not_count_even_if_nobody_looked() {
    let mut fixture = fixture();
    fixture.later(29).acknowledge("m1", "0-0 accept").expect("it is still held");
    let late = fixture.later(1).acknowledge("m1", "1-1 accept");
    assert_eq!(late, Err(AcknowledgeRefusal::NotAcquired));
    assert_eq!(fixture.acknowledge("m1", "1-1 renew"), Err(AcknowledgeRefusal::NotAcquired));
}

#[test]
fn a_renewed_lock_begins_anew_and_counts_nothing() {
    let mut fixture = fixture();
    fixture.later(29).acknowledge("m1", "5-9 renew").expect("they are its own");
    fixture.later(1);
    assert_eq!(fixture.lapse().timed_out, 25);
    assert_eq!(fixture.sketch(), "0 | 0-4 w×1 | 5-9 a×1 m1 | 10-29 w×1");
    assert_eq!(fixture.state.next_change(fixture.now), Some(Timestamp(60_000)));
    fixture.later(28).acknowledge("m1", "5-9 accept").expect("they are its own");
}

#[test]
fn renewing_can_be_forbidden() {
    let mut fixture = fixture();
    fixture.rules.renew_allowed = false;
    let outcome = fixture.acknowledge("m1", "0-4 accept, 5-6 accept renew");
    assert_eq!(outcome, Err(AcknowledgeRefusal::RenewNotAllowed));
}

#[test]
fn a_member_acknowledges_through_whichever_agent() {
    let mut fixture = fixture();
    let elsewhere = crate::coordinator::share::partition::acquire::AcquireWish {
        node: crate::coordinator::share::partition::kit::node(2),
        ..Fixture::wish("m1", 10)
    };
    fixture.acquire(&crate::coordinator::share::partition::kit::offer(30, 40, 10), &elsewhere);
    fixture.acknowledge("m1", "0-19 accept, 30-39 accept").expect("they are its own");
    assert_eq!(fixture.sketch(), "20 | 20-29 a×1 m2 | 30-39 done");
}
