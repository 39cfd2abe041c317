//! Writes AMF3 values, one call each. Keeps no tables: references are written when asked for.
//!
//! Source: AMF3 §1.3, §3.

use crate::wire::writer::{Full, Writer};

/// Largest number of a u29 field.
const U29_MAX: u32 = (1 << 29) - 1;

/// Writes AMF3 values, one call each; containers are closed by the caller.
#[derive(Debug)]
pub struct Emitter<'w, 'b> {
    w: &'w mut Writer<'b>,
}

/// Each method writes one value or part of one.
///
/// # Errors
/// `Full` if it does not fit; part of it may then be written.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods, above")]
impl<'w, 'b> Emitter<'w, 'b> {
    /// Writes into `w`.
    pub const fn new(w: &'w mut Writer<'b>) -> Self {
        Self { w }
    }

    /// 0x00.
    pub fn undefined(&mut self) -> Result<(), Full> {
        self.w.u8(0x00)
    }

    /// 0x01.
    pub fn null(&mut self) -> Result<(), Full> {
        self.w.u8(0x01)
    }

    /// 0x02 or 0x03.
    pub fn boolean(&mut self, boolean: bool) -> Result<(), Full> {
        self.w.u8(0x02 + u8::from(boolean))
    }

    /// 0x04, or 0x05 outside of -2^28 to 2^28 - 1.
    pub fn integer(&mut self, integer: i32) -> Result<(), Full> {
        if !(-(1 << 28)..1 << 28).contains(&integer) {
            return self.double(f64::from(integer));
        }
        self.w.u8(0x04)?;
        self.u29(integer.cast_unsigned() & U29_MAX)
    }

    /// 0x05.
    pub fn double(&mut self, double: f64) -> Result<(), Full> {
        self.w.u8(0x05)?;
        self.w.f64(double)
    }

    /// 0x06 with the bytes.
    pub fn string(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.w.u8(0x06)?;
        self.key(bytes)
    }

    /// 0x06 with the number of an earlier string.
    pub fn string_reference(&mut self, index: u32) -> Result<(), Full> {
        self.w.u8(0x06)?;
        self.key_reference(index)
    }

    /// The name of a property, or of a class; its value follows. An empty name is `end`.
    pub fn key(&mut self, name: &[u8]) -> Result<(), Full> {
        self.counted(name.len())?;
        self.w.bytes(name)
    }

    /// The name of a property or class by the number of an earlier string.
    pub fn key_reference(&mut self, index: u32) -> Result<(), Full> {
        self.u29_shifted(index, 1, 0)
    }

    /// 0x07.
    pub fn xml_document(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.w.u8(0x07)?;
        self.key(bytes)
    }

    /// 0x08; milliseconds since 1970.
    pub fn date(&mut self, ms: f64) -> Result<(), Full> {
        self.w.bytes(&[0x08, 0x01])?;
        self.w.f64(ms)
    }

    /// 0x09; named values follow, then `end`, then exactly `count` values.
    pub fn array(&mut self, count: u32) -> Result<(), Full> {
        self.w.u8(0x09)?;
        self.u29_shifted(count, 1, 1)
    }

    /// 0x0a with a class of its own; then one value for each sealed name; then, if `dynamic`, names
    /// and values, and `end`.
    pub fn object(&mut self, class: &[u8], sealed: &[&[u8]], dynamic: bool) -> Result<(), Full> {
        self.w.u8(0x0a)?;
        let count = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        self.u29_shifted(count, 4, 0b0011 | u32::from(dynamic) << 3)?;
        self.key(class)?;
        sealed.iter().try_for_each(|name| self.key(name))
    }

    /// 0x0a with the number of an earlier class; then as `object`.
    pub fn object_of_class(&mut self, index: u32) -> Result<(), Full> {
        self.w.u8(0x0a)?;
        self.u29_shifted(index, 2, 0b01)
    }

    /// The end of named values.
    pub fn end(&mut self) -> Result<(), Full> {
        self.w.u8(0x01)
    }

    /// 0x0b.
    pub fn xml(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.w.u8(0x0b)?;
        self.key(bytes)
    }

    /// 0x0c.
    pub fn byte_array(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.w.u8(0x0c)?;
        self.key(bytes)
    }

    /// 0x0d.
    pub fn vector_int(&mut self, fixed: bool, items: &[i32]) -> Result<(), Full> {
        self.w.u8(0x0d)?;
        self.counted(items.len())?;
        self.w.u8(u8::from(fixed))?;
        items.iter().try_for_each(|item| self.w.u32(item.cast_unsigned()))
    }

    /// 0x0e.
    pub fn vector_uint(&mut self, fixed: bool, items: &[u32]) -> Result<(), Full> {
        self.w.u8(0x0e)?;
        self.counted(items.len())?;
        self.w.u8(u8::from(fixed))?;
        items.iter().try_for_each(|&item| self.w.u32(item))
    }

    /// 0x0f.
    pub fn vector_double(&mut self, fixed: bool, items: &[f64]) -> Result<(), Full> {
        self.w.u8(0x0f)?;
        self.counted(items.len())?;
        self.w.u8(u8::from(fixed))?;
        items.iter().try_for_each(|&item| self.w.f64(item))
    }

    /// 0x10; exactly `count` values follow.
    pub fn vector_object(&mut self, fixed: bool, class: &[u8], count: u32) -> Result<(), Full> {
        self.w.u8(0x10)?;
        self.u29_shifted(count, 1, 1)?;
        self.w.u8(u8::from(fixed))?;
        self.key(class)
    }

    /// 0x11; exactly `count` pairs of values follow.
    pub fn dictionary(&mut self, weak: bool, count: u32) -> Result<(), Full> {
        self.w.u8(0x11)?;
        self.u29_shifted(count, 1, 1)?;
        self.w.u8(u8::from(weak))
    }

    /// A reference to the earlier complex value number `index`, which began with `marker`, 0x07 to
    /// 0x11.
    pub fn reference(&mut self, marker: u8, index: u32) -> Result<(), Full> {
        debug_assert!((0x07..=0x11).contains(&marker));
        self.w.u8(marker)?;
        self.u29_shifted(index, 1, 0)
    }

    /// A length or count with the low bit that says "not a reference".
    fn counted(&mut self, count: usize) -> Result<(), Full> {
        self.u29_shifted(u32::try_from(count).unwrap_or(u32::MAX), 1, 1)
    }

    fn u29_shifted(&mut self, value: u32, shift: u32, low: u32) -> Result<(), Full> {
        let max = U29_MAX >> shift;
        if value > max {
            return Err(Full {
                need: usize::try_from(value).unwrap_or(usize::MAX),
                have: usize::try_from(max).unwrap_or(usize::MAX),
            });
        }
        self.u29(value << shift | low)
    }

    fn u29(&mut self, value: u32) -> Result<(), Full> {
        debug_assert!(value <= U29_MAX);
        let low7 = |shift: u32| {
            let [byte, ..] = (value >> shift & 0x7f).to_le_bytes();
            byte
        };
        match value {
            0..0x80 => self.w.bytes(&[low7(0)]),
            0x80..0x4000 => self.w.bytes(&[low7(7) | 0x80, low7(0)]),
            0x4000..0x20_0000 => self.w.bytes(&[low7(14) | 0x80, low7(7) | 0x80, low7(0)]),
            _ => {
                let [last, ..] = value.to_le_bytes();
                let (a, b, c) = (low7(22) | 0x80, low7(15) | 0x80, low7(8) | 0x80);
                self.w.bytes(&[a, b, c, last])
            }
        }
    }
}
