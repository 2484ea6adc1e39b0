//! Stored bytes that are not a share partition.

use crate::coordinator::share::partition::state::BrokenState;

/// The format version that this release writes.
pub(super) const VERSION: u8 = 1;

/// Why a stored document can not be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableDocument {
    /// It was written by a later release, or by something else.
    #[error("document has format version {0}, this release knows {VERSION}")]
    Version(u8),
    /// It ends too soon.
    #[error("document ends before its content does")]
    Short,
    /// Its bytes are not the ones that were written.
    #[error("document does not match its checksum")]
    Checksum,
    /// It says what no writer would.
    #[error("document has {0}")]
    Content(&'static str),
    /// It describes a window that can not be.
    #[error("document describes an impossible window: {0}")]
    Broken(#[from] BrokenState),
}
