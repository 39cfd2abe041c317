//! Samples on their way into packets, encrypted in memory that the sink lends.
//!
//! What lies in the ring is shared with players of RTMP and stays as it is. Slices of H.264, frames
//! of AAC, AC-3 and E-AC-3; parameter sets, SEI and delimiters stay clear.
//! Source: Apple, MPEG-2 Stream Encryption Format for HLS §2.1, §2.2.

use crate::media::carriage::AudioFormat;
use crate::media::cipher::{FRAME_LEAD_BYTES, SampleCipher};
use crate::media::protected::ProtectedCodec;
use crate::media::segmenter::{Picture, Segmenter, Sound};
use crate::media::sink::Sink;
use crate::storage::FrameRing;
use crate::wire::aac::ADTS_BYTES;
use crate::wire::ac3::FrameHeader;
use crate::wire::writer::{Full, Writer};

/// Encrypted samples in lent memory.
pub(super) struct Sealed {
    room: Box<[u8]>,
    len: usize,
}

impl Sealed {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    /// The memory goes back to where it came from.
    pub(super) fn give_back(sealed: Option<Self>, sink: &mut impl Sink) {
        if let (Some(sealed), Some(place)) = (sealed, sink.scratch()) {
            debug_assert!(place.is_empty());
            *place = sealed.room;
        }
    }
}

impl Segmenter {
    /// What a picture of `bytes` may take in its segment: encrypted slices grow, by one byte in
    /// four million of an encoder's output, and by one in 64 where that repeats itself.
    pub(super) const fn sealed_bytes(&self, bytes: usize) -> usize {
        if self.cipher.is_some() { bytes + bytes / 64 + 64 } else { bytes }
    }

    /// Encrypts a picture, if samples are encrypted.
    ///
    /// # Errors
    /// `Full` if the lent memory cannot take it.
    pub(super) fn seal_picture(
        &mut self,
        picture: &Picture<'_>,
        sink: &mut impl Sink,
    ) -> Result<Option<Sealed>, Full> {
        self.seal(sink, |cipher, w| {
            // What begins with a start code (sets, delimiter) begins with zero: it is no slice.
            for slice in picture.unit.slices(picture.data, picture.sets) {
                if SampleCipher::protects(slice) {
                    cipher.slice(slice, w)?;
                } else {
                    w.bytes(slice)?;
                }
            }
            Ok(())
        })
    }

    /// Encrypts frames of audio, if samples are encrypted.
    ///
    /// # Errors
    /// `Full` if the lent memory cannot take them.
    pub(super) fn seal_sound(
        &mut self,
        frames: &[Sound],
        ring: &FrameRing,
        sink: &mut impl Sink,
    ) -> Result<Option<Sealed>, Full> {
        self.seal(sink, |cipher, w| {
            for sound in frames {
                let frame = w.take(sound.len())?;
                let mut copy = Writer::new(frame);
                for slice in sound.slices(ring) {
                    copy.bytes(slice)?;
                }
                let frame = copy.finish();
                let AudioFormat::Protected(track) = sound.format else { continue };
                match track.codec() {
                    ProtectedCodec::Aac => {
                        cipher.frame(frame, ADTS_BYTES + FRAME_LEAD_BYTES);
                    }
                    ProtectedCodec::Ac3 | ProtectedCodec::Eac3 => sync_frames(cipher, frame),
                }
            }
            Ok(())
        })
    }

    fn seal(
        &mut self,
        sink: &mut impl Sink,
        write: impl FnOnce(&mut SampleCipher, &mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<Option<Sealed>, Full> {
        let Some(cipher) = &mut self.cipher else { return Ok(None) };
        let mut room = sink.scratch().map(core::mem::take).unwrap_or_default();
        let mut w = Writer::new(&mut room);
        let written = write(cipher, &mut w);
        let sealed = Sealed { len: w.position(), room };
        if let Err(full) = written {
            Sealed::give_back(Some(sealed), sink);
            return Err(full);
        }
        Ok(Some(sealed))
    }
}

/// Encrypts each frame of an access unit by itself.
fn sync_frames(cipher: &mut SampleCipher, mut unit: &mut [u8]) {
    while let Ok(header) = FrameHeader::parse(unit) {
        let bytes = usize::from(header.frame_bytes).min(unit.len());
        let (frame, behind) = unit.split_at_mut(bytes);
        cipher.frame(frame, FRAME_LEAD_BYTES);
        unit = behind;
    }
}
