//! Streams that ask their viewers for a key: `?key=` at playlist and segments.
//!
//! A playlist that was asked for with the key names its segments with it, so that players need to
//! know it only once. Knows no keys: the door does.

use crate::config::secret::Secret;
use crate::media::container::Container;
use crate::proto::http::Request;
use crate::service::door::{Denial, Door};
use crate::time::Instant;
use crate::wire::writer::Writer;
use core::net::IpAddr;

/// Whether a request may have the file `name` below `/hls/`, and with which key it showed so.
pub(super) fn judge<'d>(
    door: Option<&'d Door>,
    name: &str,
    request: &Request<'_>,
    peer: IpAddr,
    now: Instant,
) -> Result<Option<&'d Secret>, Denial> {
    door.map_or(Ok(None), |door| door.watch(stream(name), request.query, peer, now))
}

/// Writes a playlist whose addresses end with the key, and gives its bytes; 0 if it has no room.
pub(super) fn with_key(playlist: &[u8], key: &Secret, w: &mut Writer<'_>) -> usize {
    for line in playlist.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        let is_address = !text.is_empty() && !text.starts_with(b"#");
        let parts: [&[u8]; 3] =
            if is_address { [text, b"?key=", key.expose().as_bytes()] } else { [text, b"", b""] };
        for part in parts {
            if w.bytes(part).is_err() {
                return 0;
            }
        }
        if w.bytes(b"\n").is_err() {
            return 0;
        }
    }
    w.position()
}

/// The stream that a file belongs to; names of streams end neither way.
fn stream(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((path, file)) if is_file(file) => path,
        _ => name,
    }
}

fn is_file(file: &str) -> bool {
    file.is_empty() || file.strip_suffix(".m3u8").is_some() || is_segment(file)
}

/// Whether that is the name of a segment. Streams may have names that end like packed audio; the
/// rest of a segment's name they have not.
pub(super) fn is_segment(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".ts").is_some() || Container::of_name(file).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_their_stream() {
        for name in [
            "live/cam/index.m3u8",
            "live/cam/",
            "live/cam",
            "live/cam/00-1.ts",
            "live/cam/00-1.aac",
        ] {
            assert_eq!(stream(name), "live/cam", "{name}");
        }
        assert_eq!(stream("live"), "live");
    }

    #[test]
    fn playlist_names_its_segments_with_the_key() {
        let playlist = b"#EXTM3U\n#EXTINF:2.0,\n0-1.ts\n\n#EXTINF:2.0,\n0-2.ts\n";
        let mut room = [0; 256];
        let key = Secret::key("k=1").unwrap();
        let bytes = with_key(playlist, &key, &mut Writer::new(&mut room));
        let want = "#EXTM3U\n#EXTINF:2.0,\n0-1.ts?key=k=1\n\n#EXTINF:2.0,\n0-2.ts?key=k=1\n";
        assert_eq!(core::str::from_utf8(&room[..bytes]).unwrap(), want);
        assert_eq!(with_key(playlist, &key, &mut Writer::new(&mut [0; 20])), 0);
    }
}
