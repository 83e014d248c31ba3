//! Connections to the world outside: the name is looked up once, each address is judged, and what
//! was judged is what is dialled. It must never look a name up a second time.
#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::state::{Granted, State};
use super::upstream;
use crate::network::guard::Never;
use crate::network::rule::Host;

/// How long a lookup may take. The host's resolver usually gives up earlier.
const LOOKUP: Duration = Duration::from_secs(30);
/// After how long another address of the name is tried besides.
const NEXT: Duration = Duration::from_millis(300);
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most addresses of a name that are tried.
const ADDRESSES: usize = 8;
/// After how long the kernel asks whether a silent server is still there, and how often, in seconds.
const ALIVE: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(30));

/// A connection, and what it said already.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) stream: TcpStream,
    /// Whose it is: the server's, or the host's proxy's.
    pub(super) address: SocketAddr,
    pub(super) early: Vec<u8>,
}

/// The way to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// One of these addresses.
    Direct(Vec<SocketAddr>),
    /// The host's proxy, which is told the name, or one of the addresses that were judged.
    Upstream(Vec<Host>),
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NoRoute {
    /// It leads to an address that is not dialled.
    Guarded(IpAddr, Never),
    /// It leads nowhere.
    Failed(String),
}

/// Looks for the way to a host.
pub(super) async fn route(
    state: &Rc<State>,
    host: &Host,
    port: u16,
    granted: &Granted,
) -> Result<Route, NoRoute> {
    let name = match host {
        Host::Address(address) => {
            judge(state, *address, granted.private)
                .map_err(|never| NoRoute::Guarded(*address, never))?;
            return Ok(Route::Direct(vec![SocketAddr::new(*address, port)]));
        }
        Host::Name(name) => name,
    };
    let upstream = state.upstream.as_ref().filter(|upstream| !upstream.excepts(name));
    // What the name leads to is the proxy's to find out, and to judge.
    if upstream.is_some_and(|upstream| upstream.scheme.looks_names_up()) {
        return Ok(Route::Upstream(vec![host.clone()]));
    }
    let found = lookup(state, name.as_str().to_owned(), port).await.map_err(NoRoute::Failed)?;
    let mut refused = None;
    let mut addresses = Vec::new();
    for at in found {
        match judge(state, at.ip(), granted.private) {
            Ok(()) => addresses.push(at),
            Err(never) => refused = refused.or(Some((at.ip(), never))),
        }
    }
    match refused {
        Some((address, never)) if addresses.is_empty() => Err(NoRoute::Guarded(address, never)),
        None if addresses.is_empty() => Err(NoRoute::Failed("it has no address".to_owned())),
        _ if upstream.is_some() => {
            Ok(Route::Upstream(addresses.iter().map(|at| Host::Address(at.ip())).collect()))
        }
        _ => Ok(Route::Direct(addresses)),
    }
}

/// Whether an address may be dialled.
fn judge(state: &State, address: IpAddr, private: bool) -> Result<(), Never> {
    (state.outside.guard)(address, private)?;
    let now = Instant::now();
    if state.others.find(&address, now).is_some() {
        return Ok(());
    }
    if (state.outside.own)(address) {
        return Err(Never::Own);
    }
    state.others.keep(address, (), now);
    Ok(())
}

/// Looks a name up as the host does, unless that was done just now.
pub(super) async fn lookup(
    state: &State,
    name: String,
    port: u16,
) -> Result<Vec<SocketAddr>, String> {
    let target = (name, port);
    if let Some(found) = state.lookups.find(&target, Instant::now()) {
        return Ok(found);
    }
    let look = state.outside.lookup.clone();
    let asked = target.0.clone();
    let looked = spawn_blocking(move || look(&asked, port));
    match timeout(LOOKUP, looked).await {
        Ok(Ok(Ok(mut found))) => {
            found.truncate(ADDRESSES);
            state.lookups.keep(target, found.clone(), Instant::now());
            Ok(found)
        }
        Ok(Ok(Err(err))) => Err(format!("cannot look it up: {err}")),
        Ok(Err(_)) => Err("cannot look it up".to_owned()),
        Err(_) => Err("looking it up takes too long".to_owned()),
    }
}

/// Goes a way.
///
/// # Errors
/// Why nobody answers, in words.
pub(super) async fn dial(state: &Rc<State>, route: &Route, port: u16) -> Result<Dialled, String> {
    match (route, &state.upstream) {
        (Route::Direct(addresses), _) => {
            let (stream, address) = first(addresses).await?;
            Ok(Dialled { stream, address, early: Vec::new() })
        }
        (Route::Upstream(targets), Some(upstream)) => {
            upstream::dial(state, upstream, targets, port).await
        }
        (Route::Upstream(_), None) => Err("there is no proxy".to_owned()),
    }
}

/// The first of these that answers. One that does not answer soon is not waited for: a host whose
/// IPv6 leads nowhere is common (RFC 8305).
///
/// # Errors
/// Why none does, in words: the last reason.
pub(super) async fn first(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), String> {
    match timeout(PATIENCE, race(addresses)).await {
        Ok(Ok((stream, at))) => {
            // A connection that cannot be tuned still carries.
            let _ = tune(&stream);
            Ok((stream, at))
        }
        Ok(Err(why)) => Err(why),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

async fn race(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), String> {
    // Nobody to race with: no task of its own, and no clock.
    if let [at] = *addresses {
        return connect(at).await.map(|stream| (stream, at));
    }
    // What is still under way when one has answered is given up with this.
    let mut tried = JoinSet::new();
    let mut left = addresses.iter().copied();
    let mut why = "it has no address".to_owned();
    loop {
        if let Some(at) = left.next() {
            tried.spawn_local(async move { (at, connect(at).await) });
        }
        let patience = if left.len() > 0 { NEXT } else { PATIENCE };
        match timeout(patience, tried.join_next()).await {
            Ok(Some(Ok((at, Ok(stream))))) => return Ok((stream, at)),
            Ok(Some(Ok((_, Err(failed))))) => why = failed,
            Ok(None) => return Err(why),
            // The next one's turn, too.
            Ok(Some(Err(_))) | Err(_) => {}
        }
    }
}

async fn connect(at: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(at).await.map_err(|err| format!("cannot connect to {at}: {err}"))
}

/// Sends small writes at once, and notices a server that is gone without a word.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, ALIVE.0)?;
    Ok(sockopt::set_tcp_keepintvl(stream, ALIVE.1)?)
}
