//! Several ranges of one object in few requests: what to ask for, and how to cut up the answer.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::{Error as StoreError, GetResult, GetResultPayload};

use crate::model::object::ByteRange;

/// A buffer for a range never starts larger than this, whatever a row claims.
const BUFFER_BYTES_MAX: u32 = 8 << 20;

/// One request and the ranges it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Which bytes to ask for.
    pub(crate) bytes: Range<u64>,
    /// The ranges within, by index in the caller's list, in order of position.
    pub(crate) members: Vec<usize>,
}

/// Joins ranges with at most `gap_max` bytes between them, as long as a span has at most `span_max` bytes.
pub(crate) fn coalesce(ranges: &[ByteRange], gap_max: u64, span_max: u64) -> Vec<Span> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&index| (ranges[index].position, ranges[index].length));
    let mut spans: Vec<Span> = Vec::new();
    for index in order {
        let (start, end) = (ranges[index].position, end_of(ranges[index]));
        match spans.last_mut() {
            Some(span)
                if start <= span.bytes.end.saturating_add(gap_max)
                    && (end <= span.bytes.end || end - span.bytes.start <= span_max) =>
            {
                span.bytes.end = span.bytes.end.max(end);
                span.members.push(index);
            }
            _ => spans.push(Span { bytes: start..end, members: vec![index] }),
        }
    }
    spans
}

/// The position after the last byte; rows may hold anything.
fn end_of(range: ByteRange) -> u64 {
    range.position.saturating_add(u64::from(range.length))
}

/// Why an answer's body is not what was asked for.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The object itself ends too early.
    ObjectTooShort,
    /// The body ended early, or went on too long: the connection's fault.
    WrongLength,
    /// The store failed.
    Store(StoreError),
}

/// Reads an answer and cuts it into `members`, which are sorted by position and lie within `asked`.
pub(crate) async fn cut(answer: GetResult, asked: &Range<u64>, members: &[ByteRange]) -> Result<Vec<Bytes>, BodyError> {
    if answer.range != *asked {
        return Err(if answer.meta.size < asked.end { BodyError::ObjectTooShort } else { BodyError::WrongLength });
    }
    let mut cutter = Cutter::new(asked.start, members);
    match answer.payload {
        GetResultPayload::Stream(mut chunks) => {
            while let Some(chunk) = chunks.try_next().await.map_err(BodyError::Store)? {
                cutter.push(&chunk);
            }
        }
        // One read of the whole range instead of many small ones.
        GetResultPayload::File(..) => cutter.push(&answer.bytes().await.map_err(BodyError::Store)?),
    }
    if cutter.position != asked.end {
        return Err(BodyError::WrongLength);
    }
    Ok(cutter.finish())
}

/// Hands out a stream of chunks to ranges.
struct Cutter<'a> {
    /// Where in the object the next chunk begins.
    position: u64,
    members: &'a [ByteRange],
    parts: Vec<Part>,
    /// All members before this one are complete.
    first_open: usize,
}

enum Part {
    Growing(BytesMut),
    Whole(Bytes),
}

impl<'a> Cutter<'a> {
    fn new(position: u64, members: &'a [ByteRange]) -> Self {
        let parts = members.iter().map(|_| Part::Growing(BytesMut::new())).collect();
        Self { position, members, parts, first_open: 0 }
    }

    fn push(&mut self, chunk: &Bytes) {
        let (start, end) = (self.position, self.position.saturating_add(chunk.len() as u64));
        self.position = end;
        for (member, part) in self.members.iter().zip(&mut self.parts).skip(self.first_open) {
            if member.position >= end {
                break;
            }
            let from = member.position.max(start) - start;
            let to = end_of(*member).min(end).saturating_sub(start);
            if from >= to {
                continue;
            }
            let (from, to) = (from as usize, to as usize);
            part.take(*member, chunk, from..to);
        }
        while self.members.get(self.first_open).is_some_and(|member| end_of(*member) <= end) {
            self.first_open += 1;
        }
    }

    fn finish(self) -> Vec<Bytes> {
        let whole = |part| match part {
            Part::Growing(buffer) => buffer.freeze(),
            Part::Whole(bytes) => bytes,
        };
        self.parts.into_iter().map(whole).collect()
    }
}

impl Part {
    fn take(&mut self, member: ByteRange, chunk: &Bytes, piece: Range<usize>) {
        let wanted = member.length as usize;
        match self {
            // A slice keeps its whole chunk in memory: only when it is most of it. Else the copy is the cheaper one.
            Self::Growing(buffer) if buffer.is_empty() && piece.len() == wanted && chunk.len() / 2 <= wanted => {
                *self = Self::Whole(chunk.slice(piece));
            }
            Self::Growing(buffer) => {
                if buffer.is_empty() {
                    buffer.reserve(member.length.min(BUFFER_BYTES_MAX) as usize);
                }
                buffer.extend_from_slice(&chunk[piece]);
            }
            Self::Whole(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(position: u64, length: u32) -> ByteRange {
        ByteRange { position, length }
    }

    #[test]
    fn neighbours_share_a_request_within_bounds() {
        let check = |ranges: &[ByteRange], expected: &[(Range<u64>, &[usize])]| {
            let spans = coalesce(ranges, 10, 100);
            let got: Vec<_> = spans.iter().map(|span| (span.bytes.clone(), span.members.as_slice())).collect();
            assert_eq!(got, expected);
        };
        check(&[], &[]);
        check(&[range(5, 5)], &[(5..10, &[0])]);
        check(&[range(20, 5), range(0, 10)], &[(0..25, &[1, 0])]);
        check(&[range(0, 10), range(21, 5)], &[(0..10, &[0]), (21..26, &[1])]);
        check(&[range(0, 60), range(60, 60)], &[(0..60, &[0]), (60..120, &[1])]);
        check(&[range(0, 300), range(10, 20), range(0, 300)], &[(0..300, &[0, 2, 1])]);
        check(&[range(u64::MAX - 1, 9)], &[(u64::MAX - 1..u64::MAX, &[0])]);
    }

    proptest! {
        #[test]
        fn cuts_what_was_asked_for_however_the_body_arrives(
            whole in proptest::collection::vec(any::<u8>(), 1..400),
            wanted in proptest::collection::vec((0_u64..400, 0_u32..200), 0..20),
            chunk_bytes in 1_usize..100,
        ) {
            let size = whole.len() as u64;
            let wanted: Vec<_> = wanted
                .into_iter()
                .map(|(position, length)| {
                    let position = position % size;
                    range(position, length.min((size - position) as u32))
                })
                .collect();
            for span in coalesce(&wanted, 16, 300) {
                let members: Vec<_> = span.members.iter().map(|&index| wanted[index]).collect();
                let mut cutter = Cutter::new(span.bytes.start, &members);
                let body = &whole[span.bytes.start as usize..span.bytes.end as usize];
                body.chunks(chunk_bytes).for_each(|chunk| cutter.push(&Bytes::copy_from_slice(chunk)));
                prop_assert_eq!(cutter.position, span.bytes.end);
                for (member, bytes) in members.iter().zip(cutter.finish()) {
                    prop_assert_eq!(&bytes[..], &whole[member.position as usize..member.end() as usize]);
                }
            }
        }
    }
}
