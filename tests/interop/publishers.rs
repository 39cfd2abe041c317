//! Who publishes: how each is started, and by which schemes it cannot.

use std::process::Command;

use crate::schemes::{Route, Scheme};
use crate::support::peers::{self, Nginx};
use crate::support::process::{Running, Scratch};
use crate::support::rillcast::BINARY;
use crate::support::{flv, media};

/// Seconds that each publishes: a segment, players that start slowly on a busy machine, and what
/// they play.
pub const SECONDS: u32 = 10;

/// A way to be started.
pub struct Publisher {
    pub name: &'static str,
    /// Whether its video is HEVC in Enhanced RTMP; H.264 otherwise.
    pub enhanced: bool,
    /// `Err` says why it cannot publish by a scheme.
    pub can: fn(&Scheme) -> Result<(), &'static str>,
    /// Publishes and writes the truth to a file.
    pub start: fn(&Route, &str, &Scratch) -> Sender,
}

/// A publisher that runs, with what it needs beside itself.
pub struct Sender {
    pub running: Running,
    _nginx: Option<Nginx>,
}

impl From<Running> for Sender {
    fn from(running: Running) -> Self {
        Self { running, _nginx: None }
    }
}

/// The schemes without RTMPE.
pub const PLAIN: [&str; 4] = ["rtmp", "rtmpt", "rtmps", "rtmpts"];
pub const GSTREAMER_TWO: &str = "GStreamer's rtmp2 elements know rtmp and rtmps alone";

pub const PUBLISHERS: &[Publisher] = &[
    Publisher {
        name: "ffmpeg",
        enhanced: false,
        can: |_| Ok(()),
        start: |route, truth, scratch| {
            let url = route.signed_url();
            peers::ffmpeg(&media::plain(SECONDS), &url, truth, &log(scratch)).into()
        },
    },
    Publisher {
        name: "GStreamer rtmp2sink",
        enhanced: false,
        can: |scheme| {
            scheme.only(&["rtmp", "rtmps"], GSTREAMER_TWO)?;
            scheme.signs_in(&["adobe"], "GStreamer's rtmp2sink signs in by Adobe's way alone")
        },
        start: |route, truth, scratch| gstreamer(&route.rtmp2("rtmp2sink", true), truth, scratch),
    },
    Publisher {
        name: "librtmp (rtmpsink)",
        enhanced: false,
        can: |scheme| {
            let reason = "Debian's librtmp breaks its own memory when it signs in by Adobe's way";
            scheme.signs_in(&["llnw"], reason)
        },
        start: |route, truth, scratch| gstreamer(&route.librtmp("rtmpsink", true), truth, scratch),
    },
    Publisher {
        name: "nginx-rtmp push",
        enhanced: false,
        can: |scheme| {
            scheme.only(&["rtmp"], "nginx-rtmp pushes by rtmp alone")?;
            scheme.signs_in(&[], "nginx-rtmp does not sign in where it pushes")
        },
        start: |route, truth, scratch| {
            let nginx = Nginx::start(scratch, &format!("push {};", route.url()));
            let own = format!("rtmp://{}/live/cam", nginx.rtmp);
            let running = peers::ffmpeg(&media::plain(SECONDS), &own, truth, &log(scratch));
            Sender { running, _nginx: Some(nginx) }
        },
    },
    Publisher {
        name: "rillcast push",
        enhanced: false,
        can: |_| Ok(()),
        start: |route, truth, scratch| {
            let file = media::plain(SECONDS);
            std::fs::copy(&file, truth).unwrap();
            let mut command = Command::new(BINARY);
            command.args(["push", &file, &route.signed_url()]).args(&route.trust);
            Running::start("rillcast push", &mut command, &log(scratch)).into()
        },
    },
    Publisher {
        name: "PyAV, HEVC",
        enhanced: true,
        can: pyav,
        start: |route, truth, scratch| {
            let arguments = ["publish", &media::hevc(SECONDS), &route.signed_url(), truth];
            peers::pyav(&arguments, &log(scratch)).into()
        },
    },
];

/// Whether PyAV knows a scheme.
pub fn pyav(scheme: &Scheme) -> Result<(), &'static str> {
    scheme.only(&PLAIN, "the ffmpeg in PyAV is built without RTMPE")?;
    if scheme.url != "rtmpts" {
        return Ok(());
    }
    Err("the ffmpeg in PyAV ends RTMPTS behind its own first request; Debian's older one does not")
}

fn gstreamer(sink: &[String], truth: &str, scratch: &Scratch) -> Sender {
    let sink: Vec<&str> = sink.iter().map(String::as_str).collect();
    peers::gstreamer_to(&sink, &media::plain(SECONDS), truth, &log(scratch)).into()
}

fn log(scratch: &Scratch) -> String {
    scratch.join("publisher.log")
}

/// What a publisher wrote of what it sent.
pub fn truth(path: &str) -> Result<Vec<flv::Tag>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("truth: {error}"))?;
    flv::read(flv::whole(&bytes))
}
