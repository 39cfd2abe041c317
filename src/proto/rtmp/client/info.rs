//! Information objects: level, code and description of an answer or a status.
//!
//! Read from AMF0 or, from servers that insist, from AMF3; redirects from AMF0 alone. Nothing is
//! required: what is missing reads as empty.
//! Source: RTMP 1.0 §7.2.2; Errata §7.2.

use crate::limits;
use crate::wire::amf0::{Object, Value};
use crate::wire::amf3::{self, Tree};
use crate::wire::rtmp::command::Command;

/// The information object of a command; perhaps none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info<'a>(Option<Value<'a>>);

impl<'a> Info<'a> {
    /// The first argument or, from servers that forget the command object, that one.
    pub(super) fn of(command: &Command<'a>) -> Self {
        match command.argument(0) {
            Some(value @ (Value::Object(_) | Value::EcmaArray { .. } | Value::Typed { .. })) => {
                Self(Some(value))
            }
            Some(value @ Value::Avm(_)) => Self(Some(value)),
            Some(Value::Reference(index)) => Self(command.arguments().resolve(index)),
            _ => Self(command.object().map(Value::Object)),
        }
    }

    /// The object that a data message carries.
    pub(super) const fn new(value: Value<'a>) -> Self {
        Self(Some(value))
    }

    /// The text of a property; empty if there is none.
    fn text(&self, name: &str) -> &'a str {
        shown(self.string(name).unwrap_or_default())
    }

    /// The address that the server asks us to move to, if it says one.
    pub(super) fn tc_url(&self) -> Option<&'a str> {
        address(self.string("tcUrl")?)
    }

    pub(super) fn code(&self) -> &'a str {
        self.text("code")
    }

    pub(super) fn description(&self) -> &'a str {
        self.text("description")
    }

    pub(super) fn is_error(&self) -> bool {
        self.text("level") == "error"
    }

    /// Where a redirect leads: an application, and perhaps the stream there.
    pub(super) fn redirect(&self) -> Option<(&'a str, Option<&'a str>)> {
        let ex = self.0?.object()?.get("ex")?.object()?;
        let code = ex.get("code")?;
        let is_redirect = code.number() == Some(302.0) || code.string() == Some(b"302");
        let target = text(&ex, "redirect")?;
        is_redirect.then_some((target, text(&ex, "redirect2")))
    }

    fn string(&self, name: &str) -> Option<&'a [u8]> {
        if let Value::Avm(bytes) = self.0? {
            return avm_string(bytes, name);
        }
        self.0?.object()?.get(name)?.string()
    }
}

fn text<'a>(object: &Object<'a>, name: &str) -> Option<&'a str> {
    address(object.get(name)?.string()?)
}

/// An address: whole or not at all.
fn address(bytes: &[u8]) -> Option<&str> {
    if bytes.is_empty() || bytes.len() > limits::UPSTREAM_TEXT_BYTES_MAX {
        return None;
    }
    core::str::from_utf8(bytes).ok()
}

fn avm_string<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let tree = Tree::parse(bytes).ok()?;
    let amf3::Value::Object(object) = tree.resolve(tree.root()?)? else {
        return None;
    };
    let value = tree.get(&object, name)?;
    if let amf3::Value::String(bytes) = value { Some(bytes) } else { None }
}

/// As much of a text as is UTF-8 and within the limit.
fn shown(bytes: &[u8]) -> &str {
    let bytes = bytes.get(..limits::UPSTREAM_WORDS_BYTES_MAX).unwrap_or(bytes);
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(good).unwrap_or_default()
        }
    }
}
