//! What a group's configuration means for one of its partitions.

use std::time::Duration;

use crate::base::clock::Timestamp;

/// The numbers that decisions depend on. They may change between two decisions: what is decided is decided by the
/// numbers of that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long an acquisition lasts: `share.record.lock.duration.ms`.
    pub lock_duration: Duration,
    /// How often a record is delivered at most: `share.delivery.count.limit`. Looked at when a delivery ends without
    /// success, so a record that is available gets one more delivery after the limit was lowered.
    pub delivery_count_limit: u16,
    /// How far the end offset may be from the start offset: `share.partition.max.record.locks`.
    pub record_locks_max: u32,
    /// Whether a lock may begin anew (KIP-1222): `share.renew.acknowledge.enable`.
    pub renew_allowed: bool,
    /// How long a record rests between two deliveries.
    pub backoff: RedeliveryBackoff,
}

/// How long a record rests after a delivery that did not succeed. Kafka has no such rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedeliveryBackoff {
    /// The rest after the first delivery; zero for none at all.
    pub first: Duration,
    /// How much longer each further rest is, in thousandths: 1,000 keeps it fixed, 2,000 doubles it. Less than 1,000
    /// counts as 1,000.
    pub factor_thousandths: u32,
    /// No rest is longer.
    pub longest: Duration,
}

impl RedeliveryBackoff {
    /// As in Kafka: what is released is available at once.
    pub const NONE: Self = Self { first: Duration::ZERO, factor_thousandths: 1_000, longest: Duration::ZERO };

    /// How long a record rests that has been delivered `delivery_count` times.
    #[must_use]
    pub fn rest(&self, delivery_count: u16) -> Duration {
        let longest_ms = self.longest.as_millis();
        let factor = u128::from(self.factor_thousandths.max(1_000));
        // Thousandths of milliseconds, so that small rests grow too.
        let mut rest = self.first.as_millis().saturating_mul(1_000);
        if factor > 1_000 && rest > 0 {
            for _ in 1..delivery_count {
                if rest / 1_000 >= longest_ms {
                    break;
                }
                rest = rest.saturating_mul(factor) / 1_000;
            }
        }
        Duration::from_millis(u64::try_from((rest / 1_000).min(longest_ms)).unwrap_or(u64::MAX))
    }

    /// From when on a record is available whose delivery ended at `now`; `Timestamp(0)` for at once.
    #[must_use]
    pub fn not_before(&self, delivery_count: u16, now: Timestamp) -> Timestamp {
        match self.rest(delivery_count) {
            Duration::ZERO => Timestamp(0),
            rest => now.plus(rest),
        }
    }
}

impl Rules {
    /// From how many deliveries on a record is suspected of breaking its readers; `None` when the limit is too low to
    /// find out which one it is.
    #[must_use]
    pub fn throttled_from(&self) -> Option<u16> {
        (self.delivery_count_limit > 2).then(|| self.delivery_count_limit.div_ceil(2).max(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first_ms: u64, factor_thousandths: u32, longest_ms: u64, expected_ms: &[u64]) {
        let backoff = RedeliveryBackoff {
            first: Duration::from_millis(first_ms),
            factor_thousandths,
            longest: Duration::from_millis(longest_ms),
        };
        for (delivery_count, expected) in (1..).zip(expected_ms) {
            let rest = backoff.rest(delivery_count);
            assert_eq!(rest, Duration::from_millis(*expected), "{backoff:?} after {delivery_count} deliveries");
        }
    }

    #[test]
    fn a_rest_is_fixed_or_grows_up_to_the_longest() {
        check(0, 2_000, 60_000, &[0, 0, 0]);
        check(100, 1_000, 60_000, &[100, 100, 100]);
        check(100, 2_000, 500, &[100, 200, 400, 500, 500]);
        check(1, 1_500, 60_000, &[1, 1, 2, 3, 5]);
        check(100, 10, 60_000, &[100, 100]);
        check(900, 2_000, 500, &[500, 500]);
    }

    #[test]
    fn a_huge_count_of_deliveries_neither_overflows_nor_takes_long() {
        let longest = Duration::from_secs(3_600);
        let backoff = RedeliveryBackoff { first: Duration::from_millis(1), factor_thousandths: u32::MAX, longest };
        assert_eq!(backoff.rest(u16::MAX), longest);
        assert_eq!(RedeliveryBackoff::NONE.not_before(u16::MAX, Timestamp(7)), Timestamp(0));
        assert_eq!(backoff.not_before(1, Timestamp(7)), Timestamp(8));
    }

    #[test]
    fn half_of_the_deliveries_rouse_suspicion() {
        let rules = |delivery_count_limit| Rules {
            lock_duration: Duration::from_secs(30),
            delivery_count_limit,
            record_locks_max: 2_000,
            renew_allowed: true,
            backoff: RedeliveryBackoff::NONE,
        };
        let suspected: Vec<_> = [2, 3, 4, 5, 6, 10, 25].map(|limit| rules(limit).throttled_from()).into();
        assert_eq!(suspected, [None, Some(2), Some(2), Some(3), Some(3), Some(5), Some(13)]);
    }
}
