//! Transport stream vectors. Dissected from what ffmpeg 5.1 writes and from 13818-1 by hand.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a vector that cannot be read is a failed test"
)]

use crate::vectors::{hex, written};
use rillcast::media::carriage::{AudioFormat, VideoFormat};
use rillcast::time::Ticks;
use rillcast::wire::aac::{AdtsHeader, AudioSpecificConfig};
use rillcast::wire::id3::{Frame, Frames, TIMESTAMP_OWNER, timestamp};
use rillcast::wire::mpa::{FrameHeader, Layer};
use rillcast::wire::ts::packet::{AdaptationField, Header, Packet, Pcr, packet_count};
use rillcast::wire::ts::pes::{PesHeader, STREAM_AUDIO, STREAM_PRIVATE, STREAM_VIDEO};
use rillcast::wire::ts::psi::{self, Pat, Pmt, PmtSection, PmtStream, crc32};

#[test]
fn packet_headers_are_those_of_13818() {
    let header =
        |pid, start, adaptation, counter| Header { pid, start, adaptation, payload: true, counter };
    for (want, header) in [
        ("47410030", header(0x100, true, true, 0)),
        ("47410110", header(0x101, true, false, 0)),
        ("471fff10", header(0x1fff, false, false, 0)),
    ] {
        assert_eq!(header.bytes().to_vec(), hex(want));
        assert_eq!(Header::parse(&hex(want)), Ok(header));
    }
}

#[test]
fn clock_references_are_those_of_13818() {
    for (base, extension, want) in [
        (0, 0, "000000007e00"),
        (63_000, 0, "00007b0c7e00"),
        (90_000, 0, "0000afc87e00"),
        (90_000, 299, "0000afc87f2b"),
        ((1 << 33) - 1, 299, "ffffffffff2b"),
    ] {
        let pcr = Pcr { base, extension };
        assert_eq!(pcr.bytes().to_vec(), hex(want));
        assert_eq!(Pcr::parse(hex(want).try_into().unwrap()), pcr);
    }
    assert_eq!(Pcr::from_ticks(Ticks((1 << 33) + 90_000)).bytes().to_vec(), hex("0000afc87e00"));
}

#[test]
fn adaptation_fields_are_those_of_13818() {
    let field = |discontinuity, random_access, pcr: Option<u64>| AdaptationField {
        discontinuity,
        random_access,
        pcr: pcr.map(|base| Pcr { base, extension: 0 }),
    };
    for (want, field) in [
        ("075000007b0c7e00", field(false, true, Some(63_000))),
        ("07d000007b0c7e00", field(true, true, Some(63_000))),
        ("071000007b0c7e00", field(false, false, Some(63_000))),
        ("0140", field(false, true, None)),
        ("00", field(false, false, None)),
        ("0100", field(false, false, None)),
        ("0200ff", field(false, false, None)),
        ("0600ffffffffff", field(false, false, None)),
    ] {
        let want = hex(want);
        assert_eq!(written(|w| field.emit(w, want.len()).unwrap()), want);
        assert_eq!(AdaptationField::parse(&want), Ok((field, want.len())));
    }
}

#[test]
fn association_tables_are_those_of_13818() {
    for (pmt_pid, want) in
        [(0x1000, "00b00d0001c100000001f0002ab104b2"), (0x100, "00b00d0001c100000001e100e8f95e7d")]
    {
        let pat = Pat { pmt_pid, ..Pat::OURS };
        assert_eq!(written(|w| pat.emit(w).unwrap()), hex(want));
        assert_eq!(Pat::parse(&hex(want)), Ok(pat));
        assert_eq!(crc32(&hex(want)), 0);
    }
}

#[test]
fn association_packet_is_padded_behind_its_section() {
    let packet = written(|w| psi::emit_pat(w, 5).unwrap());
    assert_eq!(packet[..21].to_vec(), hex("474000150000b00d0001c100000001f0002ab104b2"));
    assert_eq!(packet.len(), 188);
    assert!(packet[21..].iter().all(|byte| *byte == 0xff));
}

fn map_table(want: &str, pcr_pid: u16, program_descriptors: &str, streams: &[(u8, u16, &str)]) {
    let owned: Vec<Vec<u8>> = streams.iter().map(|(_, _, d)| hex(d)).collect();
    let streams: Vec<PmtStream<'_>> = streams
        .iter()
        .zip(&owned)
        .map(|((stream_type, pid, _), descriptors)| PmtStream {
            stream_type: *stream_type,
            pid: *pid,
            descriptors,
        })
        .collect();
    let pmt = Pmt {
        pcr_pid,
        version: 0,
        program_descriptors: &hex(program_descriptors),
        streams: &streams,
    };
    let want = hex(want);
    assert_eq!(written(|w| pmt.emit(w).unwrap()), want);
    let packet = written(|w| psi::emit_pmt(w, &pmt, 9).unwrap());
    assert_eq!(packet[..5].to_vec(), hex("4750001900"));
    let payload = Packet::parse(&packet).unwrap().payload;
    assert_eq!(psi::section(payload).unwrap(), want);
    let read = PmtSection::parse(&want).unwrap();
    assert_eq!((read.program, read.version), (1, 0));
    assert_eq!(read.pcr_pid, pcr_pid);
    assert_eq!(read.program_descriptors, pmt.program_descriptors);
    assert_eq!(read.streams().collect::<Vec<_>>(), streams);
}

