//! A player's SWF file: what a server that asks for it wants to hear, from its bytes as they come.
//!
//! ```text
//! | 'F' or 'C' | 'W' | 'S' | version (8) | bytes of the file, inflated (32, LE) | body |
//! ```
//!
//! The hash is the HMAC-SHA256 of the file as if it had never been compressed, 'F' in front, under
//! a key that all players have. One window of the body is held; what is in it is not looked at.
//! Fetches nothing.
//! Source: SWF File Format Specification 19, chapter 2, "The SWF header"; RFC 1950;
//! ffmpeg-protocols, "`rtmp_swfverify`".
//!
//! Quirks: what stands behind the end of a compressed body is dropped.

use crate::limits::{PLAYER_FILE_BYTES_MAX, PLAYER_WINDOW_BYTES};
use crate::proto::rtmp::client::Swf;
use crate::storage::widen;
use crate::wire::rtmp::handshake::Role;
use core::fmt;
use core::hint::black_box;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use ring::hmac;

/// Bytes of the header, which is never compressed.
const HEADER_BYTES: usize = 8;

/// What players prove themselves by, in the handshake too.
const KEY: &[u8] = Role::Client.digest_key();

/// Memory that one takes while it is read, in bytes.
pub const SWF_FILE_BYTES: usize = PLAYER_WINDOW_BYTES + size_of::<SwfFile>();

/// Why a file is no player that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwfError {
    /// Malformed: its signature.
    #[error("file is no SWF: it begins with neither FWS nor CWS")]
    Signature,
    /// Malformed: it ends before its length says so.
    #[error("SWF file ends after {have} of {said} bytes: was it cut off?")]
    Shorter {
        /// What the header says.
        said: u32,
        /// Bytes that there are, inflated.
        have: u64,
    },
    /// Malformed: it goes on behind that.
    #[error("SWF file is longer than the {said} bytes that its header says")]
    Longer {
        /// What the header says.
        said: u32,
    },
    /// Malformed: the compressed body.
    #[error("SWF file cannot be inflated: it is damaged")]
    Zlib,
    /// Unsupported: LZMA.
    #[error("SWF file is compressed by LZMA (ZWS): set rtmp_swfhash and rtmp_swfsize instead")]
    Lzma,
    /// Exhausted: its length, as it comes or inflated.
    #[error("SWF file has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Its bytes, or those that came.
        bytes: u64,
        /// The limit.
        max: u32,
    },
}

/// What some bytes amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes at the front to drop.
    pub consumed: usize,
    /// Whether there is work left without further bytes.
    pub has_more: bool,
}

/// A file that is being read.
pub struct SwfFile {
    header: heapless::Vec<u8, HEADER_BYTES>,
    body: Body,
    inflater: Inflater,
    inflated: Inflated,
    /// Bytes that came.
    came: u64,
}

/// The file as it is hashed.
struct Inflated {
    digest: hmac::Context,
    /// Its bytes so far, and what the header says of them.
    seen: u64,
    said: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Plain,
    Zlib,
    /// A compressed one is whole.
    Over,
}

type Decompress =
    fn(&mut DecompressorOxide, &[u8], &mut [u8], usize, u32) -> (TINFLStatus, usize, usize);

struct Inflater {
    machine: DecompressorOxide,
    window: Box<[u8]>,
    at: usize,
}

impl fmt::Debug for SwfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwfFile").field("seen", &self.inflated.seen).finish_non_exhaustive()
    }
}

