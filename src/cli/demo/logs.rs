//! Application logs as a shop would write them, made up.

use crate::base::clock::Timestamp;
use crate::base::rng::Rng;

const SERVICES: [&str; 6] = ["checkout", "catalog", "search", "payment", "cart", "gateway"];
const ROUTES: [&str; 6] = ["/api/orders", "/api/items/", "/api/search?q=", "/api/pay", "/api/cart", "/healthz"];
const MESSAGES: [&str; 5] = [
    "request served",
    "cache miss, asked the database",
    "retry after timeout",
    "connection pool exhausted",
    "upstream answered with an error",
];

/// Makes one log record after another.
#[derive(Clone, Debug)]
pub struct LogSource {
    rng: Rng,
}

/// A log record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The service that wrote it: the record's key.
    pub service: &'static str,
    /// A line of JSON.
    pub line: String,
}

impl LogSource {
    /// The same stream of randomness gives the same logs.
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        Self { rng }
    }

    /// The next record, written at `now`.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> LogRecord {
        let rng = &self.rng;
        let pick = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap_or(0);
        let service = SERVICES[pick(SERVICES.len())];
        let route = ROUTES[pick(ROUTES.len())];
        // Most requests are fine, some are slow, few fail.
        let (level, status, message) = match rng.below(100) {
            0..2 => ("ERROR", 500 + rng.below(4), MESSAGES[3 + pick(2)]),
            2..8 => ("WARN", 429, MESSAGES[1 + pick(2)]),
            _ => ("INFO", 200 + rng.below(2) * 4, MESSAGES[pick(2)]),
        };
        let took_ms = 1 + rng.below(20) * rng.below(20);
        let (trace, bytes, pod) = (rng.next_u64(), rng.below(65_536), rng.below(12));
        let line = format!(
            "{{\"ts\":{now},\"level\":\"{level}\",\"service\":\"{service}\",\"pod\":\"{service}-{pod}\",\
             \"route\":\"{route}\",\"status\":{status},\"took_ms\":{took_ms},\"bytes\":{bytes},\
             \"trace\":\"{trace:016x}\",\"message\":\"{message}\"}}"
        );
        LogRecord { service, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_json_of_a_usual_size() {
        let source = LogSource::new(Rng::from_seed(7));
        let mut levels = std::collections::BTreeSet::new();
        for number in 0..500 {
            let record = source.next(Timestamp(number));
            let parsed: serde_json::Value = serde_json::from_str(&record.line).unwrap();
            assert_eq!(parsed["service"], record.service);
            assert_eq!(parsed["ts"], number);
            assert!((150..400).contains(&record.line.len()), "{}", record.line);
            levels.insert(parsed["level"].as_str().unwrap().to_owned());
        }
        assert_eq!(levels.len(), 3);
    }
}
