//! `towpath config show`: every setting, its value and where it comes from.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::Result;
use crate::cli::output::table::{Align, Table};
use crate::cli::settings_args::SettingsArgs;
use crate::config::load::{Origin, ResolvedSetting, variable_of};

/// Show every setting, its value and where it comes from
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Show only settings whose names contain this
    filter: Option<String>,
    /// Show only settings that are not at their default
    #[arg(long)]
    changed: bool,
    /// Show the environment variable of each setting instead of its source
    #[arg(long)]
    variables: bool,
}

/// Runs the command.
///
/// # Errors
/// When the settings make no sense.
pub fn run(context: &mut Context, args: &ShowArgs) -> Result<()> {
    let mut settings = args.settings.load(Vec::new())?.resolved;
    settings.retain(|setting| {
        let wanted = args.filter.as_ref().is_none_or(|part| setting.key.contains(part));
        wanted && !(args.changed && setting.origin == Origin::Default)
    });
    context.printer.listing(&settings, |settings| draw(settings, args.variables))
}

fn draw(settings: &[ResolvedSetting], variables: bool) -> Table {
    let third = if variables { "VARIABLE" } else { "SOURCE" };
    let mut table = Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left), (third, Align::Left)]);
    for setting in settings {
        let value = match &setting.value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let third = if variables { variable_of(&setting.key) } else { setting.origin.to_string() };
        table.row([setting.key.clone(), value, third]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_names_its_source() {
        let setting =
            |key: &str, value: serde_json::Value, origin| ResolvedSetting { key: key.to_owned(), value, origin };
        let settings = [
            setting("agent.rack", serde_json::Value::Null, Origin::Default),
            setting("agent.store", "memory:".into(), Origin::Flag("--store".to_owned())),
            setting("log.puts_burst", 40.0.into(), Origin::Environment("TOWPATH_LOG__PUTS_BURST".to_owned())),
        ];
        let expected = "\
SETTING         VALUE    SOURCE
agent.rack      -        default
agent.store     memory:  flag --store
log.puts_burst  40.0     environment TOWPATH_LOG__PUTS_BURST";
        assert_eq!(draw(&settings, false).to_string(), expected);
    }
}
