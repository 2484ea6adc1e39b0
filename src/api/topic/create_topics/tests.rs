use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopicConfig};

use super::*;
use crate::api::kit::Kit;
use crate::config::broker::BrokerDefaults;

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic::default().with_name(text(name).into()).with_num_partitions(3).with_replication_factor(1)
}

fn with_config(topic: CreatableTopic, name: &str, value: &str) -> CreatableTopic {
    let config = CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)));
    topic.with_configs(vec![config])
}

fn request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(1000)
}

#[tokio::test(start_paused = true)]
async fn every_version_creates_and_refuses_to_create_again() {
    let kit = Kit::start().await;
    for version in 2..=7 {
        let name = format!("topic-{version}");
        let asked = with_config(topic(&name), "retention.ms", "1000");
        let answer = kit.ask::<CreateTopics>(version, request(vec![asked.clone()])).await;
        let created = &answer.topics[0];
        assert_eq!((created.error_code, created.name.as_str()), (0, name.as_str()), "version {version}");
        assert_eq!(created.error_message, None, "success has no message, version {version}");
        if version >= 5 {
            assert_eq!((created.num_partitions, created.replication_factor), (3, 1));
            let configs = created.configs.as_ref().expect("configs");
            let retention = configs.iter().find(|config| config.name.as_str() == "retention.ms").expect("listed");
            assert_eq!((retention.value.as_deref(), retention.config_source), (Some("1000"), 1));
        }
        let record = kit.services.catalog.snapshot().topics[&name.clone().try_into().expect("legal")].clone();
        assert_eq!(created.topic_id, if version >= 7 { record.topic_id.0 } else { uuid::Uuid::nil() });

        let again = kit.ask::<CreateTopics>(version, request(vec![asked])).await;
        assert_eq!(again.topics[0].error_code, 36);
        assert_eq!(again.topics[0].error_message.as_deref(), Some(&*format!("Topic '{name}' already exists.")));
    }
}

#[tokio::test(start_paused = true)]
async fn defaults_hold_where_minus_one_is_asked_for() {
    let kit =
        Kit::with(BrokerDefaults { partition_count: 7, replication_factor: 3, ..BrokerDefaults::default() }).await;
    let asked = topic("t").with_num_partitions(-1).with_replication_factor(-1);
    let answer = kit.ask::<CreateTopics>(7, request(vec![asked])).await;
    assert_eq!((answer.topics[0].num_partitions, answer.topics[0].replication_factor), (7, 3));
}

#[tokio::test(start_paused = true)]
async fn validating_creates_nothing() {
    let kit = Kit::start().await;
    let answer = kit.ask::<CreateTopics>(7, request(vec![topic("t")]).with_validate_only(true)).await;
    assert_eq!((answer.topics[0].error_code, answer.topics[0].topic_id), (0, uuid::Uuid::nil()));
    assert!(kit.services.catalog.refresh().await.expect("memory").topics.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_fault_has_its_code_and_does_not_hold_up_the_others() {
    let kit = Kit::start().await;
    let taken = kit.ask::<CreateTopics>(7, request(vec![topic("a.b")])).await;
    assert_eq!(taken.topics[0].error_code, 0);
    let null_config = topic("null")
        .with_configs(vec![CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(None)]);
    let faults = [
        (topic("a_b"), 17, "collides with existing topic: a.b"),
        (topic("no spaces"), 17, "topic name contains ' '"),
        (topic("zero").with_num_partitions(0), 37, "non-positive"),
        (topic("million").with_num_partitions(1_000_000), 37, "more than the 10000"),
        (topic("factor").with_replication_factor(0), 38, "non-positive"),
        (with_config(topic("misspelt"), "retention.sm", "1"), 40, "did you mean retention.ms?"),
        (with_config(topic("worded"), "retention.ms", "soon"), 40, "Not a number of type LONG"),
        (null_config, 40, "Null value not supported"),
    ];
    let mut asked: Vec<CreatableTopic> = faults.iter().map(|(topic, ..)| topic.clone()).collect();
    asked.push(topic("good"));
    let answer = kit.ask::<CreateTopics>(7, request(asked)).await;
    for ((asked, code, sentence), got) in faults.iter().zip(&answer.topics) {
        let message = got.error_message.as_deref().unwrap_or_default();
        assert_eq!((got.error_code, &got.name), (*code, &asked.name), "{message}");
        assert!(message.contains(sentence), "{message}");
    }
    assert_eq!(answer.topics.last().map(|topic| topic.error_code), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_name_given_twice_is_refused_twice() {
    let kit = Kit::start().await;
    let answer = kit.ask::<CreateTopics>(5, request(vec![topic("t"), topic("t")])).await;
    assert_eq!(answer.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [42, 42]);
}

#[tokio::test(start_paused = true)]
async fn assignments_give_the_number_of_partitions() {
    let kit = Kit::start().await;
    let assigned = |name: &str, assignments: &[(i32, &[i32])]| {
        let assignments = assignments.iter().map(|(index, nodes)| {
            let nodes = nodes.iter().map(|node| (*node).into()).collect();
            CreatableReplicaAssignment::default().with_partition_index(*index).with_broker_ids(nodes)
        });
        let topic = topic(name).with_num_partitions(-1).with_replication_factor(-1);
        topic.with_assignments(assignments.collect())
    };
    let asked = vec![
        assigned("good", &[(1, &[1, 2]), (0, &[2, 1])]),
        assigned("gap", &[(0, &[1]), (2, &[1])]),
        assigned("uneven", &[(0, &[1]), (1, &[1, 2])]),
        assigned("twice", &[(0, &[1, 1])]),
        assigned("both", &[(0, &[1])]).with_num_partitions(1),
    ];
    let answer = kit.ask::<CreateTopics>(7, request(asked)).await;
    assert_eq!((answer.topics[0].num_partitions, answer.topics[0].replication_factor), (2, 2));
    assert_eq!(answer.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [0, 39, 39, 39, 42]);
}
