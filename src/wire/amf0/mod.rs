//! AMF0 values: a pull parser over borrowed bytes, and an emitter.
//!
//! `Values` walks each value of a message once, checks it whole, and gives containers as slices
//! that can be iterated and searched without failing. Nothing is copied, and no count on the wire
//! is believed. Strings are bytes: encoders send names in whatever their owner typed.
//! A reference is checked when read; `Object::get` follows it, iteration gives it as it stands.
//! Source: AMF0 §2. Not here: what the values mean (`wire::rtmp::command`), AMF3 (`wire::amf3`).
//!
//! Quirks: an ECMA array's count is kept but not used; its end marker may be missing where the
//! message ends; a boolean is true for any byte but 0.

mod emitter;

pub use emitter::Emitter;

use crate::limits;
use crate::wire::amf3;
use crate::wire::reader::{Reader, Short};
use crate::wire::writer::Full;

/// Why an AMF0 or AMF3 value was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// Malformed: a value ended early.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: no value starts with this byte.
    #[error("amf{format} marker 0x{marker:02x} is not defined")]
    Marker {
        /// 0 or 3.
        format: u8,
        /// The byte.
        marker: u8,
    },
    /// Malformed: an object end without an object.
    #[error("amf0 object end stands outside of an object")]
    StrayEnd,
    /// Malformed: a count that the bytes left cannot hold.
    #[error("amf array claims {count} values in {have} bytes")]
    Count {
        /// The count on the wire.
        count: u32,
        /// Bytes left.
        have: usize,
    },
    /// Malformed: a reference to what has not come yet.
    #[error("amf{format} reference {index} is beyond the {seen} {table} seen so far")]
    Reference {
        /// 0 or 3.
        format: u8,
        /// What is referred to.
        table: &'static str,
        /// The index on the wire.
        index: u32,
        /// Entries so far.
        seen: u32,
    },
    /// Unsupported: a reserved type.
    #[error("amf0 type 0x{marker:02x} is reserved")]
    Reserved {
        /// The marker: 0x04 movie clip, 0x0e record set.
        marker: u8,
    },
    /// Unsupported: an object whose length only its own class knows.
    #[error("amf3 externalizable objects cannot be read")]
    Externalizable,
    /// Exhausted: objects inside objects.
    #[error("amf value is nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: u8,
    },
    /// Exhausted: properties of all objects together.
    #[error("amf message has more than {max} properties")]
    TooManyProperties {
        /// The limit.
        max: u32,
    },
    /// Exhausted: a reference table.
    #[error("amf3 value has more than {max} {table}")]
    TableFull {
        /// Which table.
        table: &'static str,
        /// The limit.
        max: usize,
    },
}

/// One value; containers are checked slices of the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// 0x00; may be infinite or not a number.
    Number(f64),
    /// 0x01.
    Boolean(bool),
    /// 0x02, and 0x0c when longer than 65 535 bytes.
    String(&'a [u8]),
    /// 0x03.
    Object(Object<'a>),
    /// 0x05.
    Null,
    /// 0x06.
    Undefined,
    /// 0x07: the complex value with this number, counted from the start of the message.
    Reference(u16),
    /// 0x08.
    EcmaArray {
        /// The count on the wire; often wrong.
        count: u32,
        /// The properties there really are.
        object: Object<'a>,
    },
    /// 0x0a.
    StrictArray(Array<'a>),
    /// 0x0b.
    Date {
        /// Milliseconds since 1970.
        ms: f64,
        /// Reserved, should be 0.
        zone: i16,
    },
    /// 0x0d.
    Unsupported,
    /// 0x0f.
    Xml(&'a [u8]),
    /// 0x10.
    Typed {
        /// Class name.
        class: &'a [u8],
        /// Its properties.
        object: Object<'a>,
    },
    /// 0x11: one checked AMF3 value, for `amf3::Tree::parse`.
    Avm(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes of a string in either format.
    #[must_use]
    pub fn string(&self) -> Option<&'a [u8]> {
        if let Self::Avm(bytes) = *self {
            return amf3::first_string(bytes);
        }
        if let Self::String(bytes) = *self { Some(bytes) } else { None }
    }

    /// The text of a string that is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.string()?).ok()
    }

    /// A number in either format.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        if let Self::Avm(bytes) = *self {
            return amf3::first_number(bytes);
        }
        if let Self::Number(number) = *self { Some(number) } else { None }
    }

    /// A boolean of AMF0.
    #[must_use]
    pub const fn boolean(&self) -> Option<bool> {
        if let Self::Boolean(boolean) = *self { Some(boolean) } else { None }
    }

    /// The properties of an object, typed object or ECMA array of AMF0.
    #[must_use]
    pub const fn object(&self) -> Option<Object<'a>> {
        if let Self::Object(object) | Self::Typed { object, .. } | Self::EcmaArray { object, .. } =
            *self
        {
            Some(object)
        } else {
            None
        }
    }

    /// Writes the value as it was read; references keep their number.
    ///
    /// # Errors
    /// `Full` if it does not fit; part of it may then be written.
    pub fn emit(&self, e: &mut Emitter<'_, '_>) -> Result<(), Full> {
        match *self {
            Self::Number(number) => e.number(number),
            Self::Boolean(boolean) => e.boolean(boolean),
            Self::String(bytes) => e.string(bytes),
            Self::Object(object) => {
                e.object()?;
                e.raw(object.body)?;
                e.end()
            }
            Self::Null => e.null(),
            Self::Undefined => e.undefined(),
            Self::Reference(index) => e.reference(index),
            Self::EcmaArray { count, object } => {
                e.ecma_array(count)?;
                e.raw(object.body)?;
                e.end()
            }
            Self::StrictArray(array) => {
                e.strict_array(array.count)?;
                e.raw(array.body)
            }
            Self::Date { ms, zone } => e.date(ms, zone),
            Self::Unsupported => e.unsupported(),
            Self::Xml(bytes) => e.xml(bytes),
            Self::Typed { class, object } => {
                e.typed_object(class)?;
                e.raw(object.body)?;
                e.end()
            }
            Self::Avm(bytes) => {
                e.avm()?;
                e.raw(bytes)
            }
        }
    }
}

