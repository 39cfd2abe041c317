//! Turns an access unit as FLV carries it into an access unit as a transport stream carries it,
//! without moving payload.
//!
//! The result is a list of slices, in order: access unit delimiter, parameter sets before a picture
//! that decoding can start at, start code and NAL unit by turns. The muxer copies them once, to
//! their final place. Decides nothing about time or segments.
//! Source: H.264 Annex B, §7.4.1.2.3; H.265 Annex B, §7.4.2.4.4; H.222.0 §2.14.1, §2.17.1.
//!
//! Quirks tolerated: Annex B data where lengths were promised; delimiters and filler in the data
//! (dropped); parameter sets in band (kept, and remembered when they differ).

use crate::limits::{NAL_UNITS_MAX, PARAMETER_BYTES_MAX};
use crate::media::carriage::VideoFormat;
use crate::wire::h264::{
    self, AvcConfig, LengthBytes, Nal, SliceType, annexb, nals, recovery_point, slice_type,
};
use crate::wire::hevc::{self, HevcConfig};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Access unit delimiters that allow every slice type.
const DELIMITER_H264: [u8; 6] = [0, 0, 0, 1, 0x09, 0xf0];
const DELIMITER_HEVC: [u8; 7] = [0, 0, 0, 1, 0x46, 0x01, 0x50];

/// Why an access unit cannot be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Malformed: no picture in it.
    #[error("access unit of {bytes} bytes holds no slice")]
    NoSlice {
        /// Bytes of the unit.
        bytes: usize,
    },
    /// Exhausted: more NAL units than are taken.
    #[error("access unit holds more than {max} NAL units")]
    TooManyUnits {
        /// Limit.
        max: usize,
    },
    /// Exhausted: parameter sets longer than are kept.
    #[error("parameter sets are longer than {max} bytes")]
    ParameterSets {
        /// Limit.
        max: usize,
    },
}

/// The parameter sets of a track with start codes, as they go before a picture that decoding can
/// start at.
#[derive(Debug)]
pub struct ParameterSets {
    format: VideoFormat,
    bytes: Box<[u8]>,
    len: usize,
    length_bytes: LengthBytes,
}

impl ParameterSets {
    /// Allocates room for parameter sets, once.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "allocates; not a zero value")]
    pub fn new() -> Self {
        let bytes = vec![0; PARAMETER_BYTES_MAX].into_boxed_slice();
        Self { format: VideoFormat::H264, bytes, len: 0, length_bytes: LengthBytes::Four }
    }

    /// Takes over a configuration of H.264. Returns whether the sets differ from those before.
    ///
    /// # Errors
    /// `ParameterSets` if they are too long; there are none then.
    pub fn set(&mut self, config: &AvcConfig<'_>) -> Result<bool, UnitError> {
        self.turn_to(VideoFormat::H264);
        self.length_bytes = config.length_bytes;
        self.replace(config.sps().chain(config.pps()))
    }

    /// Takes over a configuration of HEVC. Returns whether the sets differ from those before.
    ///
    /// # Errors
    /// `ParameterSets` if they are too long; there are none then.
    pub fn set_hevc(&mut self, config: &HevcConfig<'_>) -> Result<bool, UnitError> {
        self.turn_to(VideoFormat::Hevc);
        self.length_bytes = config.length_bytes;
        self.replace(config.sets())
    }

    /// Takes over parameter sets behind start codes, as some encoders send their configuration.
    /// Returns whether they differ from those before.
    ///
    /// # Errors
    /// `ParameterSets` if they are too long; there are none then.
    pub fn set_annexb(&mut self, format: VideoFormat, record: &[u8]) -> Result<bool, UnitError> {
        self.turn_to(format);
        self.length_bytes = LengthBytes::Four;
        self.replace(annexb(record).map(|nal| nal.bytes).filter(|nal| is_set(format, nal)))
    }

    /// What follows is of `format`: sets of another are forgotten. Says whether there were any.
    pub fn turn_to(&mut self, format: VideoFormat) -> bool {
        let others = self.format != format && self.len > 0;
        if self.format != format {
            self.format = format;
            self.len = 0;
        }
        others
    }

    /// Forgets the sets: another publisher begins.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// What the track is.
    #[must_use]
    pub const fn format(&self) -> VideoFormat {
        self.format
    }

