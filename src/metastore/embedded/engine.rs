//! SlateDB as it is used here: how it is opened, and what its errors mean.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path;
use slatedb::config::{
    CompactionWorkerOptions, CompactorOptions, GarbageCollectorDirectoryOptions, GarbageCollectorOptions, Settings,
};
use slatedb::db_cache::SplitCache;
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use slatedb::{CloseReason, Db, ErrorKind};

use crate::base::rng::Rng;
use crate::config::metastore::EmbeddedSettings;
use crate::metastore::error::{MetastoreError, Result};
use crate::model::node::NodeId;

/// What a fenced agent is told.
const TAKEN_OVER: &str = "another agent opened the same embedded metastore; the embedded metastore serves one agent \
                          at a time, use PostgreSQL (metastore.url = \"postgres://…\") for more than one";

/// A table in memory is written out at this size: small enough to keep memory and restarts short, large enough
/// for few objects.
const TABLE_BYTES: usize = 8 * 1024 * 1024;

/// Writers are held up beyond this; steps are refused long before.
const UNFLUSHED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Indexes and filters of tables: a few bytes for every thousand stored.
const TABLE_INDEX_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How old a file must be before it is cleared away: nothing that is still being written or read is that old.
const CLEAR_AFTER: Duration = Duration::from_secs(1800);

/// The same for manifests: a writer that was stopped and goes on later must still find its successor's.
const CLEAR_MANIFESTS_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How often files are cleared away.
const CLEAR_EVERY: Duration = Duration::from_secs(1800);

/// Where the engine keeps its files, and how.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    pub(super) rng: Rng,
    pub(super) settings: EmbeddedSettings,
}

impl Ground {
    /// Opens the database and fences whoever had it open; with `only_after`, only when that writer was the last.
    pub(super) async fn open(&self, only_after: Option<u64>) -> Result<Db> {
        let builder = Db::builder(self.prefix.clone(), Arc::clone(&self.store))
            .with_settings(self.engine_settings())
            .with_db_cache(Arc::new(self.cache()), 0)
            .with_seed(self.rng.next_u64());
        let builder = match only_after {
            Some(writer_epoch) => builder.with_expected_epoch(writer_epoch),
            None => builder,
        };
        builder.build().await.map_err(read_error)
    }

    fn engine_settings(&self) -> Settings {
        let poll_interval = Duration::from_millis(self.settings.poll_interval_ms.max(1));
        let clear =
            |min_age| Some(GarbageCollectorDirectoryOptions { interval: Some(CLEAR_EVERY), min_age, dry_run: false });
        // Tables are merged rarely: nobody waits for it.
        let merge_interval = poll_interval * 5;
        let worker = CompactionWorkerOptions {
            compactions_poll_interval: merge_interval,
            max_concurrent_compactions: 1,
            max_subcompactions: 1,
            max_fetch_tasks: 1,
            max_sst_size: 64 * 1024 * 1024,
            ..CompactionWorkerOptions::default()
        };
        Settings {
            // Flushes are asked for by the steps that wait.
            flush_interval: None,
            manifest_poll_interval: poll_interval,
            l0_sst_size_bytes: TABLE_BYTES,
            // As many as fit between two looks of the compactor under the heaviest load.
            l0_max_ssts: 64,
            l0_max_ssts_per_key: 64,
            l0_flush_parallelism: 1,
            max_unflushed_bytes: UNFLUSHED_BYTES_MAX,
            compactor_options: Some(CompactorOptions {
                poll_interval: merge_interval,
                commit_compacted_interval: merge_interval,
                max_concurrent_compactions: 1,
                worker: Some(worker),
                ..CompactorOptions::default()
            }),
            garbage_collector_options: Some(GarbageCollectorOptions {
                manifest_options: clear(CLEAR_MANIFESTS_AFTER),
                wal_options: clear(CLEAR_AFTER),
                // A fence must outlive every writer it may have to stop.
                wal_fence_options: None,
                compacted_options: clear(CLEAR_AFTER),
                compactions_options: clear(CLEAR_MANIFESTS_AFTER),
                detach_options: None,
                // Only create-if-absent is relied on: a local folder has no conditional overwrite.
                boundary_files_enabled: false,
                ..GarbageCollectorOptions::default()
            }),
            ..Settings::default()
        }
    }

    fn cache(&self) -> SplitCache {
        let cache = |max_capacity| -> Option<Arc<dyn slatedb::db_cache::DbCache>> {
            let options = MokaCacheOptions { max_capacity, time_to_live: None, time_to_idle: None };
            Some(Arc::new(MokaCache::new_with_opts(options)))
        };
        SplitCache::new()
            .with_block_cache(cache(self.settings.cache_bytes_max))
            .with_meta_cache(cache(TABLE_INDEX_CACHE_BYTES))
            .build()
    }
}

/// Whether another writer took over.
pub(super) fn is_fenced(error: &slatedb::Error) -> bool {
    matches!(error.kind(), ErrorKind::Closed(CloseReason::Fenced))
}

/// The answer of a fenced metastore.
pub(super) fn fenced() -> MetastoreError {
    // Not a node but the whole process is fenced; whichever node it is.
    MetastoreError::Fenced { node_id: NodeId(-1), reason: TAKEN_OVER.to_owned() }
}

/// What an error means when nothing was to be changed.
pub(super) fn read_error(error: slatedb::Error) -> MetastoreError {
    match error.kind() {
        ErrorKind::Closed(CloseReason::Fenced) => fenced(),
        ErrorKind::Data => MetastoreError::Unreadable(error.to_string()),
        _ => MetastoreError::Unavailable(error.to_string()),
    }
}

/// What an error means when something may have been changed.
pub(super) fn write_error(error: slatedb::Error) -> MetastoreError {
    if is_fenced(&error) { fenced() } else { MetastoreError::Unknown(error.to_string()) }
}
