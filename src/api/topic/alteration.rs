//! Changes of configurations: what a request's operations come to; shared by AlterConfigs and IncrementalAlterConfigs.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::protocol::StrBytes;

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::ApiSpec;
use crate::api::lookup::{cluster_configs, text};
use crate::api::services::Services;
use crate::api::topic::config_rows::{broker_default, topic_rows, value_of};
use crate::api::topic::resource::Resource;
use crate::api::topic::settle::settle;
use crate::config::definition::{Definition, ValueType, find, items};
use crate::config::share::ShareSettings;
use crate::config::{group_rules, topic_table};
use crate::metastore::values::{CatalogSnapshot, ConfigChange, Configs};
use crate::model::error::{Condition, Failure};

/// How long a change may take: these requests carry no time of their own.
const TIMEOUT_MS: i32 = 10_000;

/// What to do with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Its value becomes this.
    Set(&'a str),
    /// It is set no longer.
    Delete,
    /// These items are added to the list.
    Append(&'a str),
    /// These items are taken from the list.
    Subtract(&'a str),
}

/// What changes are held against.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// What is set now.
    pub snapshot: &'a CatalogSnapshot,
    /// What is served.
    pub apis: &'a [ApiSpec],
    /// The bounds of groups' configurations.
    pub share: &'a ShareSettings,
}

/// One resource of a request.
pub trait Alteration {
    /// Kafka's code of its kind, and its name.
    fn named(&self) -> (i8, &str);

    /// What its entries come to.
    ///
    /// # Errors
    /// When an entry is not allowed.
    fn changes(&self, resource: &Resource, judge: Judge<'_>) -> Result<Vec<ConfigChange>, Failure>;
}

/// Alters a request's resources one after another, each as a whole or not at all; with `validate_only` it only judges.
/// Answers an error's code and sentence for each, in the request's order.
pub async fn alter_all<A: Alteration>(
    services: &Services,
    apis: &[ApiSpec],
    asked: &[A],
    validate_only: bool,
) -> Vec<(i16, Option<StrBytes>)> {
    let snapshot = services.catalog.refresh().await;
    let mut times: BTreeMap<(i8, &str), usize> = BTreeMap::new();
    for one in asked {
        *times.entry(one.named()).or_default() += 1;
    }
    let mut answers = Vec::with_capacity(asked.len());
    for one in asked {
        let checked = match &snapshot {
            Err(error) => Err(metastore_failure(error)),
            Ok(_) if times.get(&one.named()) != Some(&1) => {
                Err(invalid_request("Each resource must appear at most once."))
            }
            Ok(snapshot) => check(one, services, Judge { snapshot, apis, share: &services.share }),
        };
        let outcome = match checked {
            Ok((resource, changes)) if !validate_only => carry_out(services, &resource, changes).await,
            checked => checked.map(|_| ()),
        };
        answers.push(match outcome {
            // Success has no message, as Kafka's; an empty one would be shown by tools.
            Ok(()) => (NONE, None),
            Err(failure) => (code(failure.condition), Some(text(failure.message))),
        });
    }
    // Only to save the next request the way to the metastore: failing here changes nothing.
    let _ = services.catalog.refresh().await;
    answers
}

fn check(
    asked: &impl Alteration,
    services: &Services,
    judge: Judge<'_>,
) -> Result<(Resource, Vec<ConfigChange>), Failure> {
    let (kind, name) = asked.named();
    let resource = Resource::of(kind, name, judge.snapshot, &services.membership.view())?;
    let changes = asked.changes(&resource, judge)?;
    Ok((resource, changes))
}

/// The failure of a request that Kafka's rules do not allow.
pub fn invalid_request(sentence: impl Into<String>) -> Failure {
    Failure::new(Condition::InvalidRequest, sentence)
}

/// The changes that operations on single entries come to (IncrementalAlterConfigs).
///
/// # Errors
/// When a name or a value is not allowed.
pub fn incremental(
    resource: &Resource,
    judge: Judge<'_>,
    operations: &[(&str, Operation<'_>)],
) -> Result<Vec<ConfigChange>, Failure> {
    let Judge { snapshot, apis, .. } = judge;
    let own = resource.own_entries(snapshot);
    let mut changes = Vec::new();
    for (name, operation) in operations {
        let change = match operation {
            // What is not set, or not known, need not be unset: then there is nothing to do.
            Operation::Delete => own.contains_key(*name).then(|| ConfigChange::Remove((*name).to_owned())),
            Operation::Set(value) => {
                resource.definition(name, apis)?;
                Some(ConfigChange::Set((*name).to_owned(), (*value).to_owned()))
            }
            Operation::Append(added) | Operation::Subtract(added) => {
                let definition = resource.definition(name, apis)?;
                let now = list_now(definition, resource, snapshot, &own, *operation)?;
                let mut list: Vec<&str> = items(&now).collect();
                for item in items(added) {
                    list.retain(|other| *other != item || matches!(operation, Operation::Append(_)));
                    if matches!(operation, Operation::Append(_)) && !list.contains(&item) {
                        list.push(item);
                    }
                }
                Some(ConfigChange::Set((*name).to_owned(), list.join(",")))
            }
        };
        changes.extend(change);
    }
    check_result(resource, judge, own, &changes)?;
    Ok(changes)
}

/// The value that a list has now.
fn list_now(
    definition: &Definition,
    resource: &Resource,
    snapshot: &CatalogSnapshot,
    own: &Configs,
    operation: Operation<'_>,
) -> Result<String, Failure> {
    let name = definition.name;
    if definition.value_type != ValueType::List {
        let verb = if matches!(operation, Operation::Append(_)) { "APPEND to" } else { "SUBTRACT from" };
        let sentence = format!("Can't {verb} key {name} because its type is not LIST.");
        return Err(Failure::new(Condition::InvalidConfig, sentence));
    }
    let value = own.get(name).cloned().or_else(|| match resource {
        Resource::Topic(_) => value_of(&topic_rows(own, cluster_configs(snapshot)), name),
        Resource::Cluster | Resource::Broker(_) => broker_default(name),
        Resource::Group(_) => definition.default.map(str::to_owned),
    });
    Ok(value.unwrap_or_default())
}

/// The changes that make `entries` all that is set (AlterConfigs).
///
/// # Errors
/// When a name or a value is not allowed.
pub fn replacing(
    resource: &Resource,
    judge: Judge<'_>,
    entries: &[(&str, &str)],
) -> Result<Vec<ConfigChange>, Failure> {
    let own = resource.own_entries(judge.snapshot);
    let kept: BTreeSet<&str> = entries.iter().map(|(name, _)| *name).collect();
    let gone = own.keys().filter(|name| !kept.contains(name.as_str()));
    let mut changes: Vec<ConfigChange> = gone.map(|name| ConfigChange::Remove(name.clone())).collect();
    for (name, value) in entries {
        resource.definition(name, judge.apis)?;
        changes.push(ConfigChange::Set((*name).to_owned(), (*value).to_owned()));
    }
    check_result(resource, judge, own, &changes)?;
    Ok(changes)
}

/// Judges the entries as they would be.
fn check_result(
    resource: &Resource,
    judge: Judge<'_>,
    mut entries: Configs,
    changes: &[ConfigChange],
) -> Result<(), Failure> {
    let invalid = |sentence| Failure::new(Condition::InvalidConfig, sentence);
    for change in changes {
        match change {
            ConfigChange::Set(name, value) => {
                if let Some(definition) = table(resource).and_then(|table| find(table, name)) {
                    definition.check(value).map_err(invalid)?;
                }
                entries.insert(name.clone(), value.clone());
            }
            ConfigChange::Remove(name) => {
                entries.remove(name);
            }
        }
    }
    match resource {
        Resource::Topic(_) => topic_table::check_entries(&entries).map_err(invalid),
        Resource::Group(_) => {
            let changed: Vec<&str> = changes.iter().map(name_of).collect();
            let cluster = cluster_configs(judge.snapshot);
            group_rules::check_entries(&entries, &changed, cluster, judge.share).map_err(invalid)
        }
        Resource::Cluster | Resource::Broker(_) => Ok(()),
    }
}

fn name_of(change: &ConfigChange) -> &str {
    match change {
        ConfigChange::Set(name, _) | ConfigChange::Remove(name) => name,
    }
}

fn table(resource: &Resource) -> Option<&'static [Definition]> {
    match resource {
        Resource::Topic(_) => Some(topic_table::TOPIC_CONFIGS),
        Resource::Cluster => Some(crate::config::broker_table::BROKER_CONFIGS),
        Resource::Group(_) => Some(crate::config::group_table::GROUP_CONFIGS),
        Resource::Broker(_) => None,
    }
}

/// Carries out changes that were found good.
///
/// # Errors
/// When the resource is gone or the metastore can not be asked.
async fn carry_out(services: &Services, resource: &Resource, changes: Vec<ConfigChange>) -> Result<(), Failure> {
    let Some(stored_as) = resource.stored_as().filter(|_| !changes.is_empty()) else { return Ok(()) };
    let step = || services.metastore.alter_configs(stored_as.clone(), changes.clone());
    let settled = settle(&services.rng, TIMEOUT_MS, step).await;
    settled
        .outcome
        .map_err(|error| metastore_failure(&error))?
        .map_err(|refusal| Failure::new(Condition::UnknownTopicOrPartition, refusal.to_string()))
}
