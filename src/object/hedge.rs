//! When to send a request a second time: after nearly all requests like it have been answered, and seldom.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::objects::ObjectSettings;
use crate::object::meter::Operation;

/// Latencies remembered per class.
const WINDOW: usize = 128;
/// Too few latencies to judge by.
const SAMPLES_MIN: usize = 16;
/// Until there are enough, wait this many times the shortest delay.
const UNTRIED_FACTOR: u32 = 10;
/// Requests per hedge that is allowed: at most one in twenty.
const REQUESTS_PER_HEDGE: u32 = 20;
/// Hedges that may come at once after a quiet time.
const HEDGES_SAVED_MAX: u32 = 10;

/// Bytes moved have to do with how long a request takes: requests of a class are alike.
const CLASS_LIMITS: [u64; 4] = [64 << 10, 512 << 10, 2 << 20, 8 << 20];

/// Remembers latencies and decides.
#[derive(Debug)]
pub(crate) struct Hedging {
    enabled: bool,
    delay_min: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    puts: [Window; CLASS_LIMITS.len() + 1],
    gets: [Window; CLASS_LIMITS.len() + 1],
    /// In units of one request; a hedge costs [`REQUESTS_PER_HEDGE`].
    credit: u32,
}

/// The last latencies of one class.
#[derive(Debug, Default)]
struct Window {
    latencies: Vec<Duration>,
    next: usize,
}

impl Hedging {
    pub(crate) fn new(settings: &ObjectSettings) -> Self {
        let state =
            State { puts: Default::default(), gets: Default::default(), credit: HEDGES_SAVED_MAX * REQUESTS_PER_HEDGE };
        Self { enabled: settings.hedge, delay_min: settings.hedge_after_min(), state: Mutex::new(state) }
    }

    /// How long to wait for an answer before asking again; `None`: for ever.
    pub(crate) fn delay(&self, operation: Operation, bytes: u64) -> Option<Duration> {
        let mut state = self.lock();
        let window = state.window(operation, bytes)?;
        let quantile = window.high_quantile();
        self.enabled.then(|| quantile.map_or(self.delay_min * UNTRIED_FACTOR, |latency| latency.max(self.delay_min)))
    }

    /// A request was answered well after `latency`.
    pub(crate) fn observe(&self, operation: Operation, bytes: u64, latency: Duration) {
        let mut state = self.lock();
        state.credit = (state.credit + 1).min(HEDGES_SAVED_MAX * REQUESTS_PER_HEDGE);
        if let Some(window) = state.window(operation, bytes) {
            window.push(latency);
        }
    }

    /// Whether one more second request is within the budget; takes it when so.
    pub(crate) fn take(&self) -> bool {
        let mut state = self.lock();
        let left = state.credit.checked_sub(REQUESTS_PER_HEDGE);
        state.credit = left.unwrap_or(state.credit);
        left.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every step leaves the state valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The class of a request; only PUT and GET are hedged.
    fn window(&mut self, operation: Operation, bytes: u64) -> Option<&mut Window> {
        let class = CLASS_LIMITS.iter().filter(|&&limit| bytes > limit).count();
        match operation {
            Operation::Put => Some(&mut self.puts[class]),
            Operation::Get => Some(&mut self.gets[class]),
            Operation::Head | Operation::List | Operation::Delete => None,
        }
    }
}

impl Window {
    fn push(&mut self, latency: Duration) {
        if self.latencies.len() < WINDOW {
            self.latencies.push(latency);
        } else {
            self.latencies[self.next] = latency;
        }
        self.next = (self.next + 1) % WINDOW;
    }

    /// The latency that 98 of 100 requests stay below.
    fn high_quantile(&self) -> Option<Duration> {
        if self.latencies.len() < SAMPLES_MIN {
            return None;
        }
        let mut sorted = self.latencies.clone();
        let index = (sorted.len() * 98).div_ceil(100) - 1;
        Some(*sorted.select_nth_unstable(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn hedging() -> Hedging {
        Hedging::new(&ObjectSettings { hedge_after_min_ms: 20, ..ObjectSettings::default() })
    }

    #[test]
    fn waits_for_the_high_quantile_of_requests_alike() {
        let hedging = hedging();
        assert_eq!(hedging.delay(Operation::Put, 1), Some(200 * MS), "nothing known yet");
        for n in 1..=100 {
            hedging.observe(Operation::Put, 1, n * MS);
        }
        assert_eq!(hedging.delay(Operation::Put, 1), Some(98 * MS));
        assert_eq!(hedging.delay(Operation::Put, 1 << 20), Some(200 * MS), "larger ones are another class");
        assert_eq!(hedging.delay(Operation::Get, 1), Some(200 * MS), "so are reads");
        assert_eq!(hedging.delay(Operation::List, 1), None);
    }

    #[test]
    fn forgets_old_latencies_and_keeps_the_shortest_delay() {
        let hedging = hedging();
        for _ in 0..200 {
            hedging.observe(Operation::Get, 1, 900 * MS);
        }
        for _ in 0..WINDOW {
            hedging.observe(Operation::Get, 1, MS);
        }
        assert_eq!(hedging.delay(Operation::Get, 1), Some(20 * MS));
    }

    #[test]
    fn at_most_one_request_in_twenty_is_repeated() {
        let hedging = hedging();
        let saved = (0..100).filter(|_| hedging.take()).count();
        assert_eq!(saved, HEDGES_SAVED_MAX as usize);
        let mut hedges = 0;
        for _ in 0..1_000 {
            hedging.observe(Operation::Put, 1, MS);
            hedges += usize::from(hedging.take());
        }
        assert_eq!(hedges, 50);
    }

    #[test]
    fn can_be_switched_off() {
        let hedging = Hedging::new(&ObjectSettings { hedge: false, ..ObjectSettings::default() });
        assert_eq!(hedging.delay(Operation::Put, 1), None);
    }
}
