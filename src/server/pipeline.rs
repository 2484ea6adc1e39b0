//! The requests of one connection: started in order, run concurrently, answered in order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, timeout};
use tracing::error;

use crate::api::dispatch::Answer;
use crate::server::budget::Charge;
use crate::server::metrics::ServerMetrics;

/// Why a connection ends before its client ends it.
#[derive(Debug, thiserror::Error)]
pub enum EndOfConnection {
    /// A request is answered by closing.
    #[error("{0}")]
    Refused(String),
    /// The client does not read its answers.
    #[error("the client did not take any of its answer for {0:?}")]
    Stalled(Duration),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A request that was started and may have its answer already.
pub(crate) struct InFlight {
    state: State,
    key: i16,
    started: Instant,
    metrics: ServerMetrics,
    /// Bytes charged for the frame, given back with the answer: what is kept of it longer is its keeper's to account.
    charge: Option<Charge>,
    /// The connection's room for requests in flight, given back when the answer is written.
    room: Option<OwnedSemaphorePermit>,
}

enum State {
    Running(BoxFuture<'static, Answer>),
    Answered(Answer),
    Taken,
}

/// What a request leaves: its answer, and the room it takes until that is written.
pub(crate) struct Finished {
    answer: Answer,
    room: Option<OwnedSemaphorePermit>,
}

impl InFlight {
    /// Starts a request: calls `dispatch` and polls its future once, so that what it does before it first waits is
    /// done when this returns.
    pub(crate) async fn start(
        key: i16,
        charge: Charge,
        room: OwnedSemaphorePermit,
        metrics: ServerMetrics,
        dispatch: impl FnOnce() -> BoxFuture<'static, Answer>,
    ) -> Self {
        let state = match catch_unwind(AssertUnwindSafe(dispatch)) {
            Ok(running) => State::Running(running),
            Err(_) => State::Answered(panicked(key, &metrics)),
        };
        let started = Instant::now();
        let mut request = Self { state, key, started, metrics, charge: Some(charge), room: Some(room) };
        poll_fn(|context| {
            request.advance(context);
            Poll::Ready(())
        })
        .await;
        request
    }

    /// Stands where a request would, and closes the connection once all before it is answered.
    pub(crate) fn closing(reason: String, metrics: ServerMetrics) -> Self {
        let state = State::Answered(Answer::Close(reason));
        Self { state, key: -1, started: Instant::now(), metrics, charge: None, room: None }
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        let State::Running(running) = &mut self.state else { return };
        let answer = match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(answer)) => answer,
            Err(_) => panicked(self.key, &self.metrics),
        };
        self.state = State::Answered(answer);
        self.charge = None;
        self.metrics.answered(self.key, self.started);
    }
}

fn panicked(key: i16, metrics: &ServerMetrics) -> Answer {
    error!(api_key = key, "a handler panicked; its connection is closed");
    metrics.panics.inc();
    Answer::Close(format!("the handler of api key {key} panicked"))
}

impl Future for InFlight {
    type Output = Finished;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Finished> {
        self.advance(context);
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Answered(answer) => Poll::Ready(Finished { answer, room: self.room.take() }),
            still => {
                self.state = still;
                Poll::Pending
            }
        }
    }
}

/// Runs what comes out of `started` and hands the answers to `finished`, in order. Ends when `started` has ended and
/// everything is answered.
///
/// Requests are run on while `finished` is full. The requests here are bounded by the connection's room.
pub(crate) async fn run(mut started: Receiver<InFlight>, finished: Sender<Finished>) {
    let mut running = FuturesOrdered::new();
    let mut answered = VecDeque::new();
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            slot = finished.reserve(), if !answered.is_empty() => match (slot, answered.pop_front()) {
                (Ok(slot), Some(answer)) => slot.send(answer),
                // Nobody writes any more.
                _ => return,
            },
            Some(answer) = running.next(), if !running.is_empty() => answered.push_back(answer),
            request = started.recv(), if open => match request {
                Some(request) => running.push_back(request),
                None => open = false,
            },
            else => return,
        }
    }
}

/// Writes answers as they come, several at once when several are there.
///
/// # Errors
/// When an answer is to close the connection (the earlier ones are written first), or the client does not read, or
/// the socket fails.
pub(crate) async fn write<W: AsyncWrite + Unpin>(
    mut finished: Receiver<Finished>,
    mut socket: W,
    stall_timeout: Duration,
    metrics: &ServerMetrics,
) -> Result<(), EndOfConnection> {
    while let Some(first) = finished.recv().await {
        let mut slices = Slices::default();
        let mut rooms = Vec::new();
        let mut close = None;
        let mut next = Some(first);
        while let Some(Finished { answer, room }) = next {
            rooms.push(room);
            match answer {
                Answer::Frame(frame) => slices.extend(frame),
                Answer::Nothing => {}
                Answer::Close(reason) => {
                    close = Some(reason);
                    break;
                }
            }
            next = if slices.bytes < WRITE_BYTES { finished.try_recv().ok() } else { None };
        }
        metrics.response_bytes.inc_by(slices.bytes as u64);
        while slices.has_remaining() {
            let written = timeout(stall_timeout, socket.write_buf(&mut slices)).await;
            if written.map_err(|_| EndOfConnection::Stalled(stall_timeout))?? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into());
            }
        }
        if let Some(reason) = close {
            return Err(EndOfConnection::Refused(reason));
        }
    }
    Ok(())
}

/// Answers are gathered up to so many bytes before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// Slices to be written one after the other.
#[derive(Default)]
struct Slices {
    slices: VecDeque<Bytes>,
    bytes: usize,
}

impl Slices {
    fn extend(&mut self, frame: Vec<Bytes>) {
        for slice in frame {
            self.bytes += slice.len();
            self.slices.push_back(slice);
        }
    }
}

impl Buf for Slices {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| slice)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let filled = self.slices.iter().filter(|slice| !slice.is_empty());
        into.iter_mut().zip(filled).map(|(target, slice)| *target = IoSlice::new(slice)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes, "more bytes written than there were");
        self.bytes -= count;
        while let Some(first) = self.slices.front_mut() {
            if first.len() > count {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.slices.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slices_give_their_bytes_in_order(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..20),
            steps in proptest::collection::vec(1_usize..30, 0..40),
        ) {
            let mut slices = Slices::default();
            slices.extend(frames.iter().cloned().map(Bytes::from).collect());
            let expected = frames.concat();
            let mut read = Vec::new();
            for step in steps {
                let mut vectored = [IoSlice::new(&[]); 3];
                let count = slices.chunks_vectored(&mut vectored);
                let seen: Vec<u8> = vectored[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                prop_assert!(expected[read.len()..].starts_with(&seen));
                prop_assert_eq!(seen.is_empty(), !slices.has_remaining());
                let step = step.min(slices.remaining());
                read.extend_from_slice(&expected[read.len()..read.len() + step]);
                slices.advance(step);
                prop_assert_eq!(slices.remaining(), expected.len() - read.len());
            }
        }
    }
}