/// The properties of an object, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object<'a> {
    message: &'a [u8],
    body: &'a [u8],
}

impl<'a> Object<'a> {
    /// The value of the first property with this name; a reference is followed.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let (_, value) = self.iter().find(|(key, _)| *key == name.as_bytes())?;
        let Value::Reference(index) = value else {
            return Some(value);
        };
        resolve(self.message, index)
    }

    /// The properties in order; references as they stand.
    #[must_use]
    pub const fn iter(&self) -> Properties<'a> {
        Properties(Walk::checked(self.message, self.body))
    }
}

impl<'a> IntoIterator for &Object<'a> {
    type Item = (&'a [u8], Value<'a>);
    type IntoIter = Properties<'a>;

    fn into_iter(self) -> Properties<'a> {
        self.iter()
    }
}

/// Names and values of an object, in order.
#[derive(Clone, Debug)]
pub struct Properties<'a>(Walk<'a>);

impl<'a> Iterator for Properties<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.r.is_empty() {
            return None;
        }
        let name = self.0.name().ok()?;
        Some((name, self.0.value(0).ok()?))
    }
}

/// The values of a strict array, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    message: &'a [u8],
    count: u32,
    body: &'a [u8],
}

impl<'a> Array<'a> {
    /// How many values there are.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values in order; references as they stand.
    #[must_use]
    pub const fn iter(&self) -> Items<'a> {
        Items(Walk::checked(self.message, self.body))
    }
}

impl<'a> IntoIterator for &Array<'a> {
    type Item = Value<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

/// Values of a strict array, in order.
#[derive(Clone, Debug)]
pub struct Items<'a>(Walk<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.r.is_empty() {
            return None;
        }
        self.0.value(0).ok()
    }
}

/// The values of a message, one after the other; ends after the first error.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    walk: Walk<'a>,
    failed: bool,
}

impl<'a> Values<'a> {
    /// Starts at the first value. References count from here.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self {
            walk: Walk {
                message,
                r: Reader::new(message),
                complex: 0,
                properties: 0,
                want: None,
                found: None,
            },
            failed: false,
        }
    }

    /// The value that a reference met here stands for.
    #[must_use]
    pub fn resolve(&self, index: u16) -> Option<Value<'a>> {
        resolve(self.walk.message, index)
    }

    /// The bytes of the values not yet read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.walk.r.rest()
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Value<'a>, AmfError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.walk.r.is_empty() {
            return None;
        }
        let value = self.walk.value(0);
        self.failed = value.is_err();
        Some(value)
    }
}

/// The complex value number `index` of a message: walks from the start, as no table is kept.
fn resolve(message: &[u8], index: u16) -> Option<Value<'_>> {
    let mut walk = Values::new(message).walk;
    walk.want = Some(u32::from(index));
    while walk.found.is_none() && !walk.r.is_empty() {
        // The value that holds the target was checked, so the walk stops in or before it.
        if walk.value(0).is_err() {
            break;
        }
    }
    let body = message.get(walk.found?..)?;
    Walk::checked(message, body).value(0).ok()
}

/// A walk over values; `message` is where references count from, `r` where it stands.
#[derive(Clone, Debug)]
struct Walk<'a> {
    message: &'a [u8],
    r: Reader<'a>,
    complex: u32,
    properties: u32,
    want: Option<u32>,
    found: Option<usize>,
}

