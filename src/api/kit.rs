//! An agent's API over memory, for tests: requests go in and out as bytes, through the dispatch table.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use object_store::memory::InMemory;
use uuid::Uuid;

use crate::api::data::fetch_session::FetchSessions;
use crate::api::dispatch::{Answer, Caller, Dispatch, Dispatcher};
use crate::api::handler::Handler;
use crate::api::services::Services;
use crate::api::share::share_session::ShareSessions;
use crate::base::clock::{ManualClock, Timestamp};
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::broker::BrokerDefaults;
use crate::config::coordinators::CoordinatorSettings;
use crate::config::log::LogSettings;
use crate::config::objects::ObjectSettings;
use crate::config::share::ShareSettings;
use crate::coordinator::group::context::GroupParts;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::placement::{ClusterView, Membership};
use crate::coordinator::producer_ids::ProducerIds;
use crate::coordinator::share::delivery::parts::DeliveryParts;
use crate::coordinator::share::delivery::service::ShareDelivery;
use crate::coordinator::share::group::context::ShareGroupParts;
use crate::coordinator::share::group::service::ShareGroups;
use crate::coordinator::share::letters::service::{LetterParts, Letters};
use crate::log::append::atomic::AtomicAppend;
use crate::log::append::parts::WriterParts;
use crate::log::append::writer::Writer;
use crate::log::feed::{FeedFollower, FeedParts};
use crate::log::fetch::reader::{Reader, ReaderParts};
use crate::log::offsets::OffsetFinder;
use crate::log::tail::Tail;
use crate::metastore::cached::CatalogCache;
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::store::Metastore;
use crate::metastore::values::NewNode;
use crate::model::node::{Endpoint, Rack};
use crate::object::cache::RangeCache;
use crate::object::store::ObjectStorage;
use crate::record::build::{BatchBuilder, BatchShape};
use crate::wire::header::RequestStart;
use crate::wire::message::Exchange;

/// The wall clock's beginning in tests.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Share sessions that the agent keeps at most.
pub(crate) const SHARE_SESSIONS_MAX: usize = 3;

/// One agent of a cluster of two, over a metastore and a store in memory.
pub(crate) struct Kit {
    /// What handlers work with.
    pub(crate) services: Arc<Services>,
    /// The metastore, to look behind the API.
    pub(crate) metastore: Arc<dyn Metastore>,
    _supervisor: Supervisor,
    caller: Caller,
}

impl Kit {
    /// An agent with the default settings.
    pub(crate) async fn start() -> Self {
        Self::with(BrokerDefaults::default()).await
    }

    /// An agent whose topics have these defaults.
    pub(crate) async fn with(defaults: BrokerDefaults) -> Self {
        let clock = Arc::new(ManualClock::starting_at(NOW));
        let metastore: Arc<dyn Metastore> = Arc::new(MemoryMetastore::new(clock.clone()));
        let (rng, metrics, supervisor) = (Rng::from_seed(1), Metrics::default(), Supervisor::default());
        let cluster_id = metastore.cluster_id(Uuid::from_u128(77)).await.expect("memory");
        let this = register(metastore.as_ref(), "a").await;
        let other = register(metastore.as_ref(), "b").await;
        let membership = Membership::new(ClusterView { this: this.identity, nodes: vec![this.clone(), other] });
        let objects = ObjectSettings::default();
        let settings = LogSettings::default();
        let storage = ObjectStorage::over(Arc::new(InMemory::new()), "", &objects, rng.clone(), &metrics);
        let cache = RangeCache::new(&objects, &metrics);
        let (tail, catalog) = (Tail::new(&settings), CatalogCache::new(Arc::clone(&metastore)));
        let feed = FeedParts {
            metastore: Arc::clone(&metastore),
            catalog: catalog.clone(),
            tail: tail.clone(),
            rng: rng.clone(),
            settings: settings.clone(),
        };
        FeedFollower::start(&supervisor, feed);
        let writer = WriterParts {
            node: Arc::new(ArcSwap::from_pointee(this.identity)),
            cluster_id,
            storage: storage.clone(),
            metastore: Arc::clone(&metastore),
            tail: tail.clone(),
            cache: cache.clone(),
            settings: settings.clone(),
            rng: rng.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
        };
        let reader = ReaderParts {
            metastore: Arc::clone(&metastore),
            tail: tail.clone(),
            storage: storage.clone(),
            cache: cache.clone(),
            settings: settings.clone(),
        };
        let groups = GroupParts {
            metastore: Arc::clone(&metastore),
            membership: membership.clone(),
            catalog: catalog.clone(),
            settings: CoordinatorSettings::default(),
            rng: rng.clone(),
            metrics: metrics.clone(),
        };
        let share = ShareSettings::default();
        let share_groups = ShareGroupParts {
            metastore: Arc::clone(&metastore),
            membership: membership.clone(),
            catalog: catalog.clone(),
            settings: share.clone(),
            rng: rng.clone(),
            metrics: metrics.clone(),
        };
        let offsets = OffsetFinder::new(reader.clone());
        let reader = Reader::new(reader);
        let letters = LetterParts {
            metastore: Arc::clone(&metastore),
            catalog: catalog.clone(),
            reader: reader.clone(),
            append: AtomicAppend::new(&writer),
            defaults: defaults.clone(),
            rng: rng.clone(),
            metrics: metrics.clone(),
        };
        let share_delivery = DeliveryParts {
            metastore: Arc::clone(&metastore),
            membership: membership.clone(),
            catalog: catalog.clone(),
            reader: reader.clone(),
            tail,
            offsets: offsets.clone(),
            letters: Letters::new(letters),
            settings: share.clone(),
            rng: rng.clone(),
            metrics: metrics.clone(),
        };
        let services = Arc::new(Services {
            cluster_id,
            catalog,
            metastore: Arc::clone(&metastore),
            membership,
            writer: Writer::start(&supervisor, writer),
            offsets,
            reader,
            groups: GroupService::start(&supervisor, groups),
            share_groups: ShareGroups::start(&supervisor, share_groups),
            share_delivery: ShareDelivery::start(&supervisor, share_delivery),
            share_sessions: ShareSessions::new(SHARE_SESSIONS_MAX),
            producer_ids: ProducerIds::new(Arc::clone(&metastore)),
            fetch_sessions: FetchSessions::new(rng.clone()),
            defaults,
            share,
            log_dir: "memory:/bucket".into(),
            clock,
            rng,
        });
        let caller = Caller::new(1, [127, 0, 0, 1].into(), 100 << 20);
        Self { services, metastore, _supervisor: supervisor, caller }
    }

