//! The player that an upstream may ask about: fetched from a web server, to be hashed.
//!
//! One GET over HTTP/1.0, whose answer ends with the connection or at its Content-Length; redirects
//! are followed. An https server is believed as the upstream is. The file goes through one buffer
//! and is not kept.
//! Source: ffmpeg-protocols, "`rtmp_swfverify`"; RFC 1945 §5, §7.2.2; RFC 9110 §15.4.
//!
//! Quirks: an address is read as that of a tunnel, which has the same parts and ports.

use super::lookup::Peer;
use super::reason::Reason;
use super::{dial, is_pause, peer};
use crate::limits::{
    PLAYER_HEAD_BYTES_MAX, PLAYER_REDIRECTS_MAX, PLAYER_TIME_MAX, PLAYER_WINDOW_BYTES,
    UPSTREAM_CONNECT_TIME_MAX,
};
use crate::proto::rtmp::client::Swf;
use crate::proto::rtmp::swf::{SWF_FILE_BYTES, SwfError, SwfFile};
use crate::service::link::Link;
use crate::service::reactor::Reactor;
use crate::service::tls::{TlsError, Trust};
use crate::storage::widen;
use crate::wire::http::{AnswerError, AnswerHead};
use crate::wire::rtmp::url::{Scheme, Url, UrlError, resolve};
use core::fmt;
use smol::future;
use std::io::{self, Read as _, Write as _};
use std::rc::Rc;

/// Why there is no player.
#[derive(thiserror::Error)]
pub enum PlayerFault {
    /// Malformed, and ours: the address.
    #[error("address is not like http://host/player.swf")]
    Address,
    /// Malformed: a part of the address, or of the one that we are sent to.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// No way there, or the connection broke.
    #[error("web server cannot be reached: {0}; check address and port")]
    Io(#[from] io::Error),
    /// The web server or its name server is silent.
    #[error("web server does not answer within {} s", UPSTREAM_CONNECT_TIME_MAX.as_secs())]
    Unreached,
    /// Misbehaved: no TLS where there should be.
    #[error("web server does not speak TLS on this port: use http://, or its port for https://")]
    NoTls,
    /// Its name, or whom we do not believe.
    #[error(transparent)]
    Dial(Box<Reason>),
    /// Misbehaved: it is too slow.
    #[error("file has not come within {} s: give rtmp_swfhash and rtmp_swfsize instead",
        PLAYER_TIME_MAX.as_secs())]
    Slow,
    /// Malformed: what is answered.
    #[error("answer of the web server is not HTTP: {0}")]
    Answer(#[from] AnswerError),
    /// Exhausted: the answer's head.
    #[error("head of the web server's answer is longer than {max} bytes")]
    Head {
        /// The limit.
        max: usize,
    },
    /// Unsupported: an answer without the file.
    #[error("web server answers with status {code}: is the file there?")]
    Status {
        /// Its code.
        code: u16,
    },
    /// Unsupported: a body in chunks, which nobody answers to HTTP/1.0.
    #[error("web server sends the file in a transfer coding, which was not asked for")]
    Coded,
    /// Misbehaved: the connection ends before the answer does.
    #[error("web server ended the connection in the middle of its answer")]
    Cut,
    /// Misbehaved: sent on and on.
    #[error("web server sends us elsewhere more than {max} times")]
    Redirects {
        /// The limit.
        max: usize,
    },
    /// Misbehaved: sent from https to http.
    #[error("web server sends us from https to http, where nobody vouches for the file")]
    Downgrade,
    /// What came is no player.
    #[error(transparent)]
    File(#[from] SwfError),
}

/// The words: names beside them would cost each board's flash, and nobody reads them.
impl fmt::Debug for PlayerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Reason> for PlayerFault {
    fn from(reason: Reason) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "others say what is wrong by themselves"
        )]
        match reason {
            Reason::Connect(error) | Reason::Io(error) => Self::Io(error),
            Reason::Unreached | Reason::TlsSilent => Self::Unreached,
            Reason::Tls(TlsError::NoTlsServer) => Self::NoTls,
            reason => Self::Dial(Box::new(reason)),
        }
    }
}

/// What a GET came to.
enum Got {
    Player(Swf),
    /// It is there.
    Elsewhere(String),
}

