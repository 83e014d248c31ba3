//! What stands for everything outside: a proxy on this machine's loopback that claudebox has to use, as
//! in many companies. Whatever leaves the sandbox is asked of it by name. It leads each name to the
//! server that a test puts there, and writes down what it was asked, so that a test judges from outside.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The proxy, and the servers behind it.
#[derive(Debug)]
pub(crate) struct World {
    port: u16,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    asked: Vec<String>,
    last: String,
    servers: HashMap<String, SocketAddr>,
}

impl World {
    /// A world without servers.
    pub(crate) fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let known = Arc::new(Mutex::new(Known::default()));
        let shared = Arc::clone(&known);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(answer(stream, Arc::clone(&shared)));
                }
            });
        });
        Self { port, known }
    }

    /// Puts a server of this machine's loopback at `HOST:PORT`.
    pub(crate) fn put(&self, target: impl Into<String>, port: u16) {
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        self.known.lock().unwrap().servers.insert(target.into(), at);
    }

    /// The proxy's port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The value of `HTTPS_PROXY` for claudebox.
    pub(crate) fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked for since the last time, each once, in the order of names.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.count();
        asked.dedup();
        asked
    }

    /// The whole of the last request to it.
    pub(crate) fn last(&self) -> String {
        self.known.lock().unwrap().last.clone()
    }

    /// How often it was asked.
    pub(crate) fn times(&self) -> usize {
        self.known.lock().unwrap().asked.len()
    }

    /// The same, as often as it was asked.
    pub(crate) fn count(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut self.known.lock().unwrap().asked);
        asked.sort();
        asked
    }
}

/// Writes down what comes first: the target of a CONNECT, or whatever else it is. Where no server
/// was put, it says so itself: who gets there has got something.
async fn answer(mut stream: TcpStream, known: Arc<Mutex<Known>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split_whitespace().nth(1).unwrap_or("nothing").to_owned();
    let server = {
        let mut known = known.lock().unwrap();
        known.asked.push(target.clone());
        known.last = head;
        known.servers.get(&target).copied()
    };
    let connected = match server {
        Some(at) => TcpStream::connect(at).await.ok(),
        None => None,
    };
    if let Some(mut server) = connected {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
    } else if server.is_some() {
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    } else {
        let words = format!("HTTP/1.1 200 OK\r\n\r\nthe world: {target}");
        let _ = stream.write_all(words.as_bytes()).await;
        // To close before what was said has been read would be a reset.
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}
