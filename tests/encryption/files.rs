//! Recordings: `rillcast segment` with each encryption against the same without.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use rillcast::wire::ac3;

use crate::player::{Entry, entries, number, openssl};
use crate::support::enhanced;
use crate::support::flv::{self, Tag};
use crate::support::process::{self, Scratch};
use crate::support::rillcast::segment as made;
use crate::support::{es, media, outside, ts};

/// The recording of `input` in a folder of `scratch`: its listed segments and its playlist.
fn segment(scratch: &Scratch, input: &str, name: &str, settings: &[&str]) -> (String, Vec<Entry>) {
    let folder = scratch.join(name);
    let done = made(input, &folder, settings);
    assert!(done.status.success(), "{settings:?}: {}", done.text);
    let text = std::fs::read_to_string(format!("{folder}/index.m3u8")).unwrap();
    let listed = entries(&text);
    (folder, listed)
}

fn read(folder: &str, name: &str) -> Vec<u8> {
    std::fs::read(Path::new(folder).join(name)).unwrap()
}

/// What ffmpeg reads of a recording: a line for every picture and frame of sound.
fn frames(folder: &str, options: &[&str]) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-xerror", "-err_detect", "explode"]);
    command.args(["-allowed_extensions", "ALL", "-i", &format!("{folder}/index.m3u8")]);
    command.args(["-map", "0"]).args(options).args(["-f", "framemd5", "-"]);
    let done = process::run("ffmpeg decodes", &mut command, Duration::from_secs(60));
    assert!(done.status.success(), "{folder}: {}", done.text);
    let lines = done.text.lines().filter(|line| line.starts_with(['0', '1']));
    lines.map(str::to_owned).collect()
}

/// The samples that ffmpeg has decrypted, without the last two of each track: it reads them when
/// no segment is open any more, and leaves them encrypted.
fn samples(folder: &str) -> Vec<String> {
    let lines = frames(folder, &["-c", "copy"]);
    let track = |number| lines.iter().filter(move |line| line.starts_with(number));
    let whole = |number| track(number).take(track(number).count().saturating_sub(2));
    ["0", "1"].into_iter().flat_map(whole).cloned().collect()
}

