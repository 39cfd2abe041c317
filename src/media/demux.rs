//! Tells what a message is to the pipeline.
//!
//! Takes one track of an enhanced message, gives each codec one form whatever way it came, and
//! names what a transport stream cannot carry. Remembers which track was taken, nothing else, and
//! interprets no configuration.
//! Source: FLV §E.4.2, §E.4.3; Enhanced RTMP v2.

use crate::media::carriage::VideoFormat;
use crate::time::Ticks;
use crate::wire::flv::{
    AudioBody, AudioCodec, AudioPacket, ChannelOrder, EnhancedAudio, EnhancedVideo, FourCc,
    FrameType, Multichannel, TagError, Track, VideoBody, VideoCodec, VideoPacket,
};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// Configuration of H.264 or HEVC.
    VideoConfig(VideoFormat, &'a [u8]),
    /// A picture of H.264 or HEVC.
    Picture {
        /// Which of the two.
        format: VideoFormat,
        /// Whether the encoder says that decoding can start here.
        keyframe: bool,
        /// Presentation less decode time, in milliseconds.
        composition_ms: i32,
        /// NAL units, each behind its length.
        nals: &'a [u8],
    },
    /// Configuration of AAC.
    AacConfig(&'a [u8]),
    /// A frame of AAC, or several with ADTS headers.
    Aac(&'a [u8]),
    /// Bytes of an MP3 stream.
    Mp3(&'a [u8]),
    /// Frames of AC-3 or E-AC-3.
    Ac3(&'a [u8]),
    /// Configuration of Opus; may be empty.
    OpusConfig(&'a [u8]),
    /// A packet of Opus.
    Opus(&'a [u8]),
    /// Channels of this codec have an order that no transport stream can say.
    ChannelOrder(AudioCodec),
    /// Nothing to carry: silence, a command, an end, metadata.
    Nothing,
    /// A video codec that is not carried, with its configuration if that is what came.
    OtherVideo(VideoCodec, &'a [u8]),
    /// An audio codec that is not carried, with its configuration if that is what came.
    OtherAudio(AudioCodec, &'a [u8]),
}

/// A message taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What the track that is taken holds.
    pub unit: Unit<'a>,
    /// To add to the presentation time, at most a millisecond.
    pub offset: Ticks,
    /// How many other tracks the message holds, which are not taken.
    pub others: u32,
}

/// Which of several tracks is taken: the one wished for, or else the first that comes. A message
/// without a track number is of track 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    wish: Option<u8>,
    taken: Option<u8>,
}

impl Choice {
    /// Takes the track with the number of `wish`; the first that comes if there is none.
    #[must_use]
    pub const fn new(wish: Option<u8>) -> Self {
        Self { wish, taken: None }
    }

    /// Takes another wish; what was taken stays until `release`.
    pub const fn wish(&mut self, wish: Option<u8>) {
        self.wish = wish;
    }

    /// Another publisher begins: its first track may be another.
    pub const fn release(&mut self) {
        self.taken = None;
    }

    /// Whether `track` is taken.
    fn takes(&mut self, track: u8) -> bool {
        *self.taken.get_or_insert(self.wish.unwrap_or(track)) == track
    }

    /// A message without a track number.
    fn only<'a>(&mut self, unit: Unit<'a>, offset_ns: u32) -> Parts<'a> {
        let offset = ticks(offset_ns);
        if unit == Unit::Nothing || self.takes(0) {
            return Parts { unit, offset, others: 0 };
        }
        Parts { unit: Unit::Nothing, offset, others: 1 }
    }

    /// The track that is taken of `tracks`, and how many are not.
    fn pick<'a>(&mut self, tracks: impl Iterator<Item = Track<'a>>) -> (Option<Track<'a>>, u32) {
        let (mut found, mut others) = (None, 0);
        for track in tracks {
            if found.is_none() && self.takes(track.id) {
                found = Some(track);
            } else {
                others += 1;
            }
        }
        (found, others)
    }
}

/// Reads the body of a video message.
///
/// # Errors
/// `TagError`; the message must then be dropped.
pub fn video<'a>(payload: &'a [u8], choice: &mut Choice) -> Result<Parts<'a>, TagError> {
    let body = VideoBody::parse(payload)?;
    let VideoBody::Enhanced(enhanced) = body else {
        let (unit, offset_ns) = video_unit(body);
        return Ok(choice.only(unit, offset_ns));
    };
    match enhanced.packet {
        VideoPacket::Metadata => Ok(Parts { unit: Unit::Nothing, offset: Ticks::ZERO, others: 0 }),
        VideoPacket::Unknown(code) => Err(TagError::Packet(code)),
        VideoPacket::SequenceStart
        | VideoPacket::CodedFrames
        | VideoPacket::CodedFramesX
        | VideoPacket::SequenceEnd
        | VideoPacket::Mpeg2TsSequenceStart => {
            let (track, others) = choice.pick(enhanced.tracks());
            let unit = match track {
                Some(track) => video_track(&enhanced, &track)?,
                None => Unit::Nothing,
            };
            Ok(Parts { unit, offset: ticks(enhanced.offset_ns), others })
        }
    }
}

/// Reads the body of an audio message.
///
/// # Errors
/// `TagError`; the message must then be dropped.
pub fn audio<'a>(payload: &'a [u8], choice: &mut Choice) -> Result<Parts<'a>, TagError> {
    let body = AudioBody::parse(payload)?;
    let AudioBody::Enhanced(enhanced) = body else {
        let (unit, offset_ns) = audio_unit(body);
        return Ok(choice.only(unit, offset_ns));
    };
    if let AudioPacket::Unknown(code) = enhanced.packet {
        return Err(TagError::Packet(code));
    }
    let (track, others) = choice.pick(enhanced.tracks());
    let unit = match track {
        Some(track) => audio_track(&enhanced, &track)?,
        None => Unit::Nothing,
    };
    Ok(Parts { unit, offset: ticks(enhanced.offset_ns), others })
}

