//! CRC-32C (Castagnoli), the checksum of record batches and of byte ranges in objects.

use crc_fast::CrcAlgorithm;

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    narrow(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// The CRC-32C of two runs joined, from the CRC of each and the second one's length in bytes, without their bytes.
#[must_use]
pub fn combine(a: u32, b: u32, len_b: u64) -> u32 {
    narrow(crc_fast::checksum_combine(CrcAlgorithm::Crc32Iscsi, u64::from(a), u64::from(b), len_b))
}

/// A 32-bit checksum as the library's 64-bit word carries it.
fn narrow(checksum: u64) -> u32 {
    u32::try_from(checksum & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn joined_runs_have_the_combined_checksum() {
        let whole: Vec<u8> = (0..10_000_u32).flat_map(|number| number.to_le_bytes()).collect();
        for split in [0, 1, 17, 4096, whole.len()] {
            let (a, b) = whole.split_at(split);
            assert_eq!(combine(crc32c(a), crc32c(b), b.len() as u64), crc32c(&whole), "split at {split}");
        }
    }
}
