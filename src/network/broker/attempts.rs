//! Tells of attempts that nobody here answers: another address, another port, another protocol. The
//! kernel has refused them already. It must never take the broker's time from what is allowed.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::task::spawn_local;

use super::state::State;
use super::{datagram, refuse};
use crate::log::event::Refused;
use crate::network::attempt::{self, Attempt, protocol};

/// How many packets are looked at, and how long none is after that. What comes meanwhile waits in
/// the socket, and is lost where there is no room: so many tell nobody anything.
const MANY: usize = 64;
/// The beginning of every connection is among them, also of what is allowed: a broker that was woken by
/// each would be woken twice for it.
const PAUSE: Duration = Duration::from_millis(100);
/// As much of a packet as has an address and a port in it.
const HEADERS: usize = 256;

/// Begins to look, where there is something to be seen.
pub(super) fn begin(state: &Rc<State>) {
    if !state.is_transparent() {
        return;
    }
    match state.sockets.attempts() {
        Ok(socket) => {
            // It begins once.
            let _ = state.attempts.set(socket);
            spawn_local(watch(Rc::clone(state)));
        }
        Err(err) => complain(state, &err),
    }
}

fn complain(state: &State, err: &io::Error) {
    state.notice("network", format!("refused connections to addresses are not in the log: {err}"));
}

async fn watch(state: Rc<State>) {
    loop {
        if let Err(err) = wait(&state).await {
            return complain(&state, &err);
        }
        look(&state);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until there is something to look at. In the pause nothing wakes the runtime, which knows only of a
/// second descriptor of the socket, and only now.
async fn wait(state: &State) -> io::Result<()> {
    let Some(socket) = state.attempts.get() else { return Ok(()) };
    // The runtime asks no more of a socket than that it can be waited for. An error of the socket is the
    // link's, which goes with the sandbox.
    drop(datagram::socket(socket.try_clone()?)?.readable().await);
    Ok(())
}

/// Looks at what there is.
pub(super) fn look(state: &Rc<State>) {
    let Some(socket) = state.attempts.get() else { return };
    let mut bytes = [0; HEADERS];
    for _ in 0..MANY {
        let Ok((length, _)) = recv(socket, &mut bytes, RecvFlags::DONTWAIT) else { return };
        if let Some(attempt) = attempt::read(&bytes[..length.min(HEADERS)]) {
            tell(state, attempt);
        }
    }
}

fn tell(state: &Rc<State>, Attempt { to, protocol, port, .. }: Attempt) {
    let tcp = protocol == protocol::TCP;
    // Somebody answers that, and tells of it where it is refused.
    if tcp && port.is_some_and(|port| state.listens(SocketAddr::new(to, port))) {
        return;
    }
    let host = state.meant(to);
    let port_known = port.unwrap_or_default();
    let denial = state.decide(&host, port_known).err().flatten();
    let mut refused = refuse::not_allowed(&host, port_known, denial);
    if !tcp {
        // UDP is not carried at all.
        refused = Refused { protocol: name(protocol), port, allow: None, ..refused };
    }
    state.refuse(refused);
}

fn name(protocol: u8) -> String {
    match protocol {
        protocol::UDP => "udp".to_owned(),
        other => other.to_string(),
    }
}
