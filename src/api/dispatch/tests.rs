use std::collections::BTreeMap;

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::Decodable;

use super::*;
use crate::wire::message::Exchange;
use crate::wire::shapes::table;
use crate::wire::share::acknowledge_request::ShareAcknowledgeRequest;
use crate::wire::share::fetch_request::ShareFetchRequest;
use crate::wire::share::offsets_request::ShareOffsetsRequest;

#[test]
fn every_api_key_stands_in_the_table_exactly_once() {
    let mut lines: BTreeMap<i16, usize> = BTreeMap::new();
    for entry in FAMILIES.iter().flat_map(|family| family.iter()) {
        *lines.entry(entry.key).or_default() += 1;
    }
    for api in ApiKey::iter() {
        assert_eq!(lines.remove(&(api as i16)), Some(1), "{api:?} must stand in the table once");
    }
    assert!(lines.is_empty(), "unknown keys in the table: {lines:?}");
}

#[test]
fn what_is_served_has_a_shape_and_a_codec_for_all_its_versions() {
    for spec in SERVED {
        let api = ApiKey::try_from(spec.key).unwrap();
        assert_eq!(spec.name, format!("{api:?}"));
        let own = OWN_CODECS.iter().find(|(key, ..)| *key == spec.key);
        let codec = api.valid_versions();
        let (min, max) = own.map_or((codec.min, codec.max), |(_, min, max)| (*min, *max));
        assert!(min <= spec.min && spec.max <= max, "{api:?}: the codec has {min}–{max}");
        let shape = table::request(spec.key).unwrap_or_else(|| panic!("{api:?} has no shape"));
        assert!(shape.min <= spec.min && spec.max <= shape.max, "{api:?}: the shape has {}–{}", shape.min, shape.max);
    }
}

/// What has a codec of ours: key, oldest and newest version.
const OWN_CODECS: &[(i16, i16, i16)] = &[
    (ShareFetchRequest::KEY, ShareFetchRequest::MIN, ShareFetchRequest::MAX),
    (ShareAcknowledgeRequest::KEY, ShareAcknowledgeRequest::MIN, ShareAcknowledgeRequest::MAX),
    (ShareOffsetsRequest::KEY, ShareOffsetsRequest::MIN, ShareOffsetsRequest::MAX),
];

#[test]
fn refusals_have_reasons() {
    for entry in FAMILIES.iter().flat_map(|family| family.iter()) {
        if let Line::Refuse(reason) = entry.line {
            assert!(!reason.is_empty(), "key {}", entry.key);
        }
    }
}

fn refused(frame: &'static [u8]) -> Answer {
    match Call::from_frame(Bytes::from_static(frame)) {
        Ok(_) => panic!("{frame:?} was let through"),
        Err(answer) => answer,
    }
}

#[test]
fn frames_that_can_not_be_served_close_the_connection() {
    let check = |frame: &'static [u8], expected: &str| match refused(frame) {
        Answer::Close(reason) => assert!(reason.contains(expected), "{reason}"),
        other => panic!("{frame:?} gave {other:?}"),
    };
    check(b"", "ends inside");
    check(&[0, 18, 0], "ends inside");
    check(&[0x7f, 0xff, 0, 0, 0, 0, 0, 1], "does not exist");
    check(&[0, 52, 0, 0, 0, 0, 0, 1, 0xff, 0xff], "Vote is refused");
    check(&[0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0, 0x80, 0x80, 0x80, 0x40], "beyond");
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_the_oldest_format() {
    for version in [5_u8, 99] {
        let frame = [0, 18, 0, version, 0, 0, 0, 7];
        let Err(Answer::Frame(slices)) = Call::from_frame(Bytes::copy_from_slice(&frame)) else {
            panic!("version {version} was not answered")
        };
        let mut response = Bytes::from(slices.concat());
        assert_eq!(response.split_to(8).as_ref(), [0, 0, 0, 16, 0, 0, 0, 7]);
        let body = ApiVersionsResponse::decode(&mut response, 0).unwrap();
        assert!(response.is_empty());
        assert_eq!(body.error_code, 35);
        assert_eq!((body.api_keys[0].api_key, body.api_keys[0].max_version), (18, 4));
    }
}

#[test]
fn a_response_is_one_buffer_of_the_right_size() {
    let response = api_versions::unsupported_version(&SERVED[0]);
    let Answer::Frame(slices) = encode(&response, 3, 1, 4) else { panic!("not encoded") };
    assert_eq!(slices.len(), 1);
    let length = i32::from_be_bytes(slices[0][..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), slices[0].len() - 4);
    let Answer::Frame(slices) = prefix(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"de")], 3, 1) else {
        panic!("not encoded")
    };
    assert_eq!(slices.concat(), [0, 0, 0, 10, 0, 0, 0, 3, 0, b'a', b'b', b'c', b'd', b'e']);
}

#[test]
fn the_client_id_is_copied_only_when_it_changes() {
    let mut caller = Caller::new(1, IpAddr::from([127, 0, 0, 1]), 1024);
    let name = Bytes::from_static(b"client");
    let first = caller.is_called(Some(&name)).unwrap();
    let second = caller.is_called(Some(&name)).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(caller.is_called(None), None);
}
