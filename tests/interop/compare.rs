//! Whether all that a player recorded was sent, in one piece.
//!
//! Players that record FLV are held to whole message bodies, byte for byte. One that records a
//! transport stream has laid the media out anew and is held to each slice and each audio frame.

use std::collections::HashMap;

use crate::support::flv::{self, Tag};
use crate::support::follow::Got;
use crate::support::{es, ts};

/// Pictures and sounds that a player must have recorded at least, of three seconds.
const PICTURES_MIN: usize = 50;
const SOUNDS_MIN: usize = 80;

/// What a player recorded.
pub enum Recorded {
    Tags(Vec<Tag>),
    /// A transport stream of its own.
    Transport(Vec<u8>),
    /// A line for each packet: `codec_type=…|data_hash=adler32:…`.
    Hashes(String),
    /// What was seen on the screen; it judged itself.
    Said(String),
}

/// What a publisher sent.
pub struct Truth {
    pub tags: Vec<Tag>,
    /// All segments that HLS had.
    pub segments: Vec<Got>,
}

impl Truth {
    /// How much was recorded, or what is wrong with it.
    pub fn judge(&self, recorded: &Recorded) -> Result<String, String> {
        let (pictures, sounds) = match recorded {
            Recorded::Said(text) => return Ok(short(text)),
            Recorded::Tags(tags) => {
                begins_at_keyframe(tags)?;
                let count = |kind| one_piece(&bodies(&self.tags, kind), &bodies(tags, kind), kind);
                (count(flv::VIDEO)?, count(flv::AUDIO)?)
            }
            Recorded::Transport(bytes) => self.transport(bytes)?,
            Recorded::Hashes(text) => self.hashes(text)?,
        };
        if pictures < PICTURES_MIN || sounds < SOUNDS_MIN {
            return Err(format!("only {pictures} pictures and {sounds} sounds"));
        }
        Ok(format!("{pictures}p {sounds}s"))
    }

    fn transport(&self, bytes: &[u8]) -> Result<(usize, usize), String> {
        let (pictures, sounds) = units(bytes);
        let whole = |list: Vec<Vec<Vec<u8>>>| -> Vec<Vec<u8>> {
            list.into_iter().map(|slices| slices.concat()).collect()
        };
        let sent = (whole(pictures_of(&self.tags)), bodies(&self.tags, flv::AUDIO));
        let sent_sounds: Vec<Vec<u8>> = sent.1.into_iter().map(|body| body[2..].to_vec()).collect();
        let mut pictures = whole(pictures);
        // The last may have been cut off when the player was stopped.
        pictures.pop();
        Ok((
            one_piece(&sent.0, &pictures, flv::VIDEO)?,
            one_piece(&sent_sounds, &sounds, flv::AUDIO)?,
        ))
    }

    /// Packets of ffprobe against the segments, and those against the messages.
    fn hashes(&self, text: &str) -> Result<(usize, usize), String> {
        let bytes: Vec<u8> = self.segments.iter().flat_map(|got| got.bytes.clone()).collect();
        let (pictures, sounds) = units(&bytes);
        let whole: Vec<Vec<u8>> = pictures.iter().map(|slices| slices.concat()).collect();
        let sent: Vec<Vec<u8>> =
            pictures_of(&self.tags).iter().map(|slices| slices.concat()).collect();
        one_piece(&sent, &whole, flv::VIDEO)?;
        let sent: Vec<Vec<u8>> =
            bodies(&self.tags, flv::AUDIO).into_iter().map(|body| body[2..].to_vec()).collect();
        one_piece(&sent, &sounds, flv::AUDIO)?;
        let parts = ts::Demux::default().segment(&bytes);
        let video = parts.pes.iter().filter(|pes| pes.pid == 0x100);
        let known: Vec<[u32; 3]> = video.map(|pes| as_ffmpeg_splits(&pes.data)).collect();
        let (hashes, sounds) = packets(text);
        let first = hashes.first().ok_or(format!("ffprobe found no video: {text}"))?;
        let from = known.iter().position(|ways| ways.contains(first));
        let rest = &known[from.ok_or("first packet unknown")?..];
        let same = |(hash, ways): (&u32, &[u32; 3])| ways.contains(hash);
        if hashes.len() > rest.len() || !hashes.iter().zip(rest).all(same) {
            return Err("ffprobe's packets are not those of the segments".to_owned());
        }
        Ok((hashes.len(), sounds))
    }
}

/// Hashes that a unit may have in ffprobe: as it is; and of HEVC, where the zero in front of a
/// start code counts to the unit before.
fn as_ffmpeg_splits(unit: &[u8]) -> [u32; 3] {
    let longer = [unit, &[0]].concat();
    [adler32(unit), adler32(&longer), adler32(&longer[1..])]
}

/// Hashes of video packets, and how many packets of audio, in what ffprobe prints; side data puts
/// a hash on a line of its own.
fn packets(text: &str) -> (Vec<u32>, usize) {
    let (mut hashes, mut sounds, mut video) = (Vec::new(), 0, false);
    for line in text.lines() {
        if let Some((_, kind)) = line.split_once("codec_type=") {
            video = kind.starts_with("video");
            sounds += usize::from(!video);
        }
        if let Some((_, hash)) = line.split_once("adler32:").filter(|_| video) {
            hashes.push(u32::from_str_radix(hash.trim(), 16).unwrap_or(0));
        }
    }
    (hashes, sounds)
}

fn short(text: &str) -> String {
    let frames = text.split(", ").find(|part| part.contains("frames"));
    frames.unwrap_or(text).replace(" frames", "p shown")
}