    /// A request as a client without a zone sends it; its answer.
    pub(crate) async fn ask<H>(&self, version: i16, request: H::Request) -> H::Response
    where
        H: Handler,
        H::Request: Encodable,
        H::Response: Decodable,
    {
        self.ask_as::<H>("test", version, request).await
    }

    /// A request as the client `client_id` sends it; its answer.
    pub(crate) async fn ask_as<H>(&self, client_id: &'static str, version: i16, request: H::Request) -> H::Response
    where
        H: Handler,
        H::Request: Encodable,
        H::Response: Decodable,
    {
        let api = ApiKey::try_from(H::SPEC.key).expect("a key");
        let mut frame = match self.answer::<H>(client_id, version, request).await {
            Answer::Frame(slices) => Bytes::from(slices.concat()),
            other => panic!("{api:?} version {version} was answered by {other:?}"),
        };
        let length = frame.split_to(4);
        assert_eq!(length.as_ref(), u32::try_from(frame.len()).expect("small").to_be_bytes());
        let header = ResponseHeader::decode(&mut frame, api.response_header_version(version)).expect("a header");
        assert_eq!(header.correlation_id, 9);
        let response = H::Response::decode(&mut frame, version).expect("a response");
        assert!(frame.is_empty(), "{api:?} version {version}: {} bytes are left", frame.len());
        response
    }

    /// A request whose codec is ours; its answer.
    pub(crate) async fn exchange<R: Exchange>(&self, version: i16, request: &R) -> R::Response {
        let mut frame = BytesMut::new();
        let start = RequestStart { api_key: R::KEY, version, correlation_id: 9 };
        start.put(R::header_versions(version).0, "test", &mut frame);
        request.put(version, &mut frame).expect("a request of this version");
        let dispatcher = Dispatcher::new(Arc::clone(&self.services));
        let answer = dispatcher.dispatch(&mut self.caller.clone(), frame.freeze()).await;
        let Answer::Frame(slices) = answer else { panic!("key {} was answered by {answer:?}", R::KEY) };
        let mut frame = Bytes::from(slices.concat());
        // Length, correlation id, no tagged fields.
        let _ = frame.split_to(4 + 4 + 1);
        let response = R::read_response(&mut frame, version).expect("a response");
        assert!(frame.is_empty(), "key {} version {version}: {} bytes are left", R::KEY, frame.len());
        response
    }

    /// The connection of all requests closes.
    pub(crate) fn hang_up(&self) {
        Dispatcher::new(Arc::clone(&self.services)).closed(self.caller.connection_id);
    }

    /// A request; what becomes of it.
    pub(crate) async fn answer<H>(&self, client_id: &'static str, version: i16, request: H::Request) -> Answer
    where
        H: Handler,
        H::Request: Encodable,
    {
        let header = RequestHeader::default()
            .with_request_api_key(H::SPEC.key)
            .with_request_api_version(version)
            .with_correlation_id(9)
            .with_client_id(Some(StrBytes::from_static_str(client_id)));
        let api = ApiKey::try_from(H::SPEC.key).expect("a key");
        let mut frame = BytesMut::new();
        header.encode(&mut frame, api.request_header_version(version)).expect("a header");
        request.encode(&mut frame, version).expect("a request of this version");
        let dispatcher = Dispatcher::new(Arc::clone(&self.services));
        dispatcher.dispatch(&mut self.caller.clone(), frame.freeze()).await
    }
}

async fn register(metastore: &dyn Metastore, zone: &str) -> crate::metastore::values::NodeRecord {
    let node = NewNode {
        node_id: None,
        incarnation: Uuid::from_u128(zone.len() as u128 + u128::from(zone.as_bytes()[0])),
        endpoint: Endpoint { host: format!("host-{zone}"), port: 9092 },
        rack: Some(Rack(zone.into())),
        session_ms: 3_600_000,
    };
    metastore.register_node(node).await.expect("memory")
}

/// A batch with these values, stamped [`NOW`].
pub(crate) fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchShape::default());
    for value in values {
        builder.push_value(NOW, value.as_bytes());
    }
    builder.build().expect("not compressed")
}
