//! Which zone a client is in, by the hint in its client id.
//!
//! Kafka has no field for it that all clients can fill, so diskless systems agreed, each for itself, on a word in
//! `client.id`. All of theirs are understood, so that clients need not be configured anew.

use std::collections::BTreeSet;

use crate::coordinator::placement::ClusterView;
use crate::model::node::Rack;

/// Words that name a zone, most particular first. The last one is an everyday word: it counts only after a separator.
const WORDS: [&str; 5] = ["towpath_az=", "ws_az=", "diskless_az=", "automq_az=", "zone="];

/// What separates settings in a client id. MirrorMaker 2 appends its own part after a bar.
const SEPARATORS: [char; 6] = [',', ';', '|', '&', '?', ' '];

/// The client's zone, if it names one in which an agent lives.
#[must_use]
pub fn zone_of(client_id: Option<&str>, view: &ClusterView) -> Option<Rack> {
    let value = hint(client_id?)?;
    let known: BTreeSet<&str> = view.nodes.iter().filter_map(|node| node.rack.as_ref()).map(|rack| &*rack.0).collect();
    // Client libraries append things such as "-producer-1": cut at the last dash until a known zone remains.
    let mut candidate = value;
    loop {
        if known.contains(candidate) {
            return Some(Rack(candidate.into()));
        }
        candidate = &candidate[..candidate.rfind('-')?];
    }
}

/// The text after the first zone word, up to a separator.
fn hint(client_id: &str) -> Option<&str> {
    let value_at = WORDS.iter().find_map(|word| {
        let (start, _) = client_id.match_indices(word).find(|(start, _)| stands_alone(&client_id[..*start], word))?;
        Some(start + word.len())
    })?;
    let value = &client_id[value_at..];
    Some(value.split(SEPARATORS).next().unwrap_or(value))
}

fn stands_alone(before: &str, word: &str) -> bool {
    match before.chars().next_back() {
        None => true,
        Some(last) if word == "zone=" => SEPARATORS.contains(&last),
        Some(last) => !last.is_ascii_alphanumeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cluster::replicas::tests::view;

    #[track_caller]
    fn check(client_id: &str, expected: Option<&str>) {
        let view = view(&[(1, Some("eu-1a")), (2, Some("eu-1b")), (3, None)]);
        assert_eq!(zone_of(Some(client_id), &view), expected.map(|zone| Rack(zone.into())), "{client_id}");
    }

    #[test]
    fn every_systems_word_is_understood() {
        check("towpath_az=eu-1a", Some("eu-1a"));
        check("app_ws_az=eu-1b", Some("eu-1b"));
        check("app,diskless_az=eu-1a", Some("eu-1a"));
        check("automq_type=x&automq_az=eu-1b&y=z", Some("eu-1b"));
        check("app;zone=eu-1a;broker_count=3", Some("eu-1a"));
    }

    #[test]
    fn what_client_libraries_append_is_cut_off() {
        check("diskless_az=eu-1a-producer-1", Some("eu-1a"));
        check("diskless_az=eu-1a|mm2-target", Some("eu-1a"));
    }

    #[test]
    fn unknown_zones_and_everyday_words_are_no_hint() {
        check("ws_az=mars", None);
        check("timezone=eu-1a", None);
        check("app", None);
        check("zone=", None);
        assert_eq!(zone_of(None, &view(&[(1, Some("eu-1a"))])), None);
    }
}
