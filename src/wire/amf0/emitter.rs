//! Writes AMF0 values, one call each. Nothing is buffered: counts are the caller's.
//!
//! Source: AMF0 §2.

use crate::wire::writer::{Full, Writer};

/// Writes AMF0 values, one call each; containers are closed by the caller.
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
    pub fn number(&mut self, number: f64) -> Result<(), Full> {
        self.w.u8(0x00)?;
        self.w.f64(number)
    }

    /// 0x01.
    pub fn boolean(&mut self, boolean: bool) -> Result<(), Full> {
        self.w.bytes(&[0x01, u8::from(boolean)])
    }

    /// 0x02, or 0x0c when longer than 65 535 bytes.
    pub fn string(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if let Ok(length) = u16::try_from(bytes.len()) {
            self.w.u8(0x02)?;
            self.w.u16(length)?;
            return self.w.bytes(bytes);
        }
        self.w.u8(0x0c)?;
        self.long_string(bytes)
    }

    /// 0x03; properties follow, then `end`.
    pub fn object(&mut self) -> Result<(), Full> {
        self.w.u8(0x03)
    }

    /// The name of a property, at most 65 535 bytes; its value follows.
    pub fn key(&mut self, name: &[u8]) -> Result<(), Full> {
        let Ok(length) = u16::try_from(name.len()) else {
            return Err(Full { need: name.len(), have: usize::from(u16::MAX) });
        };
        self.w.u16(length)?;
        self.w.bytes(name)
    }

    /// The end of an object, typed object or ECMA array.
    pub fn end(&mut self) -> Result<(), Full> {
        self.w.bytes(&[0x00, 0x00, 0x09])
    }

    /// 0x05.
    pub fn null(&mut self) -> Result<(), Full> {
        self.w.u8(0x05)
    }

    /// 0x06.
    pub fn undefined(&mut self) -> Result<(), Full> {
        self.w.u8(0x06)
    }

    /// 0x07.
    pub fn reference(&mut self, index: u16) -> Result<(), Full> {
        self.w.u8(0x07)?;
        self.w.u16(index)
    }

    /// 0x08; properties follow, then `end`.
    pub fn ecma_array(&mut self, count: u32) -> Result<(), Full> {
        self.w.u8(0x08)?;
        self.w.u32(count)
    }

    /// 0x0a; exactly `count` values follow.
    pub fn strict_array(&mut self, count: u32) -> Result<(), Full> {
        self.w.u8(0x0a)?;
        self.w.u32(count)
    }

    /// 0x0b; milliseconds since 1970, and the reserved zone.
    pub fn date(&mut self, ms: f64, zone: i16) -> Result<(), Full> {
        self.w.u8(0x0b)?;
        self.w.f64(ms)?;
        self.w.u16(zone.cast_unsigned())
    }

    /// 0x0d.
    pub fn unsupported(&mut self) -> Result<(), Full> {
        self.w.u8(0x0d)
    }

    /// 0x0f.
    pub fn xml(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.w.u8(0x0f)?;
        self.long_string(bytes)
    }

    /// 0x10; properties follow, then `end`.
    pub fn typed_object(&mut self, class: &[u8]) -> Result<(), Full> {
        self.w.u8(0x10)?;
        self.key(class)
    }

    /// 0x11; one value by `amf3::Emitter` follows.
    pub fn avm(&mut self) -> Result<(), Full> {
        self.w.u8(0x11)
    }

    /// Bytes that are AMF0 already.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.w.bytes(bytes)
    }

    fn long_string(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let Ok(length) = u32::try_from(bytes.len()) else {
            return Err(Full { need: bytes.len(), have: 0 });
        };
        self.w.u32(length)?;
        self.w.bytes(bytes)
    }
}
