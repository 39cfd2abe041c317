//! `check`: follows a live playlist as a client would, and says which rules its server breaks.
//!
//! One fetch at a time over plain HTTP/1.0, on the calling thread, which has nothing else to do;
//! what is to be fetched and what is wrong is `media::history`'s. Reads no https, follows no
//! redirect, keeps no cookie.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};

use crate::limits::{
    CHECK_BODY_BYTES_MAX, CHECK_CONNECT_TIME_MAX, CHECK_HEAD_BYTES_MAX, CHECK_READ_TIME_MAX,
};
use crate::media::cipher::decrypt_segment;
use crate::media::history::{Allowance, Answer, Class, Finding, History, Next, Numbers, Want};
use crate::service::clock;
use crate::storage::widen;
use crate::time::Instant;
use crate::wire::http::{AnswerHead, Field, parse_date};

/// Why there is nothing to check.
#[derive(Debug, thiserror::Error)]
pub enum CheckFault {
    /// Unsupported: not an address of plain HTTP.
    #[error("{0} is not http://…; https is not read, check the server's own port without TLS")]
    NotHttp(String),
    /// Misbehaved: the name leads nowhere.
    #[error("{host}: {cause}; check the name")]
    Name {
        /// Host and port.
        host: String,
        /// What the system says.
        cause: io::Error,
    },
    /// Misbehaved: nothing was ever answered that is a playlist.
    #[error("{url}: no playlist came, the last answer was {status}; check address and port")]
    NoPlaylist {
        /// The address.
        url: String,
        /// HTTP status; 0 where nobody answered.
        status: u16,
    },
    /// The findings cannot be printed.
    #[error("{0}")]
    Output(#[from] io::Error),
}

/// What a watch came to.
#[derive(Debug)]
pub struct Watched {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Further findings, not kept.
    pub more: u64,
    /// How much was seen.
    pub numbers: Numbers,
    /// How long it was watched.
    pub time: Duration,
}

impl Watched {
    /// Whether anything is wrong; what could not be judged is not.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.more == 0 && self.findings.iter().all(|finding| finding.class == Class::Unjudged)
    }
}

/// The summary.
impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = &self.numbers;
        write!(
            f,
            "{} s: {} playlists, {} versions, {} segments of {} bytes, {} fetched again, {} keys; ",
            self.time.as_secs(),
            n.playlists,
            n.versions,
            n.segments,
            n.bytes,
            n.again,
            n.keys,
        )?;
        match widen(self.findings.len()) + self.more {
            0 => write!(f, "no finding"),
            findings => write!(f, "{findings} findings"),
        }
    }
}

/// What a caller of `follow` asks for with each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    On,
    /// Go on; the server was started anew.
    Restarted,
    /// That is enough.
    Enough,
}

/// Watches for `seconds`, prints findings as they come and a summary.
///
/// # Errors
/// `CheckFault`; what was found before was printed.
pub fn check(url: &str, seconds: u32, out: &mut dyn io::Write) -> Result<Watched, CheckFault> {
    let mut printed = 0;
    let mut failed = Ok(());
    let end = clock::now().after(Duration::from_secs(u64::from(seconds)));
    let watched = follow(url, Allowance::default(), &mut |history| {
        for finding in history.findings().iter().skip(printed) {
            printed += 1;
            failed =
                core::mem::replace(&mut failed, Ok(())).and_then(|()| writeln!(out, "{finding}"));
        }
        if failed.is_err() || clock::now() >= end { Step::Enough } else { Step::On }
    })?;
    failed?;
    // What the end of the watch itself brought.
    for finding in watched.findings.iter().skip(printed) {
        writeln!(out, "{finding}")?;
    }
    writeln!(out, "{watched}")?;
    out.flush()?;
    Ok(watched)
}

/// Watches until `step` has enough; it is asked before each fetch and at least ten times a second.
///
/// # Errors
/// `CheckFault`.
pub fn follow(
    url: &str,
    allowance: Allowance,
    step: &mut dyn FnMut(&History) -> Step,
) -> Result<Watched, CheckFault> {
    let start = clock::now();
    let mut history = History::new(url, allowance, Some(decrypt_segment));
    let mut line = Line::new(url)?;
    loop {
        match step(&history) {
            Step::On => {}
            Step::Restarted => history.restarted(clock::now()),
            Step::Enough => break,
        }
        match history.next(clock::now()) {
            Next::Fetch(want) => line.fetch(&want, &mut history)?,
            Next::Wait(until) => {
                let wait = until.since(clock::now()).min(TURN_TIME_MAX);
                std::thread::sleep(wait.max(Duration::from_millis(1)));
            }
        }
    }
    history.finish();
    let numbers = history.numbers();
    if numbers.versions == 0 {
        return Err(CheckFault::NoPlaylist { url: url.to_owned(), status: line.status });
    }
    Ok(Watched {
        findings: history.findings().to_vec(),
        more: history.findings_more(),
        numbers,
        time: clock::now().since(start),
    })
}

/// How long a turn waits at most before its caller is asked again.
const TURN_TIME_MAX: Duration = Duration::from_millis(100);

/// The way to the servers, and the place of what comes back.
struct Line {
    /// The last host that was looked up.
    host: String,
    address: Option<SocketAddr>,
    bytes: Vec<u8>,
    /// The last status.
    status: u16,
}

impl Line {
    fn new(url: &str) -> Result<Self, CheckFault> {
        let mut line = Self { host: String::new(), address: None, bytes: Vec::new(), status: 0 };
        line.look_up(url)?;
        Ok(line)
    }

