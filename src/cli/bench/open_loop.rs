//! Requests at fixed moments.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

/// When requests are due: the first at `began`, then one every `every`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// When the first is due.
    pub began: Instant,
    /// The time between two.
    pub every: Duration,
    /// No request is due from then on.
    pub length: Duration,
}

impl Schedule {
    /// When request `number` (from 0) is due, or nothing when the schedule is over.
    #[must_use]
    pub fn due(&self, number: u64) -> Option<Instant> {
        let after = Duration::from_secs_f64(self.every.as_secs_f64() * number as f64);
        (after < self.length).then(|| self.began + after)
    }

    /// How many requests there are in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.length.as_secs_f64() / self.every.as_secs_f64()).ceil() as u64
    }
}

/// Runs `request(number, due)` at each moment of the schedule that falls to this lane (`lane` of `lanes`, in turns),
/// at most `in_flight_max` at once. A request that finds no room starts late, but its due moment stays what it was.
pub async fn run<F, R>(schedule: Schedule, (lane, lanes): (u64, u64), in_flight_max: usize, mut request: R)
where
    F: Future<Output = ()>,
    R: FnMut(u64, Instant) -> F,
{
    let mut in_flight = FuturesUnordered::new();
    let mut number = lane;
    while let Some(due) = schedule.due(number) {
        loop {
            let full = in_flight.len() >= in_flight_max.max(1);
            tokio::select! {
                biased;
                // An empty set answers nothing, which switches its branch off.
                Some(()) = in_flight.next() => {}
                () = sleep_until(due), if !full => break,
            }
        }
        in_flight.push(request(number, due));
        number += lanes;
    }
    while in_flight.next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn schedule(every_ms: u64, length_ms: u64) -> Schedule {
        let (every, length) = (Duration::from_millis(every_ms), Duration::from_millis(length_ms));
        Schedule { began: Instant::now(), every, length }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_start_when_they_are_due() {
        let schedule = schedule(10, 100);
        let late = RefCell::new(Vec::new());
        run(schedule, (0, 1), 100, |_, due| {
            late.borrow_mut().push(due.elapsed());
            tokio::time::sleep(Duration::from_secs(1))
        })
        .await;
        assert_eq!(schedule.count(), 10);
        assert_eq!(late.borrow().len(), 10);
        assert!(late.borrow().iter().all(|late| *late < Duration::from_millis(2)), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_counts_against_every_request_that_was_due_in_it() {
        let latencies = RefCell::new(Vec::new());
        run(schedule(10, 100), (0, 1), 1, |number, due| {
            let latencies = &latencies;
            async move {
                // The first request takes 50 ms and holds up those behind it.
                tokio::time::sleep(Duration::from_millis(if number == 0 { 50 } else { 1 })).await;
                latencies.borrow_mut().push(due.elapsed().as_millis());
            }
        })
        .await;
        let latencies = latencies.into_inner();
        assert_eq!(latencies[0], 50);
        assert!((40..=44).contains(&latencies[1]), "due at 10, done after 51: {latencies:?}");
        assert!((30..=36).contains(&latencies[2]), "{latencies:?}");
        assert!(latencies[9] <= 3, "the queue is worked off by then: {latencies:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_share_the_schedule() {
        let schedule = schedule(10, 95);
        let seen = RefCell::new(Vec::new());
        for lane in 0..3 {
            run(schedule, (lane, 3), 10, |number, _| {
                seen.borrow_mut().push(number);
                std::future::ready(())
            })
            .await;
        }
        let mut seen = seen.into_inner();
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }
}
