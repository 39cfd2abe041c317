//! The walk over AMF3 bytes that fills the reference tables, or uses them.
//!
//! The first walk over a value builds; later walks over its slices use what was built, and cannot
//! fail where the first one did not.

use super::{Array, Items, Object, Traits, Value};
use crate::limits;
use crate::wire::amf0::AmfError;
use crate::wire::reader::{Reader, Short};

/// The three reference tables of one value tree.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    strings: heapless::Vec<&'a [u8], { limits::AMF3_STRINGS_MAX }>,
    /// Where each complex value starts, from the first byte of the tree.
    objects: heapless::Vec<usize, { limits::AMF3_OBJECTS_MAX }>,
    traits: heapless::Vec<Traits<'a>, { limits::AMF3_TRAITS_MAX }>,
}

impl Tables<'_> {
    pub(super) const fn new() -> Self {
        Self {
            strings: heapless::Vec::new(),
            objects: heapless::Vec::new(),
            traits: heapless::Vec::new(),
        }
    }

    pub(super) fn object(&self, index: u32) -> Result<usize, AmfError> {
        lookup(&self.objects, "objects", index)
    }
}

fn lookup<T: Copy>(table: &[T], name: &'static str, index: u32) -> Result<T, AmfError> {
    let found = table.get(size(index)).copied();
    found.ok_or(AmfError::Reference {
        format: 3,
        table: name,
        index,
        seen: u32::try_from(table.len()).unwrap_or(u32::MAX),
    })
}

/// Tables being filled, or filled.
#[derive(Debug)]
enum Access<'t, 'a> {
    Build(&'t mut Tables<'a>),
    Use(&'t Tables<'a>),
}

/// A walk over values.
#[derive(Debug)]
pub(super) struct Walk<'t, 'a> {
    r: Reader<'a>,
    tables: Access<'t, 'a>,
    properties: u32,
}

impl<'t, 'a> Walk<'t, 'a> {
    /// Over a tree, from its first byte; `tables` are empty.
    pub(super) const fn building(bytes: &'a [u8], tables: &'t mut Tables<'a>) -> Self {
        Self { r: Reader::new(bytes), tables: Access::Build(tables), properties: 0 }
    }

    /// Over a slice of a tree that was walked before.
    pub(super) const fn using(bytes: &'a [u8], tables: &'t Tables<'a>) -> Self {
        Self { r: Reader::new(bytes), tables: Access::Use(tables), properties: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.r.position()
    }

    pub(super) fn value(&mut self, depth: u8) -> Result<Value<'a>, AmfError> {
        let at = self.r.position();
        let marker = self.r.u8("amf3 marker")?;
        Ok(match marker {
            0x00 => Value::Undefined,
            0x01 => Value::Null,
            0x02 => Value::Boolean(false),
            0x03 => Value::Boolean(true),
            0x04 => Value::Integer(signed(u29(&mut self.r)?)),
            0x05 => Value::Double(self.r.f64("amf3 double")?),
            0x06 => Value::String(self.string()?),
            0x07..=0x11 => self.complex(marker, at, depth)?,
            _ => return Err(AmfError::Marker { format: 3, marker }),
        })
    }

