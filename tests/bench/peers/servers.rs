//! The two servers that are compared: this project's program, and nginx with its RTMP module.
//!
//! Both write 2 s segments with a window of 30 s to the same tmpfs and listen on loopback. nginx is
//! configured as one who knows it would: one worker, sendfile, no log, connections kept open.

use super::process::Running;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Peer,
}

/// What a run needs to know of the machine.
pub(crate) struct Bench {
    pub(crate) program: PathBuf,
    /// Folder on tmpfs, for everything that is written.
    pub(crate) tmpfs: PathBuf,
    pub(crate) media: PathBuf,
    pub(crate) quick: bool,
}

pub(crate) struct Server {
    running: Running,
    pub(crate) kind: Kind,
    pub(crate) rtmp: SocketAddr,
    pub(crate) http: SocketAddr,
    /// From the start of the program until it answered over HTTP.
    pub(crate) start_ms: f64,
    pub(crate) folder: PathBuf,
}

impl Server {
    /// Starts a server for up to eight streams and waits until it listens.
    pub(crate) fn start(bench: &Bench, kind: Kind) -> Self {
        let settings = ["hls.window_segments=15", "limits.slot_bytes=2097152", "limits.streams=8"];
        Self::start_with(bench, kind, &settings)
    }

    pub(crate) fn start_with(bench: &Bench, kind: Kind, settings: &[&str]) -> Self {
        let (rtmp, http) = (free_port(), free_port());
        let folder = tempfile::tempdir_in(&bench.tmpfs).unwrap().keep();
        let hls = folder.join("hls");
        fs::create_dir(&hls).unwrap();
        let mut command = match kind {
            Kind::Ours => {
                let mut command = Command::new(&bench.program);
                command.arg("serve");
                let hls = format!("hls.dir={}", hls.display());
                let state = format!("state.dir={}", folder.join("state").display());
                let rtmp = format!("rtmp.listen={rtmp}");
                let http = format!("http.listen={http}");
                let own = [hls.as_str(), &state, &rtmp, &http, "log.level=warn"];
                for setting in own.iter().chain(settings) {
                    command.args(["--set", setting]);
                }
                command
            }
            Kind::Peer => {
                let conf = folder.join("nginx.conf");
                fs::write(&conf, nginx_conf(&folder, &hls, rtmp, http)).unwrap();
                let mut command = Command::new("nginx");
                command.arg("-c").arg(conf).arg("-p").arg(&folder).args(["-g", "daemon off;"]);
                command
            }
        };
        let log = fs::File::create(folder.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        let start = Instant::now();
        let mut running = Running::start(&mut command);
        for address in [rtmp, http] {
            while TcpStream::connect(address).is_err() {
                let patient = start.elapsed() < Duration::from_secs(10);
                assert!(
                    patient && !running.is_over(),
                    "{kind:?} does not listen: {}",
                    log_of(&folder)
                );
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        // The kernel listens before the program does.
        let mut client = TcpStream::connect(http).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        client.read_exact(&mut [0]).expect("no answer over HTTP");
        let start_ms = start.elapsed().as_secs_f64() * 1e3;
        std::thread::sleep(Duration::from_millis(200));
        Self { running, kind, rtmp, http, start_ms, folder }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Path of a stream's playlist, as players ask for it.
    pub(crate) fn playlist(&self, name: &str) -> String {
        match self.kind {
            Kind::Ours => format!("/hls/live/{name}/index.m3u8"),
            Kind::Peer => format!("/hls/{name}.m3u8"),
        }
    }

    pub(crate) fn log(&self) -> String {
        log_of(&self.folder)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.folder.join("hls"));
    }
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// A port below those that the kernel gives to connections, so that none of ours has it.
pub(crate) fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_000, "no port is free");
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// How nginx serves files at its best: the front of its `http` block.
pub(crate) fn nginx_serves(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/b;
    proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u;
    scgi_temp_path {folder}/s;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
"
    )
}

fn nginx_conf(folder: &Path, hls: &Path, rtmp: SocketAddr, http: SocketAddr) -> String {
    let served = nginx_serves(folder);
    let (folder, hls) = (folder.display(), hls.display());
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
{user}
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
rtmp {{
    access_log off;
    server {{
        listen {rtmp};
        chunk_size 4096;
        application live {{
            live on;
            hls on;
            hls_path {hls};
            hls_fragment 2s;
            hls_playlist_length 30s;
            hls_cleanup on;
        }}
    }}
}}
{served}    server {{
        listen {http} backlog=1024;
        location /hls {{ alias {hls}; add_header Cache-Control no-cache; }}
    }}
}}
"
    )
}
