//! Programs that a test starts: each ends with the test, by its own id, and never waits for ever.
//!
//! Does NOT find or end processes that it did not start.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A folder on tmpfs that goes when the test does.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder; `name` only helps a person who looks.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/dev/shm/e2e-{}-{n}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("scratch folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path inside, as text, for argument lists.
    pub fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text path").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("E2E_KEEP").is_none() {
            // A browser's helpers may still write for a moment.
            for _ in 0..20 {
                if fs::remove_dir_all(&self.0).is_ok() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// A loopback port that was free a moment ago, and that no other test of this run was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        if given.insert(port) {
            return port;
        }
    }
}

/// Asks `look` every 20 ms until it answers; fails the test with `what` when the time is over.
pub fn wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// True once something accepts connections there.
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// `outer`, which runs what its last arguments say, with `inner` and its environment.
pub fn around(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        outer.env(name, value.expect("no variable is taken away"));
    }
    outer
}

/// Ends a program at once that one of ours has started.
pub fn kill(id: u32) {
    let status = Command::new("kill").args(["-s", "KILL", &id.to_string()]).status();
    assert!(status.expect("kill").success(), "no process {id}");
}

/// A running program with its output in a file.
pub struct Running {
    child: Child,
    name: String,
    output: PathBuf,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Starts `command` with standard error (and output, when not piped) going to `log`.
    pub fn start(name: &str, command: &mut Command, log: &str) -> Self {
        let file = File::create(log).expect("log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("log file twice"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { child, name: name.to_owned(), output: PathBuf::from(log), ended: None }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the program has printed so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// The exit status when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("wait");
        }
        self.ended
    }

    /// Waits for the end; fails the test, with the program's words, when it takes longer.
    pub fn finish(&mut self, deadline: Duration) -> ExitStatus {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if Instant::now() > end {
                self.signal("KILL");
                panic!("{} still runs after {deadline:?}:\n{}", self.name, self.text());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end and expects success.
    pub fn succeed(&mut self, deadline: Duration) {
        let status = self.finish(deadline);
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, self.text());
    }

    /// Sends a signal to this process alone.
    pub fn signal(&mut self, name: &str) {
        if self.ended().is_none() {
            let _ = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// nginx as `configuration` says, behind the main directives, once it answers at `address`. One
/// process without workers, which ends with the test however that ends.
pub fn nginx(scratch: &Scratch, configuration: &str, address: SocketAddr) -> Running {
    need("nginx");
    need("setpriv");
    let work = scratch.path().display();
    let module = if configuration.starts_with("rtmp") {
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n"
    } else {
        ""
    };
    let user = if nix::unistd::geteuid().is_root() { "user root;\n" } else { "" };
    let text = format!(
        "{module}{user}daemon off;\nmaster_process off;\n\
         error_log {work}/error.log info;\npid {work}/nginx.pid;\n\
         events {{ worker_connections 64; }}\n{configuration}"
    );
    fs::write(scratch.join("nginx.conf"), text).expect("nginx.conf");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "/usr/sbin/nginx"]);
    command.args(["-c", &scratch.join("nginx.conf"), "-p", &work.to_string()]);
    let running = Running::start("nginx", &mut command, &scratch.join("nginx.log"));
    wait_for("nginx", Duration::from_secs(10), || {
        (scratch.path().join("nginx.pid").exists() && accepts(address)).then_some(())
    });
    running
}

/// What a program that has ended left behind.
pub struct Outcome {
    pub status: ExitStatus,
    pub text: String,
    pub took: Duration,
}

/// Runs to the end within `deadline`; standard output and error together.
pub fn run(name: &str, command: &mut Command, deadline: Duration) -> Outcome {
    let scratch = Scratch::new("run");
    let start = Instant::now();
    let mut running = Running::start(name, command, &scratch.join("output"));
    let status = running.finish(deadline);
    Outcome { status, text: running.text(), took: start.elapsed() }
}

/// Whether the system has this program; a test that needs it says so and fails without it.
pub fn need(program: &str) {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")])
        .any(|folder| folder.join(program).exists());
    assert!(found, "this test needs `{program}`; tests/e2e/main.rs lists them");
}
