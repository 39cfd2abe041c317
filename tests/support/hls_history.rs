//! The project's own history checker at work in a test: a thread that follows a playlist, through
//! restarts of the server, until it is told to stop; and recordings of other servers, replayed.
//!
//! Everything it finds is `rillcast::media::history`'s; `tests/hls_history.rs` shows that it finds
//! the faults of known-bad servers. Does NOT start or stop any server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rillcast::app::check::{self, CheckFault, Step, Watched};
use rillcast::media::history::{Allowance, Answer, Class, History, Next};
use rillcast::time::Instant;

const ON: u8 = 0;
const RESTARTED: u8 = 1;
const ENOUGH: u8 = 2;

/// A watch that goes on in a thread of its own.
pub struct Watch {
    word: Arc<AtomicU8>,
    thread: JoinHandle<Result<Watched, CheckFault>>,
}

impl Watch {
    /// Follows a master or media playlist, `http://…`.
    pub fn start(url: &str, allowance: Allowance) -> Self {
        let word = Arc::new(AtomicU8::new(ON));
        let (told, url) = (Arc::clone(&word), url.to_owned());
        let thread = std::thread::spawn(move || {
            check::follow(&url, allowance, &mut |_| match told.load(Ordering::Relaxed) {
                ENOUGH => Step::Enough,
                RESTARTED => {
                    let _ =
                        told.compare_exchange(RESTARTED, ON, Ordering::Relaxed, Ordering::Relaxed);
                    Step::Restarted
                }
                _ => Step::On,
            })
        });
        Self { word, thread }
    }

    /// The server was started anew: call it while nobody answers, or right behind.
    pub fn restarted(&self) {
        self.word.store(RESTARTED, Ordering::Relaxed);
    }

    /// Ends the watch.
    pub fn stop(self) -> Watched {
        self.word.store(ENOUGH, Ordering::Relaxed);
        self.thread.join().expect("the watch").expect("a playlist")
    }

    /// Watches for a while longer, then ends.
    pub fn stop_after(self, time: Duration) -> Watched {
        std::thread::sleep(time);
        self.stop()
    }
}

/// Fails the test when anything was found.
pub fn assert_clean(watched: &Watched) {
    let lines: Vec<String> = watched.findings.iter().map(ToString::to_string).collect();
    assert!(watched.is_clean(), "{watched}\n{}", lines.join("\n"));
}

/// Replays a recording of `scripts/record-hls.sh`: no segments, one version behind the other. What
/// is found, as `R10` or `R37 stale`, each once.
pub fn replay(recording: &str) -> Vec<String> {
    let url = "http://recorded/cam.m3u8";
    let mut versions: Vec<(u64, String)> = Vec::new();
    for line in recording.split_inclusive('\n') {
        match line.strip_prefix('@') {
            Some(at) => versions.push((at.trim().parse().expect("milliseconds"), String::new())),
            None => versions.last_mut().expect("a time first").1.push_str(line),
        }
    }
    let end = versions.last().expect("a version").0 * 1000 + 1_000_000;
    let mut history = History::new(url, Allowance::default(), None);
    let mut now = Instant(0);
    while now.0 < end {
        let want = match history.next(now) {
            Next::Wait(until) => {
                now = until;
                continue;
            }
            Next::Fetch(want) => want,
        };
        if want.url != url {
            history.passed(&want);
            continue;
        }
        let asked = now;
        now = Instant(now.0 + 1000);
        let version = versions.iter().rev().find(|(at, _)| at * 1000 <= asked.0);
        let (status, body) = version.map_or((404, ""), |(_, text)| (200, text.as_str()));
        history.answered(
            &want,
            &Answer {
                asked,
                now,
                status,
                content_type: "",
                length: None,
                expires_s: None,
                is_coded: false,
                body: body.as_bytes(),
            },
        );
    }
    history.finish();
    let mut rules: Vec<String> = Vec::new();
    for finding in history.findings() {
        println!("{finding}");
        let rule = match finding.class {
            Class::Breach => finding.rule.to_string(),
            class => format!("{} {}", finding.rule, class.word()),
        };
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}
