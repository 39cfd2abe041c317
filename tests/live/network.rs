//! A network of its own: players and cameras on one side of a cable, the box on the other.
//!
//! Loopback cannot show a power failure: its kernel goes on, and says at once that nobody listens.
//! Here the box has a network namespace, which goes with its power, and the cable falls silent.
//! Needs `ip`, `nsenter` and `unshare`, and root or user namespaces. Touches no other network.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::outside;
use crate::support::process::{self, Running, Scratch};

/// Address of the box.
pub const BOX: [u8; 4] = [10, 77, 0, 2];
const OURS: &str = "10.77.0.1/24";
const BOXES: &str = "10.77.0.2/24";
const ETHERNET: &str = "02:00:00:00:77:02";
const INSIDE: &str = "RILLCAST_LIVE_INSIDE";

/// Whether we are in a network of our own. If not, `test` is run again in one, and this is what
/// came of it.
pub fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // There is no way out from inside.
    outside::node_folder();
    let is_root = Path::new("/proc/1/root").read_dir().is_ok();
    let mut command = Command::new("unshare");
    // Who is not root becomes the root of a namespace of users.
    command.args(["--net"].iter().chain(if is_root { &[][..] } else { &["--map-root-user"] }));
    command.arg(std::env::current_exe().expect("this program"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let status = command.status().expect("unshare");
    assert!(status.success(), "{test} in a network of its own: {status}");
    false
}

fn run(command: &mut Command) {
    let done = process::run("ip", command, Duration::from_secs(10));
    assert!(done.status.success(), "{command:?}: {}", done.text);
}

fn ip(words: &str) {
    run(Command::new("ip").args(words.split(' ')));
}

/// The cable, and the box's end of the network as long as it has power.
pub struct Cable {
    /// Keeps the namespace.
    holder: Running,
    log: String,
}

impl Cable {
    /// Lays it; to be called once in a network.
    pub fn lay(scratch: &Scratch) -> Self {
        ip("link set lo up");
        ip("link add players type veth peer name box");
        ip(&format!("link set box address {ETHERNET}"));
        ip(&format!("address add {OURS} dev players"));
        ip("link set players up");
        // A switch goes on sending to where a machine was a moment ago.
        ip(&format!("neighbour replace 10.77.0.2 lladdr {ETHERNET} dev players nud permanent"));
        let log = scratch.join("holder");
        let cable = Self { holder: hold(&log), log };
        cable.fit();
        cable.plug();
        cable
    }

    /// Gives the box's end its address, not yet up.
    fn fit(&self) {
        ip(&format!("link set box netns {}", self.holder.id()));
        self.inside("ip link set lo up");
        self.inside(&format!("ip address add {BOXES} dev box"));
    }

    fn inside(&self, words: &str) {
        let mut words = words.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        run(&mut self.within(&command));
    }

    /// The same program, on the box.
    pub fn within(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--net", &format!("--target={}", self.holder.id()), "--"]);
        process::around(inside, command)
    }

    /// The box answers nothing any more.
    pub fn unplug(&self) {
        self.inside("ip link set box down");
    }

    /// It answers.
    pub fn plug(&self) {
        self.inside("ip link set box up");
    }

    /// The box's kernel is another one, which knows of no connection; still unplugged.
    pub fn reboot(&mut self) {
        self.inside(&format!("ip link set box netns {}", std::process::id()));
        self.holder = hold(&self.log);
        self.fit();
    }
}

fn hold(log: &str) -> Running {
    let mut command = Command::new("unshare");
    command.args(["--net", "sleep", "100000"]);
    let holder = Running::start("holder", &mut command, log);
    let own = std::fs::read_link("/proc/self/ns/net").expect("our network");
    process::wait_for("another network", Duration::from_secs(5), || {
        let its = std::fs::read_link(format!("/proc/{}/ns/net", holder.id())).ok()?;
        (its != own).then_some(())
    });
    holder
}
