//! Settings from their sources: defaults < what the command presumes < TOML file < environment < flags.
//!
//! A key that no section knows is an error with a suggestion, wherever it comes from: a setting that is silently
//! ignored is worse than one that is refused. Every value remembers its source.

use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::config::settings::Settings;

/// Begins the name of every environment variable that sets something: `TOWPATH_SECTION__KEY`.
pub const ENVIRONMENT_PREFIX: &str = "TOWPATH_";

/// A setting given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    /// Which setting: `section.key`.
    pub key: String,
    /// Its value, as typed.
    pub value: String,
    /// How it was given, for error messages: `--listen`.
    pub flag: String,
}

/// Where settings come from, lowest priority first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What the command presumes where nobody says otherwise (`towpath dev` listens on this machine only).
    pub presets: Vec<FlagValue>,
    /// A TOML file; it must exist when named.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `TOWPATH_` and hold no `__` are not looked at.
    pub environment: Vec<(String, String)>,
    /// Flags.
    pub flags: Vec<FlagValue>,
}

impl Sources {
    /// This process's environment, with `file` and `flags`.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<FlagValue>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        Self { presets: Vec::new(), file, environment, flags }
    }
}

/// Where one value comes from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "source", content = "name", rename_all = "lowercase")]
pub enum Origin {
    /// Built in.
    Default,
    /// What the command presumes.
    Command(String),
    /// The TOML file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Command(command) => write!(f, "presumed by `{command}`"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One setting, its value and its source.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ResolvedSetting {
    /// `section.key`.
    pub key: String,
    /// The value, passwords taken out.
    pub value: serde_json::Value,
    /// Its source.
    pub origin: Origin,
}

/// Settings and the source of each.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// All of them in order of their keys.
    pub resolved: Vec<ResolvedSetting>,
}

/// Why settings can not be used. Each says which one to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The named file can not be read.
    #[error("settings file {path} can not be read: {reason}; check --config")]
    File {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A key that no section knows.
    #[error("unknown setting '{key}' ({origin}){}", suggestion.as_ref().map(|near| format!("; did you mean '{near}'?")).unwrap_or_else(|| "; `towpath config show` lists all settings".to_owned()))]
    UnknownKey {
        /// The key, or the variable's name.
        key: String,
        /// Where it stands.
        origin: String,
        /// The nearest known one.
        suggestion: Option<String>,
    },
    /// A value that the setting can not take.
    #[error("setting '{key}' ({origin}): {reason}")]
    Value {
        /// Which setting.
        key: String,
        /// Where the value stands.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Joins all sources into settings.
///
/// # Errors
/// When the file can not be read, a key is unknown or a value does not fit. The message names the source.
pub fn load(sources: &Sources) -> Result<Loaded, LoadError> {
    let known = default_values();
    let mut layers = vec![flag_layer(&sources.presets, &known, Origin::Command)?];
    if let Some(path) = &sources.file {
        layers.push(file_layer(path, &known)?);
    }
    layers.push(environment_layer(&sources.environment, &known)?);
    layers.push(flag_layer(&sources.flags, &known, Origin::Flag)?);
    extract(layers)
}

/// Every setting's key with its default, in order of keys; passwords taken out.
#[must_use]
pub fn defaults() -> Vec<(String, serde_json::Value)> {
    default_values().into_iter().map(|(key, value)| (key.clone(), shown(&key, &value))).collect()
}

/// The environment variable of a setting: `objects.store` is `TOWPATH_OBJECTS__STORE`.
#[must_use]
pub fn variable_of(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "__").to_uppercase())
}

type Known = Vec<(String, Value)>;

/// One source's values, each with its key, and how the source calls that key.
#[derive(Clone, Debug, Default)]
struct Layer {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    value: Value,
    /// The text as given, in case the setting wants text where the value looks like a number.
    text: Option<String>,
    origin: Origin,
}

fn default_values() -> Known {
    values_of(&Settings::default())
}