#[test]
fn openssl_decrypts_each_segment_to_what_it_is_without_encryption() {
    let scratch = Scratch::new("aes");
    let input = media::b_frames(10);
    let (clear, plain) = segment(&scratch, &input, "clear", &[]);
    let pairs = ["hls.encryption=aes-128", "hls.key_segments=3"];
    let (sealed, listed) = segment(&scratch, &input, "sealed", &pairs);
    assert_eq!(plain.len(), listed.len());
    assert!(listed.len() >= 5, "{listed:?}");
    for (entry, before) in listed.iter().zip(&plain) {
        let (method, uri) = entry.key.clone().unwrap();
        assert_eq!(method, "AES-128");
        assert_eq!(number(&uri), entry.sequence / 3 * 3);
        let key = read(&sealed, &uri);
        assert_eq!(key.len(), 16, "R51");
        let want = read(&clear, &before.uri);
        let bytes = read(&sealed, &entry.uri);
        assert_eq!(bytes.len(), want.len() / 16 * 16 + 16, "R51");
        assert!(openssl(&key, entry.sequence, &bytes) == want, "R50: {}", entry.uri);
    }
    assert_eq!(frames(&sealed, &[]), frames(&clear, &[]), "ffmpeg plays through the rotation");
    let text = String::from_utf8(read(&sealed, "index.m3u8")).unwrap();
    outside::hls_parser(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(text.matches("#EXT-X-KEY:").count(), listed.len().div_ceil(3));
}

#[test]
fn ffmpeg_decrypts_sample_aes_to_the_same_pictures_and_sound() {
    let scratch = Scratch::new("sample-aes");
    for (name, input) in [("plain", media::plain(5)), ("b-frames", media::b_frames(10))] {
        let clear = segment(&scratch, &input, &format!("{name} clear"), &[]).0;
        let pairs = ["hls.encryption=sample-aes", "hls.key_segments=0"];
        let (sealed, listed) = segment(&scratch, &input, &format!("{name} sealed"), &pairs);
        assert!(listed.iter().all(|entry| entry.key.as_ref().unwrap().0 == "SAMPLE-AES"));
        let want = samples(&clear);
        assert!(want.len() > 200, "{name}: pictures and sound");
        assert_eq!(samples(&sealed), want, "{name}");
        let text = String::from_utf8(read(&sealed, "index.m3u8")).unwrap();
        assert!(text.contains("#EXT-X-VERSION:5\n"), "R8");
        outside::hls_parser(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let bytes = read(&sealed, &listed[0].uri);
        assert!(bytes.len().is_multiple_of(188), "samples alone are encrypted");
        // The program map names both tracks as encrypted, and fits its packet (R21).
        let map = &bytes[188..376];
        assert_eq!((map[1] & 0x1f, map[2]), (0x10, 0));
        for part in [&b"\xdb\xe1\x00\xf0\x06\x0f\x04zavc"[..], b"\xcf\xe1\x01", b"\x0f\x04aacd"] {
            assert!(map.windows(part.len()).any(|window| window == part), "{part:?}");
        }
    }
}

/// The frames of a file that ffmpeg made, as tags of enhanced RTMP.
fn dolby(codec: &str, name: &[u8; 4]) -> Vec<Tag> {
    let raw = Scratch::new(codec);
    let path = raw.join("raw");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=sample_rate=48000"]);
    command.args(["-t", "4", "-ac", "2", "-c:a", codec, "-f", codec, &path]);
    let done = process::run("ffmpeg makes sound", &mut command, Duration::from_secs(30));
    assert!(done.status.success(), "{}", done.text);
    let bytes = std::fs::read(&path).unwrap();
    let tag = |(n, unit): (u32, ac3::Unit<'_>)| Tag {
        kind: flv::AUDIO,
        offset: 0,
        ms: n * 32,
        body: enhanced::audio(name, 1, unit.bytes),
    };
    (0..).zip(ac3::units(&bytes)).map(tag).collect()
}

#[test]
fn ffmpeg_decrypts_ac3_and_eac3() {
    let scratch = Scratch::new("dolby");
    for (codec, name, indicator) in
        [("ac3", b"ac-3", &b"\xc1\xe1\x01"[..]), ("eac3", b"ec-3", b"\xc2\xe1\x01")]
    {
        let input = scratch.join(&format!("{codec}.flv"));
        std::fs::write(&input, flv::write(&dolby(codec, name))).unwrap();
        let (clear, _) = segment(&scratch, &input, &format!("{codec} clear"), &[]);
        let pairs = ["hls.encryption=sample-aes"];
        let (sealed, listed) = segment(&scratch, &input, &format!("{codec} sealed"), &pairs);
        let want = samples(&clear);
        assert!(want.len() > 100, "{codec}");
        assert_eq!(samples(&sealed), want, "{codec}");
        let bytes = read(&sealed, &listed[0].uri);
        assert!(bytes[188..376].windows(3).any(|window| window == indicator), "{codec}");
        let text = String::from_utf8(read(&sealed, "index.m3u8")).unwrap();
        assert!(!text.contains("DISCONTINUITY"), "one frame is named as the other");
    }
}

#[test]
fn track_that_cannot_be_encrypted_by_samples_does_not_go_on_in_clear() {
    let scratch = Scratch::new("mp3");
    let input = media::mp3(8, 44_100);
    let (folder, listed) = segment(&scratch, &input, "out", &["hls.encryption=sample-aes"]);
    for entry in &listed {
        let bytes = read(&folder, &entry.uri);
        for packet in bytes.chunks(188) {
            let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
            assert_ne!(pid, 0x101, "no packet of audio");
        }
    }
    assert!(!listed.is_empty());
}

#[test]
fn keys_of_a_recording_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("owner");
    let pairs = ["hls.encryption=aes-128", "hls.key_segments=0"];
    let (folder, listed) = segment(&scratch, &media::plain(5), "out", &pairs);
    let uris: Vec<_> = listed.iter().map(|entry| &entry.key.as_ref().unwrap().1).collect();
    assert!(uris.windows(2).all(|two| two[0] == two[1]), "one key for all");
    let mode = std::fs::metadata(Path::new(&folder).join(uris[0])).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// What a player's decrypter makes of a slice or frame: emulation prevention goes away where there
/// is any, then one block of `step` bytes is decrypted, from `from` on, the last `keep` never.
fn decrypt(key: &[u8; 16], number: u64, sample: &[u8], [from, step, keep]: [usize; 3]) -> Vec<u8> {
    let (mut plain, mut zeros) = (Vec::new(), 0);
    for byte in sample {
        let extra = step > 16 && zeros >= 2 && *byte == 3;
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        if !extra {
            plain.push(*byte);
        }
    }
    let iv = u128::from(number).to_be_bytes();
    let mut cipher = Decryptor::<Aes128>::new(key.into(), &iv.into());
    let mut at = from;
    while at + 16 + keep <= plain.len() {
        let block: &mut [u8; 16] = (&mut plain[at..at + 16]).try_into().unwrap();
        cipher.decrypt_block(block.into());
        at += step;
    }
    plain
}

#[test]
fn every_sample_of_every_segment_has_its_key_through_a_rotation() {
    let heavy = samples_of(&media::heavy(6));
    let plain = samples_of(&media::plain(5));
    assert!(heavy[0] > 100 && heavy[1] > 0, "{heavy:?}: some slices grow");
    assert!(plain[0] > 100 && plain[2] > 100, "{plain:?}");
    // Sound that stops goes on as silence, which is encrypted too.
    let scratch = Scratch::new("silent");
    let input = scratch.join("in.flv");
    let mut tags = flv::read_file(&media::plain(5));
    tags.retain(|tag| tag.kind != flv::AUDIO || tag.ms < 2_000);
    std::fs::write(&input, flv::write(&tags)).unwrap();
    let silent = samples_of(&input);
    assert!(silent[2].abs_diff(plain[2]) < 20, "{silent:?}, {plain:?}");
}

/// Compares every sample of a recording with the same without encryption; says how many slices
/// there were, how many of them were longer than before, and how many frames of sound.
fn samples_of(input: &str) -> [usize; 3] {
    let scratch = Scratch::new("samples");
    let (clear, plain) = segment(&scratch, input, "clear", &[]);
    let pairs = ["hls.encryption=sample-aes", "hls.key_segments=2"];
    let (sealed, listed) = segment(&scratch, input, "sealed", &pairs);
    assert!(listed.len() >= 5 && listed.len() == plain.len());
    let (mut ours, mut theirs) = (ts::Demux::default(), ts::Demux::default());
    let (mut slices, mut frames, mut grown) = (0, 0, 0);
    for (entry, before) in listed.iter().zip(&plain) {
        let uri = &entry.key.as_ref().unwrap().1;
        assert_eq!(number(uri), entry.sequence / 2 * 2);
        let key: [u8; 16] = read(&sealed, uri).try_into().unwrap();
        let ours = ours.segment(&read(&sealed, &entry.uri));
        let theirs = theirs.segment(&read(&clear, &before.uri));
        assert_eq!(ours.pes.len(), theirs.pes.len(), "the same packets of samples");
        for (one, other) in ours.pes.iter().zip(&theirs.pes) {
            assert_eq!((one.pid, one.pts, one.dts), (other.pid, other.pts, other.dts));
            if one.pid == 0x101 {
                let pairs = es::adts(&one.data).unwrap().into_iter();
                for (one, other) in pairs.zip(es::adts(&other.data).unwrap()) {
                    let read = decrypt(&key, number(uri), &one.bytes, [16, 16, 0]);
                    assert_eq!(read, other.bytes);
                    frames += 1;
                }
                continue;
            }
            let pairs = es::annex_b(&one.data).unwrap().into_iter();
            for (one, other) in pairs.zip(es::annex_b(&other.data).unwrap()) {
                if !matches!(other[0] & 0x1f, 1 | 5) || other.len() <= 48 {
                    assert_eq!(one, other, "all else is clear");
                    continue;
                }
                assert_ne!(one, other);
                assert_eq!(decrypt(&key, number(uri), &one, [32, 160, 1]), other);
                slices += 1;
                grown += usize::from(one.len() > other.len());
            }
        }
    }
    [slices, grown, frames]
}
