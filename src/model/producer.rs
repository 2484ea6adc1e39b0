//! Idempotent producers (KIP-98).

/// An idempotent producer's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ProducerId(pub i64);

/// Which incarnation of a producer id speaks; a lower one is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ProducerEpoch(pub i16);

/// A record's number within (producer, partition): 0 to 2³¹−1, then 0 again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub i32);

impl Sequence {
    /// The sequence `count` records further on, wrapping from 2³¹−1 to 0 as Kafka's does.
    #[must_use]
    pub fn plus(self, count: u32) -> Self {
        let sum = (i64::from(self.0) + i64::from(count)) & i64::from(i32::MAX);
        // The mask keeps 31 bits, so the value always fits.
        Self(i32::try_from(sum).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_wraps_to_zero_after_the_largest_integer() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
        assert_eq!(Sequence(7).plus(0), Sequence(7));
    }
}
