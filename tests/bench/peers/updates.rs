//! What an update of a playlist costs, and that a long one costs no more.

use super::Tools;
use super::offline::field;
use super::servers::Bench;
use super::table::{Row, Target};
use std::process::Command;

/// Time of an update, and of one at the end of a long event over one at its beginning.
pub(crate) fn rows(_: &Bench, tools: &Tools) -> Vec<Row> {
    let output = Command::new(&tools.update).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut window = Row::new("playlist update, window of 10", "µs", Target::Most(200.0));
    window.ours.extend(field(&text, "window_us"));
    window.complete = !window.ours.is_empty();
    window.note = "from the end of a segment until all files are right".into();
    let mut hour = Row::new("one-hour EVENT, last / first updates", "µs", Target::RatioMost(1.1));
    hour.ours.extend(field(&text, "event_late_us"));
    hour.peer.extend(field(&text, "event_early_us"));
    hour.complete = !hour.ours.is_empty();
    hour.note = "the peer is the same event near its beginning".into();
    let mut counted = Row::new("the same, instructions", "instr", Target::RatioMost(1.1));
    counted.ours.extend(instructions(tools, 1_700));
    counted.peer.extend(instructions(tools, 100));
    counted.complete = !counted.ours.is_empty();
    counted.note = "callgrind, one update; the kernel's part is not counted".into();
    vec![window, hour, counted]
}

/// Instructions of an update of an event of so many segments: those of 150 less those of 50.
fn instructions(tools: &Tools, segments: u32) -> Option<f64> {
    let collect = |updates: &str| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&tools.update);
        let output = valgrind.args(["count", &segments.to_string(), updates]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1));
        collected?.trim().parse::<f64>().ok()
    };
    Some((collect("150")? - collect("50")?) / 100.0)
}
