//! How long players and caches may keep what they get: one answer per kind of resource.
//!
//! | resource | may be kept |
//! |---|---|
//! | playlist that goes on | no: asked for again each time, with its entity tag |
//! | playlist that has ended | an hour |
//! | segment | as long as it will be there (R39); its bytes never change under its name |
//!
//! A date is said only while the clock is known to be right; the seconds are said always. Source:
//! draft-pantos-http-live-streaming-12 §6.2.2, RFC 9111 §5.2, §5.3.

use crate::limits::ENDED_AGE_S;
use crate::service::store::{PlaylistView, SegmentView};
use crate::time::Instant;
use crate::wire::http::{Cache, DateText, date_text};

/// For a playlist.
pub(super) fn playlist(view: &PlaylistView<'_>, wall: Option<u64>) -> Cache {
    if view.is_ended {
        return Cache::For { max_age_s: ENDED_AGE_S, expires: date(wall, ENDED_AGE_S) };
    }
    Cache::NoCache
}

/// For a segment.
pub(super) fn segment(view: &SegmentView, now: Instant, wall: Option<u64>) -> Cache {
    let left = view.planned.map(|planned| planned.left(now).as_secs());
    let left = left.and_then(|seconds| u32::try_from(seconds).ok());
    let max_age_s = left.unwrap_or(ENDED_AGE_S);
    Cache::Immutable { max_age_s, expires: date(wall, max_age_s) }
}

fn date(wall: Option<u64>, seconds: u32) -> Option<DateText> {
    date_text(wall?.saturating_add(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::playlist::Planned;

    #[test]
    fn segment_that_nothing_will_remove_is_kept_for_an_hour() {
        let mut view = SegmentView {
            slot: 0,
            generation: 0,
            bytes: 188,
            version: 1,
            created_unix: None,
            planned: None,
            content_type: "video/mp2t",
        };
        let now = Instant(7_500_000);
        let expires = date_text(784_111_777 + u64::from(ENDED_AGE_S));
        let cache = segment(&view, now, Some(784_111_777));
        assert_eq!(cache, Cache::Immutable { max_age_s: ENDED_AGE_S, expires });
        view.planned = Some(Planned::until(Instant(9_000_000)));
        assert_eq!(segment(&view, now, None), Cache::Immutable { max_age_s: 1, expires: None });
    }
}
