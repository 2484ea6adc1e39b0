use std::time::Duration;

use super::*;
use crate::coordinator::share::partition::kit::{Fixture, offer, offer_of};
use crate::coordinator::share::partition::rules::RedeliveryBackoff;

fn record_limit(member: &str, records_max: u32) -> AcquireWish {
    AcquireWish { mode: AcquireMode::RecordLimit, ..Fixture::wish(member, records_max) }
}

/// What several acquisitions of one log give, one after the other.
fn check(offer: &Offer, wishes: &[(&AcquireWish, &str)], sketch: &str) {
    let mut fixture = Fixture::new();
    for (wish, expected) in wishes {
        assert_eq!(fixture.acquire(offer, wish), *expected, "{wish:?} of {offer:?}");
    }
    assert_eq!(fixture.sketch(), sketch);
}

#[test]
fn whole_batches_come_until_there_are_enough() {
    let (m1, m2) = (Fixture::wish("m1", 15), Fixture::wish("m2", 100));
    check(&offer(0, 40, 10), &[(&m1, "0-19×1"), (&m2, "20-39×1"), (&m1, "")], "0 | 0-19 a×1 m1 | 20-39 a×1 m2");
    let five = Fixture::wish("m1", 5);
    check(&offer(0, 40, 10), &[(&five, "0-9×1"), (&five, "10-19×1")], "0 | 0-19 a×1 m1");
}

#[test]
fn a_limit_of_records_is_kept_to_the_record() {
    let (m1, m2) = (record_limit("m1", 5), record_limit("m2", 12));
    let sketch = "0 | 0-4 a×1 m1 | 5-16 a×1 m2 | 17-21 a×1 m1";
    check(&offer(0, 40, 10), &[(&m1, "0-4×1"), (&m2, "5-16×1"), (&m1, "17-21×1")], sketch);
}

#[test]
fn nothing_is_acquired_by_who_wants_nothing_or_is_offered_nothing() {
    check(&offer(0, 40, 10), &[(&Fixture::wish("m1", 0), "")], "0");
    check(&offer_of(0, &[]), &[(&Fixture::wish("m1", 10), "")], "0");
}

#[test]
fn ranges_end_at_edges_of_batches_once_they_are_large_enough() {
    let wish = |batch_size, mode| AcquireWish { batch_size, mode, ..Fixture::wish("m1", 40) };
    let sketch = "0 | 0-39 a×1 m1";
    for (batch_size, expected) in [
        (0, "0-9×1 10-19×1 20-29×1 30-39×1"),
        (10, "0-9×1 10-19×1 20-29×1 30-39×1"),
        (11, "0-19×1 20-39×1"),
        (25, "0-29×1 30-39×1"),
        (40, "0-39×1"),
    ] {
        check(&offer(0, 40, 10), &[(&wish(batch_size, AcquireMode::BatchOptimized), expected)], sketch);
    }
    check(&offer(0, 40, 10), &[(&wish(10, AcquireMode::RecordLimit), "0-39×1")], sketch);
    check(&offer_of(0, &[(0, 39)]), &[(&wish(10, AcquireMode::BatchOptimized), "0-39×1")], sketch);
}

#[test]
fn what_was_given_back_comes_first_and_apart() {
    let mut fixture = Fixture::new();
    fixture.take("m1", 20, 20);
    fixture.acknowledge("m1", "0-4 release, 15-19 release").expect("they are its own");
    assert_eq!(fixture.take("m2", 100, 40), "0-4×2 15-19×2 20-39×1");
    assert_eq!(fixture.sketch(), "0 | 0-4 a×2 m2 | 5-14 a×1 m1 | 15-19 a×2 m2 | 20-39 a×1 m2");
}