/// Whether `address` is one that a player can be fetched from.
///
/// # Errors
/// What is wrong with it.
pub fn check(address: &str) -> Result<(), PlayerFault> {
    Url::parse(&disguised(address)?)?;
    Ok(())
}

/// Memory that is taken while the player of `address` is fetched, in bytes.
#[must_use]
pub fn bytes(address: &str) -> usize {
    let url = disguised(address).unwrap_or_default();
    let way = Url::parse(&url).map_or(0, |url| dial::below_bytes(url.scheme));
    way + SWF_FILE_BYTES + PLAYER_HEAD_BYTES_MAX
}

/// Hash and size of the player at `address`, within `PLAYER_TIME_MAX`.
///
/// # Errors
/// Why there is none.
pub async fn fetch(
    reactor: &Rc<Reactor>,
    address: &str,
    trust: &Trust,
) -> Result<Swf, PlayerFault> {
    let patience = async {
        reactor.sleep(PLAYER_TIME_MAX).await;
        Err(PlayerFault::Slow)
    };
    future::or(follow(reactor, address, trust), patience).await
}

async fn follow(reactor: &Rc<Reactor>, address: &str, trust: &Trust) -> Result<Swf, PlayerFault> {
    let mut here = disguised(address)?;
    for _ in 0..=PLAYER_REDIRECTS_MAX {
        let url = Url::parse(&here)?;
        match get(reactor, &url, trust).await? {
            Got::Player(swf) => return Ok(swf),
            Got::Elsewhere(next) => here = next,
        }
    }
    Err(PlayerFault::Redirects { max: PLAYER_REDIRECTS_MAX })
}

/// Where `location` is, said by the server of `here`.
fn onward(here: &Url<'_>, location: &str) -> Result<String, PlayerFault> {
    // One that is relative has no scheme to be disguised.
    let next = disguised(location);
    let next = resolve(here, next.as_deref().unwrap_or(location))?;
    if here.scheme.is_tls() && !Url::parse(&next)?.scheme.is_tls() {
        return Err(PlayerFault::Downgrade);
    }
    Ok(next.as_str().to_owned())
}

async fn get(reactor: &Rc<Reactor>, url: &Url<'_>, trust: &Trust) -> Result<Got, PlayerFault> {
    let peer = peer(url);
    let link = dial::carry(reactor, &peer, trust).await?;
    send(&link, &request(url, &peer)).await?;
    let mut room = vec![0; PLAYER_HEAD_BYTES_MAX];
    let mut have = 0;
    let end = loop {
        let came = room.get_mut(have..).unwrap_or_default();
        if came.is_empty() {
            return Err(PlayerFault::Head { max: PLAYER_HEAD_BYTES_MAX });
        }
        match receive(&link, came).await? {
            0 => return Err(PlayerFault::Cut),
            bytes => have += bytes,
        }
        let came = room.get(..have).unwrap_or_default();
        if let Some(end) = AnswerHead::end(came) {
            break end;
        }
    };
    let head = AnswerHead::parse(room.get(..end).unwrap_or_default())?;
    if let (301 | 302 | 303 | 307 | 308, Some(location)) = (head.code, head.location) {
        let location = core::str::from_utf8(location).map_err(|_| PlayerFault::Address)?;
        return onward(url, location).map(Got::Elsewhere);
    }
    if head.code != 200 {
        return Err(PlayerFault::Status { code: head.code });
    }
    if head.is_coded {
        return Err(PlayerFault::Coded);
    }
    let length = head.length;
    read_file(&link, length, &mut room, end..have).await.map(Got::Player)
}

/// Reads a body of `length` bytes, if that is said, of which `came` is in `room`.
async fn read_file(
    link: &Link,
    length: Option<u64>,
    room: &mut [u8],
    came: core::ops::Range<usize>,
) -> Result<Swf, PlayerFault> {
    let mut left = length.unwrap_or(u64::MAX);
    let mut file = Box::new(SwfFile::new(vec![0; PLAYER_WINDOW_BYTES].into()));
    let mut part = came;
    loop {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let mut bytes = room.get(part).unwrap_or_default();
        bytes = bytes.get(..most).unwrap_or(bytes);
        left -= widen(bytes.len());
        loop {
            let progress = file.advance(bytes)?;
            bytes = bytes.get(progress.consumed..).unwrap_or_default();
            if bytes.is_empty() && !progress.has_more {
                break;
            }
            future::yield_now().await;
        }
        if left == 0 {
            break;
        }
        part = 0..receive(link, room).await?;
        if part.is_empty() && length.is_some() {
            return Err(PlayerFault::Cut);
        }
        if part.is_empty() {
            break;
        }
    }
    Ok(file.finish()?)
}

