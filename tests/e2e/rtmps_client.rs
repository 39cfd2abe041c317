//! Streams that go and come within TLS: to ourselves, to stunnel before nginx, in tunnels; and
//! certificates that are wrong, each in its way.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::relay::{arrived, nginx, puller_with, rillcast};
use super::rtmps;
use crate::support::flv;
use crate::support::media;
use crate::support::process::Scratch;
use crate::support::rillcast::Rillcast;
use crate::support::secure::{Authority, stunnel};

const YEARS: [u16; 2] = [2020, 2120];

/// Pushes a file while it is pulled, with the same options; what came is what was sent.
fn there_and_back(name: &str, url: &str, options: [&str; 2], scratch: &Scratch) {
    let file = media::plain(4);
    let output = scratch.join(&format!("{name}.flv"));
    let [option, value] = options;
    let mut pull = puller_with(&[url, &output, option, value], scratch);
    std::thread::sleep(Duration::from_millis(500));
    let pushed = rillcast(&["push", &file, url, option, value]);
    assert!(pushed.status.success(), "{name}: {}", pushed.text);
    std::thread::sleep(Duration::from_millis(700));
    pull.signal("INT");
    assert!(pull.finish(Duration::from_secs(5)).success(), "{name}: {}", pull.text());
    let count = arrived(&flv::read_file(&file), &flv::read_file(&output));
    assert!(count > 200, "{name}: {count} frames");
    println!("{name}: {count} frames");
}

#[test]
fn pushed_file_comes_back_over_tls_from_ourselves_and_from_stunnel_before_nginx() {
    let scratch = Scratch::new("rtmps");
    let (ours, rtmps) = rtmps::start();
    let url = |address: SocketAddr| format!("rtmps://{address}/live/cam");
    there_and_back("ourselves", &url(rtmps), ["--pin", &rtmps::pin(&ours)], &scratch);
    let authority = Authority::new(&scratch);
    authority.issue("good", "IP:127.0.0.1", YEARS);
    let (_nginx, theirs) = nginx(&scratch);
    let (_stunnel, address) = stunnel(&scratch, "good", theirs);
    there_and_back("nginx", &url(address), ["--ca_file", &scratch.join("ca.pem")], &scratch);
    let pin = authority.pin("good");
    assert_eq!(pin.len(), rtmps::pin(&ours).len());
    there_and_back("pinned", &url(address), ["--pin", &pin], &scratch);
}

#[test]
fn pushed_file_comes_back_from_a_tunnel_within_tls() {
    let scratch = Scratch::new("rtmpts");
    let ours = Rillcast::start(&[]);
    let authority = Authority::new(&scratch);
    authority.issue("good", "DNS:localhost", YEARS);
    let (_stunnel, address) = stunnel(&scratch, "good", ours.http);
    let url = format!("rtmpts://localhost:{}/live/cam", address.port());
    there_and_back("tunnel", &url, ["--ca_file", &scratch.join("ca.pem")], &scratch);
    assert!(ours.counter("tunnels_opened") >= 2.0);
    let (ours, rtmps) = rtmps::start();
    let url = format!("rtmpts://{rtmps}/live/cam");
    there_and_back("ourselves", &url, ["--pin", &rtmps::pin(&ours)], &scratch);
    assert_eq!((ours.counter("tunnels_opened"), ours.counter("rtmp_errors")), (2.0, 0.0));
}

#[test]
fn stream_is_sent_on_and_fetched_by_a_box_over_tls() {
    let (source, rtmps) = rtmps::start();
    let (url, other, pin) = (
        format!("rtmps://{rtmps}/live/cam"),
        format!("rtmps://{rtmps}/live/back"),
        rtmps::pin(&source),
    );
    let box_ = Rillcast::start(&[
        ("pull.door.stream", "live/door"),
        ("pull.door.url", &url),
        ("pull.door.pin", &pin),
        ("push.back.stream", "live/door"),
        ("push.back.url", &other),
        ("push.back.pin", &pin),
    ]);
    let file = media::plain(10);
    let mut follower = source.follow("back");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(rillcast(&["push", &file, &source.publish_url("cam")]).status.success());
        });
        box_.wait_line(&["pull opened name=door", "upstream=rtmps://"]);
        box_.wait_line(&["push opened name=back", "upstream=rtmps://"]);
        assert!(follower.until(Duration::from_secs(15), |f| f.segments.len() >= 4));
    });
    follower.assert_clean();
}

#[test]
fn wrong_certificate_is_named_by_its_kind() {
    let scratch = Scratch::new("wrong");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let behind = silent.local_addr().unwrap();
    let authority = Authority::new(&scratch);
    for (file, name, years) in [
        ("old", "IP:127.0.0.1", [2019, 2020]),
        ("new", "IP:127.0.0.1", [2110, 2120]),
        ("other", "DNS:other.example", YEARS),
        ("good", "IP:127.0.0.1", YEARS),
    ] {
        authority.issue(file, name, years);
    }
    let ca = scratch.join("ca.pem");
    let pin = authority.pin("other");
    for (file, option, words) in [
        ("old", ["--ca_file", &ca], "has expired: renew it there"),
        ("new", ["--ca_file", &ca], "is not valid yet: the clock here is likely wrong"),
        ("other", ["--ca_file", &ca], "is for another name"),
        ("good", ["--rtmp_live", "any"], "nobody trusted signed the server's certificate"),
        ("good", ["--pin", &pin], "another one is pinned"),
        ("good", ["--pin", "sha256/abc"], "a pin is sha256/ and 32 bytes in base64"),
        ("good", ["--ca_file", "/nowhere/ca.pem"], "CA file /nowhere/ca.pem"),
    ] {
        let (_stunnel, address) = stunnel(&scratch, file, behind);
        let url = format!("rtmps://{address}/live/cam");
        let output = scratch.join("out.flv");
        let pulled = rillcast(&["pull", &url, &output, option[0], option[1]]);
        assert!(!pulled.status.success(), "{file}");
        assert!(pulled.text.contains(words), "{file} {option:?}: {}", pulled.text);
        assert_eq!(pulled.text.trim().lines().count(), 1, "{}", pulled.text);
        if option[1] == pin {
            assert!(pulled.text.contains(&authority.pin("good")), "{}", pulled.text);
        }
    }
}

#[test]
fn push_to_a_wrong_certificate_says_so_and_goes_on_trying() {
    let (other, rtmps) = rtmps::start();
    let url = format!("rtmps://{rtmps}/live/key");
    let box_ = Rillcast::start_with(
        &[("push.a.stream", "live/testcard"), ("push.a.url", &url)],
        &["--testcard"],
    );
    box_.wait_line(&["push ended name=a", "nobody trusted signed", "pause_ms="]);
    other.wait_line(&["ingest refused", "peer ended the handshake with alert UnknownCA"]);
    assert!(other.counter("tls_unfinished") >= 1.0);
}
