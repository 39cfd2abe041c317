//! Segments of a stream that has nothing but audio, as plain files of its codec.
//!
//! Where `pack` asks for it and the publisher has not said a word of video, a segment that begins
//! with audio is the frames of its codec behind the time of the first one. Video that comes later
//! ends it: the next segment is a transport stream behind a discontinuity, and so are all others of
//! that publisher. Opus, which has no packed form, stays in transport packets. MPEG audio goes on
//! as it came: a sender that splits frames over messages gives segments that begin in one, and
//! their time is that of the first frame that begins there.
//! Source: RFC 8216 §3.4, §4.3.2.3.

use crate::media::container::Container;
use crate::media::mux::Track;
use crate::media::segmenter::{Outlet, Segmenter, Sound};
use crate::media::sink::Sink;
use crate::status::Counter;
use crate::wire::id3;

/// Whether audio goes into packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// It does, always.
    Never,
    /// It does not: this publisher has not said a word of video.
    Alone,
    /// It does as long as this publisher is there, who has or has announced video.
    WithVideo,
}

impl Packing {
    pub(super) const fn with_video(self) -> Self {
        if matches!(self, Self::Never) { self } else { Self::WithVideo }
    }

    pub(super) const fn alone(self) -> Self {
        if matches!(self, Self::Never) { self } else { Self::Alone }
    }
}

impl Segmenter {
    /// Chooses whether audio alone is packed; holds from the next publisher on.
    pub const fn pack(&mut self, packs: bool) {
        self.packing = if packs { Packing::Alone } else { Packing::Never };
    }

    /// Whether the open segment is packed audio.
    pub(in crate::media) fn is_packed(&self) -> bool {
        self.open.is_some_and(|open| open.container.is_packed())
    }

    /// What a segment is that begins now, with this track.
    pub(super) fn container(&self, with: Track) -> Container {
        match self.format_heard {
            Some(format) if with == Track::Audio && self.packing == Packing::Alone => {
                Container::packed(format)
            }
            Some(_) | None => Container::Ts,
        }
    }

    /// Writes frames as they are; in front of the first, its time.
    pub(super) fn write_packed(
        &mut self,
        frames: &[Sound],
        bytes: usize,
        out: &mut Outlet<'_, impl Sink>,
    ) {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return };
        if !out.sink.reserve(id3::TIMESTAMP_BYTES + bytes) {
            out.status.add(Counter::MediaWithoutSlot, 1);
            self.give_up(first.dts, out);
            return;
        }
        if out.sink.written() == 0 {
            out.sink.append(&id3::timestamp(first.pts));
        }
        for sound in frames {
            for piece in sound.prefix.pieces() {
                out.sink.append(piece);
            }
            out.sink.append(sound.bytes(out.ring).unwrap_or_default());
        }
        if let Some(open) = &mut self.open {
            open.audio = Some(last.format);
            open.end = open.end.max(last.dts.plus(last.duration));
        }
    }
}
