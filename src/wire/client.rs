//! A small Kafka client: one connection to one broker, for the command line, for load and for tests.
//!
//! [`Client`] asks and waits, one request at a time. [`Client::split`] gives its two halves, so that several requests
//! can be in flight; the broker answers them in order. It trusts its broker: responses are decoded without a guard.
//!
//! Not here: metadata, retries, other brokers. After an error other than [`ClientError::NotServed`] and
//! [`ClientError::Encode`] the connection is of no more use.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::frame::{FrameError, FrameReader};
use crate::wire::header::RequestStart;
use crate::wire::message::Exchange;

/// How a client behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The client id that it sends.
    pub client_id: String,
    /// How long connecting may take, the first ApiVersions included.
    pub connect_timeout: Duration,
    /// How long the broker may take to answer.
    pub request_timeout: Duration,
    /// The largest response it reads.
    pub response_bytes_max: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            client_id: "towpath".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            response_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The broker can not be reached, or the connection failed.
    #[error("connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The broker closed the connection.
    #[error("the broker closed the connection")]
    Closed,
    /// There was no answer in time; whether the request took effect is unknown.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The broker and this client have no version of the API in common.
    #[error("the broker serves no version of {0} that this client knows")]
    NotServed(String),
    /// The request can not be said at the version in use.
    #[error("{api} version {version} can not be encoded: {reason}")]
    Encode {
        /// The API.
        api: String,
        /// The version.
        version: i16,
        /// What can not be said.
        reason: String,
    },
    /// The response can not be read.
    #[error("a response can not be read: {0}")]
    Malformed(String),
    /// The broker answered another request.
    #[error("the broker answered request {received} instead of {expected}")]
    OutOfOrder {
        /// Whose answer was due.
        expected: i32,
        /// Whose answer came.
        received: i32,
    },
    /// The broker refused the first exchange.
    #[error("the broker answered ApiVersions with error {0}")]
    Refused(i16),
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Client {
    sender: RequestSender,
    receiver: ResponseReceiver,
    request_timeout: Duration,
}

/// A request that was sent: what its response is read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number that the response carries.
    pub correlation_id: i32,
    /// The version at which it is encoded.
    pub version: i16,
}

/// A response that has not been decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawResponse {
    /// Whose answer it is.
    pub correlation_id: i32,
    /// The rest of the header, and the body.
    pub bytes: Bytes,
}

impl Client {
    /// Connects to `address` (`host:port`) and asks which versions the broker serves.
    ///
    /// # Errors
    /// When the broker can not be reached or does not speak Kafka.
    pub async fn connect(address: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let connect_timeout = options.connect_timeout;
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            Self::over(reader, writer, options).await
        };
        timeout(connect_timeout, connecting).await.map_err(|_| ClientError::Timeout(connect_timeout))?
    }

    /// Speaks over an open connection, and asks which versions the broker serves.
    ///
    /// # Errors
    /// When the broker does not speak Kafka.
    pub async fn over(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let sender = RequestSender {
            writer: Box::new(writer),
            client_id: options.client_id,
            served: BTreeMap::new(),
            next_correlation_id: 0,
        };
        let receiver = ResponseReceiver {
            frames: FrameReader::new(Box::new(reader)),
            response_bytes_max: options.response_bytes_max,
        };
        let mut client = Self { sender, receiver, request_timeout: options.request_timeout };
        client.negotiate().await?;
        Ok(client)
    }

    /// Sends a request at the newest version that both sides know, and waits for the response.
    ///
    /// # Errors
    /// See [`ClientError`]; errors inside the response are not among them.
    pub async fn send<R: Exchange>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let version = self.sender.version_of::<R>().ok_or_else(|| ClientError::NotServed(name_of(R::KEY)))?;
        self.send_at(version, request).await
    }

    /// Sends a request at `version`, and waits for the response.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send_at<R: Exchange>(&mut self, version: i16, request: &R) -> Result<R::Response, ClientError> {
        let exchange = async {
            let sent = self.sender.send_at(version, request).await?;
            self.receiver.receive().await?.decode::<R>(sent)
        };
        timeout(self.request_timeout, exchange).await.map_err(|_| ClientError::Timeout(self.request_timeout))?
    }

    /// The newest version of `R` that both sides know.
    #[must_use]
    pub fn version_of<R: Exchange>(&self) -> Option<i16> {
        self.sender.version_of::<R>()
    }

    /// What the broker serves: api key → oldest and newest version.
    #[must_use]
    pub fn served(&self) -> &BTreeMap<i16, (i16, i16)> {
        &self.sender.served
    }

    /// The two halves, for several requests in flight. Timeouts are the caller's.
    #[must_use]
    pub fn split(self) -> (RequestSender, ResponseReceiver) {
        (self.sender, self.receiver)
    }

    async fn negotiate(&mut self) -> Result<(), ClientError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(env!("CARGO_PKG_NAME")))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let newest = ApiKey::ApiVersions.valid_versions().max;
        let mut response = self.api_versions(newest, &request).await?;
        if response.error_code == UNSUPPORTED_VERSION {
            response = self.api_versions(0, &ApiVersionsRequest::default()).await?;
        }
        if response.error_code != 0 {
            return Err(ClientError::Refused(response.error_code));
        }
        let range = |api: &kafka_protocol::messages::api_versions_response::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        self.sender.served = response.api_keys.iter().map(range).collect();
        Ok(())
    }

    /// A broker that does not know the version answers in the format of version 0.
    async fn api_versions(
        &mut self,
        version: i16,
        request: &ApiVersionsRequest,
    ) -> Result<ApiVersionsResponse, ClientError> {
        let sent = self.sender.send_at(version, request).await?;
        let response = timeout(self.request_timeout, self.receiver.receive())
            .await
            .map_err(|_| ClientError::Timeout(self.request_timeout))??;
        let unsupported = response.bytes.starts_with(&UNSUPPORTED_VERSION.to_be_bytes());
        response.decode::<ApiVersionsRequest>(Sent { version: if unsupported { 0 } else { version }, ..sent })
    }
}

