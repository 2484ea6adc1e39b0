//! One connection to a broker: requests of one connection run concurrently, answers are matched by correlation id.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::base::task::{Supervisor, TaskError, TaskKind};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::protocol::{check, text};

/// No answer of a broker is larger than this: a length beyond it means that something else than Kafka answers.
const ANSWER_BYTES_MAX: usize = 512 << 20;
/// Requests that wait to be written; more than any command keeps in flight, so that the channel never limits.
const QUEUE_LENGTH: usize = 1024;
/// How long to wait for a TCP connection and for the first answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for any other answer: twice what the longest server-side timeout we ask for is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: String,
    client_id: String,
    frames: mpsc::Sender<Bytes>,
    pending: Arc<Pending>,
    next_correlation_id: AtomicI32,
    versions: BTreeMap<i16, (i16, i16)>,
}

/// Who waits for which answer.
#[derive(Debug, Default)]
struct Pending(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    answers: BTreeMap<i32, oneshot::Sender<Bytes>>,
    closed: Option<String>,
}

impl Pending {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, reason: &str) {
        let mut waiting = self.lock();
        waiting.closed.get_or_insert_with(|| reason.to_owned());
        waiting.answers.clear();
    }
}

impl Connection {
    /// Connects to `address` (`host:port`) and asks which versions it serves.
    ///
    /// # Errors
    /// When nobody answers there, or somebody who does not speak Kafka.
    pub async fn open(supervisor: &Supervisor, address: &str, client_id: &str) -> Result<Self> {
        let unreachable = |reason: String| {
            CliError::Unreachable(format!("no Kafka broker answers at {address} ({reason}); check --bootstrap"))
        };
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        };
        // Small requests must not wait for one another; a failure only costs latency.
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        let (frames, queue) = mpsc::channel(QUEUE_LENGTH);
        let pending = Arc::new(Pending::default());
        supervisor.spawn(TaskKind::Connection, "client reader", read_answers(read, Arc::clone(&pending)));
        supervisor.spawn(TaskKind::Connection, "client writer", write_frames(write, queue, Arc::clone(&pending)));
        let mut inner = Inner {
            address: address.to_owned(),
            client_id: client_id.to_owned(),
            frames,
            pending,
            next_correlation_id: AtomicI32::new(0),
            versions: BTreeMap::new(),
        };
        let asked = inner.call(0, &ApiVersionsRequest::default(), CONNECT_TIMEOUT).await;
        let answer = asked.map_err(|error| unreachable(error.to_string()))?;
        check(answer.error_code, "asking for API versions", None)?;
        inner.versions =
            answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(Self(Arc::new(inner)))
    }

    /// Where it leads.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Whether the broker serves this API in some version up to `newest`.
    #[must_use]
    pub fn serves<R: Request>(&self, newest: i16) -> bool {
        self.version::<R>(newest).is_some()
    }

    /// Sends `request` in the newest version that both sides know, `newest` at most, and waits for the answer.
    /// (Fields come and go with versions; `newest` says for which the request was filled in.)
    ///
    /// # Errors
    /// When the broker does not serve the API, does not answer in time, or the connection breaks.
    pub async fn send<R: Request>(&self, newest: i16, request: &R) -> Result<R::Response> {
        let version = self.version::<R>(newest).ok_or_else(|| {
            let name = short_name::<R>();
            CliError::Failed(format!("the broker at {} does not serve {name} up to version {newest}", self.0.address))
        })?;
        self.0.call(version, request, ANSWER_TIMEOUT).await
    }

    fn version<R: Request>(&self, newest: i16) -> Option<i16> {
        let (server_min, server_max) = *self.0.versions.get(&R::KEY)?;
        let version = newest.min(server_max).min(R::VERSIONS.max);
        (version >= server_min.max(R::VERSIONS.min)).then_some(version)
    }
}

/// `towpath::…::FetchRequest` as `Fetch`.
fn short_name<R>() -> &'static str {
    let name = std::any::type_name::<R>();
    name.rsplit("::").next().unwrap_or(name).trim_end_matches("Request")
}

impl Inner {
    async fn call<R: Request>(&self, version: i16, request: &R, timeout: Duration) -> Result<R::Response> {
        let name = short_name::<R>();
        let failed = |reason: &str| CliError::Unreachable(format!("{name} to {}: {reason}", self.address));
        let correlation_id = self.next_correlation_id.fetch_add(1, Ordering::Relaxed);
        let frame = self.frame(version, correlation_id, request).map_err(|reason| failed(&reason))?;
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = self.pending.lock();
            if let Some(reason) = &waiting.closed {
                return Err(failed(reason));
            }
            waiting.answers.insert(correlation_id, sender);
        }
        let exchange = async {
            // A full queue waits; a closed one leaves its reason in `pending`.
            let _ = self.frames.send(frame).await;
            answer.await
        };
        let mut body = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => {
                let reason = self.pending.lock().closed.clone();
                return Err(failed(reason.as_deref().unwrap_or("connection closed")));
            }
            Err(_) => {
                self.pending.lock().answers.remove(&correlation_id);
                return Err(failed(&format!("no answer within {} s", timeout.as_secs())));
            }
        };
        let decoded = ResponseHeader::decode(&mut body, R::Response::header_version(version))
            .and_then(|_| R::Response::decode(&mut body, version));
        decoded.map_err(|error| failed(&format!("the answer makes no sense ({error})")))
    }

    fn frame<R: Request>(&self, version: i16, correlation_id: i32, request: &R) -> std::result::Result<Bytes, String> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(text(&self.client_id)));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        header.encode(&mut frame, R::header_version(version)).map_err(|error| error.to_string())?;
        request.encode(&mut frame, version).map_err(|error| error.to_string())?;
        let length = u32::try_from(frame.len() - 4).map_err(|_| "the request is too large".to_owned())?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame.freeze())
    }
}

async fn write_frames(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Bytes>,
    pending: Arc<Pending>,
) -> std::result::Result<(), TaskError> {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = socket.write_all(&frame).await {
            pending.close(&error.to_string());
            break;
        }
    }
    Ok(())
}

async fn read_answers(socket: OwnedReadHalf, pending: Arc<Pending>) -> std::result::Result<(), TaskError> {
    let mut socket = BufReader::with_capacity(256 << 10, socket);
    loop {
        match read_answer(&mut socket).await {
            Ok((correlation_id, body)) => {
                if let Some(sender) = pending.lock().answers.remove(&correlation_id) {
                    // Whoever asked may have given up.
                    let _ = sender.send(body);
                }
            }
            Err(reason) => {
                pending.close(&reason);
                return Ok(());
            }
        }
    }
}

/// Reads one frame; its correlation id is looked at but left in the body, as part of the header.
async fn read_answer(socket: &mut BufReader<OwnedReadHalf>) -> std::result::Result<(i32, Bytes), String> {
    let length = socket.read_u32().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the broker closed the connection".to_owned(),
        _ => error.to_string(),
    })?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(4..=ANSWER_BYTES_MAX).contains(&length) {
        return Err(format!("an answer of {length} bytes is not Kafka's"));
    }
    // Memory is taken as bytes arrive, not by what the length claims.
    let mut body = BytesMut::new();
    while body.len() < length {
        let missing = length - body.len();
        body.reserve(missing.min(1 << 20));
        let read = (&mut *socket).take(missing as u64).read_buf(&mut body).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the broker closed the connection within an answer".to_owned());
        }
    }
    let correlation_id = i32::from_be_bytes([body[0], body[1], body[2], body[3]]);
    Ok((correlation_id, body.freeze()))
}

#[cfg(test)]
mod tests;
