//! One connection, from the first frame to the last answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::api::dispatch::{Caller, Dispatch};
use crate::config::listeners::ListenerSettings;
use crate::server::budget::ByteBudget;
use crate::server::metrics::ServerMetrics;
use crate::server::pipeline::{EndOfConnection, InFlight, run, write};
use crate::wire::frame::{FrameError, FrameReader};

/// What all connections of a listener share.
pub(crate) struct Shared {
    pub(crate) settings: ListenerSettings,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) budget: ByteBudget,
    pub(crate) metrics: ServerMetrics,
}

/// A client that takes nothing of its answers for so long is gone.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A frame has this long to arrive, and longer the larger it is: its bytes are charged to everybody's budget.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How slowly a large frame may arrive.
const RECEIVE_BYTES_PER_SECOND: usize = 128 * 1024;
/// Answers between the requests and the socket. Few, because an answer may be large and more wait where they are.
const ANSWERS_QUEUED: usize = 4;

/// Serves a connection until the client ends it, something is wrong with it, or `stop` is cancelled and the requests in
/// flight are answered.
pub(crate) async fn serve(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    caller: Caller,
    shared: &Shared,
    stop: CancellationToken,
) {
    let (connection_id, client_host) = (caller.connection_id, caller.client_host);
    let _goodbye = Goodbye { dispatch: shared.dispatch.as_ref(), connection_id };
    let (start_request, started) = mpsc::channel(1);
    let (answer_request, finished) = mpsc::channel(ANSWERS_QUEUED);
    let no_more = CancellationToken::new();
    let reading = async {
        let outcome = read(FrameReader::new(reader), caller, shared, &stop, start_request).await;
        no_more.cancel();
        outcome
    };
    let running = async {
        run(started, answer_request).await;
        Ok(())
    };
    let writing = write(finished, writer, STALL_TIMEOUT, &shared.metrics);
    let conversation = async { tokio::try_join!(reading, running, writing).map(|_| ()) };
    let drained = async {
        no_more.cancelled().await;
        sleep(shared.settings.drain_timeout()).await;
    };
    tokio::select! {
        biased;
        outcome = conversation => match outcome {
            Ok(()) => debug!(connection_id, %client_host, "connection ended"),
            Err(EndOfConnection::Io(error)) => debug!(connection_id, %client_host, %error, "connection lost"),
            Err(reason) => info!(connection_id, %client_host, %reason, "connection closed"),
        },
        () = drained => debug!(connection_id, %client_host, "connection closed with requests in flight"),
    }
}

/// Tells who answers that a connection is gone, however it ends.
struct Goodbye<'a> {
    dispatch: &'a dyn Dispatch,
    connection_id: u64,
}

impl Drop for Goodbye<'_> {
    fn drop(&mut self) {
        self.dispatch.closed(self.connection_id);
    }
}

/// Reads frames and starts requests until there are no more, or one that can not be read; that one closes the
/// connection after the answers to those before it.
async fn read(
    frames: FrameReader<impl AsyncRead + Unpin>,
    caller: Caller,
    shared: &Shared,
    stop: &CancellationToken,
    start_request: mpsc::Sender<InFlight>,
) -> Result<(), EndOfConnection> {
    match read_frames(frames, caller, shared, stop, &start_request).await {
        Err(EndOfConnection::Refused(reason)) => {
            let closing = InFlight::closing(reason, shared.metrics.clone());
            // Without a receiver the connection is closed already.
            let _ = start_request.send(closing).await;
            Ok(())
        }
        outcome => outcome,
    }
}

async fn read_frames(
    mut frames: FrameReader<impl AsyncRead + Unpin>,
    mut caller: Caller,
    shared: &Shared,
    stop: &CancellationToken,
    start_request: &mpsc::Sender<InFlight>,
) -> Result<(), EndOfConnection> {
    let room = Room::new(shared.settings.requests_in_flight_max);
    // One wait for all frames: to begin and to drop one takes a lock that all connections share.
    let mut stopped = pin!(stop.cancelled());
    loop {
        let (place, length) = tokio::select! {
            biased;
            () = stopped.as_mut() => return Ok(()),
            next = next_length(&mut frames, &caller, shared.settings.idle_timeout(), &room) => match next? {
                Some(next) => next,
                None => return Ok(()),
            },
        };
        let charge = tokio::select! {
            biased;
            () = stopped.as_mut() => return Ok(()),
            charge = shared.budget.charge(length) => charge,
        };
        let patience = RECEIVE_TIMEOUT + Duration::from_secs((length / RECEIVE_BYTES_PER_SECOND) as u64);
        let frame =
            timeout(patience, frames.body(length)).await.map_err(|_| too_slow(length))?.map_err(end_by_frame)?;
        shared.metrics.request_bytes.inc_by(length as u64);
        let key = frame.first_chunk::<2>().map_or(-1, |bytes| i16::from_be_bytes(*bytes));
        let dispatch = || shared.dispatch.dispatch(&mut caller, frame);
        let request = InFlight::start(key, charge, place, shared.metrics.clone(), dispatch).await;
        if start_request.send(request).await.is_err() {
            return Ok(());
        }
    }
}

/// Waits for a place among the requests in flight and for the next frame's length; `None` at the end of the
/// connection.
async fn next_length(
    frames: &mut FrameReader<impl AsyncRead + Unpin>,
    caller: &Caller,
    idle_timeout: Duration,
    room: &Room,
) -> Result<Option<(OwnedSemaphorePermit, usize)>, EndOfConnection> {
    let place = room.place().await;
    loop {
        match timeout(idle_timeout, frames.length(caller.request_bytes_max)).await {
            Ok(length) => return Ok(length.map_err(end_by_frame)?.map(|length| (place, length))),
            // A client that waits for an answer is not idle.
            Err(_) if room.has_requests() => {}
            Err(_) => {
                debug!(connection_id = caller.connection_id, "idle connection closed");
                return Ok(None);
            }
        }
    }
}

/// Room for the requests in flight of one connection.
struct Room {
    semaphore: Arc<Semaphore>,
    requests_max: usize,
}

impl Room {
    fn new(requests_max: usize) -> Self {
        // At least one, or nothing would ever be read.
        let requests_max = requests_max.clamp(1, Semaphore::MAX_PERMITS);
        Self { semaphore: Arc::new(Semaphore::new(requests_max)), requests_max }
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.semaphore).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Whether requests are in flight, asked by the one who holds a place for the next.
    fn has_requests(&self) -> bool {
        self.semaphore.available_permits() + 1 < self.requests_max
    }
}

fn too_slow(length: usize) -> EndOfConnection {
    EndOfConnection::Refused(format!("a frame of {length} bytes arrived too slowly"))
}

fn end_by_frame(error: FrameError) -> EndOfConnection {
    match error {
        FrameError::Io(error) => EndOfConnection::Io(error),
        FrameError::Truncated => EndOfConnection::Io(std::io::ErrorKind::UnexpectedEof.into()),
        FrameError::Negative(_) | FrameError::TooLarge { .. } => EndOfConnection::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
