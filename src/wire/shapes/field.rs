//! What a shape is made of.

/// A request message: which fields stand in it, in wire order.
#[derive(Debug)]
pub struct Message {
    /// Kafka's api key.
    pub key: i16,
    /// The oldest version described.
    pub min: i16,
    /// The newest version described.
    pub max: i16,
    /// From this version on lengths are variable-length integers and structs end with tagged fields (KIP-482).
    pub flexible: i16,
    /// The fields.
    pub fields: &'static [Field],
}

/// One field of a message or struct.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// What stands there.
    pub kind: Kind,
    /// The oldest version that has the field.
    pub min: i16,
    /// The newest version that has it.
    pub max: i16,
    /// The field's tag, if it stands among the tagged fields.
    pub tag: Option<u32>,
    /// Whether it may be null.
    pub nullable: bool,
}

/// What may stand in a field.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number, a boolean or a UUID of so many bytes.
    Fixed(usize),
    /// A string, its length before it.
    String,
    /// Bytes or records, their length before them.
    Bytes,
    /// An array of numbers or strings, its count before it.
    Array(&'static Self),
    /// An array of structs, its count before it.
    Structs(&'static [Field]),
    /// A struct.
    Struct(&'static [Field]),
    /// A struct with a byte before it that says whether it is there.
    Optional(&'static [Field]),
}

/// One byte.
pub const INT8: Kind = Kind::Fixed(1);
/// Two bytes.
pub const INT16: Kind = Kind::Fixed(2);
/// Four bytes.
pub const INT32: Kind = Kind::Fixed(4);
/// Eight bytes.
pub const INT64: Kind = Kind::Fixed(8);
/// Sixteen bytes.
pub const UUID: Kind = Kind::Fixed(16);
/// A boolean.
pub const BOOL: Kind = INT8;
/// A string.
pub const STRING: Kind = Kind::String;
/// Bytes or records.
pub const BYTES: Kind = Kind::Bytes;

/// A field that all versions have.
#[must_use]
pub const fn field(kind: Kind) -> Field {
    Field { kind, min: 0, max: i16::MAX, tag: None, nullable: false }
}

/// An array of structs that all versions have.
#[must_use]
pub const fn structs(fields: &'static [Field]) -> Field {
    field(Kind::Structs(fields))
}

impl Field {
    /// The field exists from version `min` on.
    #[must_use]
    pub const fn since(mut self, min: i16) -> Self {
        self.min = min;
        self
    }

    /// The field exists up to version `max`.
    #[must_use]
    pub const fn until(mut self, max: i16) -> Self {
        self.max = max;
        self
    }

    /// The field stands among the tagged fields.
    #[must_use]
    pub const fn tagged(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    /// The field may be null.
    #[must_use]
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Whether `version` has the field.
    #[must_use]
    pub const fn is_in(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// No version is flexible.
pub const INFLEXIBLE: i16 = i16::MAX;
