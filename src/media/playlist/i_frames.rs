//! The I-frame playlist of one stream: its key pictures as ranges of the segments.
//!
//! It has the window, the discontinuities and the target duration of the media playlist, and its
//! own media sequence, which counts pictures. A picture lasts to the next one of its segment, the
//! last one to the end of the segment: so no duration changes when more is listed. Pictures that
//! do not stand at the beginning of a segment leave a gap in front, as the media playlist has none.
//!
//! A range holds the transport packets of the picture alone. The tables that a player needs are
//! named by `EXT-X-MAP`, each segment's own, as the program map may differ from one to the next:
//! players that take a range for a whole resource (ffmpeg does) could not read it otherwise. That
//! makes it version 5. Source: RFC 8216 §4.3.3.6, §4.3.2.5, §7; draft-pantos-12 §3.4.13.

use super::lines::segment_name;
use super::{KeyTag, Listed, Method, Playlist};
use crate::limits::{I_FRAMES_PER_SEGMENT_MAX, SEGMENT_NAME_BYTES_MAX};
use crate::media::container::Container;
use crate::time::Ticks;
use crate::wire::m3u8::{ByteRange, Line, Map};
use crate::wire::ts::packet::PACKET_BYTES;
use crate::wire::writer::{Full, Writer};

/// A picture in a segment that needs no other to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IFrame {
    /// Its decode time less that of the segment's first access unit.
    pub after: Ticks,
    /// Offset of its first packet in bytes.
    pub at: u32,
    /// Bytes of its packets.
    pub bytes: u32,
}

/// The pictures of one segment, first first.
pub type IFrames = heapless::Vec<IFrame, I_FRAMES_PER_SEGMENT_MAX>;

/// Each picture with the microseconds it lasts, in a segment of `micros`.
pub fn lasting(frames: &[IFrame], micros: u64) -> impl Iterator<Item = (IFrame, u64)> + '_ {
    let start = move |frame: &IFrame| frame.after.micros().max(0).unsigned_abs().min(micros);
    let ends = frames.iter().skip(1).map(start).chain([micros]);
    let lasts = move |frame, end: u64| end.saturating_sub(start(frame)).max(1);
    frames.iter().zip(ends).map(move |(frame, end)| (*frame, lasts(frame, end)))
}

/// Writes the I-frame playlist of the current version of `playlist`. `frames` gives those of a
/// slot; `sequence` of them were listed before and have left.
///
/// # Errors
/// `Full` if it does not fit; a part of it may have been written.
pub fn emit_i_frames<'f>(
    w: &mut Writer<'_>,
    playlist: &Playlist,
    epoch: u32,
    sequence: u64,
    frames: impl Fn(usize) -> &'f [IFrame],
) -> Result<(), Full> {
    Line::Header.emit(w)?;
    Line::Version(5).emit(w)?;
    Line::TargetDuration(playlist.target_duration_s().unwrap_or(1).into()).emit(w)?;
    Line::MediaSequence(sequence).emit(w)?;
    Line::DiscontinuitySequence(playlist.discontinuity_sequence()).emit(w)?;
    Line::IFramesOnly.emit(w)?;
    let mut key = None;
    for listed in playlist.listed() {
        segment(w, epoch, &listed, &mut key, frames(listed.slot))?;
    }
    if playlist.is_ended() {
        Line::EndList.emit(w)?;
    }
    Ok(())
}

/// Writes the pictures of one segment. A discontinuity is said even where there is none, so that
/// both playlists count alike (rule R60).
fn segment(
    w: &mut Writer<'_>,
    epoch: u32,
    listed: &Listed,
    key: &mut Option<KeyTag>,
    frames: &[IFrame],
) -> Result<(), Full> {
    let mut name = [0; SEGMENT_NAME_BYTES_MAX];
    let mut n = Writer::new(&mut name);
    segment_name(&mut n, epoch, listed.sequence, Container::Ts)?;
    let uri = core::str::from_utf8(n.written()).unwrap_or_default();
    (0..listed.passed).try_for_each(|_| Line::Discontinuity.emit(w))?;
    if listed.discontinuity {
        Line::Discontinuity.emit(w)?;
    }
    if !frames.is_empty() {
        // The vector of a whole segment is its number, which is none of this playlist's.
        let anew = listed.key.is_some_and(|key| key.method == Method::Aes128);
        if anew || listed.key != *key {
            *key = listed.key;
            match key {
                Some(key) => key.emit_for(listed.sequence, w)?,
                None => KeyTag::emit(None, w)?,
            }
        }
        Line::Map(Map { uri, range: Some(TABLES) }).emit(w)?;
    }
    for (frame, micros) in lasting(frames, listed.micros) {
        Line::Segment { micros, title: "" }.emit(w)?;
        let (bytes, at) = (frame.bytes.into(), Some(frame.at.into()));
        Line::ByteRange(ByteRange { bytes, at }).emit(w)?;
        Line::Uri(uri).emit(w)?;
    }
    Ok(())
}

