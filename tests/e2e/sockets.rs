//! A service manager holds the ports: nobody is refused while the program is started again.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::follow::Follower;
use super::support::process::{self, Running, Scratch};
use super::support::rillcast::{self, Rillcast};
use super::support::{http, media, peers};

const PATIENCE: Duration = Duration::from_secs(20);

/// Free addresses for RTMP and HTTP.
fn addresses() -> [SocketAddr; 2] {
    [0, 0].map(|_| SocketAddr::from(([127, 0, 0, 1], process::free_port())))
}

/// A camera plays through, and its stream comes out.
fn streams(scratch: &Scratch, [rtmp, web]: [SocketAddr; 2]) {
    let url = format!("rtmp://{rtmp}/live/cam");
    let (truth, log) = (scratch.join("camera.flv"), scratch.join("camera.log"));
    let _camera = peers::ffmpeg(&media::plain(30), &url, &truth, &log);
    let mut follower = Follower::new(web, &Rillcast::playlist_path("cam"));
    assert!(follower.until(PATIENCE, |f| f.segments.len() >= 3), "{:?}", follower.faults);
}

#[test]
fn systemd_passes_its_sockets_and_who_came_first_is_answered() {
    process::need("systemd-socket-activate");
    let scratch = Scratch::new("activate");
    let [rtmp, web] = addresses();
    let program = rillcast::serve(&scratch, rtmp.port(), web.port(), &[]);
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", &rtmp.to_string(), "-l", &web.to_string()]);
    command.arg(program.get_program()).args(program.get_args());
    let systemd = Running::start("systemd", &mut command, &scratch.join("log"));
    let listens = || systemd.text().matches("Listening on").count() == 2;
    process::wait_for("systemd", PATIENCE, || listens().then_some(()));
    // It starts the program when somebody comes.
    let answer = http::get(web, "/status.json").unwrap();
    assert_eq!(answer.status, 200, "{}", systemd.text());
    streams(&scratch, [rtmp, web]);
}

#[test]
fn nobody_is_refused_while_the_program_is_started_again() {
    let scratch = Scratch::new("held");
    let [rtmp, web] = addresses();
    let [_, nobodys] = addresses();
    let program = rillcast::serve(&scratch, rtmp.port(), web.port(), &[]);
    let mut command = rillcast::held(&program, 1.0, &[rtmp, web, nobodys]);
    let manager = Running::start("manager", &mut command, &scratch.join("log"));
    let serves = |times| {
        process::wait_for("the program", PATIENCE, || {
            (manager.text().matches("watch at http://").count() == times).then_some(())
        });
    };
    serves(1);
    let text = manager.text();
    let named =
        format!("no setting names a socket that the service manager holds address={nobodys}");
    assert!(text.contains(&named), "{text}");
    let (id, _) = rillcast::started(&text);
    let killed = Instant::now();
    process::kill(id.expect("its id"));
    let mut waiting = Vec::new();
    while rillcast::started(&manager.text()).1 < 2 {
        for address in [rtmp, web] {
            waiting.push(TcpStream::connect(address).expect("refused"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(killed.elapsed() >= Duration::from_secs(1), "nobody served meanwhile");
    assert!(waiting.len() >= 20, "{} connections", waiting.len());
    drop(waiting);
    process::kill(rillcast::started(&manager.text()).0.expect("its id"));
    let answer = http::get(web, "/status.json").expect("an answer, later");
    assert_eq!((answer.status, rillcast::started(&manager.text()).1), (200, 3));
    streams(&scratch, [rtmp, web]);
}
