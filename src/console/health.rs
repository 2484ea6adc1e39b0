//! Whether an agent can do its work, part by part.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde::Serialize;

/// Asks one part (the object store, the metastore) whether it answers; a sentence when it does not.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What readiness depends on. Cloning shares it.
#[derive(Clone)]
pub struct Health {
    parts: Arc<[(&'static str, Check)]>,
    timeout: Duration,
    draining: Arc<AtomicBool>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parts.iter().map(|(name, _)| name).collect();
        f.debug_struct("Health").field("parts", &names).field("draining", &self.draining).finish_non_exhaustive()
    }
}

/// What `/readyz` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether clients should be sent here.
    pub ready: bool,
    /// The agent finishes what it has and wants no new clients.
    pub draining: bool,
    /// Each part: `ok`, or why not.
    pub parts: BTreeMap<&'static str, String>,
}

impl Health {
    /// Ready means: every part answers within `timeout`, and the agent does not drain.
    #[must_use]
    pub fn new(parts: Vec<(&'static str, Check)>, timeout: Duration) -> Self {
        Self { parts: parts.into(), timeout, draining: Arc::new(AtomicBool::new(false)) }
    }

    /// From now on the agent is not ready, so that load balancers look elsewhere while it finishes.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Asks all parts at once.
    pub async fn check(&self) -> Readiness {
        let answers = join_all(self.parts.iter().map(|(name, check)| async {
            let answer = match tokio::time::timeout(self.timeout, check()).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {} ms", self.timeout.as_millis())),
            };
            (*name, answer)
        }))
        .await;
        let draining = self.draining.load(Ordering::Relaxed);
        let ready = !draining && answers.iter().all(|(_, answer)| answer.is_ok());
        let parts = answers.into_iter().map(|(name, answer)| (name, answer.err().unwrap_or_else(|| "ok".to_owned())));
        Readiness { ready, draining, parts: parts.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &'static str, answer: Result<(), &'static str>) -> (&'static str, Check) {
        (name, Arc::new(move || Box::pin(async move { answer.map_err(str::to_owned) })))
    }

    #[tokio::test]
    async fn every_part_must_answer() {
        let health = Health::new(vec![part("store", Ok(())), part("metastore", Ok(()))], Duration::from_secs(1));
        assert!(health.check().await.ready);

        let health = Health::new(vec![part("store", Ok(())), part("metastore", Err("gone"))], Duration::from_secs(1));
        let readiness = health.check().await;
        assert!(!readiness.ready);
        assert_eq!(readiness.parts["store"], "ok");
        assert_eq!(readiness.parts["metastore"], "gone");
    }

    #[tokio::test]
    async fn a_draining_agent_is_not_ready() {
        let health = Health::new(vec![part("store", Ok(()))], Duration::from_secs(1));
        health.start_draining();
        let readiness = health.check().await;
        assert!(!readiness.ready && readiness.draining);
        assert_eq!(readiness.parts["store"], "ok");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_is_named_after_the_timeout() {
        let hangs: Check = Arc::new(|| Box::pin(std::future::pending()));
        let health = Health::new(vec![("store", hangs), part("metastore", Ok(()))], Duration::from_millis(50));
        let readiness = health.check().await;
        assert!(!readiness.ready);
        assert_eq!(readiness.parts["store"], "no answer within 50 ms");
    }
}
