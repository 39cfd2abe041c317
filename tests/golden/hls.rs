//! Media playlists as they stand on the wire, read and written.

use rillcast::time::Ticks;
use rillcast::wire::m3u8::{
    ByteRange, Durations, Line, M3u8Error, MasterPlaylist, MediaPlaylist, MediaType, Rendition,
    Variant,
};
use rillcast::wire::writer::Writer;

/// A live playlist in the form of RFC 8216 §8.2, with every tag that ours uses.
const LIVE: &str = "#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:6
#EXT-X-MEDIA-SEQUENCE:2680
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXTINF:5.960000,
s2680.ts
#EXT-X-DISCONTINUITY
#EXTINF:6.006000,
s2681.ts
";

#[test]
fn live_playlist_is_written_line_by_line() {
    let mut durations = Durations::new();
    let mut buffer = [0; 512];
    let mut w = Writer::new(&mut buffer);
    for line in [
        Line::Header,
        Line::Version(3),
        Line::TargetDuration(6),
        Line::MediaSequence(2680),
        Line::DiscontinuitySequence(1),
        Line::IndependentSegments,
        Line::Segment { micros: durations.next(Ticks(536_400)), title: "" },
        Line::Uri("s2680.ts"),
        Line::Discontinuity,
        Line::Segment { micros: durations.next(Ticks(540_540)), title: "" },
        Line::Uri("s2681.ts"),
    ] {
        line.emit(&mut w).unwrap();
    }
    assert_eq!(core::str::from_utf8(w.written()), Ok(LIVE));
}

#[test]
fn live_playlist_is_read_whole() {
    let p = MediaPlaylist::parse(LIVE.as_bytes()).unwrap();
    assert_eq!((p.version, p.target_duration_s), (3, 6));
    assert_eq!((p.media_sequence, p.discontinuity_sequence), (2680, 1));
    assert!(p.independent_segments && !p.ended && p.playlist_type.is_none());
    let segments: Vec<_> = p.segments().map(|s| (s.micros, s.discontinuity, s.uri)).collect();
    let wanted = [(5_960_000, false, "s2680.ts"), (6_006_000, true, "s2681.ts")];
    assert_eq!(segments, wanted);
}

