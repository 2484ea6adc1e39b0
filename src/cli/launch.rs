//! The boundary to the agent: commands start and watch one through here alone.

use std::net::{SocketAddr, TcpListener};

use serde::Serialize;

use crate::agent::run::{RunningAgent, StartError};
use crate::cli::cost::Requests;
use crate::cli::error::{CliError, Result};
use crate::config::settings::Settings;
use crate::object::meter::{Counters, Operation, Purpose};

/// How many ports are looked at for a free one.
const PORTS_TRIED: u16 = 100;

/// An agent in this process.
#[derive(Debug)]
pub struct LaunchedAgent {
    /// Where Kafka clients connect.
    pub bootstrap: SocketAddr,
    /// Where metrics and health are.
    pub http: Option<SocketAddr>,
    inner: RunningAgent,
}

/// What an agent has asked of its object store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StorageUse {
    /// Requests by class.
    pub requests: Requests,
    /// Objects of produced records.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Requests that failed.
    pub errors: u64,
}

impl StorageUse {
    fn of(counters: &Counters) -> Self {
        let requests = |operation| counters.total(operation).requests;
        let appended = counters.of(Purpose::Append, Operation::Put);
        Self {
            requests: Requests {
                puts: requests(Operation::Put),
                gets: requests(Operation::Get) + requests(Operation::Head),
                lists: requests(Operation::List),
                deletes: requests(Operation::Delete),
            },
            objects: appended.requests - appended.errors.min(appended.requests),
            object_bytes: appended.bytes_sent,
            errors: Operation::ALL.iter().map(|operation| counters.total(*operation).errors).sum(),
        }
    }
}

impl LaunchedAgent {
    /// Starts an agent.
    ///
    /// # Errors
    /// When it can not start, with a sentence that names the setting to change.
    pub async fn start(settings: &Settings) -> Result<Self> {
        // A future of this size does not belong on the caller's stack.
        let inner = Box::pin(RunningAgent::start(settings)).await.map_err(|error| match error {
            StartError::NoStore | StartError::Store(_) => CliError::Usage(error.to_string()),
            StartError::Probe(_) | StartError::Metastore(_) => CliError::Unreachable(error.to_string()),
            _ => CliError::Failed(error.to_string()),
        })?;
        Ok(Self { bootstrap: inner.bootstrap, http: inner.http, inner })
    }

    /// What it has asked of its object store so far.
    #[must_use]
    pub fn storage_use(&self) -> StorageUse {
        StorageUse::of(&self.inner.storage.counters())
    }

    /// Resolves with the reason when the agent can not go on.
    pub async fn failed(&self) -> String {
        self.inner.failed().await
    }

    /// Finishes what was begun, leaves the cluster and ends.
    pub async fn stop(self) {
        self.inner.stop().await;
    }
}

/// `wanted` if it is free, else the next free port after it; port 0 is left to the system.
///
/// Somebody may take the port before the agent does; then the agent says so.
#[must_use]
pub fn free_address(wanted: SocketAddr) -> SocketAddr {
    if wanted.port() == 0 {
        return wanted;
    }
    let ports = wanted.port()..=wanted.port().saturating_add(PORTS_TRIED);
    ports
        .map(|port| SocketAddr::new(wanted.ip(), port))
        .find(|address| TcpListener::bind(address).is_ok())
        .unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_gives_the_next_free_one() {
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = busy.local_addr().unwrap();
        let free = free_address(wanted);
        assert_ne!(free, wanted);
        assert!(TcpListener::bind(free).is_ok());
        assert_eq!(free_address("127.0.0.1:0".parse().unwrap()).port(), 0);
    }
}
