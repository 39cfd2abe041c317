//! Percent-encoded text: checked once, decoded while it is read.
//!
//! Source: RFC 3986 §2.1; RTMP URI memo §4.2 (connect arguments), §6 (stream name).

use core::fmt::{self, Write as _};

use super::reading::Credentials;
use super::{Part, Text, UrlError};
use crate::limits::URL_BYTES_MAX;

/// What is wrong with percent-encoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Two hexadecimal digits are missing behind the `%` at this byte.
    Escape(usize),
    /// The escapes do not decode to UTF-8.
    NotText,
}

impl Fault {
    /// The error of a URL whose `part` begins at byte `at`.
    pub(super) const fn of(self, part: Part, at: usize) -> UrlError {
        match self {
            Self::Escape(i) => UrlError::Escape { part, at: at + i },
            Self::NotText => UrlError::NotText { part },
        }
    }
}

/// Text whose escapes are complete and decode to UTF-8. May be a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a>(&'a str);

impl<'a> Encoded<'a> {
    /// Checks a text that may hold escapes.
    ///
    /// # Errors
    /// The first incomplete escape, or that the whole is no UTF-8.
    pub fn parse(raw: &'a str) -> Result<Self, Fault> {
        for (at, _) in raw.match_indices('%') {
            let [Some(_), Some(_)] = [1, 2].map(|i| digit(raw.as_bytes().get(at + i))) else {
                return Err(Fault::Escape(at));
            };
        }
        let mut decoder = Decoder(raw);
        while decoder.next().is_some() {}
        if decoder.0.is_empty() { Ok(Self(raw)) } else { Err(Fault::NotText) }
    }

    /// As it is written.
    #[must_use]
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// The decoded bytes.
    #[must_use]
    pub const fn bytes(self) -> Unescaped<'a> {
        unescape(self.0.as_bytes())
    }

    /// The decoded text.
    ///
    /// # Errors
    /// It is longer than any URL.
    pub fn text(self) -> Result<Text, UrlError> {
        text(self)
    }
}

/// Decoded.
impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decoder(self.0).try_for_each(|c| f.write_char(c))
    }
}

impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.0.len())
    }
}

/// What stands before `@`: connect arguments to the memo, credentials to convention. A secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Userinfo<'a>(&'a str);

impl<'a> Userinfo<'a> {
    /// Checks each argument's escapes.
    ///
    /// # Errors
    /// As `Encoded::parse`.
    pub(super) fn parse(raw: &'a str) -> Result<Self, Fault> {
        let mut at = 0;
        for argument in raw.split(':') {
            Encoded::parse(argument).map_err(|fault| match fault {
                Fault::Escape(i) => Fault::Escape(at + i),
                Fault::NotText => Fault::NotText,
            })?;
            at += argument.len() + 1;
        }
        Ok(Self(raw))
    }

    /// As it is written.
    #[must_use]
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// Connect arguments (memo §4.2): at least one, any of them may be empty.
    #[must_use]
    pub const fn arguments(self) -> Arguments<'a> {
        Arguments(Some(self.0))
    }

    /// User and password, which may itself hold `:`; none without a `:`.
    #[must_use]
    pub fn credentials(self) -> Option<Credentials<'a>> {
        let (user, password) = self.0.split_once(':')?;
        Some(Credentials { user: Encoded(user), password: Encoded(password) })
    }
}

impl fmt::Debug for Userinfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Userinfo({} bytes)", self.0.len())
    }
}

/// The connect arguments of a URL, in order, each to be sent as a string.
#[derive(Clone)]
pub struct Arguments<'a>(Option<&'a str>);

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arguments({})", self.clone().count())
    }
}

impl Arguments<'_> {
    /// No arguments.
    pub const NONE: Self = Self(None);
}

impl<'a> Iterator for Arguments<'a> {
    type Item = Encoded<'a>;

    fn next(&mut self) -> Option<Encoded<'a>> {
        let raw = self.0?;
        let (argument, rest) = match raw.split_once(':') {
            Some((argument, rest)) => (argument, Some(rest)),
            None => (raw, None),
        };
        self.0 = rest;
        Some(Encoded(argument))
    }
}

/// Decodes bytes once; an incomplete escape is left as it stands.
#[must_use]
pub const fn unescape(bytes: &[u8]) -> Unescaped<'_> {
    Unescaped(bytes)
}

/// See `unescape`.
#[derive(Clone, Debug)]
pub struct Unescaped<'a>(&'a [u8]);

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (digit(Some(high)), digit(Some(low)))
        {
            self.0 = rest;
            return Some(high << 4 | low);
        }
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }
}

