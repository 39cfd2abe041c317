//! Programs of others that publish and play RTMP: ffmpeg, GStreamer, librtmp, nginx-rtmp, VLC,
//! PyAV.
//!
//! Each publisher writes what it sends into a file as well, the truth; each player writes what it
//! gets. Does NOT judge: who starts them compares the files.

use std::net::SocketAddr;
use std::process::Command;

use super::pip;
use super::process::{self, Running, Scratch};

/// nginx with its RTMP module, in a folder of its own.
pub struct Nginx {
    pub rtmp: SocketAddr,
    _running: Running,
}

impl Nginx {
    /// Starts with application `live`, whose streams are recorded in the folder.
    pub fn recording(scratch: &Scratch) -> Self {
        let folder = scratch.path().display();
        Self::start(scratch, &format!("record all; record_path {folder}; record_unique off;"))
    }

    /// Starts with application `live` and the given directives in it.
    pub fn start(scratch: &Scratch, directives: &str) -> Self {
        let rtmp = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let configuration = format!(
            "rtmp {{ server {{ listen {rtmp}; chunk_size 4096; access_log off;\n\
             application live {{ live on; {directives} }} }} }}\n"
        );
        let running = process::nginx(scratch, &configuration, rtmp);
        Self { rtmp, _running: running }
    }
}

/// Debian's ffmpeg, or the newer one where the URL asks for RTMPE.
fn ffmpeg_for(url: &str) -> Command {
    let encrypted = url.starts_with("rtmpe:") || url.starts_with("rtmpte:");
    if encrypted { Command::new(pip::ffmpeg()) } else { Command::new("ffmpeg") }
}

/// ffmpeg copies a file to a URL in real time, and to `truth`.
pub fn ffmpeg(input: &str, url: &str, truth: &str, log: &str) -> Running {
    let mut command = ffmpeg_for(url);
    command.args([
        "-v", "warning", "-nostdin", "-re", "-i", input, "-c", "copy", "-map", "0", "-f", "tee",
    ]);
    command.arg(format!("[f=flv]{truth}|[f=flv:flvflags=no_duration_filesize]{url}"));
    Running::start("ffmpeg", &mut command, log)
}

/// GStreamer does the same with one of its two sinks: `rtmp2sink` (its own) or `rtmpsink`
/// (librtmp); properties may stand behind.
pub fn gstreamer(sink: &str, input: &str, url: &str, truth: &str, log: &str) -> Running {
    let location = format!("location={url}");
    let sink: Vec<&str> = sink.split(' ').chain([location.as_str()]).collect();
    gstreamer_to(&sink, input, truth, log)
}

/// As [`gstreamer`], with a sink and its properties as they stand.
pub fn gstreamer_to(sink: &[&str], input: &str, truth: &str, log: &str) -> Running {
    process::need("gst-launch-1.0");
    let source = format!(
        "-e filesrc location={input} ! flvdemux name=d flvmux name=m streamable=true ! tee name=t \
         t. ! queue !"
    );
    let file = format!(
        "t. ! queue ! filesink location={truth} \
         d.video ! queue ! h264parse ! identity sync=true ! m. \
         d.audio ! queue ! aacparse ! identity sync=true ! m."
    );
    let mut command = Command::new("gst-launch-1.0");
    command.args(source.split_whitespace()).args(sink).args(file.split_whitespace());
    Running::start("gst-launch-1.0", &mut command, log)
}

/// A publisher: input, URL, truth, log.
pub type Publisher = fn(&str, &str, &str, &str) -> Running;

pub const PUBLISHERS: [(&str, Publisher); 3] = [
    ("ffmpeg", ffmpeg),
    ("gstreamer rtmp2sink", |i, u, t, l| gstreamer("rtmp2sink", i, u, t, l)),
    ("librtmp (rtmpsink)", |i, u, t, l| gstreamer("rtmpsink", i, u, t, l)),
];

/// ffmpeg records so many seconds of a live stream.
pub fn ffmpeg_player(url: &str, file: &str, seconds: u32, log: &str) -> Running {
    let mut command = ffmpeg_for(url);
    command.args(["-v", "warning", "-nostdin", "-y", "-rtmp_live", "live", "-i", url]);
    command.args(["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-t", &seconds.to_string()]);
    command.args(["-f", "flv", file]);
    Running::start("ffmpeg player", &mut command, log)
}

pub fn rtmpdump(url: &str, file: &str, seconds: u32, log: &str) -> Running {
    process::need("rtmpdump");
    let mut command = Command::new("rtmpdump");
    command.args(["-q", "-v", "-r", url, "-B", &seconds.to_string(), "-o", file]);
    Running::start("rtmpdump", &mut command, log)
}

/// GStreamer records with one of its two sources: `rtmp2src` (its own) or `rtmpsrc` (librtmp).
pub fn gstreamer_player(source: &str, url: &str, file: &str, log: &str) -> Running {
    process::need("gst-launch-1.0");
    // librtmp takes options behind the URL; without `live=1` it asks for a recording first.
    let location = if source == "rtmpsrc" { format!("{url} live=1") } else { url.to_owned() };
    gstreamer_from(&[source, &format!("location={location}")], file, log)
}

/// As [`gstreamer_player`], with a source and its properties as they stand.
pub fn gstreamer_from(source: &[&str], file: &str, log: &str) -> Running {
    process::need("gst-launch-1.0");
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-e", "-q"]).args(source).args(["!", "filesink"]);
    command.arg(format!("location={file}"));
    Running::start("gst-launch-1.0 player", &mut command, log)
}

/// VLC records what it plays as a transport stream. It refuses to run as root, so that root
/// becomes nobody for it.
pub fn vlc(url: &str, file: &str, scratch: &Scratch, log: &str) -> Running {
    process::need("cvlc");
    let mut command = if nix::unistd::geteuid().is_root() {
        process::need("setpriv");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "cvlc"]);
        command
    } else {
        Command::new("cvlc")
    };
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(scratch.path(), open).expect("a folder that nobody may write to");
    command.env("HOME", scratch.path()).env("XDG_RUNTIME_DIR", scratch.path());
    command.args(["--no-color", "--play-and-exit", "--network-caching=300"]);
    command.args(["--sout", &format!("#std{{access=file,mux=ts,dst={file}}}"), url]);
    Running::start("cvlc", &mut command, log)
}

/// PyAV (an ffmpeg newer than Debian's, which knows Enhanced RTMP), run by its script:
/// `publish INPUT URL TRUTH` or `play URL FILE`.
pub fn pyav(arguments: &[&str], log: &str) -> Running {
    let mut command = Command::new(pip::folder().join("bin/python"));
    command.arg(format!("{}/tests/support/pyav.py", env!("CARGO_MANIFEST_DIR"))).args(arguments);
    Running::start("PyAV", &mut command, log)
}
