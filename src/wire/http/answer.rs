//! The head of an answer that is read, as a client does it.
//!
//! What a body's end and a redirect are told by; other fields are ignored. Reads no body and
//! follows nobody.
//! Source: RFC 1945 §6, RFC 9112 §4, §6, §9.6; RFC 9110 §10.2.2.
//!
//! Quirks: a bare LF ends a line.

use super::{Field, decimal};

/// Why some bytes are no head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Malformed or unsupported: not `HTTP/1.x` and a code of three digits.
    #[error("status line is malformed, or not of HTTP/1")]
    StatusLine,
    /// Malformed: not `name: value`.
    #[error("header field is malformed")]
    Field,
    /// Malformed: a Content-Length that is no number, or two that differ.
    #[error("content-length is no number")]
    Length,
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead<'a> {
    /// Status code.
    pub code: u16,
    /// Content-Length: bytes of the body.
    pub length: Option<u64>,
    /// Location, as sent.
    pub location: Option<&'a [u8]>,
    /// Whether there is a Transfer-Encoding.
    pub is_coded: bool,
    /// Whether the server says that it closes the connection.
    pub is_last: bool,
}

impl<'a> AnswerHead<'a> {
    /// Bytes of the head in front of `bytes`, its empty line included; `None` until it is
    /// whole.
    #[must_use]
    pub fn end(bytes: &[u8]) -> Option<usize> {
        let after =
            |end: &[u8]| bytes.windows(end.len()).position(|w| w == end).map(|at| at + end.len());
        match (after(b"\n\r\n"), after(b"\n\n")) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Parses a whole head.
    ///
    /// # Errors
    /// `AnswerError` as its variants say.
    pub fn parse(head: &'a [u8]) -> Result<Self, AnswerError> {
        let mut lines = head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
        let first = lines.next().and_then(|line| line.strip_prefix(b"HTTP/1."));
        let code = first.and_then(|line| line.get(2..5)).and_then(decimal);
        let code = code.and_then(|code| u16::try_from(code).ok());
        let code = code.ok_or(AnswerError::StatusLine)?;
        let mut said = Self { code, length: None, location: None, is_coded: false, is_last: false };
        for line in lines.filter(|line| !line.is_empty()) {
            let field = Field::parse(line).map_err(|_| AnswerError::Field)?;
            if field.is("content-length") {
                let length = decimal(field.value).ok_or(AnswerError::Length)?;
                if said.length.is_some_and(|seen| seen != length) {
                    return Err(AnswerError::Length);
                }
                said.length = Some(length);
            } else if field.is("location") {
                said.location = Some(field.value);
            } else if field.is("connection") {
                said.is_last = field.value.eq_ignore_ascii_case(b"close");
            } else if field.is("transfer-encoding") {
                said.is_coded = true;
            }
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn head_says_code_length_place_and_end() {
        let bytes = b"HTTP/1.1 302 Found\r\nX: y\r\nLocation: /b \r\nconnection: Close\r\n\
            CONTENT-LENGTH: 12\r\n\r\nbody\n\n";
        let end = AnswerHead::end(bytes).unwrap();
        assert_eq!(&bytes[end..], b"body\n\n");
        let head = AnswerHead::parse(&bytes[..end]).unwrap();
        let location = Some(&b"/b"[..]);
        let said =
            AnswerHead { code: 302, length: Some(12), location, is_coded: false, is_last: true };
        assert_eq!(head, said);
        for split in 0..end {
            assert_eq!(AnswerHead::end(&bytes[..split]), None, "{split}");
        }
        assert_eq!(AnswerHead::end(b"HTTP/1.0 200\n\nx"), Some(14));
        let coded = AnswerHead::parse(b"HTTP/1.0 200\nTransfer-Encoding: chunked\n\n").unwrap();
        assert!(coded.is_coded && coded.length.is_none() && !coded.is_last);
    }

    #[test]
    fn what_is_no_head_is_named() {
        for (bytes, error) in [
            (&b"SSH-2.0\r\n\r\n"[..], AnswerError::StatusLine),
            (b"HTTP/2.0 200 OK\r\n\r\n", AnswerError::StatusLine),
            (b"HTTP/1.1 +20 OK\r\n\r\n", AnswerError::StatusLine),
            (b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", AnswerError::Field),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", AnswerError::Length),
            (
                b"HTTP/1.1 200\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                AnswerError::Length,
            ),
        ] {
            assert_eq!(AnswerHead::parse(bytes), Err(error));
        }
    }

    proptest! {
        #[test]
        fn parsing_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let end = AnswerHead::end(&bytes).unwrap_or(bytes.len());
            let _head = AnswerHead::parse(&bytes[..end]);
        }
    }
}
