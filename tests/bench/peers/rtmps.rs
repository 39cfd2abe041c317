//! What RTMP within TLS costs, beside stunnel in front of nginx.
//!
//! The publisher speaks plain RTMP to a stunnel of its own that wraps it, the same before both
//! servers and not measured. The peer's time is that of nginx and of the stunnel before it.

use super::Tools;
use super::flv;
use super::process::{Running, cpu_seconds, settle};
use super::rtmp::Publisher;
use super::servers::{Bench, Kind, Server, free_port};
use super::table::{Row, Target};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Loops of the 60 s clip: ten minutes of media.
const LOOPS: u32 = 10;

pub(crate) fn burst(bench: &Bench, _: &Tools) -> Vec<Row> {
    let mut row = Row::new("rtmps burst, chunk 4096", "cpu s/GB", Target::RatioMost(0.4));
    let stream = flv::stream(&bench.media.join("a1080.flv"), LOOPS, 4096, 1);
    for _ in 0..if bench.quick { 1 } else { 3 } {
        for kind in [Kind::Ours, Kind::Peer] {
            let tls = free_port();
            let data = tempfile::tempdir_in(&bench.tmpfs).unwrap().keep();
            let (listens, dir) =
                (format!("rtmps.listen={tls}"), format!("tls.dir={}", data.display()));
            let mut settings = vec!["hls.window_segments=15", "limits.slot_bytes=2097152"];
            if kind == Kind::Ours {
                settings.extend([listens.as_str(), &dir]);
            }
            let server = Server::start_with(bench, kind, &settings);
            let before_nginx = (kind == Kind::Peer).then(|| {
                make_certificate(&data);
                let own = format!("cert = {0}/c.pem\nkey = {0}/k.pem", data.display());
                stunnel(&data, "server", tls, server.rtmp, &own)
            });
            let near = free_port();
            let client = stunnel(&data, "client", near, tls, "client = yes");
            let measured = [Some(server.pid()), before_nginx.as_ref().map(Running::pid)];
            let spent = || measured.iter().flatten().map(|pid| cpu_seconds(*pid)).sum::<f64>();
            let publisher = Publisher::connect(near, "burst", 4096);
            let before = spent();
            publisher.burst(&stream);
            measured.iter().flatten().for_each(|pid| settle(*pid));
            let per_gb = (spent() - before) / stream.flv_bytes as f64 * 1e9;
            if kind == Kind::Ours { &mut row.ours } else { &mut row.peer }.push(per_gb);
            drop(client);
        }
    }
    row.note.push_str("the peer is stunnel before nginx; their time is added");
    vec![row]
}

fn make_certificate(folder: &Path) {
    let mut command = Command::new("openssl");
    command.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(' '));
    command.args("-subj /CN=bench -keyout k.pem -out c.pem".split(' ')).current_dir(folder);
    assert!(command.stderr(Stdio::null()).status().unwrap().success());
}

/// A stunnel from one address to another, listening.
fn stunnel(folder: &Path, name: &str, from: SocketAddr, to: SocketAddr, own: &str) -> Running {
    let file = folder.join(name);
    let conf = format!(
        "foreground = yes\npid =\ndebug = err\nsocket = l:TCP_NODELAY=1\n\
         socket = r:TCP_NODELAY=1\n[rtmps]\naccept = {from}\nconnect = {to}\n{own}\n"
    );
    fs::write(&file, conf).unwrap();
    let mut command = Command::new("stunnel4");
    command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running::start(&mut command);
    let start = Instant::now();
    while TcpStream::connect(from).is_err() {
        let patient = start.elapsed() < Duration::from_secs(10);
        assert!(patient && !running.is_over(), "stunnel {name} does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    running
}