    /// The first sequence parameter set, without its start code.
    #[must_use]
    pub fn sps(&self) -> Option<&[u8]> {
        let mut units = annexb(self.bytes()).map(|nal| nal.bytes);
        units.find(|nal| matches!(role(self.format, nal, false), Role::Sps))
    }

    /// Whether there are none yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn replace<'a>(
        &mut self,
        sets: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<bool, UnitError> {
        let bytes: usize = sets.clone().map(|set| START_CODE.len() + set.len()).sum();
        if bytes > self.bytes.len() {
            self.len = 0;
            return Err(UnitError::ParameterSets { max: self.bytes.len() });
        }
        let mut changed = bytes != self.len;
        let mut at = 0;
        for part in sets.flat_map(|set| [&START_CODE[..], set]) {
            if let Some(room) = self.bytes.get_mut(at..at + part.len()) {
                changed |= room != part;
                room.copy_from_slice(part);
            }
            at += part.len();
        }
        debug_assert!(at == bytes);
        self.len = bytes;
        Ok(changed)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A NAL unit's place in the access unit's data.
#[derive(Clone, Copy, Debug)]
struct Unit {
    offset: u32,
    bytes: u32,
}

/// What an access unit is to a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Refers to pictures before it.
    Dependent,
    /// An I picture: decoding can start here if the encoder says so.
    Intra,
    /// Refers to pictures before the random access picture in front of it (RASL of HEVC).
    SkippedLeading,
    /// An I picture at a recovery point, of which the encoder says it, or a clean random access
    /// picture of HEVC: decoding can start here, though later ones may refer to what is before.
    RecoveryPoint,
    /// An IDR picture, or one of HEVC whose links to the past are broken: nothing behind it refers
    /// to what is before it.
    Idr,
}

/// Where the parameter sets in front of a picture come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sets {
    /// It needs none, or none are known.
    Without,
    /// From the configuration.
    Known,
    /// From its own data, and they are what was known before.
    Repeated,
    /// From its own data, and they are new.
    Changed,
}

/// The parts of one access unit; used again for each.
#[derive(Debug)]
pub struct AccessUnit {
    delimiter: &'static [u8],
    units: heapless::Vec<Unit, NAL_UNITS_MAX>,
    sets: Sets,
    kind: Kind,
    bytes: usize,
}

impl AccessUnit {
    /// An access unit without parts.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty unit is not a meaningful value")]
    pub const fn new() -> Self {
        Self {
            delimiter: &[],
            units: heapless::Vec::new(),
            sets: Sets::Without,
            kind: Kind::Dependent,
            bytes: 0,
        }
    }

    /// Finds the parts of `data` and what kind of picture it is. `sets` are updated when the data
    /// brings its own, even where it brings nothing else.
    ///
    /// # Errors
    /// `UnitError`; the unit must then be dropped.
    pub fn gather(&mut self, data: &[u8], sets: &mut ParameterSets) -> Result<(), UnitError> {
        self.units.clear();
        self.kind = Kind::Dependent;
        self.sets = Sets::Without;
        let starts = data.starts_with(&START_CODE) || data.starts_with(&[0, 0, 1]);
        let format = sets.format;
        self.delimiter = match format {
            VideoFormat::H264 => &DELIMITER_H264,
            VideoFormat::Hevc => &DELIMITER_HEVC,
        };
        let found = if starts && is_annexb(format, data, sets.length_bytes) {
            self.collect(format, annexb(data))?
        } else {
            self.collect(format, nals(data, sets.length_bytes))?
        };
        if found.sets.are_all(format) {
            let own = self.units.iter().map(|unit| unit.of(data));
            let changed = sets.replace(own.filter(|nal| is_set(format, nal)))?;
            self.sets = if changed { Sets::Changed } else { Sets::Repeated };
        } else if self.is_random_access() {
            self.sets = Sets::Known;
        }
        if !found.slice {
            return Err(UnitError::NoSlice { bytes: data.len() });
        }
        let units: usize =
            self.units.iter().map(|unit| START_CODE.len() + unit.of(data).len()).sum();
        let before = if self.sets == Sets::Known { sets.len } else { 0 };
        self.bytes = self.delimiter.len() + before + units;
        Ok(())
    }