/// A display of pieces as one text.
pub(super) fn text(pieces: impl fmt::Display) -> Result<Text, UrlError> {
    let mut text = Text::new();
    if write!(text, "{pieces}").is_ok() {
        return Ok(text);
    }
    let mut length = Length(0);
    // Counting does not fail.
    let _ = write!(length, "{pieces}");
    Err(UrlError::TooLong { len: length.0, max: URL_BYTES_MAX })
}

/// Counts the bytes written to it.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Decodes characters; stops before what is none.
struct Decoder<'a>(&'a str);

impl Iterator for Decoder<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let first = self.0.chars().next()?;
        if first != '%' {
            self.0 = self.0.get(first.len_utf8()..)?;
            return Some(first);
        }
        let mut bytes = [0; 4];
        // Escapes of one character stand next to each other: raw text is UTF-8 by itself.
        for n in 1..=bytes.len() {
            let escape = self.0.as_bytes().get(3 * (n - 1)..3 * n)?;
            let [b'%', high, low] = escape else {
                return None;
            };
            *bytes.get_mut(n - 1)? = digit(Some(high))? << 4 | digit(Some(low))?;
            let so_far = bytes.get(..n)?;
            if let Ok(text) = core::str::from_utf8(so_far) {
                self.0 = self.0.get(3 * n..)?;
                return text.chars().next();
            }
        }
        None
    }
}

const fn digit(byte: Option<&u8>) -> Option<u8> {
    match byte {
        Some(byte @ b'0'..=b'9') => Some(*byte - b'0'),
        Some(byte @ b'a'..=b'f') => Some(*byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Some(*byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_decode_once() {
        for (raw, want) in [
            ("", ""),
            ("BigBuck%42unny", "BigBuckBunny"),
            ("arg%3Aone", "arg:one"),
            ("%c3%BC", "ü"),
            ("ü%f0%9f%8E%A5.", "ü🎥."),
            ("%2541", "%41"),
            ("a+b", "a+b"),
            ("%00", "\0"),
        ] {
            let encoded = Encoded::parse(raw).unwrap();
            assert_eq!(encoded.text().unwrap().as_str(), want, "{raw}");
            assert!(encoded.bytes().eq(want.bytes()), "{raw}");
        }
    }

    #[test]
    fn escapes_that_are_no_text_are_refused() {
        for (raw, at) in [("%", 0), ("a%4", 1), ("%zz", 0), ("%41%4é", 3), ("%%41", 0)] {
            assert_eq!(Encoded::parse(raw), Err(Fault::Escape(at)), "{raw}");
        }
        for raw in ["%ff", "%c3", "%c3a", "%c3ü", "%ed%a0%80", "a%80", "%f0%9f%8e"] {
            assert_eq!(Encoded::parse(raw), Err(Fault::NotText), "{raw}");
        }
    }

    #[test]
    fn unescape_leaves_what_is_no_escape() {
        assert!(unescape(b"a%41%4%zz%").eq(*b"aA%4%zz%"));
    }

    #[test]
    fn userinfo_is_arguments_or_credentials() {
        let userinfo = Userinfo::parse("u:p%3Aw:x").unwrap();
        let texts: Vec<_> = userinfo.arguments().map(|a| a.to_string()).collect();
        assert_eq!(texts, ["u", "p:w", "x"]);
        let credentials = userinfo.credentials().unwrap();
        assert_eq!(credentials.user.to_string(), "u");
        assert_eq!(credentials.password.to_string(), "p:w:x");
        assert_eq!(Userinfo::parse("u").unwrap().credentials(), None);
        assert_eq!(Userinfo::parse("").unwrap().arguments().count(), 1);
        assert_eq!(Arguments::NONE.count(), 0);
        assert_eq!(Userinfo::parse("a:b%"), Err(Fault::Escape(3)));
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_bytes(raw in "[a%4cC3BbéfF0]{0,20}") {
            let bytes: Vec<u8> = unescape(raw.as_bytes()).collect();
            match Encoded::parse(&raw) {
                Ok(encoded) => {
                    let text = encoded.to_string();
                    prop_assert_eq!(text.as_bytes(), &bytes);
                }
                Err(Fault::NotText) => prop_assert!(core::str::from_utf8(&bytes).is_err()),
                Err(Fault::Escape(at)) => prop_assert_eq!(raw.as_bytes()[at], b'%'),
            }
        }
    }
}
