//! The players' side: fetches playlists and segments, and floods with `wrk`.

use super::servers::Server;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A connection that is kept open while the server keeps it.
pub(crate) struct Client {
    to: SocketAddr,
    socket: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) const fn new(to: SocketAddr) -> Self {
        Self { to, socket: None }
    }

    /// Body of a 200; `None` for any other answer.
    pub(crate) fn get(&mut self, path: &str) -> Option<Vec<u8>> {
        let mut socket = if let Some(socket) = self.socket.take() {
            socket
        } else {
            let socket = TcpStream::connect(self.to).ok()?;
            socket.set_nodelay(true).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            BufReader::with_capacity(64 << 10, socket)
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.to);
        socket.get_mut().write_all(request.as_bytes()).ok()?;
        let mut line = String::new();
        socket.read_line(&mut line).ok()?;
        let code = line.split_whitespace().nth(1)?.to_owned();
        let mut kept = line.starts_with("HTTP/1.1");
        let mut length = None;
        loop {
            line.clear();
            socket.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_ascii_lowercase());
            match name.as_str() {
                "content-length" => length = value.parse().ok(),
                "connection" => kept = value == "keep-alive",
                _ => {}
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                socket.read_exact(&mut body).ok()?;
            }
            None => drop(socket.read_to_end(&mut body).ok()?),
        }
        self.socket = (kept && length.is_some()).then_some(socket);
        (code == "200").then_some(body)
    }
}

/// What a media playlist lists.
pub(crate) struct Listed {
    pub(crate) first: u64,
    pub(crate) segments: Vec<String>,
    pub(crate) seconds: f64,
}

impl Listed {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut listed = Self { first: 0, segments: Vec::new(), seconds: 0.0 };
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                listed.first = number.trim().parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("#EXTINF:") {
                listed.seconds += rest.split(',').next().unwrap().parse::<f64>().unwrap();
            } else if !line.is_empty() && !line.starts_with('#') {
                listed.segments.push(line.to_owned());
            }
        }
        listed
    }

    /// Segments listed so far, those that left included.
    pub(crate) fn ever(&self) -> u64 {
        self.first + self.segments.len() as u64
    }
}

/// Path of the newest listed segment, and its bytes.
pub(crate) fn newest_segment(server: &Server, name: &str) -> (String, usize) {
    let playlist = server.playlist(name);
    let mut client = Client::new(server.http);
    for _ in 0..100 {
        if let Some(text) = client.get(&playlist) {
            let listed = Listed::parse(&text);
            if let (Some(segment), 3..) = (listed.segments.last(), listed.segments.len()) {
                let folder = &playlist[..=playlist.rfind('/').unwrap()];
                let path = format!("{folder}{segment}");
                let bytes = client.get(&path).expect("a listed segment is not there").len();
                return (path, bytes);
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{:?} lists no segments: {}", server.kind, server.log());
}

/// What `wrk` counted.
pub(crate) struct Flood {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Its line about errors, empty without.
    pub(crate) errors: String,
}

/// Asks for one path over 100 connections without pause.
pub(crate) fn flood(to: SocketAddr, path: &str, kept: bool, seconds: u32, folder: &Path) -> Flood {
    let version = if kept { "1.1" } else { "1.0" };
    let script = folder.join("request.lua");
    let lua = format!(
        "local r = \"GET {path} HTTP/{version}\\r\\nHost: {to}\\r\\n\\r\\n\"\n\
         request = function() return r end\n"
    );
    std::fs::write(&script, lua).unwrap();
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c100", &format!("-d{seconds}s"), "-s"]).arg(&script);
    let output = command.arg(format!("http://{to}/")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains(" requests in ")).unwrap_or_default();
    let requests = line.split_whitespace().next().and_then(|n| n.parse().ok());
    let is_error = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
    Flood {
        requests: requests.unwrap_or_else(|| panic!("wrk says: {text}")),
        seconds: f64::from(seconds),
        errors: text.lines().filter(is_error).map(str::trim).collect::<Vec<_>>().join("; "),
    }
}
