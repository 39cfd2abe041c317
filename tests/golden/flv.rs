//! FLV vectors: tags, configuration, classic and enhanced bodies. Captured from ffmpeg 5.1 and
//! taken from Enhanced RTMP v2 by hand.
#![expect(clippy::unwrap_used, reason = "a vector that cannot be read is a failed test")]

use crate::vectors::{hex, written};
use rillcast::time::Millis;
use rillcast::wire::aac::{AudioSpecificConfig, Frequency, Sbr};
use rillcast::wire::flv::{
    AudioBody, AudioCodec, AudioPacket, FileHeader, FourCc, FrameType, Multitrack, TagHeader,
    TagKind, VideoBody, VideoCodec, VideoPacket,
};
use rillcast::wire::h264::{AvcConfig, LengthBytes, NalType, Sps, nals};

#[test]
fn file_header_is_that_of_annex_e() {
    let header = FileHeader { audio: true, video: true, data_offset: 9 };
    assert_eq!(
        written(|w| {
            header.emit(w).unwrap();
            w.u32(0).unwrap();
        }),
        hex("464c5601 05 00000009 00000000")
    );
    assert_eq!(FileHeader::parse(&hex("464c5601 05 00000009 00000000")), Ok(header));
}

#[test]
fn tag_headers_are_those_that_ffmpeg_writes() {
    let header = TagHeader {
        kind: TagKind::Audio,
        filtered: false,
        length: 260,
        timestamp: Millis(57),
        stream: 0,
    };
    assert_eq!(header.previous_tag_size().to_be_bytes().to_vec(), hex("0000010f"));
    let late = TagHeader { timestamp: Millis(0x0102_0304), ..header };
    for (header, want) in
        [(header, "08000104 000039 00 000000"), (late, "08000104 020304 01 000000")]
    {
        assert_eq!(written(|w| header.emit(w).unwrap()), hex(want));
        assert_eq!(TagHeader::parse(&hex(want)), Ok(header));
    }
}

const RECORD: &str = "01 64001f ff e1 001a 6764001facd9405005bb011000000300100000030320f1831960 01
    0006 68ebe3cb22c0 fd f8 f8 00";

#[test]
fn avc_record_is_that_which_ffmpeg_writes() {
    let bytes = hex(RECORD);
    let config = AvcConfig::parse(&bytes).unwrap();
    assert_eq!(config.codec_string(), "avc1.64001f");
    assert_eq!((config.profile, config.constraints, config.level), (0x64, 0, 0x1f));
    assert_eq!(config.length_bytes, LengthBytes::Four);
    let sps: Vec<_> = config.sps().collect();
    assert_eq!(sps, [&bytes[8..34]]);
    assert_eq!(config.pps().map(<[u8]>::to_vec).collect::<Vec<_>>(), [hex("68ebe3cb22c0")]);
    let set = Sps::parse(sps[0]).unwrap();
    assert_eq!((set.width, set.height), (1280, 720));
    assert_eq!(written(|w| config.emit(w).unwrap()), bytes);
}

/// 320x180 in 4:4:4.
const RECORD_444: &str =
    "01 f4000c ff e1 0019 67f4000c919b282833f1b808800000030080000019078a14cb 01
    0006 68ebe3c44844 ff f8 f8 00";

#[test]
fn avc_record_of_444_is_that_which_ffmpeg_writes() {
    let bytes = hex(RECORD_444);
    let config = AvcConfig::parse(&bytes).unwrap();
    assert_eq!(config.codec_string(), "avc1.f4000c");
    assert_eq!((config.profile, config.constraints, config.level), (244, 0, 12));
    assert_eq!(config.length_bytes, LengthBytes::Four);
    assert_eq!(config.pps().map(<[u8]>::to_vec).collect::<Vec<_>>(), [hex("68ebe3c44844")]);
    let sps: Vec<_> = config.sps().collect();
    assert_eq!(sps, [&bytes[8..33]]);
    let set = Sps::parse(sps[0]).unwrap();
    assert_eq!((set.width, set.height), (320, 180));
    assert_eq!((set.profile, set.chroma_format, set.bit_depth), (244, 3, 8));
    assert_eq!(written(|w| config.emit(w).unwrap()), bytes);
}

/// Checks both directions.
fn video(want: &str, body: VideoBody<'_>) {
    assert_eq!(VideoBody::parse(&hex(want)), Ok(body), "{want}");
    assert_eq!(written(|w| body.emit(w).unwrap()), hex(want), "{want}");
}

