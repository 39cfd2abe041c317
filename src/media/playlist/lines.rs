//! The lines of one segment in a media playlist, and the name it has there.
//!
//! Source: RFC 8216 §4.3.2.

use crate::media::container::Container;
use crate::time::UnixMillis;
use crate::wire::date;
use crate::wire::m3u8::{Line, put};
use crate::wire::writer::{Full, Writer};

/// What a playlist says of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentLines {
    /// It does not continue the one before.
    pub(super) discontinuity: bool,
    /// When its first sample was made, if that is known.
    pub(super) date: Option<UnixMillis>,
    /// Its duration in microseconds.
    pub(super) micros: u64,
    /// What kind of file it is.
    pub(super) container: Container,
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
        if let Some(date) = self.date {
            w.bytes(b"#EXT-X-PROGRAM-DATE-TIME:")?;
            date::emit(w, date)?;
            w.u8(b'\n')?;
        }
        Line::Segment { micros: self.micros, title: "" }.emit(w)?;
        segment_name(w, self.epoch, self.sequence, self.container)?;
        w.u8(b'\n')
    }
}

/// Writes a segment's file name: no two lives of a stream share an epoch, so that no name ever
/// means two segments.
///
/// # Errors
/// `Full` if it does not fit.
pub fn segment_name(
    w: &mut Writer<'_>,
    epoch: u32,
    sequence: u64,
    container: Container,
) -> Result<(), Full> {
    put(w, format_args!("{epoch:08x}-{sequence}{}", container.suffix()))
}

/// What a segment's file name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentId {
    /// First part of the name.
    pub epoch: u32,
    /// Media sequence number.
    pub sequence: u64,
    /// What kind of file it is.
    pub container: Container,
}

impl SegmentId {
    /// Reads a name. What is not written as `segment_name` writes it may be read too.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        let (container, epoch, sequence) = Container::of_name(name)?;
        let epoch = u32::from_str_radix(epoch, 16).ok()?;
        Some(Self { epoch, sequence: sequence.parse().ok()?, container })
    }
}