#[test]
fn redelivery_counts_against_the_limit_of_records() {
    let mut fixture = Fixture::new();
    fixture.take("m1", 20, 20);
    fixture.acknowledge("m1", "3-6 release, 12-18 release").expect("they are its own");
    assert_eq!(fixture.acquire(&offer(3, 40, 10), &record_limit("m2", 6)), "3-6×2 12-13×2");
    assert_eq!(fixture.acquire(&offer(10, 40, 10), &Fixture::wish("m3", 1)), "14-18×2");
}

#[test]
fn the_window_ends_where_the_locks_do() {
    let mut fixture = Fixture::new();
    fixture.rules.record_locks_max = 25;
    assert_eq!(fixture.acquire(&offer(0, 100, 10), &record_limit("m1", 100)), "0-24×1");
    assert_eq!(fixture.state.next_fetch_offset(fixture.now, &fixture.rules), None);
    assert_eq!(fixture.acquire(&offer(20, 100, 10), &record_limit("m2", 100)), "");
    assert_eq!(fixture.acquire(&offer(20, 100, 10), &Fixture::wish("m2", 100)), "");
    // What is in the middle of the window does not make room, what is at its start does.
    fixture.acknowledge("m1", "5-9 accept").expect("they are its own");
    assert_eq!(fixture.state.next_fetch_offset(fixture.now, &fixture.rules), None);
    fixture.acknowledge("m1", "0-4 accept").expect("they are its own");
    assert_eq!(fixture.state.next_fetch_offset(fixture.now, &fixture.rules), Some(Offset(25)));
    assert_eq!(fixture.acquire(&offer(25, 100, 10), &record_limit("m2", 100)), "25-34×1");
    // What was given back can be had while the window is full.
    fixture.acknowledge("m1", "12-13 release").expect("they are its own");
    assert_eq!(fixture.acquire(&offer(12, 100, 10), &record_limit("m2", 100)), "12-13×2");
}

#[test]
fn whole_batches_may_reach_beyond_the_window() {
    let mut fixture = Fixture::new();
    fixture.rules.record_locks_max = 25;
    assert_eq!(fixture.acquire(&offer(0, 100, 10), &Fixture::wish("m1", 100)), "0-29×1");
    assert_eq!(fixture.state.window(), 30);
    assert_eq!(fixture.acquire(&offer(30, 100, 10), &Fixture::wish("m1", 100)), "");
}

#[test]
fn who_waits_where_no_record_is_waits_no_more() {
    let mut fixture = Fixture::new();
    fixture.take("m1", 30, 30);
    fixture.acknowledge("m1", "2-27 release").expect("they are its own");
    // The log has been cleaned: 0–9 and 15–19 are gone.
    let cleaned = offer_of(2, &[(10, 14), (20, 29)]);
    assert_eq!(fixture.acquire(&cleaned, &Fixture::wish("m2", 1)), "10-14×2");
    let sketch = "0 | 0-1 a×1 m1 | 2-9 gone | 10-14 a×2 m2 | 15-19 gone | 20-27 w×2 | 28-29 a×1 m1";
    assert_eq!(fixture.sketch(), sketch.replace("w×2", "w×1"));
}

#[test]
fn holes_in_what_is_new_are_passed_over() {
    let cleaned = offer_of(0, &[(3, 4), (8, 9)]);
    check(&cleaned, &[(&Fixture::wish("m1", 10), "3-4×1 8-9×1")], "3 | 3-4 a×1 m1 | 5-7 gone | 8-9 a×1 m1");
    check(&cleaned, &[(&record_limit("m1", 3), "3-4×1 8-8×1")], "3 | 3-4 a×1 m1 | 5-7 gone | 8-8 a×1 m1");
    // A hole at the end of the window that nothing comes after is none of its business yet.
    check(&cleaned, &[(&record_limit("m1", 2), "3-4×1")], "3 | 3-4 a×1 m1");
}

