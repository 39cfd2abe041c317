//! A text that nobody is shown: a stream key, or a password.
//!
//! Whoever formats it gets a dot; the text itself is to be asked for by name. Not wiped when it
//! goes: the settings file holds it too.

use core::fmt;

use subtle::ConstantTimeEq as _;

use crate::limits::SECRET_BYTES_MAX;

/// 1 to `SECRET_BYTES_MAX` bytes without control characters.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes a text; none if it is empty, too long, or holds a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= SECRET_BYTES_MAX;
        let printable = !text.chars().any(char::is_control);
        (fits && printable).then(|| Self(text.into()))
    }

    /// As `new`, for a key that stands in URLs as it is: letters, digits, and `-._~=`.
    #[must_use]
    pub fn key(text: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~=".contains(c);
        Self::new(text).filter(|key| key.0.chars().all(is_plain))
    }

    /// The text, to be compared or said to who knows it already.
    #[must_use]
    pub const fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_never_shows_itself() {
        let secret = Secret::new("pass word").unwrap();
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "… … …");
        assert_eq!(secret.expose(), "pass word");
        assert_eq!(secret, secret.clone());
        assert_ne!(secret, Secret::new("pass-word").unwrap());
    }

    #[test]
    fn secret_is_bounded_and_a_key_may_stand_in_a_url() {
        let longest = "k".repeat(SECRET_BYTES_MAX);
        assert!(Secret::new(&longest).is_some());
        assert!(Secret::new(&(longest + "k")).is_none());
        assert!(Secret::new("").is_none());
        assert!(Secret::new("a\nb").is_none());
        assert!(Secret::key("A-z._~09==").is_some());
        for text in ["", "a b", "a&b", "a/b", "a?b", "a%20", "a#b", "schlüssel"] {
            assert!(Secret::key(text).is_none(), "{text}");
        }
    }
}
