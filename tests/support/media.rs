//! Inputs, made by ffmpeg once and kept under `target/tmp-media`, and cut at tag level where an
//! encoder would not produce the case.
//!
//! There is no HE-AAC encoder on a plain Debian: that case is a constructed configuration over LC
//! frames, see [`he_aac_signalled`]. Does NOT fetch anything.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::flv::{self, Tag};
use super::process;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tmp-media")
}

/// Path of an FLV made by `ffmpeg ARGS -f flv`; made on first use.
pub fn made(name: &str, args: &str) -> String {
    made_as(name, "flv", args)
}

fn made_as(name: &str, format: &str, args: &str) -> String {
    static ONE: OnceLock<Mutex<()>> = OnceLock::new();
    let _one =
        ONE.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // The arguments are part of the name: a changed recipe is another file.
    let sum = args
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let path = folder().join(format!("{name}-{:08x}.{format}", sum as u32));
    if !path.exists() {
        fs::create_dir_all(folder()).expect("media folder");
        let new = path.with_extension("new");
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y", "-nostdin"]).args(args.split_whitespace());
        command.args(["-f", format]).arg(&new);
        let done = process::run("ffmpeg makes media", &mut command, Duration::from_secs(60));
        assert!(done.status.success(), "ffmpeg {args}: {}", done.text);
        fs::rename(&new, &path).expect("media in place");
    }
    path.to_str().expect("text path").to_owned()
}

const PICTURE: &str = "-f lavfi -i testsrc2=size=320x240:rate=25";
const TONE: &str = "-f lavfi -i sine=frequency=440:sample_rate=44100";
const X264: &str =
    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -sc_threshold 0 -b:v 300k";

/// H.264 without B-frames and AAC 44.1 kHz; a keyframe each second.
pub fn plain(seconds: u32) -> String {
    made("plain", &format!("{PICTURE} {TONE} -t {seconds} {X264} -bf 0 -c:a aac -b:a 64k"))
}

/// The same, cut off in the middle of a second.
pub fn plain_cut_off() -> String {
    made("cut-off", &format!("{PICTURE} {TONE} -t 10.6 {X264} -bf 0 -c:a aac -b:a 64k"))
}

/// What a camera sends: a keyframe every two seconds, AAC at 48 kHz.
pub fn camera(seconds: u32) -> String {
    made("camera", &format!("{CAMERA} -i sine=frequency=440:sample_rate=48000 {}", cam(seconds)))
}

/// The same in a larger picture.
pub fn camera_large(seconds: u32) -> String {
    let picture = CAMERA.replace("640x360", "960x540");
    made("large", &format!("{picture} -i sine=frequency=660:sample_rate=48000 {}", cam(seconds)))
}

/// The same, whose sound is away for the second third.
pub fn camera_losing_sound(seconds: u32) -> String {
    let (from, to) = (seconds / 3, seconds * 2 / 3);
    made(
        "losing",
        &format!(
            "{CAMERA} -i sine=frequency=440:sample_rate=48000 \
             -af aselect=not(between(t\\,{from}\\,{to})) {}",
            cam(seconds)
        ),
    )
}

/// The same without sound.
pub fn camera_without_sound(seconds: u32) -> String {
    let picture = CAMERA.strip_suffix(" -f lavfi").expect("its input of sound");
    made("mute", &format!("{picture} {} -an", cam(seconds)))
}

const CAMERA: &str = "-f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi";

fn cam(seconds: u32) -> String {
    format!("-t {seconds} {X264} -g 50 -b:v 600k -bf 0 -ac 2 -c:a aac -b:a 64k")
}

/// AAC at 48 kHz, stereo.
pub fn aac_48000(seconds: u32) -> String {
    made(
        "aac48",
        &format!(
            "{PICTURE} -f lavfi -i sine=frequency=440:sample_rate=48000 -t {seconds} \
             {X264} -bf 0 -ac 2 -c:a aac -b:a 96k"
        ),
    )
}

/// Three B-frames in a row, a keyframe every two seconds; composition times are positive.
pub fn b_frames(seconds: u32) -> String {
    made(
        "bframes",
        &format!(
            "{PICTURE} {TONE} -t {seconds} {X264} -g 50 -preset veryfast \
             -bf 3 -b_strategy 0 -c:a aac -b:a 64k"
        ),
    )
}

/// A keyframe every five seconds.
pub fn long_gop(seconds: u32) -> String {
    made("longgop", &format!("{PICTURE} {TONE} -t {seconds} {X264} -g 125 -bf 0 -c:a aac -b:a 64k"))
}

pub fn video_only(seconds: u32) -> String {
    made("video", &format!("{PICTURE} -t {seconds} {X264} -bf 0 -an"))
}

pub fn audio_only(seconds: u32) -> String {
    made("audio", &format!("{TONE} -t {seconds} -c:a aac -b:a 64k"))
}

/// MP3 at a rate that FLV has: 44100, 22050 or 11025 Hz.
pub fn mp3(seconds: u32, rate: u32) -> String {
    made(
        "mp3",
        &format!("{PICTURE} {TONE} -t {seconds} {X264} -bf 0 -c:a libmp3lame -ar {rate} -b:a 64k"),
    )
}

/// AAC frames of digital silence: the smallest there are.
pub fn silence(seconds: u32) -> String {
    made(
        "silence",
        &format!(
            "{PICTURE} -f lavfi -i anullsrc=r=44100:cl=mono -t {seconds} \
             {X264} -bf 0 -c:a aac -b:a 64k"
        ),
    )
}

