//! Single ports that lead from one side to the other: of the host's loopback into the sandbox
//! (`host-ports`), and of the sandbox onto the host's loopback (`publish`). It must never open a port
//! of the host to another machine.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::rc::Rc;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::spawn_local;

use super::accept;
use super::listener::listener;
use super::open::{Open, reset};
use super::state::State;
use crate::error::{Error, Result, Tried as _};
use crate::log::event::RuleSaid;
use crate::network::plan::Publish;

/// A loopback has two addresses, and a server need not listen at both.
const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Listens on both sides.
///
/// # Errors
/// When a port is taken.
pub(super) fn begin(state: &Rc<State>) -> Result<()> {
    for port in state.host_ports.clone() {
        host_port(state, port).tried(|| format!("listen at port {port} inside the sandbox"))?;
    }
    for publish in state.publish.clone() {
        let (listener, outside) = on_host(publish)?;
        let published = Publish { outside, ..publish };
        state.published.borrow_mut().push(published);
        spawn_publish(state, listener, published);
    }
    Ok(())
}

fn host_port(state: &Rc<State>, port: u16) -> std::io::Result<()> {
    for (first, address) in [true, false].into_iter().zip(LOOPBACKS) {
        match state.sockets.listen_inside(address, port).and_then(listener) {
            Ok(listener) => {
                let state = Rc::clone(state);
                spawn_local(accept::each(listener, move |inside| {
                    to_host(Rc::clone(&state), inside, port)
                }));
            }
            Err(err) if first => return Err(err),
            // A sandbox without IPv6.
            Err(_) => {}
        }
    }
    Ok(())
}

/// From inside to a port of the host's loopback.
async fn to_host(state: Rc<State>, inside: TcpStream, port: u16) {
    let Some(_place) = state.places.take() else { return reset(&inside) };
    let rule = RuleSaid { text: format!("host-ports {port}"), origin: String::new() };
    let open = Open::new(&state, ("localhost".to_owned(), port), rule, "host-port", false);
    let mut failure = None;
    for address in LOOPBACKS {
        let at = SocketAddr::new(address, port);
        match TcpStream::connect(at).await {
            Ok(outside) => {
                let _ = outside.set_nodelay(true);
                open.leads_to(at);
                return open.carry(&inside, &outside).await;
            }
            Err(err) => failure = failure.or(Some(format!("cannot connect to {at}: {err}"))),
        }
    }
    if let Some(why) = failure {
        open.failed(why);
    }
    reset(&inside);
}

/// A listener on the host's loopback, and its port.
fn on_host(publish: Publish) -> Result<(StdListener, u16)> {
    let at = SocketAddr::new(LOOPBACKS[0], publish.outside);
    let listener = StdListener::bind(at).map_err(|err| {
        let inside = publish.inside;
        let error = Error::launcher(format!("cannot publish port {inside} at {at}: {err}"));
        error.hint(format!("`--publish {inside}:0` takes a port that is free"))
    })?;
    let port = listener.local_addr().tried(|| "ask for the port")?.port();
    Ok((listener, port))
}

fn spawn_publish(state: &Rc<State>, bound: StdListener, publish: Publish) {
    match listener(bound.into()) {
        Ok(listener) => {
            let state = Rc::clone(state);
            spawn_local(accept::each(listener, move |outside| {
                from_host(Rc::clone(&state), outside, publish.inside)
            }));
        }
        Err(err) => {
            let words = format!("port {} is not published: {err}", publish.inside);
            state.notice("network", words);
        }
    }
}

/// From the host to a port inside.
async fn from_host(state: Rc<State>, outside: TcpStream, port: u16) {
    let Some(_place) = state.places.take() else { return reset(&outside) };
    let rule = RuleSaid { text: format!("publish {port}"), origin: String::new() };
    let open = Open::new(&state, ("localhost".to_owned(), port), rule, "publish", false);
    let mut failure = None;
    for address in LOOPBACKS {
        let at = SocketAddr::new(address, port);
        match connect_inside(&state, at).await {
            Ok(inside) => {
                let _ = inside.set_nodelay(true);
                open.leads_to(at);
                return open.carry(&inside, &outside).await;
            }
            Err(err) => failure = failure.or(Some(format!("cannot connect inside: {err}"))),
        }
    }
    if let Some(why) = failure {
        open.failed(why);
    }
    reset(&outside);
}

async fn connect_inside(state: &State, at: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = std::net::TcpStream::from(state.sockets.connect_inside(at.is_ipv6())?);
    socket.set_nonblocking(true)?;
    TcpSocket::from_std_stream(socket).connect(at).await
}