fn begins_at_keyframe(tags: &[Tag]) -> Result<(), String> {
    let first = tags.iter().find(|tag| tag.kind == flv::VIDEO && is_media(tag));
    let first = first.ok_or("no pictures")?;
    if first.body[0] >> 4 & 7 == 1 { Ok(()) } else { Err("begins at no keyframe".to_owned()) }
}

/// Whether a message carries a picture or a sound: no configuration, no end of sequence.
fn is_media(tag: &Tag) -> bool {
    let body = &tag.body;
    match tag.kind {
        flv::VIDEO if body.first().is_some_and(|b| b & 0x80 != 0) => matches!(body[0] & 15, 1 | 3),
        flv::VIDEO => body.len() > 5 && body[1] == 1,
        _ => body.len() > 2 && !tag.is_audio_config(),
    }
}

/// The bodies of one kind that carry media.
fn bodies(tags: &[Tag], kind: u8) -> Vec<Vec<u8>> {
    let media = tags.iter().filter(|tag| tag.kind == kind && is_media(tag));
    media.map(|tag| tag.body.clone()).collect()
}

/// What came stands in what was sent, without a hole; how many.
fn one_piece(sent: &[Vec<u8>], got: &[Vec<u8>], kind: u8) -> Result<usize, String> {
    let kind = if kind == flv::VIDEO { "picture" } else { "sound" };
    let at: HashMap<&[u8], usize> = sent.iter().enumerate().map(|(i, b)| (&b[..], i)).collect();
    let first = got.first().ok_or(format!("no {kind}"))?;
    let from = *at.get(&first[..]).ok_or(format!("the first {kind} was never sent"))?;
    for (n, one) in got.iter().enumerate() {
        if sent.get(from + n) != Some(one) {
            return Err(format!("{kind} {n} of {} is not the one that was sent", got.len()));
        }
    }
    Ok(got.len())
}

/// Slices of each picture that was sent.
fn pictures_of(tags: &[Tag]) -> Vec<Vec<Vec<u8>>> {
    let units = tags.iter().filter(|tag| tag.kind == flv::VIDEO && is_media(tag));
    units
        .map(|tag| {
            let enhanced = tag.body[0] & 0x80 != 0;
            let mut rest = match tag.body[0] & 0x8f {
                0x81 => &tag.body[8..],
                _ => &tag.body[5..],
            };
            let mut nals = Vec::new();
            while let Some((size, after)) = rest.split_at_checked(4) {
                let size = u32::from_be_bytes(size.try_into().unwrap()) as usize;
                let (nal, after) = after.split_at(size.min(after.len()));
                nals.push(es::without_trailing_zeros(nal).to_vec());
                rest = after;
            }
            slices(nals, enhanced)
        })
        .collect()
}

/// Those NAL units that are slices.
fn slices(nals: Vec<Vec<u8>>, hevc: bool) -> Vec<Vec<u8>> {
    let is_slice = |nal: &Vec<u8>| match nal.first() {
        None => false,
        Some(head) if hevc => head >> 1 & 63 < 32,
        Some(head) => matches!(head & 31, 1..=5),
    };
    nals.into_iter().filter(is_slice).collect()
}

/// Slices of each picture, and audio frames, of a transport stream.
fn units(bytes: &[u8]) -> (Vec<Vec<Vec<u8>>>, Vec<Vec<u8>>) {
    let parts = ts::Demux::default().segment(&bytes[..bytes.len() / 188 * 188]);
    let streams = parts.pmt.as_ref().map(|pmt| pmt.streams.clone()).unwrap_or_default();
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    for pes in &parts.pes {
        match streams.iter().find(|(pid, _)| *pid == pes.pid).map(|(_, kind)| *kind) {
            Some(kind @ (0x1b | 0x24)) => {
                let nals = es::annex_b(&pes.data).unwrap_or_default();
                pictures.push(slices(nals, kind == 0x24));
            }
            Some(0x0f) => {
                let frames = es::adts(&pes.data).unwrap_or_default();
                sounds.extend(frames.into_iter().map(|frame| frame.bytes));
            }
            _ => {}
        }
    }
    (pictures, sounds)
}

/// RFC 1950 §8.2, as ffmpeg prints it.
fn adler32(bytes: &[u8]) -> u32 {
    let add = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    };
    let (a, b) = bytes.iter().fold((1, 0), add);
    b << 16 | a
}

#[test]
fn comparison_finds_a_hole_a_change_and_what_was_never_sent() {
    let sent: Vec<Vec<u8>> = (0..9u8).map(|n| vec![n; 9]).collect();
    assert_eq!(one_piece(&sent, &sent[2..7], flv::VIDEO), Ok(5));
    let hole = [&sent[2..4], &sent[5..7]].concat();
    assert!(one_piece(&sent, &hole, flv::VIDEO).unwrap_err().starts_with("picture 2 of 4"));
    let mut changed = sent[2..7].to_vec();
    changed[3][8] ^= 1;
    assert!(one_piece(&sent, &changed, flv::AUDIO).unwrap_err().starts_with("sound 3 of 5"));
    let never = one_piece(&sent, &[vec![77]], flv::AUDIO).unwrap_err();
    assert_eq!(never, "the first sound was never sent");
    assert_eq!(one_piece(&sent, &[], flv::VIDEO), Err("no picture".to_owned()));
    let beyond = [sent[7..].to_vec(), vec![vec![3]]].concat();
    assert!(one_piece(&sent, &beyond, flv::VIDEO).is_err());
}

#[test]
fn adler32_is_that_of_the_standard() {
    assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
}