fn video_track<'a>(enhanced: &EnhancedVideo<'a>, track: &Track<'a>) -> Result<Unit<'a>, TagError> {
    if let Some(body) = enhanced.body(track)? {
        return Ok(video_unit(body).0);
    }
    let codec = VideoCodec::Named(track.codec);
    Ok(match enhanced.packet {
        VideoPacket::SequenceEnd => Unit::Nothing,
        VideoPacket::SequenceStart => Unit::OtherVideo(codec, track.data),
        VideoPacket::CodedFrames
        | VideoPacket::CodedFramesX
        | VideoPacket::Metadata
        | VideoPacket::Mpeg2TsSequenceStart
        | VideoPacket::Unknown(_) => Unit::OtherVideo(codec, &[]),
    })
}

fn audio_track<'a>(enhanced: &EnhancedAudio<'a>, track: &Track<'a>) -> Result<Unit<'a>, TagError> {
    if let Some(body) = enhanced.body(track) {
        return Ok(audio_unit(body).0);
    }
    let codec = AudioCodec::Named(track.codec);
    Ok(match (enhanced.packet, track.codec) {
        // The others begin without a configuration, or with an empty one.
        (AudioPacket::SequenceEnd, _)
        | (AudioPacket::SequenceStart, FourCc::MP3 | FourCc::AC3 | FourCc::EAC3) => Unit::Nothing,
        (AudioPacket::MultichannelConfig, _) => match Multichannel::parse(track.data)?.order {
            ChannelOrder::Unspecified | ChannelOrder::Native(_) => Unit::Nothing,
            ChannelOrder::Custom(_) | ChannelOrder::Unknown(_) => Unit::ChannelOrder(codec),
        },
        (AudioPacket::CodedFrames, FourCc::AC3 | FourCc::EAC3) => Unit::Ac3(track.data),
        (AudioPacket::SequenceStart, FourCc::OPUS) => Unit::OpusConfig(track.data),
        (AudioPacket::CodedFrames, FourCc::OPUS) => Unit::Opus(track.data),
        (AudioPacket::SequenceStart, _) => Unit::OtherAudio(codec, track.data),
        _ => Unit::OtherAudio(codec, &[]),
    })
}

