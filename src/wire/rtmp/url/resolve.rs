//! Relative references: the tcUrl of a redirect or a reconnect request, against the current one.
//!
//! Userinfo and fragment of both are dropped: the result is a tcUrl. Whether a server may send us
//! elsewhere, or from TLS to plain TCP, is the caller's to decide.
//! Source: RFC 3986 §5.2; Enhanced RTMP 2 "Reconnect Request".

use super::encoded::text;
use super::{Text, Url, UrlError};
use crate::limits::URL_BYTES_MAX;

/// The URL that `reference` means at `base`: absolute, `//host/app`, `/app`, `app`, `?query`.
///
/// # Errors
/// The reference or the result is no RTMP URL or too long.
pub fn resolve(base: &Url<'_>, reference: &str) -> Result<Text, UrlError> {
    let len = reference.len();
    if len > URL_BYTES_MAX {
        return Err(UrlError::TooLong { len, max: URL_BYTES_MAX });
    }
    let (reference, _) = reference.split_once('#').unwrap_or((reference, ""));
    let mut result = Text::new();
    if has_scheme(reference) {
        write_absolute(&mut result, &Url::parse(reference)?)?;
    } else if reference.starts_with("//") {
        let whole = text(format_args!("{}:{reference}", base.scheme.name()))?;
        write_absolute(&mut result, &Url::parse(&whole)?)?;
    } else {
        write_origin(&mut result, base)?;
        write_relative(&mut result, base, reference)?;
    }
    Url::parse(&result)?;
    Ok(result)
}

fn write_absolute(result: &mut Text, url: &Url<'_>) -> Result<(), UrlError> {
    write_origin(result, url)?;
    if let Some(path) = url.path().strip_prefix('/') {
        write_path(result, "", path)?;
    }
    write_query(result, url.query())
}

fn write_relative(result: &mut Text, base: &Url<'_>, reference: &str) -> Result<(), UrlError> {
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    if path.is_empty() {
        push(result, base.path())?;
        return write_query(result, query.or(base.query()));
    }
    let folder = match base.path().rsplit_once('/') {
        _ if path.starts_with('/') => "",
        Some((folder, _)) => folder,
        None => "",
    };
    write_path(result, folder, path.strip_prefix('/').unwrap_or(path))?;
    write_query(result, query)
}

/// Scheme and authority.
fn write_origin(result: &mut Text, url: &Url<'_>) -> Result<(), UrlError> {
    for piece in [url.scheme.name(), "://", url.authority] {
        push(result, piece)?;
    }
    Ok(())
}

fn write_query(result: &mut Text, query: Option<&str>) -> Result<(), UrlError> {
    let Some(query) = query else {
        return Ok(());
    };
    push(result, "?")?;
    push(result, query)
}

/// Writes `folder`, a slash and `path`, without dot segments (RFC 3986 §5.2.4).
fn write_path(result: &mut Text, folder: &str, path: &str) -> Result<(), UrlError> {
    let root = result.len();
    let folders = folder.split('/').skip(1);
    let mut segments = folders.chain(path.split('/')).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            ".." => {
                let written = result.get(root..).unwrap_or_default();
                result.truncate(root + written.rfind('/').unwrap_or(0));
            }
            "." => {}
            _ => {
                push(result, "/")?;
                push(result, segment)?;
                continue;
            }
        }
        if is_last {
            push(result, "/")?;
        }
    }
    Ok(())
}

fn push(result: &mut Text, piece: &str) -> Result<(), UrlError> {
    let len = result.len() + piece.len();
    result.push_str(piece).map_err(|_| UrlError::TooLong { len, max: URL_BYTES_MAX })
}

