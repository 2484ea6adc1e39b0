//! Cases of the catalog.

use std::time::Duration;

use futures::future::join_all;

use crate::metastore::conformance::kit::{Bench, new_node, partition};
use crate::metastore::conformance::suite::Case;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{
    CatalogRefusal, CatalogSnapshot, CatalogVersion, ConfigChange, ConfigResource, Configs, NodeRecord,
};
use crate::model::group::GroupId;
use crate::model::node::{NodeEpoch, NodeIdentity, Rack};
use crate::model::topic::TopicId;

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("the first cluster id proposed stays", the_first_cluster_id_proposed_stays),
        Case::new("a topic appears in the catalog under a new version", a_topic_appears_in_the_catalog),
        Case::new("creating a topic is idempotent by identity", creating_a_topic_is_idempotent),
        Case::new("one refused topic does not hold up the others", one_refusal_does_not_hold_up_others),
        Case::new("partitions only grow", partitions_only_grow),
        Case::new("a deleted topic is gone and its name free", a_deleted_topic_is_gone),
        Case::new("configurations of topics, brokers and groups change", configurations_change),
        Case::new("the catalog version changes only with the catalog", the_version_changes_with_the_catalog),
        Case::new("a node that registers again fences its former self", registering_again_fences),
        Case::new("a living node's id can not be taken", a_living_nodes_id_can_not_be_taken),
        Case::new("a dead node's id can be taken", a_dead_nodes_id_can_be_taken),
        Case::new("a node whose time ran out revives", a_late_node_revives),
        Case::new("a deregistered node is fenced", a_deregistered_node_is_fenced),
        Case::new("a beat lists the living", a_beat_lists_the_living),
        Case::new("nodes that register at once get different ids", nodes_at_once_get_different_ids),
        Case::new("producer id blocks never overlap", producer_id_blocks_never_overlap),
    ]
}

async fn snapshot(bench: &Bench) -> CatalogSnapshot {
    let snapshot = bench.metastore.catalog(CatalogVersion(0)).await.expect("the catalog can be read");
    snapshot.expect("version 0 is never current")
}

async fn the_first_cluster_id_proposed_stays(bench: Bench) {
    let first = bench.metastore.cluster_id(bench.uuid()).await.expect("a cluster id");
    let second = bench.metastore.cluster_id(bench.uuid()).await.expect("a cluster id");
    assert_eq!(first, second);
}

async fn a_topic_appears_in_the_catalog(bench: Bench) {
    let before = snapshot(&bench).await;
    let mut topic = bench.new_topic("topic", 3);
    topic.configs = Configs::from([("retention.ms".to_owned(), "1000".to_owned())]);
    let created_after = bench.metastore.now().await.expect("a time");
    assert_eq!(bench.metastore.create_topics(vec![topic.clone()]).await.expect("created"), [Ok(())]);
    let after = bench.metastore.catalog(before.version).await.expect("readable").expect("the catalog changed");
    assert!(after.version > before.version);
    let record = &after.topics[&topic.name];
    assert_eq!((record.topic_id, &record.name, record.partition_count), (topic.topic_id, &topic.name, 3));
    assert_eq!((record.replication_factor, &record.configs), (3, &topic.configs));
    assert!(record.created_at >= created_after);
    assert_eq!(after.topics_by_id[&topic.topic_id], *record);
    for index in 0..3 {
        let bounds = bench.bounds(partition(topic.topic_id, index)).await;
        assert_eq!((bounds.log_start_offset.0, bounds.high_watermark.0, bounds.byte_size), (0, 0, 0));
        assert_eq!(bounds.last_stable_offset.0, 0);
    }
    let unknown =
        vec![partition(topic.topic_id, 3), partition(topic.topic_id, -1), partition(TopicId(bench.uuid()), 0)];
    assert_eq!(bench.metastore.bounds(unknown).await.expect("bounds"), [None, None, None]);
}

