//! The body of a DescribeShareGroupOffsets request, v0–1: both versions look alike, the generated codec knows the first.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::DescribeShareGroupOffsetsRequest;
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::wire::message::{Exchange, ReadRequest};
use crate::wire::share::offsets_response::ShareOffsetsResponse;

/// A DescribeShareGroupOffsets request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShareOffsetsRequest(pub DescribeShareGroupOffsetsRequest);

/// The version that the generated codec knows.
const KNOWN: i16 = 0;

impl ReadRequest for ShareOffsetsRequest {
    fn read(body: &mut Bytes, _version: i16) -> Result<Self, String> {
        DescribeShareGroupOffsetsRequest::decode(body, KNOWN).map(Self).map_err(|error| error.to_string())
    }
}

impl Exchange for ShareOffsetsRequest {
    const KEY: i16 = 90;
    const MIN: i16 = 0;
    const MAX: i16 = 1;
    type Response = ShareOffsetsResponse;

    fn put(&self, _version: i16, frame: &mut BytesMut) -> Result<(), String> {
        self.0.encode(frame, KNOWN).map_err(|error| error.to_string())
    }

    fn read_response(body: &mut Bytes, version: i16) -> Result<ShareOffsetsResponse, String> {
        ShareOffsetsResponse::read(body, version).map_err(|error| error.to_string())
    }
}
