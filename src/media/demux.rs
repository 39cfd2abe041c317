//! Tells what a message is to the pipeline.
//!
//! Takes the first track of an enhanced message, gives H.264, AAC and MP3 one form whatever way
//! they came, and names what a transport stream cannot carry. Keeps no state and interprets no
//! configuration.
//! Source: FLV §E.4.2, §E.4.3; Enhanced RTMP v2.

use crate::time::Ticks;
use crate::wire::flv::{
    AudioBody, AudioCodec, AudioPacket, FrameType, TagError, VideoBody, VideoCodec, VideoPacket,
};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// Configuration of H.264.
    VideoConfig(&'a [u8]),
    /// A picture of H.264.
    Picture {
        /// Whether the encoder says that decoding can start here.
        keyframe: bool,
        /// Presentation less decode time, in milliseconds.
        composition_ms: i32,
        /// To add to the presentation time.
        offset: Ticks,
        /// NAL units, each behind its length.
        nals: &'a [u8],
    },
    /// Configuration of AAC.
    AacConfig(&'a [u8]),
    /// A frame of AAC, or several with ADTS headers.
    Aac(&'a [u8]),
    /// Bytes of an MP3 stream.
    Mp3(&'a [u8]),
    /// Nothing to carry: silence, a command, an end, metadata.
    Nothing,
    /// A video codec that is not carried.
    OtherVideo(VideoCodec),
    /// An audio codec that is not carried.
    OtherAudio(AudioCodec),
}

/// Reads the body of a video message.
///
/// # Errors
/// `TagError`; the message must then be dropped.
pub fn video(payload: &[u8]) -> Result<Unit<'_>, TagError> {
    let body = VideoBody::parse(payload)?;
    let VideoBody::Enhanced(enhanced) = body else { return Ok(legacy_video(body)) };
    let Some(track) = enhanced.tracks().next() else { return Ok(Unit::Nothing) };
    if enhanced.packet == VideoPacket::Metadata {
        return Ok(Unit::Nothing);
    }
    let body = enhanced.body(&track)?;
    Ok(body.map_or(Unit::OtherVideo(VideoCodec::Named(track.codec)), legacy_video))
}

/// Reads the body of an audio message.
///
/// # Errors
/// `TagError`; the message must then be dropped.
pub fn audio(payload: &[u8]) -> Result<Unit<'_>, TagError> {
    let body = AudioBody::parse(payload)?;
    let AudioBody::Enhanced(enhanced) = body else { return Ok(legacy_audio(body)) };
    let Some(track) = enhanced.tracks().next() else { return Ok(Unit::Nothing) };
    match enhanced.packet {
        AudioPacket::MultichannelConfig | AudioPacket::SequenceEnd | AudioPacket::Unknown(_) => {
            Ok(Unit::Nothing)
        }
        AudioPacket::SequenceStart | AudioPacket::CodedFrames => {
            let other = Unit::OtherAudio(AudioCodec::Named(track.codec));
            Ok(enhanced.body(&track).map_or(other, legacy_audio))
        }
    }
}

fn legacy_video(body: VideoBody<'_>) -> Unit<'_> {
    match body {
        VideoBody::AvcConfig { record } => Unit::VideoConfig(record),
        VideoBody::AvcFrame { frame_type, composition_ms, offset_ns, nals } => {
            let keyframe = frame_type == FrameType::Key;
            // 90 kHz: 100 000 ns are 9 ticks.
            let offset = Ticks((i64::from(offset_ns) * 9 + 50_000) / 100_000);
            Unit::Picture { keyframe, composition_ms, offset, nals }
        }
        VideoBody::AvcEnd | VideoBody::HevcEnd | VideoBody::Command(_) | VideoBody::Enhanced(_) => {
            Unit::Nothing
        }
        VideoBody::HevcConfig { .. } | VideoBody::HevcFrame { .. } => {
            Unit::OtherVideo(VideoCodec::Hevc)
        }
        VideoBody::Other { codec } => Unit::OtherVideo(codec),
    }
}

fn legacy_audio(body: AudioBody<'_>) -> Unit<'_> {
    match body {
        AudioBody::AacConfig { config } => Unit::AacConfig(config),
        AudioBody::AacFrame { data, .. } => Unit::Aac(data),
        AudioBody::Mp3 { data, .. } => Unit::Mp3(data),
        AudioBody::Silence | AudioBody::Enhanced(_) => Unit::Nothing,
        AudioBody::Other { codec } => Unit::OtherAudio(codec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::flv::FourCc;

    #[test]
    fn demux_gives_classic_and_enhanced_one_form() {
        let nals = &[0, 0, 0, 1, 0x65][..];
        let picture = |composition_ms| {
            let (keyframe, offset) = (true, Ticks(0));
            Unit::Picture { keyframe, composition_ms, offset, nals }
        };
        let classic = [&[0x17, 1, 0, 0, 80][..], nals].concat();
        let enhanced = [&[0x91][..], b"avc1", &[0, 0, 80], nals].concat();
        let plain = [&[0x93][..], b"avc1", nals].concat();
        assert_eq!(video(&classic), Ok(picture(80)));
        assert_eq!(video(&enhanced), Ok(picture(80)));
        assert_eq!(video(&plain), Ok(picture(0)));
        assert_eq!(audio(&[0xaf, 1, 0x21]), Ok(Unit::Aac(&[0x21])));
        assert_eq!(audio(b"\x91mp4a\x21"), Ok(Unit::Aac(&[0x21])));
    }

    #[test]
    fn demux_names_what_is_not_carried() {
        assert_eq!(audio(&[0x7e, 0]), Ok(Unit::OtherAudio(AudioCodec::of(7))));
        assert_eq!(video(&[0x12, 0]), Ok(Unit::OtherVideo(VideoCodec::H263)));
        let hevc = Unit::OtherVideo(VideoCodec::Hevc);
        assert_eq!(video(b"\x90hvc1\x01"), Ok(hevc));
        assert_eq!(video(b"\x91av01\x0a"), Ok(Unit::OtherVideo(VideoCodec::Named(FourCc::AV01))));
        assert_eq!(audio(&[]), Ok(Unit::Nothing));
    }
}
