//! FLV: the file's headers, and the bodies of audio and video tags, which RTMP carries alike.
//!
//! Sources: Adobe Video File Format 10.1 annex E; Enhanced RTMP v1 and v2 ("ER2"). Codecs that no
//! transport stream for HLS can hold are told apart so far that a log can name them. Does not look
//! into configuration records (`h264`, `aac`) nor into script data (`amf0`).
//!
//! Quirks tolerated: wrong audio and video flags in a file's header, wrong rate and channel bits
//! of AAC (every encoder writes `af`), configuration with any frame type, HEVC as codec 12 (old
//! Chinese encoders), metadata packets with frame type 0 (OBS).

mod audio;
mod enhanced;
mod tag;
mod video;

pub use audio::{AudioBody, AudioCodec, AudioPacket, ChannelOrder, EnhancedAudio, Multichannel};
pub use enhanced::{FourCc, Multitrack, Track, Tracks};
pub use tag::{FileError, FileHeader, TagHeader, TagKind};
pub use video::{EnhancedVideo, FrameType, VideoBody, VideoCodec, VideoPacket};

use crate::wire::reader::Short;

/// A tag body that cannot be read; the message is dropped, the connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Malformed: fewer bytes than the field needs.
    #[error(transparent)]
    Short(#[from] Short),
    /// Malformed: a multitrack or modifier packet inside a multitrack packet.
    #[error("multitrack packet holds packets of type {0}, which may not be nested")]
    Nested(u8),
    /// Unsupported: a packet type that is not defined for the codec.
    #[error("packet type {0} is not defined")]
    Packet(u8),
    /// Unsupported: a multitrack layout that is not defined.
    #[error("multitrack type {0} is not defined")]
    Multitrack(u8),
}

/// Whether a message configures a decoder: a relay keeps the newest for those who join later. Of
/// several tracks, number 0 is meant: the one that players without a choice take.
#[must_use]
pub fn is_sequence_header(kind: TagKind, payload: &[u8]) -> bool {
    match (kind, payload) {
        (TagKind::Audio, [0xa0..=0xaf, 0, ..]) => true,
        (TagKind::Audio, [first @ 0x90..=0x9f, ..]) => match first & 0x0f {
            // Behind a wrapper or a modifier, the packet type is another.
            audio::MULTITRACK | enhanced::MODIFIER => audio::begins_track_0(payload),
            packet => packet == 0,
        },
        (TagKind::Video, [first, second, ..]) => match (first & 0x80 != 0, first & 0x0f) {
            _ if first & 0x70 == 0x50 => false,
            (true, video::MULTITRACK | enhanced::MODIFIER) => {
                let packet = video::packet_of_track_0(payload);
                let start = VideoPacket::SequenceStart;
                packet.is_some_and(|p| p == start || p == VideoPacket::Mpeg2TsSequenceStart)
            }
            (true, packet) => matches!(packet, 0 | 5),
            (false, codec) => matches!(codec, 7 | 12 | 13) && *second == 0,
        },
        _ => false,
    }
}

