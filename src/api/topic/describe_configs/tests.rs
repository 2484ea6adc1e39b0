use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::*;
use crate::api::kit::Kit;
use crate::api::topic::create_topics::CreateTopics;
use crate::api::topic::incremental_alter_configs::IncrementalAlterConfigs;
use crate::api::topic::resource::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};

async fn kit_with_topic() -> Kit {
    let kit = Kit::start().await;
    let topic = CreatableTopic::default().with_name(text("t").into()).with_num_partitions(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]);
    assert_eq!(kit.ask::<CreateTopics>(5, request).await.topics[0].error_code, 0);
    kit
}

fn describe(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let keys = keys.map(|keys| keys.iter().map(|key| text(*key)).collect());
    let resource = DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name));
    DescribeConfigsRequest::default().with_resources(vec![resource.with_configuration_keys(keys)])
}

async fn alter(kit: &Kit, kind: i8, name: &str, operation: i8, key: &str, value: Option<&str>) -> (i16, String) {
    let config =
        AlterableConfig::default().with_name(text(key)).with_config_operation(operation).with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = kit.ask::<IncrementalAlterConfigs>(1, request).await.responses.remove(0);
    assert_eq!(response.error_message.is_none(), response.error_code == 0, "success has no message, as Kafka's");
    (response.error_code, response.error_message.map(|text| text.to_string()).unwrap_or_default())
}

async fn value(kit: &Kit, kind: i8, name: &str, key: &str) -> (String, i8) {
    let result = kit.ask::<DescribeConfigs>(4, describe(kind, name, Some(&[key]))).await.results.remove(0);
    assert_eq!((result.error_code, result.configs.len()), (0, 1), "{:?}", result.error_message);
    let config = &result.configs[0];
    (config.value.as_deref().unwrap_or("null").to_owned(), config.config_source)
}

