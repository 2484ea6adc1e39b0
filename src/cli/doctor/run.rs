//! `towpath doctor`.

use clap::Args;
use serde::Serialize;

use crate::base::metrics::Metrics;
use crate::cli::context::Context;
use crate::cli::cost::Workload;
use crate::cli::doctor::bill::{BillForecast, bill_of, draw as draw_bill};
use crate::cli::doctor::finding::{Finding, Verdict, table_of};
use crate::cli::doctor::{metadata, store};
use crate::cli::error::{CliError, Result};
use crate::cli::settings_args::SettingsArgs;
use crate::object::store::ObjectStorage;

/// Check bucket rights, latencies, clocks and the metastore, and forecast the bill
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// How many objects are written and read to measure latency
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    samples: u32,
    /// Forecast the bill for these throughputs, in MiB a second
    #[arg(long, value_name = "MiB/s", value_delimiter = ',', default_values_t = [1.0, 10.0, 100.0])]
    throughput: Vec<f64>,
    /// Forecast the bill for this many agents
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    agents: u32,
    /// Forecast the bill for this many zones
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    zones: u32,
    /// Forecast the bill for records kept this many days
    #[arg(long, default_value_t = 7.0)]
    retention_days: f64,
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    findings: Vec<Finding>,
    bill: BillForecast,
}

/// Runs the command.
///
/// # Errors
/// When the settings make no sense or a check failed.
pub async fn run(context: &mut Context, args: &DoctorArgs) -> Result<()> {
    let settings = args.settings.load(Vec::new())?.settings;
    if args.throughput.iter().any(|mib| !(mib.is_finite() && *mib > 0.0)) {
        return Err(CliError::Usage("--throughput wants positive numbers".to_owned()));
    }
    let mut findings = Vec::new();
    match &settings.agent.store {
        None => {
            let detail = "no store is named; set --store (agent.store)";
            findings.push(Finding::new("store", Verdict::Skipped, detail));
        }
        Some(url) => match ObjectStorage::open(url, &settings.objects, context.rng.clone(), &Metrics::default()) {
            Err(error) => findings.push(Finding::new("store", Verdict::Fail, error.to_string())),
            Ok(storage) => {
                findings.extend(store::check(&storage, &context.rng, context.clock.as_ref(), args.samples).await);
                let metadata = metadata::check(
                    &settings.metastore,
                    &storage,
                    &context.supervisor,
                    &context.rng,
                    &context.clock,
                    args.samples,
                );
                findings.extend(metadata.await);
            }
        },
    }
    let workload = Workload {
        agents: f64::from(args.agents),
        zones: f64::from(args.zones),
        retention_days: args.retention_days,
        fan_out: 1.0,
        ..Workload::default()
    };
    let diagnosis = Diagnosis { findings, bill: bill_of(&settings.log, &workload, &args.throughput) };
    context.printer.object(&diagnosis, |diagnosis| {
        format!("{}\n\n{}", table_of(&diagnosis.findings), draw_bill(&diagnosis.bill))
    })?;
    let failed: Vec<_> =
        diagnosis.findings.iter().filter(|finding| finding.verdict == Verdict::Fail).map(|f| f.check).collect();
    if failed.is_empty() { Ok(()) } else { Err(CliError::Failed(format!("failed: {}", failed.join(", ")))) }
}
