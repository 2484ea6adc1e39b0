//! The list of everything that runs behind the sockets.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::agent::environment::Environment;
use crate::api::data::fetch_session::FetchSessions;
use crate::api::services::Services;
use crate::api::share::share_session::ShareSessions;
use crate::base::task::{Supervisor, TaskKind};
use crate::config::settings::Settings;
use crate::coordinator::group::context::GroupParts;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::placement::Membership;
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
use crate::metastore::store::Metastore;
use crate::model::node::NodeIdentity;
use crate::object::cache::RangeCache;

/// Starts feed, writer, groups and upkeep, and hands out what API handlers need.
#[must_use]
pub fn start(
    supervisor: &Supervisor,
    settings: &Settings,
    environment: &Environment,
    cluster_id: Uuid,
    node: NodeIdentity,
    membership: Membership,
) -> Services {
    let Environment { clock, rng, metrics, storage, metastore, .. } = environment;
    let catalog = CatalogCache::new(Arc::clone(metastore));
    let tail = Tail::new(&settings.log);
    let cache = RangeCache::new(&settings.objects, metrics);
    FeedFollower::start(
        supervisor,
        FeedParts {
            metastore: Arc::clone(metastore),
            catalog: catalog.clone(),
            tail: tail.clone(),
            rng: rng.clone(),
            settings: settings.log.clone(),
        },
    );
    let writer = WriterParts {
        node: Arc::new(ArcSwap::from_pointee(node)),
        cluster_id,
        storage: storage.clone(),
        metastore: Arc::clone(metastore),
        tail: tail.clone(),
        cache: cache.clone(),
        settings: settings.log.clone(),
        rng: rng.clone(),
        metrics: metrics.clone(),
        clock: Arc::clone(clock),
    };
    let append = AtomicAppend::new(&writer);
    let writer = Writer::start(supervisor, writer);
    let reader = ReaderParts {
        metastore: Arc::clone(metastore),
        tail: tail.clone(),
        storage: storage.clone(),
        cache,
        settings: settings.log.clone(),
    };
    let groups = GroupService::start(
        supervisor,
        GroupParts {
            metastore: Arc::clone(metastore),
            membership: membership.clone(),
            catalog: catalog.clone(),
            settings: settings.group.clone(),
            rng: rng.clone(),
            metrics: metrics.clone(),
        },
    );
    let share_groups = ShareGroups::start(
        supervisor,
        ShareGroupParts {
            metastore: Arc::clone(metastore),
            membership: membership.clone(),
            catalog: catalog.clone(),
            settings: settings.share.clone(),
            rng: rng.clone(),
            metrics: metrics.clone(),
        },
    );
    let offsets = OffsetFinder::new(reader.clone());
    let reader = Reader::new(reader);
    let letters = Letters::new(LetterParts {
        metastore: Arc::clone(metastore),
        catalog: catalog.clone(),
        reader: reader.clone(),
        append,
        defaults: settings.topics.clone(),
        rng: rng.clone(),
        metrics: metrics.clone(),
    });
    let share_delivery = ShareDelivery::start(
        supervisor,
        DeliveryParts {
            metastore: Arc::clone(metastore),
            membership: membership.clone(),
            catalog: catalog.clone(),
            reader: reader.clone(),
            tail,
            offsets: offsets.clone(),
            letters,
            settings: settings.share.clone(),
            rng: rng.clone(),
            metrics: metrics.clone(),
        },
    );
    expire_producers(supervisor, Arc::clone(metastore), settings.metastore.producer_id_expiration_ms);
    Services {
        cluster_id,
        catalog,
        metastore: Arc::clone(metastore),
        membership,
        writer,
        offsets,
        reader,
        groups,
        share_groups,
        share_delivery,
        share_sessions: ShareSessions::new(usize::try_from(settings.share.sessions_max).unwrap_or(usize::MAX)),
        producer_ids: ProducerIds::new(Arc::clone(metastore)),
        fetch_sessions: FetchSessions::new(rng.clone()),
        defaults: settings.topics.clone(),
        share: settings.share.clone(),
        log_dir: storage.location().into(),
        clock: Arc::clone(clock),
        rng: rng.clone(),
    }
}

/// Forgets idempotent producers that have been silent for long; looks ten times in that span.
fn expire_producers(supervisor: &Supervisor, metastore: Arc<dyn Metastore>, idle_ms: u64) {
    let stop = supervisor.token(TaskKind::Upkeep);
    let idle = Duration::from_millis(idle_ms.max(1_000));
    supervisor.spawn(TaskKind::Upkeep, "producer expiry", async move {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(idle / 10) => {}
            }
            match metastore.expire_producers(idle).await {
                Ok(0) => {}
                Ok(count) => debug!(count, "forgot idle producers"),
                Err(failure) => warn!(%failure, "could not forget idle producers"),
            }
        }
    });
}
