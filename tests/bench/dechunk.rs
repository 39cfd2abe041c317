//! Chunks into messages: gigabytes of payload per second, at one chunk size.
//!
//! `dechunk CHUNK ROUNDS`. The wire holds 16 groups of pictures of a 4 Mbit/s stream, 16 MB that no
//! level 2 cache holds, and comes in pieces of 64 KiB as from a socket. Measures the path that
//! copies; receiving straight into a message's place, which large chunks allow, is not in it.

#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::std_instead_of_core,
    reason = "a measuring tool owns its clock, prints, and stops at the first surprise"
)]

use nix::time::{ClockId, clock_gettime};
use rillcast::proto::rtmp::dechunk::{Dechunker, Rings};
use rillcast::status::Status;
use rillcast::storage::FrameRing;
use std::hint::black_box;
use std::time::Duration;

const GROUPS: usize = 16;
const RECEIVED_BYTES: usize = 64 << 10;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let (chunk, rounds) = (numbers.first().copied().unwrap(), numbers.get(1).copied().unwrap_or(1));
    let mut receiver = Receiver::new();
    let mut announced = Vec::new();
    message(&mut announced, 2, 1, 0, &u32::try_from(chunk).unwrap().to_be_bytes(), 128);
    receiver.take(&announced);
    let (wire, payload) = wire(chunk);
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let start = cpu();
        assert_eq!(receiver.take(&wire), payload);
        best = best.min(cpu().saturating_sub(start));
    }
    let rate = payload as f64 / best.as_secs_f64() / 1e9;
    println!("dechunk chunk={chunk} GBps={rate:.2} payload_KiB={}", payload * rounds / 1024);
}

struct Receiver {
    dechunker: Dechunker,
    scratch: FrameRing,
    media: FrameRing,
    status: Status,
}

impl Receiver {
    fn new() -> Self {
        Self {
            dechunker: Dechunker::new(),
            scratch: FrameRing::new(64 << 10, 16),
            media: FrameRing::new(4 << 20, 1024),
            status: Status::new(),
        }
    }

    /// Payload bytes of the complete messages.
    fn take(&mut self, wire: &[u8]) -> usize {
        let (mut at, mut payload) = (0, 0);
        while at < wire.len() {
            let end = (at + RECEIVED_BYTES).min(wire.len());
            loop {
                let media = [Some((1, &mut self.media)), None, None, None];
                let mut rings = Rings { scratch: &mut self.scratch, media };
                let rest = wire.get(at..end).unwrap_or_default();
                let progress = self.dechunker.advance(rest, &mut rings, &self.status).unwrap();
                at += progress.consumed;
                let Some(arrival) = progress.arrival else { break };
                payload += black_box(arrival).bytes as usize;
            }
        }
        payload
    }
}

/// The wire and the payload bytes on it: two seconds of video and audio a group.
fn wire(chunk: usize) -> (Vec<u8>, usize) {
    let (mut wire, mut payload) = (Vec::new(), 0);
    for i in 0..GROUPS * 60 {
        let bytes = if i % 60 == 0 { 80_000 } else { 12_000 + i * 137 % 8_000 };
        let video: Vec<u8> = (0..bytes).map(|b| (b * 31 % 251) as u8).collect();
        message(&mut wire, 6, 9, i * 33, &video, chunk);
        let audio = video.get(..340).unwrap_or_default();
        message(&mut wire, 4, 8, i * 33, audio, chunk);
        payload += bytes + 340;
    }
    (wire, payload)
}

fn message(out: &mut Vec<u8>, csid: u8, kind: u8, at: usize, body: &[u8], chunk: usize) {
    let stream = u32::from(kind != 1).to_le_bytes();
    out.push(csid);
    out.extend_from_slice(at.to_be_bytes().last_chunk::<3>().unwrap());
    out.extend_from_slice(body.len().to_be_bytes().last_chunk::<3>().unwrap());
    out.push(kind);
    out.extend_from_slice(&stream);
    for (i, part) in body.chunks(chunk).enumerate() {
        if i > 0 {
            out.push(0xc0 | csid);
        }
        out.extend_from_slice(part);
    }
}

/// Processor time of this process: what others do on the machine does not count.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}