async fn creating_a_topic_is_idempotent(bench: Bench) {
    let topic = bench.new_topic("topic", 2);
    assert_eq!(bench.metastore.create_topics(vec![topic.clone()]).await.expect("created"), [Ok(())]);
    let version = snapshot(&bench).await.version;
    assert_eq!(bench.metastore.create_topics(vec![topic.clone()]).await.expect("created"), [Ok(())]);
    assert_eq!(snapshot(&bench).await.version, version, "a repetition changes nothing");
    let other = bench.new_topic("topic", 2);
    let refused = Err(CatalogRefusal::TopicExists(topic.name.clone()));
    assert_eq!(bench.metastore.create_topics(vec![other]).await.expect("answered"), [refused]);
    assert_eq!(snapshot(&bench).await.topics[&topic.name].topic_id, topic.topic_id);
}

async fn one_refusal_does_not_hold_up_others(bench: Bench) {
    let first = bench.new_topic("taken", 1);
    let second = bench.new_topic("taken", 1);
    let third = bench.new_topic("free", 1);
    let topics = vec![first.clone(), second.clone(), third.clone()];
    let refused = Err(CatalogRefusal::TopicExists(second.name.clone()));
    assert_eq!(bench.metastore.create_topics(topics).await.expect("answered"), [Ok(()), refused, Ok(())]);
    let ids = vec![third.topic_id, second.topic_id, first.topic_id];
    let unknown = Err(CatalogRefusal::UnknownTopic(second.topic_id));
    assert_eq!(bench.metastore.delete_topics(ids).await.expect("answered"), [Ok(()), unknown, Ok(())]);
    let after = snapshot(&bench).await;
    assert!(!after.topics.contains_key(&first.name) && !after.topics.contains_key(&third.name));
}

async fn partitions_only_grow(bench: Bench) {
    let topic_id = bench.topic("topic", 2).await;
    let grow = |count| bench.metastore.create_partitions(topic_id, count);
    assert_eq!(grow(4).await.expect("answered"), Ok(()));
    assert_eq!(grow(4).await.expect("answered"), Err(CatalogRefusal::PartitionCount { current: 4, asked: 4 }));
    assert_eq!(grow(3).await.expect("answered"), Err(CatalogRefusal::PartitionCount { current: 4, asked: 3 }));
    assert_eq!(snapshot(&bench).await.topics_by_id[&topic_id].partition_count, 4);
    assert_eq!(bench.bounds(partition(topic_id, 3)).await.high_watermark.0, 0);
    let unknown = TopicId(bench.uuid());
    let outcome = bench.metastore.create_partitions(unknown, 9).await.expect("answered");
    assert_eq!(outcome, Err(CatalogRefusal::UnknownTopic(unknown)));
}

async fn a_deleted_topic_is_gone(bench: Bench) {
    let topic_id = bench.topic("topic", 1).await;
    assert_eq!(bench.metastore.delete_topics(vec![topic_id]).await.expect("answered"), [Ok(())]);
    let gone = snapshot(&bench).await;
    assert!(!gone.topics.contains_key(&bench.topic_name("topic")) && !gone.topics_by_id.contains_key(&topic_id));
    assert_eq!(bench.metastore.bounds(vec![partition(topic_id, 0)]).await.expect("bounds"), [None]);
    let fresh = bench.topic("topic", 1).await;
    assert_eq!(snapshot(&bench).await.topics[&bench.topic_name("topic")].topic_id, fresh);
}

