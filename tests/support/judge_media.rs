//! Compares what came out of HLS with what was sent in: every access unit, every byte, every time.
//!
//! A *run* is a series of segments without EXT-X-DISCONTINUITY. Within a run, presentation time is
//! `(ms + cts) * 90 + C` and decode time `ms * 90 + C - S`, to the tick; S is a constant of the
//! muxer that leaves room for negative composition times, at most 200 ms. Audio counts samples and
//! stays within 1 ms of `ms * 90 + C`.

use super::flv::Sent;
use super::follow::{self, Got};
use super::ts::Unwrap;
use super::{es, faults};

/// Decode times may be this much earlier than message times, by one constant: 200 ms.
const SHIFT_MAX: i64 = 200 * 90;

/// What may differ between streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Audio may stay this many ticks off its message time beyond 1 ms (sources with jitter).
    pub audio_slack: i64,
    /// Audio may leave the sample clock by this many ticks: muxers that stamp by message time.
    pub sample_slack: i64,
    /// Audio has a time base of its own in the input: its first frame sets its constant.
    pub own_audio_base: bool,
    /// Expected number of runs; 0 is "any".
    pub runs: usize,
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Compared {
    pub video: usize,
    pub audio: usize,
    pub bytes: usize,
    pub runs: usize,
    pub audio_off_max: i64,
    /// S of the last run, in ticks.
    pub shift: i64,
    pub faults: Vec<String>,
}

impl Compared {
    pub fn assert_clean(&self, what: &str) {
        faults::assert_none(what, &self.faults);
        println!(
            "{what}: {} video units and {} audio frames ({} bytes) equal, {} run(s), \
             audio at most {} ticks off, decode times {} ticks early",
            self.video, self.audio, self.bytes, self.runs, self.audio_off_max, self.shift
        );
    }
}

struct OutUnit {
    run: usize,
    segment: u64,
    pts: i64,
    dts: i64,
    nals: Vec<Vec<u8>>,
}

struct OutFrame {
    run: usize,
    segment: u64,
    pts: i64,
    frame: es::Frame,
}

#[derive(Default)]
struct Output {
    runs: usize,
    video: Vec<OutUnit>,
    audio: Vec<OutFrame>,
    faults: Vec<String>,
}

/// Compares the segments with everything that was sent, over all sessions in order.
pub fn compare(sent: &Sent, got: &[Got], rules: Rules) -> Compared {
    let out = collect(got);
    let mut done = Compared { runs: out.runs, faults: out.faults.clone(), ..Compared::default() };
    if rules.runs != 0 && rules.runs != out.runs {
        done.faults.push(format!("{} runs, want {}", out.runs, rules.runs));
    }
    let anchors: Vec<Option<(i64, i64)>> =
        (0..out.runs).map(|run| anchor(sent, &out, run)).collect();
    video(sent, &out, &anchors, &mut done);
    audio(sent, &out, &anchors, rules, &mut done);
    done
}

fn collect(got: &[Got]) -> Output {
    let mut out = Output::default();
    let mut clock = Unwrap::default();
    for (one, segment) in follow::apart(got) {
        if one.entry.discontinuity || out.runs == 0 {
            clock = Unwrap::default();
            out.runs += 1;
        }
        let (video, audio) = (segment.video_pid(), segment.audio_pid());
        let mpeg = segment
            .pmt
            .as_ref()
            .is_some_and(|p| p.streams.iter().any(|(_, kind)| matches!(kind, 3 | 4)));
        for pes in &segment.pes {
            let (dts, pts) = clock.times(pes);
            let (run, number) = (out.runs - 1, one.entry.sequence);
            let fault =
                |text: String| format!("segment {number} packet {}: {text}", pes.first_packet);
            if Some(pes.pid) == video {
                match es::annex_b(&pes.data) {
                    Ok(nals) => out.video.push(OutUnit { run, segment: number, pts, dts, nals }),
                    Err(text) => out.faults.push(fault(text)),
                }
            } else if Some(pes.pid) == audio {
                match if mpeg { es::mpeg_audio(&pes.data) } else { es::adts(&pes.data) } {
                    Ok(frames) => {
                        let mut samples = 0_i64;
                        for frame in frames {
                            let pts = pts
                                + (samples * 90_000 + i64::from(frame.rate) / 2)
                                    / i64::from(frame.rate);
                            samples += i64::from(frame.samples);
                            out.audio.push(OutFrame { run, segment: number, pts, frame });
                        }
                    }
                    Err(text) => out.faults.push(fault(text)),
                }
            }
        }
    }
    out
}

/// C and S of a run: from its first video unit, else its first audio frame.
fn anchor(sent: &Sent, out: &Output, run: usize) -> Option<(i64, i64)> {
    let video = out.video.iter().zip(&sent.video).find(|(unit, _)| unit.run == run);
    if let Some((unit, sent)) = video {
        let constant = unit.pts - (sent.ms + i64::from(sent.cts)) * 90;
        return Some((constant, sent.ms * 90 + constant - unit.dts));
    }
    let (frame, sent) = out.audio.iter().zip(&sent.audio).find(|(frame, _)| frame.run == run)?;
    Some((frame.pts - sent.ms * 90, 0))
}

