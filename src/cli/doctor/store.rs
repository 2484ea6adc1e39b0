//! Checks of the object store.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::base::clock::{Clock, Timestamp};
use crate::base::rng::Rng;
use crate::cli::doctor::finding::{Finding, Verdict};
use crate::cli::latency::{Latencies, LatencySummary};
use crate::cli::output::units::{bytes, milliseconds};
use crate::model::object::{ByteRange, ObjectKey};
use crate::object::error::ObjectError;
use crate::object::identity::bound_to;
use crate::object::key::probe_key;
use crate::object::meter::Purpose;
use crate::object::probe::{ProbeError, probe};
use crate::object::store::ObjectStorage;

/// The size of the objects whose latency is measured: what a small agent's flush makes.
const SAMPLE_BYTES: usize = 64 << 10;
/// A median above this is no object store next door.
const SLOW: Duration = Duration::from_millis(150);
/// Stores list times in seconds; two clocks within this are as one.
const SKEW_TOLERATED: Duration = Duration::from_secs(2);
/// From here on timestamps of records and retention are visibly off, and request signatures are refused at 15 minutes.
const SKEW_HARMFUL: Duration = Duration::from_secs(60);

/// Rights, conditional PUT, latencies, clock, whose prefix it is. `samples` objects are written, read and deleted.
pub async fn check(storage: &ObjectStorage, rng: &Rng, clock: &dyn Clock, samples: u32) -> Vec<Finding> {
    let mut findings = Vec::new();
    match probe(storage, rng).await {
        Ok(report) => {
            let detail = format!("put, get, list and delete are allowed at {}", storage.location());
            findings.push(Finding::new("store rights", Verdict::Ok, detail));
            let detail = format!(
                "a second PUT of a key is refused (in {} ms), and of four at once one wins",
                milliseconds(report.create_again)
            );
            findings.push(Finding::new("conditional PUT", Verdict::Ok, detail));
        }
        Err(error) => {
            let check = match error {
                ProbeError::IgnoresConditions(_) => "conditional PUT",
                ProbeError::Refused(_) => "store rights",
                ProbeError::WrongBytes(_) => "store contents",
                ProbeError::Unavailable(_) => "store reachable",
            };
            findings.push(Finding::new(check, Verdict::Fail, error.to_string()));
            return findings;
        }
    }
    match sample(storage, rng, clock, samples).await {
        Ok(sampled) => {
            findings.push(latency("PUT latency", sampled.put));
            findings.push(latency("GET latency", sampled.get));
            findings.push(skew(sampled.skew));
        }
        Err(error) => findings.push(Finding::new("store latency", Verdict::Fail, error.to_string())),
    }
    findings.push(match bound_to(storage).await {
        Ok(Some(cluster)) => Finding::new("identity", Verdict::Ok, format!("the prefix belongs to cluster {cluster}")),
        Ok(None) => Finding::new("identity", Verdict::Ok, "the prefix belongs to no cluster yet"),
        Err(error) => Finding::new("identity", Verdict::Fail, error.to_string()),
    });
    findings
}

#[derive(Debug)]
struct Sampled {
    put: LatencySummary,
    get: LatencySummary,
    /// The store's clock minus ours, when the store said when it wrote an object.
    skew: Option<i64>,
}

async fn sample(storage: &ObjectStorage, rng: &Rng, clock: &dyn Clock, samples: u32) -> Result<Sampled, ObjectError> {
    let keys: Vec<ObjectKey> = (0..samples.max(1)).map(|_| probe_key(rng)).collect();
    let measured = measure(storage, &keys, clock).await;
    // Also after a failure; the measurement's own error is what counts.
    let deleted = storage.delete(&keys, Purpose::Probe).await;
    let sampled = measured?;
    deleted?;
    Ok(sampled)
}

