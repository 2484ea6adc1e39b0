//! The table: one line per Kafka API, served or refused with a reason.
//!
//! ```text
//! frame → header → line of the table → guard → decode → handle → encode → answer
//! ```
//!
//! To serve an API, replace its `refuse(…)` line by `serve::<its handler>()`. A test holds that every api key that the
//! codec knows stands here exactly once, with a shape for the guard if it is served.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt, ready};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Encodable;
use tracing::error;

use crate::api::access::{alter_client_quotas, create_acls, delete_acls, describe_acls, describe_client_quotas};
use crate::api::cluster::{api_versions, describe_cluster, describe_topic_partitions, find_coordinator, metadata};
use crate::api::data::{delete_records, fetch, list_offsets, offset_for_leader_epoch, produce};
use crate::api::group::{
    delete_groups, describe_groups, heartbeat, join_group, leave_group, list_groups, offset_commit, offset_delete,
    offset_fetch, sync_group,
};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::api::share::closing::Closing;
use crate::api::share::{
    alter_share_group_offsets, delete_share_group_offsets, describe_share_group_offsets, share_acknowledge,
    share_fetch, share_group_describe, share_group_heartbeat,
};
use crate::api::topic::{
    alter_configs, alter_partition_reassignments, create_partitions, create_topics, delete_topics, describe_configs,
    describe_log_dirs, elect_leaders, incremental_alter_configs, list_config_resources, list_partition_reassignments,
};
use crate::api::transaction::init_producer_id;
use crate::wire::guard;
use crate::wire::header::{RequestStart, put_response_prefix, response_prefix_bytes};
use crate::wire::message::ReadRequest;

/// Requests about the data itself.
const DATA: &[Entry] = &[
    serve::<produce::Produce>(),
    serve::<fetch::Fetch>(),
    serve::<list_offsets::ListOffsets>(),
    serve::<delete_records::DeleteRecords>(),
    serve::<offset_for_leader_epoch::OffsetForLeaderEpoch>(),
];

/// Requests about the cluster.
const CLUSTER: &[Entry] = &[
    serve::<api_versions::ApiVersions>(),
    serve::<metadata::Metadata>(),
    serve::<find_coordinator::FindCoordinator>(),
    serve::<describe_cluster::DescribeCluster>(),
    serve::<describe_topic_partitions::DescribeTopicPartitions>(),
    serve::<describe_log_dirs::DescribeLogDirs>(),
    serve::<elect_leaders::ElectLeaders>(),
    serve::<alter_partition_reassignments::AlterPartitionReassignments>(),
    serve::<list_partition_reassignments::ListPartitionReassignments>(),
];

/// Requests about consumer groups.
const GROUP: &[Entry] = &[
    serve::<offset_commit::OffsetCommit>(),
    serve::<offset_fetch::OffsetFetch>(),
    serve::<join_group::JoinGroup>(),
    serve::<heartbeat::Heartbeat>(),
    serve::<leave_group::LeaveGroup>(),
    serve::<sync_group::SyncGroup>(),
    serve::<describe_groups::DescribeGroups>(),
    serve::<list_groups::ListGroups>(),
    serve::<delete_groups::DeleteGroups>(),
    serve::<offset_delete::OffsetDelete>(),
    refuse(ApiKey::ConsumerGroupHeartbeat, NOT_YET),
    refuse(ApiKey::ConsumerGroupDescribe, NOT_YET),
];

/// Requests about topics and configurations.
const TOPIC: &[Entry] = &[
    serve::<create_topics::CreateTopics>(),
    serve::<delete_topics::DeleteTopics>(),
    serve::<create_partitions::CreatePartitions>(),
    serve::<describe_configs::DescribeConfigs>(),
    serve::<alter_configs::AlterConfigs>(),
    serve::<incremental_alter_configs::IncrementalAlterConfigs>(),
    serve::<list_config_resources::ListConfigResources>(),
];

/// Requests of idempotent and transactional producers.
const TRANSACTION: &[Entry] = &[
    serve::<init_producer_id::InitProducerId>(),
    refuse(ApiKey::AddPartitionsToTxn, NOT_YET),
    refuse(ApiKey::AddOffsetsToTxn, NOT_YET),
    refuse(ApiKey::EndTxn, NOT_YET),
    refuse(ApiKey::TxnOffsetCommit, NOT_YET),
    refuse(ApiKey::WriteTxnMarkers, NOT_YET),
    refuse(ApiKey::DescribeProducers, NOT_YET),
    refuse(ApiKey::DescribeTransactions, NOT_YET),
    refuse(ApiKey::ListTransactions, NOT_YET),
];

