//! What a choice of linger and a stream of requests cost.
//!
//! List prices of S3 Standard in us-east-1; compute and storage-class choices are left out, because requests, stored
//! bytes and bytes between zones make the bill of a diskless broker. A month has 2,628,000 seconds.
//!
//! ```text
//! object = min(object size, throughput / agents × linger)      PUT per GiB = 1024 / object MiB
//! GET per GiB = zones × max(1024 / block MiB, PUT per GiB)     one read per block (or small object) and zone
//! merge  = read every object once, write it once in 64 MiB parts
//! ```

use serde::Serialize;

/// Seconds in a month of a bill.
pub const SECONDS_PER_MONTH: f64 = 2_628_000.0;
/// Decimal gigabytes, in which storage and traffic are sold, per GiB.
const GB_PER_GIB: f64 = (1_u64 << 30) as f64 / 1e9;
/// Parts in which merged segments are written, in MiB.
const MERGE_PART_MIB: f64 = 64.0;

/// Unit prices in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// Per PUT, COPY, POST or LIST.
    pub put: f64,
    /// Per GET or HEAD. A DELETE is free.
    pub get: f64,
    /// Per GB stored for a month.
    pub storage_gb_month: f64,
    /// Per GB that crosses zones, both directions together: what replication between brokers would pay.
    pub cross_zone_gb: f64,
}

/// S3 Standard, us-east-1.
pub const S3_STANDARD: Prices = Prices { put: 5e-6, get: 4e-7, storage_gb_month: 0.023, cross_zone_gb: 0.02 };

/// A steady load on a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// Produced, MiB a second over all agents.
    pub mib_per_second: f64,
    /// Agents that take writes.
    pub agents: f64,
    /// The longest wait for a flush, in milliseconds.
    pub linger_ms: f64,
    /// A flush happens at this size at the latest, in MiB.
    pub object_mib: f64,
    /// What one read fetches, in MiB.
    pub block_mib: f64,
    /// Zones in which it is consumed.
    pub zones: f64,
    /// How long it is kept, in days.
    pub retention_days: f64,
    /// How many times it is consumed (for the comparison only: a cache serves the repetitions).
    pub fan_out: f64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            mib_per_second: 10.0,
            agents: 1.0,
            linger_ms: 250.0,
            object_mib: 8.0,
            block_mib: 4.0,
            zones: 1.0,
            retention_days: 7.0,
            fan_out: 1.0,
        }
    }
}

/// What a workload costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bill {
    /// The mean object, in MiB.
    pub object_mib: f64,
    /// PUTs per GiB produced.
    pub puts_per_gib: f64,
    /// GETs per GiB produced.
    pub gets_per_gib: f64,
    /// Dollars per GiB for writing.
    pub write_per_gib: f64,
    /// Dollars per GiB for reading.
    pub read_per_gib: f64,
    /// Dollars per GiB for one merge.
    pub merge_per_gib: f64,
    /// Dollars a month for all requests.
    pub requests_per_month: f64,
    /// Dollars a month for what is stored.
    pub storage_per_month: f64,
}

impl Bill {
    /// All of it.
    #[must_use]
    pub fn per_month(&self) -> f64 {
        self.requests_per_month + self.storage_per_month
    }
}

/// The bill of a workload.
#[must_use]
pub fn forecast(workload: &Workload, prices: &Prices) -> Bill {
    let flushed_mib = workload.mib_per_second / workload.agents * workload.linger_ms / 1000.0;
    let object_mib = workload.object_mib.min(flushed_mib);
    let puts_per_gib = 1024.0 / object_mib;
    let gets_per_gib = workload.zones * (1024.0 / workload.block_mib).max(puts_per_gib);
    let write_per_gib = puts_per_gib * prices.put;
    let read_per_gib = gets_per_gib * prices.get;
    let merge_per_gib = puts_per_gib * prices.get + 1024.0 / MERGE_PART_MIB * prices.put;
    let gib_per_month = gib_per_month(workload);
    let stored_gb = workload.mib_per_second / 1024.0 * 86_400.0 * workload.retention_days * GB_PER_GIB;
    Bill {
        object_mib,
        puts_per_gib,
        gets_per_gib,
        write_per_gib,
        read_per_gib,
        merge_per_gib,
        requests_per_month: (write_per_gib + read_per_gib + merge_per_gib) * gib_per_month,
        storage_per_month: stored_gb * prices.storage_gb_month,
    }
}

/// What brokers that replicate over three zones pay for the traffic between them, dollars per GiB produced: two
/// thirds of the producers and consumers sit in another zone than the leader, and every byte is copied twice.
#[must_use]
pub fn replicated_cross_zone_per_gib(fan_out: f64, prices: &Prices) -> f64 {
    let zone = prices.cross_zone_gb * GB_PER_GIB;
    2.0 / 3.0 * zone + 2.0 * zone + fan_out * 2.0 / 3.0 * zone
}

