//! Sections of streams that are offered side by side: `[group."APP/NAME"]`.
//!
//! `TABLE` belongs to the table of `settings` and is shown with it. A group has a path of its own,
//! at which nobody publishes, and is made of streams that are published one by one, or are a sound
//! track of such a stream: `live/cam#1` is a stream of its own, `live/cam.audio1`. What becomes of
//! them is decided elsewhere.

use crate::limits::{
    GROUP_AUDIO_MAX, GROUP_PARTS_MAX, GROUP_TRACKS_MAX, GROUP_VARIANTS_MAX, GROUPS_MAX,
    LANGUAGE_BYTES_MAX, NAME_BYTES_MAX, RENDITION_NAME_BYTES_MAX,
};

/// A sound track of a published stream that is a stream of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundTrack {
    /// Path of the stream that it is.
    pub path: String,
    /// Path of the stream that it is taken from.
    pub of: String,
    /// Number of the track there (Enhanced RTMP; what has no number is 0).
    pub track: u8,
}

/// An audio rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioRendition {
    /// Path of its stream; that of a variant if the audio is within the variants.
    pub stream: String,
    /// Where that is taken from, if nobody publishes it.
    pub track: Option<SoundTrack>,
    /// Language tag (RFC 5646).
    pub language: String,
    /// What a person chooses it by.
    pub name: String,
}

/// One section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// Path of the group: `live/cam`.
    pub path: String,
    /// Paths of its variants.
    pub variants: Vec<String>,
    /// Its audio renditions; the first is the default.
    pub audio: Vec<AudioRendition>,
    /// Path of the variant without pictures.
    pub audio_only: Option<String>,
    /// Where that is taken from, if nobody publishes it.
    pub audio_only_track: Option<SoundTrack>,
}

impl GroupConfig {
    /// Paths of all its streams, each once.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let variants = self.variants.iter().map(String::as_str);
        let apart = |path: &&str| !self.variants.iter().any(|variant| variant == path);
        let audio = self.audio.iter().map(|audio| audio.stream.as_str()).filter(apart);
        let known = |path: &&str| {
            apart(path) && !self.audio.iter().any(|audio| audio.stream.as_str() == *path)
        };
        variants.chain(audio).chain(self.audio_only.as_deref().filter(known))
    }

    /// The sound tracks among them; one may be there twice.
    pub fn tracks(&self) -> impl Iterator<Item = &SoundTrack> {
        self.audio.iter().filter_map(|audio| audio.track.as_ref()).chain(&self.audio_only_track)
    }
}

impl SoundTrack {
    /// `APP/NAME#TRACK`.
    fn parse(text: &str) -> Option<Self> {
        let (of, number) = text.split_once('#')?;
        let track = number.parse().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit()))?;
        let path = format!("{of}.audio{track}");
        (is_path(of) && is_path(&path)).then(|| Self { path, of: of.to_owned(), track })
    }
}

/// A row: key, allowed, default, what it is.
pub const TABLE: &[[&str; 4]] = &[
    [
        "group.\"APP/NAME\".variants",
        "streams",
        "none",
        "Sizes of one picture, offered together at APP/NAME: [\"live/cam_hi\", \"live/cam_lo\"].",
    ],
    [
        "group.\"APP/NAME\".audio",
        "STREAM LANGUAGE NAME",
        "none",
        "Sound, the default first: [\"live/de de Deutsch\"]; a variant: what it has; S#1: a track.",
    ],
    [
        "group.\"APP/NAME\".audio_only",
        "stream",
        "none",
        "Stream without pictures, for slow links; may be one of `audio`; S#0: the sound of S.",
    ],
];

