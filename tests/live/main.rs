//! The long proof: a camera that misbehaves as cameras do, and players that nobody reloads.
//!
//! One camera reboots three times, changes its resolution once and loses its sound once. In the
//! second scenario the program is killed besides, and started again; in the third the whole box
//! reboots: its tmpfs is empty, and its clock is in 1970 for a while. All the while hls.js and
//! Chromium's own HLS in a browser, and ffmpeg, play the stream that they opened at the start, and
//! the history checker holds every version and segment against the rules.
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

mod network;
mod player;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::rillcast::media::history::Allowance;
use network::{BOX, Cable};
use player::{Browser, Ffmpeg, Player, Way};
use support::board::Board;
use support::hls_history::{self, Watch};
use support::media;
use support::process::{self, Running, Scratch};
use support::rillcast;

/// Where everything of a scenario lives.
struct Scene {
    scratch: Scratch,
    board: Board,
    cable: Cable,
    /// Segments in the window.
    window: &'static str,
    server: Option<Running>,
    camera: Option<Running>,
    starts: usize,
    began: Instant,
    seconds: u32,
}

/// Players decode in real time: one scenario after the other.
static STAGE: Mutex<()> = Mutex::new(());

impl Scene {
    fn new(window: &'static str) -> Self {
        let seconds = std::env::var("RILLCAST_LIVE_SECONDS");
        let seconds = seconds.map_or(45, |text| text.parse().expect("RILLCAST_LIVE_SECONDS"));
        let scratch = Scratch::new("live");
        let mut scene = Self {
            board: Board::new(true, 0),
            cable: Cable::lay(&scratch),
            window,
            scratch,
            server: None,
            camera: None,
            starts: 0,
            began: Instant::now(),
            seconds,
        };
        scene.serve();
        scene
    }

    /// Starts the program on the box, with the same folders each time, and waits until it serves.
    fn serve(&mut self) {
        self.starts += 1;
        let settings = [
            ("rtmp.listen", "0.0.0.0:1935"),
            ("http.listen", "0.0.0.0:8080"),
            ("hls.segment_ms", "2000"),
            ("hls.window_segments", self.window),
        ];
        let mut command = rillcast::serve(&self.scratch, 1935, 8080, &settings);
        command.envs(self.board.environment());
        let ports = [1935, 8080].map(|port| (Ipv4Addr::UNSPECIFIED, port).into());
        let command = rillcast::held(&command, Outage::Kill.seconds(), &ports);
        let log = self.scratch.join(&format!("serve-{}", self.starts));
        self.server = Some(Running::start("rillcast", &mut self.cable.within(&command), &log));
        self.wait_program(1);
    }

    /// Waits until the program serves for the `times`th time since the box has power.
    fn wait_program(&self, times: usize) {
        process::wait_for("the program", Duration::from_secs(10), || {
            let text = self.server.as_ref()?.text();
            (text.matches("watch at http://").count() == times).then_some(())
        });
    }

    fn url(&self) -> String {
        format!("http://{}:8080/hls/live/cam/index.m3u8", Ipv4Addr::from(BOX))
    }

