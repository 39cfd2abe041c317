//! What a master playlist says of a variant stream, and of a rendition beside it.
//!
//! Attributes that are not named here are passed over. Source: RFC 8216 §4.3.4.1 to §4.3.4.3;
//! draft-pantos-http-live-streaming-12 §3.4.9, §3.4.10, §3.4.14.

use super::attributes::{AttributeValue, Attributes, List};
use super::{decimal, micros};
use crate::wire::writer::{Full, Writer};

/// The attributes of `EXT-X-STREAM-INF` and `EXT-X-I-FRAME-STREAM-INF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant<'a> {
    /// Peak bit rate, bit/s.
    pub bandwidth: u64,
    /// Average bit rate, bit/s.
    pub average_bandwidth: Option<u64>,
    /// Formats of all renditions, separated by commas.
    pub codecs: Option<&'a str>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Greatest frame rate, frames in 1000 s.
    pub frame_millihertz: Option<u64>,
    /// Group of audio renditions.
    pub audio: Option<&'a str>,
}

impl<'a> Variant<'a> {
    /// Reads a list, with the value of its URI attribute. `None` where one of the named is
    /// malformed, stands twice, or the bandwidth is missing (rule R62).
    pub(super) fn parse(list: &'a str) -> Option<(Self, Option<&'a str>)> {
        let mut bandwidth = None;
        let mut uri = None;
        let mut said = Self {
            bandwidth: 0,
            average_bandwidth: None,
            codecs: None,
            resolution: None,
            frame_millihertz: None,
            audio: None,
        };
        for attribute in Attributes::new(list) {
            let attribute = attribute.ok()?;
            let repeated = match (attribute.name, attribute.value) {
                ("BANDWIDTH", AttributeValue::Bare(n)) => bandwidth.replace(decimal(n)?).is_some(),
                ("AVERAGE-BANDWIDTH", AttributeValue::Bare(n)) => {
                    said.average_bandwidth.replace(decimal(n)?).is_some()
                }
                ("CODECS", AttributeValue::Quoted(text)) => said.codecs.replace(text).is_some(),
                ("RESOLUTION", AttributeValue::Bare(text)) => {
                    said.resolution.replace(resolution(text)?).is_some()
                }
                ("FRAME-RATE", AttributeValue::Bare(text)) => {
                    said.frame_millihertz.replace(micros(text)? / 1000).is_some()
                }
                ("AUDIO", AttributeValue::Quoted(text)) => said.audio.replace(text).is_some(),
                ("URI", AttributeValue::Quoted(text)) => uri.replace(text).is_some(),
                (name, _) if NAMES.contains(&name) => return None,
                _ => false,
            };
            if repeated {
                return None;
            }
        }
        Some((Self { bandwidth: bandwidth?, ..said }, uri))
    }

    /// Writes the line; `uri` is an attribute of I-frame variants only.
    pub(super) fn emit(&self, w: &mut Writer<'_>, uri: Option<&str>) -> Result<(), Full> {
        let tag = if uri.is_some() { "#EXT-X-I-FRAME-STREAM-INF:" } else { "#EXT-X-STREAM-INF:" };
        let mut list = List::new(w, tag)?;
        list.bare("BANDWIDTH", format_args!("{}", self.bandwidth))?;
        if let Some(average) = self.average_bandwidth {
            list.bare("AVERAGE-BANDWIDTH", format_args!("{average}"))?;
        }
        if let Some(codecs) = self.codecs {
            list.quoted("CODECS", codecs)?;
        }
        if let Some((width, height)) = self.resolution {
            list.bare("RESOLUTION", format_args!("{width}x{height}"))?;
        }
        if let Some(rate) = self.frame_millihertz {
            list.bare("FRAME-RATE", format_args!("{}.{:03}", rate / 1000, rate % 1000))?;
        }
        if let Some(audio) = self.audio {
            list.quoted("AUDIO", audio)?;
        }
        if let Some(uri) = uri {
            list.quoted("URI", uri)?;
        }
        list.end()
    }
}

/// Attributes that are read; of another form they are malformed.
const NAMES: [&str; 7] =
    ["BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION", "FRAME-RATE", "AUDIO", "URI"];

