//! The proxy that the host itself has to use: by HTTP or SOCKS 5 it is told the target, which was
//! allowed by then. It is the host's own word, so that no rule and no guard speaks of its address. It
//! must never show its password.
#![forbid(unsafe_code)]

mod http;
mod socks;

use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::{self, Dialled};
use super::lookup::lookup;
use super::relay::{self, Buffers};
use super::state::State;
use crate::network::plan::{Scheme, Upstream};
use crate::network::rule::Host;

/// How long the proxy may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer of it may be.
const LONGEST: usize = 16 * 1024;

/// What an answer says, and how long it is, if it is all there; what is wrong with it, in words.
type Heard<T> = Option<Result<(T, usize), String>>;

/// Connects through the proxy, to the first of these that it reaches.
///
/// # Errors
/// Why not, in words.
pub(super) async fn dial(
    state: &Rc<State>,
    upstream: &Upstream,
    targets: &[Host],
    port: u16,
) -> Result<Dialled, String> {
    let dialled = timeout(PATIENCE, async {
        let mut failed = "it has no address".to_owned();
        for target in targets {
            match through(state, upstream, target, port).await {
                Ok(dialled) => return Ok(dialled),
                Err(why) => failed = why,
            }
        }
        Err(failed)
    });
    let failed = match dialled.await {
        Ok(Ok(dialled)) => return Ok(dialled),
        Ok(Err(why)) => why,
        Err(_) => "it does not answer".to_owned(),
    };
    Err(format!("the host's proxy: {failed}"))
}

async fn through(
    state: &Rc<State>,
    upstream: &Upstream,
    host: &Host,
    port: u16,
) -> Result<Dialled, String> {
    let found = lookup(state, upstream.host.clone(), upstream.port).await?;
    let (stream, address) = connect::first(&found).await?;
    let mut talk = Talk { buffers: &state.buffers, stream: &stream, heard: Vec::new() };
    let credentials = upstream.credentials.as_deref();
    match upstream.scheme {
        Scheme::Http => {
            talk.say(http::request(credentials, host, port).as_bytes()).await?;
            talk.hear(http::established).await?;
        }
        Scheme::Socks5 | Scheme::Socks5h => {
            talk.say(socks::greeting(credentials.is_some())).await?;
            if talk.hear(socks::method).await? {
                talk.say(&socks::login(credentials.unwrap_or_default())?).await?;
                talk.hear(socks::logged_in).await?;
            }
            talk.say(&socks::request(host, port)?).await?;
            talk.hear(socks::established).await?;
        }
    }
    let early = talk.heard;
    Ok(Dialled { stream, address, early })
}

/// What is said to the proxy, and what it answers.
struct Talk<'a> {
    buffers: &'a Buffers,
    stream: &'a TcpStream,
    /// What came of it and was not looked at yet.
    heard: Vec<u8>,
}

impl Talk<'_> {
    async fn say(&self, bytes: &[u8]) -> Result<(), String> {
        relay::all(self.stream, bytes).await.map_err(|err| err.to_string())
    }

    /// Waits for an answer to be whole.
    async fn hear<T>(&mut self, read: impl Fn(&[u8]) -> Heard<T>) -> Result<T, String> {
        loop {
            if let Some(answer) = read(&self.heard) {
                let (answer, length) = answer?;
                self.heard.drain(..length);
                return Ok(answer);
            }
            self.stream.readable().await.map_err(|err| err.to_string())?;
            let most = LONGEST - self.heard.len();
            let read = self.buffers.read(self.stream, most, |bytes| {
                self.heard.extend_from_slice(bytes);
                bytes.is_empty()
            });
            if read.map_err(|err| err.to_string())? == Some(true) {
                return Err("it hung up".to_owned());
            }
        }
    }
}
