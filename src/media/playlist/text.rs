//! The text of a media playlist, whole or in parts: the one place where its lines are written.
//!
//! ```text
//!  emit = emit_head · emit_from(oldest segment) · emit_end
//! ```
//!
//! The key of the oldest segment stands in the head (R52), as date ranges do whose segment has
//! left: what `emit_from` writes of a segment changes no more while it is listed, except that a tag
//! in front of it that the head says goes. So a text that is written in parts is the text that is
//! written whole. Source: RFC 8216 §4.3.

use super::lines::SegmentLines;
use super::{Entry, KeyTag, Marks, Playlist};
use crate::wire::m3u8::{Line, put};
use crate::wire::writer::{Full, Writer};

impl Playlist {
    /// Renders the current version: `emit_head`, the lines of all segments, `emit_end`. Not to be
    /// called before `is_listed`.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit(&self, w: &mut Writer<'_>, epoch: u32) -> Result<(), Full> {
        self.emit_head(w)?;
        self.emit_from(w, epoch, self.media_sequence)?;
        self.emit_end(w)
    }

    /// Renders what stands before the lines of the first segment, its key too; at most
    /// `PLAYLIST_HEAD_BYTES_MAX`.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit_head(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        debug_assert!(self.is_listed());
        Line::Header.emit(w)?;
        Line::Version(self.protocol).emit(w)?;
        Line::TargetDuration(self.target_s.unwrap_or(1).into()).emit(w)?;
        Line::MediaSequence(self.media_sequence).emit(w)?;
        if self.is_event() {
            // Nothing leaves, and draft 12 allows no discontinuity sequence beside a type (R13).
            Line::Event.emit(w)?;
        } else {
            Line::DiscontinuitySequence(self.discontinuity_sequence).emit(w)?;
        }
        if self.independent && self.advice.independent {
            Line::IndependentSegments.emit(w)?;
        }
        if self.advice.start_offset_s > 0 {
            let least = self.target_s.unwrap_or(1).saturating_mul(3);
            let offset = self.advice.start_offset_s.max(least);
            put(w, format_args!("#EXT-X-START:TIME-OFFSET=-{offset}\n"))?;
        }
        self.ranges.emit_left(w, self.media_sequence)?;
        match self.entries.front().and_then(|oldest| oldest.key) {
            Some(key) => KeyTag::emit(Some(key), w),
            None => Ok(()),
        }
    }

    /// Renders the lines of the listed segments from the one with the number `sequence`, each at
    /// most `PLAYLIST_LINE_BYTES_MAX` beside its date ranges and, in front of all, its key where
    /// that is another than the last. Segments are named by `segment_name`, those that were adopted
    /// by the epoch they had.
    ///
    /// # Errors
    /// `Full` if they do not fit; a part of them may have been written.
    pub fn emit_from(&self, w: &mut Writer<'_>, epoch: u32, sequence: u64) -> Result<(), Full> {
        let skip = sequence.saturating_sub(self.media_sequence);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let before = self.entries.get(skip.saturating_sub(1));
        let mut key = before.and_then(|entry| entry.key);
        let listed = (sequence..).zip(self.entries.iter().take(self.listed).skip(skip));
        for (sequence, entry) in listed {
            if entry.key != key {
                key = entry.key;
                KeyTag::emit(key, w)?;
            }
            let Entry { discontinuity, micros, marks, .. } = *entry;
            let epoch = entry.epoch.unwrap_or(epoch);
            let Marks { date, container, passed } = marks;
            self.ranges.emit(w, sequence)?;
            (0..passed).try_for_each(|_| Line::Discontinuity.emit(w))?;
            SegmentLines { discontinuity, date, micros, container, epoch, sequence }.emit(w)?;
        }
        Ok(())
    }

    /// Renders what stands behind the last segment.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit_end(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        if self.ended { Line::EndList.emit(w) } else { Ok(()) }
    }
}