#[tokio::test(start_paused = true)]
async fn every_version_describes_a_topic() {
    let kit = kit_with_topic().await;
    for version in 1..=4 {
        let mut request = describe(TOPIC, "t", None).with_include_synonyms(true);
        request.include_documentation = version >= 3;
        let result = kit.ask::<DescribeConfigs>(version, request).await.results.remove(0);
        assert_eq!((result.error_code, result.resource_type, result.resource_name.as_str()), (0, TOPIC, "t"));
        assert_eq!(result.configs.len(), crate::config::topic_table::TOPIC_CONFIGS.len());
        let named = |name: &str| result.configs.iter().find(|config| config.name.as_str() == name).expect(name);
        // TopicCommand parses this one.
        assert_eq!(named("min.insync.replicas").value.as_deref(), Some("1"));
        let preallocate = named("preallocate");
        assert_eq!((preallocate.config_source, preallocate.read_only, preallocate.is_sensitive), (5, false, false));
        assert_eq!(preallocate.synonyms[0].name.as_str(), "log.preallocate");
        if version >= 3 {
            assert_eq!(preallocate.config_type, 1);
            let documentation = preallocate.documentation.as_deref().expect("asked for");
            assert!(documentation.ends_with("No effect: agents have no disks."), "{documentation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_shows_what_tools_read() {
    let kit = Kit::start().await;
    let view = kit.services.membership.view();
    let this = view.this.node_id.to_string();
    assert_eq!(value(&kit, BROKER, &this, "inter.broker.protocol.version").await, ("4.1".to_owned(), 5));
    assert_eq!(value(&kit, BROKER, &this, "auto.create.topics.enable").await, ("true".to_owned(), 4));
    assert_eq!(value(&kit, BROKER, &this, "broker.rack").await, ("a".to_owned(), 4));
    assert_eq!(value(&kit, BROKER, &this, "log.dirs").await, ("memory:/bucket".to_owned(), 4));
    let other = view.nodes[1].identity.node_id.to_string();
    assert_eq!(value(&kit, BROKER, &other, "broker.rack").await, ("b".to_owned(), 4));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_configuration_says_so() {
    let kit = Kit::start().await;
    for (kind, name, code) in [
        (TOPIC, "t", 3),
        (TOPIC, "no spaces", 17),
        (BROKER, "99", 42),
        (BROKER, "x", 42),
        (BROKER_LOGGER, "1", 42),
        (CLIENT_METRICS, "x", 42),
        (GROUP, "", 42),
        (77, "x", 42),
    ] {
        let result = kit.ask::<DescribeConfigs>(4, describe(kind, name, None)).await.results.remove(0);
        assert_eq!(result.error_code, code, "type {kind}, name '{name}'");
        assert!(result.error_message.is_some_and(|sentence| !sentence.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_topics_entries_are_set_and_deleted() {
    let kit = kit_with_topic().await;
    assert_eq!(alter(&kit, TOPIC, "t", 0, "retention.ms", Some("5000")).await.0, 0);
    assert_eq!(value(&kit, TOPIC, "t", "retention.ms").await, ("5000".to_owned(), 1));
    assert_eq!(alter(&kit, TOPIC, "t", 1, "retention.ms", None).await.0, 0);
    assert_eq!(value(&kit, TOPIC, "t", "retention.ms").await, ("604800000".to_owned(), 5));
    assert_eq!(alter(&kit, TOPIC, "t", 1, "never.set", None).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn lists_grow_and_shrink_and_others_do_not() {
    let kit = kit_with_topic().await;
    assert_eq!(alter(&kit, TOPIC, "t", 2, "cleanup.policy", Some("compact")).await.0, 0);
    assert_eq!(value(&kit, TOPIC, "t", "cleanup.policy").await, ("delete,compact".to_owned(), 1));
    assert_eq!(alter(&kit, TOPIC, "t", 2, "cleanup.policy", Some("compact")).await.0, 0);
    assert_eq!(value(&kit, TOPIC, "t", "cleanup.policy").await, ("delete,compact".to_owned(), 1));
    assert_eq!(alter(&kit, TOPIC, "t", 3, "cleanup.policy", Some("delete")).await.0, 0);
    assert_eq!(value(&kit, TOPIC, "t", "cleanup.policy").await, ("compact".to_owned(), 1));
    let (code, sentence) = alter(&kit, TOPIC, "t", 2, "retention.ms", Some("1")).await;
    assert_eq!((code, &*sentence), (40, "Can't APPEND to key retention.ms because its type is not LIST."));
}

#[tokio::test(start_paused = true)]
async fn faults_of_alterations_are_named() {
    let kit = kit_with_topic().await;
    let this = kit.services.membership.view().this.node_id.to_string();
    for (kind, name, operation, key, value, code, expected) in [
        (TOPIC, "t", 0, "retention.ms", Some("-5"), 40, "Value must be at least -1"),
        (TOPIC, "t", 0, "retention.sm", Some("1"), 40, "did you mean retention.ms?"),
        (TOPIC, "t", 0, "retention.ms", None, 42, "Null value not supported"),
        (TOPIC, "t", 9, "retention.ms", Some("1"), 42, "Unknown operation type"),
        (TOPIC, "u", 0, "retention.ms", Some("1"), 3, "does not exist"),
        (BROKER, "", 0, "num.partitions", Some("3"), 40, "Cannot update these configs dynamically"),
        (BROKER, "", 0, "log.retention.ms", Some("x"), 40, "Not a number of type LONG"),
        (BROKER, &this, 0, "log.retention.ms", Some("1"), 40, "--entity-default"),
        (GROUP, "g", 0, "no.such.thing", Some("1"), 40, "Unknown group config name"),
        (GROUP, "g", 0, "share.record.lock.duration.ms", Some("14999"), 40, "in the range 15000 to 60000 inclusive"),
        (GROUP, "g", 0, "share.delivery.count.limit", Some("1"), 40, "Value must be at least 2"),
        (GROUP, "g", 0, "errors.deadletterqueue.topic.name", Some("letters"), 40, "must begin with dlq."),
        (GROUP, "g", 0, "errors.deadletterqueue.topic.name", Some("__letters"), 40, "internal topics"),
        (GROUP, "g", 0, "towpath.share.redelivery.backoff.ms", Some("-1"), 40, "between 0 and 86400000"),
        (GROUP, "", 0, "consumer.session.timeout.ms", Some("1"), 42, "Default group resources"),
    ] {
        let (got, sentence) = alter(&kit, kind, name, operation, key, value).await;
        assert_eq!(got, code, "{key}: {sentence}");
        assert!(sentence.contains(expected), "{key}: {sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_clusters_default_reaches_topics() {
    let kit = kit_with_topic().await;
    assert_eq!(alter(&kit, BROKER, "", 0, "log.retention.ms", Some("77")).await.0, 0);
    assert_eq!(value(&kit, TOPIC, "t", "retention.ms").await, ("77".to_owned(), 3));
    assert_eq!(value(&kit, BROKER, "", "log.retention.ms").await, ("77".to_owned(), 3));
    let all = kit.ask::<DescribeConfigs>(4, describe(BROKER, "", None)).await.results.remove(0);
    assert_eq!(all.configs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_cluster_says_how_topics_for_dead_letters_are_called() {
    let kit = Kit::start().await;
    let name = "errors.deadletterqueue.topic.name";
    assert_eq!(alter(&kit, GROUP, "g", 0, name, Some("dlq.g")).await.0, 0);
    assert_eq!(value(&kit, GROUP, "g", name).await, ("dlq.g".to_owned(), 8));
    assert_eq!(alter(&kit, BROKER, "", 0, "errors.deadletterqueue.topic.name.prefix", Some("letters-")).await.0, 0);
    assert_eq!(alter(&kit, GROUP, "g", 0, name, Some("dlq.h")).await.0, 40);
    assert_eq!(alter(&kit, GROUP, "g", 0, name, Some("letters-h")).await.0, 0);
    assert_eq!(alter(&kit, BROKER, "", 0, "group.share.delivery.count.limit", Some("7")).await.0, 40);
}

#[tokio::test(start_paused = true)]
async fn group_entries_are_taken_only_for_group_types_that_are_served() {
    let kit = Kit::start().await;
    let served = |key: i16| crate::api::dispatch::SERVED.iter().any(|api| api.key == key);
    for (entry, wanted, api) in
        [("consumer.session.timeout.ms", "50000", 68), ("share.auto.offset.reset", "earliest", 76)]
    {
        let (code, sentence) = alter(&kit, GROUP, "g", 0, entry, Some(wanted)).await;
        if served(api) {
            assert_eq!(code, 0, "{sentence}");
            assert_eq!(value(&kit, GROUP, "g", entry).await, (wanted.to_owned(), 8));
        } else {
            assert_eq!(code, 40, "{sentence}");
            assert!(sentence.contains("are not served yet"), "{sentence}");
        }
    }
}
