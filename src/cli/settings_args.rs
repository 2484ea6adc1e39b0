//! The flags that set settings, shared by all commands that start or examine an agent.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::cli::error::{CliError, Result};
use crate::cli::topic::pairs::parse_pair;
use crate::config::load::{FlagValue, LoadError, Loaded, Sources, load};

/// Where settings come from besides defaults and the environment.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// A TOML file with settings; environment and flags override it
    #[arg(long, value_name = "FILE", env = "TOWPATH_CONFIG")]
    pub config: Option<PathBuf>,
    /// Any setting by its name, for instance log.linger_busy_ms=100; may be repeated
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = parse_pair)]
    pub set: Vec<(String, String)>,
    /// Object store: s3://bucket/prefix, gs://…, az://…, file:///folder or memory:
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Metastore: embedded, memory or postgres://…
    #[arg(long, value_name = "URL")]
    pub metastore: Option<String>,
    /// Where Kafka clients connect
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
    /// What Kafka clients are told to connect to, when it is not the listening address
    #[arg(long, value_name = "HOST[:PORT]")]
    pub advertise: Option<String>,
    /// Where /metrics, /livez and /readyz are served; `none` for nowhere
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// The zone this agent runs in
    #[arg(long, value_name = "ZONE")]
    pub rack: Option<String>,
}

impl SettingsArgs {
    /// The flags as settings.
    ///
    /// # Errors
    /// When `--advertise` makes no sense.
    pub fn flags(&self) -> Result<Vec<FlagValue>> {
        let mut flags = Vec::new();
        let mut add = |key: &str, value: String, flag: &str| {
            flags.push(FlagValue { key: key.to_owned(), value, flag: flag.to_owned() });
        };
        for (key, value) in &self.set {
            add(key, value.clone(), "--set");
        }
        if let Some(store) = &self.store {
            add("agent.store", store.clone(), "--store");
        }
        if let Some(metastore) = &self.metastore {
            add("metastore.url", metastore.clone(), "--metastore");
        }
        if let Some(listen) = &self.listen {
            add("listener.bind", listen.to_string(), "--listen");
        }
        if let Some(advertise) = &self.advertise {
            let (host, port) = host_and_port(advertise)?;
            add("listener.advertised_host", host, "--advertise");
            if let Some(port) = port {
                add("listener.advertised_port", port.to_string(), "--advertise");
            }
        }
        if let Some(http) = &self.http {
            add("console.http", if http == "none" { String::new() } else { http.clone() }, "--http");
        }
        if let Some(rack) = &self.rack {
            add("agent.rack", rack.clone(), "--rack");
        }
        Ok(flags)
    }

    /// Loads settings: defaults < `presets` of the command < file < environment < flags.
    ///
    /// # Errors
    /// When a source can not be read, or a key or value makes no sense.
    pub fn load(&self, presets: Vec<FlagValue>) -> Result<Loaded> {
        let mut sources = Sources::of_process(self.config.clone(), self.flags()?);
        sources.presets = presets;
        load(&sources).map_err(|error: LoadError| CliError::Usage(error.to_string()))
    }
}

/// What a command presumes, below every other source but the built-in defaults.
#[must_use]
pub fn preset(command: &str, key: &str, value: impl ToString) -> FlagValue {
    FlagValue { key: key.to_owned(), value: value.to_string(), flag: format!("towpath {command}") }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(text: &str) -> Result<(String, Option<u16>)> {
    let wrong = || CliError::Usage(format!("--advertise {text} is not HOST or HOST:PORT"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            (host, rest.strip_prefix(':'))
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = port.map(|port| port.parse().map_err(|_| wrong())).transpose()?;
    if host.is_empty() { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertised_addresses_are_read_with_and_without_port() {
        let check = |text: &str, host: &str, port: Option<u16>| {
            assert_eq!(host_and_port(text).unwrap(), (host.to_owned(), port), "{text}");
        };
        check("kafka.example", "kafka.example", None);
        check("kafka.example:443", "kafka.example", Some(443));
        check("[::1]:9092", "::1", Some(9092));
        check("::1", "::1", None);
        for wrong in ["", ":9092", "host:port", "[::1"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_name_the_settings_they_set() {
        let args = SettingsArgs {
            store: Some("memory:".to_owned()),
            advertise: Some("host:1".to_owned()),
            http: Some("none".to_owned()),
            set: vec![("log.linger_busy_ms".to_owned(), "100".to_owned())],
            ..SettingsArgs::default()
        };
        let loaded = load(&Sources { flags: args.flags().unwrap(), ..Sources::default() }).unwrap();
        assert_eq!(loaded.settings.agent.store.as_deref(), Some("memory:"));
        assert_eq!(loaded.settings.listener.advertised_port, Some(1));
        assert_eq!(loaded.settings.log.linger_busy_ms, 100);
        assert_eq!(loaded.settings.console.listen(), None);
    }
}