/// Whether a video message claims to hold a key frame of track 0: a place for a relay to start
/// from. What the NAL units say is `h264::is_random_access` and `hevc::is_random_access`.
#[must_use]
pub fn is_keyframe(kind: TagKind, payload: &[u8]) -> bool {
    let (TagKind::Video, [first, second, ..]) = (kind, payload) else {
        return false;
    };
    if !matches!(first & 0x70, 0x10 | 0x40) {
        return false;
    }
    match (first & 0x80 != 0, first & 0x0f) {
        (true, video::MULTITRACK | enhanced::MODIFIER) => matches!(
            video::packet_of_track_0(payload),
            Some(VideoPacket::CodedFrames | VideoPacket::CodedFramesX)
        ),
        (true, packet) => matches!(packet, 1 | 3),
        (false, 7 | 12 | 13) => *second == 1,
        (false, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::writer::Writer;
    use proptest::prelude::*;

    #[test]
    fn bodies_refuse_truncation_of_what_they_announce() {
        for (body, complete) in [
            (&b"\x17\x01\0\0\x50\0"[..], 5),
            (b"\x57\0", 2),
            (b"\x91hvc1\0\0\x50\0", 8),
            (b"\x93avc1\0", 5),
            (b"\x97\x02\x07\xa1\x20\x01avc1\0\0\x50\0", 13),
            (b"\x97\xff\0\x01\xaa\xbb\x10", 40),
            (b"\xa6\x03avc1\x01\x41", 7),
            (b"\x96\x13avc1\0\0\0\x02\x41\x42", 12),
            (b"\x96\x23avc1\0\0\0\x01\x41hvc1\x01\0\0\0", 19),
        ] {
            for end in 0..body.len() {
                let parsed = VideoBody::parse(&body[..end]);
                // Two tracks of which the first is whole are one track.
                let whole = end >= complete || (complete == 19 && end == 11);
                assert_eq!(parsed.is_ok(), whole, "{end} bytes of {body:02x?}");
            }
        }
        for (body, complete) in [
            (&b"\xaf\0\x12"[..], 2),
            (b"\x91mp4a\x21", 5),
            (b"\x97\x02\x07\xa1\x20\x01mp4a\x21", 10),
            (b"\x95\x11mp4a\0\0\0\x01\x21", 11),
        ] {
            for end in 1..body.len() {
                let parsed = AudioBody::parse(&body[..end]);
                assert_eq!(parsed.is_ok(), end >= complete, "{end} bytes of {body:02x?}");
            }
        }
    }

    #[test]
    fn bodies_refuse_what_is_not_defined() {
        assert_eq!(VideoBody::parse(&[0x17, 3, 0, 0, 0]), Err(TagError::Packet(3)));
        assert_eq!(AudioBody::parse(&[0xaf, 2]), Err(TagError::Packet(2)));
        assert_eq!(VideoBody::parse(&[0x96, 0x06]), Err(TagError::Nested(6)));
        assert_eq!(VideoBody::parse(&[0x96, 0x07]), Err(TagError::Nested(7)));
        assert_eq!(AudioBody::parse(&[0x95, 0x05]), Err(TagError::Nested(5)));
        assert_eq!(VideoBody::parse(&[0x96, 0x31]), Err(TagError::Multitrack(3)));
    }

    #[test]
    fn modifiers_are_read_in_both_sizes_and_senseless_ones_ignored() {
        let long = [&[0x97, 0xff, 0x00, 0xff][..], &[9; 256], b"\x51mp4a!"].concat();
        let frame = |offset_ns| AudioBody::AacFrame { offset_ns, data: b"!" };
        assert_eq!(AudioBody::parse(&long), Ok(frame(0)), "an unknown modifier");
        let twice = b"\x97\x02\0\0\x07\x07\0\xaa\x11mp4a!";
        assert_eq!(AudioBody::parse(twice), Ok(frame(7)), "one of each");
        let beyond = b"\x97\x02\x0f\x42\x40\x01mp4a!";
        assert_eq!(AudioBody::parse(beyond), Ok(frame(0)), "a whole millisecond");
    }

    #[test]
    fn channel_layouts_are_read_in_each_order() {
        for (data, order) in [
            (&[0, 2][..], ChannelOrder::Unspecified),
            (&[1, 2, 0, 0, 0, 3], ChannelOrder::Native(3)),
            (&[2, 2, 0, 1], ChannelOrder::Custom(&[0, 1])),
            (&[9, 2], ChannelOrder::Unknown(9)),
        ] {
            assert_eq!(Multichannel::parse(data), Ok(Multichannel { channels: 2, order }));
            assert!(Multichannel::parse(&data[..data.len() - 1]).is_err());
        }
    }

    #[test]
    fn peeks_know_configuration_and_key_frames() {
        for (payload, header, key) in [
            (&[0x17, 0, 0][..], true, false),
            (&[0x27, 0, 0], true, false),
            (&[0x17, 1, 0], false, true),
            (&[0x27, 1, 0], false, false),
            (&[0x17, 2, 0], false, false),
            (&[0x57, 0], false, false),
            (&[0x12, 0], false, true),
            (&[0x1c, 0], true, false),
            (&[0x90, b'h'], true, false),
            (&[0x91, b'h'], false, true),
            (&[0x93, b'h'], false, true),
            (&[0xa3, b'h'], false, false),
            (&[0x84, b'h'], false, false),
            (b"\x96\x00hvc1\x00\x01", true, false),
            (b"\x96\x05av01\x00\x81", true, false),
            (b"\x96\x03avc1\x00\x65", false, true),
            (b"\xa6\x03avc1\x00\x65", false, false),
            (b"\x96\x21avc1\x00\0\0\x04\0\0\0\x65", false, true),
            (b"\x96\x11av01\x00\0\0\x01\x0a\x01\0\0\x01\x0a", false, true),
            (b"\x96\x21av01\x01\0\0\x01\x0aav01\x00\0\0\x01\x0a", false, true),
            // Beside track 0 there may be others; they are no place to start from.
            (b"\x96\x00hvc1\x01\x01", false, false),
            (b"\x96\x03avc1\x01\x65", false, false),
            (b"\x97\x02\x07\xa1\x20\x01avc1\0\0\0\x65", false, true),
            (b"\x97\x02\x07\xa1\x20\x06\x03hvc1\x00\x26", false, true),
            (b"\x97\x02\x07\xa1\x20\x00hvc1\x01", true, false),
            (b"\x97\x02\x07\xa1\x20\x04hvc1\x02", false, false),
            (b"\x92hvc1", false, false),
            (b"\x94hvc1\x02", false, false),
            (b"\x95av01\x0a", true, false),
            (b"\x91vp09\x82", false, true),
            (&[0x97, 0x02], false, false),
            (&[], false, false),
        ] {
            assert_eq!(is_sequence_header(TagKind::Video, payload), header, "{payload:02x?}");
            assert_eq!(is_keyframe(TagKind::Video, payload), key, "{payload:02x?}");
            assert!(!is_keyframe(TagKind::Audio, payload));
        }
        for (payload, header) in [
            (&[0xaf, 0][..], true),
            (&[0xaf, 1], false),
            (&[0x2f, 0], false),
            (&[0x90, b'm'], true),
            (&[0x91, b'm'], false),
            (b"\x90OpusOpusHead", true),
            (b"\x90fLaC", true),
            (b"\x92Opus", false),
            (b"\x94Opus\x00\x02", false),
            (b"\x95\x00mp4a\x00\x12\x10", true),
            (b"\x95\x00mp4a\x01\x12\x10", false),
            (b"\x95\x01mp4a\x00\x21", false),
            (b"\x97\x02\x07\xa1\x20\x00mp4a\x12", true),
            (b"\x97\x02\x07\xa1\x20\x01mp4a\x21", false),
            (&[], false),
        ] {
            assert_eq!(is_sequence_header(TagKind::Audio, payload), header, "{payload:02x?}");
        }
        assert!(!is_sequence_header(TagKind::Script, &[0x17, 0]));
    }

    /// Bytes that get past the first checks more often than chance would have it.
    fn likely() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: [&[u8]; 17] = [
            b"avc1",
            b"hvc1",
            b"av01",
            b"mp4a",
            b".mp3",
            b"\x17",
            b"\x90",
            b"\x91",
            b"\x95",
            b"\x96",
            b"\x97\x02\0\0\x09",
            b"\x13",
            b"\x21",
            b"\0\0\x01",
            b"\0",
            b"\x01",
            b"\x44",
        ];
        let piece = proptest::sample::select(&PIECES[..]);
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn video_frames_survive_the_wire(
            code in (0u8..8).prop_filter("no frame", |code| *code != 5),
            composition_ms in prop_oneof![Just(0), -(1i32 << 23)..1 << 23],
            offset_ns in prop_oneof![Just(0u32), 0u32..1_000_000],
            nals in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let frame_type = FrameType::of(code);
            let nals = &nals[..];
            for body in [
                VideoBody::AvcFrame { frame_type, composition_ms, offset_ns, nals },
                VideoBody::HevcFrame { frame_type, composition_ms, offset_ns, nals },
            ] {
                let mut buffer = [0; 64];
                let mut w = Writer::new(&mut buffer);
                body.emit(&mut w).unwrap();
                prop_assert_eq!(VideoBody::parse(w.finish()), Ok(body));
            }
        }

        #[test]
        fn bodies_that_can_be_read_survive_the_wire(bytes in prop_oneof![
            likely(), proptest::collection::vec(any::<u8>(), 0..64)]) {
            let mut buffer = [0; 80];
            if let Ok(body) = VideoBody::parse(&bytes) {
                let mut w = Writer::new(&mut buffer);
                body.emit(&mut w).unwrap();
                prop_assert_eq!(VideoBody::parse(w.finish()), Ok(body));
                if let VideoBody::Enhanced(body) = body {
                    prop_assert!((1..=bytes.len()).contains(&body.tracks().count()));
                    for track in body.tracks() {
                        let _ = body.body(&track);
                    }
                }
            }
            if let Ok(body) = AudioBody::parse(&bytes) {
                let mut w = Writer::new(&mut buffer);
                body.emit(&mut w).unwrap();
                prop_assert_eq!(AudioBody::parse(w.finish()), Ok(body));
                if let AudioBody::Enhanced(body) = body {
                    prop_assert!((1..=bytes.len()).contains(&body.tracks().count()));
                }
            }
        }

        #[test]
        fn peeks_agree_with_parsing(bytes in prop_oneof![
            likely(), proptest::collection::vec(any::<u8>(), 2..40)]) {
            if let Ok(body) = VideoBody::parse(&bytes) {
                let (header, key) = match body {
                    VideoBody::AvcConfig { .. } | VideoBody::HevcConfig { .. } => (true, false),
                    VideoBody::AvcFrame { frame_type, .. }
                    | VideoBody::HevcFrame { frame_type, .. } => (false, frame_type.is_key()),
                    VideoBody::AvcEnd | VideoBody::HevcEnd | VideoBody::Command(_) => {
                        (false, false)
                    }
                    VideoBody::Other { .. } | VideoBody::Enhanced(_) => return Ok(()),
                };
                prop_assert_eq!(is_sequence_header(TagKind::Video, &bytes), header);
                prop_assert_eq!(is_keyframe(TagKind::Video, &bytes), key);
            }
        }
    }
}
