//! The end of a presentation, and what follows it.
//!
//! ```text
//!  listed ──end──► ended, as long as it lasts ──► gone (404), its segments kept as long again
//!                        │ a publisher comes                    │
//!                        └──────────────► gone ──first segment──┴──► listed, numbers going on
//! ```
//!
//! `EXT-X-ENDLIST` is never taken back (R31): who has read it does not ask again, and who asks
//! later is told that the playlist is gone (R41) until another presentation has its first segment.
//! That one has the same address, which is what is written on the wall and in players' settings,
//! and higher numbers (R11), so that no cache and no player takes one for the other.
//! Source: RFC 8216 §6.2.1; sheet §6.

use crate::media::playlist::PlaylistConfig;
use crate::service::store::Store;
use crate::service::store::names::masked;
use crate::status::Counter;
use crate::time::Instant;
use core::time::Duration;

/// Why a presentation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was asked for.
    Command,
    /// The publisher has been away for `hls.away_end_s`.
    Away,
    /// An event has no room in `hls.tmpfs_mib`.
    Full,
    /// An event has as many segments as `hls.event_minutes` foresees.
    Long,
}

impl Cause {
    const fn text(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Away => "publisher away for hls.away_end_s",
            Self::Full => "hls.tmpfs_mib is used up",
            Self::Long => "hls.event_minutes are over",
        }
    }
}

impl Store {
    /// Ends the presentation of a stream for good: what waits is listed, and `EXT-X-ENDLIST`
    /// (R38). Says whether it has ended; one without a segment has nothing to end.
    pub fn end(&mut self, stream: usize, now: Instant, cause: Cause) -> bool {
        let Some(place) = self.streams.get_mut(stream).and_then(Option::as_mut) else {
            return false;
        };
        let change = place.playlist.end(now);
        if !change.updated {
            return place.playlist.is_ended();
        }
        let lasts = Duration::from_micros(place.playlist.micros());
        place.gone_at = Some(now.after(lasts));
        log::info!(
            "presentation ended stream={} lasts_s={} cause=\"{}\"",
            masked(&place.path),
            lasts.as_secs(),
            cause.text()
        );
        self.status.add(Counter::PlaylistsEnded, 1);
        self.apply(stream, &change);
        true
    }

    /// Whether the presentation of a stream has ended and is still to be had.
    pub(super) fn is_ended(&self, stream: usize) -> bool {
        let place = self.streams.get(stream).and_then(Option::as_ref);
        place.is_some_and(|place| place.gone_at.is_some())
    }

    /// Ends what has been away too long, and takes down what ended long enough ago.
    pub(super) fn end_due(&mut self, now: Instant) {
        for stream in 0..self.streams.len() {
            let Some(place) = self.streams.get(stream).and_then(Option::as_ref) else { continue };
            let away = place.publisher.is_none().then(|| now.since(place.away_since));
            match place.gone_at {
                Some(gone_at) if gone_at <= now => self.take_down(stream, now),
                None if away.zip(self.away_max).is_some_and(|(away, most)| away >= most) => {
                    self.end(stream, now, Cause::Away);
                }
                Some(_) | None => {}
            }
        }
    }

    /// Makes a presentation that has ended unavailable. Its segments stay for as long as it
    /// lasted (R41); the next one's numbers go on where its own stop.
    pub(super) fn take_down(&mut self, stream: usize, now: Instant) {
        while let Some(retired) = self.playlist_mut(stream).and_then(|p| p.take_down(now)) {
            self.retire(stream, &retired);
        }
        let Some(place) = self.streams.get_mut(stream).and_then(Option::as_mut) else { return };
        place.gone_at = None;
        place.resumes = true;
        place.versions_before += place.playlist.version();
        place.playlist.renew(PlaylistConfig {
            media_sequence: place.playlist.media_sequence(),
            discontinuity_sequence: place.playlist.discontinuity_sequence(),
            ..self.config
        });
        place.text.clear();
        place.variant.begin(place.playlist.media_sequence());
        place.remove_names();
        log::info!("presentation gone stream={}", masked(&place.path));
    }
}
