//! Programs from Python's package index: a newer ffmpeg than Debian's, as a library and whole.
//!
//! Debian's ffmpeg 5.1 neither reads Enhanced RTMP nor has RTMPE; PyAV knows the former, the
//! program of imageio-ffmpeg the latter. Both are installed at first use into one virtual
//! environment below `target`. Does NOT run them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process;

/// The virtual environment, made at first use.
pub fn folder() -> PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let made = PLACE.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pip");
        process::need("python3");
        process::need("flock");
        std::fs::create_dir_all(&folder).expect("target/pip");
        // Test programs that run side by side wait for each other.
        let line = format!(
            "flock {0}/lock sh -c 'test -e {0}/ready || {{ python3 -m venv {0} && \
             {0}/bin/pip install -q --disable-pip-version-check --only-binary :all: \
             av==18.1.0 imageio-ffmpeg==0.8.1 && touch {0}/ready; }}'",
            folder.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]);
        let done = process::run("pip install", &mut command, Duration::from_secs(180));
        assert!(done.status.success(), "pip: {}", done.text);
        folder
    });
    made.clone()
}

/// An ffmpeg that speaks RTMPE.
pub fn ffmpeg() -> String {
    let mut command = Command::new(folder().join("bin/python"));
    command.args(["-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"]);
    let done = process::run("imageio_ffmpeg", &mut command, Duration::from_secs(20));
    let program = done.text.trim().to_owned();
    let listed = Command::new(&program).arg("-protocols").output().expect("an ffmpeg");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(text.lines().any(|line| line.trim() == "rtmpte"), "{program} has no rtmpe: {text}");
    program
}
