//! `towpath dev`: one agent for this machine, with nothing to set up.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::agent::serve;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Result};
use crate::cli::launch::{LaunchedAgent, free_address};
use crate::cli::settings_args::{SettingsArgs, preset};
use crate::cli::workspace::Workspace;
use crate::config::settings::Settings;

/// Run one agent for this machine, with nothing to set up
#[derive(Args, Clone, Debug)]
pub struct DevArgs {
    /// Keep the data in this folder; a temporary one by default
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    data: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Serialize)]
struct Addresses {
    bootstrap: String,
    http: Option<String>,
    store: String,
    temporary: bool,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// When the settings make no sense or the agent can not start.
pub async fn run(context: &mut Context, args: &DevArgs) -> Result<()> {
    let Prepared { settings, workspace, notes } = prepare("dev", &args.settings, args.data.as_deref(), context)?;
    let agent = LaunchedAgent::start(&settings).await?;
    let addresses = Addresses {
        bootstrap: agent.bootstrap.to_string(),
        http: agent.http.map(|address| address.to_string()),
        store: crate::config::load::without_password(settings.agent.store.as_deref().unwrap_or_default()),
        temporary: workspace.as_ref().is_some_and(Workspace::is_temporary),
    };
    let greeted = context.printer.object(&addresses, |addresses| greeting(addresses, &notes));
    let ended = match greeted {
        // Whoever read the greeting may close the pipe; the agent goes on.
        Ok(()) | Err(CliError::OutputClosed) => serve(agent).await,
        Err(error) => {
            agent.stop().await;
            Err(error)
        }
    };
    drop(workspace);
    ended
}

/// Settings of an agent that runs for one person on one machine.
#[derive(Debug)]
pub struct Prepared {
    /// Its settings.
    pub settings: Settings,
    /// Its folder, unless a store was named; must outlive the agent.
    pub workspace: Option<Workspace>,
    /// What the person should know, a sentence each.
    pub notes: Vec<String>,
}

/// Local addresses (the next free port where one is busy), groups that start at once, and a folder when no store is
/// named.
///
/// # Errors
/// When the settings make no sense or the folder can not be made.
pub fn prepare(
    command: &str,
    args: &SettingsArgs,
    data: Option<&std::path::Path>,
    context: &Context,
) -> Result<Prepared> {
    let mut presets = vec![
        preset(command, "listener.bind", "127.0.0.1:9092"),
        preset(command, "group.group_initial_rebalance_delay_ms", 0),
    ];
    // A local folder asks no money for a PUT; the demo shows what a bucket would cost, and keeps the budget.
    if command == "dev" {
        presets.push(preset(command, "log.puts_per_second", 0.0));
    }
    let mut settings = args.load(presets)?.settings;
    let mut notes = Vec::new();
    let wanted = settings.listener.bind;
    settings.listener.bind = free_address(wanted);
    if settings.listener.bind != wanted {
        notes.push(format!("Port {} is busy, so this is port {}.", wanted.port(), settings.listener.bind.port()));
    }
    if let Some(wanted) = settings.console.listen().and_then(|address| address.parse::<SocketAddr>().ok()) {
        let free = free_address(wanted);
        settings.console.http = free.to_string();
        if free != wanted {
            notes.push(format!("Port {} is busy, so HTTP is on port {}.", wanted.port(), free.port()));
        }
    }
    let workspace = match (data, &settings.agent.store) {
        (None, Some(_)) => None,
        _ => {
            let workspace = Workspace::open(data, &context.rng)?;
            settings.agent.store = Some(workspace.url()?);
            Some(workspace)
        }
    };
    Ok(Prepared { settings, workspace, notes })
}

fn greeting(addresses: &Addresses, notes: &[String]) -> String {
    let Addresses { bootstrap, http, store, temporary } = addresses;
    let mut text = String::new();
    for note in notes {
        text.push_str(&format!("{note}\n"));
    }
    let kept = if *temporary { "gone when this ends; --data DIR keeps it" } else { "kept" };
    let http = http.as_ref().map_or_else(|| "off".to_owned(), |http| format!("http://{http}/metrics"));
    text.push_str(&format!(
        "Towpath runs. Ctrl-C stops it.\n\n  bootstrap  {bootstrap}\n  http       {http}\n  data       {store} ({kept})\n\n\
         Try, in another terminal:\n\n\
         \x20 echo hello | towpath produce -b {bootstrap} greetings\n\
         \x20 towpath consume -b {bootstrap} greetings --exit\n\
         \x20 kcat -b {bootstrap} -C -t greetings -e\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_says_where_and_what_next() {
        let addresses = Addresses {
            bootstrap: "127.0.0.1:9093".to_owned(),
            http: Some("127.0.0.1:8080".to_owned()),
            store: "file:///tmp/x/".to_owned(),
            temporary: true,
        };
        let expected = "\
Port 9092 is busy, so this is port 9093.
Towpath runs. Ctrl-C stops it.

  bootstrap  127.0.0.1:9093
  http       http://127.0.0.1:8080/metrics
  data       file:///tmp/x/ (gone when this ends; --data DIR keeps it)

Try, in another terminal:

  echo hello | towpath produce -b 127.0.0.1:9093 greetings
  towpath consume -b 127.0.0.1:9093 greetings --exit
  kcat -b 127.0.0.1:9093 -C -t greetings -e
";
        assert_eq!(greeting(&addresses, &["Port 9092 is busy, so this is port 9093.".to_owned()]), expected);
    }

    #[test]
    fn an_agent_for_one_person_stays_on_this_machine() {
        let context = Context::of_process(false);
        let args = SettingsArgs {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            http: Some("none".to_owned()),
            ..SettingsArgs::default()
        };
        let prepared = prepare("dev", &args, None, &context).unwrap();
        assert_eq!(prepared.settings.group.group_initial_rebalance_delay_ms, 0);
        assert!(prepared.settings.listener.bind.ip().is_loopback());
        assert!(prepared.settings.agent.store.unwrap().starts_with("file:///"));
        assert!(prepared.workspace.unwrap().is_temporary());

        let args = SettingsArgs { store: Some("memory:".to_owned()), ..args };
        assert!(prepare("dev", &args, None, &context).unwrap().workspace.is_none());
    }
}
