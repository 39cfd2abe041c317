//! RTMP: chunk headers, control messages, aggregates, commands, digest places.
//!
//! "Captured" vectors come from ffmpeg 5.1 talking to a logging server; "§" ones from RTMP 1.0; the
//! others were computed by a script that shares no code with this program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared by tests; the settings allow it in test functions alone"
)]

use crate::vectors::hex;
use rillcast::limits::HANDSHAKE_BYTES;
use rillcast::proto::rtmp::enchunk::Outbox;
use rillcast::time::Millis;
use rillcast::wire::amf0::Value;
use rillcast::wire::reader::Reader;
use rillcast::wire::rtmp::aggregate::Aggregate;
use rillcast::wire::rtmp::chunk::{BasicHeader, MessageHeader};
use rillcast::wire::rtmp::command::{Command, Level, Reply};
use rillcast::wire::rtmp::handshake::{Layout, Packet};
use rillcast::wire::rtmp::message::{
    Abort, Acknowledgement, BandwidthLimit, MessageType, SetChunkSize, SetPeerBandwidth,
    WindowAckSize,
};
use rillcast::wire::rtmp::user_control::UserControl;
use rillcast::wire::writer::{Full, Writer};

fn emitted(write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut w = Writer::new(&mut buffer);
    write(&mut w).unwrap();
    w.written().to_vec()
}

fn full(timestamp: u32, length: u32, kind: u8, stream: u32) -> MessageHeader {
    MessageHeader::Full { timestamp, length, kind, stream }
}

fn header_both_ways(text: &str, csid: u32, header: MessageHeader) {
    let bytes = hex(text);
    let fmt = header.fmt();
    let written = emitted(|w| {
        BasicHeader { fmt, csid }.emit(w)?;
        header.emit(w)
    });
    assert_eq!(written, bytes, "{text}");
    let mut r = Reader::new(&bytes);
    let basic = BasicHeader::parse(&mut r).unwrap();
    assert_eq!(basic, BasicHeader { fmt, csid }, "{text}");
    let (parsed, extended) = MessageHeader::parse(fmt, &mut r).unwrap();
    assert_eq!((parsed, extended), (header, header.extended()), "{text}");
    assert!(r.is_empty());
}

#[test]
fn basic_header_matches_vectors_both_ways() {
    for (csid, fmt0, fmt3) in [
        (2, "02", "c2"),
        (63, "3f", "ff"),
        (64, "0000", "c000"),
        (319, "00ff", "c0ff"),
        (320, "010001", "c10001"),
        (365, "012d01", "c12d01"),
        (65_599, "01ffff", "c1ffff"),
    ] {
        for (fmt, text) in [(0, fmt0), (3, fmt3)] {
            let header = BasicHeader { fmt, csid };
            assert_eq!(emitted(|w| header.emit(w)), hex(text));
            assert_eq!(header.encoded_len(), hex(text).len());
            let parsed = BasicHeader::parse(&mut Reader::new(&hex(text)));
            assert_eq!(parsed, Ok(header));
        }
    }
}

#[test]
fn message_header_matches_vectors_both_ways() {
    // §5.3.2.1 and §5.3.2.2.
    header_both_ways("030003e80000200839300000", 3, full(1000, 32, 8, 12_345));
    header_both_ways("83000014", 3, MessageHeader::SameLength { delta: 20 });
    header_both_ways("c3", 3, MessageHeader::Same);
    header_both_ways("040003e8000133093a300000", 4, full(1000, 307, 9, 12_346));
    // Around the extended timestamp.
    header_both_ways("06fffffe0000050901000000", 6, full(16_777_214, 5, 9, 1));
    for (time, tail) in [(16_777_215, "00ffffff"), (16_777_216, "01000000"), (u32::MAX, "ffffffff")]
    {
        let text = format!("06ffffff0000050901000000{tail}");
        header_both_ways(&text, 6, full(time, 5, 9, 1));
    }
    // Captured: connect, releaseStream, audio 23 ms on, video with a first delta of 4.7 hours.
    header_both_ways("030000000000961400000000", 3, full(0, 150, 20, 0));
    let release = MessageHeader::SameStream { delta: 0, length: 38, kind: 20 };
    header_both_ways("4300000000002614", 3, release);
    header_both_ways("84000017", 4, MessageHeader::SameLength { delta: 23 });
    let late = MessageHeader::SameStream { delta: 16_999_800, length: 3122, kind: 9 };
    header_both_ways("46ffffff000c320901036578", 6, late);
}

