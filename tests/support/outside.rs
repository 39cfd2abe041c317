//! Judges that this project did not write: ffmpeg, hls-parser, tshark, Chromium.
//!
//! hls-parser and hls.js come from the npm registry into `target/node` at first use. The browser
//! is the system's; nothing is downloaded for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::{self, Running, Scratch};
use super::serve::Folder;

const MANIFEST: &str = env!("CARGO_MANIFEST_DIR");

fn script(name: &str) -> String {
    format!("{MANIFEST}/tests/support/{name}")
}

/// Decodes everything; returns (video frames, audio present) or what ffmpeg complained of.
pub fn ffmpeg_decodes(input: &str) -> Result<(u64, bool), String> {
    let scratch = Scratch::new("decode");
    let progress = scratch.join("progress");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-xerror", "-err_detect", "explode"]);
    if input.ends_with(".m3u8") {
        command.args(["-live_start_index", "0"]);
    }
    command.args(["-i", input]);
    command.args(["-map", "0", "-progress", &progress, "-f", "null", "-"]);
    let done = process::run("ffmpeg decodes", &mut command, Duration::from_secs(60));
    let complaints: Vec<&str> = done.text.lines().filter(|line| !harmless(line)).collect();
    if !done.status.success() || !complaints.is_empty() {
        return Err(format!("ffmpeg {}: {}", done.status, complaints.join("\n")));
    }
    let text = std::fs::read_to_string(&progress).unwrap_or_default();
    let last = |key: &str| {
        text.lines().rev().find_map(|line| line.strip_prefix(key)).unwrap_or("").trim().to_owned()
    };
    Ok((last("frame=").parse().unwrap_or(0), last("out_time_us=").parse::<i64>().unwrap_or(0) > 0))
}

/// Plays a live playlist from its first segment for some seconds, as a player in the building
/// would.
pub fn ffmpeg_plays(url: &str, seconds: u32) -> Result<(u64, bool), String> {
    let scratch = Scratch::new("play");
    let progress = scratch.join("progress");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-nostdin",
        "-xerror",
        "-live_start_index",
        "0",
        "-i",
        url,
        "-t",
        &seconds.to_string(),
    ]);
    command.args(["-progress", &progress, "-f", "null", "-"]);
    let done =
        process::run("ffmpeg plays", &mut command, Duration::from_secs(u64::from(seconds) + 30));
    if !done.status.success() || !done.text.trim().is_empty() {
        return Err(format!("ffmpeg {}: {}", done.status, done.text));
    }
    let text = std::fs::read_to_string(&progress).unwrap_or_default();
    let frames = text.lines().rev().find_map(|line| line.strip_prefix("frame=")).unwrap_or("0");
    Ok((frames.trim().parse().unwrap_or(0), true))
}

fn harmless(line: &str) -> bool {
    // Of ffmpeg's own options; never of the input.
    line.trim().is_empty() || line.contains("deprecated")
}

/// Width and height of a segment's pictures, as ffprobe says.
pub fn size_of(segment: &[u8]) -> (u32, u32) {
    process::need("ffprobe");
    let scratch = Scratch::new("size");
    let path = scratch.join("one.ts");
    std::fs::write(&path, segment).expect("a file");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-of", "csv=p=0"]);
    command.args(["-show_entries", "stream=width,height", &path]);
    let done = process::run("ffprobe", &mut command, Duration::from_secs(20));
    let line = done.text.lines().next().unwrap_or_default();
    let (width, height) = line.trim_end_matches(',').split_once(',').expect("a size");
    (width.parse().expect("a width"), height.parse().expect("a height"))
}

/// Decodes a series of segments that were received, joined in order.
pub fn ffmpeg_decodes_segments(segments: &[super::follow::Got]) -> Result<(u64, bool), String> {
    let scratch = Scratch::new("segments");
    let all: Vec<u8> = segments.iter().flat_map(|got| got.bytes.iter().copied()).collect();
    let path = scratch.join("all.ts");
    std::fs::write(&path, all).map_err(|e| e.to_string())?;
    ffmpeg_decodes(&path)
}

