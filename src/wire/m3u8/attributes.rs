//! Attribute lists, which several tags have: walked in order, written one by one.
//!
//! Knows no attribute by name. Source: RFC 8216 §4.2.

use core::fmt;

use super::put;
use crate::wire::writer::{Full, Writer};

/// The attributes of a list such as `METHOD=AES-128,URI="k",IV=0x00`, in order.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: Option<&'a str>,
}

/// An attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeValue<'a> {
    /// Between quotation marks, without them.
    Quoted(&'a str),
    /// An enumerated string, number or resolution.
    Bare(&'a str),
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Name of `A`–`Z`, `0`–`9` and `-`.
    pub name: &'a str,
    /// Value.
    pub value: AttributeValue<'a>,
}

/// An attribute list is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute list is malformed, {left} bytes before its end")]
pub struct AttributeError {
    /// Bytes that were not read.
    pub left: usize,
}

impl<'a> Attributes<'a> {
    /// Walks `list`, what follows a tag's colon.
    #[must_use]
    pub const fn new(list: &'a str) -> Self {
        Self { rest: Some(list) }
    }

    fn split(rest: &'a str) -> Option<(Attribute<'a>, Option<&'a str>)> {
        let (name, after) = rest.split_once('=')?;
        let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || !name.bytes().all(legal) {
            return None;
        }
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            let (text, after) = quoted.split_once('"')?;
            (AttributeValue::Quoted(text), after)
        } else {
            let end = after.find(',').unwrap_or(after.len());
            let (text, after) = after.split_at_checked(end)?;
            if text.is_empty() || text.contains([' ', '"', '\t']) {
                return None;
            }
            (AttributeValue::Bare(text), after)
        };
        let rest = match after.strip_prefix(',') {
            Some(more) => Some(more),
            None if after.is_empty() => None,
            None => return None,
        };
        Some((Attribute { name, value }, rest))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, AttributeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        Some(match Self::split(rest) {
            Some((attribute, rest)) => {
                self.rest = rest;
                Ok(attribute)
            }
            None => Err(AttributeError { left: rest.len() }),
        })
    }
}

impl Attribute<'_> {
    /// Writes `NAME=value`; the caller writes commas. Values hold no quotation mark or line end.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        match self.value {
            AttributeValue::Quoted(text) => put(w, format_args!("{}=\"{text}\"", self.name)),
            AttributeValue::Bare(text) => put(w, format_args!("{}={text}", self.name)),
        }
    }
}

/// A tag with an attribute list that is being written.
pub(super) struct List<'w, 'b> {
    pub(super) w: &'w mut Writer<'b>,
    between: &'static [u8],
}

impl<'w, 'b> List<'w, 'b> {
    /// Begins with `tag`, its colon included.
    pub(super) fn new(w: &'w mut Writer<'b>, tag: &str) -> Result<Self, Full> {
        w.bytes(tag.as_bytes())?;
        Ok(Self { w, between: b"" })
    }

    pub(super) fn bare(&mut self, name: &str, value: fmt::Arguments<'_>) -> Result<(), Full> {
        self.name(name)?;
        put(self.w, value)
    }

    pub(super) fn quoted(&mut self, name: &str, text: &str) -> Result<(), Full> {
        self.name(name)?;
        for part in ["\"", text, "\""] {
            self.w.bytes(part.as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn end(self) -> Result<(), Full> {
        self.w.u8(b'\n')
    }

    fn name(&mut self, name: &str) -> Result<(), Full> {
        for part in [self.between, name.as_bytes(), b"="] {
            self.w.bytes(part)?;
        }
        self.between = b",";
        Ok(())
    }
}
