//! What playlists say of an encoding: its name, and the size and rate of its pictures.
//!
//! Names are made from what the sender configured: sequence parameter sets and
//! `AudioSpecificConfig`. Band replication that a sender does not announce is not looked for; a
//! player finds it as a decoder does. Sources: RFC 6381 §3.3, ISO/IEC 14496-15 §E.3 (video),
//! ISO/IEC 14496-3 table 1.17 (object types behind `mp4a.40`), RFC 8216 §4.3.4.2.

use crate::media::carriage::{AudioFormat, VideoFormat};
use crate::media::protected::ProtectedCodec;
use crate::wire::aac::AudioSpecificConfig;
use crate::wire::{h264, hevc};

/// Name of a video codec, such as `avc1.64001f`.
pub type CodecName = hevc::CodecString;

/// How the tracks of a stream are encoded; a track that is absent or unknown is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Pictures.
    pub video: Option<VideoEncoding>,
    /// Name of the audio codec, such as `mp4a.40.2`.
    pub audio: Option<&'static str>,
}

/// How pictures are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoEncoding {
    /// Name of the codec.
    pub name: CodecName,
    /// Width and height in pixels after cropping, if they can be read.
    pub size: Option<(u32, u32)>,
    /// Frames in 1000 s, if the encoder says so.
    pub frame_millihertz: Option<u64>,
}

impl Encoding {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { video: None, audio: None };
}

impl VideoEncoding {
    /// What a sequence parameter set says; `None` if it cannot be read.
    #[must_use]
    pub fn of(format: VideoFormat, sps: &[u8]) -> Option<Self> {
        match format {
            VideoFormat::H264 => {
                // The name is in the first bytes, whatever follows.
                let [_, profile, constraints, level, ..] = *sps else { return None };
                let mut name = CodecName::new();
                name.push_str(&h264::codec_string(profile, constraints, level)).ok()?;
                let read = h264::Sps::parse(sps).ok();
                let size = read.map(|sps| (sps.width, sps.height));
                let timing = read.and_then(|sps| sps.timing);
                Some(Self { name, size, frame_millihertz: timing.map(|clock| clock.millihertz()) })
            }
            VideoFormat::Hevc => {
                let sps = hevc::Sps::parse(sps).ok()?;
                let name = sps.profile.codec_string();
                Some(Self { name, size: Some((sps.width, sps.height)), frame_millihertz: None })
            }
        }
    }
}

/// Name of AAC with a configuration: by the object type that decoders must know, band replication
/// and parametric stereo included whichever way they are announced.
#[must_use]
pub const fn aac_name(config: &AudioSpecificConfig) -> &'static str {
    match config.playlist_object_type() {
        1 => "mp4a.40.1",
        3 => "mp4a.40.3",
        4 => "mp4a.40.4",
        5 => "mp4a.40.5",
        29 => "mp4a.40.29",
        _ => "mp4a.40.2",
    }
}