#[test]
fn a_hole_never_takes_the_window_beyond_its_limit() {
    let mut fixture = Fixture::new();
    fixture.rules.record_locks_max = 10;
    let cleaned = offer_of(0, &[(0, 4), (50, 59)]);
    assert_eq!(fixture.acquire(&cleaned, &Fixture::wish("m1", 100)), "0-4×1");
    assert_eq!(fixture.sketch(), "0 | 0-4 a×1 m1");
    fixture.acknowledge("m1", "0-4 accept").expect("they are its own");
    assert_eq!(fixture.acquire(&offer_of(5, &[(50, 59)]), &Fixture::wish("m1", 100)), "50-59×1");
    assert_eq!(fixture.sketch(), "50 | 50-59 a×1 m1");
}

#[test]
fn what_was_aborted_is_cut_out() {
    let aborted = |ranges: &[(i64, i64)]| Offer {
        withheld: ranges.iter().map(|(first, last)| (Offset(*first), Offset(*last))).collect(),
        ..offer(0, 30, 10)
    };
    let wish = Fixture::wish("m1", 30);
    let sketch = "0 | 0-9 a×1 m1 | 10-19 gone | 20-29 a×1 m1";
    check(&aborted(&[(10, 19)]), &[(&wish, "0-9×1 20-29×1")], sketch);
    check(&aborted(&[(15, 19), (10, 16)]), &[(&wish, "0-9×1 20-29×1")], sketch);
    check(
        &aborted(&[(0, 4), (12, 12), (29, 40)]),
        &[(&wish, "5-11×1 13-28×1")],
        "5 | 5-11 a×1 m1 | 12-12 gone | 13-28 a×1 m1 | 29-29 gone",
    );
    check(&aborted(&[(0, 29)]), &[(&wish, "")], "30");
    // They do not count as records.
    check(&aborted(&[(0, 9)]), &[(&record_limit("m1", 5), "10-14×1")], "10 | 10-14 a×1 m1");
}

/// A read at `from` that gives batches of these first and last offsets, some of which are withheld.
fn withholding(from: i64, edges: &[(i64, i64)], withheld: &[(i64, i64)]) -> Offer {
    let withheld = withheld.iter().map(|(first, last)| (Offset(*first), Offset(*last))).collect();
    Offer { withheld, ..offer_of(from, edges) }
}

#[test]
fn a_window_of_nothing_but_markers_moves_the_start() {
    let markers = [(0, 0), (1, 1), (2, 2)];
    let only = withholding(0, &markers, &markers);
    check(&only, &[(&Fixture::wish("m1", 10), "")], "3");
    check(&only, &[(&record_limit("m1", 1), "")], "3");
    // Read again by who did not know yet that they are dealt with.
    check(&only, &[(&Fixture::wish("m1", 10), ""), (&Fixture::wish("m2", 10), "")], "3");
    // They take no locks, so no limit of locks keeps the start before them.
    let mut fixture = Fixture::new();
    fixture.rules.record_locks_max = 1;
    assert_eq!(fixture.acquire(&only, &record_limit("m1", 10)), "");
    assert_eq!(fixture.sketch(), "3");
}

#[test]
fn a_limit_of_records_does_not_count_markers() {
    let log = withholding(0, &[(0, 4), (5, 5), (6, 9), (10, 10), (11, 12)], &[(5, 5), (10, 10)]);
    let (four, six, nine) = (record_limit("m1", 4), record_limit("m1", 6), record_limit("m1", 9));
    check(&log, &[(&four, "0-3×1"), (&four, "4-4×1 6-8×1")], "0 | 0-4 a×1 m1 | 5-5 gone | 6-8 a×1 m1");
    check(&log, &[(&six, "0-4×1 6-6×1")], "0 | 0-4 a×1 m1 | 5-5 gone | 6-6 a×1 m1");
    let whole = "0 | 0-4 a×1 m1 | 5-5 gone | 6-9 a×1 m1 | 10-10 gone | 11-12 a×1 m1";
    check(&log, &[(&nine, "0-4×1 6-9×1"), (&nine, "11-12×1")], whole);
    // Whole batches: as many as the limit, and on to the end of the batch.
    check(&log, &[(&Fixture::wish("m1", 6), "0-4×1 6-9×1"), (&Fixture::wish("m1", 6), "11-12×1")], whole);
    // A range never reaches across a marker, however large a client wants its ranges.
    check(&log, &[(&Fixture::wish("m1", 100), "0-4×1 6-9×1 11-12×1")], whole);
}

