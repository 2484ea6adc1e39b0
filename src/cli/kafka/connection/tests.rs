#![allow(clippy::disallowed_methods)]

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsResponse, FetchRequest, HeartbeatRequest, HeartbeatResponse, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A broker that serves ApiVersions and Heartbeat (0–4), and answers heartbeats two by two.
async fn broker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut held: Vec<Bytes> = Vec::new();
        loop {
            let Ok(length) = socket.read_u32().await else { return };
            let mut frame = vec![0; length as usize];
            socket.read_exact(&mut frame).await.unwrap();
            let mut frame = Bytes::from(frame);
            let (key, version) = (i16::from_be_bytes([frame[0], frame[1]]), i16::from_be_bytes([frame[2], frame[3]]));
            let correlation_id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
            let mut answer = BytesMut::new();
            answer.put_u32(0);
            answer.put_i32(correlation_id);
            if key == 18 {
                let api = |key, max| ApiVersion::default().with_api_key(key).with_min_version(0).with_max_version(max);
                let apis = vec![api(18, 4), api(12, 4), api(1, 3)];
                ApiVersionsResponse::default().with_api_keys(apis).encode(&mut answer, version).unwrap();
            } else {
                assert_eq!((key, version), (12, 4));
                RequestHeader::decode(&mut frame, 2).unwrap();
                let request = HeartbeatRequest::decode(&mut frame, version).unwrap();
                answer.put_u8(0);
                let echoed = HeartbeatResponse::default().with_throttle_time_ms(request.generation_id);
                echoed.encode(&mut answer, version).unwrap();
            }
            let length = (answer.len() - 4) as u32;
            answer[..4].copy_from_slice(&length.to_be_bytes());
            held.push(answer.freeze());
            if key == 18 || held.len() == 2 {
                for answer in held.drain(..) {
                    socket.write_all(&answer).await.unwrap();
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn answers_reach_who_asked() {
    let supervisor = Supervisor::default();
    let connection = Connection::open(&supervisor, &broker().await, "test").await.unwrap();
    let ask = |generation| {
        let request = HeartbeatRequest::default().with_generation_id(generation);
        let connection = connection.clone();
        async move { connection.send(4, &request).await.unwrap().throttle_time_ms }
    };
    assert_eq!(tokio::join!(ask(1), ask(2)), (1, 2));
}

#[tokio::test]
async fn versions_that_only_one_side_knows_are_not_sent() {
    let supervisor = Supervisor::default();
    let connection = Connection::open(&supervisor, &broker().await, "test").await.unwrap();
    // The broker ends at version 3, our schemas begin at 4.
    assert!(!connection.serves::<FetchRequest>(12));
    let error = connection.send(12, &FetchRequest::default()).await.unwrap_err().to_string();
    assert!(error.contains("does not serve Fetch"), "{error}");
}

#[tokio::test]
async fn nobody_listening_names_the_flag_to_check() {
    let supervisor = Supervisor::default();
    let error = Connection::open(&supervisor, "127.0.0.1:1", "test").await.unwrap_err();
    assert!(matches!(error, CliError::Unreachable(_)));
    assert!(error.to_string().contains("--bootstrap"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_kafka_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error = Connection::open(&Supervisor::default(), &address, "test").await.unwrap_err();
    assert!(matches!(error, CliError::Unreachable(_)), "{error}");
}
