//! All memory that is taken at start, with its owner per line.
//!
//! `rillcast budget` prints it without starting and `serve` prints it at start, from the same
//! list. Takes no memory itself. What the kernel takes for sockets is not in it: a connection's
//! buffers there are held by `net.core` limits, not by us.

use core::fmt;

use crate::config::settings::Config;
use crate::limits;

/// Where a line's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process's own memory.
    Private,
    /// Pages of tmpfs files, mapped while they are written; private memory does not grow by them.
    Tmpfs,
}

/// One owner of preallocated memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub owner: &'static str,
    /// How many of them.
    pub count: u64,
    /// Bytes of each.
    pub bytes_each: u64,
    /// Where they are.
    pub kind: Kind,
}

impl Line {
    /// Bytes of all of them.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.count * self.bytes_each
    }
}

/// Lines of the budget.
const LINES: usize = 9;

/// The whole budget of one configuration.
#[derive(Clone, Debug)]
pub struct Budget {
    lines: [Line; LINES],
}

impl Budget {
    /// The memory that `config` asks for.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let streams = u64::from(config.limits_streams);
        let publishers = u64::from(config.limits_publishers);
        let viewers = u64::from(config.limits_viewers);
        let slots = streams * u64::from(config.slots_per_stream());
        let private = |owner, count, bytes_each: usize| Line {
            owner,
            count,
            // A size of this program's own; it fits on every target.
            bytes_each: u64::try_from(bytes_each).unwrap_or(u64::MAX),
            kind: Kind::Private,
        };
        Self {
            lines: [
                Line {
                    owner: "stream: ring of recent messages",
                    count: streams,
                    bytes_each: u64::from(config.limits_ring_bytes),
                    kind: Kind::Private,
                },
                private(
                    "stream: segmenter and tables",
                    streams,
                    limits::BUDGET_STREAM_BYTES,
                ),
                private(
                    "stream: playlist text",
                    streams,
                    limits::BUDGET_PLAYLIST_BYTES,
                ),
                private(
                    "slot: its row in the store",
                    slots,
                    limits::BUDGET_SLOT_ROW_BYTES,
                ),
                private("publisher: socket bytes in", publishers, limits::RX_BYTES),
                private(
                    "publisher: command scratch",
                    publishers,
                    limits::BUDGET_SCRATCH_BYTES,
                ),
                private(
                    "publisher: bytes out",
                    publishers,
                    limits::BUDGET_OUTBOX_BYTES,
                ),
                private("viewer: place", viewers, limits::BUDGET_VIEWER_BYTES),
                Line {
                    owner: "slot: one segment",
                    count: slots,
                    bytes_each: u64::from(config.limits_slot_bytes),
                    kind: Kind::Tmpfs,
                },
            ],
        }
    }

    /// Every line, in the order it is printed.
    #[must_use]
    pub const fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Bytes of all lines of one kind.
    #[must_use]
    pub fn sum(&self, kind: Kind) -> u64 {
        let lines = self.lines.iter().filter(|line| line.kind == kind);
        lines.map(Line::bytes).sum()
    }
}

/// The table that a person reads: sizes in KiB, so that columns can be compared and added.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<34} {:>6} {:>11} {:>12}  where",
            "owner", "count", "KiB each", "KiB"
        )?;
        for line in &self.lines {
            let place = match line.kind {
                Kind::Private => "private",
                Kind::Tmpfs => "tmpfs",
            };
            writeln!(
                f,
                "{:<34} {:>6} {:>11} {:>12}  {place}",
                line.owner,
                line.count,
                Kib(line.bytes_each),
                Kib(line.bytes())
            )?;
        }
        writeln!(
            f,
            "{:<53} {:>12}",
            "private memory",
            Kib(self.sum(Kind::Private))
        )?;
        writeln!(f, "{:<53} {:>12}", "tmpfs", Kib(self.sum(Kind::Tmpfs)))
    }
}

/// Bytes in KiB with one decimal, rounded up, so that a sum is never shown too small.
struct Kib(u64);

impl fmt::Display for Kib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10).div_ceil(1024);
        f.pad(&format!("{}.{}", tenths / 10, tenths % 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Draft;

    fn budget(pairs: &[&str]) -> Budget {
        let mut draft = Draft::new();
        for pair in pairs {
            draft.set_pair(pair).unwrap();
        }
        Budget::of(&draft.check().unwrap())
    }

    #[test]
    fn tmpfs_sum_is_streams_times_slots_times_bytes() {
        let budget = budget(&[
            "limits.streams=2",
            "hls.window_segments=5",
            "limits.slot_bytes=1MiB",
        ]);
        assert_eq!(budget.sum(Kind::Tmpfs), 2 * (5 + 6 + 2) * (1 << 20));
    }

    #[test]
    fn private_sum_grows_by_what_a_setting_adds() {
        let grown = |pair| budget(&[pair]).sum(Kind::Private) - budget(&[]).sum(Kind::Private);
        assert_eq!(grown("limits.ring_bytes=8MiB"), 4 * (4 << 20));
        let publisher =
            limits::RX_BYTES + limits::BUDGET_SCRATCH_BYTES + limits::BUDGET_OUTBOX_BYTES;
        assert_eq!(
            grown("limits.publishers=9"),
            u64::try_from(publisher).unwrap()
        );
        assert_eq!(
            grown("limits.viewers=257"),
            u64::try_from(limits::BUDGET_VIEWER_BYTES).unwrap()
        );
    }

    #[test]
    fn table_has_each_owner_and_both_sums() {
        let budget = budget(&[]);
        let text = budget.to_string();
        assert_eq!(text.lines().count(), 1 + LINES + 2);
        for line in budget.lines() {
            assert_eq!(text.matches(line.owner).count(), 1, "{}", line.owner);
        }
        let sum = text.lines().find(|line| line.starts_with("tmpfs")).unwrap();
        assert!(sum.ends_with(" 184320.0"), "{sum}");
    }

    #[test]
    fn kib_rounds_up() {
        assert_eq!(Kib(1).to_string(), "0.1");
        assert_eq!(Kib(1024).to_string(), "1.0");
        assert_eq!(Kib(1025).to_string(), "1.1");
    }
}
