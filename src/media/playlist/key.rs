//! The key of a segment as playlists name it: `EXT-X-KEY` and `EXT-X-SESSION-KEY`.
//!
//! A tag holds for all segments behind it, so that it stands where the key changes, and once at the
//! top of every version (R52). The initialization vector of a whole segment is its media sequence
//! number, which needs no attribute (R51); samples have one for all segments of a key, which is
//! said. Holds no key: whoever is allowed fetches it by its name.
//!
//! Quirk tolerated: ffmpeg 5.1 decrypts the last picture of a segment when it has begun the next
//! one, so that samples must not get another vector there.
//! Source: draft-pantos-http-live-streaming-12 §3.4.4, §5.2; RFC 8216 §4.3.2.4, §4.3.4.5.

use crate::media::cipher::{BLOCK_BYTES, sequence_iv};
use crate::wire::m3u8::{Line, put};
use crate::wire::writer::{Full, Writer};

/// How segments are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Whole segments.
    Aes128,
    /// Single samples, so that a player's demuxer sees them.
    SampleAes,
}

/// Which key a segment needs, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTag {
    /// What is encrypted.
    pub method: Method,
    /// First part of its name.
    pub epoch: u32,
    /// Media sequence number of the first segment that it was made for: the rest of its name.
    pub number: u64,
}

impl Method {
    /// As attributes spell it.
    const fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "AES-128",
            Self::SampleAes => "SAMPLE-AES",
        }
    }

    /// Protocol version that a playlist with it needs at least (RFC 8216bis §8).
    #[must_use]
    pub const fn version(self) -> u64 {
        match self {
            Self::Aes128 => 3,
            Self::SampleAes => 5,
        }
    }
}

