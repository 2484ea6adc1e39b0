//! Configurations as they hold: each entry with its value, where it comes from, and what it would otherwise be.

use crate::api::handler::ApiSpec;
use crate::api::topic::resource::is_served;
use crate::config::broker::BrokerDefaults;
use crate::config::broker_table::{BROKER_CONFIGS, is_dynamic};
use crate::config::definition::{Definition, find};
use crate::config::group_rules;
use crate::config::group_table::GROUP_CONFIGS;
use crate::config::share::ShareSettings;
use crate::config::topic_table::TOPIC_CONFIGS;
use crate::metastore::values::{Configs, NodeRecord};

/// Where a value comes from, by Kafka's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set on all brokers.
    Cluster = 3,
    /// From an agent's settings.
    Settings = 4,
    /// Nobody set it.
    Default = 5,
    /// Set on the group.
    Group = 8,
}

/// A name under which a value can be set, most particular first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name.
    pub name: &'static str,
    /// The value under that name.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

/// One configuration entry as it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name, type and sentence.
    pub definition: &'static Definition,
    /// The value that holds.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// Whether it can not be changed by a request.
    pub read_only: bool,
    /// All values it could have, the one that holds first.
    pub synonyms: Vec<Synonym>,
}

impl Row {
    /// The row whose value is the first synonym's.
    fn of(definition: &'static Definition, read_only: bool, synonyms: Vec<Synonym>) -> Self {
        let (value, source) =
            synonyms.first().map_or((None, Source::Default), |first| (Some(first.value.clone()), first.source));
        Self { definition, value, source, read_only, synonyms }
    }
}

fn set(name: &'static str, entries: Option<&Configs>, source: Source) -> Option<Synonym> {
    entries?.get(name).map(|value| Synonym { name, value: value.clone(), source })
}

fn default(definition: &Definition, name: &'static str) -> Option<Synonym> {
    definition.default.map(|value| Synonym { name, value: value.to_owned(), source: Source::Default })
}

/// A topic's configuration, sorted by name.
#[must_use]
pub fn topic_rows(topic: &Configs, cluster: Option<&Configs>) -> Vec<Row> {
    let rows = TOPIC_CONFIGS.iter().map(|definition| {
        let shared_name = definition.broker_name.unwrap_or(definition.name);
        let own = set(definition.name, Some(topic), Source::Topic);
        let shared = set(shared_name, cluster, Source::Cluster);
        Row::of(definition, false, own.into_iter().chain(shared).chain(default(definition, shared_name)).collect())
    });
    rows.collect()
}

/// What is set on all brokers, sorted by name.
#[must_use]
pub fn cluster_rows(cluster: Option<&Configs>) -> Vec<Row> {
    let rows = BROKER_CONFIGS.iter().filter_map(|definition| {
        let shared = set(definition.name, cluster, Source::Cluster)?;
        Some(Row::of(definition, false, vec![shared]))
    });
    rows.collect()
}

/// An agent's configuration in Kafka's words, sorted by name.
#[must_use]
pub fn broker_rows(
    node: &NodeRecord,
    defaults: &BrokerDefaults,
    share: &ShareSettings,
    log_dir: &str,
    cluster: Option<&Configs>,
) -> Vec<Row> {
    let mut settings = settings(node, defaults, log_dir);
    for (name, value) in share.by_broker_name() {
        if broker_default(name).is_none_or(|default| default != value) {
            settings.insert(name.to_owned(), value);
        }
    }
    let rows = BROKER_CONFIGS.iter().map(|definition| {
        let name = definition.name;
        let shared = set(name, cluster, Source::Cluster);
        let own = set(name, Some(&settings), Source::Settings);
        let synonyms = shared.into_iter().chain(own).chain(default(definition, name)).collect();
        Row::of(definition, !is_dynamic(name), synonyms)
    });
    rows.collect()
}

/// What an agent's settings say, by Kafka's names.
fn settings(node: &NodeRecord, defaults: &BrokerDefaults, log_dir: &str) -> Configs {
    let id = node.identity.node_id.to_string();
    let mut settings = Configs::new();
    let mut add = |name: &str, value: String| settings.insert(name.to_owned(), value);
    add("advertised.listeners", format!("PLAINTEXT://{}", node.endpoint));
    add("auto.create.topics.enable", defaults.auto_create_topics.to_string());
    add("broker.id", id.clone());
    if let Some(rack) = &node.rack {
        add("broker.rack", rack.0.as_ref().to_owned());
    }
    add("default.replication.factor", defaults.replication_factor.to_string());
    add("delete.topic.enable", defaults.delete_topics.to_string());
    add("log.dirs", log_dir.to_owned());
    add("node.id", id);
    add("num.partitions", defaults.partition_count.to_string());
    settings
}

