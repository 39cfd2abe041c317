//! Makes a path of a target normal: decoded once, without empty, `.` and `..` parts.
//!
//! A path that is normal already is borrowed as it stands. Climbing above the root is an error,
//! not clamped, so that an attack is seen. Looks nothing up.

use super::RequestError;
use crate::limits::HTTP_PATH_BYTES;

/// Room for a path that has to be decoded.
pub type PathBuffer = heapless::Vec<u8, HTTP_PATH_BYTES>;

/// The normal form of `raw`, which begins with a slash; a slash at the end stays.
pub(super) fn normalise<'a>(
    raw: &'a [u8],
    buffer: &'a mut PathBuffer,
) -> Result<&'a str, RequestError> {
    if raw.len() > HTTP_PATH_BYTES {
        return Err(RequestError::PathTooLong);
    }
    let Some(rest) = raw.strip_prefix(b"/") else {
        return Err(RequestError::Path);
    };
    if is_normal(raw) {
        return core::str::from_utf8(raw).map_err(|_| RequestError::Path);
    }
    buffer.clear();
    let mut open = true;
    for part in rest.split(|&b| b == b'/') {
        let begin = buffer.len();
        push(buffer, b'/')?;
        decode(part, buffer)?;
        let decoded = buffer.get(begin + 1..).unwrap_or_default();
        open = matches!(decoded, b"" | b"." | b"..");
        if decoded == b".." {
            let kept = buffer.get(..begin).unwrap_or_default();
            let parent = kept.iter().rposition(|&b| b == b'/');
            buffer.truncate(parent.ok_or(RequestError::Path)?);
        } else if open {
            buffer.truncate(begin);
        }
    }
    if open {
        push(buffer, b'/')?;
    }
    core::str::from_utf8(buffer).map_err(|_| RequestError::Path)
}

fn is_normal(raw: &[u8]) -> bool {
    let mut before = 0;
    raw.iter().all(|&b| {
        let part_begins = before == b'/';
        before = b;
        b.is_ascii_graphic()
            && !matches!(b, b'%' | b'\\' | b'#')
            && !(part_begins && matches!(b, b'/' | b'.'))
    })
}

fn decode(part: &[u8], buffer: &mut PathBuffer) -> Result<(), RequestError> {
    let mut rest = part;
    loop {
        let (b, tail) = match rest {
            [] => return Ok(()),
            [b'%', high, low, tail @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => return Err(RequestError::Path),
            },
            [b'%', ..] => return Err(RequestError::Path),
            [b, tail @ ..] if b.is_ascii_graphic() && *b != b'#' => (*b, tail),
            _ => return Err(RequestError::Path),
        };
        // A separator must not come out of an escape, nor what ends a string or a line.
        if b.is_ascii_control() || b == b'/' || b == b'\\' {
            return Err(RequestError::Path);
        }
        push(buffer, b)?;
        rest = tail;
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push(buffer: &mut PathBuffer, b: u8) -> Result<(), RequestError> {
    buffer.push(b).map_err(|_| RequestError::PathTooLong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(raw: &[u8]) -> Result<String, RequestError> {
        normalise(raw, &mut PathBuffer::new()).map(str::to_owned)
    }

    #[test]
    fn path_is_decoded_once_and_made_normal() {
        for (raw, want) in [
            ("/a.txt", "/a.txt"),
            ("/", "/"),
            ("//x", "/x"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a//", "/a/"),
            ("/%252e%252e/x", "/%2e%2e/x"),
            ("/c:/x", "/c:/x"),
            ("/k%C3%BCche", "/küche"),
            ("/a/...", "/a/..."),
            ("/.", "/"),
        ] {
            assert_eq!(normal(raw.as_bytes()).as_deref(), Ok(want), "{raw}");
        }
    }

    #[test]
    fn path_that_attacks_is_refused() {
        for raw in [
            &b"/../etc/passwd"[..],
            b"/a/../../b",
            b"/%2e%2e/x",
            b"/..%2fx",
            b"/a%00.ts",
            b"/a%5cb",
            b"\\..\\x",
            b"/a\\b",
            b"/%zz",
            b"/%",
            b"/%2",
            b"/%0d%0aX:y",
            b"/\xff",
            b"/%ff",
            b"/a#b",
        ] {
            assert_eq!(normal(raw), Err(RequestError::Path), "{}", raw.escape_ascii());
        }
        assert_eq!(normal(&[b'/'; 3000]), Err(RequestError::PathTooLong));
    }

    proptest! {
        #[test]
        fn normal_form_never_leaves_the_root_and_is_stable(raw in "/[a.%2eEfF/]{0,40}") {
            if let Ok(path) = normal(raw.as_bytes()) {
                prop_assert!(path.starts_with('/'));
                prop_assert!(!path.split('/').any(|part| part == ".." || part == "."));
                prop_assert!(!path.contains("//"));
            }
        }

        #[test]
        fn normalising_any_bytes_never_panics(
            raw in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = normal(&raw);
        }
    }
}