/// What is wrong with a section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Malformed: no group, or none of its settings.
    #[error("{0:?} is no setting of a group: write it like group.\"live/cam\".variants")]
    Key(String),
    /// Malformed: a value.
    #[error("{key} takes {allowed}")]
    Value {
        /// Which setting.
        key: String,
        /// What it takes.
        allowed: &'static str,
    },
    /// Malformed or exhausted: a language or the name of a rendition.
    #[error(
        "{key} takes STREAM LANGUAGE NAME, like \"live/cam_de de Deutsch\": a language of 1 to \
         {LANGUAGE_BYTES_MAX} letters, digits and -, a name of 1 to {RENDITION_NAME_BYTES_MAX} \
         bytes without \" and comma"
    )]
    Rendition {
        /// Which setting.
        key: String,
    },
    /// Exhausted: sections.
    #[error("there are more than {GROUPS_MAX} sections of group: remove one")]
    TooMany,
    /// Exhausted: streams of one kind.
    #[error("{key} names more than {max}: remove one")]
    TooLong {
        /// Which setting.
        key: String,
        /// The limit.
        max: usize,
    },
    /// Exhausted: sound tracks of one stream.
    #[error("groups take more than {GROUP_TRACKS_MAX} sound tracks of {0}: remove one")]
    Tracks(String),
    /// Misbehaved: a group without variants.
    #[error("group.{0}.variants is missing: write it like [\"live/cam_hi\", \"live/cam_lo\"]")]
    Empty(String),
    /// Misbehaved: a path that is a group's and a stream's.
    #[error("{0} is a group and one of the streams of a group: give the group a path of its own")]
    Itself(String),
    /// Misbehaved: a stream whose media time would follow two others.
    #[error("{0} is in two groups: publish it twice, under two names")]
    Twice(String),
    /// Misbehaved: two things that must differ.
    #[error("group.{path}.{what} names {twice:?} twice: remove one")]
    Repeated {
        /// The group.
        path: String,
        /// The setting.
        what: &'static str,
        /// What is there twice.
        twice: String,
    },
    /// Exhausted: places for streams.
    #[error(
        "limits.streams is {max}: the groups have {wanted} streams; set it to {wanted} or more"
    )]
    Places {
        /// The setting.
        max: u32,
        /// Streams of all groups.
        wanted: usize,
    },
    /// Misbehaved: pictures where there should be none.
    #[error("group.{0}.audio_only is one of its variants: name a stream without pictures")]
    Pictures(String),
}

/// Whether a key belongs to one of these sections.
#[must_use]
pub fn is_group(key: &str) -> bool {
    key.split('.').next() == Some("group")
}

