//! Where a reader starts and jumps to, and what a producer may send at all.

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use crate::kit::{PATIENCE, World, send, take, value};

/// The list that names partition 0 of `topic` at `offset`.
fn at(topic: &str, offset: Offset) -> TopicPartitionList {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, offset).expect("a partition");
    partitions
}

/// Sends "0", "1", … with timestamps a second apart.
async fn numbered(producer: &FutureProducer, topic: &str, count: i64) {
    for number in 0..count {
        let text = number.to_string();
        let record = FutureRecord::<str, str>::to(topic).partition(0).payload(&text);
        let sent = producer.send(record.timestamp(1_700_000_000_000 + number * 1_000), PATIENCE).await;
        assert_eq!(sent.expect("acknowledged").offset, number);
    }
}

/// The consumer must say that it stands at the end of the partition, and not show a record.
async fn end(consumer: &StreamConsumer) {
    let next = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("an answer in time");
    assert_eq!(next.map(|message| message.detach().offset()), Err(KafkaError::PartitionEOF(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_starts_anywhere_and_jumps_at_either_isolation() {
    let world = World::start().await;
    world.create_topic("numbers", 1, &[]).await;
    let producer = world.producer();
    numbered(&producer, "numbers", 10).await;
    for (isolation, mut next) in [("read_committed", 10), ("read_uncommitted", 11)] {
        let consumer: StreamConsumer = world
            .client()
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .create()
            .expect("a consumer");
        consumer.assign(&at("numbers", Offset::End)).expect("assigned");
        end(&consumer).await;
        let text = next.to_string();
        assert_eq!(send(&producer, "numbers", 0, &text).await, Ok(next));
        assert_eq!(value(&take(&consumer, 1).await[0]), text, "the end moves on, {isolation}");
        next += 1;
        end(&consumer).await;
        consumer.seek("numbers", 0, Offset::Offset(next - 3), PATIENCE).expect("moved");
        let read = take(&consumer, 3).await;
        assert_eq!(read.iter().map(Message::offset).collect::<Vec<_>>(), (next - 3..next).collect::<Vec<_>>());
        end(&consumer).await;
        // Between the second record and the third.
        let found = consumer.offsets_for_times(at("numbers", Offset::Offset(1_700_000_001_500)), PATIENCE);
        let found = found.expect("an answer").elements()[0].offset();
        assert_eq!(found, Offset::Offset(2), "{isolation}");
        consumer.seek("numbers", 0, found, PATIENCE).expect("moved");
        assert_eq!(value(&take(&consumer, 1).await[0]), "2");
        consumer.assign(&at("numbers", Offset::Beginning)).expect("assigned");
        assert_eq!(value(&take(&consumer, 1).await[0]), "0");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_acknowledgement_writes_the_record() {
    let world = World::start().await;
    for acks in ["0", "1", "all"] {
        let topic = format!("acks-{acks}");
        world.create_topic(&topic, 1, &[]).await;
        let producer: FutureProducer = world.client().set("acks", acks).create().expect("a producer");
        let sent = send(&producer, &topic, 0, "here").await.expect("sent");
        // Nobody tells the offset of what is not acknowledged.
        assert!(acks == "0" || sent == 0, "offset {sent} with acks={acks}");
        let read = take(&world.reader(&topic, 0), 1).await;
        assert_eq!((read[0].offset(), value(&read[0])), (0, "here"));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nulls_stay_nulls_and_a_header_may_come_twice() {
    let world = World::start().await;
    world.create_topic("odd", 1, &[]).await;
    let producer = world.producer();
    let headers = [("twice", Some("1")), ("twice", Some("2")), ("empty", Some("")), ("null", None)];
    let all = headers.iter().fold(OwnedHeaders::new(), |all, &(key, value)| all.insert(Header { key, value }));
    let nothing = FutureRecord::<str, str>::to("odd").partition(0).headers(all);
    producer.send(nothing, PATIENCE).await.expect("acknowledged");
    let empty = FutureRecord::<str, str>::to("odd").partition(0).key("").payload("");
    producer.send(empty, PATIENCE).await.expect("acknowledged");
    let read = take(&world.reader("odd", 0), 2).await;
    assert_eq!((read[0].key(), read[0].payload()), (None, None));
    let kept: Vec<_> = read[0].headers().expect("headers").iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(kept, headers.map(|(key, value)| (key, value.map(str::as_bytes))));
    assert_eq!((read[1].key(), read[1].payload()), (Some(&b""[..]), Some(&b""[..])));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_takes_a_megabyte_and_no_more_unless_it_is_told_to() {
    let world = World::start().await;
    world.create_topic("usual", 1, &[]).await;
    let producer = world.client().set("message.max.bytes", "5000000").create::<FutureProducer>().expect("a producer");
    let refused = send(&producer, "usual", 0, &"x".repeat(1_100_000)).await;
    assert_eq!(refused, Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)));
    let fits = "x".repeat(1_000_000);
    assert_eq!(send(&producer, "usual", 0, &fits).await, Ok(0));
    assert_eq!(value(&take(&world.reader("usual", 0), 1).await[0]), fits);
    world.stop().await;
}
