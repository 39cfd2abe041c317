//! Acknowledgement windows of both directions.
//!
//! We acknowledge what the peer sends as often as it asks. What the peer acknowledges is noted and
//! never enforced: many encoders never do, and the socket holds back those that cannot keep up.
//! Source: RTMP 1.0 §5.4.3 to §5.4.5.
//!
//! Quirks: totals differ between peers by the handshake's bytes; nginx-rtmp lets its total jump
//! down. A peer that asks for no window is acknowledged once per our own.

use crate::limits;
use crate::proto::rtmp::enchunk::{Outbox, OutboxFull};
use crate::time::Millis;
use crate::wire::rtmp::chunk::CSID_CONTROL;
use crate::wire::rtmp::message::{BandwidthLimit, MessageType, SetPeerBandwidth, WindowAckSize};

/// Bytes that an acknowledgement takes in the outbox at most.
const ACK_BYTES_MAX: usize = 32;

/// Both windows of one connection.
#[derive(Clone, Debug)]
pub struct Flow {
    /// After how many bytes we acknowledge; 0 for never.
    window: u32,
    /// The total that we acknowledged last, modulo 2^32.
    acknowledged: u32,
    /// The total that the peer acknowledged last, modulo 2^32.
    peer_acknowledged: u32,
    /// How much the peer wants unacknowledged, and whether it meant it hard.
    bandwidth: Option<(u32, bool)>,
    /// The window that we asked for last.
    announced: u32,
}

impl Flow {
    /// At the start of a connection.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only meaningful at the start of a connection")]
    pub const fn new() -> Self {
        Self {
            window: limits::ACK_WINDOW_BYTES,
            acknowledged: 0,
            peer_acknowledged: 0,
            bandwidth: None,
            announced: 0,
        }
    }

    /// Asks the peer to acknowledge each `window` bytes.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn announce(&mut self, window: u32, out: &mut Outbox) -> Result<(), OutboxFull> {
        self.announced = window;
        control(out, MessageType::WindowAckSize, &window.to_be_bytes())
    }

    /// Acknowledges if a window's worth has arrived since the last time. While the peer does not
    /// read, acknowledgements wait: a publisher need not read any.
    pub fn received(&mut self, total: u64, out: &mut Outbox) {
        let sequence = low(total);
        let due = sequence.wrapping_sub(self.acknowledged) >= self.window;
        if self.window == 0 || !due || out.room() < ACK_BYTES_MAX {
            return;
        }
        let sent = control(out, MessageType::Acknowledgement, &sequence.to_be_bytes());
        debug_assert!(sent.is_ok());
        self.acknowledged = sequence;
    }

    /// The peer says how often to acknowledge.
    pub const fn asked(&mut self, size: WindowAckSize) {
        self.window = size.window;
    }

    /// The peer acknowledges.
    pub const fn peer_received(&mut self, sequence: u32) {
        self.peer_acknowledged = sequence;
    }

    /// The peer bounds what we send; answered with the window that fits it, if that is news.
    ///
    /// # Errors
    /// `OutboxFull`.
    pub fn bounded(&mut self, wish: SetPeerBandwidth, out: &mut Outbox) -> Result<(), OutboxFull> {
        let hard = matches!(self.bandwidth, Some((_, true)));
        let bandwidth = match (wish.limit, self.bandwidth) {
            (BandwidthLimit::Hard, _) => (wish.window, true),
            (BandwidthLimit::Dynamic, _) if hard => (wish.window, true),
            (BandwidthLimit::Soft, Some((now, _))) => (wish.window.min(now), false),
            (BandwidthLimit::Soft, None) => (wish.window, false),
            (BandwidthLimit::Dynamic | BandwidthLimit::Unknown(_), _) => return Ok(()),
        };
        self.bandwidth = Some(bandwidth);
        if bandwidth.0 == self.announced {
            return Ok(());
        }
        self.announce(bandwidth.0, out)
    }

    /// Bytes that we sent and the peer has not acknowledged, modulo 2^32; meaningless for peers
    /// that never do.
    #[must_use]
    pub fn unacknowledged(&self, total_sent: u64) -> u32 {
        low(total_sent).wrapping_sub(self.peer_acknowledged)
    }
}

/// Appends a protocol control message.
pub(super) fn control(
    out: &mut Outbox,
    kind: MessageType,
    payload: &[u8],
) -> Result<(), OutboxFull> {
    out.message(CSID_CONTROL, kind, 0, Millis(0), payload)
}

/// A total as it travels: modulo 2^32.
fn low(total: u64) -> u32 {
    u32::try_from(total & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(sequence: u32) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0];
        bytes.extend(sequence.to_be_bytes());
        bytes
    }

    #[test]
    fn flow_acknowledges_each_window_across_the_wrap() {
        let mut out = Outbox::new();
        let mut flow = Flow::new();
        flow.asked(WindowAckSize { window: 0x200 });
        flow.received(0x1ff, &mut out);
        assert!(out.pending().is_empty());
        flow.received(0xffff_ff00, &mut out);
        assert_eq!(out.pending(), ack(0xffff_ff00));
        out.sent(16);
        flow.received(0xffff_ff00 + 0x1ff, &mut out);
        assert!(out.pending().is_empty());
        flow.received(0xffff_ff00 + 0x200, &mut out);
        assert_eq!(out.pending(), ack(0x100));
    }

    #[test]
    fn flow_never_acknowledges_for_a_window_of_0() {
        let mut out = Outbox::new();
        let mut flow = Flow::new();
        flow.asked(WindowAckSize { window: 0 });
        flow.received(u64::MAX, &mut out);
        assert!(out.pending().is_empty());
    }

    #[test]
    fn flow_waits_with_acknowledgements_while_the_peer_does_not_read() {
        let mut out = Outbox::new();
        let mut flow = Flow::new();
        flow.asked(WindowAckSize { window: 1 });
        for total in 0..100_000 {
            flow.received(total, &mut out);
        }
        let full = out.pending().len();
        assert!(full <= limits::OUTBOX_BYTES);
        out.sent(full);
        flow.received(100_000, &mut out);
        assert_eq!(out.pending(), ack(100_000));
    }

    #[test]
    fn flow_answers_a_bandwidth_only_when_it_is_news() {
        let mut out = Outbox::new();
        let mut flow = Flow::new();
        let mut wish = |window, limit| {
            let wish = SetPeerBandwidth { window, limit };
            flow.bounded(wish, &mut out).unwrap();
            let n = out.pending().len();
            out.sent(n);
            n
        };
        assert_eq!(wish(500, BandwidthLimit::Dynamic), 0);
        assert_eq!(wish(500, BandwidthLimit::Hard), 16);
        assert_eq!(wish(500, BandwidthLimit::Hard), 0);
        assert_eq!(wish(700, BandwidthLimit::Dynamic), 16);
        assert_eq!(wish(900, BandwidthLimit::Soft), 0);
        assert_eq!(wish(300, BandwidthLimit::Soft), 16);
        assert_eq!(wish(100, BandwidthLimit::Dynamic), 0);
        assert_eq!(wish(100, BandwidthLimit::Unknown(9)), 0);
    }

    #[test]
    fn flow_takes_an_acknowledgement_that_jumps_down() {
        let mut flow = Flow::new();
        flow.peer_received(0xf000_0000);
        flow.peer_received(0x10);
        assert_eq!(flow.unacknowledged(0x1_0000_0020), 0x10);
    }
}