#[test]
fn avc_bodies_are_those_that_ffmpeg_writes() {
    let record = hex(RECORD);
    video(&format!("17 00 000000 {RECORD}"), VideoBody::AvcConfig { record: &record });
    for (want, frame_type, composition_ms, data) in [
        ("17 01 000050 00000002 0605", FrameType::Key, 80, "00000002 0605"),
        ("27 01 0000a0 00000001 41", FrameType::Inter, 160, "00000001 41"),
        ("27 01 ffffe0 00000001 41", FrameType::Inter, -32, "00000001 41"),
    ] {
        let data = hex(data);
        video(want, VideoBody::AvcFrame { frame_type, composition_ms, offset_ns: 0, nals: &data });
    }
    video("17 02 000000", VideoBody::AvcEnd);
    video("57 00", VideoBody::Command(0));
    let data = hex("00000002 0605");
    let kinds: Vec<_> = nals(&data, LengthBytes::Four).map(|nal| nal.kind()).collect();
    assert_eq!(kinds, [NalType::Sei]);
}

#[test]
fn avc_tags_hold_the_units_that_ffmpeg_writes() {
    let record = hex(RECORD_444);
    video(&format!("17 00 000000 {RECORD_444}"), VideoBody::AvcConfig { record: &record });
    // The first unit is as long as its length says; what is in it is zeroes.
    let sei = format!("000002ab 0605 {} 00000004 65888400", "00".repeat(0x2ab - 2));
    let slice = format!("0000012a 41 {}", "00".repeat(0x12a - 1));
    for (head, data, frame_type, composition_ms, kinds) in [
        ("17 01 000050", sei, FrameType::Key, 80, &[NalType::Sei, NalType::Idr][..]),
        ("27 01 0000a0", slice.clone(), FrameType::Inter, 160, &[NalType::Slice]),
        ("27 01 ffffe0", slice, FrameType::Inter, -32, &[NalType::Slice]),
    ] {
        let units = hex(&data);
        let frame = VideoBody::AvcFrame { frame_type, composition_ms, offset_ns: 0, nals: &units };
        video(&format!("{head} {data}"), frame);
        let walk = nals(&units, LengthBytes::Four);
        assert_eq!(walk.map(|nal| nal.kind()).collect::<Vec<_>>(), kinds, "{head}");
    }
}

#[test]
fn avc_configuration_counts_whatever_its_frame_type() {
    let body = hex("27 00 000000 01");
    assert_eq!(VideoBody::parse(&body), Ok(VideoBody::AvcConfig { record: &[1] }));
}

#[test]
fn codec_12_is_hevc() {
    let body = hex("1c 00 000000 01");
    assert_eq!(VideoBody::parse(&body), Ok(VideoBody::HevcConfig { record: &[1] }));
    let body = hex("2c 01 000028 0000");
    assert_eq!(
        VideoBody::parse(&body),
        Ok(VideoBody::HevcFrame {
            frame_type: FrameType::Inter,
            composition_ms: 40,
            offset_ns: 0,
            nals: &[0, 0],
        })
    );
}

#[test]
fn enhanced_hevc_is_that_of_er2() {
    video("90 68766331 0101", VideoBody::HevcConfig { record: &[1, 1] });
    video(
        "91 68766331 000050 0000",
        VideoBody::HevcFrame {
            frame_type: FrameType::Key,
            composition_ms: 80,
            offset_ns: 0,
            nals: &[0, 0],
        },
    );
    video(
        "a3 68766331 0000",
        VideoBody::HevcFrame {
            frame_type: FrameType::Inter,
            composition_ms: 0,
            offset_ns: 0,
            nals: &[0, 0],
        },
    );
    video("92 68766331", VideoBody::HevcEnd);
}

#[test]
fn enhanced_avc_is_the_same_frame_as_the_classic() {
    for (want, composition_ms, offset_ns) in [
        ("91 61766331 000050 0605", 80, 0),
        ("93 61766331 0605", 0, 0),
        ("97 02 07a120 03 61766331 0605", 0, 500_000),
    ] {
        assert_eq!(
            VideoBody::parse(&hex(want)),
            Ok(VideoBody::AvcFrame {
                frame_type: FrameType::Key,
                composition_ms,
                offset_ns,
                nals: &[6, 5],
            })
        );
    }
    assert_eq!(VideoBody::parse(&hex("90 61766331 01")), Ok(VideoBody::AvcConfig { record: &[1] }));
    assert_eq!(VideoBody::parse(&hex("92 61766331")), Ok(VideoBody::AvcEnd));
}

