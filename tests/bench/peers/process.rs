//! What a process and its children cost: processor time in nanoseconds and memory, from the kernel.
//!
//! Time is read from each process's own clock, which counts its threads, also those that ended.
//! `/proc` would give ticks of 10 ms, a tenth of what a live stream costs in ten seconds. Children
//! that ended count with the ticks that `/proc` has for them.

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with its guard.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("cannot be started"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        for _ in 0..300 {
            if self.is_over() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end. Seconds of processor time, seconds of wall clock.
pub(crate) fn run(command: &mut Command) -> (f64, f64) {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    // Not reaped yet: its clock still stands.
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    let wall = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds(child.id());
    let status = child.wait().unwrap();
    assert!(status.success(), "{command:?} ended with {status}");
    (cpu, wall)
}

/// Processor time of a process and all below it, in seconds.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    tree(root).into_iter().map(|pid| own_seconds(pid) + reaped_seconds(pid)).sum()
}

fn own_seconds(pid: u32) -> f64 {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32));
    let time = clock.and_then(clock_gettime);
    time.map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

fn reaped_seconds(pid: u32) -> f64 {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap_or(100);
    let fields = stat(pid).unwrap_or_default();
    let ticks: u64 = fields.iter().skip(13).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    ticks as f64 / ticks_per_second as f64
}

/// Memory of a process and all below it, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) rss_anon: u64,
    pub(crate) pss: u64,
}

pub(crate) fn memory_of(root: u32) -> Memory {
    let mut sum = Memory::default();
    for pid in tree(root) {
        sum.rss_anon += kib(&format!("/proc/{pid}/status"), "RssAnon:");
        sum.pss += kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
    }
    sum
}

fn kib(file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Waits until the tree has been doing nothing for a third of a second.
pub(crate) fn settle(root: u32) {
    let mut before = f64::NEG_INFINITY;
    for _ in 0..200 {
        let now = cpu_seconds(root);
        if now - before < 0.001 {
            return;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn tree(root: u32) -> Vec<u32> {
    let mut pids = vec![root];
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let parent = stat(pid).and_then(|fields| fields.get(1)?.parse().ok());
        parents.extend(parent.map(|parent| (parent, pid)));
    }
    let mut done = 0;
    while let Some(&parent) = pids.get(done) {
        pids.extend(parents.iter().filter(|(p, _)| *p == parent).map(|(_, pid)| *pid));
        done += 1;
    }
    pids
}

/// Fields of `/proc/PID/stat` from the third, the state, on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}
