//! What decoding costs: never more than the guard promised, whatever the bytes.

use bytes::{BufMut, Bytes, BytesMut};
use stats_alloc::Region;
use towpath::wire::guard;
use towpath::wire::shapes::table;

use crate::ALLOCATOR;
use crate::codec::{CODECS, Codec};
use crate::random::Bodies;
use crate::shapes::every_version;

/// Decodes what passes the guard, and checks the bytes allocated meanwhile. Says whether it passed.
fn check(codec: &Codec, version: i16, body: Bytes) -> bool {
    if guard::check_request(codec.key, version, &body).is_err() {
        return false;
    }
    let bytes = body.len();
    let region = Region::new(ALLOCATOR);
    let _ = (codec.decode)(body, version);
    let allocated = region.change().bytes_allocated;
    let limit = guard::memory_limit(bytes);
    assert!(allocated <= limit, "key {} version {version}: {allocated} bytes for {bytes}, limit {limit}", codec.key);
    true
}

#[test]
fn decoding_takes_no_more_memory_than_the_guard_allows() {
    let _alone = crate::alone();
    let mut bodies = Bodies::from_seed(4);
    let mut passed = 0;
    every_version(|codec, version| {
        let shape = table::request(codec.key).unwrap();
        for _ in 0..200 {
            let drawn = bodies.draw(shape, version);
            let body = bodies.mutate(&drawn);
            passed += usize::from(check(codec, version, body));
        }
    });
    assert!(passed > 1000, "mutations that are all refused test nothing: {passed}");
}

#[test]
fn requests_made_to_inflate_are_refused_or_bounded() {
    let _alone = crate::alone();
    let mut outcomes = [0, 0];
    for (elements_max, bytes_max, unknown_tags) in [(400, 0, 0.0), (60, 0, 0.6), (30, 1, 0.9), (1000, 2, 0.0)] {
        let mut bodies = Bodies { elements_max, bytes_max, unknown_tags, ..Bodies::from_seed(5) };
        every_version(|codec, version| {
            if version != codec.max && version != codec.min {
                return;
            }
            let shape = table::request(codec.key).unwrap();
            let body = bodies.draw(shape, version);
            outcomes[usize::from(check(codec, version, body))] += 1;
        });
    }
    let [refused, passed] = outcomes;
    assert!(refused > 0 && passed > 0, "{refused} refused, {passed} passed");
}

#[test]
fn a_lying_count_costs_nothing_at_any_place() {
    let _alone = crate::alone();
    let lies: [&[u8]; 5] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x01, 0x31, 0x2d, 0x00],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x80, 0x80, 0x40],
        &[0xff, 0xff, 0x7f],
    ];
    let mut bodies = Bodies::from_seed(6);
    let mut tried = 0;
    every_version(|codec, version| {
        let body = bodies.draw(table::request(codec.key).unwrap(), version);
        for at in 0..=body.len() {
            for lie in lies {
                let mut lying = BytesMut::from(&body[..at]);
                lying.put_slice(lie);
                lying.put_slice(&body[at..]);
                check(codec, version, lying.freeze());
                tried += 1;
            }
        }
    });
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn records_stay_slices_of_the_frame() {
    let _alone = crate::alone();
    let produce = CODECS.iter().find(|codec| codec.key == 0).unwrap();
    let records = vec![0xab; 10 << 20];
    let mut body = BytesMut::new();
    body.put_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    body.put_i32(i32::try_from(records.len()).unwrap());
    body.put_slice(&records);
    let body = body.freeze();
    assert_eq!(guard::check_request(0, 3, &body), Ok(body.len()));
    let region = Region::new(ALLOCATOR);
    assert_eq!((produce.decode)(body, 3), Some(0));
    assert!(region.change().bytes_allocated < 4096, "{:?}", region.change());
}
