//! AMF3 values: a tree over borrowed bytes, and an emitter.
//!
//! AMF3 appears inside AMF0 behind marker 0x11, one value at a time. `Tree::parse` walks that value
//! once, checks it whole and fills the three reference tables, which start empty at each 0x11 and
//! only ever grow in the order of the bytes: an index means the same wherever in the value it
//! stands. Containers are slices; the tree iterates and searches them. Strings are bytes.
//! Source: AMF3 §1.3, §2, §3. Not here: externalizable objects, whose length only their class
//! knows.

mod emitter;
mod walk;

pub use emitter::Emitter;

use crate::wire::amf0::AmfError;
use crate::wire::reader::Reader;
use walk::{Tables, Walk};

/// One value; containers are checked slices to be opened with the `Tree` they come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// 0x00.
    Undefined,
    /// 0x01.
    Null,
    /// 0x02 and 0x03.
    Boolean(bool),
    /// 0x04: -2^28 to 2^28 - 1.
    Integer(i32),
    /// 0x05.
    Double(f64),
    /// 0x06; a reference is resolved.
    String(&'a [u8]),
    /// 0x07.
    XmlDocument(&'a [u8]),
    /// 0x08: milliseconds since 1970.
    Date(f64),
    /// 0x09.
    Array(Array<'a>),
    /// 0x0a.
    Object(Object<'a>),
    /// 0x0b.
    Xml(&'a [u8]),
    /// 0x0c.
    ByteArray(&'a [u8]),
    /// 0x0d: 4 bytes each, big-endian, two's complement.
    VectorInt {
        /// Whether its length is fixed.
        fixed: bool,
        /// The items.
        items: &'a [u8],
    },
    /// 0x0e: 4 bytes each, big-endian.
    VectorUint {
        /// Whether its length is fixed.
        fixed: bool,
        /// The items.
        items: &'a [u8],
    },
    /// 0x0f: 8 bytes each, big-endian IEEE 754.
    VectorDouble {
        /// Whether its length is fixed.
        fixed: bool,
        /// The items.
        items: &'a [u8],
    },
    /// 0x10.
    VectorObject {
        /// Whether its length is fixed.
        fixed: bool,
        /// Class name of the items; empty or `*` for any.
        class: &'a [u8],
        /// The items.
        items: Items<'a>,
    },
    /// 0x11.
    Dictionary {
        /// Whether keys are held weakly.
        weak: bool,
        /// Keys and values in turn.
        items: Items<'a>,
    },
    /// A complex value of this tree, by number: see `Tree::resolve`.
    Reference(u32),
}

/// Values one after the other, checked; see `Tree::items`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Items<'a> {
    /// How many values.
    pub count: u32,
    body: &'a [u8],
}

/// An array: named values, then numbered ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    named: &'a [u8],
    /// The numbered values.
    pub dense: Items<'a>,
}

/// An object: its class and the values of its properties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object<'a> {
    traits: Traits<'a>,
    body: &'a [u8],
}

impl<'a> Object<'a> {
    /// Class name; empty for an anonymous object.
    #[must_use]
    pub const fn class(&self) -> &'a [u8] {
        self.traits.class
    }
}

/// A class: its name and the names of its sealed properties.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Traits<'a> {
    class: &'a [u8],
    names: &'a [u8],
    sealed: u32,
    dynamic: bool,
}

/// One value with its reference tables: about 12 KiB, meant for the stack of one call.
#[derive(Debug)]
pub struct Tree<'a> {
    bytes: &'a [u8],
    tables: Tables<'a>,
}

