//! One publishing session from end to end: follow it, wait until all has come out, ask every judge.

use std::time::Duration;

use super::flv::{Sent, Tag};
use super::follow::{self, Follower};
use super::rillcast::Rillcast;
use super::rtmp::Raw;
use super::{flv, judge_media, judge_ts, outside};

/// What is expected of the output.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// Series of segments between discontinuities; 0 is "any".
    pub runs: usize,
    /// Segments may begin without an IDR.
    pub forced_cuts: bool,
    /// Ticks that audio may be off beyond 1 ms: the source's own jitter.
    pub audio_slack: i64,
    /// Audio has a time base of its own in the input.
    pub own_audio_base: bool,
    /// ffmpeg decodes the joined segments without a word (it grumbles at a change of picture size).
    pub decodes: bool,
}

impl Default for Expect {
    fn default() -> Self {
        Self { runs: 1, forced_cuts: false, audio_slack: 0, own_audio_base: false, decodes: true }
    }
}

/// Publishes tags with the raw publisher at four times their speed and judges what comes out.
pub fn publish_and_judge(name: &str, tags: &[Tag], chunk: usize, expect: Expect) -> Follower {
    // What came is compared with what goes out, to the frame.
    let rillcast = Rillcast::start(&[("media.fill_silence", "false")]);
    publish_to(&rillcast, "cam", name, tags, chunk, expect)
}

/// As [`publish_and_judge`], to a program that runs already.
pub fn publish_to(
    rillcast: &Rillcast,
    key: &str,
    name: &str,
    tags: &[Tag],
    chunk: usize,
    expect: Expect,
) -> Follower {
    let sent = flv::sent(tags);
    let mut raw = Raw::start(rillcast.rtmp, key, chunk);
    let mut follower = rillcast.follow(key);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            raw.tags(tags, 4.0);
            raw.leave();
        });
        let _ = whole(&mut follower, &sent, Duration::from_secs(30));
    });
    judge(rillcast, key, name, &follower, &sent, expect);
    follower
}

/// Follows until as much has come out as was sent; false when the time is over.
pub fn whole(follower: &mut Follower, sent: &Sent, deadline: Duration) -> bool {
    follower.until(deadline, |f| f.units.0 >= sent.video.len() && f.units.1 >= sent.audio.len())
}

/// Asks every judge about what was received, and compares it with the copy on tmpfs.
pub fn judge(
    rillcast: &Rillcast,
    key: &str,
    name: &str,
    follower: &Follower,
    sent: &Sent,
    expect: Expect,
) {
    assert!(!follower.segments.is_empty(), "{name}: no segments; {:?}", follower.faults);
    follower.assert_clean();
    judge_segments(name, &follower.segments, sent, expect);
    println!(
        "{name}: hls-parser says {}",
        outside::hls_parser(&follower.last_text)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", follower.last_text))
    );
    let (_, copy) = follow::from_folder(&rillcast.folder(key), "index.m3u8")
        .unwrap_or_else(|e| panic!("{name}: on tmpfs: {e}"));
    for here in &copy {
        let same = follower.segments.iter().find(|got| got.entry.sequence == here.entry.sequence);
        let same = same
            .unwrap_or_else(|| panic!("{name}: segment {} is on tmpfs only", here.entry.sequence));
        assert!(
            same.bytes == here.bytes,
            "{name}: segment {} on tmpfs is not what HTTP gave",
            here.entry.sequence
        );
    }
    println!("{name}: {} segments on tmpfs are byte for byte what HTTP gave", copy.len());
}

/// The judges that need only the segments.
pub fn judge_segments(name: &str, got: &[follow::Got], sent: &Sent, expect: Expect) {
    let rules = judge_media::Rules {
        audio_slack: expect.audio_slack,
        sample_slack: 0,
        own_audio_base: expect.own_audio_base,
        runs: expect.runs,
    };
    judge_media::compare(sent, got, rules).assert_clean(name);
    let rules = judge_ts::Rules { forced_cuts: expect.forced_cuts };
    judge_ts::judge(got, rules).assert_clean(name);
    if expect.decodes {
        let (frames, _) =
            outside::ffmpeg_decodes_segments(got).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(frames as usize, sent.video.len(), "{name}: pictures that ffmpeg decodes");
        println!("{name}: ffmpeg decodes {frames} pictures without a word");
    }
}
