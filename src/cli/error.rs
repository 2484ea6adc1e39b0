//! How a command ends when it does not succeed.

use std::io;
use std::process::ExitCode;

/// Why a command stopped, in a sentence that names the setting or flag to change.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// What was asked was refused or went wrong. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The command line or a setting makes no sense. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The cluster, the bucket or the metastore does not answer. Exit code 3.
    #[error("{0}")]
    Unreachable(String),
    /// Whoever read our output has gone. Not worth a word; exit code 0.
    #[error("output closed")]
    OutputClosed,
}

impl CliError {
    /// The process's exit code; `docs/operations/commands.md` lists them.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        })
    }

    /// What happened to our own output: a closed pipe is no failure.
    #[must_use]
    pub fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Failed(format!("output can not be written: {error}"))
        }
    }
}

/// The result of a command or a part of one.
pub type Result<T> = std::result::Result<T, CliError>;