impl<'a> Tree<'a> {
    /// Reads the value that starts at the first byte; bytes after it are left alone.
    ///
    /// # Errors
    /// What the value violates.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AmfError> {
        let mut tables = Tables::new();
        Walk::building(bytes, &mut tables).value(0)?;
        Ok(Self { bytes, tables })
    }

    /// Bytes of the value that starts at the first byte, in a message where it stands `depth` deep.
    ///
    /// # Errors
    /// What the value violates.
    pub fn measure(bytes: &[u8], depth: u8) -> Result<usize, AmfError> {
        let mut tables = Tables::new();
        let mut walk = Walk::building(bytes, &mut tables);
        walk.value(depth)?;
        Ok(walk.position())
    }

    /// The value itself.
    #[must_use]
    pub fn root(&self) -> Option<Value<'a>> {
        self.walk(self.bytes).value(0).ok()
    }

    /// What a reference stands for; other values as they are.
    #[must_use]
    pub fn resolve(&self, value: Value<'a>) -> Option<Value<'a>> {
        let Value::Reference(index) = value else {
            return Some(value);
        };
        let at = self.tables.object(index).ok()?;
        self.walk(self.bytes.get(at..)?).value(0).ok()
    }

    /// The value of an object's first property with this name; a reference is followed.
    #[must_use]
    pub fn get(&self, object: &Object<'a>, name: &str) -> Option<Value<'a>> {
        let mut properties = self.properties(object);
        let (_, value) = properties.find(|(key, _)| *key == name.as_bytes())?;
        self.resolve(value)
    }

    /// An object's properties, sealed before dynamic; references as they stand.
    #[must_use]
    pub fn properties<'t>(&'t self, object: &Object<'a>) -> Properties<'t, 'a> {
        Properties {
            names: self.walk(object.traits.names),
            sealed: object.traits.sealed,
            dynamic: object.traits.dynamic,
            values: self.walk(object.body),
        }
    }

    /// The named values of an array; references as they stand.
    #[must_use]
    pub fn named<'t>(&'t self, array: &Array<'a>) -> Properties<'t, 'a> {
        Properties {
            names: self.walk(&[]),
            sealed: 0,
            dynamic: true,
            values: self.walk(array.named),
        }
    }

    /// Values one after the other; references as they stand.
    pub fn items(&self, items: Items<'a>) -> impl Iterator<Item = Value<'a>> {
        let mut walk = self.walk(items.body);
        (0..items.count).map_while(move |_| walk.value(0).ok())
    }

    fn walk<'t>(&'t self, bytes: &'a [u8]) -> Walk<'t, 'a> {
        Walk::using(bytes, &self.tables)
    }
}

/// Names and values of an object, in order.
#[derive(Debug)]
pub struct Properties<'t, 'a> {
    names: Walk<'t, 'a>,
    sealed: u32,
    dynamic: bool,
    values: Walk<'t, 'a>,
}

impl<'a> Iterator for Properties<'_, 'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(left) = self.sealed.checked_sub(1) {
            self.sealed = left;
            let name = self.names.string().ok()?;
            return Some((name, self.values.value(0).ok()?));
        }
        if !self.dynamic {
            return None;
        }
        let name = self.values.string().ok()?;
        if name.is_empty() {
            self.dynamic = false;
            return None;
        }
        Some((name, self.values.value(0).ok()?))
    }
}

/// The string that a value is, if it is one; without building a tree.
#[must_use]
pub(crate) fn first_string(bytes: &[u8]) -> Option<&[u8]> {
    let mut r = Reader::new(bytes);
    if r.u8("amf3 marker").ok()? != 0x06 {
        return None;
    }
    let header = walk::u29(&mut r).ok()?;
    if header & 1 == 0 {
        return None;
    }
    r.take(walk::size(header >> 1), "amf3 string").ok()
}

/// The number that a value is, if it is one; without building a tree.
#[must_use]
pub(crate) fn first_number(bytes: &[u8]) -> Option<f64> {
    let mut r = Reader::new(bytes);
    match r.u8("amf3 marker").ok()? {
        0x04 => Some(f64::from(walk::signed(walk::u29(&mut r).ok()?))),
        0x05 => r.f64("amf3 double").ok(),
        _ => None,
    }
}