fn request(url: &Url<'_>, peer: &Peer) -> String {
    // A target without a path is a query alone (RFC 9112 §3.2.1).
    let slash = if url.target.starts_with('/') { "" } else { "/" };
    let (target, host) = (url.target, dial::host(peer));
    format!(
        "GET {slash}{target} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: rillcast\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
}

async fn send(mut link: &Link, text: &str) -> io::Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match link.write(left) {
            Ok(bytes) => left = left.get(bytes..).unwrap_or_default(),
            Err(error) if is_pause(&error) => link.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Bytes read into `room`; 0 at the end.
async fn receive(mut link: &Link, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match link.read(room) {
            Err(error) if is_pause(&error) => link.readable().await?,
            read => return read,
        }
    }
}

/// The same address of a tunnel.
fn disguised(address: &str) -> Result<String, PlayerFault> {
    let (scheme, rest) = address.split_once(':').ok_or(PlayerFault::Address)?;
    let scheme = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Scheme::Rtmpt,
        _ if scheme.eq_ignore_ascii_case("https") => Scheme::Rtmpts,
        _ => return Err(PlayerFault::Address),
    };
    Ok(format!("{}:{rest}", scheme.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const EMPTY: &[u8] = b"FWS\x09\x08\0\0\0";

    /// What comes of a fetch from a server that answers one connection after another; `PORT` in an
    /// answer is its port.
    #[expect(clippy::disallowed_methods, reason = "a peer of its own")]
    fn fetched(answers: Vec<Vec<u8>>) -> (Result<Swf, PlayerFault>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut peer, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    peer.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                asked.push(String::from_utf8(request).unwrap());
                // It may know enough before the end.
                let _sent = peer.write_all(&answer);
            }
            asked
        });
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let address = format!("http://127.0.0.1:{port}/a/v.swf?x=1");
        let got = reactor.run(async move { fetch(&tasks, &address, &Trust::Roots).await }).unwrap();
        (got, server.join().unwrap())
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [head.as_bytes(), b"\r\n\r\n", body].concat()
    }

    fn fault(head: &str, body: &[u8]) -> PlayerFault {
        fetched(vec![answer(head, body)]).0.unwrap_err()
    }

    #[test]
    fn player_is_asked_for_once_and_ends_with_its_length_or_the_connection() {
        let (got, asked) = fetched(vec![answer("HTTP/1.0 200 OK", EMPTY)]);
        let swf = got.unwrap();
        assert_eq!(swf.bytes, 8);
        assert!(asked[0].starts_with("GET /a/v.swf?x=1 HTTP/1.0\r\nHost: 127.0.0.1:"), "{asked:?}");
        let sized = answer("HTTP/1.1 200 OK\r\nContent-Length: 8", &[EMPTY, b"next"].concat());
        assert_eq!(fetched(vec![sized]).0.unwrap(), swf);
        let cut = fault("HTTP/1.1 200 OK\r\nContent-Length: 9", EMPTY);
        assert!(matches!(cut, PlayerFault::Cut), "{cut}");
        let short = fault("HTTP/1.1 200 OK", &EMPTY[..7]);
        assert!(matches!(short, PlayerFault::File(SwfError::Signature)), "{short}");
        let empty = fault("HTTP/1.1 200 OK\r\nContent-Length: 0", b"");
        assert!(matches!(empty, PlayerFault::File(SwfError::Signature)), "{empty}");
    }

    #[test]
    fn redirects_are_followed_up_to_their_number() {
        let to = |place: &str| answer(&format!("HTTP/1.1 302 Found\r\nLocation: {place}"), b"");
        let mut way: Vec<_> = ["/b", "c?y", "../d"].map(to).into();
        assert_eq!(way.len(), PLAYER_REDIRECTS_MAX);
        way.push(answer("HTTP/1.1 200 OK", EMPTY));
        let (got, asked) = fetched(way);
        got.unwrap();
        let targets: Vec<_> = asked.iter().map(|text| text.split(' ').nth(1).unwrap()).collect();
        assert_eq!(targets, ["/a/v.swf?x=1", "/b", "/c?y", "/d"]);
        let (got, _) = fetched(vec![to("/b"); PLAYER_REDIRECTS_MAX + 1]);
        assert!(matches!(got, Err(PlayerFault::Redirects { max: PLAYER_REDIRECTS_MAX })));
        let (got, _) = fetched(vec![to("ftp://host/x")]);
        assert!(matches!(got, Err(PlayerFault::Url(_))), "{got:?}");
    }

    #[test]
    fn answers_without_a_player_have_their_words() {
        let gone = fault("HTTP/1.1 404 Not Found\r\nContent-Length: 2", b"no");
        assert!(matches!(gone, PlayerFault::Status { code: 404 }), "{gone}");
        let chunks = fault("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"8\r\n");
        assert!(matches!(chunks, PlayerFault::Coded), "{chunks}");
        let page = fault("HTTP/1.1 200 OK", b"<html></html>");
        assert!(matches!(page, PlayerFault::File(SwfError::Signature)), "{page}");
        let other = fault("SSH-2.0", b"");
        assert!(matches!(other, PlayerFault::Answer(AnswerError::StatusLine)), "{other}");
        let silent = fetched(vec![b"HTTP/1.0 200".to_vec()]).0.unwrap_err();
        assert!(matches!(silent, PlayerFault::Cut), "{silent}");
        let mut head = "HTTP/1.0 200 OK\r\nX: ".to_owned();
        let left = PLAYER_HEAD_BYTES_MAX - head.len() - 4;
        head.push_str(&"x".repeat(left));
        assert!(fetched(vec![answer(&head, EMPTY)]).0.is_ok());
        head.push('x');
        let long = fault(&head, b"");
        assert!(matches!(long, PlayerFault::Head { max: PLAYER_HEAD_BYTES_MAX }), "{long}");
    }

    #[test]
    fn https_is_tls_and_never_goes_on_by_http() {
        let to = |place: &str| answer(&format!("HTTP/1.1 302 Found\r\nLocation: {place}"), b"");
        #[expect(clippy::disallowed_methods, reason = "a peer of its own")]
        let deaf = |answer: &'static [u8]| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let place = format!("https://{}/", listener.local_addr().unwrap());
            std::thread::spawn(move || {
                let _sent = listener.accept().unwrap().0.write_all(answer);
            });
            place
        };
        let (got, _) = fetched(vec![to(&deaf(b"HTTP/1.0 400 Bad Request\r\n\r\n"))]);
        assert!(matches!(got, Err(PlayerFault::NoTls)), "{got:?}");
        let (got, _) = fetched(vec![to("https://no.such.host.invalid/")]);
        assert!(matches!(got, Err(PlayerFault::Dial(_))), "{got:?}");
        let here = Url::parse("rtmpts://a/b").unwrap();
        assert!(matches!(onward(&here, "http://a/b"), Err(PlayerFault::Downgrade)));
        assert_eq!(onward(&here, "/c").unwrap(), "rtmpts://a/c");
        assert_eq!(onward(&here, "HTTPS://c:1/").unwrap(), "rtmpts://c:1/");
    }

    #[test]
    fn addresses_are_of_http_and_https() {
        for address in ["http://h/x.swf", "HTTPS://h", "http://[::1]:81/?x", "https://h:1/a b"] {
            assert_eq!(check(address).is_ok(), !address.contains(' '), "{address}");
        }
        for address in ["", "h/x.swf", "ftp://h/x", "rtmpt://h/x"] {
            assert!(matches!(check(address), Err(PlayerFault::Address)), "{address}");
        }
        assert!(check("http:/x").is_err() && check("http://").is_err());
        assert!(bytes("https://h/") > bytes("http://h/"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a peer of its own")]
    fn web_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            io::copy(&mut peer, &mut io::sink()).ok();
        });
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let start = crate::service::clock::now();
        let got = reactor.run(async move { fetch(&tasks, &address, &Trust::Roots).await }).unwrap();
        assert!(matches!(got, Err(PlayerFault::Slow)), "{got:?}");
        assert!(crate::service::clock::now().since(start) >= PLAYER_TIME_MAX);
        server.join().unwrap();
    }
}
