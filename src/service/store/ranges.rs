//! What happens at which date: cue points and what others say, as date ranges of a playlist.
//!
//! Nothing is listed of a stream that is not dated, or while the clock cannot be believed.
//! Source: RFC 8216 §4.3.2.7.

use crate::media::cue::Cue;
use crate::media::playlist::{DateRange, RangeError};
use crate::service::store::Store;
use crate::time::{Ticks, UnixMillis};
use core::fmt::Write as _;

impl Store {
    /// The date of media time `at` of a stream, a decode time, while it is dated.
    #[must_use]
    pub fn date_of(&self, stream: usize, at: Ticks) -> Option<UnixMillis> {
        // A clock that cannot be believed now gives no date.
        self.clock.and_then(|clock| clock())?;
        self.streams.get(stream)?.as_ref()?.dates.of(at.micros())
    }

    /// Lists a date range with the stream's next segment.
    ///
    /// # Errors
    /// `Undated` if the stream has no dates now, `Repeated` or `Full`.
    pub fn date_range(&mut self, stream: usize, range: DateRange) -> Result<(), RangeError> {
        self.date_of(stream, Ticks::ZERO).ok_or(RangeError::Undated)?;
        let playlist = self.playlist_mut(stream).ok_or(RangeError::Undated)?;
        playlist.date_range(range)
    }

    /// Lists a cue point at media time `at`. Properties that do not fit are left out.
    ///
    /// # Errors
    /// As `date_range`.
    pub fn cue(&mut self, stream: usize, at: Ticks, cue: &Cue<'_>) -> Result<(), RangeError> {
        let date = self.date_of(stream, at).ok_or(RangeError::Undated)?;
        let place = self.streams.get_mut(stream).and_then(Option::as_mut);
        let place = place.ok_or(RangeError::Undated)?;
        place.cues += 1;
        let mut id = heapless::String::<48>::new();
        let written = write!(id, "cue-{}-{}", date.0, place.cues);
        debug_assert!(written.is_ok());
        let duration_ms = cue.duration_ms().unwrap_or(0);
        let mut range = DateRange::new(&id, cue.name(), date, Some(duration_ms))?;
        let mut left_out = 0u32;
        cue.each(&mut |property| {
            // The date is the time, and the duration is said already.
            let said = property.group.is_empty() && matches!(property.name, "time" | "duration");
            if !said && range.attribute(property.name, property.value).is_err() {
                left_out += 1;
            }
        });
        if left_out > 0 {
            log::debug!("cue point is listed in part properties_left_out={left_out}");
        }
        self.date_range(stream, range)
    }
}
