//! Accepts connections and holds their number in bounds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::api::dispatch::{Caller, Dispatch};
use crate::base::task::{Supervisor, TaskKind};
use crate::config::listeners::ListenerSettings;
use crate::server::budget::ByteBudget;
use crate::server::connection::{Shared, serve};
use crate::server::metrics::ServerMetrics;

/// Connections that the system completes before we accept them.
const BACKLOG: i32 = 1024;
/// A silent connection is probed after this long, so that NAT gateways and load balancers keep it.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The pause after a failed accept: out of file descriptors, most likely, and that does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("can not listen on {bind}: {reason}")]
pub struct ListenError {
    /// The address.
    pub bind: SocketAddr,
    /// What the system says.
    #[source]
    pub reason: std::io::Error,
}

/// A listener that accepts Kafka clients until its supervisor stops the tasks of [`TaskKind::Accept`]; its connections
/// end with those of [`TaskKind::Connection`].
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub local_addr: SocketAddr,
}

/// A bound address that nobody is served at yet: the agent registers under it first.
#[derive(Debug)]
pub struct BoundListener {
    listener: TcpListener,
    settings: ListenerSettings,
    /// Where it listens.
    pub local_addr: SocketAddr,
}

impl BoundListener {
    /// Takes the address. Clients that connect from now on wait for [`BoundListener::serve`]. Must be called inside
    /// a runtime.
    ///
    /// # Errors
    /// When the address can not be bound.
    pub fn bind(settings: ListenerSettings) -> Result<Self, ListenError> {
        let bind = settings.bind;
        let listener = listen(&settings).map_err(|reason| ListenError { bind, reason })?;
        let local_addr = listener.local_addr().map_err(|reason| ListenError { bind, reason })?;
        Ok(Self { listener, settings, local_addr })
    }

    /// Begins to accept and to answer.
    #[must_use]
    pub fn serve(
        self,
        supervisor: &Supervisor,
        dispatch: Arc<dyn Dispatch>,
        budget: ByteBudget,
        metrics: &ServerMetrics,
    ) -> Server {
        let Self { listener, settings, local_addr } = self;
        let limits = Limits::new(settings.connections_max, settings.connections_per_address_max);
        let shared = Arc::new(Shared { settings, dispatch, budget, metrics: metrics.clone() });
        let accept = accept(listener, shared, limits, supervisor.clone());
        supervisor.spawn(TaskKind::Accept, "listener", async move {
            accept.await;
            Ok(())
        });
        info!(%local_addr, "listening for Kafka clients");
        Server { local_addr }
    }
}

impl Server {
    /// Binds and serves at once.
    ///
    /// # Errors
    /// When the address can not be bound.
    pub fn start(
        supervisor: &Supervisor,
        settings: ListenerSettings,
        dispatch: Arc<dyn Dispatch>,
        budget: ByteBudget,
        metrics: &ServerMetrics,
    ) -> Result<Self, ListenError> {
        Ok(BoundListener::bind(settings)?.serve(supervisor, dispatch, budget, metrics))
    }
}

fn listen(settings: &ListenerSettings) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(settings.bind), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted agent must not wait for the old connections of its port to be forgotten.
    socket.set_reuse_address(true)?;
    if settings.socket_buffer_bytes > 0 {
        // Accepted sockets inherit these; they must be set before the handshake to take part in the window's scale.
        socket.set_recv_buffer_size(settings.socket_buffer_bytes)?;
        socket.set_send_buffer_size(settings.socket_buffer_bytes)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&settings.bind.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, limits: Limits, supervisor: Supervisor) {
    let no_more = supervisor.token(TaskKind::Accept);
    let stop = supervisor.token(TaskKind::Connection);
    let mut connection_id = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = no_more.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connection_id += 1;
                greet(stream, peer, connection_id, &shared, &limits, &supervisor, &stop);
            }
            Err(error) => {
                warn!(%error, "can not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "what one connection and its listener are made of")]
fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    connection_id: u64,
    shared: &Arc<Shared>,
    limits: &Limits,
    supervisor: &Supervisor,
    stop: &CancellationToken,
) {
    let Some(seat) = limits.seat(peer.ip()) else {
        shared.metrics.refused.inc();
        debug!(%peer, "connection refused: too many");
        return;
    };
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = prepared {
        // The client is gone already.
        debug!(%peer, %error, "connection lost");
        return;
    }
    shared.metrics.accepted.inc();
    let shared = Arc::clone(shared);
    let stop = stop.clone();
    supervisor.spawn(TaskKind::Connection, "connection", async move {
        let _seat = seat;
        let _open = OpenConnection::new(&shared.metrics);
        let caller = Caller::new(connection_id, peer.ip(), shared.settings.request_bytes_max);
        let (reader, writer) = stream.into_split();
        serve(reader, writer, caller, &shared, stop).await;
        Ok(())
    });
}

/// Counts a connection as long as it lives.
struct OpenConnection(ServerMetrics);

impl OpenConnection {
    fn new(metrics: &ServerMetrics) -> Self {
        metrics.connections.inc();
        Self(metrics.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// How many connections there may be, in all and per address.
#[derive(Clone)]
struct Limits(Arc<LimitsInner>);

struct LimitsInner {
    connections_max: usize,
    per_address_max: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

impl Limits {
    fn new(connections_max: usize, per_address_max: Option<usize>) -> Self {
        Self(Arc::new(LimitsInner { connections_max, per_address_max, taken: Mutex::default() }))
    }

    /// A connection's right to be, unless there are too many.
    fn seat(&self, address: IpAddr) -> Option<Seat> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= self.0.connections_max || self.0.per_address_max.is_some_and(|max| of_address >= max) {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, of_address + 1);
        Some(Seat { limits: self.clone(), address })
    }
}

struct Seat {
    limits: Limits,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.limits.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_in_all_and_per_address_and_given_back() {
        let limits = Limits::new(3, Some(2));
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = limits.seat(one).unwrap();
        let _second = limits.seat(one).unwrap();
        assert!(limits.seat(one).is_none(), "two per address");
        let third = limits.seat(other).unwrap();
        assert!(limits.seat(other).is_none(), "three in all");
        drop(third);
        drop(first);
        assert!(limits.seat(one).is_some());
    }
}