    /// Publishes `file` again and again, as a camera in real time, until it is switched off.
    fn camera(&mut self, file: &str) {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", file]);
        // A camera does not hold its pictures back until there is sound.
        command.args(["-c", "copy", "-max_interleave_delta", "100000", "-f", "flv"]);
        command.arg(format!("rtmp://{}/live/cam", Ipv4Addr::from(BOX)));
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

    /// Nothing of the box runs any more, its service manager neither.
    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.signal("KILL");
            server.finish(Duration::from_secs(5));
        }
    }

    /// Something happens to the program or to the whole box, and ends the camera's session.
    fn interrupt(&mut self, outage: Outage) {
        println!("{:6.1} s  {outage:?}", self.began.elapsed().as_secs_f64());
        match outage {
            Outage::None => return,
            Outage::Kill => {
                let text = self.server.as_ref().expect("a program").text();
                process::kill(rillcast::started(&text).0.expect("its id"));
                self.off();
                self.wait_program(2);
            }
            Outage::Reboot => {
                self.cable.unplug();
                self.stop();
                self.off();
                std::fs::remove_dir_all(self.scratch.join("hls")).expect("the tmpfs");
                self.board.set_1970();
                self.cable.reboot();
                std::thread::sleep(Duration::from_secs_f64(outage.seconds()));
                self.serve();
                self.cable.plug();
            }
        }
        println!("{:6.1} s  program is back", self.began.elapsed().as_secs_f64());
    }

    /// Waits until this part of the scenario's time has passed.
    fn until(&self, part: f64) {
        let end = self.began + Duration::from_secs_f64(f64::from(self.seconds) * part);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    fn wait_playlist(&self) {
        process::wait_for("the playlist", Duration::from_secs(15), || {
            let answer = support::http::get((BOX, 8080).into(), "/hls/live/cam/index.m3u8");
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
        self.stop();
    }
}

/// Media time that a player may lose at each change, in seconds: it waits for a segment that is two
/// seconds long, and may jump to what is newer.
const LOSS_S: f64 = 4.0;

/// Seconds that a camera takes to start again.
const REBOOT_S: f64 = 3.0;

/// What happens to the program in the middle of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    None,
    /// It is killed. What looks after it holds its ports and starts it again.
    Kill,
    /// The power of the box fails.
    Reboot,
}

impl Outage {
    /// Segments in the window. hls.js forgets a playlist that is older than it was long, and with
    /// it the way to a next one whose numbers do not follow: the window outlasts the reboot.
    const fn window(self) -> &'static str {
        match self {
            Self::None | Self::Kill => "6",
            Self::Reboot => "12",
        }
    }

    /// How long nobody answers, in seconds.
    const fn seconds(self) -> f64 {
        match self {
            Self::None => 0.0,
            // What the service manager waits before it starts the program again.
            Self::Kill => 1.0,
            Self::Reboot => 8.0,
        }
    }
}

/// The camera's day, with `outage` in the middle of it.
fn play_through(outage: Outage) {
    let (small, large) = (media::camera(20), media::camera_large(20));
    let (gap, mute) = (media::camera_losing_sound(30), media::camera_without_sound(20));
    let mut scene = Scene::new(outage.window());
    scene.camera(&small);
    scene.wait_playlist();
    let players = scene.players();
    // The window waits while the camera is away, as it is set to.
    let restart = outage != Outage::None;
    let allowance = Allowance { stale: true, restart, ..Allowance::default() };
    let watch = Watch::start(&scene.url(), allowance);
    let begun = scene.began.elapsed().as_secs_f64();
    scene.began = Instant::now();
    // Each reboot has its share of the time; sound is lost inside a session, and over one.
    for (part, file) in [(0.2, &large), (0.4, &gap), (0.7, &mute)] {
        scene.until(part);
        if part == 0.4 && outage != Outage::None {
            scene.interrupt(outage);
        }
        scene.off();
        std::thread::sleep(Duration::from_secs_f64(REBOOT_S));
        scene.camera(file);
    }
    scene.until(0.85);
    // By now the box has asked somebody.
    scene.board.set(true, 0);
    scene.until(1.0);
    let watched = watch.stop();
    println!("         checker: {watched}");
    println!("players were opened {begun:.1} s after the program");
    scene.judge(players, 3, 3.0 * REBOOT_S + outage.seconds());
    hls_history::assert_clean(&watched);
}

/// The same in a network of its own, after those before.
fn alone(test: &str, outage: Outage) {
    let _stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    if network::is_inside(test) {
        play_through(outage);
    }
}

#[test]
fn players_play_through_reboots_another_resolution_and_lost_sound() {
    alone("players_play_through_reboots_another_resolution_and_lost_sound", Outage::None);
}

#[test]
fn players_play_through_a_program_that_is_killed() {
    alone("players_play_through_a_program_that_is_killed", Outage::Kill);
}

#[test]
fn players_play_through_a_box_that_reboots_in_1970() {
    alone("players_play_through_a_box_that_reboots_in_1970", Outage::Reboot);
}
