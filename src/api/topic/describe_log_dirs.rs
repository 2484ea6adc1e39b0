//! DescribeLogDirs, key 35, v1–4.
//!
//! Behaviour:
//! - There is one log directory, the bucket. Every agent reports the live bytes of the partitions it leads (for clients
//!   that name no zone), so that tools that add the agents' answers up get each partition once.
//! - How large the bucket is, and how much room it has, nobody knows: −1.
//!
//! Versions: 2: flexible · 3: top-level error · 4: total and usable bytes (KIP-827)

use std::sync::Arc;

use kafka_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::api::error::{NONE, code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, partition_of, text};
use crate::api::services::Services;
use crate::coordinator::placement::ClusterView;
use crate::metastore::error::Result;
use crate::metastore::values::{CatalogSnapshot, TopicRecord};
use crate::model::topic::TopicIdPartition;

/// So many partitions are asked for at a time, so that no step of the metastore grows without bound.
const STEP: usize = 1000;

/// DescribeLogDirs.
#[derive(Debug)]
pub struct DescribeLogDirs;

impl Handler for DescribeLogDirs {
    const SPEC: ApiSpec = ApiSpec { key: 35, name: "DescribeLogDirs", min: 1, max: 4 };
    type Request = DescribeLogDirsRequest;
    type Response = DescribeLogDirsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: DescribeLogDirsRequest,
    ) -> Reply<DescribeLogDirsResponse> {
        let result = DescribeLogDirsResult::default().with_log_dir(text(&*services.log_dir));
        let result = match topics(&services, &request).await {
            Ok(topics) => result.with_error_code(NONE).with_topics(topics),
            Err(error) => result.with_error_code(code(metastore_condition(&error))),
        };
        let result = if context.version < 4 { result } else { result.with_total_bytes(-1).with_usable_bytes(-1) };
        Reply::Message(DescribeLogDirsResponse::default().with_results(vec![result]))
    }
}

async fn topics(services: &Services, request: &DescribeLogDirsRequest) -> Result<Vec<DescribeLogDirsTopic>> {
    let snapshot = services.catalog.refresh().await?;
    let led = led_here(&snapshot, &services.membership.view(), request);
    let all: Vec<TopicIdPartition> = led.iter().flat_map(|(_, partitions)| partitions.iter().copied()).collect();
    let mut bounds = Vec::with_capacity(all.len());
    for step in all.chunks(STEP) {
        bounds.extend(services.metastore.bounds(step.to_vec()).await?);
    }
    let mut bounds = bounds.into_iter();
    let topics = led.into_iter().map(|(topic, partitions)| {
        let sized = partitions.into_iter().zip(&mut bounds).filter_map(|(partition, bounds)| {
            let size = i64::try_from(bounds?.byte_size).unwrap_or(i64::MAX);
            let answer = DescribeLogDirsPartition::default().with_partition_index(partition.partition.0);
            Some(answer.with_partition_size(size).with_offset_lag(0).with_is_future_key(false))
        });
        DescribeLogDirsTopic::default().with_name(text(topic.name.as_str()).into()).with_partitions(sized.collect())
    });
    Ok(topics.collect())
}

/// The partitions asked for whose leader is this agent, by topic.
fn led_here<'a>(
    snapshot: &'a CatalogSnapshot,
    view: &ClusterView,
    request: &DescribeLogDirsRequest,
) -> Vec<(&'a TopicRecord, Vec<TopicIdPartition>)> {
    let is_led = |partition: &TopicIdPartition| {
        view.leader_of(*partition, None).is_some_and(|node| node.identity.node_id == view.this.node_id)
    };
    let asked: Vec<(&TopicRecord, Vec<i32>)> = match &request.topics {
        None => {
            let all = snapshot.topics.values();
            all.map(|topic| (topic.as_ref(), (0..topic.partition_count).collect())).collect()
        }
        Some(topics) => {
            let found = topics.iter().filter_map(|asked| {
                let topic = TopicRef::Name(asked.topic.as_str().into()).find(snapshot)?;
                Some((topic.as_ref(), asked.partitions.clone()))
            });
            found.collect()
        }
    };
    let led = asked.into_iter().map(|(topic, indexes)| {
        let partitions = indexes.into_iter().filter_map(|index| partition_of(topic, index)).filter(is_led);
        (topic, partitions.collect::<Vec<_>>())
    });
    led.filter(|(_, partitions)| !partitions.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
    use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

    use super::*;
    use crate::api::data::produce::Produce;
    use crate::api::kit::{Kit, batch};
    use crate::api::topic::create_topics::CreateTopics;

    const PARTITIONS: i32 = 10;

    async fn kit_with_records() -> Kit {
        let kit = Kit::start().await;
        let topic = CreatableTopic::default().with_name(text("t").into()).with_num_partitions(PARTITIONS);
        let request = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]);
        assert_eq!(kit.ask::<CreateTopics>(5, request).await.topics[0].error_code, 0);
        let data = (0..PARTITIONS)
            .map(|index| PartitionProduceData::default().with_index(index).with_records(Some(batch(&["x"]))));
        let topic = TopicProduceData::default().with_name(text("t").into()).with_partition_data(data.collect());
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
        let response = kit.ask::<Produce>(9, request).await;
        assert!(response.responses[0].partition_responses.iter().all(|one| one.error_code == 0));
        kit
    }

    #[tokio::test(start_paused = true)]
    async fn each_partition_is_counted_by_one_agent_only() {
        let kit = kit_with_records().await;
        let size = i64::try_from(batch(&["x"]).len()).expect("small");
        let mut seen = Vec::new();
        for number in 0..2 {
            let mut view = (*kit.services.membership.view()).clone();
            view.this = view.nodes[number].identity;
            kit.services.membership.replace(view);
            for version in 1..=4 {
                let request = DescribeLogDirsRequest::default().with_topics(None);
                let result = kit.ask::<DescribeLogDirs>(version, request).await.results.remove(0);
                assert_eq!((result.error_code, result.log_dir.as_str()), (0, "memory:/bucket"));
                let partitions = &result.topics[0].partitions;
                assert!(partitions.iter().all(|one| one.partition_size == size), "{partitions:?}");
                if version == 4 {
                    assert_eq!((result.total_bytes, result.usable_bytes), (-1, -1));
                    seen.extend(partitions.iter().map(|one| one.partition_index));
                }
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..PARTITIONS).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_left_out() {
        let kit = kit_with_records().await;
        let topic = |name: &'static str| DescribableLogDirTopic::default().with_topic(text(name).into());
        let topics = vec![topic("missing").with_partitions(vec![0]), topic("t").with_partitions(vec![99])];
        let request = DescribeLogDirsRequest::default().with_topics(Some(topics));
        let result = kit.ask::<DescribeLogDirs>(2, request).await.results.remove(0);
        assert_eq!((result.error_code, result.topics.len()), (0, 0));
    }
}
