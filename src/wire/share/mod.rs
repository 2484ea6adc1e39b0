//! Our own codecs for share groups (KIP-932): what the generated codec does not know yet, or copies.
//!
//! ```text
//! acknowledgements, request, response        what ShareFetch and ShareAcknowledge say alike
//! fetch_request, fetch_response              ShareFetch, v1–2; records leave as slices
//! acknowledge_request, acknowledge_response  ShareAcknowledge, v1–2
//! offsets_request, offsets_response          DescribeShareGroupOffsets, v0–1
//! ```
//!
//! Each reads and writes both directions: an agent reads requests and writes responses, our own client and the tests
//! do the opposite. All versions are flexible.

pub mod acknowledge_request;
pub mod acknowledge_response;
pub mod acknowledgements;
pub mod fetch_request;
pub mod fetch_response;
pub mod offsets_request;
pub mod offsets_response;
pub mod request;
pub mod response;
