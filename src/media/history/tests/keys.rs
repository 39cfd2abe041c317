//! Rules of encryption: R50 to R54.

use super::*;
use crate::limits::{HISTORY_KEY_TIME, HISTORY_KEYS_MAX};

const KEY: [u8; 16] = *b"sixteen bytes ok";

/// Stands for AES-128: every byte with the key's and the vector's, and the same padding.
pub(super) fn decipher(key: &[u8; 16], iv: &[u8; 16], bytes: &mut Vec<u8>) -> bool {
    cover(key, iv, bytes);
    let Some(pad) = bytes.last().copied().filter(|pad| (1..=16).contains(pad)) else {
        return false;
    };
    let rest = bytes.len() - usize::from(pad);
    let padded = bytes[rest..].iter().all(|byte| *byte == pad);
    bytes.truncate(rest);
    padded
}

fn encipher(key: &[u8; 16], iv: &[u8; 16], bytes: &mut Vec<u8>) {
    let pad = 16 - bytes.len() % 16;
    bytes.resize(bytes.len() + pad, u8::try_from(pad).unwrap());
    cover(key, iv, bytes);
}

fn cover(key: &[u8; 16], iv: &[u8; 16], bytes: &mut [u8]) {
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[n % 16] ^ iv[n % 16];
    }
}

const TAG: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"1.key\"\n";

/// All segments encrypted, the tag at the top of each version.
fn encrypted() -> Live {
    let mut live = Live::new();
    for (n, segment) in live.segments.iter_mut().enumerate() {
        encipher(&KEY, &u128::try_from(n).unwrap().to_be_bytes(), &mut segment.bytes);
    }
    live.header = TAG;
    live
}

fn run(live: &Live, edit: Edit, key: &[u8]) -> Vec<String> {
    let mut bench = live.bench(edit);
    bench.pages.push(Page::new(0, "http://box/1.key", key));
    bench.run(live.until_ms())
}

#[test]
fn r50_r51_encrypted_presentation_is_deciphered_and_passes() {
    assert_eq!(run(&encrypted(), same, &KEY), Vec::<String>::new());
    let vector =
        |_, text: String| text.replace("1.key\"", "1.key\",IV=0x0000000000000000000000000000002A");
    let mut live = Live::new();
    for segment in &mut live.segments {
        encipher(&KEY, &42u128.to_be_bytes(), &mut segment.bytes);
    }
    live.header = TAG;
    assert_eq!(run(&live, vector, &KEY), Vec::<String>::new());
}

#[test]
fn r50_segments_are_encrypted_as_their_key_tag_says() {
    let mut live = Live::of(&mut Mux::new(), &[2000; 3]);
    live.header = TAG;
    assert_eq!(run(&live, same, &KEY), ["R50"; 3], "clear behind AES-128");
    let mut live = encrypted();
    live.segments.truncate(3);
    live.header = "";
    assert_eq!(run(&live, same, &KEY), ["R50"; 3], "encrypted without a tag");
    let sample = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"1.key\"\n";
    let mut mux = Mux::new();
    let mut live = Live::of(&mut mux, &[2000]);
    live.header = sample;
    assert_eq!(run(&live, same, &KEY), ["R50"], "clear behind SAMPLE-AES");
    mux.types = [0xdb, 0xcf];
    let mut live = Live::of(&mut mux, &[2000]);
    assert_eq!(run(&live, same, &KEY), ["R50"], "samples encrypted without a tag");
    live.header = sample;
    assert_eq!(run(&live, same, &KEY), Vec::<String>::new());
}

#[test]
fn r41_key_of_an_ended_presentation_goes_with_its_segments() {
    let mut live = encrypted();
    live.segments.truncate(4);
    let ended = |n: usize, text: String| if n == 3 { text + "#EXT-X-ENDLIST\n" } else { text };
    let gone = |ms| {
        let mut bench = live.bench(ended);
        bench.pages.push(Page::new(0, "http://box/1.key", KEY));
        bench.pages.push(Page::gone(12_000, &live.url()));
        bench.pages.push(Page::gone(ms, "http://box/1.key"));
        bench.run(60_000)
    };
    assert_eq!(gone(11_000), ["R51"]);
    assert_eq!(gone(23_000), Vec::<String>::new());
}

#[test]
fn r50_key_of_listed_segments_stays() {
    let live = encrypted();
    let mut bench = live.bench(same);
    bench.pages.push(Page::new(0, "http://box/1.key", KEY));
    let again = u64::try_from(HISTORY_KEY_TIME.as_millis()).unwrap();
    bench.pages.push(Page::new(live.until_ms() - again, "http://box/1.key", *b"another sixteen "));
    assert_eq!(bench.run(live.until_ms())[0], "R50");
}

