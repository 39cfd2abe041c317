//! A master playlist: what it lists, and what its text alone breaks (R62, R63).
//!
//! Compares the variants' media with each other nowhere (`variants`).
//! Source: draft-pantos-12 §3.4.9 to §3.4.13, RFC 8216 §4.3.4.

use super::finding::{Report, Site};
use super::version::attribute;
use crate::limits::HISTORY_PLAYLISTS_MAX;

/// What a listed playlist is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// EXT-X-STREAM-INF.
    Variant,
    /// EXT-X-MEDIA with a URI.
    Rendition,
    /// EXT-X-I-FRAME-STREAM-INF.
    IFrames,
}

/// A playlist that a master playlist lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) role: Role,
    /// URI as written.
    pub(super) uri: String,
    /// BANDWIDTH in bits per second; 0 where it is missing.
    pub(super) bandwidth: u64,
    /// CODECS; empty where it is missing.
    pub(super) codecs: String,
}

/// What a master playlist lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) playlists: Vec<Listed>,
    /// A STREAM-INF whose URI has not come.
    open: Option<Listed>,
}

impl Master {
    /// Takes a tag of master playlists.
    pub(super) fn tag(&mut self, name: &str, list: &str, site: Site<'_>, report: &mut Report) {
        let role = match name {
            "EXT-X-STREAM-INF" => Role::Variant,
            "EXT-X-I-FRAME-STREAM-INF" => Role::IFrames,
            "EXT-X-MEDIA" => Role::Rendition,
            _ => return,
        };
        let bandwidth = attribute(list, "BANDWIDTH").and_then(|text| text.parse().ok());
        let codecs = attribute(list, "CODECS").unwrap_or_default().to_owned();
        let uri = attribute(list, "URI").unwrap_or_default().to_owned();
        if role != Role::Rendition {
            if bandwidth.is_none() {
                report.breach(site, 62, "a variant has no BANDWIDTH", [0; 2]);
            }
            if codecs.is_empty() {
                report.advice(site, 63, "a variant has no CODECS", [0; 2]);
            }
        }
        let listed = Listed { role, uri, bandwidth: bandwidth.unwrap_or(0), codecs };
        if role == Role::Variant {
            self.open = Some(listed);
        } else if !listed.uri.is_empty() {
            self.push(listed);
        }
    }

    /// Takes a URI line; false if it is no variant's.
    pub(super) fn uri(&mut self, uri: &str) -> bool {
        let Some(mut listed) = self.open.take() else { return false };
        uri.clone_into(&mut listed.uri);
        self.push(listed);
        true
    }

    /// Whether it lists any playlist.
    pub(super) fn lists(&self) -> bool {
        !self.playlists.is_empty() || self.open.is_some()
    }

    fn push(&mut self, listed: Listed) {
        if self.playlists.len() < HISTORY_PLAYLISTS_MAX {
            self.playlists.push(listed);
        }
        debug_assert!(self.playlists.len() <= HISTORY_PLAYLISTS_MAX);
    }
}

/// Whether CODECS names a format (RFC 6381); `names` are the beginnings that would.
pub(super) fn says(codecs: &str, names: &[&str]) -> bool {
    codecs.split(',').any(|one| names.iter().any(|name| one.trim().starts_with(name)))
}