/// A body of one track, and the nanoseconds it has to wait.
fn video_unit(body: VideoBody<'_>) -> (Unit<'_>, u32) {
    let picture = |format, frame_type, composition_ms, nals| {
        let keyframe = frame_type == FrameType::Key;
        Unit::Picture { format, keyframe, composition_ms, nals }
    };
    let unit = match body {
        VideoBody::AvcConfig { record } => Unit::VideoConfig(VideoFormat::H264, record),
        VideoBody::HevcConfig { record } => Unit::VideoConfig(VideoFormat::Hevc, record),
        VideoBody::AvcFrame { frame_type, composition_ms, offset_ns, nals } => {
            return (picture(VideoFormat::H264, frame_type, composition_ms, nals), offset_ns);
        }
        VideoBody::HevcFrame { frame_type, composition_ms, offset_ns, nals } => {
            return (picture(VideoFormat::Hevc, frame_type, composition_ms, nals), offset_ns);
        }
        VideoBody::AvcEnd | VideoBody::HevcEnd | VideoBody::Command(_) | VideoBody::Enhanced(_) => {
            Unit::Nothing
        }
        VideoBody::Other { codec } => Unit::OtherVideo(codec, &[]),
    };
    (unit, 0)
}

/// A body of one track, and the nanoseconds it has to wait.
fn audio_unit(body: AudioBody<'_>) -> (Unit<'_>, u32) {
    match body {
        AudioBody::AacConfig { config } => (Unit::AacConfig(config), 0),
        AudioBody::AacFrame { offset_ns, data } => (Unit::Aac(data), offset_ns),
        AudioBody::Mp3 { offset_ns, data, .. } => (Unit::Mp3(data), offset_ns),
        AudioBody::Silence | AudioBody::Enhanced(_) => (Unit::Nothing, 0),
        AudioBody::Other { codec } => (Unit::OtherAudio(codec, &[]), 0),
    }
}

