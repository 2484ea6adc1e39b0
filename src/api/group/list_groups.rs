//! ListGroups, key 16, v0–5.
//!
//! Behaviour:
//! - Lists the groups whose home is this agent; clients ask every agent.
//! - Filters ignore case. A state or type that does not exist matches nothing.
//! - Every group listed is of type `classic`: there is no other one yet.
//!
//! Versions:
//! - v1 throttle time
//! - v3 flexible
//! - v4 states, and a filter by them (KIP-518)
//! - v5 types, and a filter by them (KIP-848)

use std::sync::Arc;

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ApiKey, GroupId as WireGroupId, ListGroupsRequest, ListGroupsResponse};

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::values::GroupListing;
use crate::model::error::Condition;

const CLASSIC: &str = "classic";

/// Naming the groups there are.
#[derive(Debug)]
pub struct ListGroups;

impl Handler for ListGroups {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::ListGroups as i16, name: "ListGroups", min: 0, max: 5 };
    type Request = ListGroupsRequest;
    type Response = ListGroupsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: ListGroupsRequest,
    ) -> Reply<ListGroupsResponse> {
        Reply::Message(response_from(services.groups.list().await, &request, context.version))
    }
}

fn response_from(
    outcome: Result<Vec<GroupListing>, Condition>,
    request: &ListGroupsRequest,
    version: i16,
) -> ListGroupsResponse {
    let listings = match outcome {
        Ok(listings) => listings,
        Err(condition) => return ListGroupsResponse::default().with_error_code(error::code(condition)),
    };
    let states = &request.states_filter;
    let types = &request.types_filter;
    let is_wanted = |listing: &GroupListing| {
        let is_of_state = |state: &str| state.trim().eq_ignore_ascii_case(listing.state.as_str());
        (states.is_empty() || states.iter().any(|state| is_of_state(state)))
            && (types.is_empty() || types.iter().any(|wanted| wanted.eq_ignore_ascii_case(CLASSIC)))
    };
    let listed = |listing: GroupListing| {
        let group = ListedGroup::default()
            .with_group_id(WireGroupId(names::wire(listing.group_id.as_str())))
            .with_protocol_type(names::wire(&listing.protocol_type));
        let group = if version >= 4 { group.with_group_state(names::wire(listing.state.as_str())) } else { group };
        if version >= 5 { group.with_group_type(names::wire(CLASSIC)) } else { group }
    };
    ListGroupsResponse::default().with_groups(listings.into_iter().filter(is_wanted).map(listed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::group::values::GroupState;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn listings() -> Vec<GroupListing> {
        let listing = |id: &str, state| GroupListing { group_id: id.into(), protocol_type: "consumer".into(), state };
        vec![listing("a", GroupState::Empty), listing("b", GroupState::Stable)]
    }

    #[test]
    fn filters_ignore_case_and_match_nothing_when_unknown() {
        let check = |states: &[&'static str], types: &[&'static str], expected: &[&str]| {
            let texts = |texts: &[&'static str]| texts.iter().map(|text| StrBytes::from_static_str(text)).collect();
            let request =
                ListGroupsRequest::default().with_states_filter(texts(states)).with_types_filter(texts(types));
            let response = response_from(Ok(listings()), &request, 5);
            let found: Vec<_> = response.groups.iter().map(|group| group.group_id.as_str()).collect();
            assert_eq!(found, expected, "{states:?} {types:?}");
        };
        check(&[], &[], &["a", "b"]);
        check(&["sTable"], &[], &["b"]);
        check(&["Stable", " empty "], &["Classic"], &["a", "b"]);
        check(&["Nonsense"], &[], &[]);
        check(&[], &["consumer"], &[]);
        check(&[], &["share", "CLASSIC"], &["a", "b"]);
    }

    #[test]
    fn every_version_can_say_it() {
        for version in ListGroups::SPEC.min..=ListGroups::SPEC.max {
            let mut frame = BytesMut::new();
            let response = response_from(Ok(listings()), &ListGroupsRequest::default(), version);
            response.encode(&mut frame, version).unwrap();
            assert!(!frame.is_empty());
        }
    }
}
