//! Compression of a batch's records; decompression that can not be made to exceed a limit.

use std::io::{Read, Write};

use bytes::{BufMut, Bytes, BytesMut};

/// How a batch's records are compressed, with Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// 0: not at all.
    #[default]
    None,
    /// 1: gzip.
    Gzip,
    /// 2: snappy, bare or in the Xerial framing of the Java client.
    Snappy,
    /// 3: LZ4 frames.
    Lz4,
    /// 4: zstd (KIP-110, from Produce v7 on).
    Zstd,
}

/// Why records could not be (de)compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// Attributes name a codec that does not exist.
    #[error("compression type {0} is unknown")]
    UnknownCodec(i16),
    /// More than the caller allows would come out.
    #[error("records decompress to more than {0} bytes")]
    TooLarge(usize),
    /// The compressed bytes make no sense.
    #[error("records can not be decompressed: {0}")]
    Malformed(String),
}

impl Compression {
    /// From the low three bits of a batch's attributes.
    ///
    /// # Errors
    /// When the codec does not exist.
    pub fn from_attributes(attributes: i16) -> Result<Self, DecompressError> {
        match attributes & 0x07 {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            other => Err(DecompressError::UnknownCodec(other)),
        }
    }

    /// Kafka's number, as attributes carry it.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

/// Decompresses `input`; without compression the same bytes are shared.
///
/// Memory is taken as output appears, never by what the input claims it will be.
///
/// # Errors
/// When the input makes no sense, or would give more than `bytes_max`.
pub fn decompress(compression: Compression, input: &Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
    match compression {
        Compression::None if input.len() > bytes_max => Err(DecompressError::TooLarge(bytes_max)),
        Compression::None => Ok(input.clone()),
        Compression::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(&input[..]), bytes_max),
        Compression::Snappy => snappy(input, bytes_max),
        Compression::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(&input[..]), bytes_max),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(&input[..]).map_err(malformed)?;
            decoder.window_log_max(window_log(bytes_max)).map_err(malformed)?;
            read_bounded(decoder, bytes_max)
        }
    }
}

/// Compresses `input` as a producer would.
///
/// # Errors
/// When the codec fails, which only lack of memory explains.
pub fn compress(compression: Compression, input: &[u8]) -> Result<Bytes, DecompressError> {
    match compression {
        Compression::None => Ok(Bytes::copy_from_slice(input)),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(input).map_err(malformed)?;
            Ok(encoder.finish().map_err(malformed)?.into())
        }
        Compression::Snappy => Ok(snap::raw::Encoder::new().compress_vec(input).map_err(malformed)?.into()),
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(input).map_err(malformed)?;
            Ok(encoder.finish().map_err(malformed)?.into())
        }
        Compression::Zstd => Ok(zstd::stream::encode_all(input, 3).map_err(malformed)?.into()),
    }
}

fn malformed(error: impl std::fmt::Display) -> DecompressError {
    DecompressError::Malformed(error.to_string())
}

/// A frame may name a window, which the decoder then allocates: never much more than may come out, but enough for
/// what encoders choose by default however small the input is.
fn window_log(bytes_max: usize) -> u32 {
    let needed = usize::BITS - bytes_max.saturating_sub(1).leading_zeros();
    needed.clamp(23, 27)
}

fn read_bounded(decoder: impl Read, bytes_max: usize) -> Result<Bytes, DecompressError> {
    let mut output = Vec::new();
    let limit = (bytes_max as u64).saturating_add(1);
    decoder.take(limit).read_to_end(&mut output).map_err(malformed)?;
    if output.len() > bytes_max { Err(DecompressError::TooLarge(bytes_max)) } else { Ok(output.into()) }
}

/// How the Java client's framing begins; two version numbers follow, then blocks with 4-byte lengths before them.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;