/// The nearest time in 90 kHz: 100 000 ns are 9 ticks.
fn ticks(offset_ns: u32) -> Ticks {
    Ticks((i64::from(offset_ns) * 9 + 50_000) / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_video(payload: &[u8]) -> Unit<'_> {
        video(payload, &mut Choice::new(None)).unwrap().unit
    }

    fn of_audio(payload: &[u8]) -> Unit<'_> {
        audio(payload, &mut Choice::new(None)).unwrap().unit
    }

    #[test]
    fn demux_gives_classic_and_enhanced_one_form() {
        let nals = &[0, 0, 0, 1, 0x65][..];
        let picture = |format, composition_ms| {
            let keyframe = true;
            Unit::Picture { format, keyframe, composition_ms, nals }
        };
        for (classic, name, format) in
            [(0x17, b"avc1", VideoFormat::H264), (0x1c, b"hvc1", VideoFormat::Hevc)]
        {
            let classic = [&[classic, 1, 0, 0, 80][..], nals].concat();
            let enhanced = [&[0x91][..], name, &[0, 0, 80], nals].concat();
            let plain = [&[0x93][..], name, nals].concat();
            let tracked = [&[0x96, 0x03][..], name, &[0], nals].concat();
            assert_eq!(of_video(&classic), picture(format, 80));
            assert_eq!(of_video(&enhanced), picture(format, 80));
            assert_eq!(of_video(&plain), picture(format, 0));
            assert_eq!(of_video(&tracked), picture(format, 0));
        }
        assert_eq!(of_audio(&[0xaf, 1, 0x21]), Unit::Aac(&[0x21]));
        assert_eq!(of_audio(b"\x91mp4a\x21"), Unit::Aac(&[0x21]));
        assert_eq!(of_audio(b"\x91Opus\xfc\x01"), Unit::Opus(&[0xfc, 1]));
        assert_eq!(of_audio(b"\x90Opus"), Unit::OpusConfig(&[]));
        assert_eq!(of_audio(b"\x91ac-3\x0b"), Unit::Ac3(&[0x0b]));
        assert_eq!(of_audio(b"\x91ec-3\x0b"), Unit::Ac3(&[0x0b]));
    }

    #[test]
    fn demux_names_what_is_not_carried() {
        assert_eq!(of_audio(&[0x7e, 0]), Unit::OtherAudio(AudioCodec::of(7), &[]));
        assert_eq!(of_video(&[0x12, 0]), Unit::OtherVideo(VideoCodec::H263, &[]));
        let av1 = VideoCodec::Named(FourCc::AV01);
        assert_eq!(of_video(b"\x91av01\x0a"), Unit::OtherVideo(av1, &[]));
        assert_eq!(of_video(b"\x90av01\x81"), Unit::OtherVideo(av1, &[0x81]));
        assert_eq!(of_video(b"\x95av01\x81"), Unit::OtherVideo(av1, &[]));
        let flac = AudioCodec::Named(FourCc::FLAC);
        assert_eq!(of_audio(b"\x90fLaCfLaC"), Unit::OtherAudio(flac, b"fLaC"));
        let layout = b"\x94Opus\x02\x02\x01\x00";
        assert_eq!(of_audio(layout), Unit::ChannelOrder(AudioCodec::Named(FourCc::OPUS)));
    }

    #[test]
    fn demux_finds_nothing_in_ends_colours_and_empty_beginnings() {
        for payload in [&b"\x92hvc1"[..], b"\x92av01", b"\x17\x02\0\0\0", b"\x84hvc1\x02"] {
            assert_eq!(of_video(payload), Unit::Nothing, "{payload:02x?}");
        }
        for payload in
            [&b""[..], b"\x92Opus", b"\x92fLaC", b"\x90ac-3", b"\x90.mp3", b"\x94mp4a\0\x02"]
        {
            assert_eq!(of_audio(payload), Unit::Nothing, "{payload:02x?}");
        }
        let refused = video(b"\x98hvc1", &mut Choice::new(None));
        assert_eq!(refused, Err(TagError::Packet(8)));
        let refused = audio(b"\x93Opus", &mut Choice::new(None));
        assert_eq!(refused, Err(TagError::Packet(3)));
    }

    #[test]
    fn demux_takes_the_track_wished_for_or_the_first_and_counts_the_others() {
        let both = b"\x95\x11Opus\x03\0\0\x01\xaa\x04\0\0\x01\xbb";
        let one = b"\x95\x01Opus\x04\xcc";
        let plain = b"\x91Opus\xdd";
        for (wish, want) in [
            (None, [(Unit::Opus(&[0xaa]), 1), (Unit::Nothing, 1), (Unit::Nothing, 1)]),
            (Some(4), [(Unit::Opus(&[0xbb]), 1), (Unit::Opus(&[0xcc]), 0), (Unit::Nothing, 1)]),
            (Some(0), [(Unit::Nothing, 2), (Unit::Nothing, 1), (Unit::Opus(&[0xdd]), 0)]),
        ] {
            let mut choice = Choice::new(wish);
            // Colours and silence are of no track.
            assert_eq!(audio(&[], &mut choice).unwrap().others, 0);
            for (payload, (unit, others)) in [&both[..], one, plain].into_iter().zip(want) {
                let parts = audio(payload, &mut choice).unwrap();
                assert_eq!((parts.unit, parts.others), (unit, others), "{wish:?}");
            }
        }
        let mut choice = Choice::new(None);
        assert_eq!(audio(one, &mut choice).unwrap().unit, Unit::Opus(&[0xcc]));
        choice.release();
        assert_eq!(audio(plain, &mut choice).unwrap().unit, Unit::Opus(&[0xdd]));
    }

    #[test]
    fn demux_turns_nanoseconds_into_the_nearest_tick() {
        for (ns, want) in [(0, 0), (5_555, 0), (5_556, 1), (500_000, 45), (999_999, 90)] {
            assert_eq!(ticks(ns), Ticks(want), "{ns}");
        }
        let modified = b"\x97\x02\x07\xa1\x20\x01Opus\xfc";
        let parts = audio(modified, &mut Choice::new(None)).unwrap();
        assert_eq!((parts.unit, parts.offset), (Unit::Opus(&[0xfc]), Ticks(45)));
        let modified = b"\x97\x02\x07\xa1\x20\x03hvc1\0\0\0\x01\x26";
        let parts = video(modified, &mut Choice::new(None)).unwrap();
        assert_eq!(parts.offset, Ticks(45));
    }
}
