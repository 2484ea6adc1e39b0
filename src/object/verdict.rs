//! What an error of the store means: pure judgement, by kind, HTTP status and S3's error codes.

use std::error::Error;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

use crate::object::meter::Operation;

/// What one attempt's failure means for the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The object is not there.
    NotFound,
    /// The key is taken.
    AlreadyExists,
    /// The object ends before the range does.
    OutOfRange,
    /// No attempt will fare better; nothing was applied.
    Refused(String),
    /// Try again; nothing was applied.
    NotApplied(String),
    /// Try again; it may have been applied.
    Doubtful(String),
}

impl Verdict {
    /// Whether another attempt may fare better.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::NotApplied(_) | Self::Doubtful(_))
    }

    /// The sentence, for verdicts that carry one.
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::NotFound => "the object is not there".to_owned(),
            Self::AlreadyExists => "the object exists already".to_owned(),
            Self::OutOfRange => "the object is too short".to_owned(),
            Self::Refused(sentence) | Self::NotApplied(sentence) | Self::Doubtful(sentence) => sentence,
        }
    }
}

/// Judges `error`, which came of `operation` on the store at `location` (`scheme://bucket/prefix`).
pub(crate) fn judge(error: &StoreError, operation: Operation, location: &str) -> Verdict {
    let text = chain_text(error);
    let code = s3_code(&text);
    let say = |what: &str| format!("{} on {location}: {what}", operation.as_str());
    if let Some(verdict) = judge_code(code.unwrap_or_default(), operation, location) {
        return verdict;
    }
    match error {
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => Verdict::AlreadyExists,
        StoreError::NotFound { .. } if operation == Operation::Put => {
            Verdict::Refused(format!("the bucket of {location} does not exist: create it or correct the URL"))
        }
        StoreError::NotFound { .. } => Verdict::NotFound,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            Verdict::Refused(missing_right(operation, location, code.unwrap_or("access denied")))
        }
        StoreError::NotImplemented { .. }
        | StoreError::NotSupported { .. }
        | StoreError::InvalidPath { .. }
        | StoreError::UnknownConfigurationKey { .. } => Verdict::Refused(say(&short(&text))),
        _ => judge_generic(error, &text).map_sentence(|what| say(&what)),
    }
}

impl Verdict {
    fn map_sentence(self, say: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Refused(what) => Self::Refused(say(what)),
            Self::NotApplied(what) => Self::NotApplied(say(what)),
            Self::Doubtful(what) => Self::Doubtful(say(what)),
            plain => plain,
        }
    }
}

/// S3's error codes that say more than their status.
fn judge_code(code: &str, operation: Operation, location: &str) -> Option<Verdict> {
    Some(match code {
        "NoSuchBucket" | "ContainerNotFound" => Verdict::Refused(format!(
            "the bucket of {location} does not exist ({code}): create it or correct the object store URL"
        )),
        "AccessDenied" | "AllAccessDisabled" => Verdict::Refused(missing_right(operation, location, code)),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" => Verdict::Refused(format!(
            "{location} does not accept the credentials ({code}): correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            Verdict::Refused(format!(
                "the bucket of {location} lies in another region ({code}): add ?region=… to the object store URL"
            ))
        }
        // Clocks are set right and credentials renewed while we wait.
        "RequestTimeTooSkewed" => Verdict::NotApplied(format!(
            "{location} refuses requests because this machine's clock is wrong (RequestTimeTooSkewed)"
        )),
        "ExpiredToken" | "RequestExpired" => {
            Verdict::NotApplied(format!("the credentials for {location} have expired ({code})"))
        }
        // Another request for the same key is under way; ours was turned away.
        "ConditionalRequestConflict" | "OperationAborted" => {
            Verdict::NotApplied(format!("{location} is busy with the same key ({code})"))
        }
        "SlowDown" | "TooManyRequests" | "BadDigest" | "IncompleteBody" => {
            Verdict::NotApplied(format!("{} on {location}: {code}", operation.as_str()))
        }
        "RequestTimeout" => Verdict::Doubtful(format!("{} on {location}: {code}", operation.as_str())),
        _ => return None,
    })
}

/// Errors that say what they are only by status, kind or text.
fn judge_generic(error: &StoreError, text: &str) -> Verdict {
    if let Some(status) = http_status(text) {
        return match status {
            416 => Verdict::OutOfRange,
            429 => Verdict::NotApplied(short(text)),
            408 | 500.. => Verdict::Doubtful(short(text)),
            _ => Verdict::Refused(short(text)),
        };
    }
    if text.contains("object was only") {
        return Verdict::OutOfRange;
    }
    if text.contains("redirect without LOCATION") {
        return Verdict::Refused("it lies in another region: add ?region=… to the object store URL".to_owned());
    }
    if let Some(http) = cause::<HttpError>(error) {
        return match http.kind() {
            HttpErrorKind::Connect => Verdict::NotApplied(short(text)),
            _ => Verdict::Doubtful(short(text)),
        };
    }
    match cause::<std::io::Error>(error).map(std::io::Error::kind) {
        Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
            Verdict::Refused(short(text))
        }
        _ => Verdict::Doubtful(short(text)),
    }
}

