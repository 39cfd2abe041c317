//! Groups of streams: which stream is in which, and the master playlist at the path of each.
//!
//! What members share in time, `media::group` decides; what the master says, `media::playlist`.
//! Here is who is listed: a stream that is on the air and known, from when on its playlist begins
//! within a target duration of that of the member that has been there longest (R64), until it
//! leaves. While no variant is on the air the last master stays, as the playlists do.
//! Source: RFC 8216 §4.3.4, §6.2.4.

use super::Store;
use super::names::{I_FRAMES, MASTER, MASTER_TEMPORARY, PLAYLIST, masked};
use super::row::Row;
use super::stream::Stream;
use super::text::Text;
use super::variant::{master_age_s, view};
use super::view::PlaylistView;
use crate::config::group::GroupConfig;
use crate::limits::{GROUP_MASTER_BYTES_MAX, GROUP_MEMBERS_MAX, GROUP_TAGS_MAX};
use crate::media::group::{Group, Share};
use crate::media::playlist::{GroupAudio, GroupOffer, GroupVariant, Offer};
use crate::media::sink::Segment;
use crate::status::{Counter, Status};
use crate::sys::folder::Folder;
use crate::time::{Instant, Ticks};
use crate::wire::writer::Writer;
use std::fs;
use std::path::Path;

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    all: Box<[Together]>,
    /// Group and member that a stream is, by its number.
    of: Box<[Option<(usize, usize)>]>,
    /// Room for a master playlist that may be no news.
    scratch: Box<[u8]>,
}

/// One group.
#[derive(Debug)]
struct Together {
    config: GroupConfig,
    group: Group,
    members: heapless::Vec<Known, GROUP_MEMBERS_MAX>,
    text: Text,
    /// None until there is something to put into it.
    folder: Option<Folder>,
}

/// A member.
#[derive(Debug)]
struct Known {
    path: String,
    is_listed: bool,
    /// Segments in a row at whose end its clock was not that of the others.
    rough: u8,
    problem: &'static str,
}

/// What there is to say of a segment that ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// Discontinuity tags in front of it.
    pub(super) tags: u8,
    /// Discontinuity sequence number of it.
    pub(super) number: u64,
    /// Target duration, once it is settled.
    pub(super) target_s: Option<u32>,
}

/// Segments in a row after which a clock is said to be another one.
const ROUGH_SEGMENTS: u8 = 2;

const ROUGH: &str = "its clock is not that of its group, with which it is only roughly aligned: \
    publish all of the group from one encoder";
const PICTURES: &str = "it has pictures where its group wants sound alone, and is left out: \
    publish it without video";
const SILENT: &str = "it has no sound where its group wants some, and is left out: publish it \
    with audio";

impl Groups {
    /// Private memory of so many groups, in bytes.
    pub(super) const fn bytes(groups: usize) -> usize {
        let one = Text::footprint(GROUP_MASTER_BYTES_MAX) + size_of::<Together>();
        groups * one + if groups > 0 { GROUP_MASTER_BYTES_MAX } else { 0 }
    }

    pub(super) fn new(configs: &[GroupConfig], segment: Ticks, streams: usize) -> Self {
        let scratch = if configs.is_empty() { 0 } else { GROUP_MASTER_BYTES_MAX };
        Self {
            all: configs.iter().map(|config| Together::new(config, segment)).collect(),
            of: vec![None; streams].into_boxed_slice(),
            scratch: vec![0; scratch].into_boxed_slice(),
        }
    }

    /// The stream at `path` has this number from now on. False if it is in no group.
    pub(super) fn take(&mut self, stream: usize, path: &str) -> bool {
        let place = self.all.iter().enumerate().find_map(|(number, one)| {
            Some((number, one.members.iter().position(|member| member.path == path)?))
        });
        if let Some(of) = self.of.get_mut(stream) {
            *of = place;
        }
        place.is_some()
    }