async fn measure(storage: &ObjectStorage, keys: &[ObjectKey], clock: &dyn Clock) -> Result<Sampled, ObjectError> {
    let content = Bytes::from(vec![0x5a; SAMPLE_BYTES]);
    let range = ByteRange { position: 0, length: SAMPLE_BYTES as u32 };
    let (put, get) = (Latencies::default(), Latencies::default());
    let mut last_written = Timestamp::NONE;
    for key in keys {
        let began = Instant::now();
        storage.put_new(key, vec![content.clone()], Purpose::Probe).await?;
        put.record(began.elapsed());
        last_written = clock.now();
        let began = Instant::now();
        storage.get_ranges(key, &[range], Purpose::Probe).await?;
        get.record(began.elapsed());
    }
    let last = keys.last();
    let folder = last.and_then(|key| key.as_str().split_once('/')).map_or("", |(folder, _)| folder);
    let listed = storage.list(folder, None, 10_000, Purpose::Probe).await?;
    let modified = listed.iter().find(|object| Some(&object.key) == last).map(|object| object.modified_at);
    let skew = modified.map(|modified| modified.0 - last_written.0);
    Ok(Sampled { put: put.summary(), get: get.summary(), skew })
}

fn latency(check: &'static str, summary: LatencySummary) -> Finding {
    let ms = |value: f64| milliseconds(Duration::from_secs_f64(value / 1e3));
    let detail = format!(
        "p50 {} ms, p99 {} ms, longest {} ms ({} × {})",
        ms(summary.p50_ms),
        ms(summary.p99_ms),
        ms(summary.max_ms),
        summary.count,
        bytes(SAMPLE_BYTES as u64)
    );
    if summary.p50_ms > SLOW.as_secs_f64() * 1e3 {
        let detail = format!("{detail}: is the bucket in another region?");
        return Finding::new(check, Verdict::Warn, detail);
    }
    Finding::new(check, Verdict::Ok, detail)
}

fn skew(skew_ms: Option<i64>) -> Finding {
    let check = "clock";
    let Some(skew_ms) = skew_ms else {
        return Finding::new(check, Verdict::Skipped, "the store did not list what was just written");
    };
    let distance = Duration::from_millis(skew_ms.unsigned_abs());
    let direction = if skew_ms < 0 { "behind" } else { "ahead of" };
    let detail = format!("the store's clock is {:.1} s {direction} this machine's", distance.as_secs_f64());
    if distance <= SKEW_TOLERATED {
        Finding::new(check, Verdict::Ok, "this machine and the store agree within 2 s")
    } else if distance <= SKEW_HARMFUL {
        Finding::new(check, Verdict::Warn, format!("{detail}; synchronise this machine's clock"))
    } else {
        Finding::new(check, Verdict::Fail, format!("{detail}; synchronise this machine's clock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use crate::base::metrics::Metrics;
    use crate::config::objects::ObjectSettings;

    #[tokio::test]
    async fn a_store_in_memory_is_fit_and_left_empty() {
        let rng = Rng::from_seed(3);
        let (settings, metrics) = (ObjectSettings::default(), Metrics::default());
        let storage = ObjectStorage::open("memory:", &settings, rng.clone(), &metrics).unwrap();
        let findings = check(&storage, &rng, &SystemClock, 3).await;
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok), "{findings:?}");
        let checks: Vec<_> = findings.iter().map(|finding| finding.check).collect();
        assert_eq!(checks, ["store rights", "conditional PUT", "PUT latency", "GET latency", "clock", "identity"]);
        assert!(storage.list("", None, 10, Purpose::Probe).await.unwrap().is_empty());
    }

    #[test]
    fn clocks_that_differ_are_noticed() {
        assert_eq!(skew(Some(-900)).verdict, Verdict::Ok);
        let finding = skew(Some(-30_000));
        assert_eq!(finding.verdict, Verdict::Warn);
        assert!(finding.detail.contains("30.0 s behind"), "{}", finding.detail);
        assert_eq!(skew(Some(3_600_000)).verdict, Verdict::Fail);
        assert_eq!(skew(None).verdict, Verdict::Skipped);
    }
}
