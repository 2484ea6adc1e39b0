//! Our own codecs of share groups against the generated one where both know a version, and against bytes that Kafka's
//! own schema gives for version 2.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ShareAcknowledgeRequest as OldAcknowledge, ShareFetchRequest as OldFetch};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use towpath::wire::message::{Exchange, ReadRequest};
use towpath::wire::shapes::table;
use towpath::wire::share::acknowledge_request::ShareAcknowledgeRequest;
use towpath::wire::share::acknowledge_response::{AcknowledgedPartition, AcknowledgedTopic, ShareAcknowledgeResponse};
use towpath::wire::share::acknowledgements::{AcknowledgedBatch, SharePartition, ShareTopic};
use towpath::wire::share::fetch_request::{ForgottenTopic, ShareFetchRequest};
use towpath::wire::share::fetch_response::{
    AcquiredRecords, ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic,
};
use uuid::Uuid;

use crate::random::Bodies;

/// What the generated codec makes of a body of version 1, unknown tagged fields left out, and what ours makes of it.
fn both<Old: Decodable + Encodable, New: Exchange + ReadRequest>(body: &Bytes) -> (Vec<u8>, Vec<u8>) {
    let mut old = Vec::new();
    Old::decode(&mut body.clone(), 1).unwrap().encode(&mut old, 1).unwrap();
    let mut new = BytesMut::new();
    New::read(&mut body.clone(), 1).unwrap().put(1, &mut new).unwrap();
    (old, new.to_vec())
}

#[test]
fn both_codecs_say_version_one_alike() {
    let _alone = crate::alone();
    let mut bodies = Bodies::from_seed(9);
    bodies.unknown_tags = 0.0;
    for _ in 0..500 {
        let (old, new) = both::<OldFetch, ShareFetchRequest>(&bodies.draw(table::request(78).unwrap(), 1));
        assert_eq!(old, new);
        let (old, new) = both::<OldAcknowledge, ShareAcknowledgeRequest>(&bodies.draw(table::request(79).unwrap(), 1));
        assert_eq!(old, new);
    }
}

#[track_caller]
fn check<R: Exchange + ReadRequest + PartialEq + std::fmt::Debug>(request: &R, version: i16, expected: &str) {
    let mut encoded = BytesMut::new();
    request.put(version, &mut encoded).unwrap();
    assert_eq!(hex(&encoded), expected);
    let mut body = encoded.freeze();
    assert_eq!(&R::read(&mut body, version).unwrap(), request);
    assert!(body.is_empty());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn topics(types: &'static [u8]) -> Vec<ShareTopic> {
    let batch = AcknowledgedBatch { first_offset: 5, last_offset: 6, types: Bytes::from_static(types) };
    let partition = SharePartition { partition: 2, batches: vec![batch] };
    vec![ShareTopic { topic_id: Uuid::from_u128(0xa), partitions: vec![partition] }]
}

fn fetch() -> ShareFetchRequest {
    ShareFetchRequest {
        group_id: Some(StrBytes::from_static_str("g")),
        member_id: Some(StrBytes::from_static_str("m")),
        session_epoch: 7,
        wait_max_ms: 500,
        bytes_min: 1,
        bytes_max: 0x0320_0000,
        records_max: 100,
        batch_size: 50,
        acquire_mode: 1,
        is_renew: true,
        topics: topics(&[1, 4]),
        forgotten: vec![ForgottenTopic { topic_id: Uuid::from_u128(0xb), partitions: vec![0, 1] }],
    }
}

/// A topic with one partition with one batch of two types.
const TOPICS: &str = "020000000000000000000000000000000a02000000020200000000000000050000000000000006030104000000";

#[test]
fn requests_are_kafkas_bytes() {
    let _alone = crate::alone();
    let head = "0267026d00000007000001f400000001032000000000006400000032";
    let rest = format!("{TOPICS}020000000000000000000000000000000b0300000000000000010000");
    check(&fetch(), 2, &format!("{head}0101{rest}"));
    check(&ShareFetchRequest { acquire_mode: 0, is_renew: false, ..fetch() }, 1, &format!("{head}{rest}"));
    let acknowledge = ShareAcknowledgeRequest {
        group_id: Some(StrBytes::from_static_str("g")),
        member_id: None,
        session_epoch: -1,
        is_renew: true,
        topics: topics(&[1, 4]),
    };
    let rest = format!("{TOPICS}00");
    check(&acknowledge, 2, &format!("026700ffffffff01{rest}"));
    check(&ShareAcknowledgeRequest { is_renew: false, ..acknowledge.clone() }, 1, &format!("026700ffffffff{rest}"));
    assert!(acknowledge.put(1, &mut BytesMut::new()).is_err(), "version 1 can not renew");
    assert!(fetch().put(1, &mut BytesMut::new()).is_err(), "version 1 can not renew");
}

#[test]
fn responses_are_kafkas_bytes() {
    let _alone = crate::alone();
    let partition = ShareFetchedPartition {
        partition: 2,
        acknowledge_error_code: 121,
        acknowledge_error_message: Some(StrBytes::from_static_str("no")),
        records: vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")],
        acquired: vec![AcquiredRecords { first_offset: 5, last_offset: 6, delivery_count: 1 }],
        ..ShareFetchedPartition::default()
    };
    let response = ShareFetchResponse {
        lock_timeout_ms: 30_000,
        topics: vec![ShareFetchedTopic { topic_id: Uuid::from_u128(0xa), partitions: vec![partition] }],
        ..ShareFetchResponse::default()
    };
    let expected = concat!(
        "0000000000000000007530020000000000000000000000000000000a02000000020000000079036e6fffffffffffffffff",
        "0004616263020000000000000005000000000000000600010000000100"
    );
    assert_eq!(hex(&response.encode(2).concat()), expected);

    let partition = AcknowledgedPartition { partition: 2, error_code: 121, error_message: None };
    let response = ShareAcknowledgeResponse {
        lock_timeout_ms: 30_000,
        topics: vec![AcknowledgedTopic { topic_id: Uuid::from_u128(0xa), partitions: vec![partition] }],
        ..ShareAcknowledgeResponse::default()
    };
    let rest = "020000000000000000000000000000000a0200000002007900ffffffffffffffff0000000100";
    assert_eq!(hex(&response.clone().encode(2).concat()), format!("0000000000000000007530{rest}"));
    assert_eq!(hex(&response.encode(1).concat()), format!("00000000000000{rest}"));
}
