//! Tells of servers that begin to listen inside: a person may want to look at one. It must never
//! cost more than a look now and then.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;

use super::state::State;
use crate::log::clock::now;
use crate::log::event::{Event, Listen};
use crate::network::listening::listening;

/// How often there is a look.
const PERIOD: Duration = Duration::from_secs(2);
/// How many servers a session is told of: enough for a person, few for the log.
const MOST: usize = 256;
/// How much of a table is read, in bytes: some hundred sockets. Those that listen come first.
const TABLE: u64 = 64 * 1024;

/// Begins to look, where it is known where.
pub(super) fn begin(state: &Rc<State>) {
    if let Some(init) = state.init {
        spawn_local(watch(Rc::clone(state), init));
    }
}

async fn watch(state: Rc<State>, init: i32) {
    let mut told = HashSet::new();
    let mut table = String::new();
    while told.len() < MOST {
        tokio::time::sleep(PERIOD).await;
        for name in ["tcp", "tcp6"] {
            table.clear();
            // Text only; without a process there is nothing.
            let file = File::open(format!("/proc/{init}/net/{name}"));
            if file.and_then(|file| file.take(TABLE).read_to_string(&mut table)).is_err() {
                continue;
            }
            for at in listening(&table).filter(|at| !is_ours(&state, *at)) {
                if told.len() < MOST && told.insert(at) {
                    tell(&state, at);
                }
            }
        }
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
