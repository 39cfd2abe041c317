//! Silence in place of audio that stops, as decoders that we did not write hear it.

use std::process::Command;
use std::time::Duration;

use rillcast::wire::aac::AudioSpecificConfig;
use rillcast::wire::mpa::FrameHeader;

use crate::support::process::{self, Scratch};

/// Decodes and measures: the samples there are, and the loudest of them in decibels.
fn loudest(path: &str) -> (u64, f64) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "info", "-nostdin", "-xerror", "-err_detect", "explode", "-i", path]);
    command.args(["-af", "volumedetect", "-f", "null", "-"]);
    let done = process::run("ffmpeg decodes silence", &mut command, Duration::from_secs(30));
    assert!(done.status.success(), "{}", done.text);
    let value = |key: &str| {
        let line = done.text.lines().find(|line| line.contains(key)).expect(key);
        line.rsplit(": ").next().unwrap().trim_end_matches(" dB").trim().to_owned()
    };
    (value("n_samples").parse().unwrap(), value("max_volume").parse().unwrap())
}

#[test]
fn ffmpeg_decodes_the_silence_of_every_channel_configuration() {
    let scratch = Scratch::new("silence");
    for channels in 1..=7u8 {
        let config = AudioSpecificConfig::parse(&[0x11, 0x80 | channels << 3]).unwrap();
        let frame = config.silent_frame().unwrap();
        let one = [&config.adts_header(frame.len()).unwrap()[..], &frame].concat();
        let path = scratch.join("silence.aac");
        std::fs::write(&path, one.repeat(50)).unwrap();
        let (samples, volume) = loudest(&path);
        let heard = if channels == 7 { 8 } else { u64::from(channels) };
        assert_eq!(samples, 50 * 1024 * heard, "{channels}");
        assert!(volume <= -91.0, "{channels}: {volume} dB");
    }
}

#[test]
fn ffmpeg_decodes_the_silence_of_layer_iii() {
    let scratch = Scratch::new("silence");
    // 48 kHz stereo, 44.1 kHz mono, 22.05 kHz joint stereo, 8 kHz mono.
    for like in [
        [0xff, 0xfb, 0x94, 0x04],
        [0xff, 0xfb, 0x90, 0xc4],
        [0xff, 0xf3, 0x80, 0x64],
        [0xff, 0xe3, 0x18, 0xc4],
    ] {
        let (head, header) = FrameHeader::silent(like).unwrap();
        let mut one = head.to_vec();
        one.resize(header.frame_bytes(), 0);
        let path = scratch.join("silence.mp3");
        std::fs::write(&path, one.repeat(50)).unwrap();
        let (samples, volume) = loudest(&path);
        let whole = u64::from(header.samples()) * u64::from(header.channels);
        assert!((49 * whole..=50 * whole).contains(&samples), "{like:x?}: {samples}");
        assert!(volume <= -91.0, "{like:x?}: {volume} dB");
    }
}
