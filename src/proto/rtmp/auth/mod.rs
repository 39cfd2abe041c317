//! Who may publish: stream keys, and the challenges that encoders with a user and password answer.
//!
//! `credential` says what a publisher brings in its URL. `challenger` is the server's end of the
//! two schemes that encoders speak before they publish, Adobe's and Limelight's, over three
//! connections each; `responder` is the client's end. `attempts` bounds how often an address may be
//! wrong. Both schemes rest on MD5: whoever listens can try passwords against what he heard, so
//! they belong onto RTMPS or a network that is trusted. Not here: where accounts are kept, and the
//! `_error` that carries a description.
//! Source: what FMLE's plugins established, as librtmp, ffmpeg and GStreamer have it; the digest of
//! Limelight's is RFC 2617 §3.2.2.

pub mod adobe;
pub mod attempts;
pub mod challenger;
pub mod credential;
pub mod llnw;
pub mod responder;

use base64ct::{Base64, Encoding as _};
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use crate::limits;

/// One of the two schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Adobe's, which every encoder has.
    Adobe,
    /// Limelight's.
    Llnw,
}

impl Scheme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Adobe, Self::Llnw];

    /// The one that `authmod` names.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// What `authmod` says.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adobe => "adobe",
            Self::Llnw => "llnw",
        }
    }
}

/// A user and the password, neither percent-encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    /// Name of the user.
    pub user: &'a str,
    /// Password, never shown.
    pub password: &'a str,
}

impl core::fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a server says in the description of its `_error`; the longest that ffmpeg reads whole.
pub type Description = heapless::String<{ limits::AUTH_DESCRIPTION_BYTES_MAX }>;

/// What a client appends to app and tcUrl behind a `?`.
pub type Query = heapless::String<{ limits::QUERY_BYTES_MAX }>;

/// The values of a query, split at `&` and at the first `=`, not decoded: clients do not encode.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a>(pub &'a str);

impl<'a> Pairs<'a> {
    /// The first value of that name; empty if it has no `=`.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.0.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }
}

/// The digest that a client sends: 24 characters of base64 or 32 of hexadecimal.
type Response = heapless::String<32>;

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// Bytes in hexadecimal; empty if that is longer than `N` characters.
fn hex<const N: usize>(bytes: &[u8]) -> heapless::String<N> {
    let mut room = [0; N];
    let text = base16ct::lower::encode_str(bytes, &mut room);
    debug_assert!(text.is_ok());
    text.ok().and_then(|text| text.try_into().ok()).unwrap_or_default()
}

/// Bytes in base64; empty if that is longer than `N` characters.
fn base64<const N: usize>(bytes: &[u8]) -> heapless::String<N> {
    let mut room = [0; N];
    let text = Base64::encode(bytes, &mut room);
    debug_assert!(text.is_ok());
    text.ok().and_then(|text| text.try_into().ok()).unwrap_or_default()
}

/// Whether two texts are alike, in a time that depends on their lengths alone.
fn same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_split_at_the_first_equals_sign_and_decode_nothing() {
        let pairs = Pairs("a=b==&user=x%20y+z&flag&a=second&=nameless");
        assert_eq!(pairs.get("a"), Some("b=="));
        assert_eq!(pairs.get("user"), Some("x%20y+z"));
        assert_eq!(pairs.get("flag"), Some(""));
        assert_eq!(pairs.get("missing"), None);
        assert_eq!(Pairs("").get("a"), None);
    }

    #[test]
    fn account_never_shows_its_password() {
        let account = Account { user: "bob", password: "secret" };
        assert_eq!(format!("{account:?}"), "Account { user: \"bob\", .. }");
    }

    #[test]
    fn md5_is_that_of_rfc_1321() {
        let hex = hex::<32>(&md5(&["message", " ", "digest"]));
        assert_eq!(hex, "f96b697d7cb7938d525a2f31aaf161d0");
    }

    proptest! {
        #[test]
        fn pairs_never_panic_and_give_parts_of_the_query(query in ".{0,80}", name in "[a-c]?") {
            if let Some(value) = Pairs(&query).get(&name) {
                prop_assert!(query.contains(value));
            }
        }
    }
}
