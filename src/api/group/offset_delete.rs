//! OffsetDelete, key 47, v0.
//!
//! Behaviour:
//! - Offsets of topics that a member subscribes to are kept: `GROUP_SUBSCRIBED_TO_TOPIC`.
//! - A group with members whose subscriptions can not be read (Connect) keeps all: `NON_EMPTY_GROUP`.
//! - Deleting an offset that was never committed is no error.
//!
//! Versions:
//! - v0 (KIP-496)

use std::sync::Arc;

use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{ApiKey, OffsetDeleteRequest, OffsetDeleteResponse};

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::group::values::OffsetDelete as Delete;
use crate::metastore::cached::CatalogCache;
use crate::model::error::Condition;

/// Forgetting how far a group has read.
#[derive(Debug)]
pub struct OffsetDelete;

impl Handler for OffsetDelete {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::OffsetDelete as i16, name: "OffsetDelete", min: 0, max: 0 };
    type Request = OffsetDeleteRequest;
    type Response = OffsetDeleteResponse;

    async fn handle(
        _context: RequestContext,
        services: Arc<Services>,
        request: OffsetDeleteRequest,
    ) -> Reply<OffsetDeleteResponse> {
        Reply::Message(answer(&services.groups, &services.catalog, request).await)
    }
}

async fn answer(groups: &GroupService, catalog: &CatalogCache, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut delete = Delete { group_id: names::group_id(&request.group_id), partitions: Vec::new() };
    let mut decided = Vec::new();
    for topic in &request.topics {
        let record = match names::topic(catalog, &topic.name).await {
            Ok(record) => record,
            Err(_) => {
                let code = error::code(Condition::CoordinatorNotAvailable);
                return OffsetDeleteResponse::default().with_error_code(code);
            }
        };
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let found = record.as_ref().and_then(|record| Some((record, names::partition(record, index)?)));
            let found = found.ok_or(Condition::UnknownTopicOrPartition);
            decided.push(found.map(|(record, found)| delete.partitions.push((record.name.clone(), found))));
        }
    }
    let mut results = match groups.delete_offsets(delete).await {
        Ok(results) => results.into_iter(),
        Err(condition) => return OffsetDeleteResponse::default().with_error_code(error::code(condition)),
    };
    let mut codes = decided.into_iter().map(|decided| {
        // There is one result for every partition that was handed on.
        let result = decided.and_then(|()| results.next().unwrap_or(Err(Condition::UnknownServerError)));
        result.map_or_else(error::code, |()| error::NONE)
    });
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut codes).map(|(partition, code)| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::group::kit::Kit;
    use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    use kafka_protocol::protocol::StrBytes;

    #[tokio::test(start_paused = true)]
    async fn unknown_groups_and_unknown_partitions_are_told_apart() {
        let kit = Kit::new().await;
        let partition = |index| OffsetDeleteRequestPartition::default().with_partition_index(index);
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(StrBytes::from_static_str("t").into())
            .with_partitions(vec![partition(5), partition(0)]);
        let request = OffsetDeleteRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_topics(vec![topic]);
        let response = answer(&kit.groups, &kit.catalog, request.clone()).await;
        assert_eq!((response.error_code, response.topics.len()), (69, 0));
        kit.make_group("g").await;
        let response = answer(&kit.groups, &kit.catalog, request).await;
        let codes: Vec<_> = response.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
        assert_eq!((response.error_code, codes), (0, vec![3, 0]));
    }
}
