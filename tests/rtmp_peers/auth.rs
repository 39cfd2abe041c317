//! Publishers with a user and password: what they say must be what the challenger expects.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use rillcast::proto::rtmp::auth::challenger::{Challenger, Knock, Rejection, Verdict};
use rillcast::proto::rtmp::auth::{Account, Scheme};
use rillcast::status::Status;
use rillcast::sys::random;
use rillcast::time::Instant;

use crate::process;
use crate::serving::{Heard, MEDIA, listen, serve_program};

const BOB: Account<'_> = Account { user: "bob", password: "secret" };

/// Serves a program that publishes, and gives its connections and why each was rejected.
fn publish(
    name: &str,
    scheme: Scheme,
    command: impl FnOnce(u16) -> Command,
) -> (Vec<Heard>, Vec<Rejection>) {
    let (listener, port) = listen();
    let mut challenger = Challenger::new();
    let mut rejections = Vec::new();
    let mut door = |app: &str, query: &str| {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let knock = Knock { peer, scheme, app, query, now: Instant(0) };
        match challenger.judge(&knock, BOB, &mut random::fill, &Status::new()) {
            Verdict::Granted => None,
            Verdict::Rejected { description, why } => {
                rejections.push(why);
                Some(description.to_string())
            }
        }
    };
    let enough = |heard: &Heard| heard.media >= MEDIA;
    let all = serve_program(name, &listener, &mut command(port), &mut door, enough);
    (all, rejections)
}

/// That the third connection was let in and published.
fn assert_admitted((all, rejections): (Vec<Heard>, Vec<Rejection>), published: &str) {
    assert_eq!(rejections, [Rejection::Unnamed, Rejection::Challenged]);
    assert_eq!(all.len(), 3);
    assert_eq!(all[2].published, published);
    assert!(all[2].media >= MEDIA);
}

fn ffmpeg(port: u16, account: &str, path: &str) -> Command {
    process::need("ffmpeg");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=100"]);
    command.args(["-t", "10", "-c:v", "flv1", "-f", "flv"]);
    command.arg(format!("rtmp://{account}@127.0.0.1:{port}/{path}"));
    command
}

fn gstreamer(sink: &[&str]) -> Command {
    process::need("gst-launch-1.0");
    let mut command = Command::new("gst-launch-1.0");
    command.args(["audiotestsrc", "num-buffers=1000", "!", "audio/x-raw,rate=44100"]);
    command.args(["!", "avenc_adpcm_swf", "!", "flvmux", "streamable=true", "!"]);
    command.args(sink);
    command
}

fn librtmp(port: u16) -> Command {
    let location = format!("rtmp://127.0.0.1:{port}/live/x");
    let account = "pubUser=bob pubPasswd=secret live=1";
    gstreamer(&["rtmpsink", &format!("location={location} {account}")])
}

#[test]
fn challenger_admits_ffmpeg_by_both_schemes() {
    for scheme in Scheme::ALL {
        let heard = publish("ffmpeg", scheme, |port| ffmpeg(port, "bob:secret", "live/x"));
        assert_admitted(heard, "live/x");
    }
}

#[test]
fn challenger_admits_ffmpeg_to_an_application_with_an_instance() {
    let heard = publish("ffmpeg", Scheme::Llnw, |port| ffmpeg(port, "bob:secret", "live/inst/x"));
    assert_admitted(heard, "live/inst/x");
}

// Not by Adobe's: librtmp built with GnuTLS, as Debian's is, leaves its base64 without an end and
// writes past its own memory.
#[test]
fn challenger_admits_librtmp_by_limelight() {
    assert_admitted(publish("librtmp", Scheme::Llnw, librtmp), "live/x");
}

#[test]
fn challenger_admits_gstreamer_by_adobe() {
    let heard = publish("rtmp2sink", Scheme::Adobe, |port| {
        let location = format!("location=rtmp://127.0.0.1:{port}/live/x");
        gstreamer(&["rtmp2sink", &location, "username=bob", "password=secret"])
    });
    assert_admitted(heard, "live/x");
}

#[test]
fn challenger_refuses_ffmpeg_with_a_wrong_password() {
    for scheme in Scheme::ALL {
        let (all, rejections) =
            publish("ffmpeg", scheme, |port| ffmpeg(port, "bob:wrong", "live/x"));
        assert_eq!(rejections, [Rejection::Unnamed, Rejection::Challenged, Rejection::Wrong]);
        assert!(all.iter().all(|heard| heard.media == 0));
    }
}
