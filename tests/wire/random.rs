//! Random bodies along a shape.

use bytes::{BufMut, Bytes, BytesMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use towpath::wire::shapes::field::{Field, Kind, Message};

/// A body of so many bytes gets no more elements.
const LARGE: usize = 32 * 1024;

/// Draws bodies; the same seed draws the same ones.
pub(crate) struct Bodies {
    pub(crate) rng: ChaCha8Rng,
    /// Arrays have at most so many elements.
    pub(crate) elements_max: usize,
    /// Strings and bytes have at most so many bytes.
    pub(crate) bytes_max: usize,
    /// How likely an unknown tagged field is, wherever one may stand.
    pub(crate) unknown_tags: f64,
}

impl Bodies {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), elements_max: 3, bytes_max: 12, unknown_tags: 0.1 }
    }

    /// A body that a decoder must take.
    pub(crate) fn draw(&mut self, message: &Message, version: i16) -> Bytes {
        let mut body = BytesMut::new();
        let flexible = version >= message.flexible;
        self.fields(message.fields, version, flexible, &mut body);
        body.freeze()
    }

    fn fields(&mut self, fields: &[Field], version: i16, flexible: bool, body: &mut BytesMut) {
        for field in fields.iter().filter(|field| field.tag.is_none() && field.is_in(version)) {
            self.kind(&field.kind, field.nullable, version, flexible, body);
        }
        if !flexible {
            return;
        }
        let mut tags = Vec::new();
        for field in fields.iter().filter(|field| field.is_in(version)) {
            let Some(tag) = field.tag else { continue };
            if self.rng.random_bool(0.5) {
                let mut value = BytesMut::new();
                self.kind(&field.kind, field.nullable, version, flexible, &mut value);
                tags.push((tag, value));
            }
        }
        while self.rng.random_bool(self.unknown_tags) {
            let mut value = BytesMut::new();
            let length = self.rng.random_range(0..4);
            value.put_bytes(7, length);
            tags.push((1000 + u32::try_from(tags.len()).unwrap(), value));
        }
        put_unsigned_varint(u32::try_from(tags.len()).unwrap(), body);
        for (tag, value) in tags {
            put_unsigned_varint(tag, body);
            put_unsigned_varint(u32::try_from(value.len()).unwrap(), body);
            body.put_slice(&value);
        }
    }

    fn kind(&mut self, kind: &Kind, nullable: bool, version: i16, flexible: bool, body: &mut BytesMut) {
        let null = nullable && self.rng.random_bool(0.25);
        match kind {
            Kind::Fixed(bytes) => {
                for _ in 0..*bytes {
                    body.put_u8(self.rng.random());
                }
            }
            Kind::String => {
                let length = self.length(null, self.bytes_max);
                put_length(length, flexible, 2, body);
                body.put_bytes(b'a', length.unwrap_or(0));
            }
            Kind::Bytes => {
                let length = self.length(null, self.bytes_max);
                put_length(length, flexible, 4, body);
                body.put_bytes(0xff, length.unwrap_or(0));
            }
            Kind::Array(_) | Kind::Structs(_) => {
                // Arrays of arrays of arrays would grow without telling more.
                let elements_max = if body.len() < LARGE { self.elements_max } else { 0 };
                let count = self.length(null, elements_max);
                put_length(count, flexible, 4, body);
                let element = match kind {
                    Kind::Structs(fields) => Kind::Struct(fields),
                    Kind::Array(element) => **element,
                    _ => unreachable!(),
                };
                for _ in 0..count.unwrap_or(0) {
                    self.kind(&element, false, version, flexible, body);
                }
            }
            Kind::Struct(fields) => self.fields(fields, version, flexible, body),
            Kind::Optional(_) if null => body.put_i8(-1),
            Kind::Optional(fields) => {
                body.put_i8(1);
                self.fields(fields, version, flexible, body);
            }
        }
    }

    fn length(&mut self, null: bool, max: usize) -> Option<usize> {
        if null { None } else { Some(self.rng.random_range(0..=max)) }
    }

    /// The body with some of its bytes changed, cut off or doubled.
    pub(crate) fn mutate(&mut self, body: &[u8]) -> Bytes {
        let mut body = body.to_vec();
        for _ in 0..self.rng.random_range(1..4) {
            let at = if body.is_empty() { 0 } else { self.rng.random_range(0..body.len()) };
            match self.rng.random_range(0..6) {
                0 if !body.is_empty() => body[at] = self.rng.random(),
                1 if !body.is_empty() => body[at] = 0xff,
                2 if !body.is_empty() => body[at] = 0x7f,
                3 => body.truncate(at),
                4 => body.insert(at, self.rng.random()),
                _ => {
                    let copy = body[at..].to_vec();
                    body.extend(copy);
                }
            }
        }
        Bytes::from(body)
    }
}

fn put_length(length: Option<usize>, flexible: bool, width: usize, body: &mut BytesMut) {
    let signed = length.map_or(-1, |length| i32::try_from(length).unwrap());
    match (flexible, width) {
        (true, _) => put_unsigned_varint(u32::try_from(signed + 1).unwrap(), body),
        (false, 2) => body.put_i16(i16::try_from(signed).unwrap()),
        (false, _) => body.put_i32(signed),
    }
}

fn put_unsigned_varint(mut value: u32, body: &mut BytesMut) {
    while value >= 0x80 {
        body.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    body.put_u8(value as u8);
}