    /// Fetches and tells the history.
    fn fetch(&mut self, want: &Want, history: &mut History) -> Result<(), CheckFault> {
        let path = self.look_up(&want.url)?;
        let asked = clock::now();
        if self.exchange(&path).is_err() {
            history.refused(want, clock::now());
            return Ok(());
        }
        match self.answer(asked, clock::now()) {
            Some(answer) => {
                let status = answer.status;
                history.answered(want, &answer);
                self.status = status;
            }
            None => history.refused(want, clock::now()),
        }
        Ok(())
    }

    /// The path of an address whose host is known then.
    #[expect(clippy::disallowed_methods, reason = "a command of its own, which waits for all else")]
    fn look_up(&mut self, url: &str) -> Result<String, CheckFault> {
        let not_http = || CheckFault::NotHttp(url.to_owned());
        let rest = url.strip_prefix("http://").ok_or_else(not_http)?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let host = if has_port { host.to_owned() } else { format!("{host}:80") };
        if self.host != host || self.address.is_none() {
            let name = |cause| CheckFault::Name { host: host.clone(), cause };
            let mut found = host.to_socket_addrs().map_err(name)?;
            self.address = found.next();
            self.host = host;
        }
        Ok(path.to_owned())
    }

    /// Sends a request and reads to the end.
    fn exchange(&mut self, path: &str) -> io::Result<()> {
        self.bytes.clear();
        let address = self.address.ok_or(io::ErrorKind::NotFound)?;
        let mut socket = TcpStream::connect_timeout(&address, CHECK_CONNECT_TIME_MAX)?;
        socket.set_read_timeout(Some(CHECK_READ_TIME_MAX))?;
        socket.set_write_timeout(Some(CHECK_READ_TIME_MAX))?;
        let host = &self.host;
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: rillcast-check\r\n\r\n");
        socket.write_all(request.as_bytes())?;
        let most = widen(CHECK_HEAD_BYTES_MAX + CHECK_BODY_BYTES_MAX);
        // A body that was cut off is judged by its length.
        match socket.take(most).read_to_end(&mut self.bytes) {
            Err(error) if self.bytes.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// The answer that was read; none if it is not one.
    fn answer(&self, asked: Instant, now: Instant) -> Option<Answer<'_>> {
        let seen = self.bytes.get(..self.bytes.len().min(CHECK_HEAD_BYTES_MAX))?;
        let end = AnswerHead::end(seen)?;
        let (head, body) = self.bytes.split_at_checked(end)?;
        let parsed = AnswerHead::parse(head).ok()?;
        let field = |name: &str| {
            let mut lines = head.split(|&b| b == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
            lines.find_map(|line| Field::parse(line).ok().filter(|f| f.is(name)))
        };
        let text = |name| field(name).and_then(|f| core::str::from_utf8(f.value).ok());
        let date = |name| field(name).and_then(|f| parse_date(f.value));
        let expires_s = date("expires").zip(date("date")).map(|(e, d)| e.saturating_sub(d));
        Some(Answer {
            asked,
            now,
            status: parsed.code,
            content_type: text("content-type").unwrap_or_default(),
            length: parsed.length,
            expires_s,
            is_coded: text("content-encoding").is_some_and(|coding| coding != "identity"),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> Line {
        Line { host: String::new(), address: None, bytes: bytes.to_vec(), status: 0 }
    }

    #[test]
    fn answers_are_read_with_what_their_head_says() {
        let line = line(
            b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Expires: Sun, 06 Nov 1994 08:50:37 GMT\r\nContent-Type: video/mp2t\r\n\
            Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nbody",
        );
        let answer = line.answer(Instant(0), Instant(1)).unwrap();
        assert_eq!((answer.status, answer.content_type), (200, "video/mp2t"));
        assert_eq!((answer.length, answer.expires_s), (Some(9), Some(60)));
        assert!(answer.is_coded);
        assert_eq!(answer.body, b"body");
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let mut long = b"HTTP/1.0 200 OK\r\nX: ".to_vec();
        long.resize(CHECK_HEAD_BYTES_MAX, b'x');
        long.extend(b"\r\n\r\n");
        for bytes in [&b""[..], b"SSH-2.0-x\r\n\r\n", b"HTTP/1.0 200 OK\r\n", &long] {
            assert!(line(bytes).answer(Instant(0), Instant(0)).is_none());
        }
    }

    #[test]
    fn bodies_are_read_as_far_as_the_largest_slot_reaches() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", server.local_addr().unwrap());
        let sender = std::thread::Builder::new().spawn(move || {
            let (mut socket, _) = server.accept().unwrap();
            let part = vec![b'x'; 1 << 20];
            // The other side closes before all of it was taken.
            while socket.write_all(&part).is_ok() {}
        });
        let mut line = Line::new(&url).unwrap();
        line.exchange("/").unwrap();
        assert_eq!(line.bytes.len(), CHECK_HEAD_BYTES_MAX + CHECK_BODY_BYTES_MAX);
        line.bytes.clear();
        sender.unwrap().join().unwrap();
    }

    #[test]
    fn addresses_are_plain_http_with_a_host_that_is_known() {
        let mut line = line(b"");
        assert_eq!(line.look_up("http://127.0.0.1:8080/a?b").unwrap(), "/a?b");
        assert_eq!(line.host, "127.0.0.1:8080");
        assert_eq!(line.look_up("http://[::1]").unwrap(), "/");
        assert_eq!(line.host, "[::1]:80");
        let error = line.look_up("https://127.0.0.1/").unwrap_err().to_string();
        assert!(error.contains("https is not read"), "{error}");
    }
}