    /// Somebody publishes the stream.
    pub(super) fn comes(&mut self, stream: usize) {
        if let Some((group, member)) = self.of_mut(stream) {
            group.comes(member);
        }
    }

    /// Nobody does any more.
    pub(super) fn goes(&mut self, stream: usize) {
        if let Some((group, member)) = self.of_mut(stream) {
            group.goes(member);
        }
        if let Some(known) = self.known_mut(stream) {
            (known.is_listed, known.rough, known.problem) = (false, 0, "");
        }
    }

    /// The place of the stream is given up.
    pub(super) fn forget(&mut self, stream: usize) {
        self.goes(stream);
        if let Some(of) = self.of.get_mut(stream) {
            *of = None;
        }
    }

    /// What the stream shares with others, if it does.
    pub(super) fn share(
        &mut self,
        stream: usize,
        now: Instant,
        discontinuities: u64,
    ) -> Option<Share<'_>> {
        let (group, member) = self.of_mut(stream)?;
        Some(Share { group, member, now, discontinuities })
    }

    /// The stream's open segment ends, behind `had` discontinuities.
    pub(super) fn ends(
        &mut self,
        stream: usize,
        segment: &Segment,
        had: u64,
        now: Instant,
        status: &Status,
    ) -> Option<Ending> {
        let (group, member) = self.of_mut(stream)?;
        let (writing, late) = group.ends(member, segment.start, segment.discontinuity, had);
        status.add(Counter::GroupLate, late.into());
        let rough = group.is_rough(member, now);
        let target_s = group.target_s();
        let tags = u8::try_from(writing.saturating_sub(had)).unwrap_or(u8::MAX).min(GROUP_TAGS_MAX);
        let number = had.saturating_add(tags.into());
        let known = self.known_mut(stream)?;
        known.rough = if rough { known.rough.saturating_add(1) } else { 0 };
        // While all jump, some have and some have not.
        if known.rough == ROUGH_SEGMENTS && known.problem.is_empty() {
            known.problem = ROUGH;
            status.add(Counter::GroupRough, 1);
        } else if !rough && known.problem == ROUGH {
            known.problem = "";
        }
        Some(Ending { tags, number, target_s })
    }

    /// The group of the stream.
    pub(super) fn group_mut(&mut self, stream: usize) -> Option<&mut Group> {
        self.of_mut(stream).map(|(group, _)| group)
    }

    /// Whether `stream` is in the same group.
    pub(super) fn is_beside(&self, one: usize, stream: usize) -> bool {
        let group = |stream: usize| self.of.get(stream).copied().flatten().map(|(group, _)| group);
        group(one).is_some() && group(one) == group(stream)
    }

    /// What is wrong with the stream in its group; empty if nothing is.
    pub(super) fn problem(&self, stream: usize) -> &'static str {
        let place = self.of.get(stream).copied().flatten();
        let known = place.and_then(|(group, member)| self.all.get(group)?.members.get(member));
        known.map_or("", |known| known.problem)
    }

    /// The master playlist of the group at `path`.
    pub(super) fn view(&self, path: &str) -> Option<PlaylistView<'_>> {
        let one = self.all.iter().find(|one| one.config.path == path)?;
        let target_s = one.group.target_s().unwrap_or(0);
        view(&one.text, target_s, (master_age_s(target_s), false))
    }

    pub(super) fn check_invariants(&self) {
        for one in &self.all {
            one.group.check_invariants();
        }
    }

    fn of_mut(&mut self, stream: usize) -> Option<(&mut Group, usize)> {
        let (group, member) = (*self.of.get(stream)?)?;
        Some((&mut self.all.get_mut(group)?.group, member))
    }

    fn known_mut(&mut self, stream: usize) -> Option<&mut Known> {
        let (group, member) = (*self.of.get(stream)?)?;
        self.all.get_mut(group)?.members.get_mut(member)
    }
}

