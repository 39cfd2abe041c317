//! What the master playlist of a group offers: its streams side by side.
//!
//! Variants with pictures come first, the best of them at the top, since players begin with what
//! stands there; behind them the one without. The best audio rendition is counted to the rate of
//! each variant that refers to it, and the formats of all are named with it (R62, R63). Writes the
//! text; knows no file and no time, and does not choose who is listed.
//! Source: RFC 8216 §4.3.4, §6.2.4; draft-pantos-http-live-streaming-12 §3.4.9.

use core::fmt::Write as _;

use heapless::{String, Vec};

use super::KeyTag;
use super::offer::Offer;
use crate::limits::{
    CODEC_LIST_BYTES_MAX, GROUP_ADDRESS_BYTES_MAX, GROUP_AUDIO_MAX, GROUP_VARIANTS_MAX,
};
use crate::wire::m3u8::{Line, MediaType, Rendition, Variant};
use crate::wire::writer::{Full, Writer};

/// A stream that is a variant.
#[derive(Clone, Copy, Debug)]
pub struct GroupVariant<'a> {
    /// What is known of it.
    pub offer: &'a Offer,
    /// Its path.
    pub path: &'a str,
    /// Whether it has an I-frame playlist.
    pub i_frames: bool,
    /// Whether it has the renditions beside it; all with pictures do.
    pub renditions: bool,
    /// Key of its newest segment.
    pub key: Option<KeyTag>,
}

/// A stream that is an audio rendition.
#[derive(Clone, Copy, Debug)]
pub struct GroupAudio<'a> {
    /// What is known of it, unless it is within the variants.
    pub offer: Option<&'a Offer>,
    /// Its path.
    pub path: &'a str,
    /// What a person chooses it by.
    pub name: &'a str,
    /// Language tag.
    pub language: &'a str,
    /// Key of its newest segment.
    pub key: Option<KeyTag>,
}

/// All of a group that is offered.
#[derive(Clone, Debug)]
pub struct GroupOffer<'a> {
    /// Path of the group.
    pub path: &'a str,
    /// Variants, in any order.
    pub variants: Vec<GroupVariant<'a>, { GROUP_VARIANTS_MAX + 1 }>,
    /// Renditions, the default first.
    pub audio: Vec<GroupAudio<'a>, GROUP_AUDIO_MAX>,
}

/// Name of the group of audio renditions.
const AUDIO: &str = "audio";

/// Names of formats of a variant and all renditions.
type Codecs = String<{ 2 * CODEC_LIST_BYTES_MAX }>;

