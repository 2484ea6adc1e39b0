use std::collections::BTreeSet;

use super::*;
use crate::api::kit::Kit;
use crate::config::broker::BrokerDefaults;

fn named(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(text(*name).into()));
    MetadataRequest::default().with_topics(Some(names.iter().map(topic).collect()))
}

fn by_id(topic_id: uuid::Uuid) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(None).with_topic_id(topic_id);
    MetadataRequest::default().with_topics(Some(vec![topic]))
}

fn codes(response: &MetadataResponse) -> Vec<i16> {
    response.topics.iter().map(|topic| topic.error_code).collect()
}

#[tokio::test(start_paused = true)]
async fn every_version_creates_and_names_the_topic() {
    let kit = Kit::with(BrokerDefaults { partition_count: 3, ..BrokerDefaults::default() }).await;
    for version in 0..=13 {
        let name = format!("t{version}");
        let response = kit.ask::<Metadata>(version, named(&[&name])).await;
        assert_eq!(codes(&response), [0], "version {version}");
        assert_eq!(response.brokers.len(), 2);
        let topic = &response.topics[0];
        assert_eq!(topic.partitions.len(), 3);
        let known: BTreeSet<i32> = response.brokers.iter().map(|broker| broker.node_id.0).collect();
        for partition in &topic.partitions {
            assert!(known.contains(&partition.leader_id.0), "version {version}");
            assert_eq!(partition.replica_nodes, [partition.leader_id]);
            assert_eq!(partition.isr_nodes, partition.replica_nodes);
            assert_eq!(partition.leader_epoch, if version >= 7 { 0 } else { -1 });
        }
        if version >= 2 {
            assert_eq!(response.cluster_id.as_deref(), Some(&*kit.services.cluster_id.to_string()));
        }
        if version >= 10 {
            let found = kit.services.catalog.snapshot().topics[&TopicName::new(&name).expect("legal")].topic_id;
            assert_eq!(topic.topic_id, found.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_and_none_are_said_differently_by_version() {
    let kit = Kit::start().await;
    let _ = kit.ask::<Metadata>(12, named(&["a", "b"])).await;
    for (version, topics, count) in [(0, Some(vec![]), 2), (1, Some(vec![]), 0), (1, None, 2), (13, None, 2)] {
        let response = kit.ask::<Metadata>(version, MetadataRequest::default().with_topics(topics)).await;
        assert_eq!(response.topics.len(), count, "version {version}");
    }
}

#[tokio::test(start_paused = true)]
async fn missing_topics_are_created_only_when_setting_and_request_allow_it() {
    let kit = Kit::start().await;
    let forbidden = named(&["t"]).with_allow_auto_topic_creation(false);
    assert_eq!(codes(&kit.ask::<Metadata>(4, forbidden.clone()).await), [3]);
    let off = Kit::with(BrokerDefaults { auto_create_topics: false, ..BrokerDefaults::default() }).await;
    assert_eq!(codes(&off.ask::<Metadata>(12, named(&["t"])).await), [3]);
    assert_eq!(codes(&off.ask::<Metadata>(1, named(&["t"])).await), [3]);
}

#[tokio::test(start_paused = true)]
async fn illegal_and_colliding_names_are_invalid() {
    let kit = Kit::start().await;
    assert_eq!(codes(&kit.ask::<Metadata>(12, named(&["a.b"])).await), [0]);
    assert_eq!(codes(&kit.ask::<Metadata>(12, named(&["a_b", "no spaces", "", "fine"])).await), [17, 17, 17, 0]);
}

#[tokio::test(start_paused = true)]
async fn topics_are_found_by_identity_from_version_12_on() {
    let kit = Kit::start().await;
    let topic_id = kit.ask::<Metadata>(12, named(&["t"])).await.topics[0].topic_id;
    for version in [12, 13] {
        let response = kit.ask::<Metadata>(version, by_id(topic_id)).await;
        assert_eq!(response.topics[0].name.as_ref().map(|name| name.as_str()), Some("t"));
        let response = kit.ask::<Metadata>(version, by_id(uuid::Uuid::from_u128(4))).await;
        assert_eq!((codes(&response), &response.topics[0].name), (vec![100], &None));
        assert_eq!(response.topics[0].topic_id, uuid::Uuid::from_u128(4));
    }
    let response = kit.ask::<Metadata>(11, by_id(topic_id)).await;
    assert_eq!(codes(&response), [42]);
}

#[tokio::test(start_paused = true)]
async fn the_leader_is_of_the_clients_zone() {
    let kit = Kit::with(BrokerDefaults { partition_count: 20, ..BrokerDefaults::default() }).await;
    let view = kit.services.membership.view();
    for (client_id, zone) in [("app,diskless_az=a", "a"), ("app_ws_az=b", "b")] {
        let response = kit.ask_as::<Metadata>(client_id, 12, named(&["t"])).await;
        let expected = view.nodes.iter().find(|node| node.rack == Some(Rack(zone.into()))).expect("registered");
        assert!(response.topics[0].partitions.iter().all(|one| one.leader_id.0 == expected.identity.node_id.0));
    }
    let response = kit.ask::<Metadata>(12, named(&["t"])).await;
    let leaders: BTreeSet<i32> = response.topics[0].partitions.iter().map(|one| one.leader_id.0).collect();
    assert_eq!(leaders.len(), 2, "without a zone both agents lead");
}

#[tokio::test(start_paused = true)]
async fn operations_are_told_when_asked_for() {
    let kit = Kit::start().await;
    let asked = named(&["t"]).with_include_topic_authorized_operations(true);
    assert_eq!(kit.ask::<Metadata>(8, asked).await.topics[0].topic_authorized_operations, 3576);
    assert_eq!(kit.ask::<Metadata>(8, named(&["t"])).await.topics[0].topic_authorized_operations, i32::MIN);
}
