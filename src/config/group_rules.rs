//! What a group's configuration may be, as a whole and within the bounds that the agents' settings draw.

use std::collections::BTreeMap;

use crate::config::definition::{find, unknown};
use crate::config::group_table::GROUP_CONFIGS;
use crate::config::share::ShareSettings;
use crate::config::share_group::{dead_letter_prefix, dead_letter_topic};

/// Judges a group's entries as they would be. Only what `changed` is held against the bounds: an entry that was legal
/// when it was set does not stand in the way of another one.
///
/// # Errors
/// A sentence that names the configuration, what is allowed, and who can allow more.
pub fn check_entries(
    entries: &BTreeMap<String, String>,
    changed: &[&str],
    cluster: Option<&BTreeMap<String, String>>,
    settings: &ShareSettings,
) -> Result<(), String> {
    for name in changed {
        let Some(value) = entries.get(*name) else { continue };
        let definition = find(GROUP_CONFIGS, name).ok_or_else(|| unknown("group", GROUP_CONFIGS, name))?;
        definition.check(value)?;
    }
    let changed_number = |name: &str| -> Option<i64> {
        let value = entries.get(name).filter(|_| changed.contains(&name))?;
        value.trim().parse().ok()
    };
    for number in settings.group_numbers() {
        let Some(value) = changed_number(number.name) else { continue };
        if !(i64::from(number.least)..=i64::from(number.most)).contains(&value) {
            let (least, most) = number.setting_of_bounds();
            return Err(format!(
                "{} must be in the range {} to {} inclusive. The agents' settings {least} and {most} move these bounds.",
                number.name, number.least, number.most
            ));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        check_session(kind, entries, changed, settings)?;
    }
    let name = "errors.deadletterqueue.topic.name";
    if let Some(value) = entries.get(name).filter(|value| changed.contains(&name) && !value.is_empty()) {
        let checked = dead_letter_topic(value, dead_letter_prefix(cluster, settings));
        checked.map_err(|reason| format!("Invalid value {value} for configuration {name}: {reason}"))?;
    }
    check_backoff(entries, changed)
}

fn check_session(
    kind: &str,
    entries: &BTreeMap<String, String>,
    changed: &[&str],
    settings: &ShareSettings,
) -> Result<(), String> {
    let (session_name, heartbeat_name) =
        (format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms"));
    if !changed.iter().any(|name| *name == session_name || *name == heartbeat_name) {
        return Ok(());
    }
    let number = |name: &str| entries.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    let default = |name: &str| default_of(name, settings).and_then(|value| value.parse::<i64>().ok());
    let session = number(&session_name).or_else(|| default(&session_name));
    let heartbeat = number(&heartbeat_name).or_else(|| default(&heartbeat_name));
    match (session, heartbeat) {
        (Some(session), Some(heartbeat)) if session <= heartbeat => {
            Err(format!("{session_name} ({session}) must be greater than {heartbeat_name} ({heartbeat})"))
        }
        _ => Ok(()),
    }
}

fn check_backoff(entries: &BTreeMap<String, String>, changed: &[&str]) -> Result<(), String> {
    let (first_name, longest_name) = ("towpath.share.redelivery.backoff.ms", "towpath.share.redelivery.backoff.max.ms");
    if !changed.iter().any(|name| *name == first_name || *name == longest_name) {
        return Ok(());
    }
    let number = |name: &str| {
        let default = find(GROUP_CONFIGS, name).and_then(|definition| definition.default).unwrap_or_default();
        entries.get(name).map_or(default, String::as_str).trim().parse::<i64>().unwrap_or(0)
    };
    let (first, longest) = (number(first_name), number(longest_name));
    if first > longest {
        return Err(format!("{first_name} ({first}) must not be greater than {longest_name} ({longest})"));
    }
    Ok(())
}

/// What a group's entry of this name is when the group says nothing.
#[must_use]
pub fn default_of(name: &str, settings: &ShareSettings) -> Option<String> {
    let number = settings.group_numbers().into_iter().find(|number| number.name == name);
    let default = || find(GROUP_CONFIGS, name)?.default.map(str::to_owned);
    number.map(|number| number.default.to_string()).or_else(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: &[(&str, &str)], expected: Result<(), &str>) {
        let entries: BTreeMap<String, String> =
            changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let changed: Vec<&str> = changes.iter().map(|(name, _)| *name).collect();
        let found = check_entries(&entries, &changed, None, &ShareSettings::default());
        match (expected, &found) {
            (Ok(()), Ok(())) => {}
            (Err(words), Err(sentence)) if sentence.contains(words) => {}
            _ => panic!("{changes:?} gave {found:?}, {expected:?} was expected"),
        }
    }

    #[test]
    fn numbers_stay_within_the_agents_bounds() {
        check(&[("share.record.lock.duration.ms", "15000")], Ok(()));
        check(
            &[("share.record.lock.duration.ms", "14999")],
            Err("share.record.lock.duration.ms must be in the range 15000 to 60000 inclusive. \
                 The agents' settings share.record_lock_duration_min_ms and share.record_lock_duration_max_ms"),
        );
        check(&[("share.delivery.count.limit", "11")], Err("in the range 2 to 10 inclusive"));
        check(&[("share.delivery.count.limit", "1")], Err("Value must be at least 2"));
        check(&[("share.partition.max.record.locks", "4001")], Err("in the range 100 to 4000 inclusive"));
        check(&[("consumer.session.timeout.ms", "1000")], Err("Value must be between 45000 and 60000"));
        check(&[("share.sesion.timeout.ms", "1")], Err("did you mean share.session.timeout.ms?"));
    }

    #[test]
    fn only_what_changes_is_held_against_the_bounds() {
        let entries: BTreeMap<String, String> = [("share.record.lock.duration.ms".to_owned(), "1".to_owned())].into();
        let found = check_entries(&entries, &["share.isolation.level"], None, &ShareSettings::default());
        assert_eq!(found, Ok(()));
    }

    #[test]
    fn a_session_is_longer_than_a_heartbeat() {
        let wide =
            ShareSettings { session_timeout_min_ms: 1_000, heartbeat_interval_min_ms: 1_000, ..Default::default() };
        let entries: BTreeMap<String, String> = [("share.session.timeout.ms".to_owned(), "5000".to_owned())].into();
        let found = check_entries(&entries, &["share.session.timeout.ms"], None, &wide);
        assert_eq!(
            found,
            Err("share.session.timeout.ms (5000) must be greater than share.heartbeat.interval.ms (5000)".to_owned())
        );
    }

    #[test]
    fn topics_for_dead_letters_have_names_that_the_cluster_allows() {
        let name = "errors.deadletterqueue.topic.name";
        check(&[(name, "dlq.orders")], Ok(()));
        check(&[(name, "")], Ok(()));
        check(&[(name, "orders")], Err("the name must begin with dlq."));
        check(&[(name, "__orders")], Err("internal topics"));
        check(&[(name, "dlq.or ders")], Err("topic name contains ' '"));
    }

    #[test]
    fn the_first_pause_is_not_longer_than_the_longest() {
        check(&[("towpath.share.redelivery.backoff.ms", "60001")], Err("must not be greater than"));
        check(
            &[("towpath.share.redelivery.backoff.ms", "60001"), ("towpath.share.redelivery.backoff.max.ms", "70000")],
            Ok(()),
        );
        check(&[("towpath.share.redelivery.backoff.multiplier", "0.5")], Err("Value must be between 1 and 100"));
    }
}