impl GroupOffer<'_> {
    /// Writes the master playlist, at most `GROUP_MASTER_BYTES_MAX`, of playlists that are called
    /// `index` and `i_frames`.
    ///
    /// # Errors
    /// `Full` if it does not fit; a part of it may have been written.
    pub fn emit(&mut self, w: &mut Writer<'_>, index: &str, i_frames: &str) -> Result<(), Full> {
        let rank = |variant: &GroupVariant<'_>| {
            let bandwidth = variant.offer.variant("").bandwidth;
            (!variant.offer.has_pictures(), core::cmp::Reverse(bandwidth))
        };
        self.variants.sort_unstable_by_key(rank);
        Line::Header.emit(w)?;
        // Renditions and I-frames need version 4 by the draft.
        Line::Version(4).emit(w)?;
        for (number, audio) in self.audio.iter().enumerate() {
            let address = self.address(audio.path, index);
            let rendition = Rendition {
                kind: MediaType::Audio,
                group: AUDIO,
                name: audio.name,
                language: Some(audio.language),
                default: number == 0,
                autoselect: true,
                uri: audio.offer.map(|_| address.as_str()),
            };
            Line::Media(rendition).emit(w)?;
        }
        for variant in &self.variants {
            Line::StreamInf(self.whole(variant, &self.codecs(variant))).emit(w)?;
            Line::Uri(&self.address(variant.path, index)).emit(w)?;
        }
        for variant in self.variants.iter().filter(|variant| variant.i_frames) {
            let codecs = variant.offer.codecs(false);
            let address = self.address(variant.path, i_frames);
            Line::IFrameStreamInf(variant.offer.pictures(&codecs), &address).emit(w)?;
        }
        self.emit_keys(w)
    }

    /// What is said of a variant together with its renditions.
    fn whole<'c>(&self, variant: &GroupVariant<'_>, codecs: &'c str) -> Variant<'c> {
        let said = variant.offer.variant(codecs);
        if !self.has_renditions(variant) {
            return said;
        }
        let offers = || self.audio.iter().filter_map(|audio| audio.offer);
        // One that is the variant itself is not played twice.
        let apart = || offers().filter(|offer| !core::ptr::eq(*offer, variant.offer));
        let rates = || apart().map(|offer| offer.variant(""));
        let more = rates().map(|rate| rate.bandwidth).max().unwrap_or(0);
        let average = rates().filter_map(|rate| rate.average_bandwidth).max().unwrap_or(0);
        Variant {
            bandwidth: said.bandwidth.saturating_add(more),
            average_bandwidth: said.average_bandwidth.map(|own| own.saturating_add(average)),
            audio: Some(AUDIO),
            ..said
        }
    }

    /// Formats of a variant and of all renditions that it has beside it, each once.
    fn codecs(&self, variant: &GroupVariant<'_>) -> Codecs {
        let mut list = Codecs::new();
        let own = variant.offer.codecs(true);
        let fits = list.push_str(&own);
        debug_assert!(fits.is_ok());
        if self.has_renditions(variant) {
            for name in self.audio.iter().filter_map(|audio| audio.offer).flat_map(Offer::sounds) {
                if !list.split(',').any(|known| known == name) {
                    let comma = if list.is_empty() { "" } else { "," };
                    let written = write!(list, "{comma}{name}");
                    debug_assert!(written.is_ok());
                }
            }
        }
        list
    }

    fn has_renditions(&self, variant: &GroupVariant<'_>) -> bool {
        variant.renditions && !self.audio.is_empty()
    }

    /// The keys of all streams, each once.
    fn emit_keys(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let variants = self.variants.iter().map(|variant| (variant.path, variant.key));
        let apart = |path: &str| !self.variants.iter().any(|variant| variant.path == path);
        let audio = self.audio.iter().map(|audio| (audio.path, audio.key));
        for (path, key) in variants.chain(audio.filter(|(path, _)| apart(path))) {
            if let Some(key) = key {
                key.emit_session_of(w, &self.address(path, ""))?;
            }
        }
        Ok(())
    }

    /// The address of a file of the stream at `path`, from the folder of the group.
    fn address(&self, path: &str, file: &str) -> String<GROUP_ADDRESS_BYTES_MAX> {
        let mut address = String::new();
        let shared = shared_parts(self.path, path);
        let up = self.path.split('/').count() - shared;
        let down = path.split('/').skip(shared);
        let mut parts = core::iter::repeat_n("..", up).chain(down);
        let written = parts.try_for_each(|part| write!(address, "{part}/"));
        let written = written.and_then(|()| address.write_str(file));
        debug_assert!(written.is_ok(), "paths are bounded");
        address
    }
}

