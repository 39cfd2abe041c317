//! A clock that a test sets, put in front of the program's own: a board that boots in 1970, and
//! learns the time later.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::process::{self, Scratch};

/// A board's clock.
pub struct Board {
    scratch: Scratch,
}

impl Board {
    /// A clock that is `offset_s` ahead of ours, and says whether that is right.
    pub fn new(synchronised: bool, offset_s: i64) -> Self {
        let scratch = Scratch::new("clock");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clock.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", &scratch.join("clock.so")]);
        let done = process::run("cc", cc.arg(source), Duration::from_secs(60));
        assert!(done.status.success(), "{}", done.text);
        let board = Self { scratch };
        board.set(synchronised, offset_s);
        board
    }

    pub fn set(&self, synchronised: bool, offset_s: i64) {
        let text = format!("{} {offset_s}\n", u8::from(synchronised));
        std::fs::write(self.scratch.join("new"), text).unwrap();
        std::fs::rename(self.scratch.join("new"), self.scratch.join("now")).unwrap();
    }

    /// The clock of a board without a battery, right after power came: 1970, and nobody knows.
    pub fn set_1970(&self) {
        self.set(false, -i64::try_from(unix_ms() / 1000).unwrap());
    }

    /// What a program's environment must have to see this clock.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let clock = ("LD_PRELOAD", self.scratch.join("clock.so"));
        [clock, ("BOARD_CLOCK", self.scratch.join("now"))]
    }
}

/// Our own clock, milliseconds since 1970.
pub fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
