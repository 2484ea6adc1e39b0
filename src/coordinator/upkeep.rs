//! What both coordinators do by themselves: rounds now and then, and looks at groups that are stored.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use tracing::warn;

use crate::base::task::{Supervisor, TaskError, TaskKind};
use crate::metastore::error::Result;
use crate::metastore::store::Metastore;
use crate::metastore::values::DocumentKind;
use crate::model::group::GroupId;

/// How many group documents one page of a listing holds: those of large groups may hold hundreds of kilobytes.
const PAGE_GROUPS_MAX: u32 = 100;

/// Makes a round after each `interval`, until tasks of this kind are to stop: the round under way is dropped then.
///
/// # Errors
/// None.
pub async fn every<F: Future<Output = ()>>(
    supervisor: &Supervisor,
    kind: TaskKind,
    interval: Duration,
    round: impl Fn() -> F,
) -> std::result::Result<(), TaskError> {
    let rounds = async {
        loop {
            sleep(interval).await;
            round().await;
        }
    };
    supervisor.token(kind).run_until_cancelled(rounds).await.unwrap_or(Ok(()))
}

/// Some groups as they are stored.
#[derive(Debug)]
pub struct StoredGroups<G> {
    /// The groups.
    pub groups: Vec<G>,
    /// Go on after this one; `None` at the end.
    pub last: Option<Arc<str>>,
}

/// Stored groups whose home is this agent, from after a name on. Those that can not be read are left out.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn stored_groups<G, E: fmt::Display>(
    metastore: &dyn Metastore,
    kind: DocumentKind,
    after: Option<Arc<str>>,
    is_home: impl Fn(&GroupId) -> bool,
    decode: impl Fn(&GroupId, Bytes) -> std::result::Result<G, E>,
) -> Result<StoredGroups<G>> {
    let page = metastore.list_documents(kind, "", after, PAGE_GROUPS_MAX).await?;
    let is_last = page.len() < usize::try_from(PAGE_GROUPS_MAX).unwrap_or(usize::MAX);
    let last = page.last().filter(|_| !is_last).map(|document| document.key.name.clone());
    let own = page.into_iter().map(|document| (GroupId(document.key.name), document.body));
    let readable = own.filter(|(group_id, _)| is_home(group_id)).filter_map(|(group_id, body)| {
        let group = decode(&group_id, body);
        group.inspect_err(|unreadable| warn!(group = %group_id, ?kind, %unreadable, "group left out")).ok()
    });
    Ok(StoredGroups { groups: readable.collect(), last })
}