    /// The encoder says that decoding can start here: believed of an I picture, whose encoder may
    /// not know of recovery points. To be called after `gather`.
    pub fn claim_keyframe(&mut self, sets: &ParameterSets) {
        if self.kind == Kind::Intra {
            self.kind = Kind::RecoveryPoint;
            if self.sets == Sets::Without {
                self.sets = Sets::Known;
                self.bytes += sets.len;
            }
        }
    }

    /// The slices of the unit that was gathered from `data`, in order.
    pub fn slices<'a>(
        &'a self,
        data: &'a [u8],
        sets: &'a ParameterSets,
    ) -> impl Iterator<Item = &'a [u8]> {
        let sets = if self.sets == Sets::Known { sets.bytes() } else { &[] };
        let units = self.units.iter().flat_map(|unit| [&START_CODE[..], unit.of(data)]);
        [self.delimiter, sets].into_iter().chain(units)
    }

    /// Bytes of all slices.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the unit has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether it is an IDR picture, or starts everything anew like one.
    #[must_use]
    pub const fn is_idr(&self) -> bool {
        matches!(self.kind, Kind::Idr)
    }

    /// Whether decoding can start here: an IDR picture, an I picture that says so, or any random
    /// access picture of HEVC.
    #[must_use]
    pub const fn is_random_access(&self) -> bool {
        matches!(self.kind, Kind::Idr | Kind::RecoveryPoint)
    }

    /// Whether it refers to what is before the random access picture in front of it: no decoder
    /// that starts there can show it.
    #[must_use]
    pub const fn is_skipped_leading(&self) -> bool {
        matches!(self.kind, Kind::SkippedLeading)
    }

    /// Whether its own parameter sets differ from those before.
    #[must_use]
    pub const fn parameters_changed(&self) -> bool {
        matches!(self.sets, Sets::Changed)
    }

    /// Lists the units worth carrying and notes what they are.
    fn collect<'a>(
        &mut self,
        format: VideoFormat,
        nals: impl Iterator<Item = Nal<'a>>,
    ) -> Result<Found, UnitError> {
        let mut found = Found { slice: false, sets: SetsSeen::default() };
        let mut recovers = false;
        for nal in nals {
            match role(format, nal.bytes, !found.slice) {
                Role::Dropped => continue,
                Role::Vps => found.sets.vps = true,
                Role::Sps => found.sets.sps = true,
                Role::Pps => found.sets.pps = true,
                Role::Recovery => recovers = true,
                Role::Slice(kind) => {
                    if kind == Kind::Intra && recovers {
                        self.kind = Kind::RecoveryPoint;
                    } else if kind == Kind::Idr || !found.slice {
                        self.kind = kind;
                    }
                    found.slice = true;
                }
                Role::Other => {}
            }
            let (Ok(offset), Ok(bytes)) =
                (u32::try_from(nal.offset), u32::try_from(nal.bytes.len()))
            else {
                continue;
            };
            self.units
                .push(Unit { offset, bytes })
                .map_err(|_| UnitError::TooManyUnits { max: NAL_UNITS_MAX })?;
        }
        Ok(found)
    }
}

/// What a NAL unit is to its access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A delimiter or filler: not carried.
    Dropped,
    Vps,
    Sps,
    Pps,
    /// Says that decoding can start at the slices behind it.
    Recovery,
    /// Picture data; the kind is that of the first slice only.
    Slice(Kind),
    Other,
}

/// What `nal` is; `first` says that no slice was before it.
fn role(format: VideoFormat, nal: &[u8], first: bool) -> Role {
    match format {
        VideoFormat::H264 => role_h264(nal, first),
        VideoFormat::Hevc => role_hevc(nal),
    }
}

fn role_h264(nal: &[u8], first: bool) -> Role {
    use h264::NalType;
    match NalType::of(nal.first().copied().unwrap_or(0)) {
        NalType::Aud | NalType::Filler => Role::Dropped,
        NalType::Sps => Role::Sps,
        NalType::Pps => Role::Pps,
        NalType::Sei if first && recovery_point(nal).is_some() => Role::Recovery,
        NalType::Idr => Role::Slice(Kind::Idr),
        NalType::Slice | NalType::PartitionA | NalType::PartitionB | NalType::PartitionC => {
            let intra = first && matches!(slice_type(nal), Some(SliceType::I | SliceType::Si));
            Role::Slice(if intra { Kind::Intra } else { Kind::Dependent })
        }
        NalType::Sei
        | NalType::EndOfSequence
        | NalType::EndOfStream
        | NalType::SpsExtension
        | NalType::Unknown(_) => Role::Other,
    }
}