impl<'a> Walk<'a> {
    /// Over a slice that a walk from the start of the message has checked.
    const fn checked(message: &'a [u8], body: &'a [u8]) -> Self {
        Self {
            message,
            r: Reader::new(body),
            complex: u32::MAX,
            properties: 0,
            want: None,
            found: None,
        }
    }

    fn value(&mut self, depth: u8) -> Result<Value<'a>, AmfError> {
        let at = self.r.position();
        let marker = self.r.u8("amf0 marker")?;
        Ok(match marker {
            0x00 => Value::Number(self.r.f64("amf0 number")?),
            0x01 => Value::Boolean(self.r.u8("amf0 boolean")? != 0),
            0x02 => Value::String(self.name()?),
            0x03 => {
                self.complex(at, depth)?;
                Value::Object(self.object(depth, false)?)
            }
            0x05 => Value::Null,
            0x06 => Value::Undefined,
            0x07 => Value::Reference(self.reference()?),
            0x08 => {
                self.complex(at, depth)?;
                let count = self.r.u32("amf0 ecma array count")?;
                let object = self.object(depth, true)?;
                Value::EcmaArray { count, object }
            }
            0x09 => return Err(AmfError::StrayEnd),
            0x0a => {
                self.complex(at, depth)?;
                Value::StrictArray(self.strict_array(depth)?)
            }
            0x0b => Value::Date {
                ms: self.r.f64("amf0 date")?,
                zone: self.r.u16("amf0 date zone")?.cast_signed(),
            },
            0x0c => Value::String(self.long_string()?),
            0x0d => Value::Unsupported,
            0x0f => Value::Xml(self.long_string()?),
            0x10 => {
                self.complex(at, depth)?;
                let class = self.name()?;
                let object = self.object(depth, false)?;
                Value::Typed { class, object }
            }
            0x11 => {
                let rest = self.r.rest();
                let used = amf3::Tree::measure(rest, depth)?;
                Value::Avm(self.r.take(used, "amf3 value")?)
            }
            0x04 | 0x0e => return Err(AmfError::Reserved { marker }),
            _ => return Err(AmfError::Marker { format: 0, marker }),
        })
    }

    /// Counts a complex value that starts at `at`, and notes whether it is the wanted one.
    fn complex(&mut self, at: usize, depth: u8) -> Result<(), AmfError> {
        if depth >= limits::AMF_DEPTH_MAX {
            return Err(AmfError::TooDeep { max: limits::AMF_DEPTH_MAX });
        }
        if self.want == Some(self.complex) {
            self.found = Some(at);
        }
        self.complex = self.complex.saturating_add(1);
        Ok(())
    }

    /// The properties up to the end marker, or up to the end of the bytes if that is `lenient`.
    fn object(&mut self, depth: u8, lenient: bool) -> Result<Object<'a>, AmfError> {
        let start = self.r.rest();
        loop {
            let left = self.r.len();
            let body = start.get(..start.len() - left).unwrap_or_default();
            let message = self.message;
            if left == 0 && lenient {
                return Ok(Object { message, body });
            }
            let name = self.name()?;
            if name.is_empty() && self.r.peek() == Some(0x09) {
                self.r.u8("amf0 object end")?;
                return Ok(Object { message, body });
            }
            self.properties += 1;
            if self.properties > limits::AMF_PROPERTIES_MAX {
                return Err(AmfError::TooManyProperties { max: limits::AMF_PROPERTIES_MAX });
            }
            self.value(depth + 1)?;
        }
    }

    fn strict_array(&mut self, depth: u8) -> Result<Array<'a>, AmfError> {
        let count = self.r.u32("amf0 strict array count")?;
        let start = self.r.rest();
        if count > u32::try_from(start.len()).unwrap_or(u32::MAX) {
            let have = start.len();
            return Err(AmfError::Count { count, have });
        }
        for _ in 0..count {
            self.value(depth + 1)?;
        }
        let body = start.get(..start.len() - self.r.len()).unwrap_or_default();
        Ok(Array { message: self.message, count, body })
    }

    fn reference(&mut self) -> Result<u16, AmfError> {
        let index = self.r.u16("amf0 reference")?;
        if u32::from(index) >= self.complex {
            return Err(AmfError::Reference {
                format: 0,
                table: "objects",
                index: u32::from(index),
                seen: self.complex,
            });
        }
        Ok(index)
    }

    fn name(&mut self) -> Result<&'a [u8], Short> {
        let length = self.r.u16("amf0 string length")?;
        self.r.take(usize::from(length), "amf0 string")
    }

    fn long_string(&mut self) -> Result<&'a [u8], Short> {
        let length = self.r.u32("amf0 long string length")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.r.take(length, "amf0 long string")
    }
}