/// The sentence for a right that is not granted.
fn missing_right(operation: Operation, location: &str, code: &str) -> String {
    let (verb, s3_right) = match operation {
        Operation::Put => ("write", "s3:PutObject"),
        Operation::Get | Operation::Head => ("read", "s3:GetObject"),
        Operation::List => ("list", "s3:ListBucket"),
        Operation::Delete => ("delete", "s3:DeleteObject"),
    };
    if location.starts_with("s3:") {
        format!("the credentials may not {verb} objects of {location} ({code}): grant them {s3_right}")
    } else {
        format!("the credentials may not {verb} objects of {location} ({code}): grant them that right")
    }
}

/// The first cause of type `E` in the chain.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The whole chain as text. The store crate keeps its HTTP statuses in private types: their text is what is left.
fn chain_text(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = error.source();
    }
    text
}

/// The status in `… status code: 503 Service Unavailable …`.
fn http_status(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

/// The code in S3's `<Code>SlowDown</Code>`, or in the store crate's `(code: AccessDenied)`.
fn s3_code(text: &str) -> Option<&str> {
    let between = |open: &str, close: &str| {
        let (_, after) = text.split_once(open)?;
        after.split_once(close).map(|(code, _)| code)
    };
    between("<Code>", "</Code>").or_else(|| between("(code: ", ")"))
}

/// The beginning of a text, on one line, for a sentence.
fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn statuses_decide_what_may_be_retried() {
        let with_status =
            |status: &str| judge(&generic(&format!("non-2xx status code: {status}: x")), Operation::Put, "s3://b");
        assert!(matches!(with_status("503 Service Unavailable"), Verdict::Doubtful(_)));
        assert!(matches!(with_status("500 Internal Server Error"), Verdict::Doubtful(_)));
        assert!(matches!(with_status("429 Too Many Requests"), Verdict::NotApplied(_)));
        assert!(matches!(with_status("400 Bad Request"), Verdict::Refused(_)));
        assert_eq!(with_status("416 Range Not Satisfiable"), Verdict::OutOfRange);
    }

    #[test]
    fn codes_say_more_than_statuses() {
        let with_code = |status: &str, code: &str| {
            let text = format!("non-2xx status code: {status}: <Error><Code>{code}</Code></Error>");
            judge(&generic(&text), Operation::Put, "s3://b/p")
        };
        assert!(matches!(with_code("503 Service Unavailable", "SlowDown"), Verdict::NotApplied(_)));
        assert!(matches!(with_code("403 Forbidden", "RequestTimeTooSkewed"), Verdict::NotApplied(_)));
        assert!(matches!(with_code("409 Conflict", "ConditionalRequestConflict"), Verdict::NotApplied(_)));
        let Verdict::Refused(sentence) = with_code("404 Not Found", "NoSuchBucket") else { panic!("not refused") };
        assert!(sentence.contains("bucket of s3://b/p does not exist"), "{sentence}");
        let Verdict::Refused(sentence) = with_code("403 Forbidden", "AccessDenied") else { panic!("not refused") };
        assert!(sentence.contains("grant them s3:PutObject"), "{sentence}");
    }

    #[test]
    fn a_missing_object_is_no_missing_bucket() {
        let missing = StoreError::NotFound { path: "x".to_owned(), source: "<Code>NoSuchKey</Code>".into() };
        assert_eq!(judge(&missing, Operation::Get, "s3://b"), Verdict::NotFound);
        assert!(matches!(judge(&missing, Operation::Put, "s3://b"), Verdict::Refused(_)));
    }

    #[test]
    fn a_lost_connection_leaves_doubt_but_a_refused_one_does_not() {
        let http = |kind| StoreError::Generic { store: "S3", source: Box::new(HttpError::new(kind, std::fmt::Error)) };
        assert!(matches!(judge(&http(HttpErrorKind::Connect), Operation::Put, "s3://b"), Verdict::NotApplied(_)));
        for kind in [HttpErrorKind::Request, HttpErrorKind::Timeout, HttpErrorKind::Interrupted] {
            assert!(matches!(judge(&http(kind), Operation::Put, "s3://b"), Verdict::Doubtful(_)), "{kind:?}");
        }
    }
}
