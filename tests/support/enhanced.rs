//! Enhanced RTMP bodies and the codecs they carry, built and taken apart byte by byte without the
//! program's help.
//!
//! Sources: Enhanced RTMP v2, `ExVideoTagHeader` and `ExAudioTagHeader`; ISO/IEC 14496-15 §8.3.3.1;
//! ATSC A/52 §5.3, annex E; RFC 7845 §5.1; Opus-in-TS draft 0.1.3. Does not encode anything.

/// Parameter sets of libx265 for 320x180, Main.
pub const VPS: [u8; 24] = [
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0, 0, 0x03, 0, 0x90, 0, 0, 0x03, 0, 0, 0x03, 0,
    0x3c, 0x95, 0x94, 0x09,
];
pub const SPS: [u8; 43] = [
    0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 0x03, 0, 0x90, 0, 0, 0x03, 0, 0, 0x03, 0, 0x3c, 0xa0, 0x0a,
    0x08, 0x0c, 0x1f, 0x3e, 0x59, 0x59, 0x52, 0x93, 0x0b, 0xc0, 0x5a, 0x02, 0, 0, 0x03, 0, 0x02, 0,
    0, 0x03, 0, 0x32, 0x10,
];
pub const PPS: [u8; 6] = [0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89];

/// Packet types of video and audio.
pub const START: u8 = 0;
pub const FRAMES: u8 = 1;
pub const END: u8 = 2;
pub const FRAMES_X: u8 = 3;
pub const METADATA: u8 = 4;
pub const CHANNELS: u8 = 4;

/// A configuration record for these sets.
pub fn hvcc(sets: &[&[u8]]) -> Vec<u8> {
    let mut record = vec![
        1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 60, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0,
        0x0f,
    ];
    record.push(u8::try_from(sets.len()).unwrap());
    for set in sets {
        record.push(0x80 | set[0] >> 1);
        record.extend([0, 1]);
        record.extend(u16::try_from(set.len()).unwrap().to_be_bytes());
        record.extend(*set);
    }
    record
}

/// A video body of one track without number; `cts` only where the packet type and codec have one.
pub fn video(codec: &[u8; 4], packet: u8, key: bool, cts: Option<i32>, data: &[u8]) -> Vec<u8> {
    let mut body = vec![0x80 | if key { 0x10 } else { 0x20 } | packet];
    body.extend(codec);
    if let Some(cts) = cts {
        body.extend(&cts.to_be_bytes()[1..]);
    }
    body.extend(data);
    body
}

/// An audio body of one track without number.
pub fn audio(codec: &[u8; 4], packet: u8, data: &[u8]) -> Vec<u8> {
    [&[0x90 | packet][..], codec, data].concat()
}

/// The same body with a modifier in front that adds nanoseconds.
pub fn later(body: &[u8], ns: u32) -> Vec<u8> {
    let mut out = vec![body[0] & 0xf0 | 7, 2];
    out.extend(&ns.to_be_bytes()[1..]);
    out.push(body[0] & 0x0f);
    out.extend(&body[1..]);
    out
}

/// The same body as track `id`: one track in a wrapper of type `wrapper` (6 video, 5 audio).
pub fn tracked(body: &[u8], wrapper: u8, id: u8) -> Vec<u8> {
    let mut out = vec![body[0] & 0xf0 | wrapper, body[0] & 0x0f];
    out.extend(&body[1..5]);
    out.push(id);
    out.extend(&body[5..]);
    out
}

/// Several bodies of one packet type as tracks of one message, each with its codec.
pub fn many(bodies: &[(u8, Vec<u8>)], wrapper: u8) -> Vec<u8> {
    let first = bodies[0].1[0];
    let mut out = vec![first & 0xf0 | wrapper, 0x20 | first & 0x0f];
    for (id, body) in bodies {
        assert_eq!(body[0], first, "one packet type");
        out.extend(&body[1..5]);
        out.push(*id);
        out.extend(&u32::try_from(body.len() - 5).unwrap().to_be_bytes()[1..]);
        out.extend(&body[5..]);
    }
    out
}

/// NAL units, each behind four bytes of length.
pub fn prefixed(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter()
        .flat_map(|nal| [&u32::try_from(nal.len()).unwrap().to_be_bytes()[..], nal].concat())
        .collect()
}

/// An identification header for one or two channels.
pub fn opus_head(channels: u8) -> Vec<u8> {
    [b"OpusHead\x01", &[channels, 0x38, 1][..], &48_000u32.to_le_bytes(), &[0, 0, 0]].concat()
}

/// A frame of AC-3, 48 kHz, stereo, 192 kbit/s: 768 bytes, 1536 samples.
pub fn ac3_frame(seed: u32) -> Vec<u8> {
    filled(&[0x0b, 0x77, 0x5d, 0x1c, 0x14, 0x40, 0x43, 0x80], 768, seed)
}

/// A frame of E-AC-3, 48 kHz, stereo: 1536 samples.
pub fn eac3_frame(bytes: usize, dependent: bool, seed: u32) -> Vec<u8> {
    let words = u16::try_from(bytes / 2 - 1).unwrap();
    let [high, low] = (u16::from(dependent) << 14 | words).to_be_bytes();
    filled(&[0x0b, 0x77, high, low, 0x34, 0x80], bytes, seed)
}

/// A packet of Opus: one stereo frame of 20 ms, fullband.
pub fn opus_packet(bytes: usize, seed: u32) -> Vec<u8> {
    filled(&[0xfc], bytes, seed)
}

/// `head` and bytes that are like no other's.
fn filled(head: &[u8], bytes: usize, seed: u32) -> Vec<u8> {
    let mut out = head.to_vec();
    out.extend((head.len()..bytes).map(|i| ((i as u32 * 37 + seed * 101) % 253) as u8));
    out
}

/// Packets behind their control headers; panics at anything else.
pub fn opus_packets(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while !data.is_empty() {
        assert_eq!(data[..2], [0x7f, 0xe0], "sync, no trim, no extension");
        let (mut at, mut size) = (2, 0);
        loop {
            size += usize::from(data[at]);
            at += 1;
            if data[at - 1] != 255 {
                break;
            }
        }
        packets.push(data[at..at + size].to_vec());
        data = &data[at + size..];
    }
    packets
}
