//! The table: a row a figure, beside its target, and the same as JSON lines.

use std::fmt::Write as _;
use std::path::Path;

/// What a row has to reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Ours over the peer's, at most.
    RatioMost(f64),
    /// Ours over the peer's, at least.
    RatioLeast(f64),
    /// Ours, at most.
    Most(f64),
    /// Printed to be compared between commits.
    None,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Samples; the median counts. Empty when there was nothing to measure.
    pub(crate) ours: Vec<f64>,
    pub(crate) peer: Vec<f64>,
    pub(crate) target: Target,
    /// Whether what was produced is what should be; a fast wrong answer is none.
    pub(crate) complete: bool,
    pub(crate) note: String,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, target: Target) -> Self {
        Self {
            name: name.into(),
            unit,
            ours: Vec::new(),
            peer: Vec::new(),
            target,
            complete: true,
            note: String::new(),
        }
    }

    fn ratio(&self) -> Option<f64> {
        Some(median(&self.ours)? / median(&self.peer)?)
    }

    /// `None` without a target.
    fn reached(&self) -> Option<bool> {
        let at_most = |value: Option<f64>, most| value.is_some_and(|value| value <= most);
        let met = match self.target {
            Target::RatioMost(most) => at_most(self.ratio(), most),
            Target::RatioLeast(least) => self.ratio().is_some_and(|ratio| ratio >= least),
            Target::Most(most) => at_most(median(&self.ours), most),
            Target::None if self.complete => return None,
            Target::None => false,
        };
        Some(met && self.complete)
    }

    pub(crate) fn is_missed(&self) -> bool {
        self.reached() == Some(false)
    }

    fn verdict(&self) -> &'static str {
        match self.reached() {
            None => "-",
            Some(true) => "reached",
            Some(false) => "NOT REACHED",
        }
    }

    fn target(&self) -> String {
        match self.target {
            Target::RatioMost(most) => format!("<= {most:.3}x"),
            Target::RatioLeast(least) => format!(">= {least:.2}x"),
            Target::Most(most) => format!("<= {}", short(most)),
            Target::None => "-".to_owned(),
        }
    }

    pub(crate) fn json(&self, commit: &str) -> String {
        let number = |value: Option<f64>| value.map_or("null".to_owned(), |v| format!("{v:.6}"));
        let list =
            |values: &[f64]| values.iter().map(|v| format!("{v:.6}")).collect::<Vec<_>>().join(",");
        let text = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        format!(
            "{{\"commit\":\"{}\",\"row\":\"{}\",\"unit\":\"{}\",\"ours\":{},\"peer\":{},\
             \"ratio\":{},\"target\":\"{}\",\"verdict\":\"{}\",\"ours_samples\":[{}],\
             \"peer_samples\":[{}],\"note\":\"{}\"}}",
            text(commit),
            text(&self.name),
            self.unit,
            number(median(&self.ours)),
            number(median(&self.peer)),
            number(self.ratio()),
            self.target(),
            self.verdict(),
            list(&self.ours),
            list(&self.peer),
            text(&self.note)
        )
    }
}

/// The table as a person reads it.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut out = String::new();
    let cells = |value: Option<f64>, unit: &str| {
        value.map_or("-".to_owned(), |value| format!("{} {unit}", short(value)))
    };
    let head = ["row", "ours", "peer", "ratio", "target", "verdict"];
    let mut lines = vec![head.map(str::to_owned)];
    for row in rows {
        lines.push([
            row.name.clone(),
            cells(median(&row.ours), row.unit),
            cells(median(&row.peer), row.unit),
            row.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.3}x")),
            row.target(),
            row.verdict().to_owned(),
        ]);
    }
    let widths: Vec<usize> =
        (0..head.len()).map(|i| lines.iter().map(|l| l[i].len()).max().unwrap()).collect();
    for line in &lines {
        for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = match i {
                0 => write!(out, "{cell:<width$}"),
                5 => write!(out, "  {cell}"),
                _ => write!(out, "  {cell:>width$}"),
            };
        }
        out.push('\n');
    }
    for row in rows.iter().filter(|row| !row.note.is_empty()) {
        let _ = writeln!(out, "  {}: {}", row.name, row.note);
    }
    out
}

/// Writes the rows as JSON lines.
pub(crate) fn save(rows: &[Row], commit: &str, path: &Path) {
    let lines: Vec<String> = rows.iter().map(|row| row.json(commit)).collect();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[n / 2]),
        n => Some(f64::midpoint(sorted[n / 2 - 1], sorted[n / 2])),
    }
}

/// Three or four digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}
