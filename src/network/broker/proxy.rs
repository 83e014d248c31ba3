//! The compatibility proxy: HTTP and SOCKS 5 at one port of the gateway, under the same rules. A
//! program that asks it gets an answer in words where it is refused. It must never connect to
//! another target than the one it decided on, nor before the log has it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::connection::{self, Wanted};
use super::dial;
use super::open::{Open, reset};
use super::state::State;
use super::{accept, refuse, relay};
use crate::error::{Result, Tried as _};
use crate::network::proxy::http::{self, Asked};
use crate::network::proxy::socks::{self, Code};
use crate::network::proxy::written;
use crate::network::rule::Host;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long that may be.
const LONGEST: usize = http::LONGEST;

/// Listens for clients, if there is to be a proxy.
///
/// # Errors
/// When the gateway gives no socket.
pub(super) fn begin(state: &Rc<State>) -> Result<()> {
    let Some(port) = state.proxy else { return Ok(()) };
    let at = SocketAddr::new(state.gateway.v4.into(), port);
    let listener = state.listen_for(at).tried(|| format!("listen at {at} for the proxy"))?;
    let state = Rc::clone(state);
    spawn_local(accept::each(listener, move |stream| client(Rc::clone(&state), stream)));
    Ok(())
}

async fn client(state: Rc<State>, inside: TcpStream) {
    let Some(_place) = state.places.take() else {
        let host = Host::Address(state.gateway.v4.into());
        state.refuse(refuse::too_many(&host, state.proxy.unwrap_or_default()));
        return reset(&inside);
    };
    let begun = Box::pin(begin_one(&state, &inside)).await;
    if let Some((open, outside)) = begun {
        open.carry(&inside, &outside).await;
    }
}

/// What a client asked for, and in which language it is answered.
struct Request {
    host: Host,
    port: u16,
    language: Language,
    /// What is to go on to the server.
    said: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    /// A tunnel by HTTP.
    Connect,
    /// One HTTP request.
    Forward,
    Socks,
}

impl Language {
    /// The log's word, see [`crate::log::event::Connect::via`].
    fn via(self) -> &'static str {
        match self {
            Self::Connect | Self::Forward => "connect",
            Self::Socks => "socks",
        }
    }

    fn yes(self) -> Vec<u8> {
        match self {
            Self::Connect => http::ESTABLISHED.to_vec(),
            Self::Forward => Vec::new(),
            Self::Socks => socks::reply(Code::Succeeded).to_vec(),
        }
    }

    fn no(self, status: &str, code: Code, text: &str) -> Vec<u8> {
        match self {
            Self::Connect | Self::Forward => http::answer(status, text),
            Self::Socks => socks::reply(code).to_vec(),
        }
    }
}

async fn begin_one(state: &Rc<State>, inside: &TcpStream) -> Option<(Open, TcpStream)> {
    let request = match timeout(PATIENCE, ask(state, inside)).await {
        Ok(Ok(Some(request))) => request,
        Ok(_) => return None,
        Err(_) => {
            state.refuse(refuse::nonsense("it did not say what it wants within 10 seconds"));
            return None;
        }
    };
    let Request { host, port, language, said } = request;
    // Who looked the name up itself asks for the address that stands for it.
    let host = match host {
        Host::Address(address) => state.meant(address),
        name @ Host::Name(_) => name,
    };
    let granted = match state.decide(&host, port) {
        Ok(granted) => granted,
        Err(denial) => {
            let refused = refuse::not_allowed(&host, port, denial);
            let text = in_words(&host, port, refused.allow.as_deref());
            state.refuse(refused);
            return answer(inside, &language.no("403 Forbidden", Code::NotAllowed, &text)).await;
        }
    };
    let wanted = Wanted { host, port, granted, via: language.via() };
    reach(state, inside, wanted, language, said).await
}