#[test]
fn control_messages_match_vectors_both_ways() {
    let chunk = SetChunkSize { bytes: 4096 };
    let abort = Abort { csid: 6 };
    let ack = Acknowledgement { sequence: 0x1234_5678 };
    let window = WindowAckSize { window: 2_500_000 };
    let bandwidth = SetPeerBandwidth { window: 2_500_000, limit: BandwidthLimit::Dynamic };
    assert_eq!(emitted(|w| chunk.emit(w)), hex("00001000"));
    assert_eq!(SetChunkSize::parse(&hex("00001000")), Ok(chunk));
    assert_eq!(emitted(|w| abort.emit(w)), hex("00000006"));
    assert_eq!(Abort::parse(&hex("00000006")), Ok(abort));
    assert_eq!(emitted(|w| ack.emit(w)), hex("12345678"));
    assert_eq!(Acknowledgement::parse(&hex("12345678")), Ok(ack));
    assert_eq!(emitted(|w| window.emit(w)), hex("002625a0"));
    assert_eq!(WindowAckSize::parse(&hex("002625a0")), Ok(window));
    assert_eq!(emitted(|w| bandwidth.emit(w)), hex("002625a002"));
    assert_eq!(SetPeerBandwidth::parse(&hex("002625a002")), Ok(bandwidth));
    for (text, length, kind) in [
        ("020000000000040100000000", 4, 1),
        ("020000000000040200000000", 4, 2),
        ("020000000000040300000000", 4, 3),
        ("020000000000060400000000", 6, 4),
        ("020000000000040500000000", 4, 5),
        ("020000000000050600000000", 5, 6),
    ] {
        header_both_ways(text, 2, full(0, length, kind, 0));
    }
}

#[test]
fn user_control_matches_vectors_both_ways() {
    let buffer = UserControl::SetBufferLength { stream: 1, buffer_ms: 3000 };
    for (text, event) in [
        ("000000000001", UserControl::StreamBegin(1)),
        ("000100000001", UserControl::StreamEof(1)),
        ("000200000001", UserControl::StreamDry(1)),
        ("00030000000100000bb8", buffer),
        ("000400000001", UserControl::StreamIsRecorded(1)),
        ("00060001e240", UserControl::PingRequest(123_456)),
        ("00070001e240", UserControl::PingResponse(123_456)),
        ("001a", UserControl::SwfRequest(&[])),
        ("001a01", UserControl::SwfRequest(&[1])),
        ("001f00000001", UserControl::BufferEmpty(1)),
        ("002000000001", UserControl::BufferReady(1)),
    ] {
        assert_eq!(UserControl::parse(&hex(text)), Ok(event), "{text}");
        assert_eq!(emitted(|w| event.emit(w)), hex(text), "{text}");
    }
    let proof = [vec![0x00, 0x1b, 0x01, 0x01], vec![0x5a; 40]].concat();
    let Ok(UserControl::SwfResponse(data)) = UserControl::parse(&proof) else {
        panic!("not a response")
    };
    assert_eq!(data.len(), 42);
}

/// Checks a whole message both ways, and once more as it goes out.
fn control_both_ways(text: &str, event: UserControl<'_>) {
    let bytes = hex(text);
    let kind = MessageType::UserControl;
    let length = event.encoded_len();
    let header = full(0, u32::try_from(length).unwrap(), kind.into(), 0);
    let basic = BasicHeader { fmt: 0, csid: 2 };
    let written = emitted(|w| {
        basic.emit(w)?;
        header.emit(w)?;
        event.emit(w)
    });
    assert_eq!(written, bytes, "{text}");
    let mut r = Reader::new(&bytes);
    assert_eq!(BasicHeader::parse(&mut r), Ok(basic), "{text}");
    assert_eq!(MessageHeader::parse(0, &mut r), Ok((header, None)), "{text}");
    assert_eq!(r.len(), length, "{text}");
    assert_eq!(UserControl::parse(r.rest()), Ok(event), "{text}");
    let mut outbox = Outbox::with_room(64);
    outbox.message(2, kind, 0, Millis(0), r.rest()).unwrap();
    assert_eq!(outbox.pending(), bytes, "{text}");
}