/// GiB a month of a workload.
#[must_use]
pub fn gib_per_month(workload: &Workload) -> f64 {
    workload.mib_per_second / 1024.0 * SECONDS_PER_MONTH
}

/// The most that one agent's flushes can cost in a month when traffic never pauses and never fills an object:
/// one PUT per `linger_ms`, and no more than `puts_per_second` where a budget is set (0: none). An idle agent
/// flushes nothing and pays nothing.
#[must_use]
pub fn put_floor_per_agent_month(linger_ms: f64, puts_per_second: f64, prices: &Prices) -> f64 {
    let by_linger = if linger_ms > 0.0 { 1000.0 / linger_ms } else { f64::INFINITY };
    let rate = if puts_per_second > 0.0 { by_linger.min(puts_per_second) } else { by_linger };
    rate * prices.put * SECONDS_PER_MONTH
}

/// Requests that were really made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// PUT, COPY, POST.
    pub puts: u64,
    /// GET, HEAD.
    pub gets: u64,
    /// LIST.
    pub lists: u64,
    /// DELETE.
    pub deletes: u64,
}

/// What these requests cost.
#[must_use]
pub fn spent(requests: &Requests, prices: &Prices) -> f64 {
    (requests.puts + requests.lists) as f64 * prices.put + requests.gets as f64 * prices.get
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance * expected.abs(), "{value} is not {expected} ± {tolerance}");
    }

    fn three_agents(mib_per_second: f64) -> Workload {
        Workload { mib_per_second, agents: 3.0, zones: 3.0, fan_out: 3.0, ..Workload::default() }
    }

    #[test]
    fn small_loads_pay_per_flush() {
        let bill = forecast(&three_agents(1.0), &S3_STANDARD);
        close(bill.object_mib, 0.0833, 0.01);
        close(bill.puts_per_gib, 12_288.0, 1e-6);
        close(bill.gets_per_gib, 36_864.0, 1e-6);
        close(bill.write_per_gib + bill.read_per_gib + bill.merge_per_gib, 0.081, 0.02);
    }

    #[test]
    fn large_loads_pay_per_full_object() {
        let bill = forecast(&three_agents(100.0), &S3_STANDARD);
        assert_eq!(bill.object_mib, 8.0);
        assert_eq!(bill.puts_per_gib, 128.0);
        assert_eq!(bill.gets_per_gib, 768.0);
        close(bill.requests_per_month, 277.0, 0.03);
        close(bill.write_per_gib + bill.read_per_gib + bill.merge_per_gib, 0.0011, 0.05);
    }

    #[test]
    fn replication_between_zones_costs_what_it_costs() {
        close(replicated_cross_zone_per_gib(3.0, &S3_STANDARD), 0.1002, 0.01);
        close(replicated_cross_zone_per_gib(0.0, &S3_STANDARD), 0.0573, 0.01);
        let month = gib_per_month(&three_agents(100.0));
        close(replicated_cross_zone_per_gib(3.0, &S3_STANDARD) * month, 25_700.0, 0.01);
    }

    #[test]
    fn the_flush_floor_is_inverse_to_the_linger() {
        let check = |linger_ms: f64, expected: f64| {
            close(put_floor_per_agent_month(linger_ms, 0.0, &S3_STANDARD), expected, 0.01);
        };
        check(250.0, 53.0);
        check(100.0, 131.0);
        check(50.0, 263.0);
        check(10.0, 1_314.0);
    }

    #[test]
    fn a_put_budget_caps_the_floor() {
        close(put_floor_per_agent_month(10.0, 4.0, &S3_STANDARD), 52.56, 1e-6);
        close(put_floor_per_agent_month(0.0, 4.0, &S3_STANDARD), 52.56, 1e-6);
        close(put_floor_per_agent_month(1000.0, 4.0, &S3_STANDARD), 13.14, 1e-6);
    }

    #[test]
    fn storage_is_sold_in_decimal_gigabytes() {
        let bill =
            forecast(&Workload { mib_per_second: 1.0, retention_days: 7.0, ..Workload::default() }, &S3_STANDARD);
        // 1 MiB/s for 7 days is 590.6 GiB or 634.2 GB.
        close(bill.storage_per_month, 634.2 * 0.023, 0.001);
    }

    #[test]
    fn requests_that_were_made_are_added_up_by_class() {
        let requests = Requests { puts: 1_000_000, gets: 1_000_000, lists: 1_000_000, deletes: 1_000_000 };
        close(spent(&requests, &S3_STANDARD), 5.0 + 0.4 + 5.0, 1e-9);
    }
}
