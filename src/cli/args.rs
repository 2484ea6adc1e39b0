//! The command line as a tree.

use clap::{Parser, Subcommand};

use crate::cli::bench::run::BenchArgs;
use crate::cli::demo::run::DemoArgs;
use crate::cli::doctor::run::DoctorArgs;
use crate::cli::{agent, config_show, consume, dev, group, produce, share, topic};

/// A diskless, Kafka-compatible broker: agents without disks, one bucket, one small metastore.
#[derive(Debug, Parser)]
#[command(name = "towpath", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 usage or settings, 3 nobody answers.\n\
                        Logs go to standard error; TOWPATH_LOG filters them (for instance TOWPATH_LOG=debug).")]
pub struct Cli {
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch an agent, producers and a consumer group at work; leaves nothing behind
    Demo(DemoArgs),
    /// Run one agent for this machine, with nothing to set up
    Dev(dev::DevArgs),
    /// Run an agent of a cluster
    Agent(agent::AgentArgs),
    /// List, create, describe, delete and alter topics
    #[command(subcommand)]
    Topic(TopicCommand),
    /// List, describe, delete and reset groups
    #[command(subcommand)]
    Group(GroupCommand),
    /// List, describe, consume, reset and configure share groups (queues), and redrive their dead letters
    #[command(subcommand)]
    Share(ShareCommand),
    /// Read records from standard input, one a line, and produce them
    Produce(produce::ProduceArgs),
    /// Print records of topics
    Consume(consume::ConsumeArgs),
    /// Check bucket rights, latencies, clocks and the metastore, and forecast the bill
    Doctor(DoctorArgs),
    /// Load a cluster at a steady rate and measure latencies
    Bench(BenchArgs),
    /// Show settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// List topics
    List(topic::list::ListArgs),
    /// Create topics
    Create(topic::create::CreateArgs),
    /// Show a topic's partitions, offsets and settings
    Describe(topic::describe::DescribeArgs),
    /// Delete topics and all their records
    Delete(topic::delete::DeleteArgs),
    /// Change a topic's settings, or add partitions
    Alter(topic::alter::AlterArgs),
}

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups
    List(group::list::ListArgs),
    /// Show a group's members, offsets and lag
    Describe(group::describe::DescribeArgs),
    /// Delete groups that have no members, with their offsets
    Delete(group::delete::DeleteArgs),
    /// Move the offsets of a group that has no members
    Reset(group::reset::ResetArgs),
}

/// What to do with share groups.
#[derive(Debug, Subcommand)]
pub enum ShareCommand {
    /// List share groups
    List(share::list::ListArgs),
    /// Show a share group's offsets and lag, its members, or its state
    Describe(share::describe::DescribeArgs),
    /// Print records as a member of a share group; each is accepted once it is printed
    Consume(share::consume::ConsumeArgs),
    /// Show the records at a share group's start offsets, without taking them
    Peek(share::peek::PeekArgs),
    /// End the locks of a group that has no members, now
    Release(share::release::ReleaseArgs),
    /// Produce the records of dead letters again, to the topics they came from
    Redrive(share::redrive::RedriveArgs),
    /// Move a share group that has no members
    Reset(share::reset::ResetArgs),
    /// Show a share group's configurations, or change them
    Config(share::config::ConfigArgs),
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting, its value and where it comes from
    Show(config_show::ShowArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_understood() {
        let lines = [
            "towpath demo --seconds 3",
            "towpath dev --data d --listen 127.0.0.1:0 --http none",
            "towpath agent --store s3://b/p --metastore postgres://h/d --listen 0.0.0.0:9092 --advertise h:1 --rack a",
            "towpath topic create logs orders -p 12 -r 3 -c retention.ms=1 --if-not-exists",
            "towpath topic alter logs --set a=b --unset c -p 4",
            "towpath --json topic list",
            "towpath topic list --json lo",
            "towpath group reset readers --to -10 --topic logs --dry-run",
            "towpath group reset readers --to @-1h",
            "towpath produce logs -K : -z zstd -H a=b",
            "towpath consume logs -o -5 -e -c 10 -f %k:%v\\n",
            "towpath consume logs orders -g readers --json",
            "towpath share list --state Empty,Stable",
            "towpath share describe crew --members --verbose",
            "towpath share consume orders -g crew --reject --max-messages 3 --timeout-ms 500",
            "towpath share peek crew orders -c 3 --http none",
            "towpath share release crew --execute",
            "towpath share redrive crew --from dlq.crew --to orders --max 5 --dry-run",
            "towpath share reset crew --to-datetime 2026-01-31T12:00:00 --all-topics --execute",
            "towpath share config crew --set a=b c=d --unset e",
            "towpath bench share --rate max --ack explicit --seconds 5",
            "towpath doctor --store file:///tmp/x",
            "towpath bench produce --rate 1MiB --seconds 5",
            "towpath bench consume --topic logs",
            "towpath bench e2e --json",
            "towpath config show log --changed",
        ];
        for line in lines {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let lines = [
            "towpath",
            "towpath topic",
            "towpath topic create",
            "towpath topic create logs -c novalue",
            "towpath dev --data d --store memory:",
            "towpath consume logs -p 1 -g readers",
            "towpath consume logs -o sometime",
            "towpath bench produce --rate fast",
            "towpath bench share --rate fast",
            "towpath share reset crew --all-topics",
            "towpath share reset crew --to-latest --to-earliest --all-topics",
            "towpath share reset crew --to-latest",
            "towpath share consume orders --reject --release",
            "towpath share describe crew --members --state",
        ];
        for line in lines {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
