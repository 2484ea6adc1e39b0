//! What the coordinator does by itself: let go of groups that moved, and look after groups that nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::share::group::command::Command;
use crate::coordinator::share::group::context::Context;
use crate::coordinator::share::group::document;
use crate::coordinator::share::group::state::ShareGroup;
use crate::metastore::error::Result;
use crate::metastore::values::{Document, DocumentKind};
use crate::model::group::GroupId;

/// How many group documents one page of a listing holds: those of large groups may hold hundreds of kilobytes.
const PAGE_GROUPS_MAX: u32 = 100;
/// How often the membership is looked at. Nothing waits for it: a group that moved is refused at once.
const HOMES_INTERVAL: Duration = Duration::from_millis(250);
/// How often stored groups are looked through: what is found then is only in the way, nobody waits for it.
const TIDY_INTERVAL: Duration = Duration::from_secs(600);

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
        context.registry.release(|group_id| view.is_home_of(group_id.as_str()));
        context.counters.shards.set(i64::try_from(context.registry.len()).unwrap_or(i64::MAX));
    }
}

/// Goes through this agent's groups now and then, as long as the agent runs: share partitions of deleted topics go, and
/// members that no agent heard of since the former home died get a session that can end.
///
/// # Errors
/// None: what fails is tried again next time.
pub async fn tidy_groups(
    context: Arc<Context>,
    send: impl AsyncFn(GroupId, Command),
) -> std::result::Result<(), TaskError> {
    let stopped = context.supervisor.token(TaskKind::Upkeep);
    loop {
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            () = sleep(TIDY_INTERVAL) => {}
        }
        tokio::select! {
            biased;
            () = stopped.cancelled() => return Ok(()),
            outcome = tidy_round(&context, &send) => {
                if let Err(error) = outcome {
                    warn!(%error, "tidying of share groups put off");
                }
            }
        }
    }
}

/// Looks through the stored groups without loading them, and has their shards do what is to be done.
async fn tidy_round(context: &Context, send: &impl AsyncFn(GroupId, Command)) -> Result<()> {
    let mut after = None;
    loop {
        let page = stored_groups(context, after).await?;
        // Read after the groups: a topic that is not in it was deleted.
        let catalog = context.parts.catalog.refresh().await?;
        for group in page.groups {
            let has_gone = group.topics.keys().any(|topic_id| !catalog.topics_by_id.contains_key(topic_id));
            if has_gone || !group.members.is_empty() {
                send(group.group_id, Command::Tidy).await;
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
    pub groups: Vec<ShareGroup>,
    /// Go on after this one; `None` at the end.
    pub last: Option<Arc<str>>,
}

/// The stored groups whose home is this agent, from after a name on.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn stored_groups(context: &Context, after: Option<Arc<str>>) -> Result<StoredGroups> {
    let metastore = &context.parts.metastore;
    let page = metastore.list_documents(DocumentKind::ShareGroup, "", after, PAGE_GROUPS_MAX).await?;
    let is_last = page.len() < usize::try_from(PAGE_GROUPS_MAX).unwrap_or(usize::MAX);
    let last = page.last().filter(|_| !is_last).map(|document| document.key.name.clone());
    Ok(StoredGroups { groups: page.into_iter().filter_map(|document| own_group(context, document)).collect(), last })
}

fn own_group(context: &Context, document: Document) -> Option<ShareGroup> {
    let group_id = GroupId(document.key.name);
    if !context.is_home_of(&group_id) {
        return None;
    }
    let group = document::decode(&group_id, &document.body, Instant::now());
    group.inspect_err(|unreadable| warn!(group = %group_id, %unreadable, "share group left out")).ok()
}
