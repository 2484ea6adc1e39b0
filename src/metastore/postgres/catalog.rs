//! Catalog: topics, configurations, nodes, producer ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::catalog::Catalog;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::postgres::convert::{column, only, unsigned_column};
use crate::metastore::postgres::error::{Effect, Failure};
use crate::metastore::postgres::handle::PostgresMetastore;
use crate::metastore::postgres::pool::settle;
use crate::metastore::values::{
    CatalogRefusal, CatalogSnapshot, CatalogVersion, ConfigChange, ConfigResource, Configs, NewNode, NewTopic,
    NodeRecord, ProducerIdBlock, TopicRecord,
};
use crate::model::group::GroupId;
use crate::model::node::{Endpoint, NodeEpoch, NodeId, NodeIdentity, Rack};
use crate::model::producer::ProducerId;
use crate::model::topic::{TopicId, TopicName};

const TOPIC: i16 = 1;
const BROKER: i16 = 2;
const GROUP: i16 = 3;

type Outcome = std::result::Result<(), CatalogRefusal>;

#[async_trait]
impl Catalog for PostgresMetastore {
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid> {
        let known = self.database.query(Effect::Read, "SELECT cluster_id FROM cluster", &[]).await?;
        if let Some(cluster_id) = column::<Option<Uuid>>(only(&known)?, 0)? {
            return Ok(cluster_id);
        }
        let statement = "UPDATE cluster SET cluster_id = coalesce(cluster_id, $1) RETURNING cluster_id";
        let rows = self.database.query(Effect::Write, statement, &[&proposed]).await?;
        column(only(&rows)?, 0)
    }

    async fn now(&self) -> Result<Timestamp> {
        let rows = self.database.query(Effect::Read, "SELECT now_ms()", &[]).await?;
        Ok(Timestamp(column(only(&rows)?, 0)?))
    }

    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>> {
        let rows = self.database.query(Effect::Read, "SELECT catalog_version FROM cluster", &[]).await?;
        if CatalogVersion(unsigned_column(only(&rows)?, 0)?) == known {
            return Ok(None);
        }
        let mut attempts = self.database.attempts();
        loop {
            match self.try_catalog().await {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }

    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(topics.len());
        for topic in topics {
            outcomes.push(self.create_topic(topic).await?);
        }
        self.bell.ring();
        Ok(outcomes)
    }

    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(topics.len());
        for topic_id in topics {
            let rows = self.database.query(Effect::Write, "SELECT delete_topic($1)", &[&topic_id.0]).await?;
            let existed: bool = column(only(&rows)?, 0)?;
            outcomes.push(if existed { Ok(()) } else { Err(CatalogRefusal::UnknownTopic(topic_id)) });
        }
        self.bell.ring();
        // The topics are gone; what is left of them can also be cleared away later.
        if let Err(error) = self.drop_extents().await {
            tracing::warn!(%error, "the extents of deleted topics were not all removed; the next sweep goes on");
        }
        Ok(outcomes)
    }

    async fn create_partitions(&self, topic_id: TopicId, partition_count: i32) -> Result<Outcome> {
        let statement = "SELECT outcome, current_count FROM grow_topic($1, $2)";
        let rows = self.database.query(Effect::Write, statement, &[&topic_id.0, &partition_count]).await?;
        let row = only(&rows)?;
        self.bell.ring();
        Ok(match column::<i32>(row, 0)? {
            0 => Ok(()),
            1 => Err(CatalogRefusal::UnknownTopic(topic_id)),
            _ => Err(CatalogRefusal::PartitionCount { current: column(row, 1)?, asked: partition_count }),
        })
    }

    async fn alter_configs(&self, resource: ConfigResource, changes: Vec<ConfigChange>) -> Result<Outcome> {
        let (kind, text, topic_id) = match &resource {
            ConfigResource::Topic(topic_id) => (TOPIC, topic_id.to_string(), Some(topic_id.0)),
            ConfigResource::Broker(node_id) => {
                (BROKER, node_id.map(|node_id| node_id.to_string()).unwrap_or_default(), None)
            }
            ConfigResource::Group(group_id) => (GROUP, group_id.to_string(), None),
        };
        // The last change of an entry is the one that lasts.
        let last: BTreeMap<String, Option<String>> = changes
            .into_iter()
            .map(|change| match change {
                ConfigChange::Set(name, value) => (name, Some(value)),
                ConfigChange::Remove(name) => (name, None),
            })
            .collect();
        let (names, values): (Vec<_>, Vec<_>) = last.into_iter().unzip();
        let statement = "SELECT alter_configs($1, $2, $3, $4, $5)";
        let rows = self.database.query(Effect::Write, statement, &[&kind, &text, &topic_id, &names, &values]).await?;
        self.bell.ring();
        let exists: bool = column(only(&rows)?, 0)?;
        Ok(match topic_id {
            Some(topic_id) if !exists => Err(CatalogRefusal::UnknownTopic(TopicId(topic_id))),
            _ => Ok(()),
        })
    }

