//! CRC-32C (Castagnoli), the checksum of record batches and of everything we store.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

/// The polynomial, bit-reflected: the lowest bit is the highest power.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The polynomial `1` in the reflected form.
const ONE: u32 = 1 << 31;

/// `x^(2^k)` modulo the polynomial; enough for any 64-bit number of bytes (eight bits each: three steps more).
const POWERS: [u32; 67] = powers();

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The CRC-32C of `slices` as if they were joined.
#[must_use]
pub fn crc32c_of(slices: &[Bytes]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for slice in slices {
        digest.update(slice);
    }
    // A 32-bit algorithm leaves the upper half empty.
    digest.finalize() as u32
}

/// The CRC-32C of A followed by B, from the CRCs of both and B's length in bytes. Costs well under a microsecond.
///
/// Appending B multiplies A's remainder by `x^(8·length)`; the all-ones start and end values cancel each other.
#[must_use]
pub fn combine(crc_a: u32, crc_b: u32, length_b: u64) -> u32 {
    let mut factor = ONE;
    let (mut rest, mut power) = (length_b, 3);
    while rest != 0 {
        if rest & 1 == 1 {
            factor = product(POWERS[power], factor);
        }
        rest >>= 1;
        power += 1;
    }
    product(factor, crc_a) ^ crc_b
}

/// `a · b` modulo the polynomial.
const fn product(a: u32, mut b: u32) -> u32 {
    let (mut bit, mut sum) = (ONE, 0);
    while bit != 0 {
        if a & bit != 0 {
            sum ^= b;
        }
        b = if b & 1 == 1 { (b >> 1) ^ POLYNOMIAL } else { b >> 1 };
        bit >>= 1;
    }
    sum
}

const fn powers() -> [u32; 67] {
    // x itself, then squares of squares.
    let mut table = [1 << 30; 67];
    let mut k = 1;
    while k < table.len() {
        table[k] = product(table[k - 1], table[k - 1]);
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c_of(&[Bytes::from_static(b"1234"), Bytes::new(), Bytes::from_static(b"56789")]), 0xE306_9283);
    }

    #[test]
    fn combines_over_lengths_beyond_four_gibibytes() {
        // Appending n zero bytes twice equals appending 2n of them, whatever n is.
        let zeros_once = |crc, length| combine(crc, 0, length);
        for length in [1_u64, 1 << 20, (1 << 32) + 7, 1 << 40] {
            assert_eq!(zeros_once(zeros_once(7, length), length), zeros_once(7, 2 * length), "{length}");
        }
    }

    proptest! {
        #[test]
        fn combine_equals_the_crc_of_the_whole(a: Vec<u8>, b: Vec<u8>) {
            let whole = [a.as_slice(), b.as_slice()].concat();
            prop_assert_eq!(combine(crc32c(&a), crc32c(&b), b.len() as u64), crc32c(&whole));
        }
    }
}