fn video(sent: &Sent, out: &Output, anchors: &[Option<(i64, i64)>], done: &mut Compared) {
    if sent.video.len() != out.video.len() {
        done.faults.push(format!(
            "{} video units sent, {} came out",
            sent.video.len(),
            out.video.len()
        ));
    }
    for (n, (want, have)) in sent.video.iter().zip(&out.video).enumerate() {
        let fault = |text: String| {
            format!("video unit {n} ({} ms, segment {}): {text}", want.ms, have.segment)
        };
        let (sets, rest): (Vec<_>, Vec<_>) = have
            .nals
            .iter()
            .filter(|nal| !matches!(nal.first().map(|b| b & 31), None | Some(9 | 12)))
            .cloned()
            .partition(|nal| matches!(nal[0] & 31, 7 | 8));
        if rest != want.nals {
            let sizes =
                |nals: &[Vec<u8>]| nals.iter().map(|n| (n[0] & 31, n.len())).collect::<Vec<_>>();
            done.faults.push(fault(format!(
                "NAL units differ: sent {:?}, came {:?}",
                sizes(&want.nals),
                sizes(&rest)
            )));
        }
        if want.idr && want.sets.iter().any(|set| !sets.contains(set)) {
            done.faults
                .push(fault("a parameter set in force is missing before the IDR".to_owned()));
        }
        if sets.iter().any(|set| !want.sets.contains(set)) {
            done.faults.push(fault("a parameter set that is not in force was written".to_owned()));
        }
        if let Some((constant, shift)) = anchors[have.run] {
            // A sender that gives two units one time: decode times must rise, so 1 ms is added.
            let again = if n > 0 && sent.video[n - 1].ms == want.ms { 90 } else { 0 };
            let pts = (want.ms + i64::from(want.cts)) * 90 + constant + again;
            let dts = want.ms * 90 + constant - shift + again;
            if have.pts != pts || have.dts != dts {
                done.faults.push(fault(format!(
                    "PTS {} DTS {}, want {pts} and {dts}",
                    have.pts, have.dts
                )));
            }
            done.shift = shift;
            if !(0..=SHIFT_MAX).contains(&shift) {
                done.faults.push(fault(format!("decode times are shifted by {shift} ticks")));
            }
        }
        done.bytes += want.nals.iter().map(Vec::len).sum::<usize>();
        done.video += 1;
    }
}

fn audio(
    sent: &Sent,
    out: &Output,
    anchors: &[Option<(i64, i64)>],
    rules: Rules,
    done: &mut Compared,
) {
    if sent.audio.len() != out.audio.len() {
        done.faults.push(format!(
            "{} audio frames sent, {} came out",
            sent.audio.len(),
            out.audio.len()
        ));
    }
    let mut series: Option<(usize, i64, i64, u32)> = None; // run, first time, samples since, rate
    for (n, (want, have)) in sent.audio.iter().zip(&out.audio).enumerate() {
        let fault = |text: String| {
            format!("audio frame {n} ({} ms, segment {}): {text}", want.ms, have.segment)
        };
        if want.bytes != have.frame.bytes {
            done.faults.push(fault(format!(
                "{} bytes sent, other {} bytes came out",
                want.bytes.len(),
                have.frame.bytes.len()
            )));
        }
        if want.adts != have.frame.adts || want.rate != have.frame.rate {
            done.faults.push(fault(format!(
                "ADTS says {:?} {} Hz, sent {:?} {} Hz",
                have.frame.adts, have.frame.rate, want.adts, want.rate
            )));
        }
        let own = || {
            out.audio
                .iter()
                .zip(&sent.audio)
                .find(|(f, _)| f.run == have.run)
                .map(|(f, s)| f.pts - s.ms * 90)
        };
        let constant = if rules.own_audio_base {
            own()
        } else {
            anchors[have.run].map(|(constant, _)| constant)
        };
        if let Some(constant) = constant {
            let off = have.pts - (want.ms * 90 + constant);
            done.audio_off_max = done.audio_off_max.max(off.abs());
            if off.abs() > 90 + rules.audio_slack {
                done.faults.push(fault(format!("{off} ticks off its message time")));
            }
        }
        // By samples from the first frame of the run, unless the source itself jumps.
        let jumped = n > 0 && {
            let step = want.ms - sent.audio[n - 1].ms;
            (step * i64::from(want.rate) - i64::from(want.samples) * 1000).abs()
                > 40 * i64::from(want.rate)
        };
        series = match series {
            Some((run, first, samples, rate))
                if run == have.run && rate == want.rate && !jumped =>
            {
                let by_samples = first + samples * 90_000 / i64::from(rate);
                if (have.pts - by_samples).abs() > 2 + rules.sample_slack {
                    done.faults.push(fault(format!("PTS {}, by samples {by_samples}", have.pts)));
                }
                Some((run, first, samples + i64::from(want.samples), rate))
            }
            _ => Some((have.run, have.pts, i64::from(want.samples), want.rate)),
        };
        done.bytes += want.bytes.len();
        done.audio += 1;
    }
}
