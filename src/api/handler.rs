//! What every API file gives: a [`ApiSpec`] and a [`Handler`].

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::protocol::Encodable;

use crate::api::services::Services;
use crate::wire::message::ReadRequest;

/// An API's key, name and the versions that are served and advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiSpec {
    /// Kafka's api key.
    pub key: i16,
    /// Kafka's name for it.
    pub name: &'static str,
    /// The oldest version served.
    pub min: i16,
    /// The newest version served.
    pub max: i16,
}

/// What a handler may know of the connection and the request's header.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Unique per accepted connection of this agent.
    pub connection_id: u64,
    /// The request's version, within the API's [`ApiSpec`].
    pub version: i16,
    /// The header's client id.
    pub client_id: Option<Arc<str>>,
    /// The client's address.
    pub client_host: IpAddr,
    /// Everything served, for ApiVersions.
    pub apis: &'static [ApiSpec],
}

/// What a handler answers.
#[derive(Debug)]
pub enum Reply<Response> {
    /// A message, to be encoded at the request's version.
    Message(Response),
    /// An already encoded body, to be written as it stands (header excluded).
    Encoded(Vec<Bytes>),
    /// Nothing at all (Produce with acks=0).
    Nothing,
    /// The connection is closed, with this reason in the log.
    Close(String),
}

/// One Kafka API.
pub trait Handler: Send + Sync + 'static {
    /// Key and versions.
    const SPEC: ApiSpec;
    /// The decoded request.
    type Request: ReadRequest + Send + 'static;
    /// The response to encode; one that always leaves encoded is only named here.
    type Response: Encodable + Send + 'static;

    /// Answers one request.
    ///
    /// The pipeline polls the returned future once, in request order, before it reads the connection's next frame,
    /// and runs the futures of one connection concurrently after that; answers leave in request order. What must
    /// happen in request order therefore happens before the handler's first await.
    fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: Self::Request,
    ) -> impl Future<Output = Reply<Self::Response>> + Send;
}
