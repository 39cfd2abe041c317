//! A building that watches: 400 players of one stream, each with a connection that is kept.
//!
//! A player asks for the playlist once in each target duration and for each segment once, as those
//! of the building do; they begin spread over one. Both servers hand out the same files: this
//! project's program makes them, and nginx serves its folder. Reads what comes and forgets it.

use super::Tools;
use super::flv;
use super::http::{Client, Listed, newest_segment};
use super::process::{Running, cpu_seconds};
use super::rtmp::{Paced, Publisher, pace};
use super::servers::{Bench, Kind, Server, free_port, nginx_serves};
use super::table::{Row, Target};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PLAYERS: usize = 400;

/// Target duration of 2 s segments of 1080p30.
const EACH: Duration = Duration::from_secs(2);

pub(crate) fn crowd(bench: &Bench, _: &Tools) -> Vec<Row> {
    let (rounds, seconds) = if bench.quick { (1, 10) } else { (3, 20) };
    let mut row = Row::new("400 players of one stream", "cpu s/GB", Target::RatioMost(1.0));
    let mut worst = Row::new("400 players, segment taken", "ms", Target::None);
    // More places than players, and memory for more than they are late.
    let settings = ["hls.window_segments=15", "limits.slot_bytes=2097152", "limits.streams=1"];
    let settings = [&settings[..], &["limits.viewers=512"]].concat();
    let server = Server::start_with(bench, Kind::Ours, &settings);
    let front = Front::start(bench, &server.folder.join("hls"));
    let stream = flv::stream(&bench.media.join("a1080.flv"), 5, 4096, 1);
    let publisher = Publisher::connect(server.rtmp, "s0", 4096);
    let mut paced = [Paced::new(publisher, &stream, Duration::ZERO)];
    let length = Duration::from_secs(12 + 2 * rounds * (seconds + 5));
    std::thread::scope(|scope| {
        scope.spawn(|| pace(&mut paced, length));
        let _ = newest_segment(&server, "s0");
        std::thread::sleep(Duration::from_secs(4));
        let alone = alone(&server, seconds / 2);
        for _ in 0..rounds {
            for kind in [Kind::Ours, Kind::Peer] {
                let (pid, to, path) = match kind {
                    Kind::Ours => (server.pid(), server.http, server.playlist("s0")),
                    Kind::Peer => (front.running.pid(), front.http, "/live/s0/index.m3u8".into()),
                };
                let mut crowd = Crowd::gather(to, &path);
                // Until each has been through its first playlist and segments.
                crowd.watch(EACH + EACH / 2);
                let (before, bytes) = (cpu_seconds(pid), crowd.bytes);
                crowd.waits.clear();
                let begin = Instant::now();
                crowd.watch(Duration::from_secs(seconds));
                // What the program spends on the publisher is not the players'.
                let own =
                    if kind == Kind::Ours { alone * begin.elapsed().as_secs_f64() } else { 0.0 };
                let gigabytes = (crowd.bytes - bytes) as f64 / 1e9;
                let cost = (cpu_seconds(pid) - before - own) / gigabytes;
                let slowest = crowd.waits.iter().copied().max().unwrap_or(Duration::MAX);
                let wait = slowest.as_secs_f64() * 1e3;
                match kind {
                    Kind::Ours => (row.ours.push(cost), worst.ours.push(wait)),
                    Kind::Peer => (row.peer.push(cost), worst.peer.push(wait)),
                };
                // Half a megabyte a second for each.
                let expected = 0.5e6 * PLAYERS as f64 * seconds as f64;
                row.complete &= crowd.failed == 0 && gigabytes * 1e9 > 0.8 * expected;
                row.note = format!("{} answers were not 200", crowd.failed);
            }
        }
        row.note = format!(
            "{PLAYERS} kept connections, playlist every 2 s, each segment of 4 Mb/s once; nginx \
             serves the same folder; {:.1} % of a core for the publisher taken off ours; {}",
            alone * 100.0,
            row.note
        );
    });
    vec![row, worst]
}

/// Seconds of processor time a second while nobody watches.
fn alone(server: &Server, seconds: u64) -> f64 {
    let before = cpu_seconds(server.pid());
    std::thread::sleep(Duration::from_secs(seconds));
    (cpu_seconds(server.pid()) - before) / seconds as f64
}

/// nginx for the program's folder, as one who knows it would configure it.
struct Front {
    running: Running,
    http: SocketAddr,
}

