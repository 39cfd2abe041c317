//! What a publisher brings in its URL: a stream key, or a user and password.
//!
//! A key may be the stream's name itself, as on the large platforms, or `?key=`; `?user=&pass=` is
//! what encoders without either scheme can be given. The stream's query weighs more than the
//! application's. Not here: the challenges, which need no password in the URL.

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

use super::{Account, Pairs};

/// What was brought, by where it stood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// The stream's name, which may be a key.
    Path(&'a str),
    /// `key` of a query.
    Key(&'a str),
    /// `user` and `pass` of a query.
    Account(Account<'a>),
}

impl core::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Path(_) => "Path",
            Self::Key(_) => "Key",
            Self::Account(_) => "Account",
        })
    }
}

impl<'a> Credential<'a> {
    /// Finds it in a stream's name, the query behind it, and the query behind the application.
    #[must_use]
    pub fn find(name: &'a str, query: &'a str, app_query: &'a str) -> Self {
        let queries = [Pairs(query), Pairs(app_query)];
        queries.into_iter().find_map(Self::of_query).unwrap_or(Self::Path(name))
    }

    /// Whether it is this stream key.
    #[must_use]
    pub fn is_key(&self, expected: &str) -> bool {
        match self {
            Self::Path(given) | Self::Key(given) => key_matches(expected, given),
            Self::Account(_) => false,
        }
    }

    /// Whether it is this account.
    #[must_use]
    pub fn is_account(&self, expected: Account<'_>) -> bool {
        match self {
            Self::Account(given) => {
                let user = key_matches(expected.user, given.user);
                // Both are always compared.
                key_matches(expected.password, given.password) & user
            }
            Self::Path(_) | Self::Key(_) => false,
        }
    }

    fn of_query(query: Pairs<'a>) -> Option<Self> {
        if let Some(key) = query.get("key") {
            return Some(Self::Key(key));
        }
        let (user, password) = (query.get("user")?, query.get("pass")?);
        Some(Self::Account(Account { user, password }))
    }
}

/// Whether a stream key is the expected one. An empty one is never expected. The time taken depends
/// on the lengths in steps of 64 bytes, and on nothing else.
#[must_use]
pub fn key_matches(expected: &str, given: &str) -> bool {
    let [expected_digest, given_digest] =
        [expected, given].map(|key| digest(&SHA256, key.as_bytes()));
    let same: bool = expected_digest.as_ref().ct_eq(given_digest.as_ref()).into();
    same & !expected.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOB: Account<'_> = Account { user: "bob", password: "a=b" };

    #[test]
    fn credential_is_found_in_stream_query_then_app_query_then_path() {
        let find = Credential::find;
        assert!(find("k", "", "") == Credential::Path("k"));
        assert!(find("x", "key=k", "key=other") == Credential::Key("k"));
        assert!(find("x", "vhost=y", "key=k") == Credential::Key("k"));
        assert!(find("x", "user=bob&pass=a=b", "key=k") == Credential::Account(BOB));
        assert!(find("x", "user=bob", "") == Credential::Path("x"));
        assert!(find("x", "key=", "") == Credential::Key(""));
    }

    #[test]
    fn credential_matches_its_own_kind_alone() {
        assert!(Credential::Path("k").is_key("k"));
        assert!(Credential::Key("k").is_key("k"));
        assert!(!Credential::Key("k").is_account(BOB));
        assert!(Credential::Account(BOB).is_account(BOB));
        assert!(!Credential::Account(BOB).is_key("a=b"));
        let wrong = Account { user: "bob", password: "x" };
        assert!(!Credential::Account(wrong).is_account(BOB));
        let stranger = Account { user: "eve", password: "a=b" };
        assert!(!Credential::Account(stranger).is_account(BOB));
    }

    #[test]
    fn credential_never_shows_itself() {
        assert_eq!(format!("{:?}", Credential::find("x", "key=k", "")), "Key");
    }

    #[test]
    fn key_that_is_not_set_matches_nothing() {
        assert!(!key_matches("", ""));
        assert!(!key_matches("", "x"));
        assert!(!key_matches("x", ""));
    }

    proptest! {
        #[test]
        fn key_matches_itself_alone(a in ".{1,80}", b in ".{1,80}") {
            prop_assert!(key_matches(&a, &a));
            prop_assert_eq!(key_matches(&a, &b), a == b);
        }

        #[test]
        fn credential_search_never_panics(name in ".{0,20}", a in ".{0,60}", b in ".{0,60}") {
            let _ = Credential::find(&name, &a, &b).is_key("k");
        }
    }
}
