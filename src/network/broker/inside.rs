//! Tells of servers that begin to listen inside: a person may want to look at one. It must never
//! cost more than a look now and then.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::{spawn_local, yield_now};

use super::datagram;
use super::state::State;
use crate::log::clock::now;
use crate::log::event::{Event, Listen};
use crate::network::listening::{Family, Told, request, told};

/// How often there is a look.
const PERIOD: Duration = Duration::from_secs(2);
/// How many servers a session is told of: enough for a person, few for the log.
const MOST: usize = 256;
/// Bytes of one datagram of an answer; the kernel makes none longer (`NLMSG_GOODSIZE`, 8 KB and less).
const DATAGRAM: usize = 16 * 1024;

/// Begins to look.
pub(super) fn begin(state: &Rc<State>) {
    // The runtime asks no more of a socket than that it can be waited for.
    match state.sockets.sock_diag().and_then(datagram::socket) {
        Ok(socket) => drop(spawn_local(watch(Rc::clone(state), socket))),
        Err(err) => complain(state, &err),
    }
}

fn complain(state: &State, err: &io::Error) {
    state.notice("network", format!("servers that begin to listen are not in the log: {err}"));
}

async fn watch(state: Rc<State>, socket: UdpSocket) {
    let mut known = HashSet::new();
    let mut number = 0;
    while known.len() < MOST {
        tokio::time::sleep(PERIOD).await;
        for family in [Family::V4, Family::V6] {
            number += 1;
            if let Err(err) = look(&state, &socket, family, number, &mut known).await {
                return complain(&state, &err);
            }
        }
    }
}

/// Reads an answer to its end: the kernel takes no other request before.
async fn look(
    state: &State,
    socket: &UdpSocket,
    family: Family,
    number: u32,
    known: &mut HashSet<SocketAddr>,
) -> io::Result<()> {
    send(socket, &request(family, number), SendFlags::DONTWAIT)?;
    let mut bytes = vec![0; DATAGRAM];
    loop {
        let read = || Ok(recv(socket, &mut bytes[..], RecvFlags::DONTWAIT)?.0);
        let length = socket.async_io(Interest::READABLE, read).await?;
        for told in told(&bytes[..length], number) {
            match told {
                Told::At(at) if is_ours(state, at) => {}
                Told::At(at) => {
                    if known.len() < MOST && known.insert(at) {
                        tell(state, at);
                    }
                }
                Told::Done => return Ok(()),
                Told::Failed(errno) => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        // Who listens at thousands of ports shall not hold the others up.
        yield_now().await;
    }
}

/// Whether it is the broker itself that listens there, in the sandbox's own namespace.
fn is_ours(state: &State, at: SocketAddr) -> bool {
    state.listens(at)
        || at.ip() == IpAddr::from(state.gateway.v4)
        || state.is_of_pool(at.ip())
        || at.ip().is_loopback() && state.host_ports.contains(&at.port())
}

fn tell(state: &State, at: SocketAddr) {
    let published = state.published.borrow();
    let published = published.iter().find(|publish| publish.inside == at.port());
    state.note(Event::Listen(Listen {
        t: now(),
        address: at.ip().to_string(),
        port: at.port(),
        published: published.map(|publish| publish.outside),
    }));
}