/// Every setting with its value, in order of keys.
fn values_of(settings: &Settings) -> Known {
    let data = Serialized::defaults(settings).data();
    let dict = data.ok().and_then(|mut profiles| profiles.remove(&Profile::Default)).unwrap_or_default();
    let mut values = Vec::new();
    flatten("", &dict, &mut values);
    values.sort_by(|one, other| one.0.cmp(&other.0));
    values
}

/// Leaves of a tree of tables; an empty table is a leaf (a map without entries).
fn flatten(prefix: &str, dict: &Dict, leaves: &mut Known) {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => flatten(&key, inner, leaves),
            leaf => leaves.push((key, leaf.clone())),
        }
    }
}

/// The known setting that `key` sets: itself, or the map or option that it lies in.
fn owner_of<'a>(key: &str, known: &'a Known) -> Option<&'a (String, Value)> {
    known.iter().find(|(name, value)| {
        name == key
            || (matches!(value, Value::Dict(..) | Value::Empty(..))
                && key.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')))
    })
}

fn nearest(key: &str, known: &Known) -> Option<String> {
    let last = key.rsplit('.').next().unwrap_or(key);
    known
        .iter()
        .map(|(name, _)| {
            let whole = strsim::jaro_winkler(key, name);
            let tail = strsim::jaro_winkler(last, name.rsplit('.').next().unwrap_or(name));
            (whole.max(tail * 0.95), name)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name.clone())
}

fn file_layer(path: &Path, known: &Known) -> Result<Layer, LoadError> {
    let unreadable = |reason: String| LoadError::File { path: path.display().to_string(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let mut profiles = Toml::string(&text).data().map_err(|error| unreadable(error.kind.to_string()))?;
    let mut leaves = Vec::new();
    flatten("", &profiles.remove(&Profile::Default).unwrap_or_default(), &mut leaves);
    let origin = Origin::File(path.to_owned());
    let mut layer = Layer::default();
    for (key, value) in leaves {
        // An empty table says nothing, whether the section is known or not.
        let empty_table = matches!(&value, Value::Dict(_, inner) if inner.is_empty());
        let section = format!("{key}.");
        if owner_of(&key, known).is_some() {
            layer.entries.push(Entry { key, value, text: None, origin: origin.clone() });
        } else if !(empty_table && known.iter().any(|(name, _)| name.starts_with(&section))) {
            return Err(LoadError::UnknownKey { suggestion: nearest(&key, known), key, origin: origin.to_string() });
        }
    }
    Ok(layer)
}

/// Variables without `__` are not settings (orchestrators make up `TOWPATH_PORT_9092_TCP` and the like), unless one
/// is a setting's name but for an underscore: that is a slip worth a word.
fn environment_layer(variables: &[(String, String)], known: &Known) -> Result<Layer, LoadError> {
    let mut layer = Layer::default();
    for (variable, text) in variables {
        let Some(rest) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let unknown = |suggestion: Option<String>| LoadError::UnknownKey {
            key: variable.clone(),
            origin: "environment".to_owned(),
            suggestion: suggestion.map(|key| variable_of(&key)),
        };
        if !rest.contains("__") {
            let slip = known.iter().find(|(key, _)| variable_of(key).replace("__", "_") == *variable);
            match slip {
                Some((key, _)) => return Err(unknown(Some(key.clone()))),
                None => continue,
            }
        }
        let key = rest.to_lowercase().replace("__", ".");
        let Some((_, default)) = owner_of(&key, known) else {
            return Err(unknown(nearest(&key, known)));
        };
        let value = value_of(text, default);
        let origin = Origin::Environment(variable.clone());
        layer.entries.push(Entry { key, value, text: Some(text.clone()), origin });
    }
    Ok(layer)
}

fn flag_layer(flags: &[FlagValue], known: &Known, origin_of: fn(String) -> Origin) -> Result<Layer, LoadError> {
    let mut layer = Layer::default();
    for FlagValue { key, value: text, flag } in flags {
        let Some((_, default)) = owner_of(key, known) else {
            return Err(LoadError::UnknownKey {
                key: key.clone(),
                origin: format!("flag {flag}"),
                suggestion: nearest(key, known),
            });
        };
        let value = value_of(text, default);
        let origin = origin_of(flag.clone());
        layer.entries.push(Entry { key: key.clone(), value, text: Some(text.clone()), origin });
    }
    Ok(layer)
}

/// What a text means where `default` stands. An option's default does not show its type: numbers and truth values are
/// taken for what they look like, until the setting turns out to want text.
fn value_of(text: &str, default: &Value) -> Value {
    let parsed = || text.parse::<Value>().unwrap_or_else(|never| match never {});
    match default {
        Value::String(..) => Value::from(text),
        Value::Empty(..) => match parsed() {
            plain @ (Value::Num(..) | Value::Bool(..)) => plain,
            _ => Value::from(text),
        },
        _ => parsed(),
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("layer")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for entry in &self.entries {
            insert(&mut dict, &entry.key, entry.value.clone());
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn insert(dict: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            dict.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = dict.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if !matches!(inner, Value::Dict(..)) {
                *inner = Value::from(Dict::new());
            }
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn extract(mut layers: Vec<Layer>) -> Result<Loaded, LoadError> {
    loop {
        let figment = layers
            .iter()
            .fold(Figment::from(Serialized::defaults(Settings::default())), |figment, layer| figment.merge(layer));
        let error = match figment.extract::<Settings>() {
            Ok(settings) => {
                let resolved = resolve(&settings, &layers);
                if let Err((key, reason)) = settings.share.check() {
                    let origin = resolved.iter().find(|setting| setting.key == key).map(|setting| &setting.origin);
                    let origin = origin.unwrap_or(&Origin::Default).to_string();
                    return Err(LoadError::Value { key, origin, reason });
                }
                return Ok(Loaded { settings, resolved });
            }
            Err(error) => error,
        };
        // An optional text setting has no default that shows its type: `10` was taken for a number.
        let key = error.path.join(".");
        let wants_text =
            matches!(&error.kind, Kind::InvalidType(_, expected) if expected == "a string" || expected == "string");
        let entry = layers.iter_mut().rev().flat_map(|layer| layer.entries.iter_mut()).find(|entry| entry.key == key);
        match entry {
            Some(Entry { value, text: Some(text), .. }) if wants_text && !matches!(value, Value::String(..)) => {
                *value = Value::from(text.as_str());
            }
            entry => {
                let origin = entry.map_or(Origin::Default, |entry| entry.origin.clone()).to_string();
                return Err(LoadError::Value { key, origin, reason: error.kind.to_string() });
            }
        }
    }
}

fn resolve(settings: &Settings, layers: &[Layer]) -> Vec<ResolvedSetting> {
    let resolved = values_of(settings).into_iter().map(|(key, value)| {
        let section = format!("{key}.");
        let origin = layers
            .iter()
            .rev()
            .flat_map(|layer| layer.entries.iter().rev())
            .find(|entry| entry.key == key || entry.key.starts_with(&section))
            .map_or(Origin::Default, |entry| entry.origin.clone());
        ResolvedSetting { value: shown(&key, &value), key, origin }
    });
    resolved.collect()
}

/// A value that may be printed: no passwords.
fn shown(key: &str, value: &Value) -> serde_json::Value {
    let json = serde_json::to_value(value).unwrap_or(serde_json::Value::Null);
    let secret = ["password", "secret", "token", "credential"].iter().any(|word| key.contains(word));
    match json {
        serde_json::Value::String(_) if secret => serde_json::Value::String("***".to_owned()),
        serde_json::Value::String(text) => serde_json::Value::String(without_password(&text)),
        other => other,
    }
}

/// `postgres://user:secret@host` as `postgres://user:***@host`.
#[must_use]
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..authority_end].rfind('@') else { return text.to_owned() };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
