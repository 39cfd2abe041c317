//! What a TLS server of another make needs: certificates by openssl, and stunnel to show them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::process::{self, Running, Scratch, accepts, wait_for};

/// An authority of the test's own; its certificate is `ca.pem`.
pub struct Authority<'a>(&'a Scratch);

impl<'a> Authority<'a> {
    pub fn new(scratch: &'a Scratch) -> Self {
        let authority = Self(scratch);
        fs::write(scratch.join("index.txt"), "").expect("index");
        let conf = "[ca]\ndefault_ca=d\n[d]\ndir=.\ndatabase=index.txt\nnew_certs_dir=.\n\
                    default_md=sha256\npolicy=p\nunique_subject=no\nrand_serial=yes\n\
                    [p]\ncommonName=supplied\n";
        fs::write(scratch.join("ca.cnf"), conf).expect("conf");
        authority.openssl(&format!("req -x509 {KEY} -subj /CN=ca -keyout ca.key -out ca.pem"));
        authority
    }

    /// A certificate for `name` (`DNS:x` or `IP:x`), valid between two years; file names without
    /// `.pem` and `.key`.
    pub fn issue(&self, file: &str, name: &str, years: [u16; 2]) {
        let [from, until] = years.map(|year| format!("{year}0101000000Z"));
        fs::write(self.0.join("ext"), format!("subjectAltName={name}\n")).expect("ext");
        self.openssl(&format!("req {KEY} -subj /CN=x -keyout {file}.key -out {file}.csr"));
        self.openssl(&format!(
            "ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -extfile ext \
             -startdate {from} -enddate {until} -in {file}.csr -out {file}.pem"
        ));
    }

    /// The pin of a certificate, as openssl counts it.
    pub fn pin(&self, file: &str) -> String {
        let line = format!(
            "openssl x509 -in {file}.pem -noout -pubkey | openssl pkey -pubin -outform DER | \
             openssl dgst -sha256 -binary | openssl base64"
        );
        let output = Command::new("sh").args(["-c", &line]).current_dir(self.0.path()).output();
        let digest = String::from_utf8(output.expect("openssl").stdout).expect("base64");
        format!("sha256/{}", digest.trim())
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        let done = process::run("openssl", &mut command, Duration::from_secs(10));
        assert!(done.status.success(), "{arguments}: {}", done.text);
    }
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// stunnel before `server`, showing a certificate of the folder; where it listens.
pub fn stunnel(scratch: &Scratch, file: &str, server: SocketAddr) -> (Running, SocketAddr) {
    let shown = format!(
        "cert = {}\nkey = {}\n",
        scratch.join(&format!("{file}.pem")),
        scratch.join(&format!("{file}.key")),
    );
    between(scratch, file, server, &shown)
}

/// stunnel as a client that believes any `server`: what speaks no TLS connects to where it listens.
pub fn within_tls(scratch: &Scratch, server: SocketAddr) -> (Running, SocketAddr) {
    between(scratch, "client", server, "client = yes\n")
}

fn between(
    scratch: &Scratch,
    file: &str,
    server: SocketAddr,
    settings: &str,
) -> (Running, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
    let conf = format!(
        "foreground = yes\npid =\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n\
         [rtmps]\naccept = {address}\nconnect = {server}\n{settings}"
    );
    let path = scratch.join(&format!("{file}.conf"));
    fs::write(&path, conf).expect("stunnel's settings");
    let mut command = Command::new("stunnel4");
    command.arg(&path);
    let running =
        Running::start("stunnel", &mut command, &scratch.join(&format!("{file}.stunnel")));
    wait_for("stunnel", Duration::from_secs(10), || accepts(address).then_some(()));
    (running, address)
}