fn resolution(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((decimal(width)?.try_into().ok()?, decimal(height)?.try_into().ok()?))
}

/// What a rendition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Text in segments of its own.
    Subtitles,
    /// Text within the pictures.
    ClosedCaptions,
}

impl MediaType {
    const ALL: [Self; 4] = [Self::Audio, Self::Video, Self::Subtitles, Self::ClosedCaptions];

    const fn name(self) -> &'static str {
        match self {
            Self::Audio => "AUDIO",
            Self::Video => "VIDEO",
            Self::Subtitles => "SUBTITLES",
            Self::ClosedCaptions => "CLOSED-CAPTIONS",
        }
    }
}

/// The attributes of `EXT-X-MEDIA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendition<'a> {
    /// What it is.
    pub kind: MediaType,
    /// Group that variants refer to.
    pub group: &'a str,
    /// What a person chooses it by; unique in its group.
    pub name: &'a str,
    /// Language tag (RFC 5646).
    pub language: Option<&'a str>,
    /// Whether it is played unless another is chosen.
    pub default: bool,
    /// Whether a player may choose it by itself.
    pub autoselect: bool,
    /// Its media playlist; absent, it is in the variants that refer to it.
    pub uri: Option<&'a str>,
}

impl<'a> Rendition<'a> {
    pub(super) fn parse(list: &'a str) -> Option<Self> {
        let (mut kind, mut group, mut name, mut uri) = (None, None, None, None);
        let (mut language, mut default, mut autoselect) = (None, None, None);
        for attribute in Attributes::new(list) {
            let attribute = attribute.ok()?;
            let repeated = match (attribute.name, attribute.value) {
                ("TYPE", AttributeValue::Bare(text)) => {
                    let found = MediaType::ALL.into_iter().find(|kind| kind.name() == text);
                    kind.replace(found?).is_some()
                }
                ("GROUP-ID", AttributeValue::Quoted(text)) => group.replace(text).is_some(),
                ("NAME", AttributeValue::Quoted(text)) => name.replace(text).is_some(),
                ("LANGUAGE", AttributeValue::Quoted(text)) => language.replace(text).is_some(),
                ("URI", AttributeValue::Quoted(text)) => uri.replace(text).is_some(),
                ("DEFAULT", AttributeValue::Bare(text)) => default.replace(yes(text)?).is_some(),
                ("AUTOSELECT", AttributeValue::Bare(text)) => {
                    autoselect.replace(yes(text)?).is_some()
                }
                (name, _) if RENDITION_NAMES.contains(&name) => return None,
                _ => false,
            };
            if repeated {
                return None;
            }
        }
        let (kind, default) = (kind?, default.unwrap_or(false));
        // RFC 8216 §4.3.4.1: captions are within the pictures; what is default is chosen.
        let misplaced = kind == MediaType::ClosedCaptions && uri.is_some()
            || kind == MediaType::Subtitles && uri.is_none()
            || default && autoselect == Some(false);
        if misplaced {
            return None;
        }
        let autoselect = autoselect.unwrap_or(false);
        Some(Self { kind, group: group?, name: name?, language, default, autoselect, uri })
    }

    pub(super) fn emit(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let mut list = List::new(w, "#EXT-X-MEDIA:")?;
        list.bare("TYPE", format_args!("{}", self.kind.name()))?;
        list.quoted("GROUP-ID", self.group)?;
        if let Some(language) = self.language {
            list.quoted("LANGUAGE", language)?;
        }
        list.quoted("NAME", self.name)?;
        for (name, said) in [("DEFAULT", self.default), ("AUTOSELECT", self.autoselect)] {
            if said {
                list.bare(name, format_args!("YES"))?;
            }
        }
        if let Some(uri) = self.uri {
            list.quoted("URI", uri)?;
        }
        list.end()
    }
}

/// Attributes that are read; of another form they are malformed.
const RENDITION_NAMES: [&str; 7] =
    ["TYPE", "GROUP-ID", "NAME", "LANGUAGE", "URI", "DEFAULT", "AUTOSELECT"];

fn yes(text: &str) -> Option<bool> {
    match text {
        "YES" => Some(true),
        "NO" => Some(false),
        _ => None,
    }
}
