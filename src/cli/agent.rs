//! `towpath agent`: one agent of a cluster.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::cost::{S3_STANDARD, put_floor_per_agent_month};
use crate::cli::error::{CliError, Result};
use crate::cli::launch::LaunchedAgent;
use crate::cli::output::units::dollars;
use crate::cli::settings_args::SettingsArgs;
use crate::cli::signal::interrupted;
use crate::config::log::LogSettings;

/// Run an agent of a cluster
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs the command until the agent fails, or Ctrl-C or SIGTERM.
///
/// # Errors
/// When the settings make no sense, or the agent can not start or go on.
pub async fn run(_: &mut Context, args: &AgentArgs) -> Result<()> {
    let settings = args.settings.load(Vec::new())?.settings;
    tracing::info!("{}", bill_of(&settings.log));
    let agent = LaunchedAgent::start(&settings).await?;
    tracing::info!(bootstrap = %agent.bootstrap, http = agent.http.map(tracing::field::display), "serving");
    serve(agent).await
}

/// Waits for the end of an agent, stops it in order, and says why it ended when that was a failure.
///
/// # Errors
/// When the agent could not go on.
pub async fn serve(agent: LaunchedAgent) -> Result<()> {
    let failure = tokio::select! {
        biased;
        signal = interrupted() => {
            tracing::info!(signal, "stopping");
            None
        }
        reason = agent.failed() => Some(reason),
    };
    agent.stop().await;
    failure.map_or(Ok(()), |reason| Err(CliError::Failed(format!("the agent can not go on: {reason}"))))
}

/// What the choice of linger and PUT budget costs at most, in a sentence.
#[must_use]
pub fn bill_of(log: &LogSettings) -> String {
    let most = put_floor_per_agent_month(log.linger_busy_ms as f64, log.puts_per_second, &S3_STANDARD);
    let budget = if log.puts_per_second > 0.0 {
        format!("{} PUTs a second (log.puts_per_second)", log.puts_per_second)
    } else {
        "as many PUTs as the linger allows (log.puts_per_second is 0)".to_owned()
    };
    format!(
        "a flush waits {} ms at most (log.linger_busy_ms) within {budget}: an agent that is never idle spends up to \
         {} a month on small objects at S3 list prices, and full objects of {} MiB cost {} per TiB; an idle one \
         spends nothing",
        log.linger_busy_ms,
        dollars(most),
        log.object_bytes_max >> 20,
        dollars(per_tib(log.object_bytes_max)),
    )
}

fn per_tib(object_bytes: u64) -> f64 {
    (1_u64 << 40) as f64 / object_bytes.max(1) as f64 * S3_STANDARD.put
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_names_the_settings_that_decide_it() {
        let bill = bill_of(&LogSettings::default());
        assert!(bill.contains("$52.56 a month"), "{bill}");
        assert!(bill.contains("$0.6554 per TiB"), "{bill}");
        assert!(bill.contains("log.linger_busy_ms") && bill.contains("log.puts_per_second"), "{bill}");
        let bill = bill_of(&LogSettings { puts_per_second: 0.0, linger_busy_ms: 50, ..LogSettings::default() });
        assert!(bill.contains("$262.80 a month"), "{bill}");
    }
}
