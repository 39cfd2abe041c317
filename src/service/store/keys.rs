//! The keys of segments: when a stream gets a new one, what is encrypted with it, who may have it.
//!
//! A key stays with the slots whose segments need it and goes with the last of them; the newest
//! stays with its stream. No key is ever a file, and none outlives the program. A segment that
//! cannot be encrypted is not listed.
//! Source: RFC 8216 §4.3.2.4, §5.2, §6.2.3.

use crate::config::networks::Networks;
use crate::config::settings::Config;
use crate::config::value::Encryption;
use crate::media::cipher::{BLOCK_BYTES, Key, SampleCipher, encrypt_segment, encrypted_len};
use crate::media::playlist::{KeyTag, Method};
use crate::service::store::Store;
use crate::service::store::row::{Row, Use};
use crate::storage::narrow;
use crate::sys::random;
use core::net::IpAddr;
use std::io;

/// A key and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentKey {
    /// What playlists say of it.
    pub tag: KeyTag,
    /// The key itself.
    pub key: Key,
}

/// Why a key is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Misbehaved: there is no such key, or no segment needs it any more.
    #[error("this key is gone or never was")]
    Unknown,
    /// Misbehaved: from somewhere else.
    #[error("keys may not be fetched from this address: widen hls.keys_from")]
    Address,
}

/// What the settings say of keys, and the memory in which samples are encrypted.
#[derive(Debug)]
pub(super) struct Keyring {
    method: Option<Method>,
    /// Segments of a key; 0 is all of them.
    segments: u64,
    from: Networks,
    pub(super) scratch: Box<[u8]>,
}

impl Keyring {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            method: encryption_method(config.hls_encryption),
            segments: u64::from(config.hls_key_segments),
            from: config.hls_keys_from.clone(),
            scratch: vec![0; scratch_bytes(config)].into_boxed_slice(),
        }
    }

    /// Bytes that a segment takes at most beside its packets.
    pub(super) const fn padding(&self) -> usize {
        if matches!(self.method, Some(Method::Aes128)) { BLOCK_BYTES } else { 0 }
    }
}

/// How a setting encrypts.
pub(crate) const fn encryption_method(encryption: Encryption) -> Option<Method> {
    match encryption {
        Encryption::Off => None,
        Encryption::Aes128 => Some(Method::Aes128),
        Encryption::SampleAes => Some(Method::SampleAes),
    }
}

/// Bytes in which one picture is encrypted: the longest message is half a ring, and with what
/// keeps it from looking like a start code it takes half as much again.
#[must_use]
pub(crate) fn scratch_bytes(config: &Config) -> usize {
    match encryption_method(config.hls_encryption) {
        Some(Method::SampleAes) => narrow(config.limits_ring_bytes),
        Some(Method::Aes128) | None => 0,
    }
}

impl SegmentKey {
    /// The key that begins with the segment `number`; none where there are no random bytes.
    pub(crate) fn make(method: Method, epoch: u32, number: u64) -> Option<Self> {
        let key = Key::new(random::key()?);
        Some(Self { tag: KeyTag { method, epoch, number }, key })
    }

    /// Whether it lasts for the segment `sequence` too, if it may for `segments`.
    pub(crate) const fn lasts(&self, sequence: u64, segments: u64) -> bool {
        segments == 0 || sequence.saturating_sub(self.tag.number) < segments
    }

    /// What encrypts the samples of the segment `sequence`, if they are.
    pub(crate) fn samples(&self, sequence: u64) -> Option<SampleCipher> {
        match self.tag.method {
            Method::SampleAes => Some(SampleCipher::new(&self.key, self.tag.iv(sequence))),
            Method::Aes128 => None,
        }
    }

    /// Encrypts the segment `sequence` of `bytes` at the front of `room`, if segments are as a
    /// whole, and gives its length then; none if there is no room for the padding.
    pub(crate) fn segment(&self, sequence: u64, room: &mut [u8], bytes: usize) -> Option<usize> {
        match self.tag.method {
            Method::SampleAes => Some(bytes),
            Method::Aes128 => encrypt_segment(&self.key, self.tag.iv(sequence), room, bytes).ok(),
        }
    }
}

/// Encrypts the finished segment in `row` as its key says and gives its length; none if it
/// cannot be.
pub(super) fn seal(row: &mut Row, sequence: u64, bytes: usize) -> Option<usize> {
    let Some(key) = row.key else { return Some(bytes) };
    let reserved = row.slot.reserve(encrypted_len(bytes));
    let sealed = key.segment(sequence, row.slot.bytes_mut(0), bytes);
    if sealed.is_none() {
        let cause = reserved.map_or_else(io::Error::from, |()| io::Error::other("no room"));
        log::error!("segment cannot be encrypted sequence={sequence} cause=\"{cause}\"");
    }
    sealed
}

impl Store {
    /// The key at `path`, such as `live/cam/5f3a0c11-12.key`, for who asks from `peer`.
    ///
    /// # Errors
    /// `KeyRefusal`; it does not say whether a key is there to whom may not have it.
    pub fn key(&self, path: &str, peer: IpAddr) -> Result<Key, KeyRefusal> {
        if !self.keyring.from.contains(peer) {
            return Err(KeyRefusal::Address);
        }
        self.find_key(path).ok_or(KeyRefusal::Unknown)
    }

    fn find_key(&self, path: &str) -> Option<Key> {
        let (stream, file) = path.rsplit_once('/')?;
        let index = self.stream(stream)?;
        let name = KeyTag::parse_name(file)?;
        let newest = self.streams.get(index)?.as_ref()?.key;
        let first = index * self.rows_per_stream;
        let rows = self.rows.get(first..first + self.rows_per_stream)?;
        let asked = rows.iter().filter(|row| match row.state {
            Use::Listed { .. } | Use::Retired { .. } => true,
            Use::Free | Use::Writing => false,
        });
        let mut keys = asked.filter_map(|row| row.key).chain(newest);
        keys.find(|key| (key.tag.epoch, key.tag.number) == name).map(|key| key.key)
    }

    /// Gives the stream the key of the segment that begins now: a new one if the last has lasted
    /// for long enough. None if there is none, and no segment may begin.
    pub(super) fn turn_key(&mut self, stream: usize) -> Option<()> {
        let Some(method) = self.keyring.method else { return Some(()) };
        let place = self.streams.get_mut(stream)?.as_mut()?;
        let sequence = place.playlist.next_sequence();
        if place.key.is_none_or(|key| !key.lasts(sequence, self.keyring.segments)) {
            let made = SegmentKey::make(method, self.epoch, sequence);
            if made.is_none() {
                log::error!("no random bytes for a key sequence={sequence}: no segment begins");
            }
            place.key = Some(made?);
        }
        Some(())
    }
}
