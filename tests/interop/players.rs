//! Who plays: how each is started, what it records, and what it cannot play.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::compare::Recorded;
use crate::publishers::{self, GSTREAMER_TWO, PLAIN, Publisher};
use crate::schemes::{Route, Scheme};
use crate::support::peers;
use crate::support::process::{self, Running, Scratch};
use crate::support::rillcast::{BINARY, Rillcast};
use crate::support::{flv, http, outside};

/// What each plays of the stream.
const PLAYED: Duration = Duration::from_millis(3_200);

/// How long one may take to write its first byte.
const START_MAX: Duration = Duration::from_secs(9);

pub struct Player {
    pub name: &'static str,
    /// `Err` says why it cannot play what this publisher sends by this scheme.
    pub can: fn(&Scheme, &Publisher) -> Result<(), &'static str>,
    /// Plays for some seconds.
    pub play: fn(&Seat<'_>) -> Result<Recorded, String>,
}

/// What a player is told.
pub struct Seat<'a> {
    /// Of the stream.
    pub route: &'a Route,
    /// Of the playlist.
    pub playlist: &'a str,
    pub http: SocketAddr,
    pub scratch: &'a Scratch,
    /// A name for its files.
    pub name: String,
}

const AS_BY_RTMP: &str = "as by rtmp: HLS does not know how the stream came";
const OLD_FFMPEG: &str = "Debian's ffmpeg 5.1 does not read Enhanced RTMP";

pub const PLAYERS: &[Player] = &[
    Player {
        name: "ffmpeg",
        can: |_, publisher| h264(publisher, OLD_FFMPEG),
        play: |seat| {
            let log = seat.file("log");
            seat.records("flv", |file| peers::ffmpeg_player(&seat.route.url(), file, 3, &log))
        },
    },
    Player {
        name: "PyAV",
        can: |scheme, _| publishers::pyav(scheme),
        play: |seat| {
            let log = seat.file("log");
            seat.records("flv", |file| peers::pyav(&["play", &seat.route.url(), file, LIVE], &log))
        },
    },
    Player {
        name: "rtmpdump",
        can: |_, _| Ok(()),
        play: |seat| {
            let log = seat.file("log");
            seat.records("flv", |file| peers::rtmpdump(&seat.route.url(), file, 30, &log))
        },
    },
    Player {
        name: "rtmp2src",
        can: |scheme, _| scheme.only(&["rtmp", "rtmps"], GSTREAMER_TWO),
        play: |seat| gstreamer(seat, &seat.route.rtmp2("rtmp2src", false)),
    },
    Player {
        name: "rtmpsrc",
        can: |_, _| Ok(()),
        play: |seat| gstreamer(seat, &seat.route.librtmp("rtmpsrc", false)),
    },
    Player {
        name: "rillcast pull",
        can: |_, _| Ok(()),
        play: |seat| {
            let log = seat.file("log");
            seat.records("flv", |file| {
                let mut command = Command::new(BINARY);
                command.args(["pull", &seat.route.url(), file]).args(&seat.route.trust);
                Running::start("rillcast pull", &mut command, &log)
            })
        },
    },
    Player {
        name: "VLC",
        can: |scheme, publisher| {
            scheme.only(&PLAIN, "VLC 3 reads RTMP by Debian's ffmpeg, built without RTMPE")?;
            h264(publisher, "VLC 3 reads RTMP by Debian's ffmpeg 5.1, without Enhanced RTMP")
        },
        play: |seat| {
            let log = seat.file("log");
            seat.records("ts", |file| peers::vlc(&seat.route.url(), file, seat.scratch, &log))
        },
    },
    Player {
        name: "HLS: ffprobe",
        can: |_, _| Ok(()),
        play: |seat| {
            let mut command = Command::new("ffprobe");
            command.args(["-v", "error", "-live_start_index", "0", "-read_intervals", "%+3"]);
            command.args(["-show_packets", "-show_data_hash", "adler32"]);
            command.args(["-show_entries", "packet=codec_type,data_hash", "-of", "compact=p=0"]);
            command.arg(seat.playlist);
            let done = process::run("ffprobe", &mut command, Duration::from_secs(20));
            if done.status.success() { Ok(Recorded::Hashes(done.text)) } else { Err(done.text) }
        },
    },
    Player {
        name: "HLS: Chromium",
        can: |scheme, publisher| {
            h264(publisher, "Debian's Chromium has no decoder for HEVC")?;
            if scheme.name == "rtmp" { Ok(()) } else { Err(AS_BY_RTMP) }
        },
        play: |seat| {
            // Chromium begins three segments before the end, and fails where there are fewer.
            let listed = || http::get(seat.http, &Rillcast::playlist_path("cam")).ok();
            process::wait_for("three segments", Duration::from_secs(5), || {
                (listed()?.text().matches("#EXTINF").count() >= 3).then_some(())
            });
            let seconds = outside::chromium_plays(seat.playlist, 4);
            outside::played(&seconds, (320, 240), 1.5).map(Recorded::Said)
        },
    },
];

fn gstreamer(seat: &Seat<'_>, source: &[String]) -> Result<Recorded, String> {
    let (log, source) = (seat.file("log"), source.iter().map(String::as_str).collect::<Vec<_>>());
    seat.records("flv", |file| peers::gstreamer_from(&source, file, &log))
}

const LIVE: &str = "rtmp_live=live";

fn h264(publisher: &Publisher, reason: &'static str) -> Result<(), &'static str> {
    if publisher.enhanced { Err(reason) } else { Ok(()) }
}

impl Seat<'_> {
    fn file(&self, end: &str) -> String {
        self.scratch.join(&format!("{}.{end}", self.name))
    }

    /// Lets a program record for some seconds from the first byte of its file on.
    fn records(
        &self,
        end: &'static str,
        start: impl FnOnce(&str) -> Running,
    ) -> Result<Recorded, String> {
        let file = self.file(end);
        let mut running = start(&file);
        let begun = |path: &str| Path::new(path).metadata().is_ok_and(|file| file.len() > 1000);
        let deadline = Instant::now() + START_MAX;
        while !begun(&file) && running.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let end_at = Instant::now() + PLAYED;
        while running.ended().is_none() && Instant::now() < end_at {
            std::thread::sleep(Duration::from_millis(20));
        }
        running.signal("INT");
        let patience = Instant::now() + Duration::from_secs(4);
        while running.ended().is_none() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = |what: &str| format!("{what}; it said: {}", running.text());
        let bytes = std::fs::read(&file).map_err(|_| said("recorded nothing"))?;
        if end == "ts" {
            return Ok(Recorded::Transport(bytes));
        }
        let tags = flv::read(flv::whole(&bytes)).map_err(|error| said(&error))?;
        Ok(Recorded::Tags(tags))
    }
}