/// Name of any other audio.
#[must_use]
pub const fn audio_name(format: AudioFormat) -> &'static str {
    match format {
        AudioFormat::Aac => "mp4a.40.2",
        AudioFormat::Mpeg { .. } => "mp4a.40.34",
        AudioFormat::Ac3 => "ac-3",
        AudioFormat::Eac3 => "ec-3",
        AudioFormat::Opus { .. } => "Opus",
        AudioFormat::Protected(track) => match track.codec() {
            ProtectedCodec::Aac => "mp4a.40.2",
            ProtectedCodec::Ac3 => "ac-3",
            ProtectedCodec::Eac3 => "ec-3",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::hevc::Profile;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    /// A set of libx264 as `wire::h264` has it, with profile, constraints and level replaced.
    fn avc(three: &str) -> VideoEncoding {
        let sps = format!("67{three}acd9405005bb011000000300100000030320f1831960");
        VideoEncoding::of(VideoFormat::H264, &hex(&sps)).unwrap()
    }

    #[test]
    fn r63_h264_is_named_by_profile_constraints_and_level() {
        for (three, name) in
            [("64001f", "avc1.64001f"), ("640028", "avc1.640028"), ("6e0033", "avc1.6e0033")]
        {
            assert_eq!(avc(three).name, name);
        }
        let said = avc("64001f");
        assert_eq!((said.size, said.frame_millihertz), (Some((1280, 720)), Some(25_000)));
        for (bytes, name) in
            [([0x42, 0xc0, 0x1e], "avc1.42c01e"), ([0x4d, 0x40, 0x1f], "avc1.4d401f")]
        {
            let [profile, constraints, level] = bytes;
            assert_eq!(h264::codec_string(profile, constraints, level), name);
        }
        let cut = VideoEncoding::of(VideoFormat::H264, &[0x67, 0x42, 0xc0, 0x1e]).unwrap();
        assert_eq!((cut.name.as_str(), cut.size), ("avc1.42c01e", None));
        assert_eq!(VideoEncoding::of(VideoFormat::H264, &[0x67]), None);
    }

    #[test]
    fn r63_hevc_is_named_with_its_compatibility_reversed() {
        for (twelve, name) in [
            ("01600000009000000000005d", "hvc1.1.6.L93.90"),
            ("0220000000b0000000000099", "hvc1.2.4.L153.B0"),
        ] {
            let profile = Profile::parse(hex(twelve).try_into().unwrap());
            assert_eq!(profile.codec_string(), name);
        }
        let sps = hex("42010101600000030090000003000003005da00280802d16595952930bc05a020000030002\
                       000003003210");
        let said = VideoEncoding::of(VideoFormat::Hevc, &sps).unwrap();
        assert_eq!((said.name.as_str(), said.size), ("hvc1.1.6.L93.90", Some((1280, 720))));
        assert_eq!(VideoEncoding::of(VideoFormat::Hevc, &sps[..12]), None);
    }

    #[test]
    fn r63_aac_is_named_by_the_object_type_a_decoder_must_know() {
        for (config, name) in [
            // Low complexity, 48 kHz stereo; the same with a tail that says "no SBR".
            ("1190", "mp4a.40.2"),
            ("119056e500", "mp4a.40.2"),
            // Main, SSR, LTP.
            ("0990", "mp4a.40.1"),
            ("1990", "mp4a.40.3"),
            ("2190", "mp4a.40.4"),
            // HE-AAC said in front, and behind; 24 kHz core.
            ("2b118800", "mp4a.40.5"),
            ("131056e598", "mp4a.40.5"),
            // HE-AAC v2 said in front, and behind.
            ("eb098800", "mp4a.40.29"),
            ("130856e59d4880", "mp4a.40.29"),
        ] {
            let read = AudioSpecificConfig::parse(&hex(config)).unwrap();
            assert_eq!(aac_name(&read), name, "{config}");
        }
    }

    #[test]
    fn r63_other_audio_has_fixed_names() {
        for (format, name) in [
            (AudioFormat::Aac, "mp4a.40.2"),
            (AudioFormat::Mpeg { half_rate: false }, "mp4a.40.34"),
            (AudioFormat::Mpeg { half_rate: true }, "mp4a.40.34"),
            (AudioFormat::Ac3, "ac-3"),
            (AudioFormat::Eac3, "ec-3"),
            (AudioFormat::Opus { channels: 2 }, "Opus"),
        ] {
            assert_eq!(audio_name(format), name);
        }
    }

    proptest! {
        #[test]
        fn any_parameter_set_is_named_or_refused(
            hevc: bool, bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let (format, head) = if hevc {
                (VideoFormat::Hevc, &[0x42, 1][..])
            } else {
                (VideoFormat::H264, &[0x67][..])
            };
            if let Some(said) = VideoEncoding::of(format, &[head, &bytes].concat()) {
                let family = if hevc { "hvc1." } else { "avc1." };
                prop_assert!(said.name.starts_with(family));
            }
        }
    }
}
