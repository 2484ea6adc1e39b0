//! AlterClientQuotas, key 49, v0–1 (KIP-546).
//!
//! Behaviour:
//! - Quotas are not enforced, and one that is stored without being enforced would be a lie: INVALID_REQUEST with a
//!   sentence for every entity, also when only asked to validate. A removal is refused alike: there is nothing to remove.
//!
//! Versions: 1: flexible

use std::sync::Arc;

use kafka_protocol::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntryData as AskedEntry};
use kafka_protocol::messages::alter_client_quotas_response::{AlterClientQuotasResponse, EntityData, EntryData};

use crate::api::access::refusal::no_quotas;
use crate::api::error::code;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::model::error::Condition;

/// AlterClientQuotas.
#[derive(Debug)]
pub struct AlterClientQuotas;

impl Handler for AlterClientQuotas {
    const SPEC: ApiSpec = ApiSpec { key: 49, name: "AlterClientQuotas", min: 0, max: 1 };
    type Request = AlterClientQuotasRequest;
    type Response = AlterClientQuotasResponse;

    async fn handle(
        _: RequestContext,
        _: Arc<Services>,
        request: AlterClientQuotasRequest,
    ) -> Reply<AlterClientQuotasResponse> {
        let entries = request.entries.into_iter().map(refused).collect();
        Reply::Message(AlterClientQuotasResponse::default().with_entries(entries))
    }
}

/// Clients find their entries again by the entity.
fn refused(asked: AskedEntry) -> EntryData {
    let parts = asked.entity.into_iter();
    let entity = parts
        .map(|part| EntityData::default().with_entity_type(part.entity_type).with_entity_name(part.entity_name))
        .collect();
    EntryData::default()
        .with_error_code(code(Condition::UnsupportedOperation))
        .with_error_message(Some(no_quotas()))
        .with_entity(entity)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::alter_client_quotas_request::{EntityData as AskedEntity, OpData};

    use super::*;
    use crate::api::kit::Kit;
    use crate::api::lookup::text;

    #[tokio::test(start_paused = true)]
    async fn every_entity_is_refused_by_name() {
        let kit = Kit::start().await;
        for version in 0..=1 {
            let entry = |name: Option<&'static str>| {
                let entity = AskedEntity::default().with_entity_type(text("user")).with_entity_name(name.map(text));
                let op = OpData::default().with_key(text("producer_byte_rate")).with_value(1024.0);
                AskedEntry::default().with_entity(vec![entity]).with_ops(vec![op])
            };
            let request = AlterClientQuotasRequest::default().with_entries(vec![entry(Some("ann")), entry(None)]);
            let response = kit.ask::<AlterClientQuotas>(version, request).await;
            let seen = response.entries.iter().map(|one| {
                assert!(one.error_message.as_ref().is_some_and(|message| message.contains("quotas")));
                let name = one.entity[0].entity_name.as_ref().map(|name| name.as_str());
                (one.error_code, one.entity[0].entity_type.as_str(), name)
            });
            assert_eq!(seen.collect::<Vec<_>>(), [(42, "user", Some("ann")), (42, "user", None)]);
        }
    }
}