#[test]
fn map_tables_of_video_and_audio_are_those_of_13818() {
    map_table(
        "02b0170001c10000e100f0001be100f0000fe101f0002f44b99b",
        0x100,
        "",
        &[(0x1b, 0x100, ""), (0x0f, 0x101, "")],
    );
    map_table("02b0120001c10000e100f0001be100f00015bd4d56", 0x100, "", &[(0x1b, 0x100, "")]);
    map_table("02b0120001c10000e101f0000fe101f000ece2b094", 0x101, "", &[(0x0f, 0x101, "")]);
    map_table(
        "02b0170001c10000e100f0001be100f00003e101f0004e593d1e",
        0x100,
        "",
        &[(0x1b, 0x100, ""), (0x03, 0x101, "")],
    );
}

#[test]
fn map_tables_with_descriptors_are_those_of_13818() {
    map_table(
        "02b01d0001c10000e100f00024e100f0060504484556430fe101f0006c37cf8a",
        0x100,
        "",
        &[(0x24, 0x100, "050448455643"), (0x0f, 0x101, "")],
    );
    map_table(
        "02b03c0001c10000e100f011250fffff49443320ff49443320001f00011be100f0000fe101f00015e102f00f\
         260dffff49443320ff49443320000f22bb5b1a",
        0x100,
        "250fffff49443320ff49443320001f0001",
        &[(0x1b, 0x100, ""), (0x0f, 0x101, ""), (0x15, 0x102, "260dffff49443320ff49443320000f")],
    );
    map_table(
        "02b01c0001c10000e100f00006e100f00a05044f7075737f028002a5e2bd28",
        0x100,
        "",
        &[(0x06, 0x100, "05044f7075737f028002")],
    );
    map_table(
        "02b0330001c10000e100f000dbe100f0060f047a617663cfe101f0160f0461616364050e617061647a616163\
         000001021210b13b198b",
        0x100,
        "",
        &[
            (0xdb, 0x100, "0f047a617663"),
            (0xcf, 0x101, "0f0461616364050e617061647a616163000001021210"),
        ],
    );
}

#[test]
fn map_tables_register_what_ffmpeg_registers() {
    let video = |format: VideoFormat| (format.stream_type(), format.descriptors().to_vec());
    let audio = |format: AudioFormat| (format.stream_type(), format.descriptors().to_vec());
    for ((stream_type, descriptors), want_type, want, table) in [
        (
            video(VideoFormat::Hevc),
            0x24,
            "05 04 48455643",
            "02b0180001c10000e100f00024e100f006050448455643cb9e0052",
        ),
        (
            audio(AudioFormat::Ac3),
            0x81,
            "05 04 41432d33",
            "02b0180001c10000e100f00081e100f006050441432d33d3017de3",
        ),
        (
            audio(AudioFormat::Eac3),
            0x87,
            "05 04 45414333",
            "02b0180001c10000e100f00087e100f006050445414333be57e57c",
        ),
        (
            audio(AudioFormat::Opus { channels: 1 }),
            0x06,
            "05 04 4f707573 7f 02 80 01",
            "02b01c0001c10000e100f00006e100f00a05044f7075737f028001a8a19bf1",
        ),
    ] {
        assert_eq!((stream_type, descriptors), (want_type, hex(want)), "{want}");
        map_table(table, 0x100, "", &[(want_type, 0x100, want)]);
    }
    map_table(
        "02b01d0001c10000e100f0001be100f00081e101f006050441432d33ce50fcbc",
        0x100,
        "",
        &[(0x1b, 0x100, ""), (0x81, 0x101, "05 04 41432d33")],
    );
}

