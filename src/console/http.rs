//! The HTTP listener: `/metrics`, `/livez`, `/readyz`, `/api/share-groups/{group}`.
//!
//! `/livez` answers as long as the process runs its tasks; `/readyz` asks the object store and the metastore, and
//! is 503 with a JSON body that says which part is not ready. None is authenticated: see `[console]`.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::base::metrics::Metrics;
use crate::base::task::{Supervisor, TaskKind};
use crate::console::health::Health;
use crate::console::share::{self, ShareView};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages show. Cloning shares it.
#[derive(Clone, Debug)]
pub struct ConsoleState {
    /// The process's metrics.
    pub metrics: Metrics,
    /// What readiness depends on.
    pub health: Health,
    /// The state of share partitions.
    pub share: ShareView,
}

/// Binds `listen` (`host:port`; port 0 takes any) and serves until the telemetry phase stops. Answers the address
/// it got.
///
/// # Errors
/// When the address can not be bound.
pub async fn start(supervisor: &Supervisor, listen: &str, state: ConsoleState) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    serve(supervisor, listener, state)
}

/// Serves on a socket that is bound already. Answers its address.
///
/// # Errors
/// When the socket has no address.
pub fn serve(supervisor: &Supervisor, listener: TcpListener, state: ConsoleState) -> std::io::Result<SocketAddr> {
    let address = listener.local_addr()?;
    let stopped = supervisor.token(TaskKind::Http).cancelled_owned();
    supervisor.spawn(TaskKind::Http, "console", async move {
        axum::serve(listener, router(state)).with_graceful_shutdown(stopped).await.map_err(Into::into)
    });
    Ok(address)
}

fn router(state: ConsoleState) -> Router {
    let share = share::router(state.share.clone());
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(state)
        .merge(share)
}

async fn metrics(State(state): State<ConsoleState>) -> ([(HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], state.metrics.render())
}

async fn readyz(State(state): State<ConsoleState>) -> impl IntoResponse {
    let readiness = state.health.check().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&readiness).unwrap_or_default() + "\n";
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::FutureExt;
    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::console::share::SharePartitionPage;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn serves_metrics_liveness_and_readiness_until_told_to_stop() {
        let supervisor = Supervisor::default();
        let metrics = Metrics::default();
        let counter: Counter = metrics.register("objects_put", "Objects written", Counter::default());
        counter.inc();
        let health = Health::new(vec![("store", Arc::new(|| Box::pin(async { Ok(()) })))], Duration::from_secs(1));
        let look = |group: String, partitions: Vec<(uuid::Uuid, i32)>| {
            let page = |(topic_id, partition)| SharePartitionPage { topic_id, partition, ..Default::default() };
            let found = (group == "a/b").then(|| partitions.into_iter().map(page).collect());
            async move { found.ok_or_else(|| "no such group".to_owned()) }.boxed()
        };
        let state = ConsoleState { metrics, health: health.clone(), share: ShareView(Arc::new(look)) };
        let address = start(&supervisor, "127.0.0.1:0", state).await.unwrap();

        let answer = get(address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("towpath_objects_put_total 1"), "{answer}");
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""store":"ok""#), "{answer}");

        let answer = get(address, &format!("/api/share-groups/a%2Fb?partitions={}/4", uuid::Uuid::nil())).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""partition":4"#), "{answer}");
        let answer = get(address, "/api/share-groups/c?partitions=").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no such group"), "{answer}");

        health.start_draining();
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""draining":true"#), "{answer}");
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"), "draining is not dying");

        supervisor.stop(Duration::from_secs(5)).await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}
