//! A cluster as a client sees it: brokers, topics, coordinators.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::wire::message::Exchange;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, MetadataResponse, TopicName as WireTopicName};
use uuid::Uuid;

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::protocol::{ErrorCode, check, text};

/// How often a retriable answer is asked for again; with the pauses below about ten seconds.
pub(crate) const ATTEMPTS: u32 = 20;

/// A cluster and our connections to it. One per command.
#[derive(Debug)]
pub struct Cluster {
    supervisor: Supervisor,
    rng: Rng,
    client_id: String,
    bootstrap: Connection,
    connections: tokio::sync::Mutex<BTreeMap<String, Connection>>,
}

/// A broker, as Metadata lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BrokerInfo {
    /// Its id.
    pub id: i32,
    /// `host:port` for clients.
    pub address: String,
    /// Its zone.
    pub rack: Option<String>,
}

/// A partition, as Metadata lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PartitionInfo {
    /// Its number.
    pub partition: i32,
    /// The broker to ask, −1 when there is none.
    pub leader: i32,
    /// Where it is kept, nominally.
    pub replicas: Vec<i32>,
}

/// A topic, as Metadata lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id; nil on clusters that have none.
    pub id: Uuid,
    /// Whether clients hide it by default.
    pub internal: bool,
    /// Its partitions in order.
    pub partitions: Vec<PartitionInfo>,
}

impl TopicInfo {
    /// As many copies as the first partition names.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }
}

/// What Metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The cluster's id.
    pub cluster_id: String,
    /// Brokers by id.
    pub brokers: BTreeMap<i32, BrokerInfo>,
    /// Topics in order of name; those asked for that do not exist are left out.
    pub topics: Vec<TopicInfo>,
}

impl Cluster {
    /// Connects to the first of `bootstrap` (`host:port`, several separated by commas) that answers.
    ///
    /// # Errors
    /// When none answers.
    pub async fn connect(supervisor: &Supervisor, rng: &Rng, bootstrap: &str, client_id: &str) -> Result<Self> {
        let mut failure = CliError::Usage("--bootstrap names no broker; write host:port".to_owned());
        for address in bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            let address = if address.contains(':') { address.to_owned() } else { format!("{address}:9092") };
            match Connection::open(supervisor, &address, client_id).await {
                Ok(connection) => {
                    return Ok(Self {
                        supervisor: supervisor.clone(),
                        rng: rng.clone(),
                        client_id: client_id.to_owned(),
                        bootstrap: connection,
                        connections: tokio::sync::Mutex::default(),
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// A connection to whichever broker answered first.
    #[must_use]
    pub fn any(&self) -> &Connection {
        &self.bootstrap
    }

    /// A connection of its own to `address`, not shared with anything else.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn open(&self, address: &str) -> Result<Connection> {
        Connection::open(&self.supervisor, address, &self.client_id).await
    }

    /// The shared connection to `address`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn at(&self, address: &str) -> Result<Connection> {
        let mut connections = self.connections.lock().await;
        if let Some(connection) = connections.get(address) {
            return Ok(connection.clone());
        }
        let connection = self.open(address).await?;
        connections.insert(address.to_owned(), connection.clone());
        Ok(connection)
    }

    /// Forgets the shared connection to `address`, so that the next one is fresh.
    pub async fn forget(&self, address: &str) {
        self.connections.lock().await.remove(address);
    }

    /// Sends to any broker.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send<R: Exchange>(&self, newest: i16, request: &R) -> Result<R::Response> {
        self.bootstrap.send(newest, request).await
    }

    /// Pauses between attempts.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_millis(50), Duration::from_secs(1), self.rng.clone())
    }

    /// Brokers, and the named topics (all when `None`).
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn info(&self, topics: Option<&[String]>) -> Result<ClusterInfo> {
        Ok(info_of(&self.metadata(topics, false).await?))
    }

    /// One topic that must exist, or is created by asking for it where the cluster does so (`may_create`). Waits
    /// a few seconds while a new topic has no leaders yet.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn topic(&self, name: &str, may_create: bool) -> Result<(TopicInfo, BTreeMap<i32, BrokerInfo>)> {
        let mut backoff = self.backoff();
        let mut code = 0;
        for _ in 0..ATTEMPTS {
            let answer = self.metadata(Some(&[name.to_owned()]), may_create).await?;
            code = answer.topics.first().map_or(0, |topic| {
                let partition = topic.partitions.iter().map(|partition| partition.error_code).find(|code| *code != 0);
                if topic.error_code != 0 { topic.error_code } else { partition.unwrap_or(0) }
            });
            let mut info = info_of(&answer);
            match ErrorCode::of(code) {
                None if !info.topics.is_empty() => return Ok((info.topics.remove(0), info.brokers)),
                Some(code) if !(may_create && code.is_retriable()) => break,
                _ => tokio::time::sleep(backoff.next_pause()).await,
            }
        }
        let reason = ErrorCode::of(code).map_or_else(|| "no answer".to_owned(), |code| code.to_string());
        let advice =
            if may_create { format!("topic create {name}` makes it") } else { "topic list` shows all".to_owned() };
        Err(CliError::Failed(format!("topic '{name}' can not be used: {reason}; `towpath {advice}")))
    }