#[test]
fn r51_key_has_16_bytes_and_comes() {
    let mut live = encrypted();
    live.segments.truncate(3);
    assert_eq!(run(&live, same, &KEY[..15]), ["R51"]);
    assert_eq!(run(&live, same, b"00112233445566778899aabbccddeeff"), ["R51"]);
    let mut bench = live.bench(same);
    bench.pages.push(Page::gone(0, "http://box/1.key"));
    assert_eq!(bench.run(live.until_ms()), ["R51"]);
    let mut bench = live.bench(same);
    bench.pages.push(Page { status: 403, ..Page::gone(0, "http://box/1.key") });
    assert_eq!(bench.run(live.until_ms()), ["R51 unjudged"]);
}

#[test]
fn r51_segments_are_whole_blocks_that_key_and_vector_decrypt() {
    let mut live = encrypted();
    live.segments.truncate(3);
    live.segments[1].bytes.pop();
    assert_eq!(run(&live, same, &KEY), ["R51"]);
    let mut live = encrypted();
    live.segments.truncate(3);
    assert_eq!(run(&live, same, b"not the right one"[..16].try_into().unwrap()), ["R51"; 3]);
    let off = |_, text: String| text.replace("MEDIA-SEQUENCE:0", "MEDIA-SEQUENCE:7");
    assert_eq!(run(&live, off, &KEY), ["R51"; 3], "the vector is the media sequence number");
}

#[test]
fn r52_key_tag_stands_at_every_position_of_the_window() {
    // The tag is before every fifth segment only, and leaves with it.
    let mut live = encrypted();
    live.header = "";
    for n in [0, 5, 10] {
        live.segments[n].tags = TAG.to_owned();
    }
    let late = run(&live, same, &KEY);
    assert!(late.contains(&"R52".to_owned()), "{late:?}");
    assert!(late.iter().all(|rule| rule == "R52"), "{late:?}");
    // As it is right: what is in force is said again where the window begins.
    let again = |n: usize, text: String| match (n.max(5) - 5) % 5 {
        0 => text,
        _ => text.replacen("#EXTINF", &format!("{TAG}#EXTINF"), 1),
    };
    assert_eq!(run(&live, again, &KEY), Vec::<String>::new());
}

#[test]
fn r53_method_none_stands_alone_and_others_have_their_uri() {
    let tagged = |tag: &'static str| {
        let mut live = Live::of(&mut Mux::new(), &[2000]);
        live.header = tag;
        run(&live, same, &KEY)
    };
    assert_eq!(tagged("#EXT-X-KEY:METHOD=NONE\n"), Vec::<String>::new());
    assert_eq!(tagged("#EXT-X-KEY:METHOD=NONE,URI=\"1.key\"\n"), ["R53"]);
    assert_eq!(tagged("#EXT-X-KEY:METHOD=OTHER\n"), ["R53"]);
}

#[test]
fn r54_key_tags_of_one_segment_differ_in_format_and_agree_in_method() {
    let tagged = |tags: &'static str| {
        let mut live = Live::of(&mut Mux::new(), &[2000]);
        encipher(&KEY, &[0; 16], &mut live.segments[0].bytes);
        live.header = tags;
        let five = |_, text: String| text.replace("VERSION:3", "VERSION:5");
        run(&live, five, &KEY)
    };
    assert_eq!(
        tagged(
            "#EXT-X-KEY:METHOD=AES-128,URI=\"1.key\"\n\
             #EXT-X-KEY:METHOD=AES-128,URI=\"skd://1\",KEYFORMAT=\"org.example\"\n"
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        tagged(
            "#EXT-X-KEY:METHOD=AES-128,URI=\"1.key\"\n\
             #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://1\",KEYFORMAT=\"org.example\"\n"
        ),
        ["R54"]
    );
    let twice = "#EXT-X-KEY:METHOD=AES-128,URI=\"1.key\",KEYFORMAT=\"identity\"\n\
                 #EXT-X-KEY:METHOD=AES-128,URI=\"1.key\"\n";
    assert_eq!(tagged(twice), ["R54"]);
}

#[test]
fn more_keys_than_the_limit_are_not_fetched() {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n".to_owned();
    for n in 0..HISTORY_KEYS_MAX + 5 {
        let tag = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{n}.key\"");
        writeln!(text, "{tag}\n#EXTINF:2,\n{n}.ts").unwrap();
    }
    let mut bench = Bench::new("http://box/i.m3u8", Allowance::default());
    bench.pages.push(Page::new(0, "http://box/i.m3u8", text));
    bench.drive(2000);
    assert_eq!(bench.history.numbers().keys, u64::try_from(HISTORY_KEYS_MAX).unwrap());
}
