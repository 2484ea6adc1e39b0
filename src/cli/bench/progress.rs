//! A progress bar on standard error, when a person watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// How often it moves.
const STEP: Duration = Duration::from_millis(250);

/// Moves a bar for `length`, then ends. Dropping it removes the bar.
pub async fn show(length: Duration, message: impl Fn() -> String) {
    let bar = ProgressBar::with_draw_target(
        Some(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)),
        ProgressDrawTarget::stderr(),
    );
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
        bar.set_style(style);
    }
    let bar = Cleared(bar);
    let began = Instant::now();
    while began.elapsed() < length {
        tokio::time::sleep(STEP).await;
        bar.0.set_position(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        bar.0.set_message(message());
    }
}

struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
