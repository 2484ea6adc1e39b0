//! What must be the same for the same seed: every event of a run, with its virtual moment, as a running hash.
//!
//! A run lives on one thread, so the trace does, too.

use std::cell::RefCell;
use std::hash::Hasher;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// Who compares two runs moment by moment has the process for itself. Once the wall clock reached a run, through a cache
/// whose upkeep woke tasks, and only a loaded machine showed it; such a thing shall fail here for its own sake alone.
static PROCESS: RwLock<()> = RwLock::new(());

/// Held by tests that do not mind others.
pub(crate) fn among_others() -> RwLockReadGuard<'static, ()> {
    PROCESS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by tests that compare runs.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    PROCESS.write().unwrap_or_else(PoisonError::into_inner)
}

struct Trace {
    began: Instant,
    hash: Xxh3,
    prints: bool,
}

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// Begins a trace on this thread. Must be called inside the run's runtime.
pub(crate) fn begin() {
    let prints = std::env::var_os("TOWPATH_SIM_TRACE").is_some();
    TRACE.with_borrow_mut(|trace| *trace = Some(Trace { began: Instant::now(), hash: Xxh3::new(), prints }));
}

/// Adds a line.
pub(crate) fn note(line: &str) {
    TRACE.with_borrow_mut(|trace| {
        let Some(trace) = trace else { return };
        let now = trace.began.elapsed().as_nanos();
        trace.hash.write(&now.to_be_bytes());
        trace.hash.write(line.as_bytes());
        if trace.prints {
            eprintln!("{now:>15} {line}");
        }
    });
}

/// Ends the trace and gives its hash.
pub(crate) fn end() -> u64 {
    TRACE.with_borrow_mut(|trace| trace.take().map_or(0, |trace| trace.hash.digest()))
}