#[test]
fn what_is_withheld_in_the_middle_of_a_batch_splits_it() {
    let log = withholding(0, &[(0, 9), (10, 10), (11, 14)], &[(3, 6), (10, 10)]);
    let sketch = "0 | 0-2 a×1 m1 | 3-6 gone | 7-9 a×1 m1 | 10-10 gone | 11-14 a×1 m1";
    check(&log, &[(&Fixture::wish("m1", 100), "0-2×1 7-9×1 11-14×1")], sketch);
    check(&log, &[(&record_limit("m1", 5), "0-2×1 7-8×1"), (&record_limit("m1", 5), "9-9×1 11-14×1")], sketch);
}

#[test]
fn the_start_moves_past_markers_at_the_end() {
    let log = withholding(0, &[(0, 4), (5, 5), (6, 6)], &[(5, 5), (6, 6)]);
    // Taken together with what lies before them …
    let mut fixture = Fixture::new();
    assert_eq!(fixture.acquire(&log, &record_limit("m1", 10)), "0-4×1");
    assert_eq!(fixture.sketch(), "0 | 0-4 a×1 m1 | 5-6 gone");
    fixture.acknowledge("m1", "0-4 accept").expect("they are its own");
    assert_eq!(fixture.sketch(), "7");
    // … or found later, when nothing else is left.
    let mut fixture = Fixture::new();
    assert_eq!(fixture.acquire(&log, &record_limit("m1", 5)), "0-4×1");
    fixture.acknowledge("m1", "0-4 accept").expect("they are its own");
    assert_eq!(fixture.sketch(), "5");
    let rest = withholding(5, &[(5, 5), (6, 6)], &[(5, 5), (6, 6)]);
    assert_eq!(fixture.acquire(&rest, &Fixture::wish("m1", 1)), "");
    assert_eq!(fixture.sketch(), "7");
}

#[test]
fn a_full_window_goes_on_behind_a_marker_once_there_is_room() {
    let mut fixture = Fixture::new();
    fixture.rules.record_locks_max = 5;
    let log = withholding(0, &[(0, 4), (5, 5), (6, 9)], &[(5, 5)]);
    assert_eq!(fixture.acquire(&log, &record_limit("m1", 10)), "0-4×1");
    assert_eq!(fixture.sketch(), "0 | 0-4 a×1 m1");
    fixture.acknowledge("m1", "0-0 accept").expect("it is its own");
    // One place is free, and the marker is in it.
    assert_eq!(fixture.acquire(&log, &record_limit("m1", 10)), "");
    assert_eq!(fixture.sketch(), "1 | 1-4 a×1 m1 | 5-5 gone");
    fixture.acknowledge("m1", "1-4 accept").expect("they are its own");
    assert_eq!(fixture.acquire(&log, &record_limit("m1", 10)), "6-9×1");
}

#[test]
fn what_is_withheld_never_becomes_a_letter() {
    let mut fixture = Fixture::new();
    fixture.rules.delivery_count_limit = 2;
    let log = withholding(0, &[(0, 2), (3, 3), (4, 9), (10, 10)], &[(3, 3), (6, 7), (10, 10)]);
    assert_eq!(fixture.acquire(&log, &Fixture::wish("m1", 100)), "0-2×1 4-5×1 8-9×1");
    fixture.release("m1");
    assert_eq!(fixture.acquire(&log, &Fixture::wish("m1", 100)), "0-2×2 4-5×2 8-9×2");
    let letters = fixture.release("m1").letters;
    assert_eq!(crate::coordinator::share::partition::kit::letters(&letters), "0-2×2 limit 4-5×2 limit 8-9×2 limit");
    assert_eq!(fixture.sketch(), "11");
}

