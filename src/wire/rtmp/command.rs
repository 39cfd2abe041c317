//! Commands: what peers call, and what servers answer.
//!
//! A command is a name, a transaction, a command object and arguments, in AMF0. Values that are
//! missing read as their defaults and surplus ones are left alone. What a command does is the
//! session's affair.
//! Source: RTMP 1.0 §7.2; Errata §7.2, §8.1, §8.3.
//!
//! Quirks: type 17 carries one format byte before the values, and a few clients forget it. What
//! should be a number may be something else (GStreamer's deleteStream carries a name).

use crate::wire::amf0::{AmfError, Emitter, Object, Value, Values};
use crate::wire::rtmp::message::MessageType;
use crate::wire::writer::{Full, Writer};

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Malformed, unsupported or exhausted: its values.
    #[error(transparent)]
    Amf(#[from] AmfError),
    /// Malformed: it does not start with a string.
    #[error("command does not start with its name")]
    NoName,
}

/// The AMF0 values of a command or data message: types 15 and 17 have a format byte in front.
#[must_use]
pub fn values_of(kind: MessageType, payload: &[u8]) -> &[u8] {
    if matches!(kind, MessageType::CommandAmf3 | MessageType::DataAmf3) {
        // 0x00 would start a number, with which neither a command nor a data message begins.
        return payload.strip_prefix(&[0x00]).unwrap_or(payload);
    }
    payload
}

/// A command as it arrived.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    /// What is called; compared as bytes.
    pub name: &'a [u8],
    /// What a reply must repeat; 0 asks for none.
    pub transaction: f64,
    object: Value<'a>,
    arguments: Values<'a>,
}

impl<'a> Command<'a> {
    /// Reads name, transaction and command object of a type 17 or 20 message.
    ///
    /// # Errors
    /// What these violate. Arguments are read when asked for.
    pub fn parse(kind: MessageType, payload: &'a [u8]) -> Result<Self, CommandError> {
        let mut values = Values::new(values_of(kind, payload));
        let name = values.next().transpose()?.and_then(|value| value.string());
        let Some(name) = name else {
            return Err(CommandError::NoName);
        };
        let transaction = values.next().transpose()?;
        let object = values.next().transpose()?;
        Ok(Self {
            name,
            transaction: transaction.and_then(|value| value.number()).unwrap_or(0.0),
            object: object.unwrap_or(Value::Null),
            arguments: values,
        })
    }

    /// Whether the peer waits for a reply.
    #[must_use]
    pub const fn wants_reply(&self) -> bool {
        self.transaction.to_bits() << 1 != 0
    }

    /// The command object's properties, if it is not null.
    #[must_use]
    pub fn object(&self) -> Option<Object<'a>> {
        if let Value::Reference(index) = self.object {
            return self.arguments.resolve(index)?.object();
        }
        self.object.object()
    }

    /// The arguments after the command object.
    #[must_use]
    pub fn arguments(&self) -> Values<'a> {
        self.arguments.clone()
    }

    /// Argument `n`, from 0; none if there are fewer or one before it is malformed.
    #[must_use]
    pub fn argument(&self, n: usize) -> Option<Value<'a>> {
        self.arguments().map_while(Result::ok).nth(n)
    }

    /// The bytes of argument `n` if it is a string.
    #[must_use]
    pub fn string(&self, n: usize) -> Option<&'a [u8]> {
        self.argument(n)?.string()
    }

    /// Argument `n` if it is a number.
    #[must_use]
    pub fn number(&self, n: usize) -> Option<f64> {
        self.argument(n)?.number()
    }

    /// Argument `n` if it is a whole number from 0 to 2^32 - 1: a message stream id.
    #[must_use]
    pub fn stream(&self, n: usize) -> Option<u32> {
        whole(self.number(n)?)
    }

    /// The string property `name` of the command object.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        self.object()?.get(name)?.string()
    }
}

/// A number as a message stream id, if it is one.
#[must_use]
pub fn whole(number: f64) -> Option<u32> {
    if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
        return None;
    }
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and in range, as checked above"
    )]
    Some(number as u32)
}

/// How an information object ranks itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As wanted.
    Status,
    /// Works, but.
    Warning,
    /// Refused or broken.
    Error,
}