fn role_hevc(nal: &[u8]) -> Role {
    use hevc::NalType;
    match NalType::of(nal.first().copied().unwrap_or(0)) {
        NalType::Aud | NalType::Filler => Role::Dropped,
        NalType::Vps => Role::Vps,
        NalType::Sps => Role::Sps,
        NalType::Pps => Role::Pps,
        // Leading pictures of the first kind of broken link cannot be shown, and are not.
        NalType::Idr(_) | NalType::BrokenLink(17 | 18) => Role::Slice(Kind::Idr),
        NalType::CleanAccess | NalType::BrokenLink(_) => Role::Slice(Kind::RecoveryPoint),
        NalType::SkippedLeading(_) => Role::Slice(Kind::SkippedLeading),
        NalType::Slice(_) => Role::Slice(Kind::Dependent),
        NalType::Sei | NalType::Unknown(_) => Role::Other,
    }
}

fn is_set(format: VideoFormat, nal: &[u8]) -> bool {
    matches!(role(format, nal, false), Role::Vps | Role::Sps | Role::Pps)
}

fn is_annexb(format: VideoFormat, data: &[u8], length_bytes: LengthBytes) -> bool {
    match format {
        VideoFormat::H264 => h264::is_annexb(data, length_bytes),
        VideoFormat::Hevc => hevc::is_annexb(data, length_bytes),
    }
}

/// NAL units that were seen in an access unit.
struct Found {
    slice: bool,
    sets: SetsSeen,
}

/// Which kinds of parameter sets were seen.
#[derive(Clone, Copy, Default)]
struct SetsSeen {
    vps: bool,
    sps: bool,
    pps: bool,
}

impl SetsSeen {
    /// Whether they are all that a decoder needs.
    const fn are_all(self, format: VideoFormat) -> bool {
        let video = self.vps || matches!(format, VideoFormat::H264);
        video && self.sps && self.pps
    }
}

