//! The test card against ffmpeg: it must decode without a word, and show and sound as painted.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what surprises a test must stop it"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rillcast::limits::CARD_MESSAGE_BYTES_MAX;
use rillcast::media::testcard::picture::Colour;
use rillcast::media::testcard::{CardKind, TestCard, TestCardConfig};

const HD: TestCardConfig = TestCardConfig {
    width: 1280,
    height: 720,
    frames_per_second: 25,
    clock_start_ms: (9 * 3600 + 41 * 60 + 58) * 1000,
};

/// Writes a card of so many seconds as FLV; returns its bytes.
fn write_flv(config: &TestCardConfig, seconds: u64, path: &Path) -> usize {
    let mut card = TestCard::new(config).unwrap();
    let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX];
    let bytes = card.flv_start(&mut buffer).unwrap();
    let mut file = buffer[..bytes].to_vec();
    while card.due_ms() < seconds * 1000 {
        let tag = card.flv_next(&mut buffer).unwrap();
        file.extend_from_slice(&buffer[..tag.bytes]);
    }
    fs::write(path, &file).unwrap();
    file.len()
}

/// What a tool printed; its error output must be empty.
fn run(tool: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{tool} is needed: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {complaints}");
    assert!(complaints.is_empty(), "{tool} {arguments:?}: {complaints}");
    output.stdout
}

fn decode(path: &Path, output: &[&str]) -> Vec<u8> {
    let strict = ["-v", "warning", "-xerror", "-err_detect", "explode", "-i"];
    let mut arguments = strict.to_vec();
    arguments.push(path.to_str().unwrap());
    arguments.extend_from_slice(output);
    run("ffmpeg", &arguments)
}

const RAW: [&str; 9] =
    ["-map", "0:v", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-"];

/// The painted picture cut to its visible part, planes one after the other.
fn visible(card: &TestCard, width: usize, height: usize) -> Vec<u8> {
    let planes = card.painted().planes();
    let mut bytes = Vec::new();
    for (plane, width, height) in [
        (&planes.y, width, height),
        (&planes.cb, width / 2, height / 2),
        (&planes.cr, width / 2, height / 2),
    ] {
        for row in plane.samples().chunks_exact(plane.width()).take(height) {
            bytes.extend_from_slice(&row[..width]);
        }
    }
    bytes
}

/// Mean of the squared differences of samples.
fn mean_square(left: &[u8], right: &[u8]) -> f64 {
    assert_eq!(left.len(), right.len());
    let squares = left.iter().zip(right).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    squares.sum::<f64>() / f64::from(u32::try_from(left.len()).unwrap())
}

/// A card made for that moment alone, after its first picture.
fn afresh(config: &TestCardConfig, frame: u32) -> TestCard {
    let ms = frame * 1000 / config.frames_per_second;
    let config = TestCardConfig { clock_start_ms: config.clock_start_ms + ms, ..*config };
    let mut card = TestCard::new(&config).unwrap();
    let mut buffer = vec![0; CARD_MESSAGE_BYTES_MAX];
    while card.next(&mut buffer).unwrap().kind == CardKind::Audio {}
    card
}

#[test]
fn card_decodes_to_what_was_painted_at_every_size() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height, frames_per_second) in [
        (1280, 720, 25),
        (1920, 1080, 30),
        (854, 480, 25),
        (160, 128, 2),
        (720, 1280, 24),
        (320, 240, 60),
    ] {
        let config = TestCardConfig { width, height, frames_per_second, ..HD };
        let path = folder.path().join(format!("{width}x{height}.flv"));
        write_flv(&config, 3, &path);
        let decoded = decode(&path, &RAW);
        let (width, height) = (usize::from(width), usize::from(height));
        let frames: Vec<_> = decoded.chunks(width * height * 3 / 2).collect();
        assert_eq!(frames.len(), usize::try_from(3 * frames_per_second).unwrap());
        // Small and large steps into every second, midst and edges of the flash among them.
        for at in (0..3 * frames_per_second).step_by(7).chain([1, frames_per_second]) {
            let frame = frames[usize::try_from(at).unwrap()];
            let error = mean_square(frame, &visible(&afresh(&config, at), width, height));
            assert!(error < 6.0, "{width}x{height} frame {at}: mean square {error}");
        }
    }
}

#[test]
fn clock_of_another_moment_is_told_apart() {
    // The measure of the test above would see a wrong digit, even the smallest.
    let picture = |frame| visible(&afresh(&HD, frame), 1280, 720);
    for (one, other) in [(5, 6), (10, 35), (49, 50)] {
        let error = mean_square(&picture(one), &picture(other));
        assert!(error > 20.0, "frames {one} and {other}: {error}");
    }
}

#[test]
fn bars_have_their_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.flv");
    write_flv(&HD, 1, &path);
    let frame = decode(&path, &RAW);
    let bt709 = [
        (180, 128, 128),
        (168, 44, 136),
        (145, 147, 44),
        (133, 63, 52),
        (63, 193, 204),
        (51, 109, 212),
        (28, 212, 120),
    ];
    for (nth, (y, cb, cr)) in bt709.into_iter().enumerate() {
        let (column, row) = ((2 * nth + 1) * 1280 / 14 + 8, 200);
        let chroma = 1280 * 720 + row / 2 * 640 + column / 2;
        let have = (frame[row * 1280 + column], frame[chroma], frame[chroma + 640 * 360]);
        let near = |a: u8, b: u8| a.abs_diff(b) <= 2;
        assert!(near(have.0, y) && near(have.1, cb) && near(have.2, cr), "bar {nth} is {have:?}");
    }
    assert_eq!(Colour::WHITE.y, frame[(23 * 16 + 4) * 1280 + 8], "the panel flashes at 0");
}