/// Sets one setting of one section, which begins with its first. Several values of one have commas
/// between them.
///
/// # Errors
/// What is wrong.
pub fn set(groups: &mut Vec<GroupConfig>, key: &str, text: &str) -> Result<(), GroupError> {
    // A name may hold dots; what stands behind the last one is the setting.
    let (section, leaf) = key.rsplit_once('.').unwrap_or((key, ""));
    let path = section.strip_prefix("group.").unwrap_or_default().trim_matches('"');
    let key = || key.chars().take(2 * NAME_BYTES_MAX).collect::<String>();
    if !is_path(path) || !["variants", "audio", "audio_only"].contains(&leaf) {
        return Err(GroupError::Key(key()));
    }
    let stream = |path: &str| {
        let allowed = "paths of streams, like live/cam_hi, with commas between them";
        let wrong = || GroupError::Value { key: key(), allowed };
        is_path(path).then(|| path.to_owned()).ok_or_else(wrong)
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let most = |max| {
        let many = parts.clone().count() > max;
        if many { Err(GroupError::TooLong { key: key(), max }) } else { Ok(()) }
    };
    let group = section_of(groups, path).ok_or(GroupError::TooMany)?;
    match leaf {
        "variants" => {
            most(GROUP_VARIANTS_MAX)?;
            group.variants = parts.map(stream).collect::<Result<_, _>>()?;
        }
        "audio" => {
            most(GROUP_AUDIO_MAX)?;
            let read = |part| rendition(part).ok_or_else(|| GroupError::Rendition { key: key() });
            group.audio = parts.map(read).collect::<Result<_, _>>()?;
        }
        _ => {
            let track = SoundTrack::parse(text.trim());
            group.audio_only = match &track {
                Some(track) => Some(track.path.clone()),
                None => Some(stream(text.trim())?),
            };
            group.audio_only_track = track;
        }
    }
    Ok(())
}

/// Looks at the sections as a whole, where there can be so many streams.
///
/// # Errors
/// The first that lacks something, or contradicts another.
pub fn check(groups: &[GroupConfig], max: u32) -> Result<(), GroupError> {
    let wanted = groups.iter().flat_map(GroupConfig::members).count();
    if u32::try_from(wanted).is_ok_and(|wanted| wanted > max) {
        return Err(GroupError::Places { max, wanted });
    }
    for track in groups.iter().flat_map(GroupConfig::tracks) {
        let all = groups.iter().flat_map(GroupConfig::tracks).filter(|one| one.of == track.of);
        let mut numbers = heapless::Vec::<u8, GROUP_TRACKS_MAX>::new();
        for one in all {
            if !numbers.contains(&one.track) && numbers.push(one.track).is_err() {
                return Err(GroupError::Tracks(track.of.clone()));
            }
        }
    }
    for (number, group) in groups.iter().enumerate() {
        let path = &group.path;
        if group.variants.is_empty() {
            return Err(GroupError::Empty(path.clone()));
        }
        let repeated = |what, twice| GroupError::Repeated { path: path.clone(), what, twice };
        if let Some(twice) = twice(&group.variants.iter()) {
            return Err(repeated("variants", twice));
        }
        let streams = twice(&group.audio.iter().map(|audio| &audio.stream));
        // RFC 8216 §4.3.4.1.1: a name is unique in its group.
        if let Some(twice) = streams.or_else(|| twice(&group.audio.iter().map(|audio| &audio.name)))
        {
            return Err(repeated("audio", twice));
        }
        if group.audio_only.as_ref().is_some_and(|path| group.variants.contains(path)) {
            return Err(GroupError::Pictures(path.clone()));
        }
        let sources = group.tracks().map(|track| track.of.as_str());
        for member in group.members().chain(sources) {
            if groups.iter().any(|group| group.path == member) {
                return Err(GroupError::Itself(member.to_owned()));
            }
        }
        for member in group.members() {
            let others = groups.iter().skip(number + 1);
            if others.flat_map(GroupConfig::members).any(|other| other == member) {
                return Err(GroupError::Twice(member.to_owned()));
            }
        }
    }
    Ok(())
}

/// The section of `path`, begun if there is none; none if there are too many.
fn section_of<'g>(groups: &'g mut Vec<GroupConfig>, path: &str) -> Option<&'g mut GroupConfig> {
    let known = groups.iter().position(|group| group.path == path);
    if known.is_none() {
        if groups.len() >= GROUPS_MAX {
            return None;
        }
        groups.push(GroupConfig { path: path.to_owned(), ..GroupConfig::default() });
    }
    match known {
        Some(at) => groups.get_mut(at),
        None => groups.last_mut(),
    }
}

/// `STREAM LANGUAGE NAME`.
fn rendition(text: &str) -> Option<AudioRendition> {
    let (stream, rest) = text.split_once(char::is_whitespace)?;
    let (language, name) = rest.trim_start().split_once(char::is_whitespace)?;
    let name = name.trim();
    let is_tag = language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_name = !name.contains(|c: char| c == '"' || c.is_control());
    let fits = (1..=LANGUAGE_BYTES_MAX).contains(&language.len())
        && (1..=RENDITION_NAME_BYTES_MAX).contains(&name.len());
    let track = SoundTrack::parse(stream);
    let stream = track.as_ref().map_or(stream, |track| track.path.as_str()).to_owned();
    (is_path(&stream) && is_tag && is_name && fits).then(|| AudioRendition {
        stream,
        track,
        language: language.to_owned(),
        name: name.to_owned(),
    })
}

/// Application and name.
fn is_path(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= NAME_BYTES_MAX
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    (2..=GROUP_PARTS_MAX).contains(&text.split('/').count())
        && text.split('/').all(is_part)
        && text.len() <= 2 * NAME_BYTES_MAX
}

