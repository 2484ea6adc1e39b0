//! The bill that a choice of linger leads to.

use serde::Serialize;

use crate::cli::cost::{
    Bill, S3_STANDARD, Workload, forecast, gib_per_month, put_floor_per_agent_month, replicated_cross_zone_per_gib,
};
use crate::cli::output::table::{Align, Table};
use crate::cli::output::units::dollars;
use crate::config::log::LogSettings;

/// What it costs in a month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BillForecast {
    /// The most that flushes of small objects can cost per agent.
    pub floor_per_agent: f64,
    /// The longest wait for a flush, in milliseconds, after the PUT budget.
    pub flush_ms: f64,
    /// Agents that take writes.
    pub agents: f64,
    /// Zones they stand in.
    pub zones: f64,
    /// Days records are kept.
    pub retention_days: f64,
    /// By throughput.
    pub lines: Vec<BillLine>,
}

/// One throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BillLine {
    /// Produced, MiB a second.
    pub mib_per_second: f64,
    /// What it costs here.
    pub bill: Bill,
    /// What brokers that replicate across three zones would pay for traffic between zones alone.
    pub replicated_traffic: f64,
}

/// Forecasts for some throughputs.
#[must_use]
pub fn bill_of(log: &LogSettings, workload: &Workload, throughputs: &[f64]) -> BillForecast {
    let flush_ms = flush_ms(log);
    let lines = throughputs.iter().map(|mib_per_second| {
        let workload = Workload {
            mib_per_second: *mib_per_second,
            linger_ms: flush_ms,
            object_mib: log.object_bytes_max as f64 / f64::from(1 << 20),
            ..*workload
        };
        BillLine {
            mib_per_second: *mib_per_second,
            bill: forecast(&workload, &S3_STANDARD),
            replicated_traffic: replicated_cross_zone_per_gib(workload.fan_out, &S3_STANDARD)
                * gib_per_month(&workload),
        }
    });
    BillForecast {
        floor_per_agent: put_floor_per_agent_month(log.linger_busy_ms as f64, log.puts_per_second, &S3_STANDARD),
        flush_ms,
        agents: workload.agents,
        zones: workload.zones,
        retention_days: workload.retention_days,
        lines: lines.collect(),
    }
}

/// The mean time between flushes under steady load: the linger, or what the PUT budget allows if that is longer.
fn flush_ms(log: &LogSettings) -> f64 {
    let by_budget = if log.puts_per_second > 0.0 { 1000.0 / log.puts_per_second } else { 0.0 };
    // Without linger and budget every request is a flush; a millisecond stands for "at once".
    (log.linger_busy_ms as f64).max(by_budget).max(1.0)
}

/// The forecast for people.
#[must_use]
pub fn draw(bill: &BillForecast) -> String {
    let number = Align::Right;
    let mut table = Table::new(&[
        ("MiB/s", number),
        ("object", number),
        ("PUT/GiB", number),
        ("requests", number),
        ("storage", number),
        ("a month", number),
        ("replicated traffic", number),
    ]);
    for line in &bill.lines {
        table.row([
            format!("{}", line.mib_per_second),
            format!("{:.2} MiB", line.bill.object_mib),
            format!("{:.0}", line.bill.puts_per_gib),
            dollars(line.bill.requests_per_month),
            dollars(line.bill.storage_per_month),
            dollars(line.bill.per_month()),
            dollars(line.replicated_traffic),
        ]);
    }
    format!(
        "Monthly bill at S3 Standard list prices: {} agents in {} zones, a flush every {} ms, {} days kept.\n\
         Flushes of an agent that is never idle cost at most {} a month; an idle agent's cost nothing.\n\n{table}\n\n\
         The last column is what brokers that replicate over three zones pay for traffic between zones alone.",
        bill.agents,
        bill.zones,
        bill.flush_ms,
        bill.retention_days,
        dollars(bill.floor_per_agent),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_follows_the_settings() {
        let workload = Workload { agents: 3.0, zones: 3.0, fan_out: 3.0, ..Workload::default() };
        let bill = bill_of(&LogSettings::default(), &workload, &[1.0, 100.0]);
        assert_eq!(bill.flush_ms, 250.0);
        assert!((bill.lines[0].bill.puts_per_gib - 12_288.0).abs() < 0.1);
        assert!((bill.lines[1].bill.requests_per_month - 277.0).abs() < 10.0);
        assert!((bill.lines[1].replicated_traffic - 25_700.0).abs() < 200.0);
        let hasty = LogSettings { linger_busy_ms: 10, puts_per_second: 0.0, ..LogSettings::default() };
        assert!(bill_of(&hasty, &workload, &[]).floor_per_agent > 1_300.0);
        let frugal = LogSettings { puts_per_second: 1.0, ..LogSettings::default() };
        assert_eq!(bill_of(&frugal, &workload, &[]).flush_ms, 1000.0);
    }

    #[test]
    fn the_bill_is_a_table() {
        let workload = Workload { agents: 3.0, zones: 3.0, fan_out: 3.0, ..Workload::default() };
        let text = draw(&bill_of(&LogSettings::default(), &workload, &[100.0]));
        assert!(text.contains("MiB/s    object  PUT/GiB  requests  storage  a month  replicated traffic"), "{text}");
        assert!(text.contains("  100  8.00 MiB      128"), "{text}");
        assert!(text.contains("at most $52.56 a month"), "{text}");
    }
}