async fn configurations_change(bench: Bench) {
    let set = |name: &str, value: &str| ConfigChange::Set(name.to_owned(), value.to_owned());
    let remove = |name: &str| ConfigChange::Remove(name.to_owned());
    let topic_id = bench.topic("topic", 1).await;
    let group = ConfigResource::Group(GroupId::from(bench.topic_name("group").as_str()));
    let broker = ConfigResource::Broker(Some(bench.node.node_id));
    for resource in [ConfigResource::Topic(topic_id), group, broker] {
        let entries = async || match &resource {
            ConfigResource::Topic(_) => Some(snapshot(&bench).await.topics_by_id[&topic_id].configs.clone()),
            other => snapshot(&bench).await.configs.get(other).cloned(),
        };
        let alter = |changes| bench.metastore.alter_configs(resource.clone(), changes);
        assert_eq!(alter(vec![set("a", "1"), set("b", "2")]).await.expect("answered"), Ok(()));
        assert_eq!(alter(vec![set("a", "3"), remove("b"), remove("c")]).await.expect("answered"), Ok(()));
        assert_eq!(entries().await, Some(Configs::from([("a".to_owned(), "3".to_owned())])));
        assert_eq!(alter(vec![remove("a")]).await.expect("answered"), Ok(()));
        assert!(entries().await.unwrap_or_default().is_empty());
    }
    let unknown = TopicId(bench.uuid());
    let outcome = bench.metastore.alter_configs(ConfigResource::Topic(unknown), vec![set("a", "1")]).await;
    assert_eq!(outcome.expect("answered"), Err(CatalogRefusal::UnknownTopic(unknown)));
}

async fn the_version_changes_with_the_catalog(bench: Bench) {
    let topic_id = bench.topic("topic", 1).await;
    let mut version = snapshot(&bench).await.version;
    assert_eq!(bench.metastore.catalog(version).await.expect("readable"), None);
    let mut expect_change = async |what: &str| {
        let changed = bench.metastore.catalog(version).await.expect("readable");
        let now = changed.unwrap_or_else(|| panic!("{what} changes the catalog")).version;
        assert!(now > version, "{what}");
        version = now;
    };
    bench.metastore.create_partitions(topic_id, 2).await.expect("answered").expect("grows");
    expect_change("growing").await;
    let change = ConfigChange::Set("a".to_owned(), "1".to_owned());
    let altered = bench.metastore.alter_configs(ConfigResource::Topic(topic_id), vec![change]).await;
    altered.expect("answered").expect("alters");
    expect_change("altering").await;
    bench.metastore.delete_topics(vec![topic_id]).await.expect("answered").remove(0).expect("deletes");
    expect_change("deleting").await;
    let page = bench.metastore.feed(bench.follow().await.position, Duration::ZERO).await.expect("the feed");
    assert_eq!(page.catalog_version, version, "the feed tells the version");
}

fn is_fenced(outcome: &Result<Vec<NodeRecord>, MetastoreError>, node: NodeIdentity) -> bool {
    matches!(outcome, Err(MetastoreError::Fenced { node_id, .. }) if *node_id == node.node_id)
}

async fn registering_again_fences(bench: Bench) {
    let (metastore, incarnation) = (&bench.metastore, bench.uuid());
    let first = metastore.register_node(new_node(None, incarnation, 60_000)).await.expect("registered").identity;
    let wanted = Some(first.node_id);
    let second = metastore.register_node(new_node(wanted, incarnation, 60_000)).await.expect("registered").identity;
    assert_eq!(second.node_id, first.node_id);
    assert!(second.node_epoch > first.node_epoch);
    assert!(is_fenced(&metastore.beat(first, false).await, first));
    metastore.beat(second, false).await.expect("the newest epoch beats");
    metastore.deregister_node(first).await.expect("ending what is over is no error");
    metastore.beat(second, false).await.expect("an old epoch can not end a new one");
}

async fn a_living_nodes_id_can_not_be_taken(bench: Bench) {
    let outcome = bench.metastore.register_node(new_node(Some(bench.node.node_id), bench.uuid(), 60_000)).await;
    assert!(is_fenced(&outcome.map(|record| vec![record]), bench.node));
    bench.metastore.beat(bench.node, false).await.expect("the holder goes on");
}

async fn a_dead_nodes_id_can_be_taken(bench: Bench) {
    let metastore = &bench.metastore;
    let dead = metastore.register_node(new_node(None, bench.uuid(), 50)).await.expect("registered").identity;
    tokio::time::sleep(Duration::from_millis(120)).await;
    let heir = metastore.register_node(new_node(Some(dead.node_id), bench.uuid(), 60_000)).await.expect("taken");
    assert_eq!(heir.identity.node_id, dead.node_id);
    assert!(heir.identity.node_epoch > dead.node_epoch);
    assert!(is_fenced(&metastore.beat(dead, false).await, dead));
}

