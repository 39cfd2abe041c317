//! Silence in place of audio that stops: browsers that have begun with sound wait for it for good.

use crate::camera::{AUDIO, Camera, Judged, LEAD, PPS, SPS, VIDEO, adts, judge};
use rillcast::limits::{
    AUDIO_MISSED_TICKS_MAX, AUDIO_MISSED_TICKS_MIN, SILENCE_AHEAD_TICKS, SILENT_FRAMES_AT_ONCE,
};
use rillcast::status::Counter;

const BOTH: [(u16, u8); 2] = [(VIDEO, 0x1b), (AUDIO, 0x0f)];

/// A raw frame of stereo in which nothing sounds.
const SILENT: [u8; 6] = [0x21, 0, 0, 0, 0, 0x1c];

/// Ticks of an AAC frame at 48 kHz.
const FRAME: i64 = 1_920;

fn camera() -> Camera {
    let mut camera = Camera::new(2_000);
    camera.pipeline.fill_silence(true);
    camera.configure(0);
    camera
}

/// Pictures alone, with a keyframe every two seconds.
fn pictures(camera: &mut Camera, base: u32, from: u32, to: u32) {
    for at in (from..to).step_by(40) {
        camera.frame(base + at, at % 2_000 == 0, 400);
    }
}

/// Time of each audio frame, and whether it is silent.
fn heard(judged: &[Judged]) -> Vec<(i64, bool)> {
    let sounds = judged.iter().flat_map(|segment| &segment.sounds);
    sounds
        .flat_map(|sound| {
            let frames = adts(&sound.data).into_iter().zip(0..);
            frames.map(|(frame, n)| (sound.pts + n * FRAME, frame == SILENT)).collect::<Vec<_>>()
        })
        .collect()
}

fn assert_without_gap(heard: &[(i64, bool)]) {
    for pair in heard.windows(2) {
        // A sender's milliseconds may put a frame up to half of one off its place.
        let step = pair[1].0 - pair[0].0;
        assert!((FRAME / 2..=FRAME * 3 / 2).contains(&step), "{step} at {:?}", pair[0]);
    }
}

#[test]
fn audio_that_stops_goes_on_as_silence_until_it_comes_back() {
    let mut camera = camera();
    camera.run(0, 0, 4_000, 50);
    pictures(&mut camera, 0, 4_000, 12_000);
    assert!(camera.pipeline.problem().contains("silence"), "{}", camera.pipeline.problem());
    camera.run(0, 12_000, 16_000, 50);
    assert_eq!(camera.pipeline.problem(), "");
    let judged = camera.end();
    assert!(judged.iter().all(|segment| segment.tracks() == BOTH), "the program never changes");
    assert!(judged.iter().all(|segment| !segment.segment.discontinuity));
    let heard = heard(&judged);
    assert_without_gap(&heard);
    let silent = heard.iter().filter(|(_, silent)| *silent).count();
    assert_eq!(camera.count(Counter::MediaSilence), silent as u64);
    let span = silent as i64 * FRAME;
    assert!((span - 8_000 * 90).abs() <= 2 * FRAME, "{span}");
    assert_eq!(camera.count(Counter::MediaOverSilence), 0, "all that came back is heard");
    assert_eq!(heard.len() - silent, camera.sounds.len());
}

#[test]
fn audio_is_missed_soon_of_a_sender_that_keeps_step_and_later_of_others() {
    for (behind, patience) in [(0, AUDIO_MISSED_TICKS_MIN), (1_000, AUDIO_MISSED_TICKS_MAX)] {
        for (more, replaced) in [(0, false), (1, true)] {
            let mut camera = camera();
            // Audio that comes a second after its pictures, and then no more.
            pictures(&mut camera, 0, 0, behind);
            for n in 0..188u32 {
                if n % 2 == 0 {
                    let at = behind + n * 20;
                    camera.frame(at, at % 2_000 == 0, 400);
                }
                camera.aac(n * 1024 / 48, 180);
            }
            assert_eq!(camera.count(Counter::MediaSilence), 0);
            let missed = (188 * FRAME + patience.0) as u32 / 90;
            let last = missed.next_multiple_of(40) - 40 + more * 40;
            pictures(&mut camera, 0, behind + 3_760, last + 1);
            let silent = camera.count(Counter::MediaSilence);
            assert_eq!(silent > 0, replaced, "{behind} {more}");
            assert_eq!(camera.count(Counter::MediaOverSilence), 0);
        }
    }
}

#[test]
fn silence_stays_behind_the_pictures_and_goes_to_the_end_when_the_publisher_leaves() {
    let mut camera = camera();
    camera.run(0, 0, 4_000, 50);
    pictures(&mut camera, 0, 4_000, 8_000);
    let before = camera.count(Counter::MediaSilence);
    let judged = camera.end();
    let last = judged.last().unwrap();
    let picture = last.pictures.last().unwrap().dts + LEAD;
    let end = heard(&judged).last().unwrap().0 + FRAME;
    assert!((picture - end).abs() <= FRAME, "{picture} {end}");
    let more = (camera.count(Counter::MediaSilence) - before) as i64 * FRAME;
    let lag = AUDIO_MISSED_TICKS_MIN.0 - SILENCE_AHEAD_TICKS.0;
    assert!((more - lag).abs() <= 2 * FRAME, "{more}");
}

