//! Extra arguments of connect, as `rtmp_conn` writes them: text in, AMF0 out.
//!
//! Items stand between spaces, each a type and a value: `B:1` `S:text` `N:3.5` `Z:` and `O:1` …
//! `O:0` around the properties of an object, whose items carry `N` and a name in front:
//! `NS:flag:ok`, `NO:inner:1`. A text is checked whole when it is set, and walked again when it
//! is sent. Its bytes are bounded with those of every option.
//! Source: ffmpeg-protocols, `rtmp_conn`; bytes as ffmpeg 5.1 sends them.
//!
//! Quirks: what stands behind `Z:` is left alone. A string cannot hold a space.

use core::fmt;
use core::str::SplitAsciiWhitespace;

use crate::limits;
use crate::wire::amf0::Emitter;
use crate::wire::writer::Full;

/// Why an item cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemFault {
    /// Malformed: no type in front.
    #[error("has no type: write B:1, S:text, N:3, O:1, O:0 or Z:")]
    Type,
    /// Malformed: neither 0 nor 1.
    #[error("needs 0 or 1")]
    Bit,
    /// Malformed: not a finite number.
    #[error("needs a number")]
    Number,
    /// Malformed: in an object every item has a name.
    #[error("needs a name inside of an object: write it like NS:name:text")]
    NoName,
    /// Malformed: outside of an object no item has a name.
    #[error("has a name outside of an object: begin one with O:1")]
    Name,
    /// Malformed: the end of an object that was not begun, or that carries a name.
    #[error("ends no object: O:0 belongs to an O:1 before it")]
    StrayEnd,
    /// Malformed: the text ends inside of an object.
    #[error("leaves an object open: end it with O:0")]
    Open,
    /// Exhausted: objects inside each other.
    #[error("is nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// Exhausted: items.
    #[error("is one too many, at most {max} are allowed")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

/// Which item cannot be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("item {item} {fault}")]
pub struct ItemError {
    /// Counted from 1.
    pub item: usize,
    /// What is wrong with it.
    pub fault: ItemFault,
}

/// Checked arguments; borrows the text, which may hold secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectArguments<'a>(&'a str);

impl fmt::Debug for ConnectArguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectArguments({} bytes)", self.0.len())
    }
}

impl<'a> ConnectArguments<'a> {
    /// No arguments.
    pub const NONE: Self = Self("");

    /// Checks a text.
    ///
    /// # Errors
    /// The first item that cannot be used.
    pub fn parse(text: &'a str) -> Result<Self, ItemError> {
        let (mut item, mut depth) = (0, 0);
        let fail = |item, fault| Err(ItemError { item, fault });
        for word in text.split_ascii_whitespace() {
            item += 1;
            if item > limits::CONNECT_ITEMS_MAX {
                return fail(item, ItemFault::TooMany { max: limits::CONNECT_ITEMS_MAX });
            }
            depth = match Item::parse(word).and_then(|item| item.place(depth)) {
                Ok(depth) => depth,
                Err(fault) => return fail(item, fault),
            };
        }
        if depth > 0 {
            return fail(item, ItemFault::Open);
        }
        Ok(Self(text))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items().next().is_none()
    }

    /// Writes the arguments, to stand behind the command object.
    ///
    /// # Errors
    /// `Full` if they do not fit; part of them may then be written.
    pub fn emit(&self, e: &mut Emitter<'_, '_>) -> Result<(), Full> {
        self.items().try_for_each(|item| item.emit(e))
    }

    fn items(&self) -> Items<'a> {
        Items(self.0.split_ascii_whitespace())
    }
}

/// The items of a checked text.
struct Items<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let item = Item::parse(self.0.next()?);
        debug_assert!(item.is_ok());
        item.ok()
    }
}

#[derive(Clone, Copy, Debug)]
struct Item<'a> {
    name: Option<&'a str>,
    value: Value<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Boolean(bool),
    Text(&'a str),
    Number(f64),
    Null,
    Begin,
    End,
}

impl<'a> Item<'a> {
    fn parse(word: &'a str) -> Result<Self, ItemFault> {
        let (kind, rest) = word.split_once(':').ok_or(ItemFault::Type)?;
        let (kind, name, text) = match kind.strip_prefix('N') {
            None | Some("") => (kind, None, rest),
            Some(kind) => {
                let (name, text) = rest.split_once(':').ok_or(ItemFault::NoName)?;
                (kind, Some(name), text)
            }
        };
        if name == Some("") {
            return Err(ItemFault::NoName);
        }
        let value = match kind {
            "B" => Value::Boolean(bit(text)?),
            "S" => Value::Text(text),
            "N" => Value::Number(number(text)?),
            "Z" => Value::Null,
            "O" if bit(text)? => Value::Begin,
            "O" => Value::End,
            _ => return Err(ItemFault::Type),
        };
        Ok(Self { name, value })
    }

    /// The depth behind this item, which stands at `depth`.
    const fn place(self, depth: usize) -> Result<usize, ItemFault> {
        match (self.value, self.name) {
            (Value::End, None) if depth > 0 => Ok(depth - 1),
            (Value::End, _) => Err(ItemFault::StrayEnd),
            (_, Some(_)) if depth == 0 => Err(ItemFault::Name),
            (_, None) if depth > 0 => Err(ItemFault::NoName),
            (Value::Begin, _) if depth >= limits::CONNECT_DEPTH_MAX => {
                Err(ItemFault::TooDeep { max: limits::CONNECT_DEPTH_MAX })
            }
            (Value::Begin, _) => Ok(depth + 1),
            _ => Ok(depth),
        }
    }