/// PAT and PMT, the first two packets of every segment (rule R21).
const TABLES: ByteRange = ByteRange { bytes: TABLE_BYTES, at: Some(0) };

#[expect(clippy::as_conversions, reason = "a small usize always fits, in a const")]
const TABLE_BYTES: u64 = 2 * PACKET_BYTES as u64;

#[cfg(test)]
mod tests {
    use super::super::{Closed, PlaylistConfig, PlaylistKind};
    use super::*;
    use crate::limits::{GROUP_TAGS_MAX, I_FRAME_LINES_BYTES_MAX};
    use crate::time::Instant;
    use crate::wire::m3u8::MediaPlaylist;

    fn playlist(target: Option<u32>) -> Playlist {
        Playlist::new(PlaylistConfig {
            segment: Ticks::from_millis(2_000),
            window_segments: 3,
            listed_max: 12,
            kind: PlaylistKind::Live { window: Ticks::ZERO },
            target_duration_s: target,
            media_sequence: 40,
            discontinuity_sequence: 2,
        })
    }

    fn closed(slot: usize, ms: i64) -> Closed {
        let duration = Ticks::from_millis(ms);
        Closed { duration, discontinuity: slot == 1, independent: true, slot }
    }

    fn frame(ms: i64, at: u32) -> IFrame {
        IFrame { after: Ticks::from_millis(ms), at, bytes: 1880 }
    }

    fn text(playlist: &Playlist, sequence: u64, frames: &[Vec<IFrame>]) -> String {
        let mut room = vec![0; 16 << 10];
        let mut w = Writer::new(&mut room);
        emit_i_frames(&mut w, playlist, 7, sequence, |slot| &frames[slot]).unwrap();
        String::from_utf8(w.written().to_vec()).unwrap()
    }

    #[test]
    fn r60_i_frames_have_the_window_and_discontinuities_of_the_segments() {
        let mut list = playlist(Some(2));
        let frames = [vec![frame(0, 376), frame(1_000, 9_400)], vec![], vec![frame(500, 752)]];
        for slot in 0..3 {
            let now = Instant(2_000_000 * u64::try_from(slot).unwrap());
            let _change = list.closed(now, closed(slot, 2_000));
        }
        let text = text(&list, 90, &frames);
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:90\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-I-FRAMES-ONLY\n\
             #EXT-X-MAP:URI=\"00000007-40.ts\",BYTERANGE=\"376@0\"\n\
             #EXTINF:1.000000,\n#EXT-X-BYTERANGE:1880@376\n00000007-40.ts\n\
             #EXTINF:1.000000,\n#EXT-X-BYTERANGE:1880@9400\n00000007-40.ts\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"00000007-42.ts\",BYTERANGE=\"376@0\"\n\
             #EXTINF:1.500000,\n#EXT-X-BYTERANGE:1880@752\n00000007-42.ts\n"
        );
        let read = MediaPlaylist::parse(text.as_bytes()).unwrap();
        assert!(read.i_frames_only && read.segments == 3);
    }

    #[test]
    fn r9_i_frames_last_no_longer_than_their_segment() {
        let long: Vec<_> = (0..4).map(|n| frame(n * 1_000, 376)).collect();
        let lasts: Vec<u64> = lasting(&long, 2_499_999).map(|(_, micros)| micros).collect();
        assert_eq!(lasts, [1_000_000, 1_000_000, 499_999, 1]);
        assert_eq!(lasting(&[], 5).count(), 0);
        let early = [frame(-40, 376)];
        assert_eq!(lasting(&early, 2_000_000).next().unwrap().1, 2_000_000);
    }

    #[test]
    fn r38_i_frame_playlist_ends_with_its_stream() {
        let mut list = playlist(None);
        let _change = list.closed(Instant(0), closed(0, 2_000));
        let _change = list.end(Instant(1));
        assert!(text(&list, 0, &[vec![frame(0, 376)]]).ends_with("#EXT-X-ENDLIST\n"));
    }

    #[test]
    fn longest_lines_of_a_segment_fit_their_bound() {
        let most = IFrame { after: Ticks::ZERO, at: u32::MAX, bytes: u32::MAX };
        let frames = vec![most; I_FRAMES_PER_SEGMENT_MAX];
        let (method, epoch, number) = (Method::SampleAes, u32::MAX, u64::MAX);
        let key = Some(KeyTag { method, epoch, number });
        let (sequence, slot, micros, passed) = (u64::MAX, 0, u64::MAX, GROUP_TAGS_MAX - 1);
        let mut listed = Listed { sequence, slot, micros, discontinuity: true, passed, key };
        let mut room = [0; I_FRAME_LINES_BYTES_MAX];
        for micros in [u64::MAX, 60_499_999] {
            listed.micros = micros;
            let mut w = Writer::new(&mut room);
            segment(&mut w, u32::MAX, &listed, &mut None, &frames).unwrap();
        }
    }
}