impl SwfFile {
    /// Before its first byte; `window` has `PLAYER_WINDOW_BYTES`.
    #[must_use]
    pub fn new(window: Box<[u8]>) -> Self {
        debug_assert_eq!(window.len(), PLAYER_WINDOW_BYTES);
        Self {
            header: heapless::Vec::new(),
            body: Body::Plain,
            inflater: Inflater { machine: DecompressorOxide::new(), window, at: 0 },
            inflated: Inflated {
                digest: hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, KEY)),
                seen: 0,
                said: 0,
            },
            came: 0,
        }
    }

    /// Takes bytes of the file, and inflates up to one window. To be called again until all is
    /// consumed and it has no more to do.
    ///
    /// # Errors
    /// `SwfError` as its variants say.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Progress, SwfError> {
        let window = bytes.get(..PLAYER_WINDOW_BYTES).unwrap_or(bytes);
        let progress =
            if self.header.is_full() { self.read_body(window)? } else { self.read_header(window)? };
        self.came += widen(progress.consumed);
        let max = PLAYER_FILE_BYTES_MAX;
        if self.came > u64::from(max) {
            return Err(SwfError::TooLong { bytes: self.came, max });
        }
        Ok(progress)
    }

    /// The file is over.
    ///
    /// # Errors
    /// It is not whole.
    pub fn finish(self) -> Result<Swf, SwfError> {
        if !self.header.is_full() {
            return Err(SwfError::Signature);
        }
        let Inflated { digest, seen, said } = self.inflated;
        if seen < u64::from(said) {
            return Err(SwfError::Shorter { said, have: seen });
        }
        if self.body == Body::Zlib {
            // Its checksum is missing.
            return Err(SwfError::Zlib);
        }
        debug_assert_eq!(seen, u64::from(said), "longer ones are refused as they come");
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.sign().as_ref());
        Ok(Swf { hash, bytes: said })
    }

    fn read_header(&mut self, bytes: &[u8]) -> Result<Progress, SwfError> {
        let consumed = bytes.len().min(HEADER_BYTES - self.header.len());
        let kept = self.header.extend_from_slice(bytes.get(..consumed).unwrap_or_default());
        debug_assert!(kept.is_ok(), "so many bytes were missing");
        let progress = Progress { consumed, has_more: false };
        let Ok([first, w, s, version, length @ ..]) = <[u8; HEADER_BYTES]>::try_from(&*self.header)
        else {
            return Ok(progress);
        };
        match [first, w, s] {
            [b'F', b'W', b'S'] => {}
            [b'C', b'W', b'S'] => self.body = Body::Zlib,
            [b'Z', b'W', b'S'] => return Err(SwfError::Lzma),
            _ => return Err(SwfError::Signature),
        }
        let (said, max) = (u32::from_le_bytes(length), PLAYER_FILE_BYTES_MAX);
        if said > max {
            return Err(SwfError::TooLong { bytes: said.into(), max });
        }
        self.inflated.said = said;
        let [l0, l1, l2, l3] = length;
        self.inflated.take(&[b'F', w, s, version, l0, l1, l2, l3])?;
        Ok(progress)
    }

    fn read_body(&mut self, bytes: &[u8]) -> Result<Progress, SwfError> {
        let mut progress = Progress { consumed: bytes.len(), has_more: false };
        match self.body {
            Body::Over => return Ok(progress),
            Body::Zlib => {}
            Body::Plain => {
                self.inflated.take(bytes)?;
                return Ok(progress);
            }
        }
        let (status, consumed, inflated) = self.inflater.turn(bytes);
        let is_stuck = consumed == 0 && inflated.is_empty() && !bytes.is_empty();
        progress.consumed = consumed;
        progress.has_more = status == TINFLStatus::HasMoreOutput;
        let goes_on = progress.has_more || status == TINFLStatus::NeedsMoreInput;
        if status == TINFLStatus::Done {
            self.body = Body::Over;
        } else if !goes_on || is_stuck {
            return Err(SwfError::Zlib);
        }
        self.inflated.take(inflated)?;
        Ok(progress)
    }
}

impl Inflated {
    fn take(&mut self, bytes: &[u8]) -> Result<(), SwfError> {
        self.digest.update(bytes);
        self.seen += widen(bytes.len());
        if self.seen > u64::from(self.said) {
            return Err(SwfError::Longer { said: self.said });
        }
        Ok(())
    }
}

