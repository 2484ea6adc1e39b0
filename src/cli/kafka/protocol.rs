//! Kafka's error codes and strings as the commands want them.

use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::cli::error::{CliError, Result};

/// `text` as the codec carries it.
#[must_use]
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// An error code that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// The code, or nothing when it is zero.
    #[must_use]
    pub fn of(code: i16) -> Option<Self> {
        (code != 0).then_some(Self(code))
    }

    /// Whether Kafka says that the same request may succeed later.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        ResponseError::try_from_code(self.0).is_some_and(|error| error.is_retriable())
    }

    /// Whether it is `error`.
    #[must_use]
    pub fn is(self, error: ResponseError) -> bool {
        self.0 == error.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ResponseError::try_from_code(self.0) {
            Some(ResponseError::Unknown(_)) | None => write!(f, "error {}", self.0),
            Some(error) => write!(f, "{error:?}"),
        }
    }
}

/// Turns a code into an error that says what was tried, with the server's own sentence when it sent one.
///
/// # Errors
/// When `code` is not zero.
pub fn check(code: i16, tried: impl fmt::Display, message: Option<&StrBytes>) -> Result<()> {
    match (ErrorCode::of(code), message) {
        (None, _) => Ok(()),
        (Some(code), Some(message)) if !message.is_empty() => {
            Err(CliError::Failed(format!("{tried}: {code}: {}", message.as_str())))
        }
        (Some(code), _) => Err(CliError::Failed(format!("{tried}: {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names_and_the_servers_sentence_is_kept() {
        assert!(check(0, "x", None).is_ok());
        let error = check(3, "describing 'logs'", None).unwrap_err().to_string();
        assert_eq!(error, "describing 'logs': UnknownTopicOrPartition");
        let error = check(17, "creating ''", Some(&text("topic name is empty"))).unwrap_err().to_string();
        assert!(error.ends_with("topic name is empty"), "{error}");
        assert_eq!(ErrorCode(12_345).to_string(), "error 12345");
        assert!(ErrorCode(6).is_retriable() && !ErrorCode(10).is_retriable());
    }
}
