//! ListGroups, key 16, v0–5.
//!
//! Behaviour:
//! - Lists the groups whose home is this agent; clients ask every agent.
//! - Filters ignore case. A state or type that does not exist matches nothing.
//! - Types are `classic` and `share`; a share group's protocol is `share`.
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
use crate::api::share::share_group_describe::state_name;
use crate::coordinator::group::values::GroupListing;
use crate::coordinator::share::values::ShareGroupListing;
use crate::model::error::Condition;
use crate::model::group::GroupId;

const CLASSIC: &str = "classic";
const SHARE: &str = "Share";

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
        Reply::Message(response_from(listings(&services).await, &request, context.version))
    }
}

/// A group of any type.
#[derive(Clone, Debug)]
struct Listing {
    group_id: GroupId,
    protocol_type: Arc<str>,
    state: &'static str,
    group_type: &'static str,
}

async fn listings(services: &Services) -> Result<Vec<Listing>, Condition> {
    let mut listings: Vec<Listing> = services.groups.list().await?.into_iter().map(of_classic).collect();
    listings.extend(services.share_groups.list().await?.into_iter().map(of_share));
    Ok(listings)
}

fn of_classic(listing: GroupListing) -> Listing {
    Listing {
        group_id: listing.group_id,
        protocol_type: listing.protocol_type,
        state: listing.state.as_str(),
        group_type: CLASSIC,
    }
}

fn of_share(listing: ShareGroupListing) -> Listing {
    Listing {
        group_id: listing.group_id,
        protocol_type: "share".into(),
        state: state_name(listing.state),
        group_type: SHARE,
    }
}

fn response_from(
    outcome: Result<Vec<Listing>, Condition>,
    request: &ListGroupsRequest,
    version: i16,
) -> ListGroupsResponse {
    let listings = match outcome {
        Ok(listings) => listings,
        Err(condition) => return ListGroupsResponse::default().with_error_code(error::code(condition)),
    };
    let states = &request.states_filter;
    let types = &request.types_filter;
    let is_wanted = |listing: &Listing| {
        let is_of_state = |state: &str| state.trim().eq_ignore_ascii_case(listing.state);
        (states.is_empty() || states.iter().any(|state| is_of_state(state)))
            && (types.is_empty() || types.iter().any(|wanted| wanted.eq_ignore_ascii_case(listing.group_type)))
    };
    let listed = |listing: Listing| {
        let group = ListedGroup::default()
            .with_group_id(WireGroupId(names::wire(listing.group_id.as_str())))
            .with_protocol_type(names::wire(&listing.protocol_type));
        let group = if version >= 4 { group.with_group_state(names::wire(listing.state)) } else { group };
        if version >= 5 { group.with_group_type(names::wire(listing.group_type)) } else { group }
    };
    ListGroupsResponse::default().with_groups(listings.into_iter().filter(is_wanted).map(listed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::group::values::GroupState;
    use crate::coordinator::share::values::ShareGroupState;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    fn listings() -> Vec<Listing> {
        let listing = |id: &str, state| GroupListing { group_id: id.into(), protocol_type: "consumer".into(), state };
        let share = ShareGroupListing { group_id: "s".into(), state: ShareGroupState::Stable };
        vec![of_classic(listing("a", GroupState::Empty)), of_classic(listing("b", GroupState::Stable)), of_share(share)]
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
        check(&[], &[], &["a", "b", "s"]);
        check(&["sTable"], &[], &["b", "s"]);
        check(&["Stable", " empty "], &["Classic"], &["a", "b"]);
        check(&["Nonsense"], &[], &[]);
        check(&[], &["consumer"], &[]);
        check(&[], &["share", "CLASSIC"], &["a", "b", "s"]);
        check(&["stable"], &["SHARE"], &["s"]);
    }

    #[test]
    fn a_share_groups_type_and_protocol_are_kafkas_words() {
        let response = response_from(Ok(listings()), &ListGroupsRequest::default(), 5);
        let share = response.groups.last().expect("listed");
        assert_eq!((share.group_type.as_str(), share.protocol_type.as_str()), ("Share", "share"));
        assert_eq!(share.group_state.as_str(), "Stable");
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
