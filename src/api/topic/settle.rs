//! Administrative steps whose outcome may be lost on the way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::metastore::error::{MetastoreError, Result};

/// However long a client says it waits, steps are not repeated for longer than this.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// The end of a step that may be repeated.
#[derive(Debug)]
pub struct Settled<T> {
    /// The last try's outcome.
    pub outcome: Result<T>,
    /// Whether an earlier try may have been applied: then "it is so already" means that it was.
    pub tried_before: bool,
}

/// Repeats an idempotent step while its outcome is unknown or the metastore is away, for as long as the client waits.
pub async fn settle<T, F>(rng: &Rng, timeout_ms: i32, mut step: impl FnMut() -> F) -> Settled<T>
where
    F: Future<Output = Result<T>>,
{
    let patience = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).min(PATIENCE_MAX);
    let deadline = Instant::now() + patience;
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1), rng.clone());
    let mut tried_before = false;
    loop {
        let outcome = step().await;
        match &outcome {
            Err(MetastoreError::Unknown(_)) => tried_before = true,
            Err(MetastoreError::Unavailable(_)) => {}
            _ => return Settled { outcome, tried_before },
        }
        let pause = backoff.next_pause();
        if Instant::now() + pause >= deadline {
            return Settled { outcome, tried_before };
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn lost() -> Result<()> {
        Err(MetastoreError::Unknown("lost".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_outcome_is_asked_again_and_remembered() {
        let tries = Cell::new(0);
        let settled = settle(&Rng::from_seed(1), 10_000, || {
            tries.set(tries.get() + 1);
            let outcome = if tries.get() < 3 { lost() } else { Ok(()) };
            async move { outcome }
        })
        .await;
        assert_eq!((settled.outcome, settled.tried_before, tries.get()), (Ok(()), true, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_the_clients() {
        let started = Instant::now();
        let settled = settle(&Rng::from_seed(1), 3000, || async { lost() }).await;
        assert_eq!(settled.outcome, lost());
        assert!(started.elapsed() <= Duration::from_secs(3));
        let settled = settle(&Rng::from_seed(1), i32::MAX, || async { lost() }).await;
        assert!(settled.tried_before);
        assert!(started.elapsed() <= Duration::from_secs(3) + PATIENCE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        let fenced = || MetastoreError::Unreadable("x".into());
        let settled = settle(&Rng::from_seed(1), 3000, || async { Err::<(), _>(fenced()) }).await;
        assert_eq!((settled.outcome, settled.tried_before), (Err(fenced()), false));
    }
}
