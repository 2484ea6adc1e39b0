//! What the coordinator does by itself: let go of groups that moved, and expire offsets.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::group::classic::state::ClassicGroup;
use crate::coordinator::group::command::Command;
use crate::coordinator::group::context::Context;
use crate::coordinator::group::document;
use crate::coordinator::group::expiry::Expiry;
use crate::coordinator::group::offsets;
use crate::coordinator::placement::ClusterView;
use crate::coordinator::upkeep::{self, StoredGroups, every};
use crate::metastore::error::Result;
use crate::metastore::values::DocumentKind;
use crate::model::group::GroupId;

/// Lets go of groups whose home is another agent, as long as the agent runs.
///
/// # Errors
/// None.
pub async fn watch_homes(context: Arc<Context>) -> std::result::Result<(), TaskError> {
    let stays = |view: &ClusterView, group_id: &GroupId| {
        // An agent that drains answers parked requests, also when there is nobody to hand its groups to.
        let drains = view.node(view.this.node_id).is_some_and(|node| node.draining);
        !drains && view.is_home_of(group_id.as_str())
    };
    context.shards.watch_homes(stays).await
}

/// Goes through the offsets of this agent's groups now and then, as long as the agent runs.
///
/// # Errors
/// None: what fails is tried again next time.
pub async fn expire_offsets(
    context: Arc<Context>,
    send: impl AsyncFn(GroupId, Command),
) -> std::result::Result<(), TaskError> {
    let interval = Duration::from_millis(u64::from(context.parts.settings.offsets_retention_check_interval_ms.max(1)));
    let round = || async {
        if let Err(error) = expire_round(&context, &send).await {
            warn!(%error, "expiry of offsets put off");
        }
    };
    every(&context.shards.supervisor, TaskKind::Upkeep, interval, round).await
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

/// Stored groups whose home is this agent, from after a name on.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn stored_groups(context: &Context, after: Option<Arc<str>>) -> Result<StoredGroups<ClassicGroup>> {
    let is_home = |group_id: &GroupId| context.shards.is_home_of(group_id);
    let decode = |group_id: &GroupId, body| document::decode(group_id, body, context.now().moment);
    upkeep::stored_groups(&*context.parts.metastore, DocumentKind::Group, after, is_home, decode).await
}