    fn emit(self, e: &mut Emitter<'_, '_>) -> Result<(), Full> {
        if let Some(name) = self.name {
            e.key(name.as_bytes())?;
        }
        match self.value {
            Value::Boolean(boolean) => e.boolean(boolean),
            Value::Text(text) => e.string(text.as_bytes()),
            Value::Number(number) => e.number(number),
            Value::Null => e.null(),
            Value::Begin => e.object(),
            Value::End => e.end(),
        }
    }
}

fn bit(text: &str) -> Result<bool, ItemFault> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(ItemFault::Bit),
    }
}

fn number(text: &str) -> Result<f64, ItemFault> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or(ItemFault::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::amf0::{self, Values};
    use crate::wire::writer::Writer;
    use proptest::prelude::*;

    fn emitted(text: &str) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let mut w = Writer::new(&mut buffer);
        ConnectArguments::parse(text).unwrap().emit(&mut Emitter::new(&mut w)).unwrap();
        w.finish().to_vec()
    }

    #[test]
    fn arguments_are_the_bytes_that_ffmpeg_sends() {
        let bytes = emitted("S:tok N:3 O:1 NS:flag:ok O:0");
        let want = b"\x02\x00\x03tok\x00\x40\x08\0\0\0\0\0\0\x03\x00\x04flag\x02\x00\x02ok\0\0\x09";
        assert_eq!(bytes, want);
    }

    #[test]
    fn every_type_stands_alone_and_in_objects() {
        use amf0::Value::{Boolean, Null, Number, String};
        let bytes = emitted(
            " B:1 B:0  S: S:a:b N:-2.5e1 Z: Z:x \
             O:1 NB:b:1 NN:n:0 NZ:z: NO:o:1 NS:s:t:u O:0 O:0 S:x",
        );
        let values: Vec<_> = Values::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(values[..3], [Boolean(true), Boolean(false), String(b"")]);
        assert_eq!(values[3..7], [String(b"a:b"), Number(-25.0), Null, Null]);
        let object = values[7].object().unwrap();
        assert_eq!(object.get("b"), Some(Boolean(true)));
        assert_eq!(object.get("n"), Some(Number(0.0)));
        assert_eq!(object.get("z"), Some(Null));
        let inner = object.get("o").unwrap().object().unwrap();
        assert_eq!(inner.get("s"), Some(String(b"t:u")));
        assert_eq!(values[8..], [String(b"x")]);
        assert_eq!(emitted(""), b"");
        assert!(ConnectArguments::parse(" ").unwrap().is_empty());
        assert!(!ConnectArguments::parse("Z:").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_item() {
        for (text, item, fault) in [
            ("S:x text", 2, ItemFault::Type),
            ("X:1", 1, ItemFault::Type),
            ("NX:a:1", 1, ItemFault::Type),
            (":", 1, ItemFault::Type),
            ("b:1", 1, ItemFault::Type),
            ("B:2", 1, ItemFault::Bit),
            ("B:", 1, ItemFault::Bit),
            ("O:x", 1, ItemFault::Bit),
            ("N:", 1, ItemFault::Number),
            ("N:0x10", 1, ItemFault::Number),
            ("N:inf", 1, ItemFault::Number),
            ("N:1e999", 1, ItemFault::Number),
            ("O:1 S:x O:0", 2, ItemFault::NoName),
            ("O:1 NS:x O:0", 2, ItemFault::NoName),
            ("O:1 NS::x O:0", 2, ItemFault::NoName),
            ("O:1 O:1", 2, ItemFault::NoName),
            ("NS:x:y", 1, ItemFault::Name),
            ("Z: O:0", 2, ItemFault::StrayEnd),
            ("O:1 NO:x:0", 2, ItemFault::StrayEnd),
            ("O:1 NZ:x:", 2, ItemFault::Open),
        ] {
            let error = ConnectArguments::parse(text).unwrap_err();
            assert_eq!(error, ItemError { item, fault }, "{text}");
        }
        let error = ConnectArguments::parse("Z: N:x").unwrap_err();
        assert_eq!(error.to_string(), "item 2 needs a number");
    }

    #[test]
    fn items_and_depth_are_bounded() {
        let nested = |n: usize| format!("O:1 {} {}", "NO:x:1 ".repeat(n - 1), "O:0 ".repeat(n));
        let max = limits::CONNECT_DEPTH_MAX;
        let bytes = emitted(&nested(max));
        assert!(Values::new(&bytes).all(|value| value.is_ok()));
        let error = ConnectArguments::parse(&nested(max + 1)).unwrap_err();
        assert_eq!(error, ItemError { item: max + 1, fault: ItemFault::TooDeep { max } });

        let max = limits::CONNECT_ITEMS_MAX;
        assert!(ConnectArguments::parse(&"Z: ".repeat(max)).is_ok());
        let error = ConnectArguments::parse(&"Z: ".repeat(max + 1)).unwrap_err();
        assert_eq!(error, ItemError { item: max + 1, fault: ItemFault::TooMany { max } });
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_sent_as_whole_values(
            items in proptest::collection::vec(
                "(B:[01]|S:[a:]{0,3}|N:[0-9.]{1,3}|Z:|O:[01]|N[BNO]:[a-c]:[01]|NS:a:é|.{0,4})",
                0..12,
            ),
        ) {
            let text = items.join(" ");
            if ConnectArguments::parse(&text).is_ok() {
                let bytes = emitted(&text);
                prop_assert!(Values::new(&bytes).all(|value| value.is_ok()));
            }
        }
    }
}
