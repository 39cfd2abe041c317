//! RTMPT: the bytes of an RTMP connection in the bodies of HTTP requests.
//!
//! The client asks, always: `/open/1` names a session, `/send/ID/N` carries its bytes, `/idle/ID/N`
//! asks for the server's, `/close/ID/N` ends it. Each answer but the first begins with a byte that
//! says how long to wait before the next `idle`. `session` is the server's side of one session,
//! `client` the other; neither holds a payload byte, and HTTP itself is not known here beyond the
//! path.
//! Source: the protocol as servers and players speak it; Adobe never published it.

pub mod client;
pub mod session;

use core::fmt;

/// Media type of every body.
pub const CONTENT_TYPE: &str = "application/x-fcs";

/// Name of a session: random, so that nobody can guess his way into another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl SessionId {
    /// Characters of a name.
    pub const CHARS: usize = 16;

    /// The name that `text` is; `None` if we never gave one like it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ours = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != Self::CHARS || !text.bytes().all(ours) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

/// What a request wants of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To give bytes and take bytes.
    Send,
    /// To take bytes.
    Idle,
    /// To end it.
    Close,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A new session.
    Open,
    /// Something of a session; `None` when no session can have this name.
    Session {
        /// What.
        verb: Verb,
        /// Whose.
        id: Option<SessionId>,
        /// Number of the request in its session.
        number: u32,
    },
}

impl Call {
    /// Reads a path; `None` if it is none of the tunnel's.
    ///
    /// # Errors
    /// `TunnelError::Path` when it begins like one.
    pub fn parse(path: &str) -> Result<Option<Self>, TunnelError> {
        let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
        let verb = match parts.next() {
            Some("open") => return Ok(Some(Self::Open)),
            Some("send") => Verb::Send,
            Some("idle") => Verb::Idle,
            Some("close") => Verb::Close,
            _ => return Ok(None),
        };
        let (Some(id), Some(number), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TunnelError::Path);
        };
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits).ok_or(TunnelError::Path)?;
        Ok(Some(Self::Session { verb, id: SessionId::parse(id), number }))
    }
}

/// Why a request, or an answer, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TunnelError {
    // Malformed.
    /// A path that begins like the tunnel's and goes on otherwise.
    #[error("a path of the tunnel is a verb, a session and a number: /send/ID/0")]
    Path,
    /// An answer that is no HTTP head, or lacks what it must say.
    #[error("the answer is no HTTP with a Content-Length: nothing there speaks RTMPT")]
    Answer,
    // Misbehaved.
    /// Requests are missing, or come from before the last one.
    #[error("request {seen} of a session is out of order: {expected} is the next")]
    Sequence {
        /// Its number.
        seen: u32,
        /// The number that would be right.
        expected: u32,
    },
    /// Another status than 200.
    #[error("status {code}: the session is gone there, or nothing speaks RTMPT")]
    Status {
        /// The status.
        code: u16,
    },
    // Unsupported.
    /// A connection that does not stay.
    #[error("the server ends the connection after an answer: a tunnel needs one that stays")]
    Ended,
    // Exhausted.
    /// A body beyond the bound.
    #[error("a body of {bytes} bytes, at most {max} are taken: send fewer packets at once")]
    Body {
        /// Its length.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// The head of an answer, or the name of a session in it, beyond the bound.
    #[error("the answer's head, or the session's name, is longer than {max} bytes")]
    Head {
        /// The bound.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn path_is_a_verb_a_session_and_a_number() {
        let id = SessionId(0x12ab);
        let call = |verb, number| Ok(Some(Call::Session { verb, id: Some(id), number }));
        assert_eq!(Call::parse("/open/1"), Ok(Some(Call::Open)));
        assert_eq!(Call::parse("/send/00000000000012ab/0"), call(Verb::Send, 0));
        assert_eq!(Call::parse("/idle/00000000000012ab/7"), call(Verb::Idle, 7));
        assert_eq!(Call::parse("/close/00000000000012ab/4294967295"), call(Verb::Close, u32::MAX));
        for path in ["/", "/fcs/ident2", "/hls/send/x/1", "/sending/x/1", "send/x/1"] {
            assert_eq!(Call::parse(path), Ok(None), "{path}");
        }
        for path in ["/send", "/send/x", "/send/x/", "/send/x/+1", "/send/x/4294967296"] {
            assert_eq!(Call::parse(path), Err(TunnelError::Path), "{path}");
        }
        for name in ["x", "12ab", "00000000000012AB", "+0000000000012ab"] {
            let nobody = Call::Session { verb: Verb::Send, id: None, number: 1 };
            assert_eq!(Call::parse(&format!("/send/{name}/1")), Ok(Some(nobody)));
        }
    }

    proptest! {
        #[test]
        fn name_of_a_session_reads_back(id: u64) {
            let text = SessionId(id).to_string();
            prop_assert_eq!(SessionId::parse(&text), Some(SessionId(id)));
        }

        #[test]
        fn path_never_panics(path in "/?(open|send|idle|close)?[/0-9a-f]{0,40}.{0,4}") {
            let _call = Call::parse(&path);
        }
    }
}