/// Requests of share groups.
const SHARE: &[Entry] = &[
    serve::<share_group_heartbeat::ShareGroupHeartbeat>(),
    serve::<share_group_describe::ShareGroupDescribe>(),
    serve::<share_fetch::ShareFetch>(),
    serve::<share_acknowledge::ShareAcknowledge>(),
    serve::<describe_share_group_offsets::DescribeShareGroupOffsets>(),
    serve::<alter_share_group_offsets::AlterShareGroupOffsets>(),
    serve::<delete_share_group_offsets::DeleteShareGroupOffsets>(),
    refuse(ApiKey::InitializeShareGroupState, STATE_IN_METASTORE),
    refuse(ApiKey::ReadShareGroupState, STATE_IN_METASTORE),
    refuse(ApiKey::WriteShareGroupState, STATE_IN_METASTORE),
    refuse(ApiKey::DeleteShareGroupState, STATE_IN_METASTORE),
    refuse(ApiKey::ReadShareGroupStateSummary, STATE_IN_METASTORE),
];

/// Requests about who may do what.
const ACCESS: &[Entry] = &[
    refuse(ApiKey::SaslHandshake, NOT_YET),
    refuse(ApiKey::SaslAuthenticate, NOT_YET),
    serve::<describe_acls::DescribeAcls>(),
    serve::<create_acls::CreateAcls>(),
    serve::<delete_acls::DeleteAcls>(),
    refuse(ApiKey::DescribeUserScramCredentials, NOT_YET),
    refuse(ApiKey::AlterUserScramCredentials, NOT_YET),
    serve::<describe_client_quotas::DescribeClientQuotas>(),
    serve::<alter_client_quotas::AlterClientQuotas>(),
    refuse(ApiKey::CreateDelegationToken, NO_TOKENS),
    refuse(ApiKey::RenewDelegationToken, NO_TOKENS),
    refuse(ApiKey::ExpireDelegationToken, NO_TOKENS),
    refuse(ApiKey::DescribeDelegationToken, NO_TOKENS),
];

/// Requests that only make sense where there are replicas, a quorum or controllers; Kafka hides most of them from
/// clients as well.
const FOREIGN: &[Entry] = &[
    refuse(ApiKey::AlterReplicaLogDirs, "there are no log directories to move replicas between"),
    refuse(ApiKey::GetTelemetrySubscriptions, NO_TELEMETRY),
    refuse(ApiKey::PushTelemetry, NO_TELEMETRY),
    refuse(ApiKey::UpdateFeatures, "feature levels are not changed by clients"),
    refuse(ApiKey::Vote, NO_QUORUM),
    refuse(ApiKey::BeginQuorumEpoch, NO_QUORUM),
    refuse(ApiKey::EndQuorumEpoch, NO_QUORUM),
    refuse(ApiKey::DescribeQuorum, NO_QUORUM),
    refuse(ApiKey::AlterPartition, NO_QUORUM),
    refuse(ApiKey::Envelope, NO_QUORUM),
    refuse(ApiKey::FetchSnapshot, NO_QUORUM),
    refuse(ApiKey::BrokerRegistration, NO_QUORUM),
    refuse(ApiKey::BrokerHeartbeat, NO_QUORUM),
    refuse(ApiKey::UnregisterBroker, NO_QUORUM),
    refuse(ApiKey::AllocateProducerIds, NO_QUORUM),
    refuse(ApiKey::ControllerRegistration, NO_QUORUM),
    refuse(ApiKey::AssignReplicasToDirs, NO_QUORUM),
    refuse(ApiKey::AddRaftVoter, NO_QUORUM),
    refuse(ApiKey::RemoveRaftVoter, NO_QUORUM),
    refuse(ApiKey::UpdateRaftVoter, NO_QUORUM),
];

const NOT_YET: &str = "not served yet";
const NO_QUORUM: &str = "there is no controller quorum";
const NO_TOKENS: &str = "there are no delegation tokens";
const NO_TELEMETRY: &str = "client metrics are not collected: clients push them by default where it is advertised";
const STATE_IN_METASTORE: &str = "share group state lives in the metastore; only a share coordinator asks for it";

