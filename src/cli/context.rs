//! What every command is handed.

use std::sync::Arc;

use clap::Args;

use crate::base::clock::{Clock, SystemClock};
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::cli::error::Result;
use crate::cli::kafka::cluster::Cluster;
use crate::cli::output::printer::Printer;

/// The surroundings of one command.
#[derive(Debug)]
pub struct Context {
    /// Runs the command's background tasks.
    pub supervisor: Supervisor,
    /// Randomness.
    pub rng: Rng,
    /// The machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Standard output.
    pub printer: Printer,
}

impl Context {
    /// For this process.
    #[must_use]
    pub fn of_process(json: bool) -> Self {
        Self {
            supervisor: Supervisor::default(),
            rng: Rng::from_entropy(),
            clock: Arc::new(SystemClock),
            printer: Printer::stdout(json),
        }
    }

    /// Connects to the cluster that `client` names.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn connect(&self, client: &ClientArgs) -> Result<Arc<Cluster>> {
        let cluster = Cluster::connect(&self.supervisor, &self.rng, &client.bootstrap, "towpath-cli").await?;
        Ok(Arc::new(cluster))
    }
}

/// Which cluster to talk to.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Brokers to ask first, host:port, several separated by commas
    #[arg(short, long, value_name = "HOST:PORT", env = "TOWPATH_BOOTSTRAP", default_value = "127.0.0.1:9092")]
    pub bootstrap: String,
}
