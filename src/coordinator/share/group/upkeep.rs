//! What the coordinator does by itself: let go of groups that moved, and look after groups that nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::warn;

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::share::group::command::Command;
use crate::coordinator::share::group::context::Context;
use crate::coordinator::share::group::document;
use crate::coordinator::share::group::state::ShareGroup;
use crate::coordinator::upkeep::{self, StoredGroups, every};
use crate::metastore::error::Result;
use crate::metastore::values::DocumentKind;
use crate::model::group::GroupId;

/// How often stored groups are looked through: what is found then is only in the way, nobody waits for it.
const TIDY_INTERVAL: Duration = Duration::from_secs(600);

/// Lets go of groups whose home is another agent, as long as the agent runs.
///
/// # Errors
/// None.
pub async fn watch_homes(context: Arc<Context>) -> std::result::Result<(), TaskError> {
    // Nothing waits for it: a group that moved is refused at once.
    context.shards.watch_homes(|view, group_id| view.is_home_of(group_id.as_str())).await
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
    let round = || async {
        if let Err(error) = tidy_round(&context, &send).await {
            warn!(%error, "tidying of share groups put off");
        }
    };
    every(&context.shards.supervisor, TaskKind::Upkeep, TIDY_INTERVAL, round).await
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

/// Stored groups whose home is this agent, from after a name on.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn stored_groups(context: &Context, after: Option<Arc<str>>) -> Result<StoredGroups<ShareGroup>> {
    let is_home = |group_id: &GroupId| context.shards.is_home_of(group_id);
    let decode = |group_id: &GroupId, body: Bytes| document::decode(group_id, &body, Instant::now());
    upkeep::stored_groups(&*context.parts.metastore, DocumentKind::ShareGroup, after, is_home, decode).await
}
