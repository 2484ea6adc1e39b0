//! From the command line to an exit code.

use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Cli, Command, ConfigCommand, GroupCommand, ShareCommand, TopicCommand};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Result};
use crate::cli::logging::{Audience, start as start_logging};
use crate::cli::{agent, bench, config_show, consume, demo, dev, doctor, group, produce, share, topic};

/// Parses, runs, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; a closed pipe under them is none either.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    start_logging(match cli.command {
        Command::Agent(_) => Audience::Service,
        _ => Audience::Command,
    });
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("no threads to run on: {error}")))
        .map(|runtime| {
            let outcome = runtime.block_on(run(cli));
            // A read of standard input may still be blocked in its thread; nobody waits for it.
            runtime.shutdown_background();
            outcome
        });
    match outcome.unwrap_or_else(Err) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CliError::OutputClosed) {
                complain(&error);
            }
            error.exit_code()
        }
    }
}

fn complain(error: &CliError) {
    use std::io::Write;
    // When even standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "towpath: {error}");
}

async fn run(cli: Cli) -> Result<()> {
    let mut context = Context::of_process(cli.json);
    let outcome = Box::pin(dispatch(&mut context, &cli.command)).await;
    let flushed = context.printer.flush();
    context.supervisor.kill();
    outcome.and(flushed)
}

async fn dispatch(context: &mut Context, command: &Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run::run(context, args).await,
        Command::Dev(args) => dev::run(context, args).await,
        Command::Agent(args) => agent::run(context, args).await,
        Command::Topic(TopicCommand::List(args)) => topic::list::run(context, args).await,
        Command::Topic(TopicCommand::Create(args)) => topic::create::run(context, args).await,
        Command::Topic(TopicCommand::Describe(args)) => topic::describe::run(context, args).await,
        Command::Topic(TopicCommand::Delete(args)) => topic::delete::run(context, args).await,
        Command::Topic(TopicCommand::Alter(args)) => topic::alter::run(context, args).await,
        Command::Group(GroupCommand::List(args)) => group::list::run(context, args).await,
        Command::Group(GroupCommand::Describe(args)) => group::describe::run(context, args).await,
        Command::Group(GroupCommand::Delete(args)) => group::delete::run(context, args).await,
        Command::Group(GroupCommand::Reset(args)) => group::reset::run(context, args).await,
        Command::Share(command) => dispatch_share(context, command).await,
        Command::Produce(args) => produce::run(context, args).await,
        Command::Consume(args) => consume::run(context, args).await,
        Command::Doctor(args) => doctor::run::run(context, args).await,
        Command::Bench(args) => bench::run::run(context, args).await,
        Command::Config(ConfigCommand::Show(args)) => config_show::run(context, args),
    }
}

async fn dispatch_share(context: &mut Context, command: &ShareCommand) -> Result<()> {
    match command {
        ShareCommand::List(args) => share::list::run(context, args).await,
        ShareCommand::Describe(args) => share::describe::run(context, args).await,
        ShareCommand::Consume(args) => share::consume::run(context, args).await,
        ShareCommand::Peek(args) => share::peek::run(context, args).await,
        ShareCommand::Release(args) => share::release::run(context, args).await,
        ShareCommand::Redrive(args) => share::redrive::run(context, args).await,
        ShareCommand::Reset(args) => share::reset::run(context, args).await,
        ShareCommand::Config(args) => share::config::run(context, args).await,
    }
}