/// Kafka's code for a version that the broker does not know.
const UNSUPPORTED_VERSION: i16 = 35;

/// The half that sends requests.
pub struct RequestSender {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    client_id: String,
    served: BTreeMap<i16, (i16, i16)>,
    next_correlation_id: i32,
}

impl fmt::Debug for RequestSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSender").field("next_correlation_id", &self.next_correlation_id).finish_non_exhaustive()
    }
}

impl RequestSender {
    /// The newest version of `R` that both sides know.
    #[must_use]
    pub fn version_of<R: Exchange>(&self) -> Option<i16> {
        let (min, max) = *self.served.get(&R::KEY)?;
        let version = max.min(R::MAX);
        (version >= min && version >= R::MIN).then_some(version)
    }

    /// Sends a request at the newest version that both sides know, without waiting for its response.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send<R: Exchange>(&mut self, request: &R) -> Result<Sent, ClientError> {
        let version = self.version_of::<R>().ok_or_else(|| ClientError::NotServed(name_of(R::KEY)))?;
        self.send_at(version, request).await
    }

    /// Sends a request at `version`, without waiting for its response.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send_at<R: Exchange>(&mut self, version: i16, request: &R) -> Result<Sent, ClientError> {
        let start = RequestStart { api_key: R::KEY, version, correlation_id: self.next_correlation_id };
        let frame = encode(start, &self.client_id, request).map_err(|reason| ClientError::Encode {
            api: name_of(R::KEY),
            version,
            reason,
        })?;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        self.writer.write_all(&frame).await?;
        self.writer.flush().await?;
        Ok(Sent { correlation_id: start.correlation_id, version })
    }
}

/// The half that receives responses, in the order of the requests.
pub struct ResponseReceiver {
    frames: FrameReader<Box<dyn AsyncRead + Send + Unpin>>,
    response_bytes_max: usize,
}

impl fmt::Debug for ResponseReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseReceiver").finish_non_exhaustive()
    }
}

impl ResponseReceiver {
    /// The next response.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn receive(&mut self) -> Result<RawResponse, ClientError> {
        let length = self.frames.length(self.response_bytes_max).await.map_err(from_frame)?;
        let mut bytes = self.frames.body(length.ok_or(ClientError::Closed)?).await.map_err(from_frame)?;
        let correlation_id = bytes.try_get_i32().map_err(|error| ClientError::Malformed(error.to_string()))?;
        Ok(RawResponse { correlation_id, bytes })
    }
}

impl RawResponse {
    /// The response as an answer to `sent`.
    ///
    /// # Errors
    /// When it answers another request or can not be read.
    pub fn decode<R: Exchange>(mut self, sent: Sent) -> Result<R::Response, ClientError> {
        if self.correlation_id != sent.correlation_id {
            return Err(ClientError::OutOfOrder { expected: sent.correlation_id, received: self.correlation_id });
        }
        let malformed = |reason: String| ClientError::Malformed(reason);
        if R::header_versions(sent.version).1 >= 1 {
            // Kafka has defined no tagged fields for response headers.
            match self.bytes.try_get_u8() {
                Ok(0) => {}
                other => return Err(malformed(format!("tagged fields in the header: {other:?}"))),
            }
        }
        let response = R::read_response(&mut self.bytes, sent.version).map_err(malformed)?;
        if self.bytes.is_empty() {
            Ok(response)
        } else {
            Err(malformed(format!("{} bytes after the response to {}", self.bytes.len(), name_of(R::KEY))))
        }
    }
}

/// A whole frame: length, header, body.
fn encode<R: Exchange>(start: RequestStart, client_id: &str, request: &R) -> Result<BytesMut, String> {
    let mut frame = BytesMut::with_capacity(client_id.len() + 16);
    frame.put_i32(0);
    start.put(R::header_versions(start.version).0, client_id, &mut frame);
    request.put(start.version, &mut frame)?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| "it is larger than a frame can be".to_owned())?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

fn name_of(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("api key {key}"), |api| format!("{api:?}"))
}

fn from_frame(error: FrameError) -> ClientError {
    match error {
        FrameError::Io(error) => ClientError::Io(error),
        FrameError::Truncated => ClientError::Closed,
        FrameError::Negative(_) | FrameError::TooLarge { .. } => ClientError::Malformed(error.to_string()),
    }
}
