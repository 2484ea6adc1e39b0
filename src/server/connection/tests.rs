#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

use std::net::IpAddr;
use std::sync::Mutex;

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn};

use super::*;
use crate::api::dispatch::Answer;
use crate::base::metrics::Metrics;

/// Answers by the frame's first byte: `e` echoes, `w` waits for the gate and echoes, `n` is silent, `c` closes, `p`
/// panics at once, `P` after the gate. Notes every frame when it is started.
#[derive(Clone)]
struct Scripted {
    gate: watch::Receiver<bool>,
    started: Arc<Mutex<Vec<Bytes>>>,
    closed: Arc<Mutex<Vec<u64>>>,
}

impl Dispatch for Scripted {
    fn dispatch(&self, _caller: &mut Caller, frame: Bytes) -> BoxFuture<'static, Answer> {
        let Self { mut gate, started, .. } = self.clone();
        async move {
            started.lock().unwrap().push(frame.clone());
            let kind = frame.first().copied().unwrap_or(b'e');
            if matches!(kind, b'w' | b'P') {
                gate.wait_for(|open| *open).await.unwrap();
            }
            let mut length = BytesMut::new();
            length.put_i32(i32::try_from(frame.len()).unwrap());
            match kind {
                b'n' => Answer::Nothing,
                b'c' => Answer::Close("as asked".into()),
                b'p' | b'P' => panic!("as asked"),
                _ => Answer::Frame(vec![length.freeze(), frame]),
            }
        }
        .boxed()
    }

    fn closed(&self, connection_id: u64) {
        self.closed.lock().unwrap().push(connection_id);
    }
}

struct Kit {
    client: DuplexStream,
    gate: watch::Sender<bool>,
    started: Arc<Mutex<Vec<Bytes>>>,
    closed: Arc<Mutex<Vec<u64>>>,
    stop: CancellationToken,
    budget: ByteBudget,
    served: JoinHandle<()>,
}

impl Kit {
    fn new(settings: ListenerSettings) -> Self {
        let (gate, opened) = watch::channel(false);
        let scripted = Scripted { gate: opened, started: Arc::default(), closed: Arc::default() };
        let (started, closed) = (Arc::clone(&scripted.started), Arc::clone(&scripted.closed));
        let budget = ByteBudget::new(1000);
        let metrics = ServerMetrics::new(&Metrics::default());
        let shared = Shared { settings, dispatch: Arc::new(scripted), budget: budget.clone(), metrics };
        let (client, server) = duplex(256);
        let stop = CancellationToken::new();
        let stop_server = stop.clone();
        let served = spawn(async move {
            let (reader, writer) = tokio::io::split(server);
            let caller = Caller::new(1, IpAddr::from([127, 0, 0, 1]), shared.settings.request_bytes_max);
            serve(reader, writer, caller, &shared, stop_server).await;
        });
        Self { client, gate, started, closed, stop, budget, served }
    }

    async fn send(&mut self, body: &str) {
        self.client.write_i32(i32::try_from(body.len()).unwrap()).await.unwrap();
        self.client.write_all(body.as_bytes()).await.unwrap();
    }

    /// The next answer, or `None` when the connection is closed.
    async fn answer(&mut self) -> Option<String> {
        let length = self.client.read_i32().await.ok()?;
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.client.read_exact(&mut body).await.unwrap();
        Some(String::from_utf8(body).unwrap())
    }

    fn started(&self) -> Vec<Bytes> {
        self.started.lock().unwrap().clone()
    }

    /// Lets the server do all it can without time passing or the client acting.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_once_however_it_comes() {
    let mut kit = Kit::new(ListenerSettings::default());
    kit.send("e-last").await;
    kit.answer().await.unwrap();
    drop(kit.client);
    kit.served.await.unwrap();
    assert_eq!(*kit.closed.lock().unwrap(), [1]);