async fn reach(
    state: &Rc<State>,
    inside: &TcpStream,
    wanted: Wanted,
    language: Language,
    said: Vec<u8>,
) -> Option<(Open, TcpStream)> {
    let unreached = |text: &str| language.no("502 Bad Gateway", Code::Unreachable, text);
    let target = written(&wanted.host, wanted.port);
    let route = match connection::route(state, &wanted).await {
        Ok(route) => route,
        Err(Some(why)) => {
            let text = format!("{target}: {why}");
            connection::open(state, &wanted).failed(why);
            return answer(inside, &unreached(&text)).await;
        }
        Err(None) => {
            let text = format!("{target} leads to an address that is never reached from here");
            return answer(inside, &language.no("403 Forbidden", Code::NotAllowed, &text)).await;
        }
    };
    // Who asks only, and goes, has made a connection to the outside all the same.
    let open = connection::open(state, &wanted);
    let dialled = match dial::dial(state, &route, wanted.port).await {
        Ok(dialled) => dialled,
        Err(why) => {
            let text = format!("{target}: {why}");
            open.failed(why);
            drop(open);
            return answer(inside, &unreached(&text)).await;
        }
    };
    open.leads_to(dialled.address);
    // Nothing of the client's has gone out yet. It waits for our word before it says its hello.
    if let Err(err) = relay::all(inside, &language.yes()).await {
        open.failed(format!("nothing was sent: {err}"));
        return None;
    }
    let Some(said) = connection::hello(state, inside, &wanted, said).await else {
        open.failed("nothing was sent: no TLS hello for this host came".to_owned());
        return None;
    };
    connection::through(open, inside, dialled, &said).await
}

fn in_words(host: &Host, port: u16, allow: Option<&str>) -> String {
    let target = written(host, port);
    match allow {
        Some(allow) => format!(
            "{target} is not on the list of what this session may reach. \
             The person who started it can allow it, outside: claudebox allow {allow}"
        ),
        None => format!("{target} is forbidden to this session"),
    }
}

/// Answers, and that is all.
async fn answer<T>(inside: &TcpStream, bytes: &[u8]) -> Option<T> {
    if timeout(PATIENCE, relay::all(inside, bytes)).await.is_ok() {
        let _ = rustix::net::shutdown(inside, rustix::net::Shutdown::Write);
    }
    None
}

/// Asks a client what it wants. `None` where it was answered already.
async fn ask(state: &Rc<State>, inside: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    if !more(state, inside, &mut bytes).await? {
        return Ok(None);
    }
    if bytes.first() == Some(&socks::VERSION) {
        ask_socks(state, inside, bytes).await
    } else {
        ask_http(state, inside, bytes).await
    }
}

async fn ask_http(
    state: &Rc<State>,
    inside: &TcpStream,
    mut bytes: Vec<u8>,
) -> std::io::Result<Option<Request>> {
    loop {
        match http::read(&bytes) {
            http::Read::More => {
                if !more(state, inside, &mut bytes).await? {
                    return Ok(None);
                }
            }
            http::Read::Nonsense(why) => {
                state.refuse(refuse::nonsense(why));
                relay::all(inside, &http::answer("400 Bad Request", why)).await?;
                return Ok(None);
            }
            http::Read::Request(asked, length) => {
                let rest = bytes.split_off(length);
                let (host, port, language, said) = match asked {
                    Asked::Connect(host, port) => (host, port, Language::Connect, rest),
                    Asked::Forward { host, port, head } => {
                        (host, port, Language::Forward, [head, rest].concat())
                    }
                };
                return Ok(Some(Request { host, port, language, said }));
            }
        }
    }
}

async fn ask_socks(
    state: &Rc<State>,
    inside: &TcpStream,
    mut bytes: Vec<u8>,
) -> std::io::Result<Option<Request>> {
    loop {
        match socks::greeting(&bytes) {
            socks::Read::Message(without, length) => {
                bytes.drain(..length);
                relay::all(inside, &socks::method(without)).await?;
                if !without {
                    state.refuse(refuse::nonsense("SOCKS with authentication"));
                    return Ok(None);
                }
                break;
            }
            socks::Read::More if more(state, inside, &mut bytes).await? => {}
            _ => return Ok(None),
        }
    }
    loop {
        match socks::request(&bytes) {
            socks::Read::Message((host, port), length) => {
                let said = bytes.split_off(length);
                return Ok(Some(Request { host, port, language: Language::Socks, said }));
            }
            socks::Read::Refused(code) => {
                state.refuse(refuse::nonsense("a SOCKS request that is not served"));
                relay::all(inside, &socks::reply(code)).await?;
                return Ok(None);
            }
            socks::Read::More if more(state, inside, &mut bytes).await? => {}
            socks::Read::More => return Ok(None),
        }
    }
}

/// Reads what comes next; `false` where nothing does, or it is too long.
async fn more(state: &Rc<State>, inside: &TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    let before = bytes.len();
    loop {
        inside.readable().await?;
        let most = LONGEST.saturating_sub(before);
        let read = state.buffers.read(inside, most, |read| bytes.extend_from_slice(read))?;
        if read.is_some() {
            return Ok(bytes.len() > before);
        }
    }
}
