//! Where clients connect, and what one client may take.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::model::node::Endpoint;

/// One listener for Kafka clients.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerSettings {
    /// Address and port to listen on; port 0 lets the system choose. Default `0.0.0.0:9092`, Kafka's own port.
    pub bind: SocketAddr,
    /// The host that clients are told to connect to. Default: the bound address, or `localhost` when the listener is
    /// bound to all addresses, which is right for one machine only.
    pub advertised_host: Option<String>,
    /// The port that clients are told to connect to. Default: the bound port.
    pub advertised_port: Option<u16>,
    /// Connections at one time. Default 10 000: each costs a file descriptor and a few KiB while it is idle.
    pub connections_max: usize,
    /// Connections at one time from one address. Default none, because a load balancer or a NAT gateway makes many
    /// clients look like one.
    pub connections_per_address_max: Option<usize>,
    /// The largest request in bytes (Kafka: `socket.request.max.bytes`). Default 100 MiB, as in Kafka; a larger one
    /// closes the connection.
    pub request_bytes_max: usize,
    /// Requests of one connection that are worked on at one time; beyond it the connection is not read. Default 512:
    /// librdkafka sends a request per partition, and one may have to wait for an upload.
    pub requests_in_flight_max: usize,
    /// A connection on which nothing happens for so many milliseconds is closed (Kafka: `connections.max.idle.ms`).
    /// Default 10 minutes, as in Kafka; clients close after 9.
    pub idle_timeout_ms: u64,
    /// How many milliseconds requests in flight have to finish once the agent stops or the client stops sending.
    /// Default 5 s: a shutdown takes seconds.
    pub drain_timeout_ms: u64,
    /// Send and receive buffer of each socket in bytes; 0 leaves them to the system. Default 256 KiB: with large
    /// batches it halves the processor time per byte against small buffers.
    pub socket_buffer_bytes: usize,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9092),
            advertised_host: None,
            advertised_port: None,
            connections_max: 10_000,
            connections_per_address_max: None,
            request_bytes_max: 100 * 1024 * 1024,
            requests_in_flight_max: 512,
            idle_timeout_ms: 600_000,
            drain_timeout_ms: 5_000,
            socket_buffer_bytes: 256 * 1024,
        }
    }
}

impl ListenerSettings {
    /// What clients are told, for a listener that is bound to `bound`.
    #[must_use]
    pub fn advertised(&self, bound: SocketAddr) -> Endpoint {
        let own_host = || if bound.ip().is_unspecified() { "localhost".to_owned() } else { bound.ip().to_string() };
        Endpoint {
            host: self.advertised_host.clone().unwrap_or_else(own_host),
            port: self.advertised_port.unwrap_or(bound.port()),
        }
    }

    /// [`ListenerSettings::idle_timeout_ms`] as a duration.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// [`ListenerSettings::drain_timeout_ms`] as a duration.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advertised_endpoint_falls_back_to_the_bound_one() {
        let check = |host: Option<&str>, port: Option<u16>, bound: &str, expected: &str| {
            let settings = ListenerSettings {
                advertised_host: host.map(str::to_owned),
                advertised_port: port,
                ..ListenerSettings::default()
            };
            assert_eq!(settings.advertised(bound.parse().unwrap()).to_string(), expected);
        };
        check(None, None, "0.0.0.0:1234", "localhost:1234");
        check(None, None, "10.0.0.7:9092", "10.0.0.7:9092");
        check(None, None, "[::1]:9092", "[::1]:9092");
        check(Some("kafka.example"), Some(443), "0.0.0.0:9092", "kafka.example:443");
    }

    #[test]
    fn settings_that_are_not_known_are_refused() {
        let parse = |text: &str| serde_json::from_str::<ListenerSettings>(text);
        assert_eq!(parse("{}").unwrap(), ListenerSettings::default());
        assert_eq!(parse(r#"{"bind": "127.0.0.1:0"}"#).unwrap().bind.port(), 0);
        assert!(parse(r#"{"binds": "127.0.0.1:0"}"#).is_err());
    }
}
