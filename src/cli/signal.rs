//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process is asked to stop, with the signal's name.
///
/// Where signals can not be watched (no such platform is known) it never resolves, and the signal ends the process
/// as it does by default.
pub async fn interrupted() -> &'static str {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => "interrupt",
            _ = terminate.recv() => "terminate",
        },
        _ => std::future::pending().await,
    }
}
