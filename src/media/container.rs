//! What kind of file a segment is, what its name ends with and what it is served as.
//!
//! A segment is transport packets, or, where a stream has nothing but audio and the setting says
//! so, the frames of its codec behind the time of the first (RFC 8216 §3.4). Opus has no such form.
//! Source: RFC 8216 §3.2, §3.4; RFC 3003 (MPEG audio), RFC 4184 (AC-3), RFC 4598 (E-AC-3).

use crate::media::carriage::AudioFormat;

/// A kind of segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Container {
    /// A transport stream.
    #[default]
    Ts,
    /// AAC frames with ADTS headers.
    Adts,
    /// MPEG audio frames.
    Mpeg,
    /// AC-3 frames.
    Ac3,
    /// E-AC-3 frames.
    Eac3,
}

impl Container {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Ts, Self::Adts, Self::Mpeg, Self::Ac3, Self::Eac3];

    /// Packed audio of this format; a transport stream where there is no such form.
    #[must_use]
    pub const fn packed(format: AudioFormat) -> Self {
        match format {
            AudioFormat::Aac => Self::Adts,
            AudioFormat::Mpeg { .. } => Self::Mpeg,
            AudioFormat::Ac3 => Self::Ac3,
            AudioFormat::Eac3 => Self::Eac3,
            AudioFormat::Opus { .. } => Self::Ts,
        }
    }

    /// Whether it is audio without packets.
    #[must_use]
    pub const fn is_packed(self) -> bool {
        !matches!(self, Self::Ts)
    }

    /// What the names of its files end with.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Ts => ".ts",
            Self::Adts => ".aac",
            Self::Mpeg => ".mp3",
            Self::Ac3 => ".ac3",
            Self::Eac3 => ".ec3",
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Ts => "video/mp2t",
            Self::Adts => "audio/aac",
            Self::Mpeg => "audio/mpeg",
            Self::Ac3 => "audio/ac3",
            Self::Eac3 => "audio/eac3",
        }
    }

    /// Reads a segment's file name, such as `5f3a0c11-12.ts`: what is before its suffix, split at
    /// the hyphen. `None` if it is none; the parts are looked at no further.
    #[must_use]
    pub fn of_name(file: &str) -> Option<(Self, &str, &str)> {
        let (container, stem) =
            Self::ALL.into_iter().find_map(|one| Some((one, file.strip_suffix(one.suffix())?)))?;
        let (epoch, sequence) = stem.split_once('-')?;
        Some((container, epoch, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_those_that_players_know() {
        for (format, suffix, media_type) in [
            (AudioFormat::Aac, ".aac", "audio/aac"),
            (AudioFormat::Mpeg { half_rate: true }, ".mp3", "audio/mpeg"),
            (AudioFormat::Ac3, ".ac3", "audio/ac3"),
            (AudioFormat::Eac3, ".ec3", "audio/eac3"),
            (AudioFormat::Opus { channels: 2 }, ".ts", "video/mp2t"),
        ] {
            let container = Container::packed(format);
            assert_eq!((container.suffix(), container.media_type()), (suffix, media_type));
            assert_eq!(container.is_packed(), suffix != ".ts");
        }
    }

    #[test]
    fn segment_is_told_by_its_name() {
        for container in Container::ALL {
            let name = format!("5f3a0c11-12{}", container.suffix());
            assert_eq!(Container::of_name(&name), Some((container, "5f3a0c11", "12")));
        }
        for name in ["index.m3u8", "5f3a0c11.ts", "cam.aac", "0-1.mp4", ""] {
            assert_eq!(Container::of_name(name), None, "{name}");
        }
    }
}
