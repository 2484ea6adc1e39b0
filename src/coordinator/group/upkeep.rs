//! What the coordinator does by itself: let go of groups that moved, and expire offsets.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::group::command::Command;
use crate::coordinator::group::context::Context;
use crate::coordinator::group::document;
use crate::coordinator::group::offsets::PAGE_DOCUMENTS_MAX;
use crate::coordinator::group::values::GroupListing;
use crate::metastore::error::Result;
use crate::metastore::values::{Document, DocumentKind};
use crate::model::group::GroupId;

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

async fn expire_round(context: &Context, send: &impl AsyncFn(GroupId, Command)) -> Result<()> {
    context.refresh_time().await?;
    for listing in stored_groups(context).await? {
        let (reply, done) = oneshot::channel();
        send(listing.group_id.clone(), Command::Expire(reply)).await;
        if let Ok(Err(condition)) = done.await {
            debug!(group = %listing.group_id, %condition, "expiry of offsets put off");
        }
    }
    Ok(())
}

/// Every stored group whose home is this agent.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn stored_groups(context: &Context) -> Result<Vec<GroupListing>> {
    let mut listings = Vec::new();
    let mut after = None;
    loop {
        let metastore = &context.parts.metastore;
        let page = metastore.list_documents(DocumentKind::Group, "", after.take(), PAGE_DOCUMENTS_MAX).await?;
        after = page.last().map(|document| document.key.name.clone());
        let is_last = page.len() < usize::try_from(PAGE_DOCUMENTS_MAX).unwrap_or(usize::MAX);
        listings.extend(page.into_iter().filter_map(|document| listing_of(context, document)));
        if is_last {
            return Ok(listings);
        }
    }
}

fn listing_of(context: &Context, document: Document) -> Option<GroupListing> {
    let group_id = GroupId(document.key.name);
    if !context.is_home_of(&group_id) {
        return None;
    }
    match document::decode(&group_id, document.body, context.now().moment) {
        Ok(group) => Some(GroupListing {
            protocol_type: group.protocol_type.unwrap_or_else(|| "".into()),
            state: group.state,
            group_id,
        }),
        Err(unreadable) => {
            warn!(group = %group_id, %unreadable, "group left out");
            None
        }
    }
}