impl Unit {
    fn of(self, data: &[u8]) -> &[u8] {
        let (Ok(offset), Ok(bytes)) = (usize::try_from(self.offset), usize::try_from(self.bytes))
        else {
            return &[];
        };
        data.get(offset..offset + bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: [u8; 19] = [
        1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 4, 0x68, 0xce, 0x3c,
        0x80,
    ];

    fn data(units: &[&[u8]]) -> Vec<u8> {
        units
            .iter()
            .flat_map(|u| [&u32::try_from(u.len()).unwrap().to_be_bytes()[..], u].concat())
            .collect()
    }

    fn out(unit: &AccessUnit, data: &[u8], sets: &ParameterSets) -> Vec<u8> {
        let bytes = unit.slices(data, sets).collect::<Vec<_>>().concat();
        assert_eq!(bytes.len(), unit.len());
        bytes
    }

    fn configured() -> ParameterSets {
        let mut sets = ParameterSets::new();
        assert_eq!(sets.set(&AvcConfig::parse(&CONFIG).unwrap()), Ok(true));
        assert_eq!(sets.set(&AvcConfig::parse(&CONFIG).unwrap()), Ok(false));
        sets
    }

    #[test]
    fn annexb_puts_delimiter_and_parameter_sets_before_an_idr() {
        let (mut unit, mut sets) = (AccessUnit::new(), configured());
        let data = data(&[&[0x06, 5, 1, 0, 0x80], &[0x65, 0x88, 0x84]]);
        unit.gather(&data, &mut sets).unwrap();
        assert!(unit.is_idr());
        let expected = [
            &[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0, 0, 0, 1, 0x68][..],
            &[0xce, 0x3c, 0x80, 0, 0, 0, 1, 6, 5, 1, 0, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84],
        ];
        assert_eq!(out(&unit, &data, &sets), expected.concat());
    }

    #[test]
    fn annexb_drops_delimiters_and_filler_and_keeps_the_rest() {
        let (mut unit, mut sets) = (AccessUnit::new(), configured());
        let data = data(&[&[0x09, 0x10], &[0x41, 0x9a], &[0x0c, 0xff, 0x80], &[0x41, 0x22]]);
        unit.gather(&data, &mut sets).unwrap();
        assert!(!unit.is_random_access());
        let expected = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x41, 0x9a, 0, 0, 0, 1, 0x41, 0x22];
        assert_eq!(out(&unit, &data, &sets), expected);
    }

    #[test]
    fn annexb_keeps_parameter_sets_in_band_once_and_remembers_them() {
        let (mut unit, mut sets) = (AccessUnit::new(), configured());
        let own = data(&[&[0x67, 0x42, 0xc0, 0x1f], &[0x68, 1], &[0x65, 0x88]]);
        unit.gather(&own, &mut sets).unwrap();
        assert!(unit.parameters_changed());
        let count = out(&unit, &own, &sets).windows(5).filter(|w| *w == [0, 0, 0, 1, 0x67]).count();
        assert_eq!(count, 1);
        let bare = data(&[&[0x65, 0x88]]);
        unit.gather(&bare, &mut sets).unwrap();
        assert!(!unit.parameters_changed());
        assert!(out(&unit, &bare, &sets).windows(4).any(|w| w == [0x67, 0x42, 0xc0, 0x1f]));
    }

    #[test]
    fn annexb_takes_start_codes_where_lengths_were_promised() {
        let (mut unit, mut sets) = (AccessUnit::new(), configured());
        let data = [0, 0, 0, 1, 0x41, 0x9a, 1, 2, 3, 0, 0, 1, 0x41, 0x22, 5];
        unit.gather(&data, &mut sets).unwrap();
        let expected =
            [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x41, 0x9a, 1, 2, 3, 0, 0, 0, 1, 0x41, 0x22, 5];
        assert_eq!(out(&unit, &data, &sets), expected);
    }

    #[test]
    fn annexb_believes_the_encoder_of_an_i_picture_alone() {
        let (mut unit, mut sets) = (AccessUnit::new(), configured());
        for (slice, believed) in [([0x41, 0x88, 0x84], true), ([0x41, 0x9a, 0x22], false)] {
            let data = data(&[&slice]);
            unit.gather(&data, &mut sets).unwrap();
            assert!(!unit.is_random_access());
            unit.claim_keyframe(&sets);
            assert_eq!(unit.is_random_access(), believed);
            assert!(!unit.is_idr());
            let sps = out(&unit, &data, &sets).windows(4).any(|w| w == [0x67, 0x42, 0xc0, 0x1e]);
            assert_eq!(sps, believed);
        }
    }

    #[test]
    fn annexb_takes_parameter_sets_without_a_picture() {
        let (mut unit, mut sets) = (AccessUnit::new(), ParameterSets::new());
        let own = data(&[&[0x67, 0x42, 0xc0, 0x1e], &[0x68, 0xce]]);
        assert!(matches!(unit.gather(&own, &mut sets), Err(UnitError::NoSlice { .. })));
        assert!(unit.parameters_changed());
        assert_eq!(sets.sps(), Some(&[0x67, 0x42, 0xc0, 0x1e][..]));
    }

    #[test]
    fn annexb_refuses_units_without_a_slice_or_with_too_many_parts() {
        let (mut unit, mut sets) = (AccessUnit::new(), configured());
        let none = data(&[&[0x06, 5, 1, 0, 0x80]]);
        assert_eq!(unit.gather(&none, &mut sets), Err(UnitError::NoSlice { bytes: 9 }));
        let most = data(&vec![&[0x41, 0x9a][..]; NAL_UNITS_MAX]);
        assert_eq!(unit.gather(&most, &mut sets), Ok(()));
        let many = data(&vec![&[0x41, 0x9a][..]; NAL_UNITS_MAX + 1]);
        let refused = Err(UnitError::TooManyUnits { max: NAL_UNITS_MAX });
        assert_eq!(unit.gather(&many, &mut sets), refused);
    }

    #[test]
    fn annexb_keeps_parameter_sets_up_to_their_room() {
        let max = PARAMETER_BYTES_MAX;
        let record = |bytes: usize| {
            let set = [&START_CODE[..], &[0x67]].concat();
            [&set[..], &vec![0x55; bytes - set.len()]].concat()
        };
        let mut sets = ParameterSets::new();
        assert_eq!(sets.set_annexb(VideoFormat::H264, &record(max)), Ok(true));
        assert_eq!(sets.sps().unwrap().len(), max - START_CODE.len());
        let refused = Err(UnitError::ParameterSets { max });
        assert_eq!(sets.set_annexb(VideoFormat::H264, &record(max + 1)), refused);
        assert!(sets.is_empty());
    }
}
