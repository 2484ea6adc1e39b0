//! Hostile clients against a server on a real socket: each loses its own connection and nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt, ready};
use rand::Rng;
use stats_alloc::Region;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use towpath::api::dispatch::{Answer, Caller, Dispatch};
use towpath::base::metrics::Metrics;
use towpath::base::task::Supervisor;
use towpath::config::listeners::ListenerSettings;
use towpath::server::budget::ByteBudget;
use towpath::server::listener::Server;
use towpath::server::metrics::ServerMetrics;
use towpath::wire::guard;
use towpath::wire::header::RequestStart;
use towpath::wire::shapes::table;

use crate::codec::{CODECS, read_frame};
use crate::random::Bodies;
use crate::{ALLOCATOR, run};

/// Guards and decodes every request that the codec knows, and answers with its correlation id alone.
struct Decoding;

impl Dispatch for Decoding {
    fn dispatch(&self, _caller: &mut Caller, frame: Bytes) -> BoxFuture<'static, Answer> {
        ready(decoded(frame).unwrap_or_else(|reason| Answer::Close(reason.to_string()))).boxed()
    }

    fn closed(&self, _connection_id: u64) {}
}

fn decoded(frame: Bytes) -> Result<Answer, Box<dyn std::error::Error>> {
    let start = read_frame(frame)?;
    let mut response = BytesMut::new();
    response.put_i32(4);
    response.put_i32(start.correlation_id);
    Ok(Answer::Frame(vec![response.freeze()]))
}

struct Kit {
    server: Server,
    supervisor: Supervisor,
    budget: ByteBudget,
    metrics: ServerMetrics,
}

impl Kit {
    fn start(settings: ListenerSettings) -> Self {
        let supervisor = Supervisor::default();
        let budget = ByteBudget::new(64 << 20);
        let metrics = ServerMetrics::new(&Metrics::default());
        let settings = ListenerSettings { bind: "127.0.0.1:0".parse().unwrap(), ..settings };
        let server = Server::start(&supervisor, settings, Arc::new(Decoding), budget.clone(), &metrics).unwrap();
        Self { server, supervisor, budget, metrics }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.local_addr).await.unwrap()
    }

    /// Sends `stream`, hangs up, and waits until the server does: says how many bytes it answered.
    async fn abuse(&self, stream: &[u8]) -> usize {
        let mut connection = self.connect().await;
        // The server may close before it has read all of it.
        let _ = connection.write_all(stream).await;
        let _ = connection.shutdown().await;
        let mut answer = Vec::new();
        let closed = timeout(Duration::from_secs(10), connection.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "the connection hangs after {stream:02x?}");
        answer.len()
    }
}

/// A whole frame with a header of version 1.
fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = BytesMut::new();
    RequestStart { api_key: key, version, correlation_id: 5 }.put(1, "hostile", &mut request);
    request.put_slice(body);
    [&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat()
}

/// Is answered by its correlation id.
async fn ask(connection: &mut TcpStream) {
    connection.write_all(&frame(3, 1, &[0, 0, 0, 0])).await.unwrap();
    let mut answer = [0; 8];
    timeout(Duration::from_secs(10), connection.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, [0, 0, 0, 4, 0, 0, 0, 5]);
}

#[test]
fn hostile_streams_cost_their_own_connection_only() {
    run(async {
        let kit = Kit::start(ListenerSettings::default());
        let mut neighbour = kit.connect().await;
        ask(&mut neighbour).await;
        let hostile: [Vec<u8>; 12] = [
            vec![],
            vec![0],
            vec![0, 0, 0, 0],
            vec![0, 0, 0, 9, 1, 2, 3],
            vec![0xff, 0xff, 0xff, 0xff],
            vec![0x7f, 0xff, 0xff, 0xff, 0, 18],
            b"GET /metrics HTTP/1.1\r\nHost: broker\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            frame(0x7fff, 0, &[]),
            frame(52, 0, &[]),
            frame(3, 99, &[0, 0, 0, 0]),
            frame(3, 1, &[0x7f, 0xff, 0xff, 0xff]),
        ];
        for stream in &hostile {
            assert_eq!(kit.abuse(stream).await, 0, "{stream:02x?}");
            ask(&mut neighbour).await;
        }
        assert_eq!(kit.budget.in_use(), 0);
    });
}

#[test]
fn random_requests_are_answered_or_closed_and_memory_stays_bounded() {
    run(async {
        let kit = Kit::start(ListenerSettings::default());
        let mut neighbour = kit.connect().await;
        ask(&mut neighbour).await;
        let mut bodies = Bodies::from_seed(7);
        let region = Region::new(ALLOCATOR);
        let (mut sent, mut answered, mut tried) = (0, 0, 0);
        for _ in 0..20 {
            for codec in CODECS {
                let version = bodies.rng.random_range(codec.min..=codec.max);
                let drawn = bodies.draw(table::request(codec.key).unwrap(), version);
                let mutated = bodies.mutate(&drawn);
                // Half of the frames are bodies as they should be, behind a header that does not fit them.
                let stream = frame(codec.key, version, if bodies.rng.random() { &mutated } else { &drawn });
                sent += stream.len();
                tried += 1;
                answered += usize::from(kit.abuse(&stream).await > 0);
            }
        }
        let allocated = region.change().bytes_allocated;
        ask(&mut neighbour).await;
        assert!(answered > 0 && answered < tried, "{answered} of {tried} answered");
        // Sockets, tasks and the test's own buffers take some KiB per connection; the counts claim gigabytes.
        let limit = guard::memory_limit(sent) + tried * 64 * 1024;
        assert!(allocated < limit, "{allocated} bytes allocated, limit {limit}");
        assert_eq!(kit.budget.in_use(), 0);
        assert_eq!(kit.metrics.panics.get(), 0);
    });
}

#[test]
fn a_declared_length_takes_no_memory_until_the_bytes_come() {
    run(async {
        let kit = Kit::start(ListenerSettings { request_bytes_max: 1 << 20, ..ListenerSettings::default() });
        let mut waiting = Vec::new();
        // 100 × 1 MiB are declared, the budget is 64 MiB: those beyond it are not even read.
        for _ in 0..100 {
            let mut connection = kit.connect().await;
            connection.write_all(&(1_i32 << 20).to_be_bytes()).await.unwrap();
            waiting.push(connection);
        }
        while kit.budget.in_use() < 64 << 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(waiting);
        ask(&mut kit.connect().await).await;
        while kit.budget.in_use() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    run(async {
        let kit = Kit::start(ListenerSettings { connections_max: 2, ..ListenerSettings::default() });
        let mut first = kit.connect().await;
        let mut second = kit.connect().await;
        ask(&mut first).await;
        ask(&mut second).await;
        assert_eq!(kit.abuse(&[]).await, 0);
        assert_eq!(kit.metrics.refused.get(), 1);
        drop(first);
        while kit.metrics.connections.get() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ask(&mut kit.connect().await).await;
        ask(&mut second).await;
    });
}

#[test]
fn a_stopped_server_lets_go_of_its_clients_and_its_port() {
    run(async {
        let kit = Kit::start(ListenerSettings::default());
        let mut idle = kit.connect().await;
        ask(&mut idle).await;
        kit.supervisor.stop(Duration::from_secs(5)).await;
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(TcpStream::connect(kit.server.local_addr).await.is_err());
        assert_eq!(kit.metrics.connections.get(), 0);
    });
}