impl Inflater {
    /// Inflates up to the end of the window: how it stands, bytes consumed, and what came of them.
    fn turn(&mut self, bytes: &[u8]) -> (TINFLStatus, usize, &[u8]) {
        const FLAGS: u32 =
            inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        let from = self.at;
        // By its address: built into this function, it would no longer be built for size.
        let decompress: Decompress = black_box(decompress);
        let (status, consumed, written) =
            decompress(&mut self.machine, bytes, &mut self.window, from, FLAGS);
        let end = from + written;
        self.at = if end < self.window.len() { end } else { 0 };
        debug_assert!(end <= self.window.len(), "it stops at the end");
        (status, consumed, self.window.get(from..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec_zlib;
    use proptest::prelude::*;

    fn plain(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_BYTES + body.len()).unwrap();
        [&b"FWS\x09"[..], &length.to_le_bytes(), body].concat()
    }

    fn packed(body: &[u8]) -> Vec<u8> {
        let header = plain(body);
        [b"C", &header[1..HEADER_BYTES], &compress_to_vec_zlib(body, 6)].concat()
    }

    fn begun() -> SwfFile {
        SwfFile::new(vec![0; PLAYER_WINDOW_BYTES].into())
    }

    fn read(bytes: &[u8], split: usize) -> Result<Swf, SwfError> {
        let mut file = begun();
        for mut part in bytes.chunks(split) {
            loop {
                let progress = file.advance(part)?;
                part = &part[progress.consumed..];
                if part.is_empty() && !progress.has_more {
                    break;
                }
            }
        }
        file.finish()
    }

    /// Bytes that deflate finds something in, and nothing.
    fn body(bytes: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..bytes).map(|i| if i / 500 % 2 == 0 { noise() } else { b'x' }).collect()
    }

    #[test]
    fn hash_is_that_of_the_inflated_file_under_the_players_key() {
        let body = body(100_000);
        let file = plain(&body);
        let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), &file);
        let swf = read(&file, 4096).unwrap();
        assert_eq!((&swf.hash[..], swf.bytes), (digest.as_ref(), 100_008));
        assert_eq!(read(&packed(&body), 4096), Ok(swf));
        assert_eq!(read(&[packed(&body), vec![7; 99]].concat(), 4096), Ok(swf));
        // Known from elsewhere: python3's hmac module over b"FWS\x09\x08\0\0\0".
        let empty = read(&plain(b""), 1).unwrap();
        assert_eq!(format!("{:02x?}", empty.hash).replace(", ", ""), format!("[{EMPTY}]"));
        assert_eq!(read(&packed(b""), 1), Ok(empty));
    }

    const EMPTY: &str = "d56e0b74a43532731e15ba5b9eb21bfd753f076509744d57eb0cc2d7636ba4c2";

    #[test]
    fn files_that_are_not_whole_or_no_players_are_named() {
        let body = body(3000);
        let (file, zlib) = (plain(&body), packed(&body));
        for bytes in [&b""[..], b"F", b"FWS\x09\x08\0\0", b"<html>404", b"GIF89a..", b"CWSX"] {
            assert_eq!(read(bytes, 3), Err(SwfError::Signature));
        }
        assert_eq!(read(b"ZWS\x0d\x08\0\0\0", 3), Err(SwfError::Lzma));
        let cut = SwfError::Shorter { said: 3008, have: 3007 };
        assert_eq!(read(&file[..3007], 100), Err(cut));
        assert_eq!(read(&[&file[..], b"x"].concat(), 100), Err(SwfError::Longer { said: 3008 }));
        assert_eq!(read(b"FWS\x09\x07\0\0\0", 8), Err(SwfError::Longer { said: 7 }));
        let half = read(&zlib[..zlib.len() / 2], 100).unwrap_err();
        assert!(matches!(half, SwfError::Shorter { said: 3008, .. }), "{half}");
        assert_eq!(read(&zlib[..zlib.len() - 1], 100), Err(SwfError::Zlib));
        let mut other = zlib.clone();
        other[4] += 1;
        assert_eq!(read(&other, 100), Err(SwfError::Shorter { said: 3009, have: 3008 }));
        other[4] -= 2;
        assert_eq!(read(&other, 100), Err(SwfError::Longer { said: 3007 }));
        for at in [8, 9, zlib.len() - 1] {
            let mut broken = zlib.clone();
            broken[at] ^= 0x41;
            assert_eq!(read(&broken, 100), Err(SwfError::Zlib), "{at}");
        }
    }

    #[test]
    fn longest_file_is_read_and_a_longer_one_refused() {
        let max = PLAYER_FILE_BYTES_MAX;
        let most = usize::try_from(max).unwrap();
        let zeros = vec![0; most - HEADER_BYTES];
        let swf = read(&plain(&zeros), 1 << 20).unwrap();
        assert_eq!(swf.bytes, max);
        assert_eq!(read(&packed(&zeros), 4096), Ok(swf));
        let header = [&b"CWS\x09"[..], &(max + 1).to_le_bytes()].concat();
        let bytes = u64::from(max) + 1;
        assert_eq!(read(&header, 8), Err(SwfError::TooLong { bytes, max }));
        // Empty blocks, of which nothing comes, without an end.
        let blocks = [0, 0, 0, 0xff, 0xff].repeat(most / 5);
        let endless = [&header_of(9)[..], &[0x78, 0x9c], &blocks].concat();
        let refused = read(&endless, 1000);
        assert!(matches!(refused, Err(SwfError::TooLong { .. })), "{refused:?}");
    }

    fn header_of(bytes: u32) -> Vec<u8> {
        [&b"CWS\x09"[..], &bytes.to_le_bytes()].concat()
    }

    #[test]
    fn one_turn_gives_one_window_at_most() {
        let file = packed(&vec![0; 1 << 20]);
        let mut reading = begun();
        let (mut at, mut turns) = (0, 0);
        loop {
            let before = reading.inflated.seen;
            let progress = reading.advance(&file[at..]).unwrap();
            assert!(reading.inflated.seen - before <= widen(PLAYER_WINDOW_BYTES));
            at += progress.consumed;
            turns += 1;
            if at == file.len() && !progress.has_more {
                break;
            }
        }
        assert!(turns >= (1 << 20) / PLAYER_WINDOW_BYTES, "{turns}");
        assert_eq!(reading.finish().unwrap().bytes, (1 << 20) + 8);
    }

    proptest! {
        #[test]
        fn hash_is_the_same_at_any_split_and_compressed_or_not(
            body in proptest::collection::vec(any::<u8>(), 0..2000),
            repeats in 1usize..60,
            split in 1usize..300,
        ) {
            let body = body.repeat(repeats);
            let swf = read(&plain(&body), 1 << 20).unwrap();
            prop_assert_eq!(read(&plain(&body), split), Ok(swf));
            prop_assert_eq!(read(&packed(&body), split), Ok(swf));
        }

        #[test]
        fn reading_any_bytes_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            length in any::<u16>(),
            split in 1usize..90,
        ) {
            let _any = read(&bytes, split);
            let header = header_of(length.into());
            let _zlib = read(&[&header[..], &bytes].concat(), split);
            let _deflate = read(&[&header[..], &[0x78, 0x9c], &bytes].concat(), split);
        }
    }
}
