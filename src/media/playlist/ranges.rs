//! The date ranges of a playlist: what happens at which date.
//!
//! A range is text from the start and never changes: it is listed in front of the segment that was
//! being made when it came, and in front of the first one when that has left. It goes when its last
//! date is before the window, and with the last segment that is dated: a playlist with a range must
//! have a date (RFC 8216 §4.3.2.7). What is open at its end counts as a moment: nobody will close
//! it. Source: RFC 8216 §4.3.2.7.

use crate::limits::{DATE_RANGE_BYTES_MAX, DATE_RANGES_MAX};
use crate::time::UnixMillis;
use crate::wire::date::{self, DATE_BYTES};
use crate::wire::writer::{Full, Writer};
use core::fmt::Write as _;
use core::ops::Range;

/// Why a date range is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Malformed: a name that is no attribute's.
    #[error("date range has an attribute without a name of A to Z, 0 to 9 and hyphens")]
    Name,
    /// Misbehaved: there is one with this ID, or an attribute of this name.
    #[error("date range repeats an ID or a name that is there")]
    Repeated,
    /// Misbehaved: the stream has no dates.
    #[error("stream has no dates: see hls.dates, and whether the clock is set")]
    Undated,
    /// Exhausted: bytes of one.
    #[error("date range is longer than {DATE_RANGE_BYTES_MAX} bytes")]
    TooLong,
    /// Exhausted: places.
    #[error("all {DATE_RANGES_MAX} date ranges of the stream are listed")]
    Full,
}

/// A date range, ready to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateRange {
    text: heapless::String<DATE_RANGE_BYTES_MAX>,
    /// Bytes of it up to the end of the ID.
    id_bytes: usize,
    end: UnixMillis,
}

impl DateRange {
    /// A range with this ID, of a class of those that mean the same, which begins at `start` and
    /// lasts `duration_ms`, 0 for a moment. Quotation marks in texts become apostrophes.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn new(
        id: &str,
        class: &str,
        start: UnixMillis,
        duration_ms: Option<u64>,
    ) -> Result<Self, RangeError> {
        let mut range = Self { text: heapless::String::new(), id_bytes: 0, end: start };
        range.push("#EXT-X-DATERANGE:ID=")?;
        range.quote(id)?;
        range.id_bytes = range.text.len();
        range.push(",CLASS=")?;
        range.quote(class)?;
        range.push(",START-DATE=")?;
        let mut room = [0; DATE_BYTES];
        let emitted = date::emit(&mut Writer::new(&mut room), start);
        debug_assert!(emitted.is_ok());
        range.quote(core::str::from_utf8(&room).unwrap_or_default())?;
        if let Some(millis) = duration_ms {
            range.end = UnixMillis(start.0.saturating_add(millis));
            let (seconds, millis) = (millis / 1000, millis % 1000);
            let written = write!(range.text, ",DURATION={seconds}.{millis:03}");
            written.map_err(|core::fmt::Error| RangeError::TooLong)?;
        }
        Ok(range)
    }

    /// Adds an attribute of the sender's own: `X-` and `name` in capitals, what is neither letter
    /// nor digit as a hyphen.
    ///
    /// # Errors
    /// `Name`, `Repeated` or `TooLong`; the range is as it was then.
    pub fn attribute(&mut self, name: &str, value: &str) -> Result<(), RangeError> {
        let before = self.text.len();
        let added = self.add(name, value);
        if added.is_err() {
            self.text.truncate(before);
        }
        added
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), RangeError> {
        if !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            return Err(RangeError::Name);
        }
        let from = self.text.len();
        self.push(",X-")?;
        for c in name.chars() {
            let c = if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '-' };
            self.text.push(c).map_err(|_| RangeError::TooLong)?;
        }
        self.push("=")?;
        let (before, new) = self.text.split_at_checked(from).unwrap_or_default();
        if before.contains(new) {
            return Err(RangeError::Repeated);
        }
        self.quote(value)
    }

    fn quote(&mut self, text: &str) -> Result<(), RangeError> {
        self.push("\"")?;
        for c in text.chars() {
            let c = match c {
                '"' => '\'',
                c if c.is_control() => ' ',
                c => c,
            };
            self.text.push(c).map_err(|_| RangeError::TooLong)?;
        }
        self.push("\"")
    }

    fn push(&mut self, text: &str) -> Result<(), RangeError> {
        self.text.push_str(text).map_err(|_| RangeError::TooLong)
    }

    fn id(&self) -> Option<&str> {
        self.text.get(..self.id_bytes)
    }
}

/// The ranges of one playlist, in the order they came.
#[derive(Clone, Debug)]
pub(super) struct Ranges(heapless::Vec<(u64, DateRange), DATE_RANGES_MAX>);

impl Ranges {
    pub(super) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Takes a range, to be listed in front of the segment with this sequence number.
    pub(super) fn add(&mut self, sequence: u64, range: DateRange) -> Result<(), RangeError> {
        if self.0.iter().any(|(_, other)| other.id() == range.id()) {
            return Err(RangeError::Repeated);
        }
        self.0.push((sequence, range)).map_err(|_| RangeError::Full)
    }

