//! The client against brokers that know less than it does, answer late or answer wrongly.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiVersionsResponse, GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use towpath::wire::client::{Client, ClientError, ClientOptions};
use towpath::wire::frame::FrameReader;
use towpath::wire::header::RequestStart;

use crate::run;

const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

/// A broker that serves ApiVersions v0–2, Heartbeat v1–3, and JoinGroup in versions nobody has. It answers a heartbeat
/// with its generation as throttle time; generation 99 it never answers, and 98 with another correlation id.
async fn broker(stream: DuplexStream) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut frames = FrameReader::new(reader);
    while let Ok(Some(length)) = frames.length(1 << 20).await {
        let mut frame = frames.body(length).await.unwrap();
        let start = RequestStart::take(&mut frame).unwrap();
        let mut response = BytesMut::new();
        response.put_i32(start.correlation_id);
        if start.api_key == 18 {
            put_versions(start.version, &mut response);
        } else {
            let client_id = RequestStart::take_rest(&mut frame, 1).unwrap();
            assert_eq!(client_id, Some(Bytes::from_static(b"towpath")));
            let request = HeartbeatRequest::decode(&mut frame, start.version).unwrap();
            assert_eq!((start.api_key, start.version, frame.len()), (12, 3, 0));
            match request.generation_id {
                99 => continue,
                98 => response[3] = 77,
                _ => {}
            }
            let answer = HeartbeatResponse::default().with_throttle_time_ms(request.generation_id);
            answer.encode(&mut response, start.version).unwrap();
        }
        writer.write_i32(i32::try_from(response.len()).unwrap()).await.unwrap();
        writer.write_all(&response).await.unwrap();
    }
}

fn put_versions(version: i16, response: &mut BytesMut) {
    let range = |key, min, max| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max);
    if version > 2 {
        let refusal = ApiVersionsResponse::default().with_error_code(35).with_api_keys(vec![range(18, 0, 2)]);
        return refusal.encode(response, 0).unwrap();
    }
    let served = vec![range(18, 0, 2), range(12, 1, 3), range(11, 500, 501)];
    ApiVersionsResponse::default().with_api_keys(served).encode(response, version).unwrap();
}

async fn connect() -> Client {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(broker(theirs));
    let (reader, writer) = tokio::io::split(ours);
    let options = ClientOptions { request_timeout: REQUEST_TIMEOUT, ..ClientOptions::default() };
    Client::over(reader, writer, options).await.unwrap()
}

fn heartbeat(generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("group")))
        .with_generation_id(generation_id)
}

#[test]
fn versions_are_agreed_on_even_with_an_older_broker() {
    run(async {
        let mut client = connect().await;
        assert_eq!(client.version_of::<HeartbeatRequest>(), Some(3));
        assert_eq!(client.served().get(&18), Some(&(0, 2)));
        assert_eq!(client.send(&heartbeat(7)).await.unwrap().throttle_time_ms, 7);
        let not_served = client.send(&SyncGroupRequest::default()).await;
        assert!(matches!(not_served, Err(ClientError::NotServed(api)) if api == "SyncGroup"));
        let nothing_common = client.send(&JoinGroupRequest::default()).await;
        assert!(matches!(nothing_common, Err(ClientError::NotServed(api)) if api == "JoinGroup"));
        assert_eq!(client.send(&heartbeat(8)).await.unwrap().throttle_time_ms, 8);
    });
}

#[test]
fn several_requests_can_be_in_flight() {
    run(async {
        let (mut sender, mut receiver) = connect().await.split();
        let mut sent = Vec::new();
        for generation in 0..20 {
            sent.push(sender.send(&heartbeat(generation)).await.unwrap());
        }
        for (sent, generation) in sent.into_iter().zip(0..) {
            let response = receiver.receive().await.unwrap().decode::<HeartbeatRequest>(sent).unwrap();
            assert_eq!(response.throttle_time_ms, generation);
        }
    });
}

#[test]
fn answers_that_do_not_come_or_belong_to_another_are_errors() {
    run(async {
        let timed_out = connect().await.send(&heartbeat(99)).await;
        assert!(matches!(timed_out, Err(ClientError::Timeout(REQUEST_TIMEOUT))));
        let wrong = connect().await.send(&heartbeat(98)).await;
        assert!(matches!(wrong, Err(ClientError::OutOfOrder { received: 77, .. })));
    });
}

#[test]
fn a_broker_that_is_none_is_an_error() {
    run(async {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let mut rest = Vec::new();
            let _ = theirs.read_to_end(&mut rest).await;
            assert!(rest.as_slice().get_u32() > 0);
        });
        let (reader, writer) = tokio::io::split(ours);
        let outcome = Client::over(reader, writer, ClientOptions::default()).await;
        assert!(matches!(outcome, Err(ClientError::Malformed(_))), "{outcome:?}");
    });
}