#[test]
fn live_playlist_cut_at_any_byte_is_refused_or_shorter() {
    for end in 0..LIVE.len() - 1 {
        match MediaPlaylist::parse(&LIVE.as_bytes()[..end]) {
            Ok(p) => assert!(p.segments <= 2 && p.segments().count() == p.segments),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// RFC 8216 §8.1, "Simple Media Playlist".
#[test]
fn simple_playlist_of_the_standard_is_read() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n\n#EXTINF:9.009,\n\
                http://media.example.com/first.ts\n#EXTINF:9.009,\n\
                http://media.example.com/second.ts\n#EXTINF:3.003,\n\
                http://media.example.com/third.ts\n#EXT-X-ENDLIST\n";
    let p = MediaPlaylist::parse(text.as_bytes()).unwrap();
    assert!(p.ended);
    assert_eq!(p.segments().map(|s| s.micros).sum::<u64>(), 21_021_000);
}

/// RFC 8216 §8.3, "Playlist with Encrypted Media Segments".
#[test]
fn encrypted_playlist_of_the_standard_keeps_its_keys() {
    let text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:7794\n#EXT-X-TARGETDURATION:15\n\
                #EXT-X-KEY:METHOD=AES-128,URI=\"https://priv.example.com/key.php?r=52\"\n\
                #EXTINF:2.833,\nhttp://media.example.com/fileSequence52-A.ts\n";
    let p = MediaPlaylist::parse(text.as_bytes()).unwrap();
    assert_eq!((p.media_sequence, p.segments), (7794, 1));
}

/// RFC 8216 §8.4: a master playlist is not a media playlist.
#[test]
fn master_playlist_of_the_standard_is_refused() {
    let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1280000\nhttp://example.com/low.m3u8\n";
    assert_eq!(
        MediaPlaylist::parse(text.as_bytes()),
        Err(M3u8Error::Misplaced { tag: "EXT-X-STREAM-INF", line: 2 })
    );
}

/// A master playlist in the form of RFC 8216 §8.5 and §8.6, with every attribute that ours uses.
const MASTER: &str = "#EXTM3U\n#EXT-X-VERSION:4\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",LANGUAGE=\"en\",NAME=\"English\",\
    DEFAULT=YES,AUTOSELECT=YES,URI=\"en.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1000000,\
    CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO=\"aac\"\n\
    low/index.m3u8\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,CODECS=\"avc1.64001f\",RESOLUTION=1280x720,\
    URI=\"low/iframes.m3u8\"\n";

#[test]
fn master_playlist_is_written_line_by_line_and_read_whole() {
    let low = Variant {
        bandwidth: 1_280_000,
        average_bandwidth: Some(1_000_000),
        codecs: Some("avc1.64001f,mp4a.40.2"),
        resolution: Some((1280, 720)),
        frame_millihertz: Some(29_970),
        audio: Some("aac"),
    };
    let frames = Variant {
        bandwidth: 86_000,
        average_bandwidth: None,
        codecs: Some("avc1.64001f"),
        frame_millihertz: None,
        audio: None,
        ..low
    };
    let english = Rendition {
        kind: MediaType::Audio,
        group: "aac",
        name: "English",
        language: Some("en"),
        default: true,
        autoselect: true,
        uri: Some("en.m3u8"),
    };
    let mut buffer = [0; 1024];
    let mut w = Writer::new(&mut buffer);
    for line in [
        Line::Header,
        Line::Version(4),
        Line::Media(english),
        Line::StreamInf(low),
        Line::Uri("low/index.m3u8"),
        Line::IFrameStreamInf(frames, "low/iframes.m3u8"),
    ] {
        line.emit(&mut w).unwrap();
    }
    assert_eq!(core::str::from_utf8(w.written()), Ok(MASTER));
    let read = MasterPlaylist::parse(MASTER.as_bytes()).unwrap();
    assert_eq!((read.version, read.variants, read.independent_segments), (4, 1, false));
    assert_eq!(read.variants().collect::<Vec<_>>(), [(low, "low/index.m3u8")]);
    assert_eq!(read.i_frames().collect::<Vec<_>>(), [(frames, "low/iframes.m3u8")]);
    assert_eq!(read.renditions().collect::<Vec<_>>(), [english]);
}

/// RFC 8216 §8.4, "Master Playlist"; its §8.5 has I-frames.
#[test]
fn master_playlists_of_the_standard_are_read() {
    let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1000000\n\
                http://example.com/low.m3u8\n\
                #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI=\"low/iframe.m3u8\"\n\
                #EXT-X-STREAM-INF:BANDWIDTH=65000,CODECS=\"mp4a.40.5\"\n\
                http://example.com/audio-only.m3u8\n";
    let read = MasterPlaylist::parse(text.as_bytes()).unwrap();
    let rates: Vec<_> = read.variants().map(|(variant, _)| variant.bandwidth).collect();
    assert_eq!(rates, [1_280_000, 65_000]);
    assert_eq!((read.i_frames().count(), read.version), (1, 1));
}

/// An I-frame playlist of transport stream segments: pictures are ranges behind the tables.
#[test]
fn i_frame_playlist_is_written_and_read() {
    let text = "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:6\n#EXT-X-I-FRAMES-ONLY\n\
                #EXT-X-MAP:URI=\"s1.ts\",BYTERANGE=\"376@0\"\n\
                #EXTINF:2.000000,\n#EXT-X-BYTERANGE:9400@376\ns1.ts\n\
                #EXTINF:4.000000,\n#EXT-X-BYTERANGE:9588\ns1.ts\n";
    let read = MediaPlaylist::parse(text.as_bytes()).unwrap();
    assert!(read.i_frames_only);
    let ranges: Vec<_> = read.segments().map(|segment| segment.range.unwrap()).collect();
    let [first, second] = [Some(376), None];
    let wanted = [ByteRange { bytes: 9400, at: first }, ByteRange { bytes: 9588, at: second }];
    assert_eq!(ranges, wanted);
    let mut buffer = [0; 512];
    let mut w = Writer::new(&mut buffer);
    for (number, line) in (1..).zip(text.lines()) {
        Line::parse(line, number).unwrap().emit(&mut w).unwrap();
    }
    assert_eq!(core::str::from_utf8(w.written()), Ok(text));
}

/// Durations of the sheet's rounding edge: 6.499 s fits a target of 6, 6.5 s does not.
#[test]
fn rounding_edge_is_half_up() {
    for (seconds, fits) in [("6.499", true), ("6.5", false)] {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:{seconds},\na.ts\n");
        assert_eq!(MediaPlaylist::parse(text.as_bytes()).is_ok(), fits);
    }
}
