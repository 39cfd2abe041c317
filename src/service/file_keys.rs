//! The keys of a recording: files beside its playlist, and what is encrypted with them.
//!
//! A key is written before the first segment that needs it. Nobody serves these files: whoever
//! publishes the folder moves them to where only viewers reach them.
//! Source: RFC 8216 §4.3.2.4, §5.1, §5.2.

use crate::config::settings::Config;
use crate::limits::KEY_LINE_BYTES_MAX;
use crate::media::cipher::SampleCipher;
use crate::media::playlist::{KeyTag, Method};
use crate::service::store::{SegmentKey, encryption_method, scratch_bytes};
use crate::storage::narrow;
use crate::wire::ts::packet::PACKET_BYTES;
use crate::wire::writer::Writer;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// How a recording is encrypted, and the key of the segment that is being written.
#[derive(Debug)]
pub(super) struct FileKeys {
    method: Option<Method>,
    /// Segments of a key; 0 is all of them.
    segments: u64,
    key: Option<SegmentKey>,
    /// Memory in which samples are encrypted.
    pub(super) scratch: Box<[u8]>,
}

impl FileKeys {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            method: encryption_method(config.hls_encryption),
            segments: u64::from(config.hls_key_segments),
            key: None,
            scratch: vec![0; scratch_bytes(config)].into_boxed_slice(),
        }
    }

    /// Whether a segment is encrypted as a whole, so that it must be held as a whole.
    pub(super) fn seals(&self) -> bool {
        self.method == Some(Method::Aes128)
    }

    /// Packets that such a segment may have, and one place for its padding.
    pub(super) fn packets(&self, config: &Config) -> Option<usize> {
        self.seals().then(|| narrow(config.limits_slot_bytes) / PACKET_BYTES + 1)
    }

    /// What the playlist says of the segment.
    pub(super) fn tag(&self) -> Option<KeyTag> {
        self.key.map(|key| key.tag)
    }

    /// Makes the key of the segment `sequence`, if it needs another, and writes it to `folder`.
    pub(super) fn turn(&mut self, folder: &Path, epoch: u32, sequence: u64) -> io::Result<()> {
        let Some(method) = self.method else { return Ok(()) };
        if self.key.is_some_and(|key| key.lasts(sequence, self.segments)) {
            return Ok(());
        }
        let key = SegmentKey::make(method, epoch, sequence)
            .ok_or(io::Error::other("no random bytes for a key"))?;
        let mut name = [0; KEY_LINE_BYTES_MAX];
        let mut w = Writer::new(&mut name);
        key.tag.name(&mut w).map_err(io::Error::other)?;
        let path = folder.join(OsStr::from_bytes(w.written()));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        file?.write_all(key.key.bytes())?;
        self.key = Some(key);
        Ok(())
    }

    /// The cipher of the samples of the segment `sequence`, if they are encrypted.
    pub(super) fn samples(&self, sequence: u64) -> Option<SampleCipher> {
        self.key?.samples(sequence)
    }

    /// Encrypts the whole segment of `bytes` at the front of `room` as its key says.
    pub(super) fn seal(&self, sequence: u64, room: &mut [u8], bytes: usize) -> io::Result<usize> {
        let Some(key) = self.key else { return Ok(bytes) };
        key.segment(sequence, room, bytes).ok_or(io::Error::other("no room for the padding"))
    }
}