    async fn metadata(&self, topics: Option<&[String]>, may_create: bool) -> Result<MetadataResponse> {
        let topics = topics.map(|names| {
            let named = |name: &String| MetadataRequestTopic::default().with_name(Some(WireTopicName(text(name))));
            names.iter().map(named).collect()
        });
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(may_create);
        // From version 4 on a client may forbid creation; version 12 is the newest that needs nothing else.
        self.send(12, &request).await
    }

    /// A connection to the coordinator of `group`.
    ///
    /// # Errors
    /// When the cluster names none within some seconds.
    pub async fn coordinator(&self, group: &str) -> Result<Connection> {
        let mut backoff = self.backoff();
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let request = FindCoordinatorRequest::default().with_key(text(group)).with_key_type(0);
            // Up to version 3 a request asks for one key.
            let answer = self.send(3, &request).await?;
            match ErrorCode::of(answer.error_code) {
                None => return self.at(&format!("{}:{}", answer.host.as_str(), answer.port)).await,
                Some(code) if code.is_retriable() && attempts_left > 0 => {
                    tokio::time::sleep(backoff.next_pause()).await;
                }
                Some(_) => {
                    let tried = format!("looking for the coordinator of group '{group}'");
                    check(answer.error_code, tried, answer.error_message.as_ref())?;
                }
            }
        }
    }
}

fn info_of(answer: &MetadataResponse) -> ClusterInfo {
    let brokers = answer.brokers.iter().map(|broker| {
        let rack = broker.rack.as_ref().map(|rack| rack.as_str().to_owned());
        let address = format!("{}:{}", broker.host.as_str(), broker.port);
        (broker.node_id.0, BrokerInfo { id: broker.node_id.0, address, rack })
    });
    let mut topics: Vec<TopicInfo> = answer
        .topics
        .iter()
        .filter(|topic| topic.error_code == 0)
        .filter_map(|topic| {
            let mut partitions: Vec<PartitionInfo> = topic
                .partitions
                .iter()
                .map(|partition| PartitionInfo {
                    partition: partition.partition_index,
                    leader: partition.leader_id.0,
                    replicas: partition.replica_nodes.iter().map(|id| id.0).collect(),
                })
                .collect();
            partitions.sort_by_key(|partition| partition.partition);
            let name = topic.name.as_ref()?.as_str().to_owned();
            Some(TopicInfo { name, id: topic.topic_id, internal: topic.is_internal, partitions })
        })
        .collect();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    ClusterInfo {
        cluster_id: answer.cluster_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
        brokers: brokers.collect(),
        topics,
    }
}
