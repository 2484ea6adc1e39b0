//! Records in, records out.

use std::time::Duration;

use futures::future::try_join_all;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::kit::{PATIENCE, World, send, take, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_come_back_as_they_were_sent_in_every_codec() {
    let world = World::start().await;
    let mut tried = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = world.client().set("compression.codec", codec).set("linger.ms", "20").create();
        // A codec that this build of the client lacks is refused here.
        let Ok(producer): Result<FutureProducer, _> = producer else { continue };
        tried.push(codec);
        let topic = format!("codec-{codec}");
        world.create_topic(&topic, 1, &[]).await;
        let sent: Vec<(String, String)> =
            (0..40).map(|index| (format!("key {index}"), format!("{index} {}", "text ".repeat(30)))).collect();
        let acknowledged = sent.iter().enumerate().map(|(index, (key, value))| {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "index", value: Some(&index.to_string()) })
                .insert(Header { key: "none", value: None::<&str> });
            let record = FutureRecord::to(&topic).key(key).payload(value).headers(headers).timestamp(1_700_000_000_000);
            producer.send(record, PATIENCE)
        });
        let acknowledged = try_join_all(acknowledged).await.expect("acknowledged");
        assert_eq!(acknowledged.iter().map(|one| one.offset).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        let read = take(&world.reader(&topic, 0), sent.len()).await;
        for (index, (message, (key, text))) in read.iter().zip(&sent).enumerate() {
            assert_eq!((message.key(), value(message)), (Some(key.as_bytes()), text.as_str()), "{codec}");
            assert_eq!(usize::try_from(message.offset()), Ok(index));
            assert_eq!(message.timestamp().to_millis(), Some(1_700_000_000_000));
            let headers = message.headers().expect("headers");
            assert_eq!((headers.count(), headers.get(0).key, headers.get(1).key), (2, "index", "none"));
            assert_eq!(headers.get(0).value, Some(index.to_string().as_bytes()));
            assert_eq!(headers.get(1).value, None);
        }
    }
    assert!(tried.len() >= 3, "only {tried:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_producer_writes_each_record_once_and_in_order() {
    let world = World::start().await;
    world.create_topic("once", 2, &[]).await;
    let producer: FutureProducer = world
        .client()
        .set("enable.idempotence", "true")
        // Many small batches, five of them in flight.
        .set("batch.num.messages", "7")
        .set("linger.ms", "1")
        .create()
        .expect("a producer");
    let values: Vec<String> = (0..200).map(|index| index.to_string()).collect();
    let sends = values.iter().flat_map(|text| [send(&producer, "once", 0, text), send(&producer, "once", 1, text)]);
    let offsets = try_join_all(sends).await.expect("acknowledged");
    for partition in 0..2 {
        let got: Vec<i64> = offsets.iter().skip(partition).step_by(2).copied().collect();
        assert_eq!(got, (0..200).collect::<Vec<_>>(), "partition {partition}");
        let index = i32::try_from(partition).expect("small");
        let reader = world.reader("once", index);
        let read = take(&reader, values.len()).await;
        assert_eq!(read.iter().map(value).collect::<Vec<_>>(), values);
        assert_eq!(reader.fetch_watermarks("once", index, PATIENCE), Ok((0, 200)));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_created_by_its_first_record() {
    let world = World::start().await;
    let producer = world.producer();
    assert_eq!(send(&producer, "unheard-of", 2, "first").await, Ok(0));
    let metadata = producer.client().fetch_metadata(Some("unheard-of"), PATIENCE).expect("metadata");
    let topic = &metadata.topics()[0];
    assert_eq!((topic.error(), topic.partitions().len()), (None, 3));
    assert_eq!(take(&world.reader("unheard-of", 2), 1).await[0].payload(), Some(&b"first"[..]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_beyond_the_topics_limit_is_refused_and_leaves_no_trace() {
    let world = World::start().await;
    world.create_topic("small", 1, &[("max.message.bytes", "1000")]).await;
    let producer = world.producer();
    let refused = send(&producer, "small", 0, &"x".repeat(5_000)).await;
    assert_eq!(refused, Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)));
    assert_eq!(send(&producer, "small", 0, "fits").await, Ok(0));
    assert_eq!(value(&take(&world.reader("small", 0), 1).await[0]), "fits");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_fetch_is_answered_when_a_record_arrives() {
    let world = World::start().await;
    world.create_topic("quiet", 1, &[]).await;
    let producer = world.producer();
    assert_eq!(send(&producer, "quiet", 0, "one").await, Ok(0));
    // Its fetches wait for four times as long as the test does.
    let wait_ms = (PATIENCE.as_millis() * 4).to_string();
    let consumer: rdkafka::consumer::StreamConsumer = world
        .client()
        .set("group.id", "reader")
        .set("fetch.wait.max.ms", &wait_ms)
        .set("socket.timeout.ms", "300000")
        .create()
        .expect("a consumer");
    let mut partitions = rdkafka::TopicPartitionList::new();
    partitions.add_partition_offset("quiet", 0, rdkafka::Offset::Beginning).expect("a partition");
    consumer.assign(&partitions).expect("assigned");
    assert_eq!(value(&take(&consumer, 1).await[0]), "one");
    for text in ["two", "three"] {
        // Time for the next fetch to reach the end of the log; were it late, the test would only prove less.
        tokio::time::sleep(Duration::from_millis(200)).await;
        send(&producer, "quiet", 0, text).await.expect("acknowledged");
        assert_eq!(value(&take(&consumer, 1).await[0]), text);
    }
    drop(consumer);
    world.stop().await;
}
