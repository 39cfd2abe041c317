//! Players that are opened once, and what they did until the end.

use std::process::Command;
use std::time::Duration;

use crate::support::outside::{self, Second};
use crate::support::process::{Running, Scratch};
use crate::support::serve::Folder;

/// A player that has been opened.
pub trait Player {
    fn name(&self) -> &'static str;

    /// What it did, if it played at least `least` seconds of media and plays at the end; else why
    /// not.
    fn verdict(self: Box<Self>, least: f64) -> Result<String, String>;
}

/// How a browser plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    HlsJs,
    Native,
}

/// A page with one video in headless Chromium.
pub struct Browser {
    way: Way,
    running: Running,
    seconds: u32,
    _page: Folder,
}

impl Browser {
    pub fn start(way: Way, url: &str, seconds: u32, scratch: &Scratch) -> Self {
        let folder = scratch.join(&format!("page-{way:?}"));
        let page = match way {
            Way::HlsJs => outside::hls_js_page(url, folder.as_ref()),
            Way::Native => outside::native_page(url, folder.as_ref()),
        };
        let page = Folder::start(page);
        let address = format!("http://{}/page.html", page.address);
        let profile = scratch.join(&format!("profile-{way:?}"));
        let mut command = outside::browser(&address, seconds, &profile);
        let log = scratch.join(&format!("browser-{way:?}"));
        Self { way, running: Running::start("chromium", &mut command, &log), seconds, _page: page }
    }
}

impl Player for Browser {
    fn name(&self) -> &'static str {
        match self.way {
            Way::HlsJs => "hls.js",
            Way::Native => "Chromium's own HLS",
        }
    }

    fn verdict(mut self: Box<Self>, least: f64) -> Result<String, String> {
        self.running.finish(Duration::from_secs(u64::from(self.seconds) + 60));
        let seconds = outside::seconds(&self.running.text());
        let last = seconds.last().ok_or("no video element")?;
        if last.error != "none" {
            let text = self.running.text();
            let said: Vec<&str> = text.lines().filter(|line| line.starts_with("media ")).collect();
            return Err(format!("error {} at {}:\n{}", last.error, last.time, said.join("\n")));
        }
        let played = played(&seconds);
        let longest = longest_halt(&seconds);
        let what = format!(
            "{played:.1} s played, {} frames, {} audio bytes, longest halt {longest} s, noted: {}",
            last.frames, last.audio_bytes, last.notes
        );
        let end: Vec<f64> = seconds.iter().rev().take(4).map(|s| s.time).collect();
        if end.first() <= end.last() {
            return Err(format!("stands still at the end; {what}"));
        }
        if played < least {
            return Err(format!("less than {least:.1} s; {what}"));
        }
        Ok(what)
    }
}

/// Seconds of media that were played. A clock that jumps, as over numbers that were left out, has
/// not played what is between.
fn played(seconds: &[Second]) -> f64 {
    let steps = seconds.windows(2).map(|pair| pair[1].time - pair[0].time);
    steps.map(|step| if step < 0.0 { 0.0 } else { step.min(CATCH_UP_S) }).sum()
}

/// What a player may play within a second of ours, after it was late.
const CATCH_UP_S: f64 = 2.0;

/// Seconds that the time stood still at most, after it had begun.
fn longest_halt(seconds: &[Second]) -> usize {
    let begun: Vec<&Second> = seconds.iter().skip_while(|s| s.time <= 0.0).collect();
    let (mut longest, mut halt) = (0, 0);
    for pair in begun.windows(2) {
        halt = if pair[1].time > pair[0].time { 0 } else { halt + 1 };
        longest = longest.max(halt);
    }
    longest
}

/// ffmpeg that decodes all it gets.
pub struct Ffmpeg {
    running: Running,
    progress: String,
}

impl Ffmpeg {
    pub fn start(url: &str, scratch: &Scratch) -> Self {
        let progress = scratch.join("ffmpeg-progress");
        let mut command = Command::new("ffmpeg");
        // Who says nothing is waited for: it may have lost its power.
        command.args(["-v", "error", "-nostdin", "-rw_timeout", "30000000"]);
        command.args(["-i", url, "-progress", &progress]);
        command.args(["-f", "null", "-"]);
        Self { running: Running::start("ffmpeg", &mut command, &scratch.join("ffmpeg")), progress }
    }
}

impl Player for Ffmpeg {
    fn name(&self) -> &'static str {
        "ffmpeg"
    }

    fn verdict(mut self: Box<Self>, least: f64) -> Result<String, String> {
        if let Some(status) = self.running.ended() {
            return Err(format!("ended by itself, {status}: {}", self.running.text()));
        }
        self.running.signal("INT");
        self.running.finish(Duration::from_secs(10));
        let text = std::fs::read_to_string(&self.progress).unwrap_or_default();
        let frames = text.lines().rev().find_map(|line| line.strip_prefix("frame=")).unwrap_or("0");
        let frames: f64 = frames.trim().parse().unwrap_or(0.0);
        let said = self.running.text();
        let what = format!("{frames} frames; it said: {}", said.lines().count());
        if frames / 25.0 < least {
            return Err(format!("less than {least:.1} s of 25 frames; {what}\n{said}"));
        }
        Ok(what)
    }
}
