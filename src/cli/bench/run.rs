//! `towpath bench produce|consume|e2e|share`.

use clap::{Args, Subcommand};

use crate::cli::bench::{consume, e2e, produce, share};
use crate::cli::context::Context;
use crate::cli::error::Result;

/// Load a cluster at a steady rate and measure latencies
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Produce at a steady rate; latencies count from the moment each batch was due
    Produce(produce::ProduceArgs),
    /// Consume from the beginning as fast as it goes
    Consume(consume::ConsumeArgs),
    /// Produce single records at a steady rate and measure until a consumer has them
    E2e(e2e::EndToEndArgs),
    /// Produce at a steady rate and measure until members of a share group have the records
    Share(share::ShareArgs),
}

/// Runs the command.
///
/// # Errors
/// When the cluster does not answer or refuses everything.
pub async fn run(context: &mut Context, args: &BenchArgs) -> Result<()> {
    match &args.what {
        What::Produce(args) => produce::run(context, args).await,
        What::Consume(args) => consume::run(context, args).await,
        What::E2e(args) => e2e::run(context, args).await,
        What::Share(args) => share::run(context, args).await,
    }
}
