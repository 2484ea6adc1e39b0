//! Logs: to standard error alone, for people on a terminal, as JSON lines elsewhere.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::cli::output::printer::colour_wanted;

/// Where the filter comes from, in this order.
const FILTER_VARIABLES: [&str; 2] = ["TOWPATH_LOG", "RUST_LOG"];

/// Who reads the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A person who runs a command: warnings only, so that they do not drown the result.
    Command,
    /// Whoever watches an agent.
    Service,
}

/// Starts logging. Without a filter in `TOWPATH_LOG` or `RUST_LOG` agents say what they do and commands only what
/// goes wrong.
pub fn start(audience: Audience) {
    let default = match audience {
        Audience::Command => "warn",
        Audience::Service => "warn,towpath=info",
    };
    let chosen = FILTER_VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let (filter, complaint) = match chosen.map(|text| EnvFilter::try_new(&text).map_err(|error| (text, error))) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(complaint)) => (EnvFilter::new(default), Some(complaint)),
        None => (EnvFilter::new(default), None),
    };
    let terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = if terminal || audience == Audience::Command {
        builder.compact().with_ansi(terminal && colour_wanted()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if let Some((text, error)) = complaint {
        tracing::warn!(filter = text, %error, "TOWPATH_LOG or RUST_LOG is no filter; the default holds");
    }
}