#[test]
fn stream_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.flv");
    let bytes = write_flv(&HD, 10, &path);
    assert!(bytes * 8 / 10 < 1_000_000, "{} bit/s", bytes * 8 / 10);

    let entries = "stream=codec_name,profile,width,height,level,pix_fmt,has_b_frames,r_frame_rate,\
                   avg_frame_rate,color_range,color_space,sample_rate,channels,field_order";
    let file = path.to_str().unwrap();
    let probe = |more: &[&str]| {
        let mut arguments = vec!["-v", "warning"];
        arguments.extend_from_slice(more);
        arguments.extend_from_slice(&["-of", "default=nw=1", file]);
        String::from_utf8(run("ffprobe", &arguments)).unwrap()
    };
    let video = probe(&["-select_streams", "v", "-show_entries", entries]);
    for line in [
        "codec_name=h264",
        "profile=Constrained Baseline",
        "width=1280",
        "height=720",
        "level=31",
        "pix_fmt=yuv420p",
        "has_b_frames=0",
        "r_frame_rate=25/1",
        "avg_frame_rate=25/1",
        "color_range=tv",
        "color_space=bt709",
        "field_order=progressive",
    ] {
        assert!(video.lines().any(|have| have == line), "{line} is not in {video}");
    }
    let audio = probe(&["-select_streams", "a", "-show_entries", entries]);
    for line in ["codec_name=aac", "profile=LC", "sample_rate=48000", "channels=2"] {
        assert!(audio.lines().any(|have| have == line), "{line} is not in {audio}");
    }
    let frames = probe(&["-select_streams", "v", "-show_entries", "frame=key_frame,pict_type"]);
    let keys: Vec<_> = frames.lines().filter(|line| line.starts_with("key_frame")).collect();
    assert_eq!(keys.len(), 250);
    for (nth, key) in keys.iter().enumerate() {
        assert_eq!(*key, if nth % 25 == 0 { "key_frame=1" } else { "key_frame=0" });
    }
}

/// Milliseconds at which `on` becomes true, once for each time.
fn onsets<T>(samples: impl Iterator<Item = T>, on: impl Fn(T) -> bool) -> Vec<usize> {
    let mut was = false;
    let mut onsets = Vec::new();
    for (at, sample) in samples.enumerate() {
        let is = on(sample);
        if is && !was {
            onsets.push(at);
        }
        was = is;
    }
    onsets
}

/// Flash and beep times in milliseconds, by the decoder's timestamps.
fn flashes_and_beeps(
    config: &TestCardConfig,
    seconds: u64,
    path: &Path,
) -> (Vec<usize>, Vec<usize>) {
    write_flv(config, seconds, path);
    let frame_bytes = usize::from(config.width) * usize::from(config.height) * 3 / 2;
    let video = decode(path, &RAW);
    // The panel's upper left corner.
    let corner = usize::from(config.height) * 23 / 45 + 20;
    let corner = corner * usize::from(config.width) + 4;
    let flashes = onsets(video.chunks(frame_bytes), |frame| frame[corner] > 128);
    let rate = usize::try_from(config.frames_per_second).unwrap();
    let flashes = flashes.into_iter().map(|frame| frame * 1000 / rate).collect();

    // Resampling to timestamps keeps the sound where the container says that it is.
    let sound =
        ["-map", "0:a", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-f", "s16le", "-"];
    let sound = decode(path, &sound);
    let samples = sound.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]]));
    let mut quiet = 48_000;
    let mut beeps = Vec::new();
    for (at, sample) in samples.enumerate() {
        if sample.unsigned_abs() > 4_000 {
            if quiet > 4_800 {
                beeps.push(at / 48);
            }
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    // The last audio frame begins in time and ends after it.
    beeps.retain(|beep| u64::try_from(*beep).unwrap() < seconds * 1000);
    (flashes, beeps)
}

fn assert_in_sync(flashes: &[usize], beeps: &[usize], count: usize) {
    assert_eq!((flashes.len(), beeps.len()), (count, count), "{flashes:?} {beeps:?}");
    for (flash, beep) in flashes.iter().zip(beeps) {
        assert!(flash.abs_diff(*beep) <= 22, "flash at {flash}, beep at {beep} ms");
    }
}

#[test]
fn beep_comes_with_the_flash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sync.flv");
    // Twenty seconds: the loop of eight closes twice.
    let config = TestCardConfig { width: 320, height: 240, ..HD };
    let (flashes, beeps) = flashes_and_beeps(&config, 20, &path);
    assert_in_sync(&flashes, &beeps, 20);
    assert!(flashes.iter().enumerate().all(|(nth, flash)| *flash == nth * 1000));
}

#[test]
fn beep_comes_with_the_flash_when_the_start_is_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sync.flv");
    for (late, frames_per_second) in [(333, 25), (730, 30)] {
        let clock_start_ms = HD.clock_start_ms + late;
        let config = TestCardConfig { width: 320, height: 240, frames_per_second, clock_start_ms };
        let (flashes, beeps) = flashes_and_beeps(&config, 12, &path);
        assert_in_sync(&flashes, &beeps, 12);
    }
}
