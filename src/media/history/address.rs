//! Where a URI in a playlist leads, seen from the playlist.
//!
//! Knows no other schemes than http and https, no user information. Source: RFC 3986 §5.2.

use crate::limits::HISTORY_PLACE_BYTES_MAX;

/// The address that `uri` means in the playlist at `base`, without its fragment; `None` if it is
/// of another scheme or too long to be one.
pub(super) fn resolve(base: &str, uri: &str) -> Option<String> {
    let uri = uri.split('#').next().unwrap_or_default();
    if uri.len() > 8 * HISTORY_PLACE_BYTES_MAX {
        return None;
    }
    let (scheme, rest) = base.split_once("://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if has_scheme(uri) {
        let is_web = uri.starts_with("http://") || uri.starts_with("https://");
        return is_web.then(|| uri.to_owned());
    }
    if let Some(rest) = uri.strip_prefix("//") {
        return Some(format!("{scheme}://{rest}"));
    }
    let path = path.split('?').next().unwrap_or("/");
    let folder = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
    let (reference, query) = uri.find('?').map_or((uri, ""), |at| uri.split_at(at));
    let whole = match reference {
        "" => path.to_owned(),
        _ if reference.starts_with('/') => without_dots(reference),
        _ => without_dots(&format!("{folder}{reference}")),
    };
    Some(format!("{scheme}://{authority}{whole}{query}"))
}

/// Whether a URI begins with a scheme (RFC 3986 §3.1).
fn has_scheme(uri: &str) -> bool {
    let Some((scheme, _)) = uri.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// A path without `.` and `..` (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let mut out = String::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    out.truncate(out.rfind('/').unwrap_or(0));
                }
                if is_last {
                    out.push('/');
                }
            }
            _ => {
                out.push('/');
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_resolved_as_rfc_3986_shows() {
        let base = "http://a:80/b/c/d.m3u8?q";
        for (uri, address) in [
            ("g", "http://a:80/b/c/g"),
            ("./g", "http://a:80/b/c/g"),
            ("g/", "http://a:80/b/c/g/"),
            ("/g", "http://a:80/g"),
            ("//g", "http://g"),
            ("?y", "http://a:80/b/c/d.m3u8?y"),
            ("g?y/../x", "http://a:80/b/c/g?y/../x"),
            ("g#s", "http://a:80/b/c/g"),
            ("../g", "http://a:80/b/g"),
            ("../..", "http://a:80/"),
            ("../../../g", "http://a:80/g"),
            ("https://h/i", "https://h/i"),
        ] {
            assert_eq!(resolve(base, uri).as_deref(), Some(address), "{uri}");
        }
        assert_eq!(resolve(base, "skd://key"), None);
        assert_eq!(resolve(base, &"a".repeat(8 * HISTORY_PLACE_BYTES_MAX + 1)), None);
        assert_eq!(resolve("http://a", "g").as_deref(), Some("http://a/g"));
    }
}
