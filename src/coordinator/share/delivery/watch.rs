//! Looks out for those who wait: at documents that other agents change, and at who lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::placement::ClusterView;
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::store::{Found, read};
use crate::metastore::values::CatalogVersion;

/// How often the watch looks while somebody waits. What another agent gave back is delivered here that much later.
const INTERVAL: Duration = Duration::from_millis(200);

/// Looks out as long as the agent runs. Nothing is asked while nobody waits, or while no other agent lives.
///
/// # Errors
/// None.
pub(super) async fn watch(context: Arc<Context>) -> Result<(), TaskError> {
    let stopped = context.supervisor.token(TaskKind::CoordinatorShard);
    let mut seen: Option<(Arc<ClusterView>, CatalogVersion)> = None;
    loop {
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            () = context.board.occupied() => {}
        }
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            () = sleep(INTERVAL) => {}
        }
        context.counters.lanes.set(i64::try_from(context.lanes.len()).unwrap_or(i64::MAX));
        context.counters.cached.set(i64::try_from(context.cache.byte_size()).unwrap_or(i64::MAX));
        let now = (context.parts.membership.view(), context.parts.catalog.snapshot().version);
        let is_same = seen.as_ref().is_some_and(|(view, version)| Arc::ptr_eq(view, &now.0) && *version == now.1);
        seen = Some(now);
        if !is_same {
            // Locks may have ended with their agents, and a paused group may go on.
            context.board.tell_all();
        }
        if context.living().is_alone() {
            continue;
        }
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            () = look_at_documents(&context) => {}
        }
    }
}

async fn look_at_documents(context: &Context) {
    let awaited = context.board.awaited();
    let versions: Vec<_> = awaited.iter().map(|key| context.cache.get(key).map(|known| known.version)).collect();
    let found = read(context, &awaited).await;
    for ((key, version), found) in awaited.iter().zip(versions).zip(found) {
        let has_changed = match found {
            Found::Known(known) => version != Some(known.version),
            Found::Missing => version.is_some(),
            Found::Unreadable | Found::Unavailable(_) => false,
        };
        if has_changed {
            context.board.tell(key);
        }
    }
}
