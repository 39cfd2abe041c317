//! FLV files, read and written without the program's help; the truth that outputs are compared
//! with.
//!
//! Source: Video File Format 10.1, Annex E. Does NOT know Enhanced RTMP packets.

use super::es;

/// One tag; `offset` is where its header begins in the file.
#[derive(Clone, Debug)]
pub struct Tag {
    pub offset: usize,
    pub kind: u8,
    pub ms: u32,
    pub body: Vec<u8>,
}

pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const DATA: u8 = 18;

impl Tag {
    pub fn is_video_config(&self) -> bool {
        self.kind == VIDEO && self.body.len() > 5 && self.body[0] & 15 == 7 && self.body[1] == 0
    }

    pub fn is_audio_config(&self) -> bool {
        self.kind == AUDIO && self.body.len() > 2 && self.body[0] >> 4 == 10 && self.body[1] == 0
    }

    pub fn is_config(&self) -> bool {
        self.is_video_config() || self.is_audio_config()
    }
}

/// Reads all tags; a cut-off last tag is an error with its offset.
pub fn read(bytes: &[u8]) -> Result<Vec<Tag>, String> {
    if bytes.len() < 13 || &bytes[..3] != b"FLV" {
        return Err("no FLV header".to_owned());
    }
    let mut at = be(&bytes[5..9]) + 4;
    let mut tags = Vec::new();
    while at < bytes.len() {
        let head = bytes.get(at..at + 11).ok_or(format!("tag header cut off at byte {at}"))?;
        let size = be(&head[1..4]);
        let body = bytes.get(at + 11..at + 11 + size).ok_or(format!("tag cut off at byte {at}"))?;
        tags.push(Tag {
            offset: at,
            kind: head[0] & 31,
            ms: u32::from(head[7]) << 24 | be(&head[4..7]) as u32,
            body: body.to_vec(),
        });
        at += 11 + size + 4;
    }
    Ok(tags)
}

/// The file up to its last whole tag: who was stopped while writing may have left half of one.
pub fn whole(bytes: &[u8]) -> &[u8] {
    let mut at = 13;
    while let Some(head) = bytes.get(at..at + 11) {
        let end = at + 11 + be(&head[1..4]) + 4;
        if end > bytes.len() {
            break;
        }
        at = end;
    }
    &bytes[..at.min(bytes.len())]
}

pub fn read_file(path: &str) -> Vec<Tag> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    read(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Writes tags as a file.
pub fn write(tags: &[Tag]) -> Vec<u8> {
    let mut out = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    for tag in tags {
        let size = tag.body.len() as u32;
        out.push(tag.kind);
        out.extend(&size.to_be_bytes()[1..]);
        out.extend(&tag.ms.to_be_bytes()[1..]);
        out.push((tag.ms >> 24) as u8);
        out.extend([0, 0, 0]);
        out.extend(&tag.body);
        out.extend((size + 11).to_be_bytes());
    }
    out
}

fn be(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b))
}

/// Tags in the order of their times; equal times keep their order.
pub fn sorted(mut tags: Vec<Tag>) -> Vec<Tag> {
    tags.sort_by_key(|tag| tag.ms);
    tags
}

/// One video access unit as it was sent.
#[derive(Clone, Debug)]
pub struct VideoUnit {
    /// Message time, followed over the wrap of 32 bits.
    pub ms: i64,
    pub cts: i32,
    /// Without delimiters, parameter sets, filler and empty units.
    pub nals: Vec<Vec<u8>>,
    pub idr: bool,
    /// Parameter sets in force: SPS then PPS.
    pub sets: Vec<Vec<u8>>,
}

/// One audio frame as it was sent.
#[derive(Clone, Debug)]
pub struct AudioFrame {
    pub ms: i64,
    /// Raw AAC block, or a whole MPEG audio frame.
    pub bytes: Vec<u8>,
    pub rate: u32,
    pub samples: u32,
    /// For AAC the first three ADTS fields that matter: profile, frequency index, channels.
    pub adts: Option<(u8, u8, u8)>,
}

/// Everything that a publisher sent and that must come out.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub video: Vec<VideoUnit>,
    pub audio: Vec<AudioFrame>,
}

impl Sent {
    /// What several publishers sent, one after the other.
    pub fn then(mut self, next: Self) -> Self {
        self.video.extend(next.video);
        self.audio.extend(next.audio);
        self
    }
}