const FAMILIES: &[&[Entry]] = &[DATA, CLUSTER, GROUP, TOPIC, TRANSACTION, SHARE, ACCESS, FOREIGN];

/// Everything served, as ApiVersions advertises it.
pub static SERVED: &[ApiSpec] = &served::<{ served_count() }>();

/// One line of the table.
#[derive(Clone, Copy)]
struct Entry {
    key: i16,
    line: Line,
}

#[derive(Clone, Copy)]
enum Line {
    Serve(ApiSpec, Start),
    Refuse(&'static str),
}

/// Decodes and handles one request.
type Start = fn(RequestContext, Arc<Services>, Call) -> BoxFuture<'static, Answer>;

const fn serve<H: Handler>() -> Entry {
    Entry { key: H::SPEC.key, line: Line::Serve(H::SPEC, start::<H>) }
}

const fn refuse(key: ApiKey, reason: &'static str) -> Entry {
    Entry { key: key as i16, line: Line::Refuse(reason) }
}

const fn served_count() -> usize {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut entry = 0;
        while entry < FAMILIES[family].len() {
            if matches!(FAMILIES[family][entry].line, Line::Serve(..)) {
                count += 1;
            }
            entry += 1;
        }
        family += 1;
    }
    count
}

const fn served<const COUNT: usize>() -> [ApiSpec; COUNT] {
    let mut specs = [ApiSpec { key: 0, name: "", min: 0, max: 0 }; COUNT];
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut entry = 0;
        while entry < FAMILIES[family].len() {
            if let Line::Serve(spec, _) = FAMILIES[family][entry].line {
                specs[count] = spec;
                count += 1;
            }
            entry += 1;
        }
        family += 1;
    }
    specs
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// A response, length and header included, as slices to be written in this order.
    Frame(Vec<Bytes>),
    /// No response (Produce with acks=0).
    Nothing,
    /// The connection is closed, for this reason.
    Close(String),
}

/// The client at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Unique per accepted connection of this agent.
    pub connection_id: u64,
    /// The client's address.
    pub client_host: IpAddr,
    /// The client id of the last request: clients send the same one each time, so it is kept rather than copied.
    pub client_id: Option<Arc<str>>,
    /// The largest frame that is read from it. A listener with authentication starts low and raises it afterwards.
    pub request_bytes_max: usize,
}

impl Caller {
    /// A client that has not said anything yet.
    #[must_use]
    pub fn new(connection_id: u64, client_host: IpAddr, request_bytes_max: usize) -> Self {
        Self { connection_id, client_host, client_id: None, request_bytes_max }
    }

    fn is_called(&mut self, client_id: Option<&Bytes>) -> Option<Arc<str>> {
        // The header proved that the bytes are UTF-8.
        let name = client_id.and_then(|bytes| std::str::from_utf8(bytes).ok());
        if self.client_id.as_deref() != name {
            self.client_id = name.map(Arc::from);
        }
        self.client_id.clone()
    }
}

/// Who answers the requests of a connection.
pub trait Dispatch: Send + Sync + 'static {
    /// Starts one request; `frame` is a whole request without its length.
    ///
    /// Decoding happens before this returns, so a frame that is refused is refused in request order.
    fn dispatch(&self, caller: &mut Caller, frame: Bytes) -> BoxFuture<'static, Answer>;

    /// The connection is gone: what was kept for it is let go.
    fn closed(&self, connection_id: u64);
}

/// Answers by the table.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    services: Arc<Services>,
}

impl Dispatcher {
    /// Lets the table's handlers work with `services`.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

impl Dispatch for Dispatcher {
    fn dispatch(&self, caller: &mut Caller, frame: Bytes) -> BoxFuture<'static, Answer> {
        match Call::from_frame(frame) {
            Ok((call, start)) => {
                let context = RequestContext {
                    connection_id: caller.connection_id,
                    version: call.version,
                    client_id: caller.is_called(call.client_id.as_ref()),
                    client_host: caller.client_host,
                    apis: SERVED,
                };
                start(context, Arc::clone(&self.services), call)
            }
            Err(answer) => ready(answer).boxed(),
        }
    }