impl Front {
    fn start(bench: &Bench, root: &Path) -> Self {
        let (http, folder) = (free_port(), tempfile::tempdir_in(&bench.tmpfs).unwrap().keep());
        let conf = folder.join("nginx.conf");
        fs::write(&conf, configuration(&folder, root, http)).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(conf).arg("-p").arg(&folder).args(["-g", "daemon off;"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running::start(&mut command);
        for _ in 0..1_000 {
            if TcpStream::connect(http).is_ok() {
                return Self { running, http };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("nginx does not listen");
    }
}

fn configuration(folder: &Path, root: &Path, http: SocketAddr) -> String {
    let served = nginx_serves(folder);
    let (folder, root) = (folder.display(), root.display());
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
{served}    server {{
        listen {http} backlog=1024;
        root {root};
        add_header Cache-Control no-cache;
    }}
}}
"
    )
}

/// All players.
struct Crowd {
    list: String,
    players: Vec<Player>,
    /// Bytes of all answers.
    bytes: u64,
    failed: u64,
    /// From asking for a segment to its last byte.
    waits: Vec<Duration>,
}

struct Player {
    socket: TcpStream,
    /// When it asks for the playlist again.
    due: Instant,
    /// Segments that it has been told of.
    seen: u64,
    wanted: VecDeque<String>,
    state: State,
}

enum State {
    Idle,
    Head { text: Vec<u8>, is_list: bool, asked: Instant },
    Body { left: usize, list: Option<Vec<u8>>, asked: Instant },
}

impl Crowd {
    fn gather(to: SocketAddr, list: &str) -> Self {
        let listed = Listed::parse(&Client::new(to).get(list).unwrap());
        let begin = Instant::now();
        let player = |n: usize| {
            let socket = TcpStream::connect(to).unwrap();
            socket.set_nodelay(true).unwrap();
            socket.set_nonblocking(true).unwrap();
            let due = begin + EACH * n as u32 / PLAYERS as u32;
            // Begins with the last three, as players do.
            let seen = listed.ever().saturating_sub(3);
            Player { socket, due, seen, wanted: VecDeque::new(), state: State::Idle }
        };
        let players = (0..PLAYERS).map(player).collect();
        Self { list: list.to_owned(), players, bytes: 0, failed: 0, waits: Vec::new() }
    }

    fn watch(&mut self, length: Duration) {
        let end = Instant::now() + length;
        let mut room = vec![0; 256 << 10];
        while Instant::now() < end {
            let now = Instant::now();
            for player in &mut self.players {
                player.ask(now, &self.list);
            }
            let readable: Vec<usize> = {
                let mut sockets: Vec<PollFd<'_>> = self
                    .players
                    .iter()
                    .map(|player| PollFd::new(player.socket.as_fd(), PollFlags::POLLIN))
                    .collect();
                poll(&mut sockets, PollTimeout::from(5u8)).unwrap();
                let ready = sockets.iter().enumerate();
                ready.filter(|(_, fd)| fd.any() == Some(true)).map(|(n, _)| n).collect()
            };
            for n in readable {
                self.read(n, &mut room);
            }
        }
    }

    /// Takes what has come for a player.
    fn read(&mut self, n: usize, room: &mut [u8]) {
        let player = &mut self.players[n];
        let mut bytes = match player.socket.read(room) {
            Ok(0) => panic!("the server ends a kept connection"),
            Ok(count) => &room[..count],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("a player's connection: {error}"),
        };
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            match std::mem::replace(&mut player.state, State::Idle) {
                State::Idle => panic!("an answer that nobody asked for"),
                State::Head { mut text, is_list, asked } => {
                    let before = text.len();
                    text.extend_from_slice(bytes);
                    let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
                        player.state = State::Head { text, is_list, asked };
                        return;
                    };
                    bytes = &bytes[end + 4 - before..];
                    let head = String::from_utf8_lossy(&text[..end]).to_ascii_lowercase();
                    self.failed += u64::from(!head.starts_with("http/1.1 200"));
                    let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
                    let left = length.unwrap().trim().parse().unwrap();
                    player.state = State::Body { left, list: is_list.then(Vec::new), asked };
                }
                State::Body { left, mut list, asked } => {
                    let (these, rest) = bytes.split_at(left.min(bytes.len()));
                    if let Some(list) = &mut list {
                        list.extend_from_slice(these);
                    }
                    bytes = rest;
                    if these.len() < left {
                        player.state = State::Body { left: left - these.len(), list, asked };
                    } else if let Some(list) = list {
                        player.listed(&self.list, &list);
                    } else {
                        self.waits.push(asked.elapsed());
                    }
                }
            }
        }
    }
}

impl Player {
    /// Asks for what is due, if it waits for nothing.
    fn ask(&mut self, now: Instant, list: &str) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        let (path, is_list) = match self.wanted.pop_front() {
            Some(segment) => (segment, false),
            None if self.due <= now => {
                self.due += EACH;
                (list.to_owned(), true)
            }
            None => return,
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: box\r\n\r\n");
        self.socket.write_all(request.as_bytes()).unwrap();
        self.state = State::Head { text: Vec::new(), is_list, asked: now };
    }

    /// Wants what is new in a playlist.
    fn listed(&mut self, path: &str, text: &[u8]) {
        let listed = Listed::parse(text);
        let folder = &path[..=path.rfind('/').unwrap()];
        for (number, name) in (listed.first..).zip(&listed.segments) {
            if number >= self.seen {
                self.wanted.push_back(format!("{folder}{name}"));
            }
        }
        self.seen = self.seen.max(listed.ever());
    }
}
