//! Vectors of the codecs that Enhanced RTMP added: configuration and frame heads, captured from
//! ffmpeg 5.1 (libx265, libaom, libvpx, libopus, its own AC-3, E-AC-3 and FLAC) or taken from the
//! standards by hand.

use crate::vectors::{hex, written};
use rillcast::wire::ac3::{FrameHeader, Kind};
use rillcast::wire::av1::Av1Config;
use rillcast::wire::flac::StreamInfo;
use rillcast::wire::hevc::{HevcConfig, Sps};
use rillcast::wire::opus::{ControlHeader, Mapping, OpusHead, packet_samples};
use rillcast::wire::vp9::VpConfig;

#[test]
fn hevc_record_is_that_of_libx265() {
    // 320x180, Main, level 2; the array of supplemental information is cut to one unit.
    let want = hex("01 01 60000000 900000000000 3c f000 fc fd f8 f8 0000 0f 04
         a0 0001 0018 40010c01ffff01600000030090000003000003003c959409
         a1 0001 002b 42010101600000030090000003000003003ca00a080c1f3e595952930bc05a02000003000200
                      0003003210
         a2 0001 0006 4401c073c189
         a7 0001 0006 4e0105020102");
    let config = HevcConfig::parse(&want).unwrap();
    assert_eq!(written(|w| config.emit(w).unwrap()), want);
    assert_eq!(config.codec_string(), "hvc1.1.6.L60.90");
    assert_eq!(config.length_bytes.count(), 4);
    let sets: Vec<&[u8]> = config.sets().collect();
    assert_eq!(sets.iter().map(|set| set.len()).collect::<Vec<_>>(), [24, 43, 6]);
    let sps = Sps::parse(sets[1]).unwrap();
    assert_eq!((sps.width, sps.height, sps.bit_depth), (320, 180, 8));
    assert_eq!(sps.profile, config.profile);
}

#[test]
fn hevc_record_of_level_3_1_is_that_of_libx265() {
    // 1280x720, Main; the array of supplemental information, 2295 bytes, is cut to one short unit.
    let want = hex("01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f 04
         a0 0001 0018 40010c01ffff01600000030090000003000003005d959809
         a1 0001 002b 42010101600000030090000003000003005da00280802d165959a4932bc05a02000003000200
                      0003003210
         a2 0001 0007 4401c172b46240
         a7 0001 0006 4e0105020102");
    let config = HevcConfig::parse(&want).unwrap();
    assert_eq!(written(|w| config.emit(w).unwrap()), want);
    assert_eq!(config.codec_string(), "hvc1.1.6.L93.90");
    assert_eq!(
        (config.profile.number, config.profile.high_tier, config.profile.level),
        (1, false, 93)
    );
    let sets: Vec<&[u8]> = config.sets().collect();
    assert_eq!(sets.iter().map(|set| set.len()).collect::<Vec<_>>(), [24, 43, 7]);
    let sps = Sps::parse(sets[1]).unwrap();
    assert_eq!((sps.width, sps.height, sps.bit_depth), (1280, 720, 8));
    assert_eq!(sps.profile, config.profile);
}

#[test]
fn av1_record_is_that_of_libaom() {
    let want = hex("81 00 0c 00 0a0b000000043cfeccdaf90040");
    let config = Av1Config::parse(&want).unwrap();
    assert_eq!(written(|w| config.emit(w).unwrap()), want);
    assert_eq!(config.codec_string(), "av01.0.00M.08");
    assert_eq!(config.units.len(), 13);
}

#[test]
fn vp9_record_is_that_of_libvpx() {
    let want = hex("01000000 00 0b 82 02 02 02 0000");
    let config = VpConfig::parse(&want).unwrap();
    assert_eq!(written(|w| config.emit(w).unwrap()), want);
    assert_eq!(config.codec_string(), "00.11.08");
    assert_eq!((config.chroma, config.full_range, config.colour), (1, false, [2, 2, 2]));
}

#[test]
fn opus_heads_are_those_of_libopus() {
    // Six channels in the order of Vorbis.
    let want = hex("4f70757348656164 01 06 3801 80bb0000 0000 01 04 02 000401020305");
    let head = OpusHead::parse(&want).unwrap();
    assert_eq!(written(|w| head.emit(w).unwrap()), want);
    assert_eq!((head.channels, head.pre_skip, head.input_rate), (6, 312, 48_000));
    assert_eq!(head.channel_configuration(), Ok(6));
    let stereo = hex("4f70757348656164 01 02 3801 44ac0000 0000 00");
    let head = OpusHead::parse(&stereo).unwrap();
    assert_eq!(written(|w| head.emit(w).unwrap()), stereo);
    assert_eq!((head.mapping, head.channel_configuration()), (Mapping::Plain, Ok(2)));
}

#[test]
fn opus_control_header_is_that_of_ffmpeg() {
    assert_eq!(ControlHeader::new(300).unwrap().pieces().concat(), hex("7fe0 ff 2d"));
    // Fullband, 20 ms, stereo, one frame.
    assert_eq!(packet_samples(&hex("fc 01")), Ok(960));
}

#[test]
fn ac3_heads_are_those_of_ffmpeg() {
    for (text, kind, rate, bytes, channels) in [
        ("0b77 fe95 1440 43e1", Kind::Ac3, 48_000, 768, 2),
        ("0b77 a8e6 5040 43e1", Kind::Ac3, 44_100, 556, 2),
        ("0b77 02ff 3f87 c000", Kind::Eac3 { dependent: false, substream: 0 }, 48_000, 1536, 6),
    ] {
        let header = FrameHeader::parse(&hex(text)).unwrap();
        assert_eq!((header.kind, header.sample_rate), (kind, rate), "{text}");
        assert_eq!((header.frame_bytes, header.channels), (bytes, channels), "{text}");
        assert_eq!(header.samples, 1536);
    }
}

#[test]
fn flac_information_is_that_of_ffmpeg() {
    let bytes = hex("664c6143 00000022 1200 1200 0000c7 000511 0bb802f0 00002580
         d9b81de011fef694f3e1d33694c8ae61");
    let info = StreamInfo::parse(&bytes).unwrap();
    assert_eq!((info.sample_rate, info.channels, info.bit_depth), (48_000, 2, 16));
    assert_eq!((info.block_samples_min, info.block_samples_max), (0x1200, 0x1200));
}
