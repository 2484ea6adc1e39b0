//! A share group at its home: what its task holds.
//!
//! One task per group loads it, decides, persists and answers, in this order (`run`). The group leaves the task's
//! hands while a step is under way and comes back only when the step is done; whatever goes wrong in between, it is
//! read again from its document.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::coordinator::share::group::command::Command;
use crate::coordinator::share::group::context::Context;
use crate::coordinator::share::group::document;
use crate::coordinator::share::group::limits::ShareGroupLimits;
use crate::coordinator::share::group::state::ShareGroup;
use crate::metastore::values::{CatalogSnapshot, CatalogVersion, DocumentKey, DocumentVersion};
use crate::model::group::GroupId;

/// A share group at its home.
#[derive(Debug)]
pub struct Shard {
    /// What it shares with the other shards.
    pub context: Arc<Context>,
    /// Which group.
    pub group_id: GroupId,
    /// The key of its document.
    pub key: DocumentKey,
    /// What it is told.
    pub commands: mpsc::Receiver<Command>,
    /// The group, while it is loaded. One that does not exist stays for one command only: somebody may make it, or a
    /// classic group of the same id, elsewhere.
    pub group: Option<ShareGroup>,
    /// Its document's version, `None` when it has no document. Means nothing while the group is not loaded.
    pub version: Option<DocumentVersion>,
    /// When it was last asked for anything.
    pub last_used: Instant,
    /// Another agent is the home.
    pub released: bool,
    limits: Option<(CatalogVersion, ShareGroupLimits)>,
}

impl Shard {
    /// A shard that has not loaded its group yet.
    #[must_use]
    pub fn new(context: Arc<Context>, group_id: GroupId, commands: mpsc::Receiver<Command>) -> Self {
        Self {
            key: document::group_key(&group_id),
            context,
            group_id,
            commands,
            group: None,
            version: None,
            last_used: Instant::now(),
            released: false,
            limits: None,
        }
    }

    /// The group's limits by a snapshot of the catalog.
    pub fn limits(&mut self, catalog: &CatalogSnapshot) -> ShareGroupLimits {
        match self.limits {
            Some((version, limits)) if version == catalog.version => limits,
            _ => {
                let limits = ShareGroupLimits::of(&self.group_id, catalog, &self.context.parts.settings);
                self.limits = Some((catalog.version, limits));
                limits
            }
        }
    }

    /// Forgets the group; it is read again when it is next asked for.
    pub fn unload(&mut self) {
        self.group = None;
        self.version = None;
    }
}
