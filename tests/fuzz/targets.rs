//! One plain function per decoder of foreign bytes. None may panic, hang or allocate much, whatever the bytes.

use bytes::Bytes;
use futures::FutureExt;
use towpath::object::layout::{WalFooter, WalHeader};
use towpath::record::batch::Batches;
use towpath::wire::frame::FrameReader;

use crate::codec::read_frame;

/// What a batch may be decompressed to here.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request frame without its length: header, guard, decoder.
pub fn request(data: &[u8]) {
    let _ = read_frame(Bytes::copy_from_slice(data));
}

/// A connection's bytes: frames, one after the other.
pub fn frames(data: &[u8]) {
    let mut reader = FrameReader::new(data);
    let mut total = 0;
    while let Some(Ok(Some(length))) = reader.length(1 << 16).now_or_never() {
        let Some(Ok(frame)) = reader.body(length).now_or_never() else { return };
        assert_eq!(frame.len(), length);
        total += length + 4;
        assert!(total <= data.len(), "more bytes came out than went in");
    }
}

/// A run of record batches: headers, checksums, decompression, records and their headers.
pub fn record_batch(data: &[u8]) {
    for batch in Batches::new(Bytes::copy_from_slice(data)).flatten() {
        let _ = batch.verify();
        let Ok(body) = batch.body(BODY_BYTES_MAX) else { continue };
        assert!(body.len() <= BODY_BYTES_MAX);
        for record in batch.records(&body).flatten() {
            let _ = record.headers.len();
        }
    }
}

/// The first bytes of an object.
pub fn wal_header(data: &[u8]) {
    let _ = WalHeader::parse(data);
}

/// The last bytes of an object.
pub fn wal_footer(data: &[u8]) {
    for object_bytes in [data.len() as u64, 1 << 20, u64::MAX] {
        let _ = WalFooter::parse(data, object_bytes);
    }
}