#[test]
fn user_control_messages_match_vectors_whole() {
    let buffer = UserControl::SetBufferLength { stream: 1, buffer_ms: 3000 };
    for (text, event) in [
        ("020000000000060400000000 000000000001", UserControl::StreamBegin(1)),
        ("020000000000060400000000 000100000001", UserControl::StreamEof(1)),
        ("020000000000060400000000 000200000001", UserControl::StreamDry(1)),
        ("0200000000000a0400000000 00030000000100000bb8", buffer),
        ("020000000000060400000000 000400000001", UserControl::StreamIsRecorded(1)),
        ("020000000000060400000000 00060001e240", UserControl::PingRequest(123_456)),
        ("020000000000060400000000 00070001e240", UserControl::PingResponse(123_456)),
        ("020000000000020400000000 001a", UserControl::SwfRequest(&[])),
        ("020000000000060400000000 001f00000001", UserControl::BufferEmpty(1)),
        ("020000000000060400000000 002000000001", UserControl::BufferReady(1)),
    ] {
        control_both_ways(text, event);
    }
}

#[test]
fn aggregate_matches_vector() {
    let body =
        hex("08000003 001388 00 000000 af0121 0000000e 09000007 00139c 00 000000 2701000000aabb \
         00000012");
    let got: Vec<_> = Aggregate::new(Millis(9000), &body).map(Result::unwrap).collect();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].kind, MessageType::Audio);
    assert_eq!(got[0].timestamp, Millis(9000));
    assert_eq!(got[0].payload, hex("af0121"));
    assert_eq!(got[1].kind, MessageType::Video);
    assert_eq!(got[1].timestamp, Millis(9020));
    assert_eq!(got[1].payload, hex("2701000000aabb"));
}

/// Captured: ffmpeg 5.1 publishing to app live/inst.
pub(crate) const FFMPEG_CONNECT: &str = "\
    020007636f6e6e656374003ff00000000000000300036170700200096c6976652f696e737400\
    047479706502000a6e6f6e707269766174650008666c617368566572020024464d4c452f332e\
    302028636f6d70617469626c653b204c61766635392e32372e313030290005746355726c0200\
    2072746d703a2f2f3132372e302e302e313a31393335312f6c6976652f696e7374000009";

#[test]
fn command_reads_the_captured_connect() {
    let bytes = hex(FFMPEG_CONNECT);
    assert_eq!(bytes.len(), 150);
    let command = Command::parse(MessageType::CommandAmf0, &bytes).unwrap();
    assert_eq!(command.name, b"connect");
    assert_eq!(command.transaction.to_bits(), 1.0f64.to_bits());
    let property = |name| core::str::from_utf8(command.property(name).unwrap()).unwrap();
    assert_eq!(property("app"), "live/inst");
    assert_eq!(property("type"), "nonprivate");
    assert_eq!(property("flashVer"), "FMLE/3.0 (compatible; Lavf59.27.100)");
    assert_eq!(property("tcUrl"), "rtmp://127.0.0.1:19351/live/inst");
    assert_eq!(command.property("swfUrl"), None);
    assert_eq!(command.arguments().count(), 0);
    for n in 0..bytes.len() {
        let cut = Command::parse(MessageType::CommandAmf0, &bytes[..n]);
        // Cut between two values, the rest reads as defaults.
        assert_eq!(cut.is_ok(), n == 10 || n == 19, "{n}");
    }
}

#[test]
fn command_of_type_17_skips_one_format_byte_or_none() {
    let bytes = hex("00 020003666f6f 000000000000000000 05 11 060b68656c6c6f");
    for bytes in [&bytes[..], &bytes[1..]] {
        let command = Command::parse(MessageType::CommandAmf3, bytes).unwrap();
        assert_eq!(command.name, b"foo");
        assert!(!command.wants_reply());
        assert_eq!(command.string(0), Some(&b"hello"[..]));
    }
}