    /// A string without its marker, and the name of a property.
    pub(super) fn string(&mut self) -> Result<&'a [u8], AmfError> {
        let header = u29(&mut self.r)?;
        if header & 1 == 0 {
            return lookup(&self.tables().strings, "strings", header >> 1);
        }
        let bytes = self.r.take(size(header >> 1), "amf3 string")?;
        if let (Access::Build(tables), false) = (&mut self.tables, bytes.is_empty()) {
            push(&mut tables.strings, "strings", bytes)?;
        }
        Ok(bytes)
    }

    /// A value that references can point at; it is entered before what it holds.
    fn complex(&mut self, marker: u8, at: usize, depth: u8) -> Result<Value<'a>, AmfError> {
        let header = u29(&mut self.r)?;
        let n = header >> 1;
        if header & 1 == 0 {
            self.tables().object(n)?;
            return Ok(Value::Reference(n));
        }
        if depth >= limits::AMF_DEPTH_MAX {
            return Err(AmfError::TooDeep { max: limits::AMF_DEPTH_MAX });
        }
        if let Access::Build(tables) = &mut self.tables {
            push(&mut tables.objects, "objects", at)?;
        }
        let depth = depth + 1;
        Ok(match marker {
            0x07 => Value::XmlDocument(self.r.take(size(n), "amf3 xml document")?),
            0x08 => Value::Date(self.r.f64("amf3 date")?),
            0x09 => Value::Array(self.array(n, depth)?),
            0x0a => Value::Object(self.object(header, depth)?),
            0x0b => Value::Xml(self.r.take(size(n), "amf3 xml")?),
            0x0c => Value::ByteArray(self.r.take(size(n), "amf3 byte array")?),
            0x0d => {
                let (fixed, items) = self.vector(n, 4)?;
                Value::VectorInt { fixed, items }
            }
            0x0e => {
                let (fixed, items) = self.vector(n, 4)?;
                Value::VectorUint { fixed, items }
            }
            0x0f => {
                let (fixed, items) = self.vector(n, 8)?;
                Value::VectorDouble { fixed, items }
            }
            0x10 => Value::VectorObject {
                fixed: self.r.u8("amf3 vector fixed")? != 0,
                class: self.string()?,
                items: self.items(n, depth)?,
            },
            _ => {
                let weak = self.r.u8("amf3 dictionary weak keys")? != 0;
                self.property(n)?;
                let items = self.items(n.saturating_mul(2), depth)?;
                Value::Dictionary { weak, items }
            }
        })
    }

    fn array(&mut self, count: u32, depth: u8) -> Result<Array<'a>, AmfError> {
        let start = self.r.rest();
        self.named(depth)?;
        let named = self.since(start);
        let dense = self.items(count, depth)?;
        Ok(Array { named, dense })
    }

    fn object(&mut self, header: u32, depth: u8) -> Result<Object<'a>, AmfError> {
        let traits = self.traits(header)?;
        let start = self.r.rest();
        for _ in 0..traits.sealed {
            self.property(1)?;
            self.value(depth)?;
        }
        if traits.dynamic {
            self.named(depth)?;
        }
        let body = self.since(start);
        Ok(Object { traits, body })
    }

    // | object header (u29) | xx..x01: class number | x0011: inline class | x111: externalizable |
    fn traits(&mut self, header: u32) -> Result<Traits<'a>, AmfError> {
        if header & 0b11 == 0b01 {
            return lookup(&self.tables().traits, "classes", header >> 2);
        }
        if header & 0b111 == 0b111 {
            return Err(AmfError::Externalizable);
        }
        let class = self.string()?;
        let sealed = header >> 4;
        let start = self.r.rest();
        self.counted(sealed)?;
        for _ in 0..sealed {
            self.string()?;
        }
        let traits =
            Traits { class, names: self.since(start), sealed, dynamic: header & 0b1000 != 0 };
        if let Access::Build(tables) = &mut self.tables {
            push(&mut tables.traits, "classes", traits)?;
        }
        Ok(traits)
    }

    /// Names and values up to the empty name.
    fn named(&mut self, depth: u8) -> Result<(), AmfError> {
        while !self.string()?.is_empty() {
            self.property(1)?;
            self.value(depth)?;
        }
        Ok(())
    }

    fn items(&mut self, count: u32, depth: u8) -> Result<Items<'a>, AmfError> {
        self.counted(count)?;
        let start = self.r.rest();
        for _ in 0..count {
            self.value(depth)?;
        }
        let body = self.since(start);
        Ok(Items { count, body })
    }

    fn vector(&mut self, count: u32, item_bytes: usize) -> Result<(bool, &'a [u8]), AmfError> {
        let fixed = self.r.u8("amf3 vector fixed")? != 0;
        self.counted(count)?;
        let items = size(count).saturating_mul(item_bytes);
        Ok((fixed, self.r.take(items, "amf3 vector items")?))
    }

    /// Refuses a count of things of at least one byte each that cannot be there.
    fn counted(&self, count: u32) -> Result<(), AmfError> {
        let have = self.r.len();
        if size(count) > have {
            return Err(AmfError::Count { count, have });
        }
        Ok(())
    }

    fn property(&mut self, n: u32) -> Result<(), AmfError> {
        self.properties = self.properties.saturating_add(n);
        if self.properties > limits::AMF_PROPERTIES_MAX {
            return Err(AmfError::TooManyProperties { max: limits::AMF_PROPERTIES_MAX });
        }
        Ok(())
    }

    /// What was read since `start` was the rest.
    fn since(&self, start: &'a [u8]) -> &'a [u8] {
        start.get(..start.len() - self.r.len()).unwrap_or_default()
    }

    const fn tables(&self) -> &Tables<'a> {
        match &self.tables {
            Access::Build(tables) => tables,
            Access::Use(tables) => tables,
        }
    }
}

fn push<T, const N: usize>(
    table: &mut heapless::Vec<T, N>,
    name: &'static str,
    entry: T,
) -> Result<(), AmfError> {
    table.push(entry).map_err(|_| AmfError::TableFull { table: name, max: N })
}

/// A variable-length number of 29 bits: 7 in each of up to three bytes with the top bit as "more
/// follows", then 8 in a fourth.
pub(super) fn u29(r: &mut Reader<'_>) -> Result<u32, Short> {
    let mut value = 0;
    for _ in 0..3 {
        let byte = r.u8("amf3 u29")?;
        value = value << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Ok(value << 8 | u32::from(r.u8("amf3 u29")?))
}

/// The 29 bits as two's complement.
pub(super) const fn signed(value: u32) -> i32 {
    (value << 3).cast_signed() >> 3
}

/// A count of the wire as a length.
pub(super) fn size(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