impl Level {
    /// As it stands on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a server answers or calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply<'a> {
    /// `_result` to connect.
    Connected {
        /// Of the connect.
        transaction: f64,
    },
    /// `_error` with an information object, to connect and to any other call.
    Refused {
        /// Of the call.
        transaction: f64,
        /// Starts with `NetConnection.`.
        code: &'a str,
        /// For people.
        description: &'a str,
    },
    /// `_result` without a value.
    Done {
        /// Of the call.
        transaction: f64,
    },
    /// `_result` with a number: the stream id of createStream, the seconds of getStreamLength.
    Number {
        /// Of the call.
        transaction: f64,
        /// The result.
        number: f64,
    },
    /// `onStatus` with an information object.
    Status {
        /// Its rank.
        level: Level,
        /// Starts with `NetStream.`.
        code: &'a str,
        /// For people.
        description: &'a str,
    },
    /// `onFCPublish` or `onFCUnpublish`.
    Notify {
        /// The method.
        name: &'a str,
        /// Starts with `NetStream.`.
        code: &'a str,
        /// For people.
        description: &'a str,
    },
    /// `onBWDone`: the bandwidth check that never was is over.
    BandwidthDone,
}

impl Reply<'_> {
    /// Writes the payload of a type 20 message.
    ///
    /// # Errors
    /// `Full` if it does not fit; part of it may then be written.
    pub fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let e = &mut Emitter::new(w);
        match *self {
            Self::Connected { transaction } => connected(e, transaction),
            Self::Refused { transaction, code, description } => {
                head(e, "_error", transaction)?;
                e.null()?;
                information(e, Some(Level::Error), code, description)
            }
            Self::Done { transaction } => {
                head(e, "_result", transaction)?;
                e.null()?;
                e.undefined()
            }
            Self::Number { transaction, number } => {
                head(e, "_result", transaction)?;
                e.null()?;
                e.number(number)
            }
            Self::Status { level, code, description } => {
                head(e, "onStatus", 0.0)?;
                e.null()?;
                information(e, Some(level), code, description)
            }
            Self::Notify { name, code, description } => {
                head(e, name, 0.0)?;
                e.null()?;
                information(e, None, code, description)
            }
            Self::BandwidthDone => {
                head(e, "onBWDone", 0.0)?;
                e.null()
            }
        }
    }
}

fn head(e: &mut Emitter<'_, '_>, name: &str, transaction: f64) -> Result<(), Full> {
    e.string(name.as_bytes())?;
    e.number(transaction)
}

/// The result of connect; object encoding 0 says that we send AMF0 alone (Errata §8.1.1).
fn connected(e: &mut Emitter<'_, '_>, transaction: f64) -> Result<(), Full> {
    head(e, "_result", transaction)?;
    e.object()?;
    e.key(b"fmsVer")?;
    e.string(b"FMS/3,0,1,123")?;
    e.key(b"capabilities")?;
    e.number(31.0)?;
    e.end()?;
    e.object()?;
    text(e, "level", Level::Status.text())?;
    text(e, "code", "NetConnection.Connect.Success")?;
    text(e, "description", "Connection succeeded.")?;
    e.key(b"objectEncoding")?;
    e.number(0.0)?;
    e.end()
}

fn information(
    e: &mut Emitter<'_, '_>,
    level: Option<Level>,
    code: &str,
    description: &str,
) -> Result<(), Full> {
    e.object()?;
    if let Some(level) = level {
        text(e, "level", level.text())?;
    }
    text(e, "code", code)?;
    text(e, "description", description)?;
    e.end()
}

fn text(e: &mut Emitter<'_, '_>, name: &str, value: &str) -> Result<(), Full> {
    e.key(name.as_bytes())?;
    e.string(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_accepts_ids_alone() {
        assert_eq!(whole(0.0), Some(0));
        assert_eq!(whole(4_294_967_295.0), Some(u32::MAX));
        for number in [-1.0, 0.5, 4_294_967_296.0, f64::NAN, f64::INFINITY] {
            assert_eq!(whole(number), None, "{number}");
        }
    }

    #[test]
    fn command_reads_missing_values_as_defaults() {
        let command = Command::parse(MessageType::CommandAmf0, b"\x02\x00\x01x").unwrap();
        assert_eq!(command.name, b"x");
        assert!(!command.wants_reply());
        assert!(command.object().is_none());
        assert_eq!(command.argument(0), None);
        let bad = Command::parse(MessageType::CommandAmf0, b"\x05");
        assert_eq!(bad.unwrap_err(), CommandError::NoName);
        let empty = Command::parse(MessageType::CommandAmf0, b"");
        assert_eq!(empty.unwrap_err(), CommandError::NoName);
    }

    proptest! {
        #[test]
        fn command_parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for kind in [MessageType::CommandAmf0, MessageType::CommandAmf3] {
                if let Ok(command) = Command::parse(kind, &bytes) {
                    let _ = (command.stream(0), command.string(1), command.property("app"));
                }
            }
        }
    }
}