async fn a_late_node_revives(bench: Bench) {
    let metastore = &bench.metastore;
    let late = metastore.register_node(new_node(None, bench.uuid(), 50)).await.expect("registered").identity;
    tokio::time::sleep(Duration::from_millis(120)).await;
    let living = metastore.beat(bench.node, false).await.expect("living");
    assert!(living.iter().all(|record| record.identity != late), "its time ran out");
    let living = metastore.beat(late, false).await.expect("nobody took its epoch");
    assert!(living.iter().any(|record| record.identity == late));
}

async fn a_deregistered_node_is_fenced(bench: Bench) {
    let metastore = &bench.metastore;
    let node = metastore.register_node(new_node(None, bench.uuid(), 60_000)).await.expect("registered").identity;
    metastore.deregister_node(node).await.expect("ended");
    metastore.deregister_node(node).await.expect("ending twice is no error");
    assert!(is_fenced(&metastore.beat(node, false).await, node));
    let living = metastore.beat(bench.node, false).await.expect("living");
    assert!(living.iter().all(|record| record.identity.node_id != node.node_id));
    let heir = metastore.register_node(new_node(Some(node.node_id), bench.uuid(), 60_000)).await.expect("free");
    assert!(heir.identity.node_epoch > node.node_epoch, "epochs never repeat");
    let unknown = NodeIdentity { node_id: node.node_id, node_epoch: NodeEpoch(i64::MAX) };
    assert!(is_fenced(&metastore.beat(unknown, false).await, unknown));
}

async fn a_beat_lists_the_living(bench: Bench) {
    let metastore = &bench.metastore;
    let mut wanted = new_node(None, bench.uuid(), 60_000);
    wanted.rack = Some(Rack("zone-a".into()));
    let record = metastore.register_node(wanted.clone()).await.expect("registered");
    assert_eq!((&record.endpoint, &record.rack, record.draining), (&wanted.endpoint, &wanted.rack, false));
    assert_eq!(record.incarnation, wanted.incarnation);
    assert!(record.expires_at > metastore.now().await.expect("a time"));
    let living = metastore.beat(record.identity, true).await.expect("living");
    assert!(living.windows(2).all(|pair| pair[0].identity.node_id < pair[1].identity.node_id), "sorted by id");
    assert!(living.iter().any(|other| other.identity == bench.node));
    let own = living.iter().find(|other| other.identity == record.identity).expect("itself included");
    assert!(own.draining && own.expires_at >= record.expires_at);
    let seen = metastore.beat(bench.node, false).await.expect("living");
    assert!(seen.iter().any(|other| other.identity == record.identity && other.draining), "others see it drain");
}

async fn nodes_at_once_get_different_ids(bench: Bench) {
    let nodes = (0..8).map(|_| bench.metastore.register_node(new_node(None, bench.uuid(), 60_000)));
    let records = join_all(nodes).await.into_iter().map(|record| record.expect("registered").identity.node_id);
    let mut ids: Vec<_> = records.collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}

async fn producer_id_blocks_never_overlap(bench: Bench) {
    let counts = [1_u32, 5, 1000, 1, 17, 3, 2, 900];
    let blocks = join_all(counts.map(|count| bench.metastore.allocate_producer_ids(count))).await;
    let mut blocks: Vec<_> = blocks.into_iter().map(|block| block.expect("a block")).collect();
    let mut asked = counts.to_vec();
    asked.sort_unstable();
    let mut given: Vec<_> = blocks.iter().map(|block| block.count).collect();
    given.sort_unstable();
    assert_eq!(given, asked);
    blocks.sort_by_key(|block| block.first);
    assert!(blocks[0].first.0 >= 0);
    for pair in blocks.windows(2) {
        assert!(pair[0].first.0 + i64::from(pair[0].count) <= pair[1].first.0);
    }
}
