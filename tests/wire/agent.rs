//! A whole agent against requests that are well formed and make no sense: all handlers, real metastore, real bucket.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, MetadataRequest};
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use towpath::agent::run::RunningAgent;
use towpath::api::dispatch::SERVED;
use towpath::config::settings::Settings;
use towpath::wire::client::{Client, ClientOptions};
use towpath::wire::header::RequestStart;
use towpath::wire::shapes::table;

use crate::random::Bodies;
use crate::run;

const REQUESTS: usize = 3_000;
const AT_ONCE: usize = 32;

pub(crate) fn settings(folder: &tempfile::TempDir) -> Settings {
    let mut settings = Settings::default();
    settings.agent.store = Some(format!("file://{}", folder.path().display()));
    settings.metastore.url = "memory".into();
    settings.console.http = String::new();
    settings.listener.bind = "127.0.0.1:0".parse().unwrap();
    settings.listener.drain_timeout_ms = 500;
    settings
}

/// A request that the guard and the decoder take, or a mutation of one.
fn request(bodies: &mut Bodies) -> Vec<u8> {
    let spec = SERVED[bodies.rng.random_range(0..SERVED.len())];
    let version = bodies.rng.random_range(spec.min..=spec.max);
    let mut frame = bytes::BytesMut::new();
    let header_version = ApiKey::try_from(spec.key).unwrap().request_header_version(version);
    RequestStart { api_key: spec.key, version, correlation_id: 5 }.put(header_version, "hostile", &mut frame);
    let drawn = bodies.draw(table::request(spec.key).unwrap(), version);
    if bodies.rng.random_bool(0.3) {
        frame.extend_from_slice(&bodies.mutate(&drawn));
    } else {
        frame.extend_from_slice(&drawn);
    }
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
}

/// Sends one request, hangs up, and waits until the agent does. Says whether there was an answer.
async fn ask(bootstrap: SocketAddr, request: &[u8]) -> bool {
    let mut connection = TcpStream::connect(bootstrap).await.unwrap();
    connection.write_all(request).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(Duration::from_secs(20), connection.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the agent hangs after {request:02x?}");
    if answer.is_empty() {
        return false;
    }
    let length = usize::try_from(u32::from_be_bytes(*answer.first_chunk().unwrap())).unwrap();
    assert_eq!(length, answer.len() - 4, "a broken answer to {request:02x?}");
    assert_eq!(answer[4..8], [0, 0, 0, 5], "another request's answer to {request:02x?}");
    true
}

#[test]
fn requests_that_make_no_sense_neither_panic_nor_stop_an_agent() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let agent = Box::pin(RunningAgent::start(&settings(&folder))).await.unwrap();
        let bootstrap = agent.bootstrap;
        let mut neighbour = Client::connect(&bootstrap.to_string(), ClientOptions::default()).await.unwrap();
        assert_eq!(neighbour.served().len(), SERVED.len());
        let mut bodies = Bodies::from_seed(8);
        let requests: Vec<_> = (0..REQUESTS).map(|_| request(&mut bodies)).collect();
        let asked = stream::iter(&requests).map(|request| ask(bootstrap, request)).buffer_unordered(AT_ONCE);
        let answered = asked.filter(|answered| futures::future::ready(*answered)).count().await;
        assert!(answered > REQUESTS / 4, "{answered} answered");
        neighbour.send(&MetadataRequest::default()).await.unwrap();
        let request = ApiVersionsRequest::default();
        assert_eq!(neighbour.send_at(0, &request).await.unwrap().error_code, 0);
        let metrics = agent.metrics.render();
        assert!(metrics.contains("towpath_handler_panics_total 0\n"), "handlers panicked");
        agent.stop().await;
    });
}