#[test]
fn what_turns_out_to_be_aborted_is_not_delivered_again() {
    let mut fixture = Fixture::new();
    fixture.take("m1", 20, 20);
    fixture.acknowledge("m1", "0-14 release").expect("they are its own");
    let offer = Offer { withheld: vec![(Offset(10), Offset(19))], ..offer(0, 20, 10) };
    assert_eq!(fixture.acquire(&offer, &Fixture::wish("m2", 100)), "0-9×2");
    assert_eq!(fixture.sketch(), "0 | 0-9 a×2 m2 | 10-14 gone | 15-19 a×1 m1");
}

#[test]
fn a_read_of_an_earlier_state_skips_nothing() {
    let mut fixture = Fixture::new();
    // Read where the window does not end yet.
    assert_eq!(fixture.acquire(&offer(10, 30, 10), &Fixture::wish("m1", 100)), "");
    assert_eq!(fixture.sketch(), "0");
    // Read before the window moved on.
    fixture.take("m1", 15, 20);
    fixture.acknowledge("m1", "0-9 accept").expect("they are its own");
    assert_eq!(fixture.acquire(&offer(0, 30, 10), &Fixture::wish("m2", 100)), "20-29×1");
    assert_eq!(fixture.sketch(), "10 | 10-19 a×1 m1 | 20-29 a×1 m2");
}

#[test]
fn what_rests_is_left_alone_until_its_rest_is_over() {
    let mut fixture = Fixture::new();
    let second = Duration::from_secs(1);
    fixture.rules.backoff = RedeliveryBackoff { first: second, factor_thousandths: 2_000, longest: 60 * second };
    fixture.take("m1", 10, 10);
    fixture.acknowledge("m1", "0-4 release").expect("they are its own");
    assert_eq!(fixture.sketch(), "0 | 0-4 w×1@2000 | 5-9 a×1 m1");
    assert_eq!(fixture.state.next_change(fixture.now), Some(Timestamp(2_000)));
    assert_eq!(fixture.state.next_fetch_offset(fixture.now, &fixture.rules), Some(Offset(10)));
    assert_eq!(fixture.acquire(&offer(0, 20, 10), &Fixture::wish("m2", 5)), "10-19×1");
    fixture.later(1);
    assert_eq!(fixture.state.next_fetch_offset(fixture.now, &fixture.rules), Some(Offset(0)));
    assert_eq!(fixture.acquire(&offer(0, 20, 10), &Fixture::wish("m2", 5)), "0-4×2");
    fixture.acknowledge("m2", "0-4 release").expect("they are its own");
    assert_eq!(fixture.sketch(), "0 | 0-4 w×2@4000 | 5-9 a×1 m1 | 10-19 a×1 m2");
}

#[test]
fn each_session_is_a_holder_of_its_own() {
    let mut fixture = Fixture::new();
    fixture.acquire(&offer(0, 10, 10), &Fixture::wish("m1", 10));
    let elsewhere = AcquireWish { node: crate::coordinator::share::partition::kit::node(2), ..Fixture::wish("m1", 10) };
    fixture.later(1).acquire(&offer(10, 20, 10), &elsewhere);
    fixture.later(1).acquire(&offer(20, 30, 10), &Fixture::wish("m1", 10));
    let moments: Vec<_> = fixture.state.holders().iter().map(|holder| holder.acquired_at).collect();
    assert_eq!(moments, [Timestamp(3_000), Timestamp(2_000)]);
}

/// Acquires and releases over and over, a whole log of one batch; how many come each time.
fn throttled(limit: u16, size: i64, expected: &[i64]) {
    let mut fixture = Fixture::new();
    fixture.rules.delivery_count_limit = limit;
    for (round, expected) in expected.iter().enumerate() {
        let from = fixture.state.next_fetch_offset(fixture.now, &fixture.rules).expect("something is available");
        let ranges = fixture.acquire(&offer(from.0, size, size), &Fixture::wish("m1", 1_000));
        let counts = |range: &str| {
            let (first, last) = range.split('×').next().and_then(|edges| edges.split_once('-')).expect("a range");
            last.parse::<i64>().expect("a number") - first.parse::<i64>().expect("a number") + 1
        };
        let count: i64 = ranges.split_whitespace().map(counts).sum();
        assert_eq!(count, *expected, "limit {limit}, delivery {}: {ranges}", round + 1);
        fixture.release("m1");
    }
}