/// Leading parts that two paths have alike.
fn shared_parts(one: &str, other: &str) -> usize {
    one.split('/').zip(other.split('/')).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::super::{Measured, Method};
    use super::*;
    use crate::limits::{
        ENCODINGS_LISTED_MAX, GROUP_MASTER_BYTES_MAX, GROUP_PARTS_MAX, LANGUAGE_BYTES_MAX,
        RENDITION_NAME_BYTES_MAX, STREAM_PATH_BYTES_MAX,
    };
    use crate::media::codecs::{Encoding, VideoEncoding};
    use crate::wire::m3u8::MasterPlaylist;

    /// A stream of so many bytes in 2 s.
    fn offer(video: Option<(&str, u32)>, audio: Option<&'static str>, bytes: u64) -> Offer {
        let video = video.map(|(name, height)| VideoEncoding {
            name: name.try_into().unwrap(),
            size: Some((height * 16 / 9, height)),
            frame_millihertz: Some(25_000),
        });
        let mut offer = Offer::new(0);
        let (pictures, sound) = (if video.is_some() { 50 } else { 0 }, audio.is_some());
        offer.encoded(&Encoding { video, audio });
        let segment = Measured { sequence: 0, bytes, micros: 2_000_000, pictures, audio: sound };
        offer.closed(segment, [(50_000, 2_000_000)].into_iter());
        offer.listed(0, 1);
        offer
    }

    fn variant<'a>(offer: &'a Offer, path: &'a str) -> GroupVariant<'a> {
        let i_frames = offer.has_pictures();
        GroupVariant { offer, path, i_frames, renditions: i_frames, key: None }
    }

    fn text(group: &mut GroupOffer<'_>) -> std::string::String {
        let mut room = vec![0; GROUP_MASTER_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        group.emit(&mut w, "index.m3u8", "iframes.m3u8").unwrap();
        let text = std::string::String::from_utf8(w.written().to_vec()).unwrap();
        MasterPlaylist::parse(text.as_bytes()).unwrap();
        text
    }

    #[test]
    fn r62_r63_variants_count_and_name_their_renditions_and_the_best_is_first() {
        let high = offer(Some(("avc1.64001f", 720)), Some("mp4a.40.2"), 500_000);
        let low = offer(Some(("avc1.42c01e", 360)), Some("mp4a.40.2"), 125_000);
        let german = offer(None, Some("mp4a.40.5"), 16_000);
        let audio =
            |offer, path, name, language| GroupAudio { offer, path, name, language, key: None };
        let mut group = GroupOffer {
            path: "live/cam",
            variants: [
                variant(&low, "live/lo"),
                variant(&german, "live/de"),
                variant(&high, "x/hi"),
            ]
            .into_iter()
            .collect(),
            audio: [
                audio(None, "x/hi", "English", "en"),
                audio(Some(&german), "live/de", "Deutsch", "de"),
            ]
            .into_iter()
            .collect(),
        };
        let whole = text(&mut group);
        let master = MasterPlaylist::parse(whole.as_bytes()).unwrap();
        let rates: std::vec::Vec<u64> = master.variants().map(|(said, _)| said.bandwidth).collect();
        let alone = |offer: &Offer| offer.variant("").bandwidth;
        let german_rate = alone(&german);
        assert_eq!(rates, [alone(&high) + german_rate, alone(&low) + german_rate, german_rate]);
        let addresses: std::vec::Vec<&str> = master.variants().map(|(_, uri)| uri).collect();
        assert_eq!(addresses, ["../../x/hi/index.m3u8", "../lo/index.m3u8", "../de/index.m3u8"]);
        let codecs: std::vec::Vec<_> =
            master.variants().map(|(said, _)| said.codecs.unwrap()).collect();
        assert_eq!(
            codecs,
            ["avc1.64001f,mp4a.40.2,mp4a.40.5", "avc1.42c01e,mp4a.40.2,mp4a.40.5", "mp4a.40.5"]
        );
        let audio: std::vec::Vec<_> = master.variants().map(|(said, _)| said.audio).collect();
        assert_eq!(audio, [Some("audio"), Some("audio"), None]);
        let mut renditions = master.renditions();
        let (english, german) = (renditions.next().unwrap(), renditions.next().unwrap());
        assert_eq!((english.default, english.uri, english.language), (true, None, Some("en")));
        assert_eq!((german.default, german.autoselect), (false, true));
        assert_eq!((german.name, german.uri), ("Deutsch", Some("../de/index.m3u8")));
        assert_eq!(master.i_frames().count(), 2, "{whole}");
    }

    #[test]
    fn variant_that_is_a_rendition_itself_is_counted_once() {
        let radio = offer(None, Some("mp4a.40.2"), 16_000);
        let only = GroupVariant { renditions: true, ..variant(&radio, "live/radio") };
        let audio = GroupAudio {
            offer: Some(&radio),
            path: "live/radio",
            name: "English",
            language: "en",
            key: None,
        };
        let variants = [only].into_iter().collect();
        let mut group =
            GroupOffer { path: "live/cam", variants, audio: [audio].into_iter().collect() };
        let text = text(&mut group);
        let rate = radio.variant("").bandwidth;
        assert!(text.contains(&format!("#EXT-X-STREAM-INF:BANDWIDTH={rate},")), "{text}");
        assert!(text.contains("CODECS=\"mp4a.40.2\",AUDIO=\"audio\"\n../radio/index.m3u8\n"));
        assert!(!text.contains("I-FRAME"));
    }

    #[test]
    fn keys_are_said_once_each_where_they_are() {
        let (high, radio) =
            (offer(Some(("avc1.64001f", 720)), None, 500_000), offer(None, Some("ac-3"), 9_000));
        let key = |number| Some(KeyTag { method: Method::Aes128, epoch: 7, number });
        let variants = [
            GroupVariant { key: key(1), ..variant(&high, "live/hi") },
            GroupVariant { key: key(2), ..variant(&radio, "live/radio") },
        ];
        let (name, language, path) = ("x", "en", "live/radio");
        let audio = GroupAudio { offer: Some(&radio), path, name, language, key: key(2) };
        let mut group = GroupOffer {
            path: "live/cam",
            variants: variants.into_iter().collect(),
            audio: [audio].into_iter().collect(),
        };
        let text = text(&mut group);
        let lines: std::vec::Vec<&str> =
            text.lines().filter(|line| line.starts_with("#EXT-X-SESSION-KEY")).collect();
        assert_eq!(
            lines,
            [
                "#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"../hi/00000007-1.key\"",
                "#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"../radio/00000007-2.key\"",
            ]
        );
    }

    #[test]
    fn longest_master_of_a_group_fits() {
        let names = ["mp4a.40.1", "mp4a.40.2", "mp4a.40.29", "mp4a.40.34"];
        let mut most = Offer::new(0);
        for (n, audio) in (0..ENCODINGS_LISTED_MAX).zip(names) {
            let name = format!("hvc1.C3{n}.FFFFFFFF.H255.FF.FF.FF.FF.FF.FF");
            let name = name.as_str().try_into().unwrap();
            let size = Some((u32::MAX, u32::MAX));
            let video = Some(VideoEncoding { name, size, frame_millihertz: None });
            most.encoded(&Encoding { video, audio: Some(audio) });
            let sequence = u64::try_from(n).unwrap();
            let (bytes, pictures) = (u64::MAX, u32::MAX);
            let segment = Measured { sequence, bytes, micros: 1, pictures, audio: true };
            most.closed(segment, [(u64::MAX, 1)].into_iter());
        }
        let group_path = ["g"; GROUP_PARTS_MAX].join("/");
        let path = format!("a/{}", "b".repeat(STREAM_PATH_BYTES_MAX - 2));
        let key = Some(KeyTag { method: Method::SampleAes, epoch: u32::MAX, number: u64::MAX });
        let variant = GroupVariant { key, ..variant(&most, &path) };
        let (name, language) =
            ("n".repeat(RENDITION_NAME_BYTES_MAX), "l".repeat(LANGUAGE_BYTES_MAX));
        let audio =
            GroupAudio { offer: Some(&most), path: &path, name: &name, language: &language, key };
        let mut group = GroupOffer {
            path: &group_path,
            variants: [variant; GROUP_VARIANTS_MAX + 1].into_iter().collect(),
            audio: [audio; GROUP_AUDIO_MAX].into_iter().collect(),
        };
        let text = text(&mut group);
        assert!(text.len() > GROUP_MASTER_BYTES_MAX / 3, "{}", text.len());
        let address = group.address(&path, "ffffffff-18446744073709551615.key");
        assert!(
            address.len() <= GROUP_ADDRESS_BYTES_MAX
                && address.len() > GROUP_ADDRESS_BYTES_MAX - 24
        );
    }
}