fn snappy(input: &[u8], bytes_max: usize) -> Result<Bytes, DecompressError> {
    let mut output = BytesMut::new();
    if !input.starts_with(&XERIAL_MAGIC) {
        snappy_block(input, &mut output, bytes_max)?;
        return Ok(output.freeze());
    }
    let mut rest = input.get(XERIAL_HEADER_BYTES..).ok_or_else(|| malformed("snappy framing is cut off"))?;
    while !rest.is_empty() {
        // A second stream may follow the first: its magic can not be mistaken for a length, which would be negative.
        if rest.starts_with(&XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_BYTES..).ok_or_else(|| malformed("snappy framing is cut off"))?;
            continue;
        }
        let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("snappy block is cut off"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = behind.get(..length).ok_or_else(|| malformed("snappy block is cut off"))?;
        snappy_block(block, &mut output, bytes_max)?;
        rest = &behind[length..];
    }
    Ok(output.freeze())
}

fn snappy_block(block: &[u8], output: &mut BytesMut, bytes_max: usize) -> Result<(), DecompressError> {
    // Three bytes give at most 64, so a block that claims more lies and gets no memory.
    const RATIO_MAX: usize = 22;
    let claimed = snap::raw::decompress_len(block).map_err(malformed)?;
    if claimed > block.len().saturating_mul(RATIO_MAX) {
        return Err(malformed("snappy block claims an impossible size"));
    }
    let start = output.len();
    if claimed > bytes_max.saturating_sub(start) {
        return Err(DecompressError::TooLarge(bytes_max));
    }
    output.put_bytes(0, claimed);
    let written = snap::raw::Decoder::new().decompress(block, &mut output[start..]).map_err(malformed)?;
    output.truncate(start + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn every_codec_round_trips() {
        let input: Vec<u8> = (0..50_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        for compression in ALL {
            let compressed = compress(compression, &input).expect("compresses");
            assert_eq!(decompress(compression, &compressed, input.len()).as_deref(), Ok(&input[..]), "{compression:?}");
            assert_eq!(Compression::from_attributes(compression.code()), Ok(compression));
        }
    }

    #[test]
    fn a_bomb_fails_at_the_limit() {
        let zeros = vec![0; 16 << 20];
        for compression in ALL {
            let bomb = compress(compression, &zeros).expect("compresses");
            let outcome = decompress(compression, &bomb, 1 << 20);
            assert_eq!(outcome, Err(DecompressError::TooLarge(1 << 20)), "{compression:?}");
        }
    }

    #[test]
    fn rubbish_is_an_error() {
        let rubbish = Bytes::from_static(&[0xff; 64]);
        for compression in &ALL[1..] {
            let outcome = decompress(*compression, &rubbish, 1 << 20);
            assert!(matches!(outcome, Err(DecompressError::Malformed(_))), "{compression:?}: {outcome:?}");
        }
        assert_eq!(Compression::from_attributes(5), Err(DecompressError::UnknownCodec(5)));
    }

    #[test]
    fn the_java_clients_snappy_framing_is_read() {
        let block = |text: &[u8]| {
            let compressed = compress(Compression::Snappy, text).expect("compresses");
            [&(compressed.len() as u32).to_be_bytes()[..], &compressed[..]].concat()
        };
        let framed =
            [&XERIAL_MAGIC[..], &1_u32.to_be_bytes(), &1_u32.to_be_bytes(), &block(b"first "), &block(b"second")];
        let framed = Bytes::from(framed.concat());
        assert_eq!(decompress(Compression::Snappy, &framed, 12).as_deref(), Ok(&b"first second"[..]));
        assert_eq!(decompress(Compression::Snappy, &framed, 11), Err(DecompressError::TooLarge(11)));
        for length in 17..framed.len() {
            let cut = decompress(Compression::Snappy, &framed.slice(..length), 100);
            let first_whole = length == 16 + block(b"first ").len();
            assert_eq!(cut.is_ok(), first_whole, "cut at {length}");
        }
    }

    #[test]
    fn a_snappy_block_that_lies_about_its_size_gets_no_memory() {
        // A varint that claims a gigabyte, and nothing behind it.
        let liar = Bytes::from_static(&[0x80, 0x80, 0x80, 0x80, 0x04]);
        assert!(matches!(decompress(Compression::Snappy, &liar, usize::MAX), Err(DecompressError::Malformed(_))));
    }
}