#[test]
fn enhanced_av1_is_named_and_kept() {
    let bytes = hex("91 61763031 0a0b");
    let VideoBody::Enhanced(body) = VideoBody::parse(&bytes).unwrap() else {
        unreachable!("av01 is not carried");
    };
    assert_eq!(body.frame_type, FrameType::Key);
    assert_eq!(body.packet, VideoPacket::CodedFrames);
    assert_eq!(body.multitrack, Multitrack::None(FourCc::AV01));
    let tracks: Vec<_> = body.tracks().collect();
    assert_eq!((tracks.len(), tracks[0].id, tracks[0].data), (1, 0, &[0x0a, 0x0b][..]));
    assert_eq!(body.body(&tracks[0]), Ok(None));
    assert_eq!(written(|w| body.emit(w).unwrap()), bytes);
    assert_eq!(VideoCodec::Named(tracks[0].codec).to_string(), "AV1");
}

#[test]
fn multitrack_video_is_that_of_er2() {
    let bytes = hex("a6 03 61766331 01 4142");
    let VideoBody::Enhanced(body) = VideoBody::parse(&bytes).unwrap() else {
        unreachable!("multitrack stays enhanced");
    };
    assert_eq!(body.multitrack, Multitrack::One(FourCc::AVC1));
    let track = body.tracks().next().unwrap();
    assert_eq!((track.id, track.codec, track.data), (1, FourCc::AVC1, &b"AB"[..]));
    assert_eq!(
        body.body(&track),
        Ok(Some(VideoBody::AvcFrame {
            frame_type: FrameType::Inter,
            composition_ms: 0,
            offset_ns: 0,
            nals: b"AB",
        }))
    );
    assert_eq!(written(|w| body.emit(w).unwrap()), bytes);

    let bytes = hex("96 21 61766331 00 000004 00005041 68766331 02 000003 000000");
    let VideoBody::Enhanced(body) = VideoBody::parse(&bytes).unwrap() else {
        unreachable!("multitrack stays enhanced");
    };
    let tracks: Vec<_> = body.tracks().collect();
    assert_eq!(
        tracks.iter().map(|t| (t.id, t.codec, t.data.len())).collect::<Vec<_>>(),
        [(0, FourCc::AVC1, 4), (2, FourCc::HVC1, 3)]
    );
    assert_eq!(
        body.body(&tracks[0]),
        Ok(Some(VideoBody::AvcFrame {
            frame_type: FrameType::Key,
            composition_ms: 80,
            offset_ns: 0,
            nals: b"A",
        }))
    );
    assert_eq!(written(|w| body.emit(w).unwrap()), bytes);
}

#[test]
fn metadata_of_obs_is_kept_with_frame_type_0() {
    let bytes = hex("84 68766331 02 0009");
    let VideoBody::Enhanced(body) = VideoBody::parse(&bytes).unwrap() else {
        unreachable!("metadata stays enhanced");
    };
    assert_eq!(body.packet, VideoPacket::Metadata);
    assert_eq!(body.frame_type, FrameType::Unknown(0));
    assert_eq!(body.tracks().next().unwrap().data, &[2, 0, 9]);
    assert_eq!(VideoBody::parse(&hex("d1 01")), Ok(VideoBody::Command(1)));
}

/// Checks both directions.
fn audio(want: &str, body: AudioBody<'_>) {
    assert_eq!(AudioBody::parse(&hex(want)), Ok(body), "{want}");
    assert_eq!(written(|w| body.emit(w).unwrap()), hex(want), "{want}");
}

#[test]
fn audio_bodies_are_those_of_annex_e() {
    audio("af 00 1210", AudioBody::AacConfig { config: &[0x12, 0x10] });
    audio("af 01 21", AudioBody::AacFrame { offset_ns: 0, data: &[0x21] });
    let mp3 = |rate8k| AudioBody::Mp3 { rate8k, offset_ns: 0, data: &[0xff, 0xfb] };
    audio("2f fffb", mp3(false));
    audio("ef fffb", mp3(true));
    audio("", AudioBody::Silence);
    for (first, name) in [
        ("00", "PCM"),
        ("1f", "ADPCM"),
        ("3f", "PCM little-endian"),
        ("4f", "Nellymoser 16 kHz"),
        ("5f", "Nellymoser 8 kHz"),
        ("6f", "Nellymoser"),
        ("7f", "G.711 A-law"),
        ("8f", "G.711 mu-law"),
        ("bf", "Speex"),
        ("cf", "unknown audio codec 12"),
        ("ff", "device-specific audio"),
    ] {
        let Ok(AudioBody::Other { codec }) = AudioBody::parse(&hex(first)) else {
            unreachable!("{first} is another codec");
        };
        assert_eq!(codec.to_string(), name);
    }
}