    /// Drops those whose dates are before `window`, the first date there is. Those that come with
    /// segment `listed.end` or later are not listed yet. Says whether one goes from in front of a
    /// listed segment.
    pub(super) fn retire(&mut self, window: Option<UnixMillis>, listed: Range<u64>) -> bool {
        let mut rewrites = false;
        self.0.retain(|(sequence, range)| {
            let stays = *sequence >= listed.end || window.is_some_and(|window| range.end >= window);
            rewrites |= !stays && *sequence >= listed.start;
            stays
        });
        rewrites
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes those whose segment has left: it was before the `first`.
    pub(super) fn emit_left(&self, w: &mut Writer<'_>, first: u64) -> Result<(), Full> {
        self.emit_where(w, |sequence| sequence < first)
    }

    /// Writes those that stand in front of a segment.
    pub(super) fn emit(&self, w: &mut Writer<'_>, segment: u64) -> Result<(), Full> {
        self.emit_where(w, |sequence| sequence == segment)
    }

    fn emit_where(&self, w: &mut Writer<'_>, is_meant: impl Fn(u64) -> bool) -> Result<(), Full> {
        for (sequence, range) in &self.0 {
            if is_meant(*sequence) {
                w.bytes(range.text.as_bytes())?;
                w.u8(b'\n')?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::m3u8::Attributes;
    use proptest::prelude::*;

    /// 2026-01-05T10:20:30.123Z.
    const T: UnixMillis = UnixMillis(1_767_608_430_123);

    fn range(id: &str) -> DateRange {
        DateRange::new(id, "c", T, Some(0)).unwrap()
    }

    fn listed(ranges: &Ranges, segment: u64, first: bool) -> usize {
        let mut room = [0; 8 * DATE_RANGE_BYTES_MAX];
        let mut w = Writer::new(&mut room);
        if first {
            ranges.emit_left(&mut w, segment).unwrap();
        }
        ranges.emit(&mut w, segment).unwrap();
        w.written().split(|byte| *byte == b'\n').count() - 1
    }

    #[test]
    fn date_range_is_written_as_the_standard_has_it() {
        let mut range = DateRange::new("a\"b", "onCuePoint", T, Some(12_345)).unwrap();
        range.attribute("name", "Tor 1\n").unwrap();
        range.attribute("foo bar", "1").unwrap();
        assert_eq!(range.attribute("NAME", "2"), Err(RangeError::Repeated));
        assert_eq!(range.attribute("--", "2"), Err(RangeError::Name));
        assert_eq!(
            range.text,
            "#EXT-X-DATERANGE:ID=\"a'b\",CLASS=\"onCuePoint\",\
             START-DATE=\"2026-01-05T10:20:30.123Z\",DURATION=12.345,X-NAME=\"Tor 1 \",\
             X-FOO-BAR=\"1\""
        );
    }

    #[test]
    fn attribute_that_does_not_fit_leaves_no_trace() {
        let mut range = range("x");
        let before = range.clone();
        let value = "v".repeat(DATE_RANGE_BYTES_MAX - before.text.len() - 7);
        assert_eq!(range.attribute("N", &format!("{value}v")), Err(RangeError::TooLong));
        assert_eq!(range, before);
        range.attribute("N", &value).unwrap();
        assert_eq!(range.text.len(), DATE_RANGE_BYTES_MAX);
        let id = "i".repeat(DATE_RANGE_BYTES_MAX);
        assert_eq!(DateRange::new(&id, "", T, None), Err(RangeError::TooLong));
    }

    #[test]
    fn ranges_have_ids_and_places_of_their_own() {
        let mut ranges = Ranges::new();
        for n in 0..DATE_RANGES_MAX {
            ranges.add(0, range(&n.to_string())).unwrap();
        }
        assert_eq!(ranges.add(0, range("x")), Err(RangeError::Full));
        assert_eq!(ranges.add(0, range("3")), Err(RangeError::Repeated));
    }

    #[test]
    fn range_stands_before_its_segment_then_first_until_its_dates_are_gone() {
        let mut ranges = Ranges::new();
        ranges.add(7, DateRange::new("x", "", T, Some(4_000)).unwrap()).unwrap();
        assert_eq!([6, 7, 8].map(|n| listed(&ranges, n, n == 6)), [0, 1, 0]);
        assert_eq!([8, 9].map(|n| listed(&ranges, n, n == 8)), [1, 0]);
        assert!(!ranges.retire(None, 7..7));
        assert_eq!(listed(&ranges, 7, true), 1, "it is not listed yet");
        assert!(!ranges.retire(Some(UnixMillis(T.0 + 4_000)), 8..8));
        assert_eq!(listed(&ranges, 7, true), 1, "its last moment");
        assert!(!ranges.retire(Some(UnixMillis(T.0 + 4_001)), 8..8), "its segment had left");
        assert_eq!(listed(&ranges, 7, true), 0);
        ranges.add(7, range("y")).unwrap();
        assert!(ranges.retire(None, 7..8), "a line goes");
        assert_eq!(listed(&ranges, 7, true), 0, "no segment is dated");
    }

    proptest! {
        #[test]
        fn date_ranges_are_attribute_lists_whatever_they_hold(
            id in "\\PC{0,20}", class in "\\PC{0,20}", millis in any::<u64>(),
            duration_ms in prop::option::of(any::<u64>()),
            own in prop::collection::vec(("\\PC{0,10}", "\\PC{0,30}"), 0..6),
        ) {
            let range = DateRange::new(&id, &class, UnixMillis(millis), duration_ms);
            let Ok(mut range) = range else { return Ok(()) };
            for (name, value) in own {
                let before = range.text.clone();
                let added = range.attribute(&name, &value);
                prop_assert!(added.is_ok() || range.text == before);
            }
            let list = range.text.strip_prefix("#EXT-X-DATERANGE:").unwrap();
            let mut names = Vec::new();
            for attribute in Attributes::new(list) {
                let name = attribute.unwrap().name.to_owned();
                prop_assert!(!names.contains(&name), "R5: {name} twice");
                names.push(name);
            }
            prop_assert_eq!(&names[..3], &["ID", "CLASS", "START-DATE"]);
        }
    }
}
