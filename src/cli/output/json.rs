//! JSON as programs want it.

use serde::Serialize;

/// `value` as indented JSON without a newline at its end.
#[must_use]
pub fn indented<T: Serialize>(value: &T) -> String {
    // Our own plain structs always serialise.
    serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":{:?}}}", error.to_string()))
}

/// `value` as one line of JSON without a newline at its end.
#[must_use]
pub fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":{:?}}}", error.to_string()))
}
