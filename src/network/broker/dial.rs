//! Connections to the world outside: the name is looked up once, each address is judged, and what
//! was judged is what is dialled. It must never look a name up a second time.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use super::connect::{self, Dialled};
use super::lookup::lookup;
use super::state::{Granted, State};
use super::upstream;
use crate::network::guard::Never;
use crate::network::rule::Host;

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

/// Goes a way.
///
/// # Errors
/// Why nobody answers, in words.
pub(super) async fn dial(state: &Rc<State>, route: &Route, port: u16) -> Result<Dialled, String> {
    match (route, &state.upstream) {
        (Route::Direct(addresses), _) => {
            let (stream, address) = connect::first(addresses).await?;
            Ok(Dialled { stream, address, early: Vec::new() })
        }
        (Route::Upstream(targets), Some(upstream)) => {
            upstream::dial(state, upstream, targets, port).await
        }
        (Route::Upstream(_), None) => Err("there is no proxy".to_owned()),
    }
}