/// The folder with `node_modules`: hls-parser and hls.js, installed at first use, which takes the
/// internet.
pub fn node_folder() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let folder = PathBuf::from(MANIFEST).join("target/node");
        if !folder.join("node_modules/hls-parser").exists()
            || !folder.join("node_modules/hls.js").exists()
        {
            std::fs::create_dir_all(&folder).expect("node folder");
            let mut command = Command::new("npm");
            command.args([
                "install",
                "--no-audit",
                "--no-fund",
                "--no-save",
                "--ignore-scripts",
                "hls-parser@0.16.1",
                "hls.js@1",
            ]);
            command.current_dir(&folder);
            let done =
                process::run("npm install hls-parser", &mut command, Duration::from_secs(120));
            assert!(done.status.success(), "npm: {}", done.text);
        }
        folder
    })
}

/// hls-parser in strict mode: its summary, or its complaint.
pub fn hls_parser(text: &str) -> Result<String, String> {
    let scratch = Scratch::new("playlist");
    let path = scratch.join("index.m3u8");
    std::fs::write(&path, text).map_err(|e| e.to_string())?;
    let line = format!("exec node {} {} < {path}", script("playlist.mjs"), node_folder().display());
    let done =
        process::run("hls-parser", Command::new("sh").args(["-c", &line]), Duration::from_secs(20));
    let said = done.text.trim().to_owned();
    if done.status.success() && said.starts_with("ok ") { Ok(said) } else { Err(said) }
}

/// What Chromium's video element did, second by second.
#[derive(Clone, Debug, PartialEq)]
pub struct Second {
    pub time: f64,
    pub width: u32,
    pub height: u32,
    pub frames: u64,
    pub audio_bytes: i64,
    pub error: String,
    /// What the page itself has noted, with commas between.
    pub notes: String,
}

/// A browser that opens a page with one video for some seconds.
pub fn browser(page: &str, seconds: u32, profile: &str) -> Command {
    process::need("node");
    process::need("chromium");
    let mut command = Command::new("node");
    command.args([&script("play.mjs"), page, &seconds.to_string(), profile]);
    command
}

/// What such a browser has printed.
pub fn seconds(text: &str) -> Vec<Second> {
    text.lines().filter(|line| line.contains("state=video")).map(second).collect()
}

/// Opens a page with one video for some seconds.
pub fn chromium_page(page: &str, seconds: u32) -> Vec<Second> {
    let scratch = Scratch::new("browser");
    let mut command = browser(page, seconds, &scratch.join("profile"));
    let mut running = Running::start("chromium", &mut command, &scratch.join("log"));
    let status = running.finish(Duration::from_secs(u64::from(seconds) + 60));
    let text = running.text();
    assert!(status.success() && text.contains("end reason=done"), "chromium: {text}");
    self::seconds(&text)
}

fn second(line: &str) -> Second {
    let value = |key: &str| {
        line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).unwrap_or("")
    };
    Second {
        time: value("time").parse().unwrap_or(-1.0),
        width: value("width").parse().unwrap_or(0),
        height: value("height").parse().unwrap_or(0),
        frames: value("frames").parse().unwrap_or(0),
        audio_bytes: value("audio").parse().unwrap_or(-1),
        error: value("error").to_owned(),
        notes: value("notes").to_owned(),
    }
}

/// A folder with `page.html`, which plays a playlist with the browser's own HLS.
pub fn native_page(playlist: &str, folder: &Path) -> PathBuf {
    let video = format!("<!doctype html><body><video src=\"{playlist}\" muted autoplay></video>");
    std::fs::create_dir_all(folder).expect("folder");
    std::fs::write(folder.join("page.html"), video).expect("page");
    folder.to_owned()
}

/// A folder with `page.html`, which plays a playlist with hls.js: media source extensions instead
/// of the browser's own HLS, and the cross-origin headers that they need.
pub fn hls_js_page(playlist: &str, folder: &Path) -> PathBuf {
    hls_js_page_with(playlist, folder, "")
}

/// The same, with a script of the page's own that knows `hls`.
pub fn hls_js_page_with(playlist: &str, folder: &Path, script: &str) -> PathBuf {
    let library = node_folder().join("node_modules/hls.js/dist/hls.min.js");
    std::fs::create_dir_all(folder).expect("folder");
    std::fs::copy(library, folder.join("hls.js")).expect("hls.js");
    let page = format!(
        "<!doctype html><body><video muted autoplay></video><script src=\"hls.js\"></script>\
         <script>const hls = new Hls(); window.notes = [];\
         hls.on(Hls.Events.ERROR, (_, data) => \
         window.notes.push(data.details + (data.fatal ? \"-fatal\" : \"\")));\
         hls.loadSource(\"{playlist}\");\
         hls.attachMedia(document.querySelector(\"video\"));{script}</script>"
    );
    std::fs::write(folder.join("page.html"), page).expect("page");
    folder.to_owned()
}

