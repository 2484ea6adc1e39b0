//! What the coordinator does by itself: let go of groups that moved, and expire offsets.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::group::classic::state::ClassicGroup;
use crate::coordinator::group::command::Command;
use crate::coordinator::group::context::Context;
use crate::coordinator::group::document;
use crate::coordinator::group::expiry::Expiry;
use crate::coordinator::group::offsets;
use crate::metastore::error::Result;
use crate::metastore::values::{Document, DocumentKind};
use crate::model::group::GroupId;

/// How many group documents one page of a listing holds: those of large groups may hold hundreds of kilobytes.
const PAGE_GROUPS_MAX: u32 = 100;
/// How often the membership is looked at: a parked JoinGroup of a moved group waits at most this much longer.
const HOMES_INTERVAL: Duration = Duration::from_millis(250);

/// Lets go of groups whose home is another agent, as long as the agent runs.
///
/// # Errors
/// None.
pub async fn watch_homes(context: Arc<Context>) -> std::result::Result<(), TaskError> {
    let stopped = context.supervisor.token(TaskKind::CoordinatorShard);
    loop {
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            () = sleep(HOMES_INTERVAL) => {}
        }
        let view = context.parts.membership.view();
        // An agent that drains answers parked requests, also when there is nobody to hand its groups to.
        let drains = view.node(view.this.node_id).is_some_and(|node| node.draining);
        context.registry.release(|group_id| !drains && view.is_home_of(group_id.as_str()));
        context.counters.shards.set(i64::try_from(context.registry.len()).unwrap_or(i64::MAX));
    }
}

/// Goes through the offsets of this agent's groups now and then, as long as the agent runs.
///
/// # Errors
/// None: what fails is tried again next time.
pub async fn expire_offsets(
    context: Arc<Context>,
    send: impl AsyncFn(GroupId, Command),
) -> std::result::Result<(), TaskError> {
    let stopped = context.supervisor.token(TaskKind::Upkeep);
    let interval = Duration::from_millis(u64::from(context.parts.settings.offsets_retention_check_interval_ms.max(1)));
    loop {
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            () = sleep(interval) => {}
        }
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            outcome = expire_round(&context, &send) => {
                if let Err(error) = outcome {
                    warn!(%error, "expiry of offsets put off");
                }
            }
        }
    }
}

/// Looks through the stored groups without loading them, and has their shards do what is to be done.
async fn expire_round(context: &Context, send: &impl AsyncFn(GroupId, Command)) -> Result<()> {
    context.refresh_time().await?;
    let mut after = None;
    loop {
        let page = stored_groups(context, after).await?;
        for group in page.groups {
            let committed = offsets::list(&*context.parts.metastore, &group.group_id).await?;
            // The catalog is read after the offsets: a topic that is not in it was deleted after the commit.
            let catalog = context.parts.catalog.refresh().await?;
            let expiry = Expiry { now: context.now().wall, retention: context.parts.settings.offsets_retention() };
            if expiry.judge(&group, &committed, &catalog).is_nothing() {
                continue;
            }
            let (reply, done) = oneshot::channel();
            send(group.group_id.clone(), Command::Expire(reply)).await;
            if let Ok(Err(condition)) = done.await {
                debug!(group = %group.group_id, %condition, "expiry of offsets put off");
            }
        }
        let Some(last) = page.last else { return Ok(()) };
        after = Some(last);
    }
}

/// Some stored groups whose home is this agent.
#[derive(Debug)]
pub struct StoredGroups {
    /// The groups, as they are stored.
    pub groups: Vec<ClassicGroup>,
    /// Go on after this one; `None` at the end.
    pub last: Option<Arc<str>>,
}

/// The stored groups whose home is this agent, from after a name on.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn stored_groups(context: &Context, after: Option<Arc<str>>) -> Result<StoredGroups> {
    let metastore = &context.parts.metastore;
    let page = metastore.list_documents(DocumentKind::Group, "", after, PAGE_GROUPS_MAX).await?;
    let is_last = page.len() < usize::try_from(PAGE_GROUPS_MAX).unwrap_or(usize::MAX);
    let last = page.last().filter(|_| !is_last).map(|document| document.key.name.clone());
    Ok(StoredGroups { groups: page.into_iter().filter_map(|document| own_group(context, document)).collect(), last })
}

fn own_group(context: &Context, document: Document) -> Option<ClassicGroup> {
    let group_id = GroupId(document.key.name);
    if !context.is_home_of(&group_id) {
        return None;
    }
    let group = document::decode(&group_id, document.body, context.now().moment);
    group.inspect_err(|unreadable| warn!(group = %group_id, %unreadable, "group left out")).ok()
}
