//! DeleteGroups, key 42, v0–2.
//!
//! Behaviour:
//! - Deletes each group for itself, of whatever type, with its offsets. A group with members stays: `NON_EMPTY_GROUP`.
//!
//! Versions:
//! - v2 flexible

use std::sync::Arc;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, GroupId as WireGroupId};

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::model::error::Condition;
use crate::model::group::GroupId;

/// Ending groups.
#[derive(Debug)]
pub struct DeleteGroups;

impl Handler for DeleteGroups {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::DeleteGroups as i16, name: "DeleteGroups", min: 0, max: 2 };
    type Request = DeleteGroupsRequest;
    type Response = DeleteGroupsResponse;

    async fn handle(
        _context: RequestContext,
        services: Arc<Services>,
        request: DeleteGroupsRequest,
    ) -> Reply<DeleteGroupsResponse> {
        let delete = async |group_id: WireGroupId| {
            let outcome = delete(&services, &names::group_id(&group_id)).await;
            let error_code = outcome.map_or_else(error::code, |()| error::NONE);
            DeletableGroupResult::default().with_group_id(group_id).with_error_code(error_code)
        };
        let results = futures::future::join_all(request.groups_names.into_iter().map(delete)).await;
        Reply::Message(DeleteGroupsResponse::default().with_results(results))
    }
}

/// An id belongs to one group at most, of one type.
async fn delete(services: &Services, group_id: &GroupId) -> Result<(), Condition> {
    match services.groups.delete(group_id).await {
        Err(Condition::GroupIdNotFound) => {
            services.share_groups.delete(group_id).await.map_err(|failure| failure.condition)
        }
        outcome => outcome,
    }
}
