//! The demo's table, and its line for pipes.

use serde::Serialize;

use crate::cli::demo::stats::{Pace, Snapshot};
use crate::cli::latency::table_of;
use crate::cli::output::table::{Align, Table};
use crate::cli::output::units::{bytes, dollars, grouped};

/// A snapshot with the pace of the last interval: what `--json` prints, one line an interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// Since the start.
    pub total: Snapshot,
    /// In the last interval.
    pub now: Pace,
}

fn whole(value: f64) -> u64 {
    // Rates are finite and not negative.
    value.round() as u64
}

/// The whole table.
#[must_use]
pub fn table(reading: &Reading, title: &str) -> String {
    let Reading { total, now } = reading;
    let number = Align::Right;
    let mut flow = Table::new(&[
        ("RECORDS", Align::Left),
        ("a second", number),
        ("bytes a second", number),
        ("total", number),
        ("bytes", number),
    ]);
    let mut row = |name: &str, rate: f64, byte_rate: f64, count: u64, byte_count: u64| {
        flow.row([name.to_owned(), grouped(whole(rate)), bytes(whole(byte_rate)), grouped(count), bytes(byte_count)]);
    };
    row("produced", now.produced, now.produced_bytes, total.produced, total.produced_bytes);
    row("consumed", now.consumed, now.consumed_bytes, total.consumed, total.consumed_bytes);
    let latencies = table_of(&[("produce", total.produce), ("end to end", total.end_to_end)]);
    let storage = &total.storage;
    let mean = storage.object_bytes.checked_div(storage.objects).unwrap_or(0);
    let mut requests = Table::new(&[("OBJECT STORE", Align::Left), ("a second", number), ("total", number)]);
    let mut row = |name: &str, rate: String, count: u64| requests.row([name.to_owned(), rate, grouped(count)]);
    row("PUT", format!("{:.1}", now.puts), storage.requests.puts);
    row("GET", format!("{:.1}", now.gets), storage.requests.gets);
    row("LIST", String::new(), storage.requests.lists);
    row("DELETE", String::new(), storage.requests.deletes);
    row("objects of records", format!("{:.1}", now.objects), storage.objects);
    format!(
        "{title} · {:.0} s\n\n{flow}\n\nlag {} records · mean object {}\n\n{latencies}\n\n{requests}\n\n\
         On S3 these requests would have cost {} so far; {} a month at this pace.\n",
        total.elapsed_s,
        grouped(total.lag()),
        bytes(mean),
        dollars(total.spent),
        dollars(now.month),
    )
}

/// Names the columns of [`line`].
pub const LINE_HEADER: &str = "SECONDS  PRODUCED/s  CONSUMED/s  BYTES/s     LAG     PRODUCE p50/p99 ms  END-TO-END p50/p99 ms  \
                               OBJECTS  PUT    GET    SPENT";

/// One line, for pipes.
#[must_use]
pub fn line(reading: &Reading) -> String {
    let Reading { total, now } = reading;
    let pair = |p50: f64, p99: f64| format!("{p50:.1}/{p99:.1}");
    format!(
        "{:<7.0}  {:<10}  {:<10}  {:<10}  {:<6}  {:<18}  {:<21}  {:<7}  {:<5}  {:<5}  {}",
        total.elapsed_s,
        whole(now.produced),
        whole(now.consumed),
        bytes(whole(now.produced_bytes)),
        total.lag(),
        pair(total.produce.p50_ms, total.produce.p99_ms),
        pair(total.end_to_end.p50_ms, total.end_to_end.p99_ms),
        total.storage.objects,
        total.storage.requests.puts,
        total.storage.requests.gets,
        dollars(total.spent),
    )
}

/// Moves the cursor up over `drawn` and clears what is below, so that the next table takes its place.
#[must_use]
pub fn erase(drawn: &str) -> String {
    format!("\u{1b}[{}A\u{1b}[J", drawn.matches('\n').count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cost::Requests;
    use crate::cli::latency::LatencySummary;
    use crate::cli::launch::StorageUse;

    fn reading() -> Reading {
        let latency = LatencySummary {
            count: 40,
            min_ms: 1.0,
            mean_ms: 3.0,
            p50_ms: 2.5,
            p90_ms: 4.0,
            p99_ms: 12.25,
            p999_ms: 20.0,
            max_ms: 150.0,
        };
        let total = Snapshot {
            elapsed_s: 12.0,
            produced: 24_000,
            produced_bytes: 6 << 20,
            consumed: 23_990,
            consumed_bytes: 6 << 20,
            produce: latency,
            end_to_end: LatencySummary::default(),
            storage: StorageUse {
                requests: Requests { puts: 260, gets: 3, lists: 1, deletes: 2 },
                objects: 240,
                object_bytes: 240 * 26_214,
                errors: 0,
            },
            spent: 0.001_306,
        };
        let now = Pace {
            produced: 2_000.4,
            produced_bytes: 524_288.0,
            consumed: 1_999.6,
            consumed_bytes: 524_288.0,
            objects: 20.0,
            puts: 21.7,
            gets: 0.0,
            month: 285.0,
        };
        Reading { total, now }
    }

    #[test]
    fn the_table_shows_flow_latency_requests_and_cost() {
        let expected = "\
towpath demo · 12 s

RECORDS   a second  bytes a second   total    bytes
produced     2,000       512.0 KiB  24,000  6.0 MiB
consumed     2,000       512.0 KiB  23,990  6.0 MiB

lag 10 records · mean object 25.6 KiB

LATENCY (ms)   p50   p90   p99  p99.9  max  count
produce       2.50  4.00  12.2   20.0  150     40
end to end       -     -     -      -    -      0

OBJECT STORE        a second  total
PUT                     21.7    260
GET                      0.0      3
LIST                       -      1
DELETE                     -      2
objects of records      20.0    240

On S3 these requests would have cost $0.001306 so far; $285.00 a month at this pace.
";
        assert_eq!(table(&reading(), "towpath demo"), expected);
    }

    #[test]
    fn the_line_keeps_its_columns() {
        let line = line(&reading());
        let columns =
            ["12 ", "2000 ", "2000 ", "512.0 KiB", "10 ", "2.5/12.2", "0.0/0.0", "240", "260", "3 ", "$0.001306"];
        let mut from = 0;
        for column in columns {
            from += line[from..].find(column).unwrap_or_else(|| panic!("{column} is missing in {line}"));
        }
        for (title, value) in [("LAG", "10 "), ("OBJECTS", "240"), ("SPENT", "$")] {
            assert_eq!(LINE_HEADER.find(title), line.find(value), "{title}\n{LINE_HEADER}\n{line}");
        }
    }

    #[test]
    fn a_redraw_goes_up_as_many_lines_as_were_drawn() {
        assert_eq!(erase("a\nb\n"), "\u{1b}[2A\u{1b}[J");
    }
}
