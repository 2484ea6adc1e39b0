//! An agent over a temporary folder, and the clients that talk to it.

use std::net::SocketAddr;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use towpath::agent::run::RunningAgent;
use towpath::config::settings::Settings;

/// What no step takes on a healthy machine, however busy: reaching it is a failure, not slowness.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One agent and the folder that is all it keeps.
pub(crate) struct World {
    pub(crate) agent: RunningAgent,
    settings: Settings,
    folder: TempDir,
}

impl World {
    /// An agent over an empty folder.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::default();
        settings.agent.store = Some(format!("file://{}", folder.path().display()));
        settings.listener.bind = "127.0.0.1:0".parse().expect("an address");
        settings.console.http = "127.0.0.1:0".to_owned();
        settings.group.group_initial_rebalance_delay_ms = 0;
        settings.topics.partition_count = 3;
        Self { agent: run(&settings).await, settings, folder }
    }

    /// Stops the agent and starts another one over the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { agent, settings, folder } = self;
        tokio::time::timeout(PATIENCE, agent.stop()).await.expect("the agent stops");
        Self { agent: run(&settings).await, settings, folder }
    }

    /// Stops the agent; the folder goes.
    pub(crate) async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.agent.stop()).await.expect("the agent stops");
        drop(self.folder);
    }

    /// How every client reaches the agent.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.agent.bootstrap.to_string());
        config
    }

    pub(crate) fn producer(&self) -> FutureProducer {
        self.client().set("linger.ms", "5").create().expect("a producer")
    }

    /// A consumer of `group` that commits when it is told to.
    pub(crate) fn member(&self, group: &str) -> StreamConsumer {
        self.client()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "300")
            .create()
            .expect("a consumer")
    }

    /// A consumer of one partition from its beginning.
    pub(crate) fn reader(&self, topic: &str, partition: i32) -> StreamConsumer {
        let consumer = self.member("reader");
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
        consumer.assign(&partitions).expect("assigned");
        consumer
    }

    pub(crate) async fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            topic = topic.set(key, value);
        }
        let created = admin.create_topics([&topic], &AdminOptions::new()).await.expect("an answer");
        assert_eq!(created, [Ok(name.to_owned())]);
    }
}

async fn run(settings: &Settings) -> RunningAgent {
    let started = tokio::time::timeout(PATIENCE, RunningAgent::start(settings)).await;
    started.expect("it starts in time").expect("it starts")
}

/// Sends one value; its offset.
pub(crate) async fn send(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    value: &str,
) -> Result<i64, KafkaError> {
    let record = FutureRecord::<str, str>::to(topic).partition(partition).payload(value);
    producer.send(record, PATIENCE).await.map(|delivery| delivery.offset).map_err(|(error, _)| error)
}

/// The next `count` records.
pub(crate) async fn take(consumer: &StreamConsumer, count: usize) -> Vec<OwnedMessage> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let next = tokio::time::timeout(PATIENCE, consumer.recv()).await;
        let next = next.unwrap_or_else(|_| panic!("{} of {count} records came", taken.len()));
        taken.push(next.expect("a record").detach());
    }
    taken
}

/// A record's value as text.
pub(crate) fn value(message: &OwnedMessage) -> &str {
    std::str::from_utf8(message.payload().expect("a value")).expect("text")
}

/// What the agent's console answers, with its head.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("in time").expect("an answer");
    answer
}