#[test]
fn time_before_packed_audio_is_that_of_rfc_8216() {
    let want = hex("4944330400000000003f 50524956 00000035 0000
         636f6d2e6170706c652e73747265616d696e672e7472616e73706f727453747265616d54696d657374616d70
         00 00000000000dbba0");
    assert_eq!(want.len(), 73);
    assert_eq!(timestamp(Ticks(900_000)).to_vec(), want);
    let (mut frames, size) = Frames::parse(&want).unwrap();
    let data = &want[65..];
    assert_eq!(frames.next(), Some(Frame::Private { owner: TIMESTAMP_OWNER, data }));
    assert_eq!((frames.next(), size), (None, 73));
}

#[test]
fn presentation_times_are_those_of_13818() {
    for (pts, want) in [
        (0, "2100010001"),
        (1, "2100010003"),
        (90_000, "210005bf21"),
        (126_000, "210007d861"),
        (133_200, "21000910a1"),
        (900_000, "2100377741"),
        ((1 << 32) - 1, "27ffffffff"),
        (1 << 32, "2900010001"),
        ((1 << 33) - 1, "2fffffffff"),
    ] {
        pes(
            &format!("000001e00000808005{want}"),
            PesHeader {
                stream_id: STREAM_VIDEO,
                length: None,
                alignment: false,
                pts: Ticks(pts),
                dts: None,
            },
        );
    }
}

#[test]
fn presentation_and_decode_times_are_those_of_13818() {
    for (pts, want) in [
        (0, "31000100011100010001"),
        (126_000, "310007d861110007d861"),
        ((1 << 33) - 1, "3fffffffff1fffffffff"),
    ] {
        pes(
            &format!("000001e0000080c00a{want}"),
            PesHeader {
                stream_id: STREAM_VIDEO,
                length: None,
                alignment: false,
                pts: Ticks(pts),
                dts: Some(Ticks(pts)),
            },
        );
    }
}

#[test]
fn pes_headers_are_those_that_ffmpeg_writes() {
    pes(
        "000001e0000080c00a31000910a1110007d861",
        PesHeader {
            stream_id: STREAM_VIDEO,
            length: None,
            alignment: false,
            pts: Ticks(133_200),
            dts: Some(Ticks(126_000)),
        },
    );
    pes(
        "000001c00182808005210007d861",
        PesHeader {
            stream_id: STREAM_AUDIO,
            length: Some(378),
            alignment: false,
            pts: Ticks(126_000),
            dts: None,
        },
    );
    pes(
        "000001bd0051848005210007d861",
        PesHeader {
            stream_id: STREAM_PRIVATE,
            length: Some(73),
            alignment: true,
            pts: Ticks(126_000),
            dts: None,
        },
    );
}

fn pes(want: &str, header: PesHeader) {
    let want = hex(want);
    assert_eq!(header.encoded_len(), want.len());
    assert_eq!(written(|w| header.emit(w).unwrap()), want);
    assert_eq!(PesHeader::parse(&want), Ok((header, want.len())));
}

#[test]
fn packet_counts_are_those_of_the_overhead_table() {
    for (elementary, head, adaptation, packets) in [
        (371, 14, 0, 3),
        (1890, 14, 0, 11),
        (1500, 19, 0, 9),
        (12_000, 19, 8, 66),
        (60_000, 19, 8, 327),
        (250_000, 19, 8, 1359),
    ] {
        assert_eq!(packet_count(elementary + head, adaptation).0, packets);
    }
    assert_eq!(packet_count(183, 0), (1, 1), "one stuffing byte");
    assert_eq!(packet_count(184, 0), (1, 0));
    assert_eq!(packet_count(185, 0), (2, 183));
    assert_eq!(packet_count(176, 8), (1, 0));
}

#[test]
fn adts_headers_are_those_of_14496() {
    for (config, want) in [
        ("1210", "fff150800d7ffc"),
        ("1190", "fff14c800d7ffc"),
        ("1188", "fff14c400d7ffc"),
        ("1208", "fff150400d7ffc"),
        ("1390", "fff15c800d7ffc"),
        ("1588", "fff16c400d7ffc"),
        // HE-AAC goes out as its core.
        ("2b920800", "fff15c800d7ffc"),
        ("120856e500", "fff150400d7ffc"),
    ] {
        let config = AudioSpecificConfig::parse(&hex(config)).unwrap();
        assert_eq!(config.adts_header(100).unwrap().to_vec(), hex(want));
        let header = AdtsHeader::parse(&hex(want)).unwrap();
        assert_eq!((header.frame_bytes, header.header_bytes, header.blocks), (107, 7, 1));
        assert_eq!(header.frequency.hertz(), config.sample_rate());
        assert_eq!(header.channels, config.channels);
    }
}

#[test]
fn mpeg_audio_frames_have_the_lengths_of_11172() {
    for (header, bytes, bit_rate, hertz, samples, stream_type) in [
        ("fffb9000", 417, 128_000, 44_100, 1152, 3),
        ("fffb9200", 418, 128_000, 44_100, 1152, 3),
        ("fffb9464", 384, 128_000, 48_000, 1152, 3),
        ("fff34000", 104, 32_000, 22_050, 576, 4),
    ] {
        let header = FrameHeader::parse(&hex(header)).unwrap();
        assert_eq!(header.layer, Layer::III);
        assert_eq!(header.frame_bytes(), bytes);
        assert_eq!((header.bit_rate, header.sample_rate), (bit_rate, hertz));
        assert_eq!((header.samples(), header.stream_type()), (samples, stream_type));
    }
}
