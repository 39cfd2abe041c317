//! The program under test, one per test, on its own ports and its own folder.

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::follow::Follower;
use super::process::{self, Outcome, Running, Scratch};
use super::{media, peers};

pub const BINARY: &str = env!("CARGO_BIN_EXE_rillcast");

/// A running `rillcast serve`.
pub struct Rillcast {
    pub scratch: Scratch,
    pub rtmp: SocketAddr,
    pub http: SocketAddr,
    running: Running,
}

/// `rillcast serve` with everything set that a test needs, not started; used for refusals too.
pub fn serve(scratch: &Scratch, rtmp: u16, http: u16, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("serve");
    let base = [
        ("rtmp.listen", format!("127.0.0.1:{rtmp}")),
        ("http.listen", format!("127.0.0.1:{http}")),
        ("hls.dir", scratch.join("hls")),
        ("state.dir", scratch.join("state")),
        ("hls.segment_ms", "1000".to_owned()),
        ("hls.window_segments", "12".to_owned()),
        ("limits.slot_bytes", (1 << 20).to_string()),
    ];
    for (key, value) in base.iter().filter(|(key, _)| !settings.iter().any(|(k, _)| k == key)) {
        command.args(["--set", &format!("{key}={value}")]);
    }
    for (key, value) in settings {
        command.args(["--set", &format!("{key}={value}")]);
    }
    command
}

/// `rillcast segment`, with segments of a second unless `settings` say otherwise.
pub fn segment(input: &str, output: &str, settings: &[&str]) -> Outcome {
    let mut command = Command::new(BINARY);
    command.args(["segment", input, output, "--set", "hls.segment_ms=1000"]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    process::run("rillcast segment", &mut command, Duration::from_mins(1))
}

/// `command` under a service manager that holds the sockets of `addresses` for it, and starts it
/// again `pause_s` after it has ended.
pub fn held(command: &Command, pause_s: f64, addresses: &[SocketAddr]) -> Command {
    let mut held = Command::new("python3");
    held.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/manager.py"));
    held.arg(pause_s.to_string()).args(addresses.iter().map(SocketAddr::to_string)).arg("--");
    process::around(held, command)
}

/// The id of the program that a service manager started last, and how often it has; `text` is what
/// both have printed.
pub fn started(text: &str) -> (Option<u32>, usize) {
    let mut ids = text.lines().rev().filter_map(|line| line.strip_prefix("started "));
    let times = ids.clone().count();
    (ids.next().and_then(|id| id.parse().ok()), times)
}

impl Rillcast {
    /// Starts with one-second segments and a window of twelve, changed by `settings`.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings, &[])
    }

    /// As [`Self::start`], with further arguments such as `--testcard`.
    pub fn start_with(settings: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::start_under(settings, arguments, &[])
    }

    /// As [`Self::start_with`], with variables of its environment.
    pub fn start_under(
        settings: &[(&str, &str)],
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        let scratch = Scratch::new("rillcast");
        std::fs::create_dir_all(scratch.join("hls")).expect("hls folder");
        let (rtmp, http) = (process::free_port(), process::free_port());
        let mut command = serve(&scratch, rtmp, http, settings);
        command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        let running = Running::start("rillcast", &mut command, &scratch.join("log"));
        let (rtmp, http) =
            (SocketAddr::from(([127, 0, 0, 1], rtmp)), SocketAddr::from(([127, 0, 0, 1], http)));
        let mut rillcast = Self { scratch, rtmp, http, running };
        rillcast.wait();
        rillcast
    }

    /// Ends the program by a signal, lets something happen, and starts it again with `settings` on
    /// the same ports and folders; `life` is for the name of its log.
    pub fn again(
        &mut self,
        signal: &str,
        meanwhile: impl FnOnce(&Scratch),
        settings: &[(&str, &str)],
        life: u32,
    ) {
        self.running.signal(signal);
        self.running.finish(Duration::from_secs(10));
        meanwhile(&self.scratch);
        let mut command = serve(&self.scratch, self.rtmp.port(), self.http.port(), settings);
        let log = self.scratch.join(&format!("log.{life}"));
        self.running = Running::start("rillcast", &mut command, &log);
        self.wait();
    }

    fn wait(&mut self) {
        let Self { rtmp, http, running, .. } = self;
        let end = Instant::now() + Duration::from_secs(10);
        while !process::accepts(*http) || !process::accepts(*rtmp) {
            assert!(running.ended().is_none(), "rillcast did not start:\n{}", running.text());
            assert!(Instant::now() < end, "rillcast opened no ports in 10 s:\n{}", running.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn publish_url(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.rtmp)
    }

    /// A camera at `live/cam` that publishes for half a minute, or until the program goes; `life`
    /// is for the names of its files.
    pub fn camera(&self, life: u32) -> Running {
        self.camera_of(&media::plain(30), life)
    }

    /// The same of what is in this file.
    pub fn camera_of(&self, input: &str, life: u32) -> Running {
        let file = |name: &str| self.scratch.join(&format!("{name}.{life}"));
        let (truth, log) = (file("camera.flv"), file("camera.log"));
        peers::ffmpeg(input, &self.publish_url("cam"), &truth, &log)
    }

    pub fn playlist_path(key: &str) -> String {
        format!("/hls/live/{key}/index.m3u8")
    }

    pub fn playlist_url(&self, key: &str) -> String {
        format!("http://{}{}", self.http, Self::playlist_path(key))
    }

    pub fn follow(&self, key: &str) -> Follower {
        Follower::new(self.http, &Self::playlist_path(key))
    }

    /// The copy of the stream's folder on tmpfs.
    pub fn folder(&self, key: &str) -> std::path::PathBuf {
        self.scratch.path().join("hls/live").join(key)
    }

    pub fn log(&self) -> String {
        self.running.text()
    }

    pub fn signal(&mut self, name: &str) {
        self.running.signal(name);
    }

    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// A counter of `/status.json`.
    pub fn counter(&self, name: &str) -> f64 {
        let answer = super::http::get(self.http, "/status.json").expect("status");
        super::http::json_number(&answer.text(), name)
            .unwrap_or_else(|| panic!("no counter `{name}` in {}", answer.text()))
    }

    /// Lines of the log that hold all the words.
    pub fn lines_with(&self, words: &[&str]) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until a log line holds all the words.
    pub fn wait_line(&self, words: &[&str]) -> String {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(line) = self.lines_with(words).into_iter().next() {
                return line;
            }
            assert!(Instant::now() < end, "no log line with {words:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM; returns the status and how long the end took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.running.signal("TERM");
        let status = self.running.finish(Duration::from_secs(10));
        (status, start.elapsed())
    }
}

impl Drop for Rillcast {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- rillcast said ----\n{}", self.log());
        } else if let Some(status) = self.running.ended() {
            // A crash must not pass as a refusal.
            assert!(status.code().is_some(), "rillcast ended with {status}:\n{}", self.log());
        }
    }
}