impl Together {
    fn new(config: &GroupConfig, segment: Ticks) -> Self {
        let mut group = Group::new(segment);
        let mut members = heapless::Vec::new();
        for path in config.members() {
            let known = Known { path: path.to_owned(), is_listed: false, rough: 0, problem: "" };
            let fits = members.push(known).is_ok();
            let fits = fits && group.add(config.variants.iter().any(|variant| variant == path));
            debug_assert!(fits, "as many as settings may name");
        }
        let text = Text::new(GROUP_MASTER_BYTES_MAX);
        Self { config: config.clone(), group, members, text, folder: None }
    }

    /// Decides who is listed; false if no variant is.
    fn choose(&mut self, streams: &[Option<Stream>], rows: &[Row]) -> bool {
        let here = |path: &str| {
            let on_air = |stream: &&Stream| {
                stream.publisher.is_some() && stream.variant.offer(&stream.playlist).is_some()
            };
            streams.iter().flatten().find(|stream| stream.path == path).filter(on_air)
        };
        let variants = self.config.variants.iter().filter_map(|path| here(path));
        let Some(first) = variants.min_by_key(|stream| stream.publisher) else { return false };
        let target_s = i64::from(self.group.target_s().unwrap_or(0));
        for known in &mut self.members {
            let Some(stream) = here(&known.path) else {
                known.is_listed = false;
                continue;
            };
            let apart = match (start(first, rows), start(stream, rows)) {
                (Some(one), Some(other)) => one.minus(other).0.abs(),
                (Some(_) | None, _) => i64::MAX,
            };
            let is_variant = self.config.variants.contains(&known.path);
            let offer = stream.variant.offer(&stream.playlist);
            let pictures = offer.is_some_and(Offer::has_pictures);
            let sounds = offer.is_some_and(Offer::has_sounds);
            let wrong = match () {
                () if !is_variant && pictures => PICTURES,
                () if !is_variant && !sounds => SILENT,
                () => "",
            };
            if known.problem != ROUGH || !wrong.is_empty() {
                known.problem = wrong;
            }
            let fits = known.is_listed || apart <= Ticks::from_millis(1_000 * target_s).0;
            known.is_listed = wrong.is_empty() && fits;
        }
        true
    }

    /// Writes the master playlist into `room`.
    fn emit(&self, streams: &[Option<Stream>], w: &mut Writer<'_>) -> bool {
        let listed = |path: &str| {
            let known = self.members.iter().find(|known| known.path == path);
            known.filter(|known| known.is_listed)?;
            streams.iter().flatten().find(|stream| stream.path == path)
        };
        let key = |stream: &Stream| stream.playlist.listed().last().and_then(|last| last.key);
        let variant = |path: &'_ String, renditions| {
            let stream = listed(path)?;
            Some(GroupVariant {
                offer: stream.variant.offer(&stream.playlist)?,
                path: &stream.path,
                i_frames: stream.variant.has_i_frames(),
                renditions,
                key: key(stream),
            })
        };
        let is_rendition =
            |path: &String| self.config.audio.iter().any(|audio| audio.stream == *path);
        let radio = self.config.audio_only.iter();
        let radio = radio.filter_map(|path| variant(path, is_rendition(path)));
        let variants = self.config.variants.iter().filter_map(|path| variant(path, true));
        let audio = self.config.audio.iter().filter_map(|audio| {
            let stream = listed(&audio.stream)?;
            let within = self.config.variants.contains(&audio.stream);
            let offer = stream.variant.offer(&stream.playlist).filter(|_| !within);
            Some(GroupAudio {
                offer,
                path: &stream.path,
                name: &audio.name,
                language: &audio.language,
                key: key(stream).filter(|_| !within),
            })
        });
        let mut offer = GroupOffer {
            path: &self.config.path,
            variants: variants.chain(radio).collect(),
            audio: audio.collect(),
        };
        offer.emit(w, PLAYLIST, I_FRAMES).is_ok()
    }

    /// Puts a new master playlist in place of the old one.
    fn replace(&mut self, root: &Path, text: &[u8]) {
        let path = &self.config.path;
        if self.folder.is_none() {
            let folder = root.join(path);
            let opened = fs::create_dir_all(&folder).and_then(|()| Folder::open(&folder));
            if let Err(cause) = &opened {
                log::error!("group has no folder group={} cause=\"{cause}\"", masked(path));
            }
            self.folder = opened.ok();
        }
        let place = (self.folder.as_ref(), MASTER, MASTER_TEMPORARY);
        self.text.replace(place, path, |out| out.bytes(text));
    }
}