#[test]
fn what_breaks_its_readers_comes_in_ever_smaller_pieces() {
    throttled(5, 100, &[100, 100, 100, 50, 1, 1, 1]);
    throttled(10, 512, &[512, 512, 512, 512, 512, 256, 128, 64, 32, 1, 1]);
    throttled(2, 100, &[100, 100]);
    throttled(3, 100, &[100, 100, 1, 1]);
}

#[test]
fn one_bad_record_costs_the_others_no_delivery_too_many() {
    let mut fixture = Fixture::new();
    let mut deliveries = vec![0; 100];
    let mut archived = Vec::new();
    for _ in 0..400 {
        let Some(from) = fixture.state.next_fetch_offset(fixture.now, &fixture.rules) else { break };
        if from.0 >= 100 {
            break;
        }
        let batch = offer(from.0, 100, 100);
        let ranges = acquire(&mut fixture.state, &batch, &Fixture::wish("m1", 500), fixture.now, &fixture.rules);
        let offsets: Vec<i64> = ranges.iter().flat_map(|range| range.first.0..=range.last.0).collect();
        offsets.iter().for_each(|offset| deliveries[*offset as usize] += 1);
        // The reader dies of record 70 and gives everything back; without it, all is well.
        if offsets.contains(&70) {
            archived.extend(fixture.release("m1").letters);
        } else {
            for range in &ranges {
                let text = format!("{}-{} accept", range.first, range.last);
                fixture.acknowledge("m1", &text).expect("they are its own");
            }
        }
    }
    let given_up: Vec<_> = archived.iter().map(|letter| (letter.first.0, letter.last.0)).collect();
    assert_eq!(given_up, [(70, 70)], "only the bad one is given up");
    assert_eq!(deliveries[70], 5);
    assert!(deliveries.iter().all(|count| (1..=5).contains(count)), "{deliveries:?}");
    assert_eq!(fixture.sketch(), "100");
}

#[test]
fn suspects_do_not_come_with_others() {
    let mut fixture = Fixture::new();
    fixture.rules.delivery_count_limit = 5;
    for _ in 0..3 {
        fixture.take("m1", 20, 20);
        fixture.release("m1");
    }
    // Two batches, delivered three times: half of the first.
    assert_eq!(fixture.take("m1", 100, 40), "0-4×4");
    assert_eq!(fixture.take("m1", 100, 40), "5-9×4");
    fixture.acknowledge("m1", "0-9 accept").expect("they are its own");
    assert_eq!(fixture.take("m1", 2, 40), "10-14×4");
    // New ones end before a suspect.
    fixture.acknowledge("m1", "10-14 release").expect("they are its own");
    assert_eq!(fixture.take("m2", 100, 40), "10-10×5");
    assert_eq!(fixture.take("m2", 100, 40), "11-11×5");
}

#[test]
fn a_lowered_limit_leaves_one_more_delivery() {
    let mut fixture = Fixture::new();
    fixture.rules.delivery_count_limit = 10;
    for _ in 0..4 {
        fixture.take("m1", 10, 10);
        fixture.release("m1");
    }
    fixture.rules.delivery_count_limit = 2;
    assert_eq!(fixture.sketch(), "0 | 0-9 w×4");
    assert_eq!(fixture.take("m1", 10, 10), "0-9×5");
    let lapsed = fixture.release("m1");
    assert_eq!(crate::coordinator::share::partition::kit::letters(&lapsed.letters), "0-9×5 limit");
    assert_eq!(fixture.sketch(), "10");
}
