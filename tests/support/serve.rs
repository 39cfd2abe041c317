//! A folder over HTTP/1.0 on loopback, for pages and for judging the judges.
//!
//! Does NOT list folders or leave the given one.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Serves until dropped.
pub struct Folder {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Folder {
    /// Starts to serve `root`.
    pub fn start(root: PathBuf) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
        let address = listener.local_addr().expect("address");
        listener.set_nonblocking(true).expect("nonblocking");
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                let Ok((mut socket, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let _ = socket.set_nonblocking(false);
                let _ = socket.set_read_timeout(Some(Duration::from_secs(2)));
                let mut request = [0_u8; 4096];
                let n = socket.read(&mut request).unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..n]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/");
                let answer = match fs::read(root.join(path.trim_start_matches('/'))) {
                    Ok(body) if !path.contains("..") => {
                        let mut head = format!(
                            "HTTP/1.0 200 OK\r\nAccess-Control-Allow-Origin: *\r\n\
                             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
                            kind(path),
                            body.len()
                        )
                        .into_bytes();
                        head.extend(body);
                        head
                    }
                    _ => b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
                };
                let _ = socket.write_all(&answer);
            }
        });
        Self { address, stop }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("js") => "text/javascript",
        Some("ts") => "video/mp2t",
        _ => "text/html",
    }
}