/// Another picture size, for a change of parameter sets in mid-stream.
pub fn larger(seconds: u32) -> String {
    made(
        "larger",
        &format!(
            "-f lavfi -i testsrc2=size=640x360:rate=25 {TONE} -t {seconds} {X264} -bf 0 \
             -c:a aac -b:a 64k"
        ),
    )
}

/// 8 Mb/s: more than all buffers of a socket hold in a few seconds.
pub fn heavy(seconds: u32) -> String {
    made(
        "heavy",
        &format!(
            "-f lavfi -i testsrc2=size=640x360:rate=25,noise=alls=60:allf=t -t {seconds} -c:v \
             libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -b:v 8M -bufsize 8M -bf 0 -an"
        ),
    )
}

/// Five pictures a second: the clock must be sent between them.
pub fn slow_picture(seconds: u32) -> String {
    made(
        "slow",
        &format!("-f lavfi -i testsrc2=size=320x240:rate=5 -t {seconds} {X264} -g 5 -bf 0 -an"),
    )
}

/// HEVC and AAC in an MP4: Debian's ffmpeg cannot put HEVC into FLV.
pub fn hevc(seconds: u32) -> String {
    made_as(
        "hevc",
        "mp4",
        &format!(
            "-f lavfi -i testsrc2=size=320x240:rate=25 {TONE} -t {seconds} -c:v libx265 -preset \
             ultrafast -pix_fmt yuv420p -tag:v hvc1 -x265-params \
             keyint=25:min-keyint=25:scenecut=0:bframes=0:log-level=none -c:a aac -b:a 64k"
        ),
    )
}

/// Same presentation, decode times later by `shift` ms: composition times go negative, as encoders
/// with shifted decode times write them.
pub fn negative_cts(tags: &[Tag], shift: u32) -> Vec<Tag> {
    let moved = tags.iter().map(|tag| {
        let mut tag = tag.clone();
        if tag.kind == flv::VIDEO && !tag.is_config() && tag.body.len() > 5 && tag.body[1] == 1 {
            let cts = i32::from_be_bytes([0, tag.body[2], tag.body[3], tag.body[4]]) << 8 >> 8;
            tag.body[2..5].copy_from_slice(&(cts - shift as i32).to_be_bytes()[1..]);
            tag.ms += shift;
        }
        tag
    });
    flv::sorted(moved.collect())
}

/// Media of one kind begins `ms` later; its configuration stays at the front.
pub fn delayed(tags: &[Tag], kind: u8, ms: u32) -> Vec<Tag> {
    let moved = tags.iter().map(|tag| {
        let mut tag = tag.clone();
        tag.ms += if tag.kind == kind { ms } else { 0 };
        tag
    });
    flv::sorted(moved.collect())
}

/// What comes before `ms`.
pub fn before(tags: &[Tag], ms: u32) -> Vec<Tag> {
    tags.iter().filter(|tag| tag.ms < ms).cloned().collect()
}

/// All times moved.
pub fn shifted(tags: &[Tag], ms: u32) -> Vec<Tag> {
    tags.iter().cloned().map(|tag| Tag { ms: tag.ms.wrapping_add(ms), ..tag }).collect()
}

/// One file after the other, with its own configuration, so that the sound goes on without a gap or
/// an overlap: what an encoder sends when the picture size is changed while it publishes.
pub fn joined(first: &[Tag], second: &[Tag]) -> Vec<Tag> {
    let sent = flv::sent(first);
    let last = sent.audio.last().expect("sound in the first file");
    let frame_ms =
        (i64::from(last.samples) * 1000 + i64::from(last.rate) / 2) / i64::from(last.rate);
    let ms = u32::try_from(last.ms + frame_ms).expect("a short file");
    let mut tags = first.to_vec();
    tags.extend(shifted(second, ms).into_iter().filter(|tag| tag.kind != flv::DATA));
    tags
}

/// The audio configuration again before the first audio frame of every `ms`.
pub fn repeated_aac_config(tags: &[Tag], ms: u32) -> Vec<Tag> {
    let config =
        tags.iter().find(|tag| tag.is_audio_config()).expect("an audio configuration").clone();
    let (mut out, mut next) = (Vec::new(), ms);
    for tag in tags {
        if tag.kind == flv::AUDIO && tag.ms >= next {
            out.push(Tag { ms: tag.ms, ..config.clone() });
            next += ms;
        }
        out.push(tag.clone());
    }
    out
}

/// HE-AAC as its configuration says (explicit SBR, core 22.05 kHz), over LC frames made at that
/// rate: a receiver's transport must treat it as the real thing. No HE-AAC encoder is in Debian's
/// ffmpeg.
pub fn he_aac_signalled(seconds: u32) -> Vec<Tag> {
    let path = made(
        "aac22",
        &format!(
            "{PICTURE} -f lavfi -i sine=frequency=440:sample_rate=22050 -t {seconds} \
             {X264} -bf 0 -ac 2 -c:a aac -b:a 48k"
        ),
    );
    let mut tags = flv::read_file(&path);
    for tag in tags.iter_mut().filter(|tag| tag.is_audio_config()) {
        tag.body = vec![0xaf, 0, 0x2b, 0x92, 0x08, 0x00];
    }
    tags
}
