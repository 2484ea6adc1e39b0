//! Who speaks in ShareFetch and ShareAcknowledge.

use kafka_protocol::protocol::StrBytes;

use crate::api::group::names::{member_id, text};
use crate::api::share::share_session::SessionKey;
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;

/// A member's id has at most so many characters: a UUID's.
pub const MEMBER_ID_CHARS_MAX: usize = 36;

/// The session that a request's group and member name.
///
/// # Errors
/// `INVALID_REQUEST` when one of them is missing or the member's id is not legal.
pub fn session_key(group: Option<&StrBytes>, member: Option<&StrBytes>) -> Result<SessionKey, Failure> {
    let invalid = |sentence: &str| Failure::new(Condition::InvalidRequest, sentence);
    let group = group.ok_or_else(|| invalid("the group id is missing"))?;
    let member = member.ok_or_else(|| invalid("the member id is missing"))?;
    if member.is_empty() {
        return Err(invalid("the member id is empty"));
    }
    if member.chars().count() > MEMBER_ID_CHARS_MAX {
        return Err(invalid("the member id is longer than 36 characters"));
    }
    Ok(SessionKey { group_id: GroupId(text(group)), member_id: member_id(member) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_must_be_named_and_a_member_id_has_a_length() {
        let wire = |text: &str| StrBytes::from_string(text.to_owned());
        let check = |group: Option<&str>, member: Option<&str>| {
            session_key(group.map(wire).as_ref(), member.map(wire).as_ref()).map_err(|failure| failure.condition)
        };
        let key = check(Some("g"), Some("m")).expect("legal");
        assert_eq!((key.group_id.as_str(), key.member_id.as_str()), ("g", "m"));
        assert!(check(Some("g"), Some(&"é".repeat(36))).is_ok());
        for (group, member) in [(None, Some("m")), (Some("g"), None), (Some("g"), Some(""))] {
            assert_eq!(check(group, member), Err(Condition::InvalidRequest));
        }
        assert_eq!(check(Some("g"), Some(&"m".repeat(37))), Err(Condition::InvalidRequest));
    }
}
