//! Real publishers: ffmpeg, GStreamer, librtmp, nginx-rtmp. Every access unit is compared.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::support::process::{self, Running, Scratch};

/// nginx with its RTMP module, in a folder of its own.
pub struct Nginx {
    pub rtmp: SocketAddr,
    running: Running,
}

impl Nginx {
    /// Starts with application `live` and the given directives in it.
    pub fn start(scratch: &Scratch, directives: &str) -> Self {
        process::need("nginx");
        let port = process::free_port();
        let work = scratch.path().display();
        let configuration = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\nuser root;\ndaemon off;\nmaster_process off;\n\
             error_log {work}/error.log info;\npid {work}/nginx.pid;\nevents {{ worker_connections 64; }}\n\
             rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096; access_log off;\n\
             application live {{ live on; {directives} }} }} }}\n"
        );
        std::fs::write(scratch.join("nginx.conf"), configuration).expect("nginx.conf");
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-c", &scratch.join("nginx.conf"), "-p", &work.to_string()]);
        let running = Running::start("nginx", &mut command, &scratch.join("nginx.log"));
        let rtmp = SocketAddr::from(([127, 0, 0, 1], port));
        process::wait_for("nginx", Duration::from_secs(5), || process::accepts(rtmp).then_some(()));
        Self { rtmp, running }
    }

    pub fn log(&self) -> String {
        self.running.text()
    }
}
