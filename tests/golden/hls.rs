//! Media playlists as they stand on the wire, read and written.

use rillcast::time::Ticks;
use rillcast::wire::m3u8::{Durations, Line, M3u8Error, MediaPlaylist};
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

/// Durations of the sheet's rounding edge: 6.499 s fits a target of 6, 6.5 s does not.
#[test]
fn rounding_edge_is_half_up() {
    for (seconds, fits) in [("6.499", true), ("6.5", false)] {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:{seconds},\na.ts\n");
        assert_eq!(MediaPlaylist::parse(text.as_bytes()).is_ok(), fits);
    }
}
