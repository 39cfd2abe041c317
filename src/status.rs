//! Counters and gauges that services write and every face reads.
//!
//! One thread owns them; they are plain cells. Nothing here formats or logs.

use core::cell::Cell;

/// Declares the counters once: variant, stable name, help.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal,)*) => {
        /// What is counted; each has a stable name that logs, page and API share.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $help])+ $variant,)* }

        impl Counter {
            /// All counters, in the order they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Stable name, lower case with underscores.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

counters! {
    // RTMP
    /// Connections accepted on the RTMP port.
    RtmpAccepted = "rtmp_accepted",
    /// Connections refused because every publisher place was taken.
    RtmpRefused = "rtmp_refused",
    /// Pauses in accepting, because the kernel refused: most likely no descriptor was left.
    RtmpAcceptsPaused = "rtmp_accepts_paused",
    /// Connections closed because the peer broke a rule.
    RtmpErrors = "rtmp_errors",
    /// Media and control bytes received from publishers.
    RtmpBytesIn = "rtmp_bytes_in",
    /// Media and control bytes sent to players and upstreams.
    RtmpBytesOut = "rtmp_bytes_out",
    /// Times a player or upstream was too slow and went on at the next keyframe.
    RtmpOverruns = "rtmp_overruns",
    /// Players that asked for a stream.
    RtmpPlays = "rtmp_plays",
    /// Players turned away: no such stream, no place, or not allowed.
    RtmpPlaysRefused = "rtmp_plays_refused",
    /// Complete messages received.
    RtmpMessagesIn = "rtmp_messages_in",
    /// Messages of a type, command or event that is unknown here, ignored.
    RtmpUnknown = "rtmp_unknown",
    /// Calls refused: a name that is not allowed, or more streams than a connection may have.
    RtmpCallsRefused = "rtmp_calls_refused",
    /// Partial messages dropped by abort, restart or overrun.
    RtmpPartialsDropped = "rtmp_partials_dropped",
    /// Media messages dropped because nothing was being published on their stream.
    RtmpStrayMedia = "rtmp_stray_media",
    /// Data messages that did not parse, and what is too long to be kept for those who join.
    RtmpDataDropped = "rtmp_data_dropped",
    // Media
    /// Messages whose codec MPEG-TS cannot carry here, dropped.
    MediaUnsupported = "media_unsupported",
    /// Messages that did not parse as their codec says, dropped.
    MediaMalformed = "media_malformed",
    /// Pictures and audio frames dropped because no keyframe had come yet.
    MediaBeforeKeyframe = "media_before_keyframe",
    /// Pictures and audio packets dropped because no slot was free for their segment.
    MediaWithoutSlot = "media_without_slot",
    /// Pictures and audio packets dropped because a whole slot cannot take them.
    MediaTooLarge = "media_too_large",
    /// Audio packets dropped because the ring was overwritten before they were due.
    MediaOverrun = "media_overrun",
    /// Jumps of media time that started a new timeline.
    MediaJumps = "media_jumps",
    /// Wraps of a sender's clock that passed unseen.
    MediaWraps = "media_wraps",
    /// Samples moved 1 ms behind the one before, because their time repeated or went back.
    MediaClamped = "media_clamped",
    /// Composition times out of bounds, taken as 0.
    MediaCompositionRefused = "media_composition_refused",
    /// Corrections of the audio sample count to the sender's clock.
    MediaReanchored = "media_reanchored",
    /// Tracks of messages beside the one that HLS takes, ignored.
    MediaOtherTracks = "media_other_tracks",
    /// Messages of timed data that no segment holds: none was open, or nothing in them is text.
    MetadataDropped = "metadata_dropped",
    /// Silent frames written because audio had stopped.
    MediaSilence = "media_silence",
    /// Audio frames that came too late: silence had been written for their time.
    MediaOverSilence = "media_over_silence",
    // HLS
    /// Segments closed and listed.
    Segments = "segments",
    /// Segments cut at the hard limit, without a keyframe.
    SegmentsForced = "segments_forced",
    /// Segments cut early because their slot was full.
    SlotsFull = "slots_full",
    /// Slots given new pages because somebody still referred to the old ones.
    SlotsRenewed = "slots_renewed",
    /// Slots used again before their retention had passed, for lack of another.
    RetentionCut = "retention_cut",
    /// Playlist updates made earlier than half a target duration after the last.
    UpdatesEarly = "updates_early",
    /// Segments removed although less than three target durations remained, for lack of room.
    WindowCut = "window_cut",
    /// Segments removed before the end of their window, because room was tight.
    WindowShortened = "window_shortened",
    /// Playlists ended: by command, by a camera's absence, or an event that was full.
    PlaylistsEnded = "playlists_ended",
    /// Segments listed shorter than they are, since they exceeded the target duration.
    SegmentsOverlong = "segments_overlong",
    /// Cue points that no playlist lists: the stream has no dates, or too many of them.
    CuesDropped = "cues_dropped",
    /// Pictures and audio packets dropped where a stream goes on at the next cut of its group.
    GroupWaits = "group_waits",
    /// Members of groups that were found on a clock of their own: they are only roughly aligned.
    GroupRough = "group_rough",
    /// Discontinuities that members of a group could mark only a segment after another.
    GroupLate = "group_late",
    /// Sound tracks that a group wants as streams of their own, and for which there was no place.
    GroupTracksRefused = "group_tracks_refused",
    /// Key pictures beyond those that the I-frame playlist lists of one segment.
    IFramesUnlisted = "i_frames_unlisted",
    // HTTP
    /// HTTP connections accepted.
    HttpAccepted = "http_accepted",
    /// HTTP connections refused because every viewer place was taken.
    HttpRefused = "http_refused",
    /// Pauses in accepting over HTTP, because the kernel refused.
    HttpAcceptsPaused = "http_accepts_paused",
    /// HTTP requests answered, any status.
    HttpRequests = "http_requests",
    /// HTTP requests answered 4xx or 5xx.
    HttpErrors = "http_errors",
    /// HTTP requests for the playlist of a stream that is expected, and was not there in time.
    HttpExpected = "http_expected",
    /// HTTP connections closed because a deadline passed.
    HttpTimeouts = "http_timeouts",
    /// HTTP responses reset because their slot was needed and would not drain.
    HttpResets = "http_resets",
    /// Body bytes sent over HTTP.
    HttpBytesOut = "http_bytes_out",
    // Publisher authentication
    /// Publishers refused for a wrong or stale response, or after too many of them.
    RtmpAuthRefused = "rtmp_auth_refused",
    // RTMPT
    /// Tunnels opened.
    TunnelsOpened = "tunnels_opened",
    /// Tunnels refused because every place was taken.
    TunnelsRefused = "tunnels_refused",
    /// Publishers and players refused for the address that they come from.
    RtmpAddressRefused = "rtmp_address_refused",
    // TLS
    /// Connections that ended before their TLS handshake: another protocol, garbage, or silence.
    TlsUnfinished = "tls_unfinished",
    // RTMPE
    /// Connections that are encrypted by RTMPE.
    RtmpeOpened = "rtmpe_opened",
    /// Connections that wanted RTMPE and were refused: it is off, or too many came at once.
    RtmpeRefused = "rtmpe_refused",
    /// Publishers, players and viewers refused for a missing or wrong key, user or password.
    KeysRefused = "keys_refused",
    /// The same refused unheard, after too many wrong ones from their address.
    AttemptsBarred = "attempts_barred",
    /// Publishers that took their stream from an older connection.
    Takeovers = "rtmp_takeovers",
    /// RTMP connections closed at once, because their address had too many.
    RtmpCrowded = "rtmp_crowded",
    /// Requests for the key of a segment refused for the address that they come from.
    HlsKeysRefused = "hls_keys_refused",
    /// HTTP requests within TLS that belong to no tunnel: there is nothing else there.
    HttpsRefused = "https_refused",
    /// Playlist versions compressed, for viewers that take gzip.
    PlaylistsPacked = "playlists_packed",
}

/// All counters of the process, zero at start.
#[derive(Debug)]
pub struct Status {
    counts: [Cell<u64>; Counter::ALL.len()],
}

impl Status {
    /// Every counter at zero.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "zero is only meaningful at process start")]
    pub const fn new() -> Self {
        Self { counts: [const { Cell::new(0) }; Counter::ALL.len()] }
    }

    /// Adds `n` to a counter; wraps after 2^64.
    #[expect(clippy::as_conversions, reason = "the discriminant of a fieldless enum")]
    pub fn add(&self, counter: Counter, n: u64) {
        if let Some(cell) = self.counts.get(counter as usize) {
            cell.set(cell.get().wrapping_add(n));
        }
    }

    /// Current value of a counter.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the discriminant of a fieldless enum")]
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts.get(counter as usize).map_or(0, Cell::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_apart_and_names_unique() {
        let status = Status::new();
        status.add(Counter::Segments, 2);
        assert_eq!(status.get(Counter::Segments), 2);
        assert_eq!(status.get(Counter::SegmentsForced), 0);
        for (i, a) in Counter::ALL.iter().enumerate() {
            assert!(Counter::ALL.iter().skip(i + 1).all(|b| b.name() != a.name()));
        }
    }
}
