//! What an object says of itself, read from the store: for checking and rebuilding, not for serving.

use crate::model::object::{ByteRange, ObjectKey};
use crate::object::error::ObjectError;
use crate::object::layout::{HEADER_BYTES, LayoutError, TRAILER_BYTES, WalFooter, WalHeader};
use crate::object::meter::Purpose;
use crate::object::store::ObjectStorage;

/// Read at once from the object's end: the footers of objects with up to about 1600 partitions.
const TAIL_BYTES: u64 = 64 << 10;

/// Reads header and footer of a WAL object, in two requests or three.
///
/// # Errors
/// [`ObjectError::NotFound`]; [`ObjectError::Corrupt`] when it is not a WAL object that we know.
pub async fn read_footer(
    storage: &ObjectStorage,
    key: &ObjectKey,
    purpose: Purpose,
) -> Result<(WalHeader, WalFooter), ObjectError> {
    let corrupt = |reason: LayoutError| ObjectError::Corrupt { key: key.clone(), reason: reason.to_string() };
    let size = storage.head_size(key, purpose).await?.ok_or_else(|| ObjectError::NotFound(key.clone()))?;
    if size < HEADER_BYTES + TRAILER_BYTES {
        return Err(corrupt(LayoutError::Corrupt("the object is shorter than header and trailer")));
    }
    let head = ByteRange { position: 0, length: HEADER_BYTES as u32 };
    let mut tail = last(size, TAIL_BYTES.min(size)).ok_or_else(|| corrupt(TOO_LARGE))?;
    // A footer's size does not change between two looks: the second read is long enough.
    for _ in 0..2 {
        let parts = storage.get_ranges(key, &[head, tail], purpose).await?;
        let [head_bytes, tail_bytes] = parts.as_slice() else {
            return Err(corrupt(LayoutError::Corrupt("the store gave other ranges than were asked for")));
        };
        let header = WalHeader::parse(head_bytes).map_err(corrupt)?;
        match WalFooter::parse(tail_bytes, size) {
            Ok(footer) if footer.body_bytes == header.body_bytes => return Ok((header, footer)),
            Ok(_) => return Err(corrupt(LayoutError::Corrupt("header and footer disagree on the body's length"))),
            Err(LayoutError::NeedMore { footer_bytes }) => {
                tail = last(size, footer_bytes).ok_or_else(|| corrupt(TOO_LARGE))?;
            }
            Err(reason) => return Err(corrupt(reason)),
        }
    }
    Err(corrupt(LayoutError::Corrupt("the footer changes between two reads")))
}

const TOO_LARGE: LayoutError = LayoutError::Corrupt("the footer is larger than an object of ours can have");

/// The last `length` bytes of an object of `size` bytes.
fn last(size: u64, length: u64) -> Option<ByteRange> {
    Some(ByteRange { position: size.checked_sub(length)?, length: u32::try_from(length).ok()? })
}
