//! The codecs' requests, by api key: the generated codec's, and our own where that one is behind.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self as m, ApiKey};
use kafka_protocol::protocol::Request;
use towpath::wire::guard;
use towpath::wire::header::RequestStart;
use towpath::wire::message::{Exchange, ReadRequest};
use towpath::wire::share::acknowledge_request::ShareAcknowledgeRequest;
use towpath::wire::share::fetch_request::ShareFetchRequest;
use towpath::wire::share::offsets_request::ShareOffsetsRequest;
use towpath::wire::topic_ids::WithTopicIds;

/// Reads a request as the server does: header, guard, decoder. Says whose it was.
pub(crate) fn read_frame(mut frame: Bytes) -> Result<RequestStart, Box<dyn std::error::Error>> {
    let start = RequestStart::take(&mut frame)?;
    let (key, version) = (start.api_key, start.version);
    let api = ApiKey::try_from(key).map_err(|()| "unknown key")?;
    let codec = CODECS.iter().find(|codec| codec.key == key).ok_or("not served")?;
    if !(codec.min..=codec.max).contains(&version) {
        return Err("unknown version".into());
    }
    RequestStart::take_rest(&mut frame, api.request_header_version(version))?;
    let used = guard::check_request(key, version, &frame)?;
    let bytes = frame.len();
    let left = (codec.decode)(frame, version).ok_or("malformed")?;
    assert_eq!(used, bytes - left, "guard and decoder read differently: key {key} version {version}");
    Ok(start)
}

/// What a codec does with one API's requests.
#[derive(Clone, Copy)]
pub(crate) struct Codec {
    pub(crate) key: i16,
    pub(crate) min: i16,
    pub(crate) max: i16,
    /// Decodes a body and says how many bytes are left, or `None` when it refuses.
    pub(crate) decode: fn(Bytes, i16) -> Option<usize>,
    /// Decodes a body and encodes it again at the same version.
    pub(crate) recode: fn(Bytes, i16) -> Result<Vec<u8>, String>,
}

const fn codec<R: Request>() -> Codec {
    Codec { key: R::KEY, min: R::VERSIONS.min, max: R::VERSIONS.max, decode: decode::<R>, recode: recode::<R> }
}

fn decode<R: Request>(mut body: Bytes, version: i16) -> Option<usize> {
    R::decode(&mut body, version).ok().map(|_| body.len())
}

fn recode<R: Request>(mut body: Bytes, version: i16) -> Result<Vec<u8>, String> {
    let request = R::decode(&mut body, version).map_err(|error| format!("decoding: {error}"))?;
    let mut encoded = Vec::new();
    request.encode(&mut encoded, version).map_err(|error| format!("encoding: {error}"))?;
    let computed = request.compute_size(version).map_err(|error| format!("computing the size: {error}"))?;
    if computed == encoded.len() { Ok(encoded) } else { Err(format!("size {} computed as {computed}", encoded.len())) }
}

const fn own<R: Exchange + ReadRequest>() -> Codec {
    Codec { key: R::KEY, min: R::MIN, max: R::MAX, decode: own_decode::<R>, recode: own_recode::<R> }
}

fn own_decode<R: ReadRequest>(mut body: Bytes, version: i16) -> Option<usize> {
    R::read(&mut body, version).ok().map(|_| body.len())
}

fn own_recode<R: Exchange + ReadRequest>(mut body: Bytes, version: i16) -> Result<Vec<u8>, String> {
    let request = R::read(&mut body, version).map_err(|error| format!("decoding: {error}"))?;
    let mut encoded = BytesMut::new();
    request.put(version, &mut encoded)?;
    Ok(encoded.to_vec())
}

/// Every request that has a shape must stand here.
pub(crate) const CODECS: &[Codec] = &[
    codec::<m::ProduceRequest>(),
    codec::<m::FetchRequest>(),
    codec::<m::ListOffsetsRequest>(),
    codec::<m::MetadataRequest>(),
    own::<WithTopicIds<m::OffsetCommitRequest>>(),
    own::<WithTopicIds<m::OffsetFetchRequest>>(),
    codec::<m::FindCoordinatorRequest>(),
    codec::<m::JoinGroupRequest>(),
    codec::<m::HeartbeatRequest>(),
    codec::<m::LeaveGroupRequest>(),
    codec::<m::SyncGroupRequest>(),
    codec::<m::DescribeGroupsRequest>(),
    codec::<m::ListGroupsRequest>(),
    codec::<m::SaslHandshakeRequest>(),
    codec::<m::ApiVersionsRequest>(),
    codec::<m::CreateTopicsRequest>(),
    codec::<m::DeleteTopicsRequest>(),
    codec::<m::DeleteRecordsRequest>(),
    codec::<m::InitProducerIdRequest>(),
    codec::<m::OffsetForLeaderEpochRequest>(),
    codec::<m::AddPartitionsToTxnRequest>(),
    codec::<m::AddOffsetsToTxnRequest>(),
    codec::<m::EndTxnRequest>(),
    codec::<m::WriteTxnMarkersRequest>(),
    codec::<m::TxnOffsetCommitRequest>(),
    codec::<m::DescribeAclsRequest>(),
    codec::<m::CreateAclsRequest>(),
    codec::<m::DeleteAclsRequest>(),
    codec::<m::DescribeConfigsRequest>(),
    codec::<m::AlterConfigsRequest>(),
    codec::<m::DescribeLogDirsRequest>(),
    codec::<m::SaslAuthenticateRequest>(),
    codec::<m::CreatePartitionsRequest>(),
    codec::<m::DeleteGroupsRequest>(),
    codec::<m::ElectLeadersRequest>(),
    codec::<m::IncrementalAlterConfigsRequest>(),
    codec::<m::AlterPartitionReassignmentsRequest>(),
    codec::<m::ListPartitionReassignmentsRequest>(),
    codec::<m::OffsetDeleteRequest>(),
    codec::<m::DescribeClientQuotasRequest>(),
    codec::<m::AlterClientQuotasRequest>(),
    codec::<m::DescribeUserScramCredentialsRequest>(),
    codec::<m::AlterUserScramCredentialsRequest>(),
    codec::<m::DescribeClusterRequest>(),
    codec::<m::DescribeProducersRequest>(),
    codec::<m::DescribeTransactionsRequest>(),
    codec::<m::ListTransactionsRequest>(),
    codec::<m::ConsumerGroupHeartbeatRequest>(),
    codec::<m::ConsumerGroupDescribeRequest>(),
    codec::<m::ListConfigResourcesRequest>(),
    codec::<m::DescribeTopicPartitionsRequest>(),
    codec::<m::ShareGroupHeartbeatRequest>(),
    codec::<m::ShareGroupDescribeRequest>(),
    own::<ShareFetchRequest>(),
    own::<ShareAcknowledgeRequest>(),
    own::<ShareOffsetsRequest>(),
    codec::<m::AlterShareGroupOffsetsRequest>(),
    codec::<m::DeleteShareGroupOffsetsRequest>(),
];
