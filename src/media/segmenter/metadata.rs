//! Timed metadata beside pictures and sound: ID3 tags in PES packets of their own.
//!
//! The track is named in the program map of every segment from the first on, whether it holds a
//! tag or not: a track that came and went would be a discontinuity each time (RFC 8216 §4.3.2.3),
//! heard by everybody, for a text that few look at. Packed audio has no map: there a tag stands
//! between two frames, with its time inside.
//! Source: Apple, Timed Metadata for HTTP Live Streaming §2; H.222.0 §2.6.58, §2.6.60; RFC 8216
//! §3.4.

use crate::media::mux::{Head, Track, packet_bytes_for};
use crate::media::segmenter::{Outlet, Segmenter};
use crate::media::sink::Sink;
use crate::status::Counter;
use crate::time::Ticks;
use crate::wire::ts::pes::{PesHeader, STREAM_PRIVATE};
use crate::wire::ts::psi::{PmtStream, STREAM_TYPE_METADATA};

// | application format ffff | "ID3 " | format ff | "ID3 " | service 0 | flags |

/// The metadata pointer descriptor of the program: its metadata is in the program itself.
pub(super) const POINTER: &[u8] = b"\x25\x0f\xff\xffID3 \xffID3 \x00\x1f\x00\x01";

/// The metadata descriptor of the track.
const DESCRIPTOR: &[u8] = b"\x26\x0d\xff\xffID3 \xffID3 \x00\x0f";

impl Segmenter {
    /// Chooses whether segments can hold timed metadata; to be called before the first.
    pub const fn carry_metadata(&mut self, carries: bool) {
        debug_assert!(self.open.is_none());
        self.metadata = carries;
    }

    /// The track in the program map.
    pub(super) fn metadata_stream(&self) -> Option<PmtStream<'static>> {
        let (stream_type, pid) = (STREAM_TYPE_METADATA, Track::Metadata.pid());
        self.metadata.then_some(PmtStream { stream_type, pid, descriptors: DESCRIPTOR })
    }

    /// Writes `tag`, which belongs to presentation time `pts`, into the open segment. Dropped and
    /// counted where there is none, or no room in it.
    pub fn metadata(&mut self, pts: Ticks, tag: &[u8], out: &mut Outlet<'_, impl Sink>) {
        if self.is_packed() {
            // It stands behind what was heard before it.
            self.flush(out);
        }
        let length = u16::try_from(tag.len()).ok();
        let fits = self.open.is_some() && out.sink.reserve(packet_bytes_for(tag.len()));
        let (Some(length), true, true) = (length, fits, self.metadata) else {
            out.status.add(Counter::MetadataDropped, 1);
            return;
        };
        if self.is_packed() {
            out.sink.append(tag);
            return;
        }
        let pes = PesHeader {
            stream_id: STREAM_PRIVATE,
            length: Some(length),
            alignment: true,
            pts,
            dts: None,
        };
        let head = Head { track: Track::Metadata, pes, random_access: false, pcr: None };
        self.mux.pes(&head, tag.len(), core::iter::once(tag), out.sink);
    }
}