impl KeyTag {
    /// Writes the tag that begins the segments of `key`, which may be none.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit(key: Option<Self>, w: &mut Writer<'_>) -> Result<(), Full> {
        match key {
            Some(key) => key.line(w, "EXT-X-KEY", "", key.said_iv()),
            None => Line::Other { name: "EXT-X-KEY", value: Some("METHOD=NONE") }.emit(w),
        }
    }

    /// The same for a playlist whose own numbers are not those of the segments, as one of I-frames
    /// is: with the initialization vector of the segment `sequence`.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit_for(&self, sequence: u64, w: &mut Writer<'_>) -> Result<(), Full> {
        self.line(w, "EXT-X-KEY", "", Some(self.iv(sequence)))
    }

    /// Writes the line of a master playlist by which players fetch the key before they need it.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit_session(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        self.line(w, "EXT-X-SESSION-KEY", "", self.said_iv())
    }

    /// The same where the key is in `folder`, which ends with a slash.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn emit_session_of(&self, w: &mut Writer<'_>, folder: &str) -> Result<(), Full> {
        self.line(w, "EXT-X-SESSION-KEY", folder, self.said_iv())
    }

    /// Writes the file name of the key.
    ///
    /// # Errors
    /// `Full` if it does not fit.
    pub fn name(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        put(w, format_args!("{:08x}-{}.key", self.epoch, self.number))
    }

    /// Epoch and number of the key whose file name this is: a key has one, without other cases or
    /// leading zeros.
    #[must_use]
    pub fn parse_name(file: &str) -> Option<(u32, u64)> {
        let (epoch, number) = file.strip_suffix(".key")?.split_once('-')?;
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let is_plain = |b: u8| b.is_ascii_digit();
        let as_written = epoch.len() == 8
            && epoch.bytes().all(is_hex)
            && number.bytes().all(is_plain)
            && (number == "0" || !number.starts_with('0'));
        if !as_written {
            return None;
        }
        Some((u32::from_str_radix(epoch, 16).ok()?, number.parse().ok()?))
    }

    /// Initialization vector of the segment `sequence`.
    #[must_use]
    pub fn iv(&self, sequence: u64) -> [u8; BLOCK_BYTES] {
        sequence_iv(match self.method {
            Method::Aes128 => sequence,
            Method::SampleAes => self.number,
        })
    }

    /// The one that is said wherever the key is.
    fn said_iv(&self) -> Option<[u8; BLOCK_BYTES]> {
        (self.method == Method::SampleAes).then(|| self.iv(self.number))
    }

    fn line(
        &self,
        w: &mut Writer<'_>,
        tag: &str,
        folder: &str,
        iv: Option<[u8; BLOCK_BYTES]>,
    ) -> Result<(), Full> {
        put(w, format_args!("#{tag}:METHOD={},URI=\"{folder}", self.method.name()))?;
        self.name(w)?;
        match iv {
            Some(iv) => {
                let iv = u128::from_be_bytes(iv);
                put(w, format_args!("\",IV=0x{iv:032x}\n"))
            }
            None => w.bytes(b"\"\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KEY_LINE_BYTES_MAX;
    use crate::wire::m3u8::{AttributeValue, Attributes};

    const KEY: KeyTag = KeyTag { method: Method::Aes128, epoch: 0x5f3a_0c11, number: 12 };

    fn text(emit: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> String {
        let mut room = [0; KEY_LINE_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        emit(&mut w).unwrap();
        String::from_utf8(w.written().to_vec()).unwrap()
    }

    #[test]
    fn key_tag_names_method_and_address() {
        let line = text(|w| KeyTag::emit(Some(KEY), w));
        assert_eq!(line, "#EXT-X-KEY:METHOD=AES-128,URI=\"5f3a0c11-12.key\"\n", "R5");
        let sample = KeyTag { method: Method::SampleAes, ..KEY };
        let line = text(|w| KeyTag::emit(Some(sample), w));
        let list =
            "METHOD=SAMPLE-AES,URI=\"5f3a0c11-12.key\",IV=0x0000000000000000000000000000000c";
        assert_eq!(line, format!("#EXT-X-KEY:{list}\n"));
        assert_eq!(text(|w| sample.emit_session(w)), format!("#EXT-X-SESSION-KEY:{list}\n"));
        assert_eq!(sample.iv(15), sequence_iv(12), "one for all segments of a key");
        assert_eq!(KEY.iv(15), sequence_iv(15), "R51");
    }

    #[test]
    fn key_tag_of_clear_segments_has_no_other_attribute() {
        assert_eq!(text(|w| KeyTag::emit(None, w)), "#EXT-X-KEY:METHOD=NONE\n", "R53");
    }

    #[test]
    fn key_tag_for_other_numbers_says_the_vector() {
        let line = text(|w| KEY.emit_for(258, w));
        let list = line.strip_prefix("#EXT-X-KEY:").unwrap().trim_end();
        let vector = Attributes::new(list).last().unwrap().unwrap();
        assert_eq!(vector.name, "IV");
        let iv = "0x00000000000000000000000000000102";
        assert_eq!(vector.value, AttributeValue::Bare(iv), "R51");
    }

    #[test]
    fn longest_key_tag_fits_its_bound() {
        let longest = KeyTag { method: Method::SampleAes, epoch: u32::MAX, number: u64::MAX };
        let line = text(|w| longest.emit_for(u64::MAX, w));
        let session = text(|w| longest.emit_session(w));
        assert!(session.len() > line.len());
        assert!(session.len() > KEY_LINE_BYTES_MAX - 8, "{}", session.len());
    }

    #[test]
    fn key_has_one_name() {
        for key in [KEY, KeyTag { epoch: 0, number: 0, ..KEY }, KeyTag { number: u64::MAX, ..KEY }]
        {
            let mut room = [0; KEY_LINE_BYTES_MAX];
            let mut w = Writer::new(&mut room);
            key.name(&mut w).unwrap();
            let name = core::str::from_utf8(w.written()).unwrap();
            assert_eq!(KeyTag::parse_name(name), Some((key.epoch, key.number)), "{name}");
        }
        assert_eq!(KeyTag::parse_name("5f3a0c11-12.key"), Some((KEY.epoch, KEY.number)));
        for other in [
            "5F3a0c11-12.key",
            "5f3a0c11-012.key",
            "5f3a0c11-12",
            "",
            "5f3a0c11-12.ts",
            "f3a0c11-12.key",
            "5f3a0c11-.key",
            "5f3a0c11-+12.key",
            "5f3a0c11-18446744073709551616.key",
        ] {
            assert_eq!(KeyTag::parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn version_is_the_lowest_that_knows_the_method() {
        assert_eq!((Method::Aes128.version(), Method::SampleAes.version()), (3, 5), "R8");
    }
}