/// Whether a colon comes before anything that cannot stand in a scheme (RFC 3986 §3.1).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolved(base: &str, reference: &str) -> Result<String, UrlError> {
        resolve(&Url::parse(base).unwrap(), reference).map(|text| text.as_str().to_owned())
    }

    #[test]
    fn references_resolve_as_rfc_3986_says() {
        // RFC 3986 §5.4, with our scheme and without the fragments.
        for (reference, want) in [
            ("g", "rtmp://a/b/c/g"),
            ("./g", "rtmp://a/b/c/g"),
            ("g/", "rtmp://a/b/c/g/"),
            ("/g", "rtmp://a/g"),
            ("//g", "rtmp://g"),
            ("?y", "rtmp://a/b/c/d;p?y"),
            ("g?y", "rtmp://a/b/c/g?y"),
            ("#s", "rtmp://a/b/c/d;p?q"),
            ("g#s", "rtmp://a/b/c/g"),
            (";x", "rtmp://a/b/c/;x"),
            ("", "rtmp://a/b/c/d;p?q"),
            (".", "rtmp://a/b/c/"),
            ("./", "rtmp://a/b/c/"),
            ("..", "rtmp://a/b/"),
            ("../", "rtmp://a/b/"),
            ("../g", "rtmp://a/b/g"),
            ("../..", "rtmp://a/"),
            ("../../", "rtmp://a/"),
            ("../../g", "rtmp://a/g"),
            ("../../../g", "rtmp://a/g"),
            ("../../../../g", "rtmp://a/g"),
            ("/./g", "rtmp://a/g"),
            ("/../g", "rtmp://a/g"),
            ("g.", "rtmp://a/b/c/g."),
            (".g", "rtmp://a/b/c/.g"),
            ("g..", "rtmp://a/b/c/g.."),
            ("..g", "rtmp://a/b/c/..g"),
            ("./../g", "rtmp://a/b/g"),
            ("./g/.", "rtmp://a/b/c/g/"),
            ("g/./h", "rtmp://a/b/c/g/h"),
            ("g/../h", "rtmp://a/b/c/h"),
            ("g;x=1/./y", "rtmp://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "rtmp://a/b/c/y"),
            ("g?y/./x", "rtmp://a/b/c/g?y/./x"),
            ("g?y/../x", "rtmp://a/b/c/g?y/../x"),
        ] {
            assert_eq!(resolved("rtmp://a/b/c/d;p?q", reference).unwrap(), want, "{reference}");
        }
        assert_eq!(resolved("rtmp://a/b", "g:h"), Err(UrlError::Scheme));
    }

    #[test]
    fn servers_send_their_clients_elsewhere() {
        let base = "rtmps://u:p@[::1]:1943/live/inst?tok=1#key";
        for (reference, want) in [
            ("//other.example/app", "rtmps://other.example/app"),
            ("//other.example", "rtmps://other.example"),
            ("/app?x=1", "rtmps://[::1]:1943/app?x=1"),
            ("app", "rtmps://[::1]:1943/live/app"),
            ("", "rtmps://[::1]:1943/live/inst?tok=1"),
            ("rtmp://v@h:/app/../b#x", "rtmp://h:/b"),
            ("RTMP://h", "rtmp://h"),
        ] {
            assert_eq!(resolved(base, reference).unwrap(), want, "{reference}");
        }
        assert_eq!(resolved("rtmp://h", "app").unwrap(), "rtmp://h/app");
        assert_eq!(resolved("rtmp://h?x", "").unwrap(), "rtmp://h?x");
        assert_eq!(resolved(base, "http://h/"), Err(UrlError::Scheme));
        assert_eq!(resolved(base, "///app"), Err(UrlError::NoHost));
        assert!(matches!(resolved(base, "/a b"), Err(UrlError::Character { .. })));
    }

    #[test]
    fn results_are_bounded() {
        let (base, max) = ("rtmp://h/live", URL_BYTES_MAX);
        let room = max - "rtmp://h".len();
        let long = |n| format!("/{}", "x".repeat(n - 1));
        assert_eq!(resolved(base, &long(room)).unwrap().len(), max);
        let error = UrlError::TooLong { len: max + 1, max };
        assert_eq!(resolved(base, &long(room + 1)), Err(error));
        assert_eq!(resolved(base, &long(max + 1)), Err(error));
    }

    proptest! {
        #[test]
        fn results_are_clean_urls(
            base in "rtmps?://(u@)?h(/[a/]{0,10})?([?][a/]{0,3})?",
            reference in "(rtmp:)?/{0,3}[a./?#@:%é]{0,20}",
        ) {
            if let Ok(result) = resolved(&base, &reference) {
                let url = Url::parse(&result).unwrap();
                prop_assert_eq!(url.strict().tc_url.to_string(), result.as_str());
                prop_assert!(!url.path().split('/').any(|part| part == ".." || part == "."));
            }
        }
    }
}
