//! Readers that ask for fewer bytes than a batch has.

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::kit::{World, get, send, take, value};

/// The Fetch requests that the agent has answered.
async fn fetches(world: &World) -> u64 {
    let metrics = get(world.agent.http.expect("an address"), "/metrics").await;
    let count = metrics.lines().find(|line| line.contains("request_seconds_count{") && line.contains("\"Fetch\""));
    count.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_of_too_few_bytes_gets_one_whole_batch() {
    let world = World::start().await;
    world.create_topic("large", 2, &[]).await;
    let producer = world.producer();
    let values: Vec<String> = (0..8).map(|number| number.to_string().repeat(100_000)).collect();
    for (text, partition) in values.iter().zip((0..2).cycle()) {
        send(&producer, "large", partition, text).await.expect("acknowledged");
    }
    let small: [&[(&str, &str)]; 3] = [
        &[("max.partition.fetch.bytes", "1000")],
        &[("fetch.message.max.bytes", "1")],
        // The client wants the whole fetch to have room for its largest message.
        &[("max.partition.fetch.bytes", "1000"), ("fetch.max.bytes", "1000"), ("message.max.bytes", "1000")],
    ];
    for settings in small {
        let before = fetches(&world).await;
        let mut config = world.client();
        config.set("group.id", "reader").set("enable.auto.commit", "false");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let consumer: StreamConsumer = config.create().expect("a consumer");
        let mut partitions = TopicPartitionList::new();
        for partition in 0..2 {
            partitions.add_partition_offset("large", partition, Offset::Offset(0)).expect("a partition");
        }
        consumer.assign(&partitions).expect("assigned");
        let read = take(&consumer, values.len()).await;
        for message in &read {
            let index = usize::try_from(message.offset() * 2 + i64::from(message.partition())).expect("small");
            assert!(value(message) == values[index], "{settings:?}: {} {}", message.partition(), message.offset());
        }
        for partition in 0..2 {
            let offsets: Vec<i64> =
                read.iter().filter(|one| one.partition() == partition).map(Message::offset).collect();
            assert_eq!(offsets, [0, 1, 2, 3], "partition {partition}, {settings:?}");
        }
        // One batch an answer. The last answer may be counted after its record is here.
        let count = fetches(&world).await - before;
        assert!(count + 1 >= 8, "{count} fetches for 8 batches, {settings:?}");
    }
    world.stop().await;
}