/// Where the playlist of a stream begins in media time.
fn start(stream: &Stream, rows: &[Row]) -> Option<Ticks> {
    let first = stream.playlist.listed().next()?;
    rows.get(first.slot).map(|row| row.start)
}

impl Store {
    /// Private memory of the groups that `config` has, in bytes.
    #[must_use]
    pub const fn group_bytes(groups: usize) -> usize {
        Groups::bytes(groups)
    }

    /// What is wrong with a stream in its group; empty if nothing is.
    #[must_use]
    pub fn group_problem(&self, stream: usize) -> &'static str {
        self.groups.problem(stream)
    }

    /// The stream at `path` gets this place, with numbers that go on from `own`; with `resumes`,
    /// behind a discontinuity. Gives the discontinuity sequence number and target duration that it
    /// begins with, if it is in a group: all members have those of one group, whichever of them an
    /// earlier run has left.
    pub(super) fn begin_beside(
        &mut self,
        (stream, path): (usize, &str),
        own: u64,
        resumes: bool,
    ) -> Option<(u64, Option<u32>)> {
        if !self.groups.take(stream, path) {
            return None;
        }
        let (group, _) = self.groups.of.get(stream).copied().flatten()?;
        let Groups { all, .. } = &mut self.groups;
        let Together { group, members, .. } = all.get_mut(group)?;
        if !group.is_fresh() {
            group.go_on_from(own);
            return Some((group.discontinuities(), group.target_s()));
        }
        let mut from = own.saturating_add(resumes.into());
        for Known { path, .. } in members {
            // One that goes on with what is listed has the numbers of that.
            let seated = self.streams.iter().flatten().find(|stream| *stream.path == **path);
            let left = match seated {
                Some(stream) => stream.playlist.discontinuities(),
                None if self.ledger.knows(path) => self.ledger.begin(path).discontinuity,
                None => continue,
            };
            from = from.max(left.saturating_add(resumes.into()));
        }
        group.go_on_from(from);
        let begins = group.discontinuities().saturating_sub(resumes.into());
        Some((begins.max(own), group.target_s()))
    }

    /// The target duration of a stream is settled: so is that of all beside it.
    pub(super) fn settle_beside(&mut self, stream: usize, target_s: Option<u32>) {
        let Some(group) = self.groups.group_mut(stream) else { return };
        group.settle(target_s);
        let settled = group.target_s();
        for (other, place) in self.streams.iter_mut().enumerate() {
            if let Some(place) = place.as_mut().filter(|_| self.groups.is_beside(stream, other)) {
                place.playlist.settle(settled);
            }
        }
    }

    /// Makes the master playlist of the group of `stream` anew, if it says something else now.
    pub(super) fn offer_beside(&mut self, stream: usize) {
        let Some(Some((group, _))) = self.groups.of.get(stream).copied() else { return };
        let Groups { all, scratch, .. } = &mut self.groups;
        let Some(one) = all.get_mut(group) else { return };
        if !one.choose(&self.streams, &self.rows) {
            return;
        }
        let mut w = Writer::new(scratch);
        if one.emit(&self.streams, &mut w) && w.written() != one.text.body() {
            one.replace(&self.root, w.written());
        }
    }
}
