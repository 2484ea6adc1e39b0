//! InitProducerId, key 22, v0–5 (v6, two-phase commit, is unstable in Kafka and stays hidden).
//!
//! Behaviour:
//! - An idempotent producer gets a fresh id at epoch 0, also when it names the id it had (KIP-360): as in Kafka.
//! - With a transactional id the answer is UNSUPPORTED_VERSION while transactions are not served: the Java client ends
//!   `initTransactions` at once with "The version of API is not supported", and no code that means "you may not" or
//!   "try again" sends anybody looking in the wrong place.
//!
//! Versions: 2: flexible · 3: former id and epoch (KIP-360) · 4: PRODUCER_FENCED (KIP-588) · 5: KIP-890

use std::sync::Arc;

use kafka_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::api::error::{NONE, code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::model::error::Condition;

/// InitProducerId.
#[derive(Debug)]
pub struct InitProducerId;

impl Handler for InitProducerId {
    const SPEC: ApiSpec = ApiSpec { key: 22, name: "InitProducerId", min: 0, max: 5 };
    type Request = InitProducerIdRequest;
    type Response = InitProducerIdResponse;

    async fn handle(
        _: RequestContext,
        services: Arc<Services>,
        request: InitProducerIdRequest,
    ) -> Reply<InitProducerIdResponse> {
        let outcome = match request.transactional_id {
            Some(_) => Err(Condition::UnsupportedVersion),
            None => services.producer_ids.next().await.map_err(|error| match metastore_condition(&error) {
                // No partition is named here; this is what Kafka says when it has no ids at hand, and clients retry it.
                Condition::NotLeaderOrFollower | Condition::KafkaStorageError | Condition::RequestTimedOut => {
                    Condition::CoordinatorLoadInProgress
                }
                other => other,
            }),
        };
        let response = InitProducerIdResponse::default();
        Reply::Message(match outcome {
            Ok(producer_id) => {
                response.with_error_code(NONE).with_producer_id(producer_id.0.into()).with_producer_epoch(0)
            }
            Err(condition) => {
                response.with_error_code(code(condition)).with_producer_id((-1).into()).with_producer_epoch(-1)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::kit::Kit;
    use crate::api::lookup::text;

    #[tokio::test(start_paused = true)]
    async fn every_request_gets_an_id_of_its_own() {
        let kit = Kit::start().await;
        let mut ids = BTreeSet::new();
        for number in 0..2500_i16 {
            let request = InitProducerIdRequest::default().with_transactional_id(None);
            let response = kit.ask::<InitProducerId>(number % 6, request).await;
            assert_eq!((response.error_code, response.producer_epoch), (0, 0));
            assert!(ids.insert(response.producer_id.0), "{:?} was given twice", response.producer_id);
        }
        assert!(ids.first().is_some_and(|first| *first >= 0));
    }

    #[tokio::test(start_paused = true)]
    async fn transactional_ids_are_refused_for_good() {
        let kit = Kit::start().await;
        let request = InitProducerIdRequest::default().with_transactional_id(Some(text("x").into()));
        let response = kit.ask::<InitProducerId>(4, request).await;
        assert_eq!((response.error_code, response.producer_id.0, response.producer_epoch), (35, -1, -1));
    }
}
