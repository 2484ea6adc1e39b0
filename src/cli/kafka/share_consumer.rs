//! Reads topics as a member of a share group (KIP-932).
//!
//! One session per broker, one request on its way in each; what a member says of its records goes along with the next
//! fetch, or alone where it must not wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::base::backoff::Backoff;
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::{BrokerInfo, Cluster, TopicInfo};
use crate::cli::kafka::consumer::TopicPartition;
use crate::cli::kafka::protocol::{ErrorCode, check};
use crate::cli::kafka::records::{ConsumedRecord, read};
use crate::cli::kafka::share_acknowledgements::{Acknowledgements, PartitionKey};
use crate::cli::kafka::share_member::Membership;
use crate::cli::kafka::share_session::{ShareMember, ShareSession, ShareTuning};
use crate::coordinator::share::values::AcknowledgeType;
use crate::wire::share::fetch_response::{ShareFetchResponse, ShareFetchedPartition};

/// How often a fetch is tried again while its broker is gone.
const ATTEMPTS: u32 = 20;

/// A record that we hold until we say what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it is.
    pub partition: TopicPartition,
    /// Which delivery this is, from 1.
    pub delivery_count: i16,
    /// The record.
    pub record: ConsumedRecord,
}

/// What became of acknowledgements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Of which offsets.
    pub offsets: Vec<i64>,
    /// Why the broker did not take them, if so.
    pub refusal: Option<ErrorCode>,
}

/// News of one poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareNews {
    /// Records.
    pub deliveries: Vec<Delivery>,
    /// Answers to what was said earlier.
    pub acknowledged: Vec<Acknowledged>,
}

type Answer = (String, Result<ShareFetchResponse>);

/// A member of a share group that reads. Needs a [`Cluster`] of its own.
pub struct ShareConsumer {
    cluster: Arc<Cluster>,
    membership: Membership,
    tuning: ShareTuning,
    topics: BTreeMap<Uuid, (Arc<str>, TopicInfo)>,
    brokers: BTreeMap<i32, BrokerInfo>,
    names: Vec<String>,
    sessions: BTreeMap<String, ShareSession>,
    /// Which session delivered what is not acknowledged yet.
    sources: BTreeMap<PartitionKey, String>,
    in_flight: FuturesUnordered<BoxFuture<'static, Answer>>,
    busy: BTreeSet<String>,
    backoff: Backoff,
    failures: u32,
}

impl std::fmt::Debug for ShareConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShareConsumer").field("member", &self.membership.member).finish_non_exhaustive()
    }
}

impl ShareConsumer {
    /// A member that joins with [`ShareConsumer::join`] or its first poll.
    ///
    /// # Errors
    /// When a topic can not be used.
    pub async fn start(
        cluster: Arc<Cluster>,
        member: ShareMember,
        topics: &[String],
        tuning: ShareTuning,
    ) -> Result<Self> {
        let backoff = cluster.backoff();
        let membership = Membership::new(Arc::clone(&cluster), member, topics.to_vec());
        let mut consumer = Self {
            cluster,
            membership,
            tuning,
            topics: BTreeMap::new(),
            brokers: BTreeMap::new(),
            names: topics.to_vec(),
            sessions: BTreeMap::new(),
            sources: BTreeMap::new(),
            in_flight: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            backoff,
            failures: 0,
        };
        consumer.refresh().await?;
        Ok(consumer)
    }

    /// Joins the group without fetching.
    ///
    /// # Errors
    /// When the group can not be joined.
    pub async fn join(&mut self) -> Result<()> {
        self.membership.heartbeat().await.map(drop)
    }

    /// Waits for records or for answers to acknowledgements, at most as long as the tuning says. Also keeps the
    /// membership alive, so it must be called every few seconds.
    ///
    /// Cancelling it loses no request on its way; a delivery that it had not answered yet goes back with the session.
    ///
    /// # Errors
    /// When the group or a topic can not be read, or a broker stays away.
    pub async fn poll(&mut self) -> Result<ShareNews> {
        if self.membership.due() <= tokio::time::Instant::now() {
            self.membership.heartbeat().await?;
        }
        self.send_fetches().await?;
        let due = self.membership.due();
        let answer = tokio::select! {
            biased;
            answer = self.in_flight.next(), if !self.in_flight.is_empty() => answer,
            () = tokio::time::sleep_until(due) => None,
        };
        let Some((address, answer)) = answer else { return Ok(ShareNews::default()) };
        self.busy.remove(&address);
        self.take(&address, answer).await
    }

    /// Says what becomes of a record; the next request carries it.
    pub fn acknowledge(&mut self, partition: &TopicPartition, offset: i64, kind: AcknowledgeType) {
        let Some(key) = self.key_of(partition) else { return };
        // When the session is gone so is the lock: the record goes to somebody again.
        if let Some(session) = self.sources.get(&key).and_then(|address| self.sessions.get_mut(address)) {
            session.pending.add(key, offset, kind);
        }
    }

