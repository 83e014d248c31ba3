//! One connection, from the moment it comes to its end: what is meant, whether it may be, the hello,
//! the way, the bytes. Nothing goes out before all of it is decided. It must never let one through
//! that the log does not have.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::Dialled;
use super::dial::{self, NoRoute, Route};
use super::limits::SHORT_HELLO;
use super::open::{Open, reset};
use super::refuse::{self, shown};
use super::state::{Granted, State};
use crate::network::hello::{ALERT, Hello, LONGEST, Seen};
use crate::network::name::Name;
use crate::network::rule::Host;

/// How long a program may take to say its first words.
const HELLO: Duration = Duration::from_secs(10);

/// What somebody wants, and may have.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) granted: Granted,
    /// See [`crate::log::event::Connect::via`].
    pub(super) via: &'static str,
}

/// A connection that came to an address of the gateway by itself; to which, where that is known.
pub(super) async fn direct(state: Rc<State>, inside: TcpStream, at: Option<SocketAddr>) {
    state.busy_poll.expect_more();
    let Ok(at) = at.map_or_else(|| inside.local_addr(), Ok) else { return };
    let (host, port) = (state.meant(at.ip()), at.port());
    let granted = match state.decide(&host, port) {
        Ok(granted) => granted,
        Err(denial) => {
            state.refuse(refuse::not_allowed(&host, port, denial));
            return reset(&inside);
        }
    };
    let Some(_place) = state.places.take() else {
        state.refuse(refuse::too_many(&host, port));
        return reset(&inside);
    };
    let wanted = Wanted { host, port, granted, via: "direct" };
    // What is needed for the beginning only is given back then.
    let Some((open, outside)) = Box::pin(begin(&state, &inside, wanted)).await else {
        return;
    };
    open.carry(&inside, &outside).await;
}

/// The beginning: the hello, the way, the dial.
async fn begin(state: &Rc<State>, inside: &TcpStream, wanted: Wanted) -> Option<(Open, TcpStream)> {
    let hello = hello(state, inside, &wanted, Vec::new()).await?;
    let route = match route(state, &wanted).await {
        Ok(route) => route,
        Err(Some(why)) => {
            open(state, &wanted).failed(why);
            reset(inside);
            return None;
        }
        Err(None) => {
            reset(inside);
            return None;
        }
    };
    let open = open(state, &wanted);
    match dial::dial(state, &route, wanted.port).await {
        Ok(dialled) => through(open, inside, dialled, &hello).await,
        Err(why) => {
            open.failed(why);
            reset(inside);
            None
        }
    }
}

/// Writes into the log that it is let through.
pub(super) fn open(state: &Rc<State>, wanted: &Wanted) -> Open {
    let target = (shown(&wanted.host), wanted.port);
    let granted = &wanted.granted;
    Open::new(state, target, granted.said.clone(), wanted.via, granted.tls)
}

/// The way to what is wanted. Where there is none, why, unless it was refused: then that was said.
pub(super) async fn route(state: &Rc<State>, wanted: &Wanted) -> Result<Route, Option<String>> {
    let Wanted { host, port, granted, .. } = wanted;
    match dial::route(state, host, *port, granted).await {
        Ok(route) => Ok(route),
        Err(NoRoute::Failed(why)) => Err(Some(why)),
        Err(NoRoute::Guarded(address, never)) => {
            state.refuse(refuse::guarded(host, *port, address, never));
            Err(None)
        }
    }
}

/// Sends on what was said so far; what follows only has to be carried.
pub(super) async fn through(
    open: Open,
    inside: &TcpStream,
    dialled: Dialled,
    said: &[u8],
) -> Option<(Open, TcpStream)> {
    open.leads_to(dialled.address);
    let early = open.early((&dialled.stream, said), (inside, &dialled.early)).await;
    if let Err(err) = early {
        open.failed(err.to_string());
        reset(inside);
        return None;
    }
    Some((open, dialled.stream))
}

/// Reads the hello, where one is demanded, behind what was read already. `None` where it is not as it
/// has to be, and nothing is to follow.
pub(super) async fn hello(
    state: &Rc<State>,
    inside: &TcpStream,
    wanted: &Wanted,
    said: Vec<u8>,
) -> Option<Vec<u8>> {
    let (true, Host::Name(name)) = (wanted.granted.tls, &wanted.host) else { return Some(said) };
    let (host, port) = (&wanted.host, wanted.port);
    let refused = match timeout(HELLO, read_hello(state, inside, name, said)).await {
        Ok(Ok(Heard::Right(said))) => return Some(said),
        // It asked whether somebody listens, and went.
        Ok(Ok(Heard::Nothing) | Err(_)) => return None,
        Ok(Ok(Heard::Wrong(what))) => match what {
            Wrong::Name(other) => refuse::other_name(host, port, other.to_string()),
            Wrong::NoName => refuse::no_tls(host, port, "its TLS hello names no host"),
            Wrong::NotTls => refuse::no_tls(host, port, "it does not begin with a TLS hello"),
            Wrong::TooMany => refuse::no_tls(host, port, "too many long TLS hellos come at once"),
        },
        Err(_) => refuse::no_tls(host, port, "it said nothing for 10 seconds"),
    };
    state.refuse(refused);
    reset_unless_told(inside);
    None
}

/// What a program's first words are.
enum Heard {
    /// A hello to the right name; all that was read.
    Right(Vec<u8>),
    /// It went without a word.
    Nothing,
    /// Something else.
    Wrong(Wrong),
}

enum Wrong {
    Name(Name),
    NoName,
    NotTls,
    TooMany,
}

async fn read_hello(
    state: &State,
    inside: &TcpStream,
    name: &Name,
    mut said: Vec<u8>,
) -> io::Result<Heard> {
    let mut hello = Hello::default();
    // A thousand programs that never come to the end of one would fill the supervisor's memory.
    let mut place = None;
    let mut seen = if said.is_empty() { Seen::More } else { hello.take(&said) };
    loop {
        let wrong = match seen {
            Seen::Name(other) if other == *name => return Ok(Heard::Right(said)),
            Seen::Name(other) => Wrong::Name(other),
            Seen::NoName => Wrong::NoName,
            Seen::NotTls => Wrong::NotTls,
            Seen::More if said.len() > SHORT_HELLO && place.is_none() => {
                place = state.long_hellos.take();
                if place.is_some() {
                    continue;
                }
                Wrong::TooMany
            }
            Seen::More => {
                inside.readable().await?;
                let read = state.buffers.read(inside, LONGEST, |bytes| {
                    said.extend_from_slice(bytes);
                    (bytes.is_empty(), hello.take(bytes))
                })?;
                match read {
                    Some((true, _)) if said.is_empty() => return Ok(Heard::Nothing),
                    Some((true, _)) => return Ok(Heard::Wrong(Wrong::NotTls)),
                    Some((false, next)) => seen = next,
                    None => seen = Seen::More,
                }
                continue;
            }
        };
        if Hello::is_tls(&said) {
            // So that the client says what happened: "access denied".
            let _ = inside.try_write(&ALERT);
        }
        return Ok(Heard::Wrong(wrong));
    }
}

/// Ends a connection. What it was told arrives: a reset could overtake it.
fn reset_unless_told(inside: &TcpStream) {
    let _ = rustix::net::shutdown(inside, rustix::net::Shutdown::Write);
}
