//! One connection to a broker, shared: its requests run concurrently.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::wire::message::Exchange;
use tokio::sync::oneshot;

use crate::base::task::{Supervisor, TaskError, TaskKind};
use crate::cli::error::{CliError, Result};
use crate::wire::client::{Client, ClientError, ClientOptions, RawResponse, RequestSender, ResponseReceiver};

/// How long to wait for any answer: twice what the longest server-side timeout we ask for is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: String,
    sender: tokio::sync::Mutex<RequestSender>,
    pending: Arc<Pending>,
    served: BTreeMap<i16, (i16, i16)>,
}

/// Who waits for which answer.
#[derive(Debug, Default)]
struct Pending(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    answers: BTreeMap<i32, oneshot::Sender<RawResponse>>,
    /// Answers that overtook their requester, who learns the number of a request only once it is written.
    early: BTreeMap<i32, RawResponse>,
    closed: Option<String>,
}

impl Pending {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, correlation_id: i32, answered: oneshot::Sender<RawResponse>) {
        let mut waiting = self.lock();
        match waiting.early.remove(&correlation_id) {
            // The requester holds the other end.
            Some(response) => drop(answered.send(response)),
            None if waiting.closed.is_some() => {}
            None => drop(waiting.answers.insert(correlation_id, answered)),
        }
    }

    fn arrived(&self, response: RawResponse) {
        let mut waiting = self.lock();
        match waiting.answers.remove(&response.correlation_id) {
            // Whoever asked may have given up.
            Some(answered) => drop(answered.send(response)),
            None => drop(waiting.early.insert(response.correlation_id, response)),
        }
    }

    fn close(&self, reason: &str) {
        let mut waiting = self.lock();
        waiting.closed.get_or_insert_with(|| reason.to_owned());
        waiting.answers.clear();
    }
}

/// Closes the connection when it is dropped armed: half a request may have been written.
struct WriteGuard<'a> {
    pending: &'a Pending,
    armed: bool,
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.pending.close("a request was given up while it was being written");
        }
    }
}

impl Connection {
    /// Connects to `address` (`host:port`) and asks which versions it serves.
    ///
    /// # Errors
    /// When nobody answers there, or somebody who does not speak Kafka.
    pub async fn open(supervisor: &Supervisor, address: &str, client_id: &str) -> Result<Self> {
        let options = ClientOptions { client_id: client_id.to_owned(), ..ClientOptions::default() };
        let client = Client::connect(address, options).await.map_err(|error| {
            CliError::Unreachable(format!("no Kafka broker answers at {address} ({error}); check --bootstrap"))
        })?;
        let served = client.served().clone();
        let (sender, receiver) = client.split();
        let pending = Arc::new(Pending::default());
        supervisor.spawn(TaskKind::Connection, "client reader", read_answers(receiver, Arc::clone(&pending)));
        let sender = tokio::sync::Mutex::new(sender);
        Ok(Self(Arc::new(Inner { address: address.to_owned(), sender, pending, served })))
    }

    /// Where it leads.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Whether the broker serves this API in some version up to `newest`.
    #[must_use]
    pub fn serves<R: Exchange>(&self, newest: i16) -> bool {
        self.version::<R>(newest).is_some()
    }

    /// Sends `request` in the newest version that both sides know, `newest` at most, and waits for the answer.
    /// (Fields come and go with versions; `newest` says for which the request was filled in.)
    ///
    /// # Errors
    /// When the broker does not serve the API, does not answer in time, or the connection breaks.
    pub async fn send<R: Exchange>(&self, newest: i16, request: &R) -> Result<R::Response> {
        let name = short_name::<R>();
        let version = self.version::<R>(newest).ok_or_else(|| {
            CliError::Failed(format!("the broker at {} does not serve {name} up to version {newest}", self.0.address))
        })?;
        let failed = |reason: &str| CliError::Unreachable(format!("{name} to {}: {reason}", self.0.address));
        match tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(version, request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error @ (ClientError::Encode { .. } | ClientError::Malformed(_)))) => {
                Err(CliError::Failed(format!("{name} to {}: {error}", self.0.address)))
            }
            Ok(Err(ClientError::Closed)) => {
                let reason = self.0.pending.lock().closed.clone();
                Err(failed(reason.as_deref().unwrap_or("the broker closed the connection")))
            }
            Ok(Err(error)) => Err(failed(&error.to_string())),
            Err(_) => Err(failed(&format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
        }
    }

    async fn exchange<R: Exchange>(&self, version: i16, request: &R) -> std::result::Result<R::Response, ClientError> {
        let Inner { sender, pending, .. } = &*self.0;
        let (sent, answer) = {
            let mut sender = sender.lock().await;
            if pending.lock().closed.is_some() {
                return Err(ClientError::Closed);
            }
            let mut guard = WriteGuard { pending, armed: true };
            let sent = sender.send_at(version, request).await;
            // A request that can not be encoded was not begun to be written.
            guard.armed = matches!(&sent, Err(error) if !matches!(error, ClientError::Encode { .. }));
            let sent = sent?;
            let (answered, answer) = oneshot::channel();
            pending.expect(sent.correlation_id, answered);
            (sent, answer)
        };
        answer.await.map_err(|_| ClientError::Closed)?.decode::<R>(sent)
    }

    fn version<R: Exchange>(&self, newest: i16) -> Option<i16> {
        let (server_min, server_max) = *self.0.served.get(&R::KEY)?;
        let version = newest.min(server_max).min(R::MAX);
        (version >= server_min.max(R::MIN)).then_some(version)
    }
}

async fn read_answers(mut receiver: ResponseReceiver, pending: Arc<Pending>) -> std::result::Result<(), TaskError> {
    loop {
        match receiver.receive().await {
            Ok(response) => pending.arrived(response),
            Err(error) => {
                pending.close(&error.to_string());
                return Ok(());
            }
        }
    }
}

/// `towpath::…::FetchRequest` as `Fetch`.
fn short_name<R>() -> &'static str {
    let name = std::any::type_name::<R>();
    name.rsplit("::").next().unwrap_or(name).trim_end_matches("Request")
}

#[cfg(test)]
mod tests;