/// Takes the access units out of the tags.
pub fn sent(tags: &[Tag]) -> Sent {
    let mut out = Sent::default();
    let mut avc: Option<(usize, Vec<Vec<u8>>)> = None;
    let mut aac: Option<Asc> = None;
    let mut ms: Option<i64> = None;
    for tag in tags.iter().filter(|tag| tag.kind != DATA) {
        let step =
            ms.map_or(i64::from(tag.ms), |last| i64::from(tag.ms.wrapping_sub(last as u32) as i32));
        let now = ms.unwrap_or(0) + step;
        ms = Some(now);
        if tag.is_video_config() {
            avc = Some(avcc(&tag.body[5..]));
        } else if tag.is_audio_config() {
            aac = Some(asc(&tag.body[2..]));
        } else if tag.kind == VIDEO
            && tag.body.len() > 5
            && tag.body[0] & 15 == 7
            && tag.body[1] == 1
        {
            let Some((length_size, sets)) = &avc else { continue };
            out.video.push(video_unit(tag, now, *length_size, sets));
        } else if tag.kind == AUDIO && tag.body.len() > 2 && tag.body[0] >> 4 == 10 {
            let Some(asc) = &aac else { continue };
            out.audio.push(AudioFrame {
                ms: now,
                bytes: tag.body[2..].to_vec(),
                rate: asc.rate,
                samples: 1024,
                adts: Some((asc.profile, asc.index, asc.channels)),
            });
        } else if tag.kind == AUDIO && tag.body.len() > 1 && tag.body[0] >> 4 == 2 {
            for frame in es::mpeg_audio(&tag.body[1..]).expect("MPEG audio in the input") {
                out.audio.push(AudioFrame {
                    ms: now,
                    rate: frame.rate,
                    samples: frame.samples,
                    bytes: frame.bytes,
                    adts: None,
                });
            }
        }
    }
    out
}

fn video_unit(tag: &Tag, ms: i64, length_size: usize, sets: &[Vec<u8>]) -> VideoUnit {
    let cts = i32::from_be_bytes([0, tag.body[2], tag.body[3], tag.body[4]]) << 8 >> 8;
    let mut nals = Vec::new();
    let (mut sps, mut pps) = (Vec::new(), Vec::new());
    let mut at = 5;
    while at + length_size <= tag.body.len() {
        let size = be(&tag.body[at..at + length_size]);
        at += length_size;
        let nal = es::without_trailing_zeros(&tag.body[at..(at + size).min(tag.body.len())]);
        at += size;
        match nal.first().map(|b| b & 31) {
            Some(7) => sps.push(nal.to_vec()),
            Some(8) => pps.push(nal.to_vec()),
            None | Some(9 | 12) => {}
            Some(_) => nals.push(nal.to_vec()),
        }
    }
    let mut in_force: Vec<Vec<u8>> = sets.to_vec();
    for (kind, own) in [(7, sps), (8, pps)] {
        if !own.is_empty() {
            in_force.retain(|set| set[0] & 31 != kind);
            in_force.extend(own);
        }
    }
    VideoUnit { ms, cts, idr: nals.iter().any(|nal| nal[0] & 31 == 5), nals, sets: in_force }
}

/// NAL length size and the parameter sets of an AVCDecoderConfigurationRecord.
fn avcc(record: &[u8]) -> (usize, Vec<Vec<u8>>) {
    let mut sets = Vec::new();
    let mut at = 6;
    for count in [usize::from(record[5] & 31), usize::MAX] {
        let count = if count == usize::MAX {
            at += 1;
            usize::from(record[at - 1])
        } else {
            count
        };
        for _ in 0..count {
            let size = be(&record[at..at + 2]);
            sets.push(record[at + 2..at + 2 + size].to_vec());
            at += 2 + size;
        }
    }
    (usize::from(record[4] & 3) + 1, sets)
}

struct Asc {
    profile: u8,
    index: u8,
    channels: u8,
    rate: u32,
}

pub const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// The core's object type, rate and channels: what ADTS can say.
fn asc(bytes: &[u8]) -> Asc {
    let bits = |from: usize, n: usize| -> u8 {
        (from..from + n).fold(0, |value, bit| value << 1 | bytes[bit / 8] >> (7 - bit % 8) & 1)
    };
    let (mut object, index, channels) = (bits(0, 5), bits(5, 4), bits(9, 4));
    if object == 5 || object == 29 {
        object = bits(17, 5);
    }
    Asc { profile: object - 1, index, channels, rate: RATES[usize::from(index)] }
}
