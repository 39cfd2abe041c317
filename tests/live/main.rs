//! The long proof: a camera that misbehaves as cameras do, and players that nobody reloads.
//!
//! One camera reboots three times, changes its resolution once and loses its sound once; the
//! program is killed and started again; the box loses its tmpfs. All the while hls.js and
//! Chromium's own HLS in a browser, and ffmpeg, play the stream that they opened at the start.
//! `RILLCAST_LIVE_SECONDS` says how long each scenario lasts (45 without it); `scripts/live.sh`
//! takes ten minutes. `cargo test --test live -- --nocapture` prints what each player did.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::pedantic,
    clippy::std_instead_of_core,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "tests: threads, clocks and indexing are theirs; a panic is how they speak"
)]

#[path = "../support/mod.rs"]
mod support;

mod player;

use std::process::Command;
use std::time::{Duration, Instant};

use player::{Browser, Ffmpeg, Player, Way};
use support::media;
use support::process::{self, Running, Scratch};
use support::rillcast;

/// Where everything of a scenario lives.
struct Scene {
    scratch: Scratch,
    rtmp: u16,
    http: u16,
    server: Option<Running>,
    camera: Option<Running>,
    starts: usize,
    began: Instant,
    seconds: u32,
}

impl Scene {
    fn new() -> Self {
        let seconds = std::env::var("RILLCAST_LIVE_SECONDS");
        let seconds = seconds.map_or(45, |text| text.parse().expect("RILLCAST_LIVE_SECONDS"));
        let mut scene = Self {
            scratch: Scratch::new("live"),
            rtmp: process::free_port(),
            http: process::free_port(),
            server: None,
            camera: None,
            starts: 0,
            began: Instant::now(),
            seconds,
        };
        scene.serve();
        scene
    }

    /// Starts the program, on the same ports and folders each time.
    fn serve(&mut self) {
        self.starts += 1;
        let mut command = rillcast::serve(
            &self.scratch,
            self.rtmp,
            self.http,
            &[("hls.segment_ms", "2000"), ("hls.window_segments", "6")],
        );
        let log = self.scratch.join(&format!("serve-{}", self.starts));
        let mut server = Running::start("rillcast", &mut command, &log);
        let end = Instant::now() + Duration::from_secs(10);
        while !process::accepts(([127, 0, 0, 1], self.http).into()) {
            assert!(server.ended().is_none() && Instant::now() < end, "{}", server.text());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.server = Some(server);
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hls/live/cam/index.m3u8", self.http)
    }

    /// Publishes `file` again and again, as a camera in real time, until it is switched off.
    fn camera(&mut self, file: &str) {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", file]);
        // A camera does not hold its pictures back until there is sound.
        command.args(["-c", "copy", "-max_interleave_delta", "100000", "-f", "flv"]);
        command.arg(format!("rtmp://127.0.0.1:{}/live/cam", self.rtmp));
        self.camera = Some(Running::start("camera", &mut command, &self.scratch.join("camera")));
        println!("{:6.1} s  camera sends {file}", self.began.elapsed().as_secs_f64());
    }

    /// The camera's power is cut.
    fn off(&mut self) {
        if let Some(mut camera) = self.camera.take() {
            camera.signal("KILL");
            camera.finish(Duration::from_secs(5));
            println!("{:6.1} s  camera off", self.began.elapsed().as_secs_f64());
        }
    }

    /// Kills the program as nothing but power loss does.
    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.signal("KILL");
            server.finish(Duration::from_secs(5));
            println!("{:6.1} s  program killed", self.began.elapsed().as_secs_f64());
        }
    }

    /// Waits until this part of the scenario's time has passed.
    fn until(&self, part: f64) {
        let end = self.began + Duration::from_secs_f64(f64::from(self.seconds) * part);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    fn wait_playlist(&self) {
        process::wait_for("the playlist", Duration::from_secs(15), || {
            let address = ([127, 0, 0, 1], self.http).into();
            let answer = support::http::get(address, "/hls/live/cam/index.m3u8");
            answer.ok().filter(|answer| answer.text().matches("#EXTINF").count() >= 3).map(|_| ())
        });
    }

    /// Opens the stream in all players.
    fn players(&self) -> Vec<Box<dyn Player>> {
        vec![
            Box::new(Browser::start(Way::HlsJs, &self.url(), self.seconds, &self.scratch)),
            Box::new(Browser::start(Way::Native, &self.url(), self.seconds, &self.scratch)),
            Box::new(Ffmpeg::start(&self.url(), &self.scratch)),
        ]
    }

    /// Judges all players: they play on at the end, and missed no more than `away` seconds and
    /// what each loss may cost.
    fn judge(&mut self, players: Vec<Box<dyn Player>>, losses: u32, away: f64) {
        let mut faults = Vec::new();
        for player in players {
            let name = player.name();
            match player.verdict(f64::from(self.seconds) - away - f64::from(losses) * LOSS_S) {
                Ok(what) => println!("         {name}: {what}"),
                Err(what) => faults.push(format!("{name}: {what}")),
            }
        }
        self.off();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.off();
        self.kill();
    }
}

/// Media time that a player may lose at each change, in seconds: it waits for a segment that is two
/// seconds long, and may jump to what is newer.
const LOSS_S: f64 = 4.0;

/// Seconds that a camera takes to start again.
const REBOOT_S: f64 = 3.0;

#[test]
fn players_play_through_reboots_another_resolution_and_lost_sound() {
    let (small, large) = (media::camera(20), media::camera_large(20));
    let (gap, mute) = (media::camera_losing_sound(30), media::camera_without_sound(20));
    let mut scene = Scene::new();
    scene.camera(&small);
    scene.wait_playlist();
    let players = scene.players();
    let begun = scene.began.elapsed().as_secs_f64();
    scene.began = Instant::now();
    // Each reboot has its share of the time; sound is lost inside a session, and over one.
    for (part, file) in [(0.2, &large), (0.4, &gap), (0.7, &mute)] {
        scene.until(part);
        scene.off();
        std::thread::sleep(Duration::from_secs_f64(REBOOT_S));
        scene.camera(file);
    }
    scene.until(1.0);
    println!("players were opened {begun:.1} s after the program");
    scene.judge(players, 3, 3.0 * REBOOT_S);
}