    async fn register_node(&self, node: NewNode) -> Result<NodeRecord> {
        let NewNode { node_id, incarnation, endpoint, rack, session_ms } = node;
        let statement = "SELECT given_id, given_epoch, given_expiry, holder FROM register_node($1, $2, $3, $4, $5, $6)";
        let (wanted, port, rack_text) =
            (node_id.map(|id| id.0), i32::from(endpoint.port), rack.as_ref().map(|r| &*r.0));
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&wanted, &incarnation, &endpoint.host, &port, &rack_text, &i64::from(session_ms)];
        let rows = self.database.query(Effect::Write, statement, &parameters).await?;
        let row = only(&rows)?;
        let identity = NodeIdentity { node_id: NodeId(column(row, 0)?), node_epoch: NodeEpoch(column(row, 1)?) };
        if let Some(holder) = column::<Option<&str>>(row, 3)? {
            let reason = format!("a living agent at {holder} holds the id");
            return Err(MetastoreError::Fenced { node_id: identity.node_id, reason });
        }
        let expires_at = Timestamp(column(row, 2)?);
        Ok(NodeRecord { identity, incarnation, endpoint, rack, draining: false, expires_at })
    }

    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>> {
        // Both parts see the table as it was before: the node's own row is the one the update returns.
        let statement = "WITH own AS (UPDATE nodes SET expires_at = now_ms() + session_ms, draining = $3 \
                         WHERE node_id = $1 AND node_epoch = $2 AND registered RETURNING *) \
                         SELECT node_id, node_epoch, incarnation, host, port, rack, draining, expires_at FROM own \
                         UNION ALL \
                         SELECT node_id, node_epoch, incarnation, host, port, rack, draining, expires_at FROM nodes \
                         WHERE node_id <> $1 AND registered AND expires_at > now_ms() ORDER BY node_id";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&node.node_id.0, &node.node_epoch.0, &draining];
        let rows = self.database.query(Effect::Write, statement, &parameters).await?;
        let living = rows.iter().map(node_record).collect::<Result<Vec<_>>>()?;
        if living.iter().any(|record| record.identity == node) { Ok(living) } else { Err(self.fenced(node).await) }
    }

    async fn deregister_node(&self, node: NodeIdentity) -> Result<()> {
        let statement = "SELECT deregister_node($1, $2)";
        self.database.query(Effect::Write, statement, &[&node.node_id.0, &node.node_epoch.0]).await?;
        Ok(())
    }

    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock> {
        let statement = "UPDATE producer_ids SET next_id = next_id + $1 RETURNING next_id - $1";
        let rows = self.database.query(Effect::Write, statement, &[&i64::from(count)]).await?;
        Ok(ProducerIdBlock { first: ProducerId(column(only(&rows)?, 0)?), count })
    }
}

