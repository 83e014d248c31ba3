//! What stands for everything outside: a proxy on this machine's loopback that claudebox has to use, as
//! in many companies, by HTTP or by SOCKS 5. Whatever leaves the sandbox is asked of it by name. It leads
//! each name to the server that a test puts there, and writes down what it was asked, so that a test
//! judges from outside. It must never lead anywhere else.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
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
    /// Where all other names lead: at port 443, and at any other.
    others: Option<(SocketAddr, SocketAddr)>,
}

impl Known {
    fn server(&self, target: &str) -> Option<SocketAddr> {
        let other = |(tls, plain)| if target.ends_with(":443") { tls } else { plain };
        self.servers.get(target).copied().or_else(|| self.others.map(other))
    }
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
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
        self.known.lock().unwrap().servers.insert(target.into(), here(port));
    }

    /// Puts servers of this machine's loopback at every other name: at its port 443, and at any other.
    pub(crate) fn put_everywhere(&self, tls: u16, plain: u16) {
        self.known.lock().unwrap().others = Some((here(tls), here(plain)));
    }

    /// The proxy's port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The value of `HTTPS_PROXY` for claudebox.
    pub(crate) fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The value of `ALL_PROXY` for claudebox, where it is to be asked by SOCKS 5, with a password.
    pub(crate) fn socks(&self) -> String {
        format!("socks5h://me:secret@127.0.0.1:{}", self.port)
    }

    /// What it was asked for since the last time, each once, in the order of names.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.count();
        asked.dedup();
        asked
    }

    /// The whole of the last request to it; of one by SOCKS 5, the login.
    pub(crate) fn last(&self) -> String {
        self.known.lock().unwrap().last.clone()
    }

    /// What it was asked for and nobody was told of yet, each once, in the order of names.
    pub(crate) fn so_far(&self) -> Vec<String> {
        let mut asked = self.known.lock().unwrap().asked.clone();
        asked.sort();
        asked.dedup();
        asked
    }

    /// How often it was asked.
    pub(crate) fn times(&self) -> usize {
        self.known.lock().unwrap().asked.len()
    }

    /// What it was asked for since the last time, as often as it was.
    pub(crate) fn count(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut self.known.lock().unwrap().asked);
        asked.sort();
        asked
    }
}

/// What somebody asks for, in either language.
#[derive(Default)]
struct Asked {
    target: String,
    words: String,
    yes: &'static [u8],
    no: &'static [u8],
}

/// What comes first: the target of a CONNECT, or whatever else it is.
async fn asked(stream: &mut TcpStream) -> Asked {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(5) if head.is_empty() => return by_socks(stream).await.unwrap_or_default(),
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let words = String::from_utf8_lossy(&head).into_owned();
    let target = words.split_whitespace().nth(1).unwrap_or("nothing").to_owned();
    let (yes, no) = (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
    Asked { target, words, yes, no }
}

/// After the version, which was read.
async fn by_socks(stream: &mut TcpStream) -> io::Result<Asked> {
    let methods = sized(stream).await?;
    let mut words = String::new();
    if methods.contains(&2) {
        stream.write_all(&[5, 2]).await?;
        stream.read_u8().await?;
        let (user, password) = (sized(stream).await?, sized(stream).await?);
        words = String::from_utf8_lossy(&[&user, &b":"[..], &password].concat()).into_owned();
        stream.write_all(&[1, 0]).await?;
    } else {
        stream.write_all(&[5, 0]).await?;
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => Ipv4Addr::from(stream.read_u32().await?).to_string(),
        _ => String::from_utf8_lossy(&sized(stream).await?).into_owned(),
    };
    let target = format!("{host}:{}", stream.read_u16().await?);
    let (yes, no) = (&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
    Ok(Asked { target, words, yes, no })
}

/// Bytes behind their number.
async fn sized(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Writes down what comes first, and leads there. Where no server was put, it says so itself: who gets
/// there has got something.
async fn answer(mut stream: TcpStream, known: Arc<Mutex<Known>>) {
    let Asked { target, words, yes, no } = asked(&mut stream).await;
    let server = {
        let mut known = known.lock().unwrap();
        known.asked.push(target.clone());
        known.last = words;
        known.server(&target)
    };
    let connected = match server {
        Some(at) => TcpStream::connect(at).await.ok(),
        None => None,
    };
    if let Some(mut server) = connected {
        let _ = stream.write_all(yes).await;
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
    } else if server.is_some() {
        let _ = stream.write_all(no).await;
    } else {
        let words = [yes, b"the world: ", target.as_bytes()].concat();
        let _ = stream.write_all(&words).await;
        // To close before what was said has been read would be a reset.
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}
