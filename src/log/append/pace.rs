//! Decides when a buffer becomes an object: pure, over a `now` that is handed in.
//!
//! ```text
//! full ──────────────────────────────────► now
//! nothing in flight ── linger_idle ──┐
//! uploads in flight ── linger_busy ──┴──► as soon as the PUT budget has a token
//! every upload slot taken ──────────────► when one is free
//! ```

use std::time::Duration;

use tokio::time::Instant;

use crate::config::log::LogSettings;

/// However small the budget is, it is looked at again after this long.
const PAUSE_LONGEST: Duration = Duration::from_secs(3_600);

/// What there is to decide about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Bytes in the buffer.
    pub bytes: u64,
    /// When the first of them came; none while the buffer is empty.
    pub since: Option<Instant>,
    /// Uploads under way.
    pub uploads: usize,
    /// Nothing more will come: do not linger.
    pub draining: bool,
}

/// What to do with the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make it an object.
    Flush,
    /// Decide again then, or when something happens.
    At(Instant),
    /// Decide again when something happens.
    Wait,
}

/// The pace of objects: linger and PUT budget.
#[derive(Debug)]
pub(crate) struct Pace {
    settings: LogSettings,
    tokens: f64,
    counted_at: Instant,
}

impl Pace {
    /// Starts with a full bucket of PUTs.
    pub(crate) fn new(settings: LogSettings, now: Instant) -> Self {
        // A bucket that can not hold one token would never let anything through.
        let settings = LogSettings { puts_burst: settings.puts_burst.max(1.0), ..settings };
        let tokens = settings.puts_burst;
        Self { settings, tokens, counted_at: now }
    }

    /// What to do now. Does not change anything; [`Pace::spend`] does.
    pub(crate) fn step(&self, load: Load, now: Instant) -> Step {
        let Some(since) = load.since else { return Step::Wait };
        if load.uploads >= self.settings.uploads_max.max(1) {
            return Step::Wait;
        }
        if load.bytes >= self.settings.object_bytes_max || load.draining {
            return Step::Flush;
        }
        let linger = if load.uploads == 0 { self.settings.linger_idle() } else { self.settings.linger_busy() };
        let due = (since + linger).max(self.token_at(now));
        if now >= due { Step::Flush } else { Step::At(due) }
    }

    /// An object goes out now. A full one goes without a token too, but leaves no debt behind.
    pub(crate) fn spend(&mut self, now: Instant) {
        self.tokens = (self.tokens_at(now) - 1.0).max(0.0);
        self.counted_at = now;
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let earned = now.saturating_duration_since(self.counted_at).as_secs_f64() * self.settings.puts_per_second;
        (self.tokens + earned).min(self.settings.puts_burst)
    }

    /// When there is a whole token.
    fn token_at(&self, now: Instant) -> Instant {
        let missing = 1.0 - self.tokens_at(now);
        if missing <= 0.0 || self.settings.puts_per_second <= 0.0 {
            return now;
        }
        // A microsecond more, so that rounding can not wake us just too early for ever.
        let pause = Duration::try_from_secs_f64(missing / self.settings.puts_per_second).unwrap_or(PAUSE_LONGEST);
        now + pause.min(PAUSE_LONGEST) + Duration::from_micros(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(now: Instant) -> Pace {
        Pace::new(LogSettings { puts_per_second: 4.0, puts_burst: 2.0, ..LogSettings::default() }, now)
    }

    fn load(bytes: u64, since: Instant, uploads: usize) -> Load {
        Load { bytes, since: Some(since), uploads, draining: false }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn lingers_briefly_when_idle_and_longer_when_busy() {
        let start = Instant::now();
        let pace = pace(start);
        assert_eq!(pace.step(load(1, start, 0), start), Step::At(start + ms(1)));
        assert_eq!(pace.step(load(1, start, 0), start + ms(1)), Step::Flush);
        assert_eq!(pace.step(load(1, start, 1), start + ms(1)), Step::At(start + ms(250)));
        assert_eq!(pace.step(load(1, start, 1), start + ms(250)), Step::Flush);
    }

    #[test]
    fn an_empty_buffer_sets_no_timer() {
        let start = Instant::now();
        let load = Load { bytes: 0, since: None, uploads: 0, draining: true };
        assert_eq!(pace(start).step(load, start), Step::Wait);
    }

    #[test]
    fn a_full_buffer_goes_at_once_unless_every_slot_is_taken() {
        let start = Instant::now();
        let mut pace = pace(start);
        for _ in 0..5 {
            pace.spend(start);
        }
        assert_eq!(pace.step(load(8 << 20, start, 15), start), Step::Flush);
        assert_eq!(pace.step(load(8 << 20, start, 16), start), Step::Wait);
    }

    #[test]
    fn beyond_the_burst_objects_wait_for_tokens() {
        let start = Instant::now();
        let mut pace = pace(start);
        pace.spend(start);
        assert_eq!(pace.step(load(1, start, 0), start + ms(1)), Step::Flush);
        pace.spend(start);
        let Step::At(due) = pace.step(load(1, start, 0), start) else { panic!("the bucket is empty") };
        assert!((ms(250)..ms(251)).contains(&(due - start)), "{:?}", due - start);
        assert_eq!(pace.step(load(1, start, 0), due), Step::Flush);
        // Full objects leave no debt behind.
        pace.spend(start);
        pace.spend(start);
        assert_eq!(pace.step(load(1, start, 0), due), Step::Flush);
    }

    #[test]
    fn without_a_limit_tokens_do_not_count() {
        let start = Instant::now();
        let mut pace = Pace::new(LogSettings { puts_per_second: 0.0, ..LogSettings::default() }, start);
        for _ in 0..100 {
            pace.spend(start);
        }
        assert_eq!(pace.step(load(1, start, 0), start + ms(1)), Step::Flush);
    }

    #[test]
    fn draining_does_not_linger() {
        let start = Instant::now();
        let load = Load { draining: true, ..load(1, start, 3) };
        assert_eq!(pace(start).step(load, start), Step::Flush);
    }
}