#[test]
fn sound_that_comes_for_a_time_that_was_silent_is_dropped_and_counted() {
    let mut camera = camera();
    camera.run(0, 0, 4_000, 50);
    pictures(&mut camera, 0, 4_000, 8_000);
    // The sender's queue: all that was late, at once.
    for n in 188..375u32 {
        camera.aac(n * 1024 / 48, 180);
    }
    pictures(&mut camera, 0, 8_000, 10_000);
    assert!(camera.count(Counter::MediaOverSilence) > 0);
    assert_without_gap(&heard(&camera.end()));
}

#[test]
fn stream_that_has_the_place_of_another_has_nothing_of_its_sound() {
    let mut camera = camera();
    camera.run(0, 0, 6_000, 50);
    camera.leave();
    camera.pipeline.forget();
    let before = camera.tape.segments.len();
    camera.video_config(0, &SPS, &PPS);
    pictures(&mut camera, 0, 0, 8_000);
    assert_eq!(camera.pipeline.problem(), "");
    camera.leave();
    let judged = judge(&camera.tape.segments[before..]);
    assert!(judged.len() >= 3);
    assert!(judged.iter().all(|segment| segment.tracks() == [(VIDEO, 0x1b)]), "pictures alone");
    assert!(!judged[0].segment.discontinuity, "nothing was before");
}

#[test]
fn publisher_that_comes_back_without_audio_has_silence_from_its_first_picture() {
    let mut camera = camera();
    camera.run(0, 0, 4_000, 50);
    camera.leave();
    camera.video_config(0, &SPS, &PPS);
    pictures(&mut camera, 0, 0, 6_000);
    let judged = camera.end();
    assert!(judged.iter().all(|segment| segment.tracks() == BOTH));
    let second: Vec<_> = judged.iter().skip_while(|s| !s.segment.discontinuity).cloned().collect();
    let heard = heard(&second);
    assert!(heard.iter().all(|(_, silent)| *silent));
    assert_without_gap(&heard);
    assert!((heard[0].0 - second[0].pictures[0].dts - LEAD).abs() <= FRAME);
}

#[test]
fn layer_iii_goes_on_as_frames_without_data() {
    let mut camera = Camera::new(2_000);
    camera.pipeline.fill_silence(true);
    camera.video_config(0, &SPS, &PPS);
    let mut frame = vec![0xff, 0xfb, 0x94, 0x64];
    frame.resize(384, 0x55);
    for at in (0..4_000).step_by(40) {
        camera.frame(at, at % 2_000 == 0, 400);
        camera.send(false, at, &[&[0x2f][..], &frame].concat());
        camera.send(false, at + 24, &[&[0x2f][..], &frame].concat());
    }
    pictures(&mut camera, 0, 4_000, 8_000);
    let judged = camera.end();
    let data: Vec<u8> =
        judged.iter().flat_map(|s| &s.sounds).flat_map(|s| s.data.clone()).collect();
    let mut silent = vec![0xff, 0xfb, 0x14, 0x64];
    silent.resize(96, 0);
    let found = data.windows(96).filter(|window| *window == silent).count() as u64;
    assert!(found > 100);
    assert_eq!(found, camera.count(Counter::MediaSilence));
    assert!(judged.iter().all(|segment| segment.tracks().len() == 2));
}

#[test]
fn codecs_without_a_silence_of_their_own_stop_as_before() {
    let mut camera = Camera::new(2_000);
    camera.pipeline.fill_silence(true);
    camera.video_config(0, &SPS, &PPS);
    let mut frame = vec![0xff, 0xfd, 0x94, 0x64]; // layer II
    frame.resize(480, 0x55);
    for at in (0..4_000).step_by(40) {
        camera.frame(at, at % 2_000 == 0, 400);
        camera.send(false, at, &[&[0x2f][..], &frame].concat());
    }
    pictures(&mut camera, 0, 4_000, 8_000);
    let judged = camera.end();
    assert_eq!(camera.count(Counter::MediaSilence), 0);
    assert_eq!(judged.last().unwrap().tracks().len(), 1);
}

#[test]
fn gap_of_hours_is_not_filled_frame_by_frame() {
    let mut camera = camera();
    camera.run(0, 0, 4_000, 50);
    // Nine seconds are no jump; of frames this short they are more than is written at once.
    pictures(&mut camera, 0, 12_900, 12_940);
    assert!(camera.count(Counter::MediaSilence) <= SILENT_FRAMES_AT_ONCE as u64);
    pictures(&mut camera, 0, 7_200_000, 7_208_000);
    let at_once = camera.count(Counter::MediaSilence);
    assert!(at_once <= 2 * SILENT_FRAMES_AT_ONCE as u64, "{at_once}");
    camera.end();
}
