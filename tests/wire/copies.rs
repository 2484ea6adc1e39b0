//! What produced and fetched bytes cost in memory, from socket to store and from cache to socket: no copy of them.
//!
//! A copy in memory needs memory: so what a whole agent allocates meanwhile, in bytes, tells how often payload is copied.
//! Produced, it is allocated once (the frame that the socket is read into); fetched from the cache, never.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use stats_alloc::{Region, Stats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use towpath::agent::run::RunningAgent;
use towpath::base::clock::Timestamp;
use towpath::record::build::BatchBuilder;
use towpath::wire::client::{Client, ClientOptions};
use towpath::wire::header::RequestStart;

use crate::ALLOCATOR;
use crate::agent::settings;
use crate::run;

const MIB: usize = 1 << 20;
const BATCH_BYTES: usize = 64 << 10;
const BATCHES_PER_MIB: usize = MIB / BATCH_BYTES;
/// How much is measured, after as much to warm up.
const MEASURED_MIB: usize = 32;
const PRODUCE_VERSION: i16 = 8;
const FETCH_VERSION: i16 = 11;

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("copies"))
}

/// A whole request, length included.
fn frame(key: ApiKey, version: i16, request: &impl Encodable) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let header_version = key.request_header_version(version);
    RequestStart { api_key: key as i16, version, correlation_id: 1 }.put(header_version, "copies", &mut frame);
    request.encode(&mut frame, version).unwrap();
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
}

/// One uncompressed batch of exactly [`BATCH_BYTES`] or a little less.
fn batch() -> Bytes {
    let mut builder = BatchBuilder::default();
    for record in 0..60_u8 {
        builder.push_value(Timestamp(1_700_000_000_000), &vec![record; 1_024]);
    }
    builder.build().unwrap()
}

fn produce(batch: &Bytes) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch.clone()));
    let topic = TopicProduceData::default().with_name(topic()).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    frame(ApiKey::Produce, PRODUCE_VERSION, &request)
}

fn fetch(offset: i64) -> Vec<u8> {
    let bytes_max = i32::try_from(MIB).unwrap();
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(bytes_max);
    let topic = FetchTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(1_000)
        .with_min_bytes(1)
        .with_max_bytes(bytes_max)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    frame(ApiKey::Fetch, FETCH_VERSION, &request)
}

/// Reads an answer into `into`, which is large enough; answers its length.
async fn answer(connection: &mut TcpStream, into: &mut [u8]) -> usize {
    let length = usize::try_from(connection.read_u32().await.unwrap()).unwrap();
    connection.read_exact(&mut into[..length]).await.unwrap();
    length
}

/// The body of an answer whose header is a correlation id alone.
fn body<R: Decodable>(answer: &[u8], version: i16) -> R {
    R::decode(&mut Bytes::copy_from_slice(&answer[4..]), version).unwrap()
}

/// Sends `request` so many times, five of them in flight, and checks that the last one was appended.
async fn produce_all(connection: &mut TcpStream, request: &[u8], times: usize) {
    const IN_FLIGHT: usize = 5;
    let mut into = [0; 1_024];
    let mut length = 0;
    for number in 0..times + IN_FLIGHT {
        if number >= IN_FLIGHT {
            length = answer(connection, &mut into).await;
        }
        if number < times {
            connection.write_all(request).await.unwrap();
        }
    }
    let response: ProduceResponse = body(&into[..length], PRODUCE_VERSION);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

/// Fetches with requests made before, and answers the last answer.
async fn fetch_all(connection: &mut TcpStream, requests: &[Vec<u8>], into: &mut [u8]) -> usize {
    let mut length = 0;
    for request in requests {
        connection.write_all(request).await.unwrap();
        length = answer(connection, into).await;
        assert!(length > MIB - 2 * BATCH_BYTES, "an answer of {length} bytes");
    }
    length
}

/// How much was allocated per MiB of payload: bytes as a share of a MiB, and how many times.
fn per_mib(change: &Stats) -> (f64, usize) {
    let bytes = change.bytes_allocated as f64 / (MEASURED_MIB * MIB) as f64;
    (bytes, (change.allocations + change.reallocations) / MEASURED_MIB)
}

#[test]
fn payload_is_not_copied_between_socket_and_store_nor_between_cache_and_socket() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&folder);
        settings.log.puts_per_second = 0.0;
        let agent = Box::pin(RunningAgent::start(&settings)).await.unwrap();
        let mut client = Client::connect(&agent.bootstrap.to_string(), ClientOptions::default()).await.unwrap();
        let new = CreatableTopic::default().with_name(topic()).with_num_partitions(1).with_replication_factor(1);
        let create = CreateTopicsRequest::default().with_topics(vec![new]).with_timeout_ms(30_000);
        assert_eq!(client.send(&create).await.unwrap().topics[0].error_code, 0);

        let mut connection = TcpStream::connect(agent.bootstrap).await.unwrap();
        let batch = batch();
        let request = produce(&batch);
        produce_all(&mut connection, &request, MEASURED_MIB * BATCHES_PER_MIB).await;
        let region = Region::new(ALLOCATOR);
        produce_all(&mut connection, &request, MEASURED_MIB * BATCHES_PER_MIB).await;
        let (bytes, times) = per_mib(&region.change());
        // Once into frames, which are a little larger than their batches; a copy would make it twice.
        assert!((0.9..1.25).contains(&bytes), "{bytes} bytes are allocated per byte produced");
        assert!(times < 60 * BATCHES_PER_MIB, "{times} allocations per MiB produced");

        let per_answer = (MIB / batch.len()) as i64 * 60;
        let requests: Vec<_> = (0..MEASURED_MIB as i64).map(|number| fetch(number * per_answer)).collect();
        let mut into = vec![0; 2 * MIB];
        fetch_all(&mut connection, &requests, &mut into).await;
        let region = Region::new(ALLOCATOR);
        let length = fetch_all(&mut connection, &requests, &mut into).await;
        let (bytes, times) = per_mib(&region.change());
        assert!(bytes < 0.05, "{bytes} bytes are allocated per byte fetched");
        assert!(times < 20 * BATCHES_PER_MIB, "{times} allocations per MiB fetched");
        let response: FetchResponse = body(&into[..length], FETCH_VERSION);
        let records = response.responses[0].partitions[0].records.clone().unwrap();
        assert_eq!(records[8..batch.len()], batch[8..], "the producer's own bytes, but for their offset");
        agent.stop().await;
    });
}
