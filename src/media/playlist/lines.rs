//! The lines of one segment in a media playlist, and the name it has there.
//!
//! Source: RFC 8216 §4.3.2.

use crate::wire::m3u8::{Line, put};
use crate::wire::writer::{Full, Writer};

/// What a playlist says of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentLines {
    /// It does not continue the one before.
    pub(super) discontinuity: bool,
    /// Its duration in microseconds.
    pub(super) micros: u64,
    /// First part of its name.
    pub(super) epoch: u32,
    /// Its media sequence number.
    pub(super) sequence: u64,
}

impl SegmentLines {
    /// Writes all lines, the address last.
    pub(super) fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        if self.discontinuity {
            Line::Discontinuity.emit(w)?;
        }
        Line::Segment { micros: self.micros, title: "" }.emit(w)?;
        segment_name(w, self.epoch, self.sequence)?;
        w.u8(b'\n')
    }
}

/// Writes a segment's file name: no two lives of a stream share an epoch, so that no name ever
/// means two segments.
///
/// # Errors
/// `Full` if it does not fit.
pub fn segment_name(w: &mut Writer<'_>, epoch: u32, sequence: u64) -> Result<(), Full> {
    put(w, format_args!("{epoch:08x}-{sequence}.ts"))
}

/// Epoch and media sequence number of a segment's file name. What is not written as `segment_name`
/// writes it may be read too.
#[must_use]
pub fn read_segment_name(name: &str) -> Option<(u32, u64)> {
    let (epoch, sequence) = name.strip_suffix(".ts")?.split_once('-')?;
    Some((u32::from_str_radix(epoch, 16).ok()?, sequence.parse().ok()?))
}