    fn closed(&self, connection_id: u64) {
        self.services.fetch_sessions.close_connection(connection_id);
        for (key, partitions) in self.services.share_sessions.close_connection(connection_id) {
            drop(Closing::new(&self.services.share_delivery, &key, partitions));
        }
    }
}

/// A request that may be decoded: known, of a served version, and with counts and lengths that fit its bytes.
struct Call {
    version: i16,
    correlation_id: i32,
    client_id: Option<Bytes>,
    response_header_version: i16,
    body: Bytes,
}

impl Call {
    fn from_frame(mut frame: Bytes) -> Result<(Self, Start), Answer> {
        let close = |reason: String| Answer::Close(reason);
        let first = RequestStart::take(&mut frame).map_err(|error| close(error.to_string()))?;
        let RequestStart { api_key: key, version, correlation_id } = first;
        let api = ApiKey::try_from(key).map_err(|()| close(format!("api key {key} does not exist")))?;
        let (spec, start) = match line_of(key) {
            Some(Line::Serve(spec, start)) => (spec, start),
            Some(Line::Refuse(reason)) => return Err(close(format!("{api:?} is refused: {reason}"))),
            None => return Err(close(format!("{api:?} is not served"))),
        };
        if !(spec.min..=spec.max).contains(&version) {
            if api == ApiKey::ApiVersions {
                return Err(encode(&api_versions::unsupported_version(&spec), correlation_id, 0, 0));
            }
            return Err(close(format!("{api:?} version {version} is not served")));
        }
        let client_id = RequestStart::take_rest(&mut frame, api.request_header_version(version))
            .map_err(|error| close(format!("{api:?} version {version}: {error}")))?;
        guard::check_request(key, version, &frame)
            .map_err(|error| close(format!("{api:?} version {version}: {error}")))?;
        let response_header_version = api.response_header_version(version);
        Ok((Self { version, correlation_id, client_id, response_header_version, body: frame }, start))
    }
}

fn line_of(key: i16) -> Option<Line> {
    FAMILIES.iter().flat_map(|family| family.iter()).find(|entry| entry.key == key).map(|entry| entry.line)
}

fn start<H: Handler>(context: RequestContext, services: Arc<Services>, call: Call) -> BoxFuture<'static, Answer> {
    let Call { version, correlation_id, response_header_version, mut body, .. } = call;
    let request = match H::Request::read(&mut body, version) {
        Ok(request) => request,
        Err(error) => return ready(Answer::Close(format!("{} version {version}: {error}", H::SPEC.name))).boxed(),
    };
    // What is left is no part of the request; Kafka ignores it too.
    drop(body);
    let handling = H::handle(context, services, request);
    Box::pin(async move {
        match handling.await {
            Reply::Message(response) => encode(&response, correlation_id, response_header_version, version),
            Reply::Encoded(body) => prefix(body, correlation_id, response_header_version),
            Reply::Nothing => Answer::Nothing,
            Reply::Close(reason) => Answer::Close(reason),
        }
    })
}

/// One buffer of the right size for length, header and body.
fn encode(response: &impl Encodable, correlation_id: i32, header_version: i16, version: i16) -> Answer {
    let encoded = response.compute_size(version).and_then(|body_bytes| {
        let mut frame = BytesMut::with_capacity(body_bytes.saturating_add(response_prefix_bytes(header_version)));
        let fits = put_response_prefix(header_version, correlation_id, body_bytes, &mut frame);
        response.encode(&mut frame, version).map(|()| fits.then_some(frame))
    });
    match encoded {
        Ok(Some(frame)) => Answer::Frame(vec![frame.freeze()]),
        Ok(None) => too_large(),
        Err(reason) => {
            // A handler that fills a field which its version does not have: our fault, not the client's.
            error!(%reason, version, "response can not be encoded");
            Answer::Close(format!("the response can not be encoded: {reason}"))
        }
    }
}

/// Length and header before an encoded body.
fn prefix(mut body: Vec<Bytes>, correlation_id: i32, header_version: i16) -> Answer {
    let body_bytes = body.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
    let mut frame = BytesMut::with_capacity(response_prefix_bytes(header_version));
    if !put_response_prefix(header_version, correlation_id, body_bytes, &mut frame) {
        return too_large();
    }
    body.insert(0, frame.freeze());
    Answer::Frame(body)
}

fn too_large() -> Answer {
    error!("response is larger than a frame can be");
    Answer::Close("the response is larger than a frame can be".to_owned())
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
