use super::*;
use crate::base::clock::Timestamp;
use crate::coordinator::share::partition::acquire::AcquireWish;
use crate::coordinator::share::partition::kit::{Fixture, letters, node, offer};
use crate::coordinator::share::partition::start::move_log_start;
use crate::model::offset::Offset;

/// m1 holds 0–9 since 1,000 and 20–29 since 11,000; m2 holds 10–19 since 6,000.
fn fixture() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.take("m1", 10, 10);
    fixture.later(5).take("m2", 10, 20);
    fixture.later(5).take("m1", 10, 30);
    fixture
}

fn check(seconds: u64, timed_out: u64, sketch: &str) {
    let mut fixture = fixture();
    let lapsed = fixture.later(seconds).lapse();
    assert_eq!(lapsed, Lapsed { timed_out, released: 0, letters: Vec::new() }, "after {seconds} seconds");
    assert_eq!(lapsed.is_change(), timed_out > 0);
    assert_eq!(fixture.sketch(), sketch, "after {seconds} seconds");
}

#[test]
fn a_lock_ends_at_its_deadline_and_not_before() {
    check(19, 0, "0 | 0-9 a×1 m1 | 10-19 a×1 m2 | 20-29 a×1 m1");
    check(20, 10, "0 | 0-9 w×1 | 10-19 a×1 m2 | 20-29 a×1 m1");
    check(25, 20, "0 | 0-19 w×1 | 20-29 a×1 m1");
    check(30, 30, "0 | 0-29 w×1");
}

#[test]
fn the_next_change_is_the_earliest_one_to_come() {
    let fixture = fixture();
    for (now, expected) in [(11_000, Some(31_000)), (31_000, Some(36_000)), (36_000, Some(41_000)), (41_000, None)] {
        assert_eq!(fixture.state.next_change(Timestamp(now)), expected.map(Timestamp), "at {now}");
    }
}

#[test]
fn a_holder_that_is_over_loses_everything_at_once() {
    let mut fixture = fixture();
    let is_over = |holder: &Holder| holder.member_id.as_str() == "m1";
    let lapsed = lapse(&mut fixture.state, fixture.now, &is_over, &fixture.rules);
    assert_eq!(lapsed, Lapsed { timed_out: 0, released: 20, letters: Vec::new() });
    assert_eq!(fixture.sketch(), "0 | 0-9 w×1 | 10-19 a×1 m2 | 20-29 w×1");
    assert_eq!(fixture.state.holders().len(), 1);
}

#[test]
fn a_session_that_ends_gives_back_what_is_its_own() {
    let mut fixture = fixture();
    let elsewhere = AcquireWish { node: node(2), ..Fixture::wish("m1", 10) };
    fixture.acquire(&offer(30, 40, 10), &elsewhere);
    assert_eq!(fixture.release("m1"), Lapsed { timed_out: 0, released: 20, letters: Vec::new() });
    assert_eq!(fixture.sketch(), "0 | 0-9 w×1 | 10-19 a×1 m2 | 20-29 w×1 | 30-39 a×1 m1");
    assert_eq!(fixture.release("m1"), Lapsed::default());
    // Others' locks are not looked at, however late it is.
    fixture.later(100);
    assert_eq!(fixture.release("m2").released, 10);
    assert_eq!(fixture.sketch(), "0 | 0-29 w×1 | 30-39 a×1 m1");
}

#[test]
fn the_last_delivery_that_ends_without_an_answer_is_given_up() {
    let mut fixture = fixture();
    fixture.rules.delivery_count_limit = 1;
    assert_eq!(letters(&fixture.release("m2").letters), "10-19×1 limit");
    assert_eq!(fixture.sketch(), "0 | 0-9 a×1 m1 | 10-19 gone | 20-29 a×1 m1");
    let lapsed = fixture.later(30).lapse();
    assert_eq!((lapsed.timed_out, letters(&lapsed.letters).as_str()), (20, "0-9×1 limit 20-29×1 limit"));
    assert_eq!(fixture.sketch(), "30");
}

fn moved(log_start: i64, is_change: bool, sketch: &str) {
    let mut fixture = fixture();
    fixture.acknowledge("m2", "10-14 release, 15-19 accept").expect("they are its own");
    assert_eq!(move_log_start(&mut fixture.state, Offset(log_start)), is_change);
    fixture.state.check().expect("sound");
    assert_eq!(fixture.sketch(), sketch, "log start {log_start}");
}

#[test]
fn the_start_is_never_below_the_logs() {
    moved(0, false, "0 | 0-9 a×1 m1 | 10-14 w×1 | 15-19 done | 20-29 a×1 m1");
    moved(5, true, "5 | 5-9 a×1 m1 | 10-14 w×1 | 15-19 done | 20-29 a×1 m1");
    moved(12, true, "12 | 12-14 w×1 | 15-19 done | 20-29 a×1 m1");
    moved(15, true, "20 | 20-29 a×1 m1");
    moved(30, true, "30");
    moved(100, true, "100");
}

#[test]
fn acknowledgements_of_what_the_log_has_lost_are_ignored() {
    let mut fixture = fixture();
    move_log_start(&mut fixture.state, Offset(5));
    let done = fixture.acknowledge("m1", "0-4 accept, 5-6 accept").expect("ignored and its own");
    assert_eq!((done.accepted, fixture.sketch().as_str()), (2, "7 | 7-9 a×1 m1 | 10-19 a×1 m2 | 20-29 a×1 m1"));
    move_log_start(&mut fixture.state, Offset(100));
    assert!(!fixture.acknowledge("m1", "7-9 accept, 20-29 accept").expect("ignored").is_change());
}
