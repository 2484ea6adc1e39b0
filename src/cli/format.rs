//! How consumed records are printed.

use std::str::FromStr;

use serde::Serialize;

use crate::cli::delimiter::unescape;
use crate::cli::kafka::consumer::TopicPartition;
use crate::cli::kafka::records::ConsumedRecord;
use crate::cli::output::json;

/// A format with `%` tokens, as `kcat` and `rpk` have them.
///
/// | token | prints |
/// |---|---|
/// | `%t` `%p` `%o` | topic, partition, offset |
/// | `%k` `%v` (or `%s`) | key, value |
/// | `%K` `%V` (or `%S`) | their lengths in bytes, −1 for null |
/// | `%T` | timestamp in milliseconds |
/// | `%h` | headers as `name=value,name=value` |
/// | `%%` | a percent sign |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    KeyLength,
    ValueLength,
    Timestamp,
    Headers,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut pieces = text.split('%');
        let mut literal = unescape(pieces.next().unwrap_or_default())?;
        let mut after_percent = false;
        for piece in pieces {
            if after_percent {
                // The piece before was the empty one between two percent signs.
                after_percent = false;
                literal.extend(unescape(piece)?);
                continue;
            }
            let Some(token) = piece.chars().next() else {
                literal.push(b'%');
                after_percent = true;
                continue;
            };
            let part = match token {
                't' => Part::Topic,
                'p' => Part::Partition,
                'o' => Part::Offset,
                'k' => Part::Key,
                'v' | 's' => Part::Value,
                'K' => Part::KeyLength,
                'V' | 'S' => Part::ValueLength,
                'T' => Part::Timestamp,
                'h' => Part::Headers,
                other => return Err(format!("%{other} is no token; use %t %p %o %k %v %K %V %T %h %%")),
            };
            parts.push(Part::Bytes(std::mem::take(&mut literal)));
            parts.push(part);
            literal = unescape(&piece[token.len_utf8()..])?;
        }
        parts.push(Part::Bytes(literal));
        parts.retain(|part| *part != Part::Bytes(Vec::new()));
        Ok(Self(parts))
    }
}

impl Format {
    /// Values alone, or `key<delimiter>value`, each ended by `end`.
    #[must_use]
    pub fn plain(key_delimiter: Option<&[u8]>, end: &[u8]) -> Self {
        let mut parts = Vec::new();
        if let Some(delimiter) = key_delimiter {
            parts.extend([Part::Key, Part::Bytes(delimiter.to_vec())]);
        }
        parts.extend([Part::Value, Part::Bytes(end.to_vec())]);
        Self(parts)
    }

    /// A record in this format.
    #[must_use]
    pub fn render(&self, partition: &TopicPartition, record: &ConsumedRecord) -> Vec<u8> {
        let mut line = Vec::new();
        let length = |bytes: Option<&bytes::Bytes>| {
            bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.len().to_string()).into_bytes()
        };
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => line.extend_from_slice(bytes),
                Part::Topic => line.extend_from_slice(partition.topic.as_bytes()),
                Part::Partition => line.extend(partition.partition.to_string().into_bytes()),
                Part::Offset => line.extend(record.offset.to_string().into_bytes()),
                Part::Key => line.extend_from_slice(record.key.as_deref().unwrap_or_default()),
                Part::Value => line.extend_from_slice(record.value.as_deref().unwrap_or_default()),
                Part::KeyLength => line.extend(length(record.key.as_ref())),
                Part::ValueLength => line.extend(length(record.value.as_ref())),
                Part::Timestamp => line.extend(record.timestamp.to_string().into_bytes()),
                Part::Headers => {
                    for (index, (name, value)) in record.headers.iter().enumerate() {
                        line.extend_from_slice(if index > 0 { b"," } else { b"" });
                        line.extend_from_slice(name.as_bytes());
                        line.push(b'=');
                        line.extend_from_slice(value.as_deref().unwrap_or_default());
                    }
                }
            }
        }
        line
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(&'a str, Option<serde_json::Value>)>,
    key: Option<serde_json::Value>,
    value: Option<serde_json::Value>,
}

/// A record as one line of JSON. Keys and values that are text are strings; other bytes are `{"base16": "…"}`.
#[must_use]
pub fn envelope(partition: &TopicPartition, record: &ConsumedRecord) -> Vec<u8> {
    let envelope = Envelope {
        topic: &partition.topic,
        partition: partition.partition,
        offset: record.offset,
        timestamp: record.timestamp.0,
        headers: record
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().map(text_or_hex)))
            .collect(),
        key: record.key.as_deref().map(text_or_hex),
        value: record.value.as_deref().map(text_or_hex),
    };
    let mut line = json::line(&envelope).into_bytes();
    line.push(b'\n');
    line
}

fn text_or_hex(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::Value::String(text.to_owned()),
        Err(_) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            serde_json::json!({ "base16": digits })
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::clock::Timestamp;

    fn record() -> (TopicPartition, ConsumedRecord) {
        let partition = TopicPartition { topic: "logs".into(), partition: 3 };
        let record = ConsumedRecord {
            offset: 42,
            timestamp: Timestamp(1_700_000_000_000),
            key: None,
            value: Some(Bytes::from_static(b"hello")),
            headers: vec![("a".to_owned(), Some(Bytes::from_static(b"1"))), ("a".to_owned(), None)],
        };
        (partition, record)
    }

    fn rendered(format: &str) -> String {
        let (partition, record) = record();
        String::from_utf8(format.parse::<Format>().unwrap().render(&partition, &record)).unwrap()
    }

    #[test]
    fn tokens_print_parts_of_the_record() {
        assert_eq!(rendered(r"%t/%p/%o %T %k|%v\n"), "logs/3/42 1700000000000 |hello\n");
        assert_eq!(rendered("%K %V %h"), "-1 5 a=1,a=");
        assert_eq!(rendered("100%% %s%%"), "100% hello%");
        assert_eq!(rendered("%%v"), "%v");
        assert_eq!(rendered(""), "");
    }

    #[test]
    fn an_unknown_token_names_the_known_ones() {
        assert!("%q".parse::<Format>().unwrap_err().contains("%t %p %o"));
        assert_eq!(rendered("%v%"), "hello%", "a percent sign at the end stands for itself");
    }

    #[test]
    fn records_are_lines_of_json() {
        let (partition, mut record) = record();
        record.key = Some(Bytes::from_static(b"\xff\x00"));
        let line = String::from_utf8(envelope(&partition, &record)).unwrap();
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["offset"], 42);
        assert_eq!(parsed["value"], "hello");
        assert_eq!(parsed["key"]["base16"], "ff00");
        assert_eq!(parsed["headers"][1], serde_json::json!(["a", null]));
    }
}
