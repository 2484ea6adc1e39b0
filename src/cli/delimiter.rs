//! Separators on the command line, with escapes.

use std::str::FromStr;

use bytes::BytesMut;

/// What ends a record or separates key and value: one byte or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiter(pub Vec<u8>);

impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = unescape(text)?;
        if bytes.is_empty() { Err("a delimiter can not be empty".to_owned()) } else { Ok(Self(bytes)) }
    }
}

impl Delimiter {
    /// Takes the first record off `buffer`, without its delimiter; nothing when it has not ended yet.
    #[must_use]
    pub fn cut(&self, buffer: &mut BytesMut) -> Option<BytesMut> {
        let end = find(buffer, &self.0)?;
        let record = buffer.split_to(end);
        let _ = buffer.split_to(self.0.len());
        Some(record)
    }
}

/// Key and value of `record`; a record without the delimiter is all value.
#[must_use]
pub fn split_pair<'a>(record: &'a [u8], delimiter: &Delimiter) -> (Option<&'a [u8]>, &'a [u8]) {
    match find(record, &delimiter.0) {
        Some(at) => (Some(&record[..at]), &record[at + delimiter.0.len()..]),
        None => (None, record),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => haystack.iter().position(|candidate| candidate == byte),
        _ => haystack.windows(needle.len()).position(|window| window == needle),
    }
}

/// Replaces `\n`, `\t`, `\r`, `\0`, `\\` and `\xNN`.
///
/// # Errors
/// A sentence, when a backslash begins nothing of these.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("'{text}' has an escape that is none of \\n \\t \\r \\0 \\\\ \\xNN");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first().ok_or_else(wrong)?;
        rest = after;
        bytes.push(match escape {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(unescape(r"a\n\t\0\x1f\\"), Ok(b"a\n\t\0\x1f\\".to_vec()));
        for wrong in [r"\", r"\q", r"\x1", r"\xzz"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
        assert!("".parse::<Delimiter>().is_err());
    }

    #[test]
    fn records_are_cut_where_they_end() {
        let delimiter = Delimiter(b"\r\n".to_vec());
        let mut buffer = BytesMut::from(&b"one\r\n\r\ntwo\r"[..]);
        assert_eq!(delimiter.cut(&mut buffer).as_deref(), Some(&b"one"[..]));
        assert_eq!(delimiter.cut(&mut buffer).as_deref(), Some(&b""[..]));
        assert_eq!(delimiter.cut(&mut buffer), None);
        assert_eq!(&buffer[..], b"two\r");
    }

    #[test]
    fn only_the_first_delimiter_separates_key_and_value() {
        let delimiter = Delimiter(b":".to_vec());
        assert_eq!(split_pair(b"k:v:w", &delimiter), (Some(&b"k"[..]), &b"v:w"[..]));
        assert_eq!(split_pair(b"v", &delimiter), (None, &b"v"[..]));
        assert_eq!(split_pair(b":v", &delimiter), (Some(&b""[..]), &b"v"[..]));
    }
}
