//! Checks of the metastore.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::cli::doctor::finding::{Finding, Verdict};
use crate::cli::latency::Latencies;
use crate::cli::output::units::milliseconds;
use crate::config::metastore::{MetastoreBackend, MetastoreSettings};
use crate::metastore::error::MetastoreError;
use crate::metastore::open::{Surroundings, open};
use crate::object::key::METASTORE_FOLDER;
use crate::object::store::ObjectStorage;

/// Clocks of this machine and of the metastore may differ by this much: deadlines use the metastore's alone.
const SKEW_TOLERATED: Duration = Duration::from_secs(2);
/// A commit waits for at least one round trip; above this it is felt.
const SLOW: Duration = Duration::from_millis(20);

/// Reaches the metastore, measures round trips and compares clocks.
pub async fn check(
    settings: &MetastoreSettings,
    storage: &ObjectStorage,
    supervisor: &Supervisor,
    rng: &Rng,
    clock: &Arc<dyn Clock>,
    samples: u32,
) -> Vec<Finding> {
    let name = "metastore";
    match settings.backend() {
        Err(unknown) => return vec![Finding::new(name, Verdict::Fail, unknown.to_string())],
        Ok(MetastoreBackend::Memory) => {
            let detail = "in memory: everything is forgotten when the agent ends (metastore.url)";
            return vec![Finding::new(name, Verdict::Warn, detail)];
        }
        Ok(MetastoreBackend::Embedded) => {
            let detail = "embedded in the bucket, for one agent; not opened, since an agent may be using it";
            return vec![Finding::new(name, Verdict::Skipped, detail)];
        }
        Ok(MetastoreBackend::Postgres(_)) => {}
    }
    let surroundings = Surroundings {
        store: storage.raw(),
        prefix: METASTORE_FOLDER.into(),
        clock: Arc::clone(clock),
        rng: rng.clone(),
        supervisor: supervisor.clone(),
    };
    match measure(settings, surroundings, clock.as_ref(), samples).await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::new(name, Verdict::Fail, format!("{error}; see --metastore (metastore.url)"))],
    }
}

async fn measure(
    settings: &MetastoreSettings,
    surroundings: Surroundings,
    clock: &dyn Clock,
    samples: u32,
) -> Result<Vec<Finding>, MetastoreError> {
    let metastore = open(settings, surroundings).await?;
    let latencies = Latencies::default();
    let mut skew = i64::MAX;
    for _ in 0..samples.max(1) {
        let began = Instant::now();
        let theirs = metastore.now().await?;
        latencies.record(began.elapsed());
        // The answer was made at most one round trip ago; the closest comparison is the truest.
        let difference = theirs.0 - clock.now().0;
        if difference.unsigned_abs() < skew.unsigned_abs() {
            skew = difference;
        }
    }
    metastore.close().await?;
    let summary = latencies.summary();
    let ms = |value: f64| milliseconds(Duration::from_secs_f64(value / 1e3));
    let detail =
        format!("{} answers: p50 {} ms, p99 {} ms", metastore.backend(), ms(summary.p50_ms), ms(summary.p99_ms));
    let slow = summary.p50_ms > SLOW.as_secs_f64() * 1e3;
    let reached = Finding::new("metastore", if slow { Verdict::Warn } else { Verdict::Ok }, detail);
    let distance = Duration::from_millis(skew.unsigned_abs());
    let agrees = distance <= SKEW_TOLERATED;
    let detail = if agrees {
        "this machine and the metastore agree within 2 s".to_owned()
    } else {
        format!("this machine and the metastore differ by {:.1} s; synchronise their clocks", distance.as_secs_f64())
    };
    let clocks = Finding::new("metastore clock", if agrees { Verdict::Ok } else { Verdict::Warn }, detail);
    Ok(vec![reached, clocks])
}
