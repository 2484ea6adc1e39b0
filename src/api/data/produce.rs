//! Produce, key 0, v3–13 (listed from 0, or old librdkafka drops compression: KAFKA-18659).
//!
//! Behaviour:
//! - Every acknowledged batch is in the object store and sequenced, whatever `acks` says; acks=0 is only not answered,
//!   and a failure closes the connection, as in Kafka.
//! - A duplicate is answered with the offset it got the first time.
//! - Batches are admitted in the order of the connection's requests: the append is called before the first await unless
//!   a topic has to be looked up.
//! - Transactional produce is refused: transactions are not served yet.
//! - `NOT_LEADER_OR_FOLLOWER` (and with it the current leader of KIP-951) is never the answer of a healthy agent.
//!
//! Versions:
//! - 3: record batch v2 (KIP-98) · 5: log start offset · 7: zstd (KIP-110) · 8: record errors (KIP-467) · 9: flexible
//! - 10: current leader (KIP-951, unused) · 12: implicit transactions (KIP-890) · 13: topic ids (KIP-516)

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::produce_request::{ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, snapshot_where, text, topic_config};
use crate::api::services::Services;
use crate::log::append::values::{AppendFailure, AppendOutcome, AppendRequest, PartitionAppend};
use crate::metastore::values::CatalogSnapshot;
use crate::model::error::{Condition, Failure};

/// How long an append may take whose client does not wait for replicas and so names no time that it means.
const UNREPLICATED_TIMEOUT: Duration = Duration::from_secs(30);

/// Produce.
#[derive(Debug)]
pub struct Produce;

impl Handler for Produce {
    const SPEC: ApiSpec = ApiSpec { key: 0, name: "Produce", min: 3, max: 13 };
    type Request = ProduceRequest;
    type Response = ProduceResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: ProduceRequest,
    ) -> Reply<ProduceResponse> {
        let version = context.version;
        let acks = request.acks;
        if let Some(failure) = refusal(&request) {
            let outcomes = Outcomes::all_refused(&request, &failure);
            return reply(acks, request.topic_data, version, outcomes);
        }
        let snapshot = match snapshot_where(&services.catalog, |snapshot| all_known(snapshot, &request, version)).await
        {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let outcomes = Outcomes::all_refused(&request, &metastore_failure(&error));
                return reply(acks, request.topic_data, version, outcomes);
            }
        };
        let (append, mut outcomes) = translate(&snapshot, &request, version);
        if !append.partitions.is_empty() {
            outcomes.fill(services.writer.append(append).await);
        }
        reply(acks, request.topic_data, version, outcomes)
    }
}

/// What is wrong with the request as a whole.
fn refusal(request: &ProduceRequest) -> Option<Failure> {
    if !matches!(request.acks, -1..=1) {
        let sentence = format!("acks is {}; -1, 0 and 1 are possible", request.acks);
        return Some(Failure::new(Condition::InvalidRequiredAcks, sentence));
    }
    request.transactional_id.as_ref().map(|_| {
        Failure::new(Condition::InvalidRequest, "transactions are not served yet; produce without a transactional.id")
    })
}

fn topic_of(topic: &TopicProduceData, version: i16) -> TopicRef {
    TopicRef::of(&topic.name, topic.topic_id, version >= 13)
}

fn all_known(snapshot: &CatalogSnapshot, request: &ProduceRequest, version: i16) -> bool {
    request.topic_data.iter().all(|topic| {
        let wanted = topic_of(topic, version);
        topic.partition_data.iter().all(|partition| wanted.find_partition(snapshot, partition.index).is_ok())
    })
}

/// One outcome per partition in the request's order; those that the writer decides are still open.
struct Outcomes(Vec<Option<AppendOutcome>>);

impl Outcomes {
    fn all_refused(request: &ProduceRequest, failure: &Failure) -> Self {
        let count = request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
        Self(vec![Some(refused(failure.clone())); count])
    }

    fn fill(&mut self, outcomes: Vec<AppendOutcome>) {
        let open = self.0.iter_mut().filter(|outcome| outcome.is_none());
        for (slot, outcome) in open.zip(outcomes) {
            *slot = Some(outcome);
        }
    }
}

fn refused(failure: Failure) -> AppendOutcome {
    Err(AppendFailure { failure, records: Vec::new() })
}

fn translate(snapshot: &CatalogSnapshot, request: &ProduceRequest, version: i16) -> (AppendRequest, Outcomes) {
    let mut partitions = Vec::new();
    let mut outcomes = Vec::new();
    for topic in &request.topic_data {
        let wanted = topic_of(topic, version);
        let config = wanted.find(snapshot).map(|record| topic_config(snapshot, record));
        for data in &topic.partition_data {
            let outcome = match (wanted.find_partition(snapshot, data.index), &config, &data.records) {
                (Ok((_, partition)), Some(config), Some(records)) => {
                    partitions.push(PartitionAppend {
                        partition,
                        config: Arc::clone(config),
                        records: records.clone(),
                    });
                    None
                }
                (Ok(_), _, _) => {
                    Some(refused(Failure::new(Condition::InvalidRecord, "the request carries no record batch")))
                }
                (Err(condition), _, _) => Some(refused(condition.into())),
            };
            outcomes.push(outcome);
        }
    }
    let asked = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let timeout = if request.acks == -1 { asked } else { asked.max(UNREPLICATED_TIMEOUT) };
    (AppendRequest { partitions, timeout, produce_version: version }, Outcomes(outcomes))
}

fn reply(acks: i16, topics: Vec<TopicProduceData>, version: i16, outcomes: Outcomes) -> Reply<ProduceResponse> {
    let lost = || refused(Failure::new(Condition::UnknownServerError, "the log gave no answer"));
    let mut outcomes = outcomes.0.into_iter().map(|outcome| outcome.unwrap_or_else(lost));
    if acks == 0 {
        return match outcomes.find_map(Result::err) {
            Some(failed) => Reply::Close(format!("produce with acks=0 failed: {}", failed.failure)),
            None => Reply::Nothing,
        };
    }
    let responses = topics
        .into_iter()
        .map(|topic| {
            let partition_responses = topic
                .partition_data
                .iter()
                .zip(&mut outcomes)
                .map(|(data, outcome)| partition_response(data.index, outcome, version))
                .collect();
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partition_responses)
        })
        .collect();
    Reply::Message(ProduceResponse::default().with_responses(responses))
}

fn partition_response(index: i32, outcome: AppendOutcome, version: i16) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match outcome {
        Ok(appended) => response
            .with_error_code(NONE)
            .with_base_offset(appended.base_offset.0)
            .with_log_append_time_ms(appended.log_append_time.0)
            .with_log_start_offset(appended.log_start_offset.0),
        Err(AppendFailure { failure, records }) => {
            let record_errors = records.into_iter().map(|(record, sentence)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(record)
                    .with_batch_index_error_message(Some(text(sentence)))
            });
            let response = response
                .with_error_code(code(failure.condition))
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1);
            if version < 8 {
                return response;
            }
            response.with_record_errors(record_errors.collect()).with_error_message(Some(text(failure.message)))
        }
    }
}

#[cfg(test)]
mod tests;
