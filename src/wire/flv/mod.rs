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

/// Whether a message configures a decoder: a relay keeps the newest for those who join later.
/// Looks at two bytes at most.
#[must_use]
pub fn is_sequence_header(kind: TagKind, payload: &[u8]) -> bool {
    match (kind, payload) {
        // Multitrack: the packet type moves to the second byte.
        (TagKind::Audio, [0x95, second, ..]) => matches!(second & 0x0f, 0),
        (TagKind::Audio, [0x90, ..] | [0xa0..=0xaf, 0, ..]) => true,
        (TagKind::Video, [first, second, ..]) => match (first & 0x80 != 0, first & 0x0f) {
            _ if first & 0x70 == 0x50 => false,
            (true, 6) => matches!(second & 0x0f, 0 | 5),
            (true, packet) => matches!(packet, 0 | 5),
            (false, codec) => matches!(codec, 7 | 12 | 13) && *second == 0,
        },
        _ => false,
    }
}

/// Whether a video message claims to hold a key frame: a place for a relay to start from. Looks at
/// two bytes at most; what the NAL units say is `h264::is_random_access`.
#[must_use]
pub fn is_keyframe(kind: TagKind, payload: &[u8]) -> bool {
    let (TagKind::Video, [first, second, ..]) = (kind, payload) else {
        return false;
    };
    if !matches!(first & 0x70, 0x10 | 0x40) {
        return false;
    }
    match (first & 0x80 != 0, first & 0x0f) {
        (true, 6) => matches!(second & 0x0f, 1 | 3),
        // A modifier in front of the packet type: nobody modifies a configuration.
        (true, packet) => matches!(packet, 1 | 3 | 7),
        (false, 7 | 12 | 13) => *second == 1,
        (false, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            (&[0x96, 0x00], true, false),
            (&[0x96, 0x03], false, true),
            (&[0x97, 0x02], false, true),
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
            (&[0x95, 0x00], true),
            (&[0x95, 0x01], false),
            (&[], false),
        ] {
            assert_eq!(is_sequence_header(TagKind::Audio, payload), header, "{payload:02x?}");
        }
        assert!(!is_sequence_header(TagKind::Script, &[0x17, 0]));
    }

    proptest! {
        #[test]
        fn peeks_agree_with_parsing(bytes in proptest::collection::vec(any::<u8>(), 2..40)) {
            if let Ok(body) = VideoBody::parse(&bytes) {
                let (header, key) = match body {
                    VideoBody::AvcConfig { .. } | VideoBody::HevcConfig { .. } => (true, false),
                    VideoBody::AvcFrame { frame_type, .. }
                    | VideoBody::HevcFrame { frame_type, .. } => (false, frame_type.is_key()),
                    VideoBody::AvcEnd | VideoBody::HevcEnd | VideoBody::Command(_) => (false, false),
                    VideoBody::Other { .. } | VideoBody::Enhanced(_) => return Ok(()),
                };
                // Modifiers hide the packet type from two bytes.
                if bytes[0] & 0x8f != 0x87 {
                    prop_assert_eq!(is_sequence_header(TagKind::Video, &bytes), header);
                    prop_assert_eq!(is_keyframe(TagKind::Video, &bytes), key);
                }
            }
        }
    }
}
