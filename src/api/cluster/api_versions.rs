//! ApiVersions, key 18, v0–4.
//!
//! Behaviour:
//! - Lists what the dispatch table serves. Produce is listed from version 0, as Kafka does it: librdkafka switches
//!   compression off when it does not find the old versions (KAFKA-18659). Their bodies are refused nevertheless.
//! - A version beyond v4 is answered in the format of v0 with `UNSUPPORTED_VERSION` and our own range, so that the
//!   client can try again (KIP-511); the connection stays open. The response header is always v0.
//! - Features are listed only when they are served. `metadata.version` is what user interfaces show as the version.
//! - The finalized epoch is never −1: Java ignores the features then, and old librdkafka can not read it.
//! - Cluster and node ids of KIP-1242 (v5) are not checked: behind one shared address the check does harm.
//!
//! Versions:
//! - v1 throttle time
//! - v3 flexible; client software name and version (KIP-511), features (KIP-584)
//! - v4 features whose lowest level is 0 (KAFKA-17011)

use std::sync::{Arc, LazyLock};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;
use regex::Regex;

use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;

/// Which requests the agent understands.
#[derive(Debug)]
pub struct ApiVersions;

/// A feature that the whole cluster has.
struct Feature {
    name: &'static str,
    level_min: i16,
    level_max: i16,
    finalized: i16,
}

/// What is served. Whoever changes this list raises [`FEATURES_EPOCH`].
const FEATURES: &[Feature] = &[
    // Level 29 is what Kafka 4.2 calls itself.
    Feature { name: "metadata.version", level_min: 7, level_max: 29, finalized: 29 },
    // Share groups, from level 2 on with dead letters (KIP-1191).
    Feature { name: "share.version", level_min: 0, level_max: 2, finalized: 2 },
];

/// Clients believe the highest epoch that any agent tells, so it grows with every change of [`FEATURES`].
const FEATURES_EPOCH: i64 = 2;

impl Handler for ApiVersions {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::ApiVersions as i16, name: "ApiVersions", min: 0, max: 4 };
    type Request = ApiVersionsRequest;
    type Response = ApiVersionsResponse;

    async fn handle(
        context: RequestContext,
        _services: Arc<Services>,
        request: ApiVersionsRequest,
    ) -> Reply<ApiVersionsResponse> {
        Reply::Message(answer(context.version, context.apis, &request))
    }
}

/// The answer to a version that is not served; to be encoded in the format of v0.
#[must_use]
pub fn unsupported_version(own: &ApiSpec) -> ApiVersionsResponse {
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(vec![listed(own)])
}

fn answer(version: i16, apis: &[ApiSpec], request: &ApiVersionsRequest) -> ApiVersionsResponse {
    if version >= 3 && !(is_legal(&request.client_software_name) && is_legal(&request.client_software_version)) {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    let response = ApiVersionsResponse::default().with_api_keys(apis.iter().map(listed).collect());
    if version < 3 {
        return response;
    }
    let supported = FEATURES.iter().filter(|feature| version >= 4 || feature.level_min > 0);
    let finalized = FEATURES.iter().filter(|feature| feature.finalized > 0);
    response
        .with_supported_features(supported.map(supported_feature).collect())
        .with_finalized_features_epoch(FEATURES_EPOCH)
        .with_finalized_features(finalized.map(finalized_feature).collect())
}

fn listed(spec: &ApiSpec) -> ApiVersion {
    let min = if spec.key == ApiKey::Produce as i16 { 0 } else { spec.min };
    ApiVersion::default().with_api_key(spec.key).with_min_version(min).with_max_version(spec.max)
}

fn supported_feature(feature: &Feature) -> SupportedFeatureKey {
    SupportedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version(feature.level_min)
        .with_max_version(feature.level_max)
}

fn finalized_feature(feature: &Feature) -> FinalizedFeatureKey {
    FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version_level(feature.level_min)
        .with_max_version_level(feature.finalized)
}

/// KIP-511: letters, digits, dashes and dots, the latter two neither first nor last.
fn is_legal(software: &str) -> bool {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?\z").expect("a constant pattern"));
    PATTERN.is_match(software)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APIS: &[ApiSpec] = &[
        ApiSpec { key: 0, name: "Produce", min: 3, max: 13 },
        ApiSpec { key: 18, name: "ApiVersions", min: 0, max: 4 },
    ];

    fn request(name: &'static str, version: &'static str) -> ApiVersionsRequest {
        ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(name))
            .with_client_software_version(StrBytes::from_static_str(version))
    }

    #[test]
    fn produce_is_listed_from_zero() {
        let response = answer(0, APIS, &ApiVersionsRequest::default());
        let ranges: Vec<_> =
            response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        assert_eq!(ranges, [(0, 0, 13), (18, 0, 4)]);
    }

    #[test]
    fn client_software_is_checked_from_version_three_on() {
        let check = |name, software_version, version, expected| {
            let code = answer(version, APIS, &request(name, software_version)).error_code;
            assert_eq!(code, expected, "{name:?} {software_version:?} v{version}");
        };
        check("apache-kafka-java", "4.3.0", 4, 0);
        check("librdkafka", "2.16.0-RC1", 3, 0);
        check("a", "1", 3, 0);
        check("", "1", 3, 42);
        check("a", "", 3, 42);
        check("-a", "1", 3, 42);
        check("a.", "1", 4, 42);
        check("a b", "1", 4, 42);
        check("a\n", "1", 4, 42);
        check("", "", 2, 0);
    }

    #[test]
    fn the_finalized_epoch_is_never_unknown() {
        let response = answer(3, APIS, &request("a", "1"));
        assert!(response.finalized_features_epoch >= 0);
        assert!(response.finalized_features.iter().all(|feature| feature.max_version_level > 0));
        assert!(response.supported_features.iter().all(|feature| feature.min_version > 0));
    }

    #[test]
    fn features_that_may_be_off_are_told_to_who_understands_it() {
        let supported = |version| -> Vec<(String, i16, i16)> {
            let response = answer(version, APIS, &request("a", "1"));
            let features = response.supported_features.iter();
            features.map(|one| (one.name.to_string(), one.min_version, one.max_version)).collect()
        };
        let share = ("share.version".to_owned(), 0, 2);
        assert!(!supported(3).contains(&share) && supported(4).contains(&share));
        let response = answer(3, APIS, &request("a", "1"));
        let finalized = response.finalized_features.iter().find(|feature| feature.name.as_str() == "share.version");
        assert_eq!(finalized.map(|feature| feature.max_version_level), Some(2));
    }

    #[test]
    fn an_unsupported_version_names_the_supported_ones() {
        let response = unsupported_version(&ApiVersions::SPEC);
        assert_eq!(response.error_code, 35);
        let own = &response.api_keys[0];
        assert_eq!((response.api_keys.len(), own.api_key, own.min_version, own.max_version), (1, 18, 0, 4));
    }
}