impl PostgresMetastore {
    async fn create_topic(&self, topic: NewTopic) -> Result<Outcome> {
        let NewTopic { topic_id, name, partition_count, replication_factor, configs } = topic;
        if partition_count < 1 && !self.topic_exists(topic_id, &name).await? {
            return Ok(Err(CatalogRefusal::PartitionCount { current: 0, asked: partition_count }));
        }
        let (names, values): (Vec<_>, Vec<_>) = configs.into_iter().unzip();
        let statement = "SELECT outcome, taken FROM create_topic($1, $2, $3, $4, $5, $6)";
        let text = name.as_str();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&topic_id.0, &text, &partition_count, &replication_factor, &names, &values];
        let rows = self.database.query(Effect::Write, statement, &parameters).await?;
        let row = only(&rows)?;
        Ok(match column::<i32>(row, 0)? {
            0 | 1 => Ok(()),
            _ => Err(CatalogRefusal::TopicExists(topic_name(column(row, 1)?)?)),
        })
    }

    /// Whether either is taken, which is refused before the number of partitions is looked at.
    async fn topic_exists(&self, topic_id: TopicId, name: &TopicName) -> Result<bool> {
        let statement = "SELECT EXISTS (SELECT 1 FROM topics WHERE topic_id = $1 OR name = $2)";
        let rows = self.database.query(Effect::Read, statement, &[&topic_id.0, &name.as_str()]).await?;
        column(only(&rows)?, 0)
    }

    /// Topics and configurations at one moment.
    async fn try_catalog(&self) -> std::result::Result<CatalogSnapshot, Failure> {
        let mut client = self.database.client().await?;
        let answer = self.database.within(async {
            let failure = |error| Failure::of(Effect::Read, &error);
            let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
            let transaction = builder.start().await.map_err(failure)?;
            let version = transaction.query_one("SELECT catalog_version FROM cluster", &[]).await.map_err(failure)?;
            let topics = "SELECT topic_id, name, partition_count, replication_factor, created_at FROM topics";
            let topics = transaction.query(topics, &[]).await.map_err(failure)?;
            let entries = "SELECT resource_kind, resource, name, value FROM config_entries";
            let entries = transaction.query(entries, &[]).await.map_err(failure)?;
            transaction.commit().await.map_err(failure)?;
            Ok(snapshot(&version, &topics, &entries)?)
        });
        let answer = answer.await;
        settle(client, Effect::Read, answer)
    }

    /// Why a node's registration does not hold.
    pub(super) async fn fenced(&self, node: NodeIdentity) -> MetastoreError {
        let statement = "SELECT node_epoch, host || ':' || port FROM nodes WHERE node_id = $1";
        let rows = match self.database.query(Effect::Read, statement, &[&node.node_id.0]).await {
            Ok(rows) => rows,
            Err(error) => return error,
        };
        let reason = match rows.first() {
            None => "it was never registered here".to_owned(),
            Some(row) => match (column::<i64>(row, 0), column::<&str>(row, 1)) {
                (Ok(epoch), Ok(holder)) if epoch != node.node_epoch.0 => {
                    format!("epoch {epoch} (at {holder}) took over from epoch {}", node.node_epoch.0)
                }
                _ => format!("epoch {} was deregistered", node.node_epoch.0),
            },
        };
        MetastoreError::Fenced { node_id: node.node_id, reason }
    }
}

fn snapshot(version: &Row, topics: &[Row], entries: &[Row]) -> Result<CatalogSnapshot> {
    let mut of_topics: BTreeMap<String, Configs> = BTreeMap::new();
    let mut configs: BTreeMap<ConfigResource, Configs> = BTreeMap::new();
    for row in entries {
        let (kind, resource): (i16, &str) = (column(row, 0)?, column(row, 1)?);
        let entries = match kind {
            TOPIC => of_topics.entry(resource.to_owned()).or_default(),
            BROKER if resource.is_empty() => configs.entry(ConfigResource::Broker(None)).or_default(),
            BROKER => {
                let node_id = resource.parse().map_err(|_| unreadable("broker", resource))?;
                configs.entry(ConfigResource::Broker(Some(NodeId(node_id)))).or_default()
            }
            GROUP => configs.entry(ConfigResource::Group(GroupId::from(resource))).or_default(),
            _ => return Err(unreadable("resource", resource)),
        };
        entries.insert(column(row, 2)?, column(row, 3)?);
    }
    let mut snapshot = CatalogSnapshot {
        version: CatalogVersion(unsigned_column(version, 0)?),
        configs,
        ..CatalogSnapshot::default()
    };
    for row in topics {
        let topic_id = TopicId(column(row, 0)?);
        let topic = Arc::new(TopicRecord {
            topic_id,
            name: topic_name(column(row, 1)?)?,
            partition_count: column(row, 2)?,
            replication_factor: column(row, 3)?,
            created_at: Timestamp(column(row, 4)?),
            configs: of_topics.remove(&topic_id.to_string()).unwrap_or_default(),
        });
        snapshot.topics.insert(topic.name.clone(), Arc::clone(&topic));
        snapshot.topics_by_id.insert(topic_id, topic);
    }
    Ok(snapshot)
}

fn node_record(row: &Row) -> Result<NodeRecord> {
    let port: i32 = column(row, 4)?;
    Ok(NodeRecord {
        identity: NodeIdentity { node_id: NodeId(column(row, 0)?), node_epoch: NodeEpoch(column(row, 1)?) },
        incarnation: column(row, 2)?,
        endpoint: Endpoint {
            host: column(row, 3)?,
            port: u16::try_from(port).map_err(|_| unreadable("port", &port.to_string()))?,
        },
        rack: column::<Option<&str>>(row, 5)?.map(|rack| Rack(rack.into())),
        draining: column(row, 6)?,
        expires_at: Timestamp(column(row, 7)?),
    })
}

fn topic_name(name: &str) -> Result<TopicName> {
    TopicName::new(name).map_err(|error| unreadable("topic name", &error.to_string()))
}

fn unreadable(what: &str, text: &str) -> MetastoreError {
    MetastoreError::Unreadable(format!("the {what} {text:?} makes no sense"))
}
