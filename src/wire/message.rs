//! What a message must be able to do to travel: the generated codec's messages can, and so can those of our own codecs.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request};

/// A request that a server reads.
pub trait ReadRequest: Sized {
    /// Takes a request at `version` off the front of `body`, which the guard has let pass.
    ///
    /// # Errors
    /// Words on what is wrong with it.
    fn read(body: &mut Bytes, version: i16) -> Result<Self, String>;
}

impl<R: Decodable> ReadRequest for R {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, String> {
        Self::decode(body, version).map_err(|error| error.to_string())
    }
}

/// A request that a client sends, with the response that it reads.
pub trait Exchange {
    /// Kafka's api key.
    const KEY: i16;
    /// The oldest version that the codec knows.
    const MIN: i16;
    /// The newest version that the codec knows.
    const MAX: i16;
    /// The answer.
    type Response;

    /// Appends the request at `version`.
    ///
    /// # Errors
    /// Words on what can not be said at that version.
    fn put(&self, version: i16, frame: &mut BytesMut) -> Result<(), String>;

    /// Takes the response at `version` off the front of `body`.
    ///
    /// # Errors
    /// Words on what is wrong with it.
    fn read_response(body: &mut Bytes, version: i16) -> Result<Self::Response, String>;

    /// The versions of the headers of request and response.
    #[must_use]
    fn header_versions(version: i16) -> (i16, i16) {
        ApiKey::try_from(Self::KEY)
            .map_or((2, 1), |api| (api.request_header_version(version), api.response_header_version(version)))
    }
}

impl<R: Request> Exchange for R {
    const KEY: i16 = R::KEY;
    const MIN: i16 = R::VERSIONS.min;
    const MAX: i16 = R::VERSIONS.max;
    type Response = R::Response;

    fn put(&self, version: i16, frame: &mut BytesMut) -> Result<(), String> {
        let body_bytes = self.compute_size(version).map_err(|error| error.to_string())?;
        frame.reserve(body_bytes);
        self.encode(frame, version).map_err(|error| error.to_string())
    }

    fn read_response(body: &mut Bytes, version: i16) -> Result<R::Response, String> {
        R::Response::decode(body, version).map_err(|error| error.to_string())
    }

    fn header_versions(version: i16) -> (i16, i16) {
        (R::header_version(version), R::Response::header_version(version))
    }
}
