//! What a person is told of a codec that cannot be carried, beside its name.
//!
//! Source: the configuration records of `wire::av1`, `wire::vp9` and `wire::flac`.

use crate::wire::av1::Av1Config;
use crate::wire::flac::StreamInfo;
use crate::wire::flv::{AudioCodec, FourCc, VideoCodec};
use crate::wire::vp9::VpConfig;
use core::fmt::Write as _;

/// What the configuration of a codec that is not carried says about it, in brackets.
pub(super) type Detail = heapless::String<40>;

pub(super) fn video_detail(codec: VideoCodec, config: &[u8]) -> Detail {
    let mut text = Detail::new();
    let VideoCodec::Named(name) = codec else { return text };
    let written = match name {
        FourCc::AV01 => Av1Config::parse(config)
            .map_or(Ok(()), |config| write!(text, " ({})", config.codec_string())),
        FourCc::VP08 | FourCc::VP09 => VpConfig::parse(config)
            .map_or(Ok(()), |config| write!(text, " ({name}.{})", config.codec_string())),
        _ => Ok(()),
    };
    debug_assert!(written.is_ok());
    text
}

pub(super) fn audio_detail(codec: AudioCodec, config: &[u8]) -> Detail {
    let mut text = Detail::new();
    if codec == AudioCodec::Named(FourCc::FLAC)
        && let Ok(info) = StreamInfo::parse(config)
    {
        let (rate, channels) = (info.sample_rate, info.channels);
        let written = write!(text, " ({rate} Hz, {channels} channels)");
        debug_assert!(written.is_ok());
    }
    text
}
