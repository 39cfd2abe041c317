//! KEY tags and keys: which are in force, whether they fit what is encrypted (R50 to R54).
//!
//! Holds no cipher: a function from outside takes AES-128 off (`Decipher`).
//! Source: draft-pantos-12 §3.4.4, §5.2, §6.2.3; RFC 8216 §4.3.2.4, §5.2.

use std::rc::Rc;

use super::finding::{Report, Site};
use super::version::attribute;

/// Takes AES-128 in CBC and its padding off `bytes`, in place, with key and initialisation vector;
/// false if the padding is not PKCS #7, when `bytes` may be anything.
pub type Decipher = fn(key: &[u8; 16], iv: &[u8; 16], bytes: &mut Vec<u8>) -> bool;

/// The KEY tags that apply to the next segment, one for each KEYFORMAT.
#[derive(Debug, Default)]
pub(super) struct KeysInForce {
    lists: Vec<String>,
    joined: Option<Rc<str>>,
}

impl KeysInForce {
    /// Takes a tag's attribute list; `first` is whether no other one stands before this segment.
    pub(super) fn tag(&mut self, list: &str, first: bool, site: Site<'_>, report: &mut Report) {
        let method = attribute(list, "METHOD").unwrap_or_default();
        if method == "NONE" {
            let others = ["URI", "IV", "KEYFORMAT", "KEYFORMATVERSIONS"];
            if others.into_iter().any(|name| attribute(list, name).is_some()) {
                report.breach(site, 53, "METHOD=NONE has other attributes", [0; 2]);
            }
            self.lists.clear();
            self.joined = None;
            return;
        }
        if method.is_empty() || attribute(list, "URI").is_none() {
            report.breach(site, 53, "a KEY tag has no METHOD or no URI", [0; 2]);
        }
        let mine = format(list).to_owned();
        if !first && self.lists.iter().any(|other| format(other) == mine) {
            let text = "two KEY tags of one KEYFORMAT stand before one segment";
            report.breach(site, 54, text, [0; 2]);
        }
        if first {
            // A new group replaces the whole old one, whatever its formats were.
            self.lists.clear();
        }
        self.lists.retain(|other| format(other) != mine);
        let same = |other: &String| attribute(other, "METHOD").unwrap_or_default() == method;
        if !self.lists.iter().all(same) {
            report.breach(site, 54, "KEY tags of one segment differ in METHOD", [0; 2]);
        }
        self.lists.push(list.to_owned());
        self.joined = Some(Rc::from(self.lists.join("\n")));
    }

    pub(super) fn in_force(&self) -> Option<Rc<str>> {
        self.joined.clone()
    }
}

/// What a KEY tag's keys are written as.
fn format(list: &str) -> &str {
    attribute(list, "KEYFORMAT").unwrap_or("identity")
}

/// The lowest version that has all attributes of a KEY tag (RFC 8216 §7).
pub(super) fn version_needed(list: &str) -> u64 {
    let has = |name| attribute(list, name).is_some();
    if has("KEYFORMAT") || has("KEYFORMATVERSIONS") {
        5
    } else if has("IV") {
        2
    } else {
        1
    }
}

/// How a segment is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Clear,
    Aes128,
    SampleAes,
    Unknown,
}

/// What the keys in force say of a segment.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    pub(super) method: Method,
    /// The key's URI as written; empty where it is clear.
    pub(super) uri: String,
    iv: Option<[u8; 16]>,
}

impl Scheme {
    pub(super) fn of(keys: Option<&str>) -> Self {
        let clear = Self { method: Method::Clear, uri: String::new(), iv: None };
        let Some(keys) = keys else { return clear };
        let plain = |list: &&str| format(list) == "identity";
        let Some(list) = keys.lines().find(plain) else {
            return Self { method: Method::Unknown, ..clear };
        };
        let method = match attribute(list, "METHOD") {
            Some("AES-128") => Method::Aes128,
            Some("SAMPLE-AES") => Method::SampleAes,
            _ => Method::Unknown,
        };
        let uri = attribute(list, "URI").unwrap_or_default().to_owned();
        let digits = attribute(list, "IV").and_then(|iv| iv.get(2..));
        let iv = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        Self { method, uri, iv: iv.map(u128::to_be_bytes) }
    }

    /// The initialisation vector of the segment with this number (RFC 8216 §5.2).
    pub(super) fn iv(&self, sequence: u64) -> [u8; 16] {
        self.iv.unwrap_or_else(|| u128::from(sequence).to_be_bytes())
    }
}

/// A key that some segment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Wanted,
    Got([u8; 16]),
    /// It did not come, or is none; this was noted.
    Missing,
}

/// Judges a key's answer.
pub(super) fn answered(status: u16, body: &[u8], site: Site<'_>, report: &mut Report) -> Key {
    if matches!(status, 401 | 403) {
        use super::finding::{Class, Rule};
        let text = "the key is refused with %a; what it encrypts is not looked into";
        report.add(site, (Class::Unjudged, Rule(51)), text, [u64::from(status), 0]);
        return Key::Missing;
    }
    if status != 200 {
        let text = "the key of a listed segment is answered with %a";
        report.breach(site, 51, text, [u64::from(status), 0]);
        return Key::Missing;
    }
    let Ok(key) = <[u8; 16]>::try_from(body) else {
        let bytes = crate::storage::widen(body.len());
        report.breach(site, 51, "the key has %a bytes, not 16", [bytes, 0]);
        return Key::Missing;
    };
    Key::Got(key)
}
