//! Readers of playlists that this project did not write: npm `m3u8-parser`, PyPI `m3u8`.
//!
//! Each is installed at first use, into a folder of its own below `target`. What they understood is
//! lines of text, alike for both.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::{self, Scratch};

/// What both understood of a playlist.
///
/// # Panics
/// Where they differ, or one of them cannot read it.
pub fn read(text: &str) -> Vec<String> {
    let scratch = Scratch::new("readers");
    let path = scratch.join("list.m3u8");
    std::fs::write(&path, text).expect("the playlist");
    let support = format!("{}/tests/support", env!("CARGO_MANIFEST_DIR"));
    let folder = folder();
    let place = folder.display();
    let mut said = [
        format!("exec node {support}/readers.mjs {place} < {path}"),
        format!("exec {place}/python/bin/python {support}/readers.py < {path}"),
    ]
    .map(|line| {
        let mut command = Command::new("sh");
        command.args(["-c", &line]);
        let done = process::run("a reader", &mut command, Duration::from_secs(20));
        assert!(done.status.success(), "{}\n{text}", done.text);
        done.text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(said[0], said[1], "m3u8-parser and m3u8 differ on\n{text}");
    core::mem::take(&mut said[0])
}

/// Where both are.
fn folder() -> PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let made = PLACE.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/readers");
        for program in ["npm", "python3", "flock"] {
            process::need(program);
        }
        std::fs::create_dir_all(&folder).expect("target/readers");
        // Test programs that run side by side wait for each other.
        let line = format!(
            "cd {} && flock lock sh -c 'test -e ready || {{ npm install --no-audit --no-fund \
             --no-save --ignore-scripts --silent m3u8-parser@7.2.0 && python3 -m venv python && \
             python/bin/pip install -q --disable-pip-version-check --only-binary :all: \
             m3u8==6.0.0 && touch ready; }}'",
            folder.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]);
        let done = process::run("readers", &mut command, Duration::from_secs(180));
        assert!(done.status.success(), "npm or pip: {}", done.text);
        folder
    });
    made.clone()
}