    /// Says at once what is pending, where no fetch is on its way that would be in between; the rest goes along with
    /// the next one.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub async fn commit(&mut self) -> Result<Vec<Acknowledged>> {
        let mut acknowledged = Vec::new();
        let addresses: Vec<String> = self.sessions.keys().filter(|at| !self.busy.contains(*at)).cloned().collect();
        for address in addresses {
            acknowledged.extend(self.say(&address, false).await?);
        }
        Ok(acknowledged)
    }

    /// Says what is pending, gives the rest back, and leaves the group.
    ///
    /// # Errors
    /// When a broker does not answer; then locks end by themselves.
    pub async fn close(mut self) -> Result<Vec<Acknowledged>> {
        let mut acknowledged = Vec::new();
        // What arrives from now on is given back with the session.
        while let Some((address, answer)) = self.in_flight.next().await {
            self.busy.remove(&address);
            if let Ok(news) = self.take(&address, answer).await {
                acknowledged.extend(news.acknowledged);
            }
        }
        for address in self.sessions.keys().cloned().collect::<Vec<_>>() {
            acknowledged.extend(self.say(&address, true).await?);
        }
        self.membership.leave().await?;
        Ok(acknowledged)
    }

    async fn say(&mut self, address: &str, is_last: bool) -> Result<Vec<Acknowledged>> {
        let Some(session) = self.sessions.get_mut(address) else { return Ok(Vec::new()) };
        if !session.is_open() || (session.pending.is_empty() && !is_last) {
            return Ok(Vec::new());
        }
        let request = session.acknowledge(&self.membership.member, is_last);
        let said = std::mem::take(&mut session.sending);
        let answer = session.connection.clone().send(2, &request).await?;
        let top = ErrorCode::of(answer.error_code);
        if top.is_none() {
            session.went_on();
        } else if top.is_some_and(is_session_over) {
            session.start_over();
        } else {
            check(answer.error_code, "acknowledging records", answer.error_message.as_ref())?;
        }
        let partitions = answer.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| ((topic.topic_id, partition.partition), partition.error_code))
        });
        let codes: BTreeMap<PartitionKey, i16> = partitions.collect();
        Ok(self.outcomes(&said, |key| top.or_else(|| codes.get(&key).copied().and_then(ErrorCode::of))))
    }

    /// Starts a fetch in every session that has none on its way.
    async fn send_fetches(&mut self) -> Result<()> {
        let mut by_leader: BTreeMap<String, BTreeSet<PartitionKey>> = BTreeMap::new();
        for key in &self.membership.assigned {
            let leader = self.topics.get(&key.0).and_then(|(_, topic)| {
                topic.partitions.iter().find(|info| info.partition == key.1).map(|info| info.leader)
            });
            if let Some(broker) = leader.and_then(|leader| self.brokers.get(&leader)) {
                by_leader.entry(broker.address.clone()).or_default().insert(*key);
            }
        }
        let idle = self.sessions.iter().filter(|(_, session)| session.has_news());
        let addresses: BTreeSet<String> = idle.map(|(at, _)| at.clone()).chain(by_leader.keys().cloned()).collect();
        for address in addresses {
            if self.busy.contains(&address) {
                continue;
            }
            if !self.sessions.contains_key(&address) {
                match self.cluster.open(&address).await {
                    Ok(connection) => drop(self.sessions.insert(address.clone(), ShareSession::new(connection))),
                    Err(error) => {
                        self.failed(error).await?;
                        continue;
                    }
                }
            }
            let Some(session) = self.sessions.get_mut(&address) else { continue };
            let wanted = by_leader.remove(&address).unwrap_or_default();
            let request = session.fetch(&self.membership.member, &wanted, self.tuning);
            let connection = session.connection.clone();
            self.busy.insert(address.clone());
            self.in_flight.push(Box::pin(async move {
                let answer = connection.send(2, &request).await;
                (address, answer)
            }));
        }
        Ok(())
    }

    async fn take(&mut self, address: &str, answer: Result<ShareFetchResponse>) -> Result<ShareNews> {
        let mut news = ShareNews::default();
        let Some(session) = self.sessions.get_mut(address) else { return Ok(news) };
        let said = std::mem::take(&mut session.sending);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error @ CliError::Unreachable(_)) => {
                self.sessions.remove(address);
                let unknown = ErrorCode(ResponseError::NetworkException.code());
                news.acknowledged = self.outcomes(&said, |_| Some(unknown));
                self.failed(error).await?;
                return Ok(news);
            }
            Err(error) => return Err(error),
        };
        if let Some(code) = ErrorCode::of(answer.error_code) {
            news.acknowledged = self.outcomes(&said, |_| Some(code));
            self.refused(address, code, &answer).await?;
            return Ok(news);
        }
        session.went_on();
        let mut codes: BTreeMap<PartitionKey, i16> = BTreeMap::new();
        let mut stale = None;
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let key = (topic.topic_id, partition.partition);
                codes.insert(key, partition.acknowledge_error_code);
                match ErrorCode::of(partition.error_code) {
                    None => self.deliver(address, key, partition, &mut news.deliveries)?,
                    Some(code) if code.is_retriable() || code.is(ResponseError::UnknownTopicId) => stale = Some(code),
                    Some(code) => {
                        let name = self.name_of(key);
                        let tried = format!("fetching '{}' partition {}", name.topic, name.partition);
                        check(code.0, tried, partition.error_message.as_ref())?;
                    }
                }
            }
        }
        news.acknowledged = self.outcomes(&said, |key| codes.get(&key).copied().and_then(ErrorCode::of));
        match stale {
            None => self.failures = 0,
            Some(code) => self.failed(CliError::Failed(format!("fetching from {address}: {code}"))).await?,
        }
        Ok(news)
    }

    /// The whole request was refused.
    async fn refused(&mut self, address: &str, code: ErrorCode, answer: &ShareFetchResponse) -> Result<()> {
        let group = &self.membership.member.group;
        let error = CliError::Failed(format!("fetching for share group '{group}' from {address}: {code}"));
        if !is_session_over(code) && !code.is_retriable() {
            let tried = format!("fetching for share group '{group}'");
            check(answer.error_code, tried, answer.error_message.as_ref())?;
        }
        if let Some(session) = self.sessions.get_mut(address) {
            session.start_over();
        }
        self.failed(error).await
    }

    /// Gathers records that were acquired; acquired offsets without a record are done with.
    fn deliver(
        &mut self,
        address: &str,
        key: PartitionKey,
        partition: &ShareFetchedPartition,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<()> {
        if partition.acquired.is_empty() {
            return Ok(());
        }
        let name = self.name_of(key);
        let mut found: BTreeMap<i64, ConsumedRecord> = BTreeMap::new();
        for run in &partition.records {
            let read = read(run, 0, &[]).map_err(|reason| {
                CliError::Failed(format!("reading '{}' partition {}: {reason}", name.topic, name.partition))
            })?;
            found.extend(read.records.into_iter().map(|record| (record.offset, record)));
        }
        self.sources.insert(key, address.to_owned());
        let Some(session) = self.sessions.get_mut(address) else { return Ok(()) };
        for range in &partition.acquired {
            for offset in range.first_offset..=range.last_offset {
                match found.remove(&offset) {
                    Some(record) => deliveries.push(Delivery {
                        partition: name.clone(),
                        delivery_count: range.delivery_count,
                        record,
                    }),
                    None => session.pending.add(key, offset, AcknowledgeType::Gap),
                }
            }
        }
        Ok(())
    }

    fn outcomes(
        &self,
        said: &Acknowledgements,
        refusal: impl Fn(PartitionKey) -> Option<ErrorCode>,
    ) -> Vec<Acknowledged> {
        let outcome =
            |key| Acknowledged { partition: self.name_of(key), offsets: said.offsets(key), refusal: refusal(key) };
        said.partitions().map(outcome).collect()
    }

    fn name_of(&self, key: PartitionKey) -> TopicPartition {
        let topic = self.topics.get(&key.0).map(|(name, _)| Arc::clone(name));
        TopicPartition { topic: topic.unwrap_or_else(|| key.0.to_string().into()), partition: key.1 }
    }

    fn key_of(&self, partition: &TopicPartition) -> Option<PartitionKey> {
        let found = self.topics.iter().find(|(_, (name, _))| *name == partition.topic);
        found.map(|(id, _)| (*id, partition.partition))
    }

    /// Something went wrong that may pass: looks around again, after a pause, some times in a row.
    async fn failed(&mut self, error: CliError) -> Result<()> {
        self.failures += 1;
        if self.failures > ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(self.backoff.next_pause()).await;
        // When even this fails, the next round tries again, up to the limit.
        let _ = self.refresh().await;
        Ok(())
    }

    async fn refresh(&mut self) -> Result<()> {
        for name in &self.names {
            let (topic, brokers) = self.cluster.topic(name, false).await?;
            self.topics.insert(topic.id, (name.as_str().into(), topic));
            self.brokers = brokers;
        }
        Ok(())
    }
}

/// Whether the broker says that it does not know the session as we do.
fn is_session_over(code: ErrorCode) -> bool {
    code.is(ResponseError::ShareSessionNotFound)
        || code.is(ResponseError::InvalidShareSessionEpoch)
        // SHARE_SESSION_LIMIT_REACHED: there may be room later.
        || code.0 == 133
}