#[test]
fn command_reads_captured_extra_connect_arguments() {
    let mut bytes = hex(FFMPEG_CONNECT);
    bytes.extend(hex("020003746f6b 004008000000000000 03 0004666c6167 0200026f6b 000009"));
    let command = Command::parse(MessageType::CommandAmf0, &bytes).unwrap();
    assert_eq!(command.string(0), Some(&b"tok"[..]));
    assert_eq!(command.stream(1), Some(3));
    let object = command.argument(2).unwrap().object().unwrap();
    assert_eq!(object.get("flag"), Some(Value::String(b"ok")));
}

#[test]
fn replies_match_vectors() {
    let connected = emitted(|w| Reply::Connected { transaction: 1.0 }.emit(w));
    assert_eq!(connected.len(), 190);
    assert_eq!(
        connected,
        hex("0200075f726573756c74003ff0000000000000030006666d7356657202000d464d532f332c30\
    2c312c313233000c6361706162696c697469657300403f0000000000000000090300056c6576\
    656c0200067374617475730004636f646502001d4e6574436f6e6e656374696f6e2e436f6e6e\
    6563742e53756363657373000b6465736372697074696f6e020015436f6e6e656374696f6e20\
    7375636365656465642e000e6f626a656374456e636f64696e67000000000000000000000009")
    );
    let created = Reply::Number { transaction: 4.0, number: 1.0 };
    assert_eq!(
        emitted(|w| created.emit(w)),
        hex("0200075f726573756c7400401000000000000005003ff0000000000000")
    );
    let started = Reply::Status {
        level: Level::Status,
        code: "NetStream.Publish.Start",
        description: "Start publishing",
    };
    let started = emitted(|w| started.emit(w));
    assert_eq!(started.len(), 105);
    assert_eq!(
        started,
        hex("0200086f6e537461747573000000000000000000050300056c6576656c020006737461747573\
    0004636f64650200174e657453747265616d2e5075626c6973682e5374617274000b64657363\
    72697074696f6e0200105374617274207075626c697368696e67000009")
    );
}

#[test]
fn replies_are_commands_that_parse() {
    let replies = [
        Reply::Connected { transaction: 1.0 },
        Reply::Refused { transaction: 2.0, code: "NetConnection.Call.Failed", description: "no" },
        Reply::Done { transaction: 3.0 },
        Reply::Notify { name: "onFCPublish", code: "NetStream.Publish.Start", description: "" },
        Reply::BandwidthDone,
    ];
    let names = ["_result", "_error", "_result", "onFCPublish", "onBWDone"];
    for (reply, name) in replies.iter().zip(names) {
        let bytes = emitted(|w| reply.emit(w));
        let command = Command::parse(MessageType::CommandAmf0, &bytes).unwrap();
        assert_eq!(command.name, name.as_bytes());
        assert!(command.arguments().all(|value| value.is_ok()));
    }
}

/// C1 and S1 of the digest vectors: a head of 8 bytes, then `((i - 8) * step + 7) & 255`.
pub(crate) fn vector_packet(head: &str, step: usize) -> Packet {
    let mut packet = [0; HANDSHAKE_BYTES];
    packet[..8].copy_from_slice(&hex(head));
    for (i, byte) in packet[8..].iter_mut().enumerate() {
        *byte = u8::try_from((i * step + 7) & 255).unwrap();
    }
    packet
}

#[test]
fn handshake_layouts_match_vectors() {
    let c1 = vector_packet("0000000009007c02", 13);
    let s1 = vector_packet("0000000003050101", 29);
    assert_eq!(Layout::DigestFirst.digest_at(&c1), 118);
    assert_eq!(Layout::KeyFirst.digest_at(&c1), 970);
    assert_eq!(Layout::DigestFirst.digest_at(&s1), 214);
    assert_eq!(Layout::KeyFirst.digest_at(&s1), 810);
    assert_eq!(Layout::DigestFirst.key_at(&c1), 1278);
    assert_eq!(Layout::KeyFirst.key_at(&c1), 90);
}