    let kit = Kit::new(ListenerSettings::default());
    kit.settle().await;
    kit.served.abort();
    drop(kit.served.await);
    assert_eq!(*kit.closed.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_long_poll_holds_up_answers_but_not_execution() {
    let mut kit = Kit::new(ListenerSettings::default());
    kit.send("w-fetch").await;
    kit.send("e-produce").await;
    kit.settle().await;
    assert_eq!(kit.started(), ["w-fetch", "e-produce"]);
    assert!(kit.answer().now_or_never().is_none(), "the long poll's answer comes first");
    kit.gate.send(true).unwrap();
    assert_eq!(kit.answer().await.unwrap(), "w-fetch");
    assert_eq!(kit.answer().await.unwrap(), "e-produce");
}

#[tokio::test]
async fn requests_start_in_order_and_silent_ones_have_no_answer() {
    let mut kit = Kit::new(ListenerSettings::default());
    for body in ["w1", "n2", "e3", "n4", "w5"] {
        kit.send(body).await;
    }
    kit.settle().await;
    assert_eq!(kit.started(), ["w1", "n2", "e3", "n4", "w5"]);
    kit.gate.send(true).unwrap();
    for expected in ["w1", "e3", "w5"] {
        assert_eq!(kit.answer().await.unwrap(), expected);
    }
    assert_eq!(kit.budget.in_use(), 0);
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let mut kit = Kit::new(ListenerSettings { requests_in_flight_max: 2, ..ListenerSettings::default() });
    for body in ["w1", "w2", "w3", "w4"] {
        kit.send(body).await;
    }
    kit.settle().await;
    assert_eq!(kit.started(), ["w1", "w2"]);
    kit.gate.send(true).unwrap();
    for expected in ["w1", "w2", "w3", "w4"] {
        assert_eq!(kit.answer().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn bytes_are_charged_before_they_are_read_and_until_the_answer() {
    let mut kit = Kit::new(ListenerSettings::default());
    let charged = kit.budget.charge(990).await;
    kit.send("e-larger-than-ten").await;
    kit.settle().await;
    assert!(kit.started().is_empty(), "over budget the connection is not read");
    drop(charged);
    assert_eq!(kit.answer().await.unwrap(), "e-larger-than-ten");
    kit.send("w-waits").await;
    kit.settle().await;
    assert_eq!(kit.budget.in_use(), 7);
    kit.gate.send(true).unwrap();
    assert_eq!(kit.answer().await.unwrap(), "w-waits");
    assert_eq!(kit.budget.in_use(), 0);
}

#[tokio::test]
async fn closing_comes_after_the_answers_before_it() {
    for last in ["c", "p", "P"] {
        let mut kit = Kit::new(ListenerSettings::default());
        kit.send("w1").await;
        kit.send(last).await;
        kit.send("e-never-answered").await;
        kit.settle().await;
        kit.gate.send(true).unwrap();
        assert_eq!(kit.answer().await.unwrap(), "w1");
        assert_eq!(kit.answer().await, None, "{last}");
        kit.served.await.unwrap();
    }
}

#[tokio::test]
async fn frames_with_impossible_lengths_close_the_connection() {
    for length in [-1, 101] {
        let mut kit = Kit::new(ListenerSettings { request_bytes_max: 100, ..ListenerSettings::default() });
        kit.send("e1").await;
        kit.client.write_i32(length).await.unwrap();
        assert_eq!(kit.answer().await.unwrap(), "e1");
        assert_eq!(kit.answer().await, None);
        assert_eq!(kit.budget.in_use(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_and_waiting_ones_are_not() {
    let mut kit = Kit::new(ListenerSettings::default());
    kit.send("w1").await;
    sleep(Duration::from_secs(3600)).await;
    kit.gate.send(true).unwrap();
    assert_eq!(kit.answer().await.unwrap(), "w1");
    let since = tokio::time::Instant::now();
    assert_eq!(kit.answer().await, None);
    assert!(since.elapsed() <= Duration::from_secs(1201), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_trickles_in_does_not_hold_its_bytes_for_long() {
    let mut kit = Kit::new(ListenerSettings::default());
    kit.client.write_i32(900).await.unwrap();
    kit.settle().await;
    assert_eq!(kit.budget.in_use(), 900);
    assert_eq!(kit.answer().await, None);
    assert_eq!(kit.budget.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed() {
    let mut kit = Kit::new(ListenerSettings::default());
    for _ in 0..10 {
        kit.send(&"e".repeat(100)).await;
        kit.settle().await;
    }
    let since = tokio::time::Instant::now();
    kit.served.await.unwrap();
    assert!(since.elapsed() >= STALL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_in_flight_and_gives_up_at_the_deadline() {
    for opened in [true, false] {
        let mut kit = Kit::new(ListenerSettings::default());
        kit.send("w1").await;
        kit.settle().await;
        kit.stop.cancel();
        kit.settle().await;
        kit.send("e-too-late").await;
        kit.settle().await;
        if opened {
            kit.gate.send(true).unwrap();
            assert_eq!(kit.answer().await.unwrap(), "w1");
        }
        let since = tokio::time::Instant::now();
        kit.served.await.unwrap();
        assert_eq!(kit.started.lock().unwrap().len(), 1);
        assert_eq!(since.elapsed() >= ListenerSettings::default().drain_timeout(), !opened);
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_still_gets_its_answers() {
    let mut kit = Kit::new(ListenerSettings::default());
    kit.send("w1").await;
    kit.client.shutdown().await.unwrap();
    kit.settle().await;
    kit.gate.send(true).unwrap();
    assert_eq!(kit.answer().await.unwrap(), "w1");
    assert_eq!(kit.answer().await, None);
}