/// Plays a playlist from a page on another origin, as another machine's page would.
pub fn chromium_plays(playlist: &str, seconds: u32) -> Vec<Second> {
    let scratch = Scratch::new("page");
    let folder = Folder::start(native_page(playlist, scratch.path()));
    chromium_page(&format!("http://{}/page.html", folder.address), seconds)
}

/// The same with hls.js.
pub fn hls_js_plays(playlist: &str, seconds: u32) -> Vec<Second> {
    let scratch = Scratch::new("hlsjs");
    let folder = Folder::start(hls_js_page(playlist, scratch.path()));
    chromium_page(&format!("http://{}/page.html", folder.address), seconds)
}

/// The judgement over what the browser did: no error, right size, time and frames advance.
pub fn played(seconds: &[Second], size: (u32, u32), at_least_s: f64) -> Result<String, String> {
    let last = seconds.last().ok_or("no video element")?;
    let started = seconds.iter().find(|s| s.time > 0.0).map_or(0.0, |s| s.time);
    if last.error != "none" {
        return Err(format!("error {}", last.error));
    }
    if (last.width, last.height) != size {
        return Err(format!("size {}x{}, want {}x{}", last.width, last.height, size.0, size.1));
    }
    let moved = last.time - seconds.first().map_or(0.0, |s| s.time.min(started));
    if last.time - started < at_least_s && moved < at_least_s || last.frames < 10 {
        return Err(format!(
            "time from {started} to {}, {} frames: {seconds:?}",
            last.time, last.frames
        ));
    }
    Ok(format!(
        "chromium: {}x{}, {:.2} s, {} frames, {} audio bytes",
        last.width,
        last.height,
        last.time - started,
        last.frames,
        last.audio_bytes
    ))
}

/// A capture of one TCP port on loopback.
pub struct Capture {
    running: Running,
    file: String,
    port: u16,
    _scratch: Scratch,
}

impl Capture {
    /// Starts to capture and waits until it does.
    pub fn start(port: u16) -> Self {
        process::need("dumpcap");
        let scratch = Scratch::new("capture");
        let file = scratch.join("loopback.pcapng");
        let mut command = Command::new("dumpcap");
        command.args(["-q", "-i", "lo", "-f", &format!("tcp port {port}"), "-w", &file]);
        let running = Running::start("dumpcap", &mut command, &scratch.join("log"));
        process::wait_for("dumpcap", Duration::from_secs(5), || {
            running.text().contains("File:").then_some(())
        });
        std::thread::sleep(Duration::from_millis(300));
        Self { running, file, port, _scratch: scratch }
    }

    /// Ends the capture and dissects it as RTMP: one line per frame of RTMP messages.
    pub fn dissect(mut self) -> Dissected {
        std::thread::sleep(Duration::from_millis(500));
        self.running.signal("INT");
        self.running.finish(Duration::from_secs(5));
        let tshark = |arguments: &[&str]| {
            let mut command = Command::new("tshark");
            command
                .args(["-r", &self.file, "-d", &format!("tcp.port=={},rtmpt", self.port)])
                .args(arguments);
            process::run("tshark", &mut command, Duration::from_secs(60)).text
        };
        Dissected {
            ours: tshark(&[
                "-Y",
                &format!("rtmpt && tcp.srcport=={}", self.port),
                "-O",
                "rtmpt,amf",
            ]),
            summary: tshark(&["-Y", "rtmpt"]),
            malformed: tshark(&["-Y", &format!("_ws.malformed && tcp.srcport=={}", self.port)])
                .lines()
                .filter(|line| !line.contains("Running as user"))
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// What tshark made of a session.
pub struct Dissected {
    /// Details of the frames that came from the port.
    pub ours: String,
    pub summary: String,
    /// Frames from the port that tshark calls malformed.
    pub malformed: Vec<String>,
}