/// The first text that is there twice.
fn twice<'t>(texts: &(impl Iterator<Item = &'t String> + Clone)) -> Option<String> {
    let again = |(number, text): &(usize, &String)| {
        texts.clone().take(*number).any(|before| before == *text)
    };
    texts.clone().enumerate().find(again).map(|(_, text)| text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::GROUP_MEMBERS_MAX;
    use proptest::prelude::*;

    fn all(pairs: &[(&str, &str)]) -> Result<Vec<GroupConfig>, String> {
        let mut groups = Vec::new();
        for (key, text) in pairs {
            set(&mut groups, key, text).map_err(|error| error.to_string())?;
        }
        check(&groups, 64).map_err(|error| error.to_string())?;
        Ok(groups)
    }

    #[test]
    fn section_gathers_streams_that_are_offered_together() {
        let groups = all(&[
            ("group.live/cam.variants", "live/cam_hi, live/cam_lo"),
            ("group.\"live/cam\".audio", "live/cam_hi en English,live/cam_de de-AT Wien, laut "),
        ]);
        assert!(groups.unwrap_err().contains("takes STREAM LANGUAGE NAME"), "a comma in a name");
        let groups = all(&[
            ("group.live/cam.variants", "live/cam_hi, live/cam_lo"),
            ("group.\"live/cam\".audio", "live/cam_hi en English,live/cam_de de-AT  Wien laut "),
            ("group.live/cam.audio_only", "live/cam_de"),
            ("group.live/hall.1.variants", "live/hall"),
            ("group.live/hall.1.audio_only", "live/radio"),
        ]);
        let groups = groups.unwrap();
        let [cam, hall] = &groups[..] else { panic!() };
        let members: Vec<&str> = cam.members().collect();
        assert_eq!(members, ["live/cam_hi", "live/cam_lo", "live/cam_de"]);
        assert_eq!(
            (cam.audio[1].language.as_str(), cam.audio[1].name.as_str()),
            ("de-AT", "Wien laut")
        );
        assert_eq!(hall.path, "live/hall.1");
        assert_eq!(hall.members().collect::<Vec<_>>(), ["live/hall", "live/radio"]);
    }

    #[test]
    fn sound_track_of_a_stream_is_a_stream_of_its_own() {
        let groups = all(&[
            ("group.live/cam.variants", "live/hi,live/lo"),
            ("group.live/cam.audio", "live/hi en English,live/hi#1 de Deutsch"),
            ("group.live/cam.audio_only", "live/lo#0"),
        ]);
        let cam = &groups.unwrap()[0];
        let members: Vec<&str> = cam.members().collect();
        assert_eq!(members, ["live/hi", "live/lo", "live/hi.audio1", "live/lo.audio0"]);
        let tracks: Vec<_> = cam.tracks().map(|one| (one.of.as_str(), one.track)).collect();
        assert_eq!(tracks, [("live/hi", 1), ("live/lo", 0)]);
        for wrong in ["live/hi#", "live/hi#256", "live/hi#+1", "hi#1", "live/hi#1#2"] {
            let pairs =
                [("group.live/cam.variants", "live/hi"), ("group.live/cam.audio_only", wrong)];
            assert!(all(&pairs).unwrap_err().contains("takes paths of streams"), "{wrong}");
        }
        let pairs =
            [("group.live/cam.variants", "live/hi"), ("group.live/cam.audio_only", "live/cam#1")];
        assert!(all(&pairs).unwrap_err().contains("live/cam is a group and one of"));
    }

    #[test]
    fn every_stream_of_a_group_needs_a_place() {
        let mut groups = Vec::new();
        set(&mut groups, "group.live/cam.variants", "live/hi,live/lo").unwrap();
        set(&mut groups, "group.live/cam.audio", "live/hi#1 de Deutsch").unwrap();
        assert_eq!(check(&groups, 3), Ok(()));
        let error = check(&groups, 2).unwrap_err().to_string();
        let want = "limits.streams is 2: the groups have 3 streams; set it to 3 or more";
        assert_eq!(error, want);
    }

    #[test]
    fn sound_tracks_of_one_stream_are_bounded_over_all_groups() {
        let tracks = |from: usize, many: usize| {
            let one = |n| format!("live/hi#{n} de n{n}");
            (from..from + many).map(one).collect::<Vec<_>>().join(",")
        };
        let groups = |more: usize| {
            let (first, then) = (tracks(0, GROUP_AUDIO_MAX), tracks(GROUP_AUDIO_MAX, more));
            all(&[
                ("group.live/a.variants", "live/hi"),
                ("group.live/a.audio", &first),
                ("group.live/b.variants", "live/lo"),
                ("group.live/b.audio", &then),
            ])
        };
        let rest = GROUP_TRACKS_MAX - GROUP_AUDIO_MAX;
        assert!(groups(rest).is_ok());
        let error = groups(rest + 1).unwrap_err();
        assert_eq!(error, "groups take more than 9 sound tracks of live/hi: remove one");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_helps() {
        let cam = ("group.live/cam.variants", "live/hi,live/lo");
        for (pairs, part) in [
            (&[("group.cam.variants", "live/hi")][..], "no setting of a group: write it like"),
            (&[("group.live/cam.sizes", "live/hi")], "no setting of a group: write it like"),
            (&[("group.live/cam", "")], "no setting of a group: write it like"),
            (&[("group.live/cam.variants", "hi")], "takes paths of streams, like live/cam_hi"),
            (&[("group.live/cam.variants", "live/../hi")], "takes paths of streams"),
            (&[cam, ("group.live/cam.audio", "live/de")], "takes STREAM LANGUAGE NAME"),
            (&[cam, ("group.live/cam.audio", "live/de d_e x")], "takes STREAM LANGUAGE NAME"),
            (&[cam, ("group.live/cam.audio", "live/de de \"x\"")], "without \" and comma"),
            (&[("group.live/cam.audio", "live/de de x")], "group.live/cam.variants is missing"),
            (&[("group.live/cam.variants", " , ")], "group.live/cam.variants is missing"),
            (&[("group.live/cam.variants", "live/cam")], "live/cam is a group and one of"),
            (&[cam, ("group.live/b.variants", "live/cam")], "live/cam is a group and one of"),
            (&[cam, ("group.live/b.variants", "live/lo")], "live/lo is in two groups"),
            (&[("group.live/cam.variants", "live/a,live/a")], "variants names \"live/a\" twice"),
            (
                &[cam, ("group.live/cam.audio", "live/a de x,live/b en x")],
                "audio names \"x\" twice",
            ),
            (
                &[cam, ("group.live/cam.audio", "live/a de x,live/a en y")],
                "audio names \"live/a\" twice",
            ),
            (&[cam, ("group.live/cam.audio_only", "live/hi")], "audio_only is one of its variants"),
        ] {
            let error = all(pairs).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn sections_streams_and_names_are_bounded() {
        let mut groups = Vec::new();
        for n in 0..GROUPS_MAX {
            set(&mut groups, &format!("group.live/{n}.variants"), "live/x").unwrap();
        }
        let more = set(&mut groups, "group.live/more.variants", "live/x");
        assert_eq!(more, Err(GroupError::TooMany));
        let streams = |many: usize, tail: &str| {
            (0..many).map(|n| format!("live/s{n}{tail}{n}")).collect::<Vec<_>>().join(",")
        };
        let variants = |many| all(&[("group.live/cam.variants", &streams(many, "_"))]);
        assert!(variants(GROUP_VARIANTS_MAX).is_ok());
        assert!(variants(GROUP_VARIANTS_MAX + 1).unwrap_err().contains("names more than"));
        let audio = |many| {
            let (hi, sound) = (streams(GROUP_VARIANTS_MAX, "_"), streams(many, " de n"));
            all(&[
                ("group.live/cam.variants", &hi),
                ("group.live/cam.audio", &sound),
                ("group.live/cam.audio_only", "live/radio"),
            ])
        };
        let most = audio(GROUP_AUDIO_MAX).unwrap();
        assert_eq!(most[0].members().count(), GROUP_MEMBERS_MAX);
        assert!(audio(GROUP_AUDIO_MAX + 1).unwrap_err().contains("names more than"));
        let named = |language: usize, name: usize| {
            rendition(&format!("live/a {} {}", "d".repeat(language), "n".repeat(name))).is_some()
        };
        assert!(named(LANGUAGE_BYTES_MAX, RENDITION_NAME_BYTES_MAX));
        let deep = |parts: usize| is_path(&vec!["a"; parts].join("/"));
        assert!(deep(GROUP_PARTS_MAX) && !deep(GROUP_PARTS_MAX + 1));
        assert!(!named(LANGUAGE_BYTES_MAX + 1, 1) && !named(1, RENDITION_NAME_BYTES_MAX + 1));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(key in "group\\.[a-z/.\"]{0,20}", text in "\\PC{0,60}") {
            let mut groups = Vec::new();
            if set(&mut groups, &key, &text).is_ok() {
                prop_assert_eq!(groups.len(), 1);
            }
            let _ = check(&groups, 4);
        }
    }
}
