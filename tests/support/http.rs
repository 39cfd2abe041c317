//! A reader of HTTP/1.0 and 1.1 answers over a plain socket: one request per connection.
//!
//! Does NOT follow redirects or decode transfer codings: the program uses neither.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// One whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GETs a path; the body must be as long as Content-Length says.
pub fn get(address: SocketAddr, path: &str) -> Result<Answer, String> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(2))
        .map_err(|error| format!("connect {address}: {error}"))?;
    // Who asks for a playlist that is expected may be asked to wait.
    socket.set_read_timeout(Some(Duration::from_secs(12))).map_err(|e| e.to_string())?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: e2e\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(|e| format!("send: {e}"))?;
    let mut bytes = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    let mut part = [0_u8; 65536];
    loop {
        let n = socket
            .read(&mut part)
            .map_err(|e| format!("{path}: after {} bytes: {e}", bytes.len()))?;
        if n == 0 {
            break;
        }
        bytes.extend_from_slice(&part[..n]);
        if Instant::now() > end {
            return Err(format!("{path}: still not whole after 20 s, {} bytes", bytes.len()));
        }
    }
    parse(&bytes).map_err(|error| format!("{path}: {error}"))
}

pub fn parse(bytes: &[u8]) -> Result<Answer, String> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no end of head")?;
    let head = core::str::from_utf8(&bytes[..end]).map_err(|_| "head is not text")?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("status line `{first}`"))?;
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
    if let Some(length) = answer.header("content-length")
        && length.parse() != Ok(answer.body.len())
    {
        return Err(format!("Content-Length {length}, body {} bytes", answer.body.len()));
    }
    Ok(answer)
}

/// The number behind `"name":` in a flat JSON text.
pub fn json_number(text: &str, name: &str) -> Option<f64> {
    let key = format!("\"{name}\"");
    let rest = &text[text.find(&key)? + key.len()..];
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find(|c: char| !"+-.eE0123456789".contains(c)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
