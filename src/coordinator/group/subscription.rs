//! Reads the topics out of a consumer's subscription.
//!
//! The metadata of the `consumer` protocol type begins, in every version, with what version 0 holds:
//!
//! ```text
//! version: i16 | topic count: i32 | (length: i16 | topic name)* | …
//! ```

use std::collections::BTreeSet;

/// The topics of one subscription, or `None` when the bytes are not one.
#[must_use]
pub fn subscribed_topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut topics = BTreeSet::new();
    // Each round takes at least two bytes of the input, so a false count ends the loop soon.
    for _ in 0..u32::try_from(i32::from_be_bytes(*count)).ok()? {
        let (length, after_length) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after_name) = after_length.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        rest = after_name;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_common_prefix_of_every_version_and_refuses_the_rest() {
        let two = b"\0\x03\0\0\0\x02\0\x01a\0\x02bc and more";
        assert_eq!(subscribed_topics(two), Some(BTreeSet::from(["a".to_owned(), "bc".to_owned()])));
        assert_eq!(subscribed_topics(b"\0\0\0\0\0\0"), Some(BTreeSet::new()));
        for broken in [
            &b""[..],
            b"\0",
            b"\xff\xff\0\0\0\0",
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\xff\xff\xff\xff",
            b"\0\0\0\0\0\x01\0\x09short",
            b"\0\0\0\0\0\x01\xff\xff",
            b"\0\0\0\0\0\x01\0\x01\xff",
        ] {
            assert_eq!(subscribed_topics(broken), None, "{broken:?}");
        }
    }
}
