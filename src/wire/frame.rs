//! Frames: a length of four bytes, then so many bytes.
//!
//! A frame is one allocation that the socket is read into; nothing is copied on the way. Where the reader can, it reads
//! the next frame's length together with the end of a frame, and so needs one read per frame instead of two.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that a frame's length takes.
pub const LENGTH_BYTES: usize = 4;

/// Why a frame can not be read. The connection can not go on after any of these.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is negative.
    #[error("a frame's length is {0}")]
    Negative(i32),
    /// The length is beyond the limit.
    #[error("a frame of {bytes} bytes is larger than {bytes_max}")]
    TooLarge {
        /// The claimed length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The connection ended inside a frame.
    #[error("the connection ended inside a frame")]
    Truncated,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads frames from a connection.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: R,
    /// What is known of the next length.
    ahead: [u8; LENGTH_BYTES],
    ahead_bytes: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `source`, which stands at the beginning of a frame.
    #[must_use]
    pub fn new(source: R) -> Self {
        Self { source, ahead: [0; LENGTH_BYTES], ahead_bytes: 0 }
    }

    /// The next frame's length, or `None` when the connection ended before it. Allocates nothing.
    ///
    /// Cancel-safe: what was read before the cancellation is kept.
    ///
    /// # Errors
    /// When the length is not legal or the connection fails.
    pub async fn length(&mut self, bytes_max: usize) -> Result<Option<usize>, FrameError> {
        while self.ahead_bytes < LENGTH_BYTES {
            let read = self.source.read(&mut self.ahead[self.ahead_bytes..]).await?;
            if read == 0 {
                return if self.ahead_bytes == 0 { Ok(None) } else { Err(FrameError::Truncated) };
            }
            self.ahead_bytes += read;
        }
        let length = i32::from_be_bytes(self.ahead);
        let bytes = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
        if bytes > bytes_max { Err(FrameError::TooLarge { bytes, bytes_max }) } else { Ok(Some(bytes)) }
    }

    /// The frame whose length [`FrameReader::length`] said. Allocates it once.
    ///
    /// Not cancel-safe: after a cancellation the connection is of no more use.
    ///
    /// # Errors
    /// When the connection fails or ends before the frame does.
    pub async fn body(&mut self, bytes: usize) -> Result<Bytes, FrameError> {
        self.ahead_bytes = 0;
        // Room for the next length as well; an untouched page costs nothing, so a long frame takes memory only as
        // fast as it arrives.
        let room = bytes.saturating_add(LENGTH_BYTES);
        let mut frame = BytesMut::with_capacity(room);
        while frame.len() < bytes {
            let missing = room - frame.len();
            if self.source.read_buf(&mut (&mut frame).limit(missing)).await? == 0 {
                return Err(FrameError::Truncated);
            }
        }
        let ahead = frame.len() - bytes;
        self.ahead[..ahead].copy_from_slice(&frame[bytes..]);
        self.ahead_bytes = ahead;
        frame.truncate(bytes);
        Ok(frame.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    async fn read_all(chunks: Vec<Vec<u8>>, bytes_max: usize) -> Result<Vec<Bytes>, FrameError> {
        let mut source = tokio_test_source(chunks);
        let mut reader = FrameReader::new(&mut source);
        let mut frames = Vec::new();
        while let Some(bytes) = reader.length(bytes_max).await? {
            frames.push(reader.body(bytes).await?);
        }
        Ok(frames)
    }

    /// A source that gives one chunk per read, as a socket may.
    fn tokio_test_source(chunks: Vec<Vec<u8>>) -> impl AsyncRead + Unpin {
        let stream = futures::stream::iter(chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk))));
        ChunkedSource { chunks: Box::pin(stream), rest: Bytes::new() }
    }

    struct ChunkedSource<S> {
        chunks: std::pin::Pin<Box<S>>,
        rest: Bytes,
    }

    impl<S: futures::Stream<Item = std::io::Result<Bytes>>> AsyncRead for ChunkedSource<S> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            while self.rest.is_empty() {
                match std::task::ready!(self.chunks.as_mut().poll_next(context)) {
                    Some(chunk) => self.rest = chunk?,
                    None => return std::task::Poll::Ready(Ok(())),
                }
            }
            let some = self.rest.len().min(into.remaining());
            let taken = self.rest.split_to(some);
            into.put_slice(&taken);
            std::task::Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_stream_is_cut(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8),
            cuts in proptest::collection::vec(1_usize..30, 0..40),
        ) {
            let mut stream = Vec::new();
            for frame in &frames {
                stream.extend_from_slice(&i32::try_from(frame.len()).unwrap().to_be_bytes());
                stream.extend_from_slice(frame);
            }
            let mut chunks = Vec::new();
            for cut in cuts {
                let rest = stream.split_off(cut.min(stream.len()));
                chunks.push(std::mem::replace(&mut stream, rest));
            }
            chunks.push(stream);
            let read = run(read_all(chunks, 50)).unwrap();
            prop_assert_eq!(read, frames);
        }
    }

    #[test]
    fn lengths_are_judged_before_anything_is_allocated() {
        let outcome = |stream: &[u8]| run(read_all(vec![stream.to_vec()], 100));
        assert!(matches!(outcome(&[0xff, 0xff, 0xff, 0xff]), Err(FrameError::Negative(-1))));
        assert!(matches!(outcome(&[0, 0, 0, 101]), Err(FrameError::TooLarge { bytes: 101, bytes_max: 100 })));
        assert!(matches!(outcome(&[0, 0]), Err(FrameError::Truncated)));
        assert!(matches!(outcome(&[0, 0, 0, 2, 1]), Err(FrameError::Truncated)));
        assert_eq!(outcome(&[]).unwrap(), Vec::<Bytes>::new());
        assert_eq!(outcome(&[0, 0, 0, 0]).unwrap(), [Bytes::new()]);
    }
}