/// A group's configuration, sorted by name. What belongs to groups of a type that is not served can not be changed.
#[must_use]
pub fn group_rows(group: &Configs, share: &ShareSettings, apis: &[ApiSpec]) -> Vec<Row> {
    let rows = GROUP_CONFIGS.iter().map(|definition| {
        let shared_name = definition.broker_name.unwrap_or(definition.name);
        let own = set(definition.name, Some(group), Source::Group);
        let from_settings = group_rules::default_of(definition.name, share)
            .filter(|value| definition.default != Some(value.as_str()))
            .map(|value| Synonym { name: shared_name, value, source: Source::Settings });
        let synonyms = own.into_iter().chain(from_settings).chain(default(definition, shared_name)).collect();
        Row::of(definition, !is_served(definition, apis), synonyms)
    });
    rows.collect()
}

/// The value of `name` among `rows`.
#[must_use]
pub fn value_of(rows: &[Row], name: &str) -> Option<String> {
    rows.iter().find(|row| row.definition.name == name).and_then(|row| row.value.clone())
}

/// The default of `name` as a broker-wide entry.
#[must_use]
pub fn broker_default(name: &str) -> Option<String> {
    find(BROKER_CONFIGS, name).and_then(|definition| definition.default).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_topics_value_comes_from_topic_then_cluster_then_default() {
        let topic = entries(&[("retention.ms", "1")]);
        let cluster = entries(&[("log.retention.ms", "2"), ("message.max.bytes", "3")]);
        let rows = topic_rows(&topic, Some(&cluster));
        let row = |name: &str| rows.iter().find(|row| row.definition.name == name).expect("in the table");

        let retention = row("retention.ms");
        assert_eq!((retention.value.as_deref(), retention.source), (Some("1"), Source::Topic));
        let names: Vec<_> = retention.synonyms.iter().map(|synonym| (synonym.name, synonym.source)).collect();
        assert_eq!(
            names,
            [
                ("retention.ms", Source::Topic),
                ("log.retention.ms", Source::Cluster),
                ("log.retention.ms", Source::Default)
            ]
        );
        let largest = row("max.message.bytes");
        assert_eq!((largest.value.as_deref(), largest.source), (Some("3"), Source::Cluster));
        let policy = row("cleanup.policy");
        assert_eq!((policy.value.as_deref(), policy.source), (Some("delete"), Source::Default));
    }

    #[test]
    fn a_groups_value_comes_from_group_then_settings_then_default() {
        let apis = [ApiSpec { key: 76, name: "ShareGroupHeartbeat", min: 1, max: 1 }];
        let settings = ShareSettings { delivery_count_limit: 7, ..ShareSettings::default() };
        let group = entries(&[("share.auto.offset.reset", "earliest"), ("share.delivery.count.limit", "6")]);
        let rows = group_rows(&group, &settings, &apis);
        let row = |name: &str| rows.iter().find(|row| row.definition.name == name).expect("in the table");
        let synonyms = |name: &str| -> Vec<(&str, String, Source)> {
            row(name).synonyms.iter().map(|one| (one.name, one.value.clone(), one.source)).collect()
        };
        assert_eq!(
            synonyms("share.delivery.count.limit"),
            [
                ("share.delivery.count.limit", "6".to_owned(), Source::Group),
                ("group.share.delivery.count.limit", "7".to_owned(), Source::Settings),
                ("group.share.delivery.count.limit", "5".to_owned(), Source::Default)
            ]
        );
        assert_eq!(
            synonyms("share.session.timeout.ms"),
            [("group.share.session.timeout.ms", "45000".to_owned(), Source::Default)]
        );
        assert_eq!(value_of(&rows, "share.auto.offset.reset").as_deref(), Some("earliest"));
    }

    #[test]
    fn what_is_for_groups_that_are_not_served_is_shown_and_can_not_be_changed() {
        let apis = [ApiSpec { key: 76, name: "ShareGroupHeartbeat", min: 1, max: 1 }];
        let rows = group_rows(&Configs::new(), &ShareSettings::default(), &apis);
        let changed: Vec<bool> = ["consumer.", "errors.deadletterqueue.", "share.", "streams.", "towpath.share."]
            .iter()
            .map(|kind| rows.iter().filter(|row| row.definition.name.starts_with(kind)).all(|row| !row.read_only))
            .collect();
        assert_eq!(changed, [false, true, true, false, true]);
    }
}