#[test]
fn enhanced_audio_is_that_of_er2() {
    let config = AudioBody::AacConfig { config: &[0x12, 0x10] };
    assert_eq!(AudioBody::parse(&hex("90 6d703461 1210")), Ok(config));
    let frame = |offset_ns| AudioBody::AacFrame { offset_ns, data: &[0x21] };
    assert_eq!(AudioBody::parse(&hex("91 6d703461 21")), Ok(frame(0)));
    audio("97 02 07a120 01 6d703461 21", frame(500_000));
    assert_eq!(
        AudioBody::parse(&hex("91 2e6d7033 fffb")),
        Ok(AudioBody::Mp3 { rate8k: false, offset_ns: 0, data: &[0xff, 0xfb] })
    );
    let bytes = hex("91 4f707573 fc");
    let AudioBody::Enhanced(opus) = AudioBody::parse(&bytes).unwrap() else {
        unreachable!("Opus is not carried");
    };
    assert_eq!(opus.packet, AudioPacket::CodedFrames);
    assert_eq!(AudioCodec::Named(opus.multitrack.codec().unwrap()).to_string(), "Opus");
    assert_eq!(written(|w| opus.emit(w).unwrap()), bytes);
}

#[test]
fn multitrack_audio_is_that_of_er2() {
    let bytes = hex("95 11 6d703461 00 000001 21 01 000002 2122");
    let AudioBody::Enhanced(body) = AudioBody::parse(&bytes).unwrap() else {
        unreachable!("multitrack stays enhanced");
    };
    assert_eq!(body.multitrack, Multitrack::SameCodec(FourCc::MP4A));
    let frames: Vec<_> = body.tracks().map(|t| (t.id, body.body(&t))).collect();
    let frame = |data| Some(AudioBody::AacFrame { offset_ns: 0, data });
    assert_eq!(frames, [(0, frame(&[0x21])), (1, frame(&[0x21, 0x22]))]);
    assert_eq!(written(|w| body.emit(w).unwrap()), bytes);
}

#[test]
fn classic_video_codecs_are_named() {
    for (first, name) in [
        ("12", "Sorenson H.263"),
        ("13", "Screen Video"),
        ("14", "VP6"),
        ("15", "VP6 with alpha"),
        ("16", "Screen Video 2"),
        ("1d", "AV1"),
        ("19", "unknown video codec 9"),
    ] {
        let Ok(VideoBody::Other { codec }) = VideoBody::parse(&hex(first)) else {
            unreachable!("{first} is another codec");
        };
        assert_eq!(codec.to_string(), name);
    }
    assert_eq!(VideoCodec::Named(FourCc(*b"x\x00z1")).to_string(), "unknown video codec x\\x00z1");
}

#[test]
fn aac_configurations_are_those_of_14496() {
    let config = |object_type, hertz, channels, sbr| AudioSpecificConfig {
        object_type,
        frequency: Frequency::new(hertz).unwrap(),
        channels,
        short_frames: false,
        core_delay: None,
        sbr,
    };
    let no_sbr = Sbr::Tail { output: None, parametric_stereo: None };
    let he = Sbr::Explicit { output: Frequency::new(44_100).unwrap(), parametric_stereo: false };
    for (want, config, heard_as) in [
        ("1210", config(2, 44_100, 2, Sbr::Unsaid), 2),
        ("1190", config(2, 48_000, 2, Sbr::Unsaid), 2),
        ("1188", config(2, 48_000, 1, Sbr::Unsaid), 2),
        ("1208", config(2, 44_100, 1, Sbr::Unsaid), 2),
        ("1390", config(2, 22_050, 2, Sbr::Unsaid), 2),
        ("1588", config(2, 8000, 1, Sbr::Unsaid), 2),
        ("120856e500", config(2, 44_100, 1, no_sbr), 2),
        ("2b920800", config(2, 22_050, 2, he), 5),
    ] {
        let want = hex(want);
        assert_eq!(AudioSpecificConfig::parse(&want), Ok(config));
        assert_eq!(written(|w| config.emit(w).unwrap()), want);
        assert_eq!(config.playlist_object_type(), heard_as);
        assert_eq!(config.samples_per_frame(), 1024);
    }
}
