//! A connection that was let through, from the line of the log that says so to the one that says how it
//! ended. It must never be open without the first, nor end without the second.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::net::TcpStream;

use super::relay::{self, End, Side};
use super::state::State;
use super::traffic::Traffic;
use crate::log::clock::now;
use crate::log::event::{Connect, ConnectionId, Disconnect, Event, RuleSaid};

/// A connection that the log knows of. Its end is told when this is dropped, whatever the reason.
pub(super) struct Open {
    state: Rc<State>,
    id: ConnectionId,
    since: Instant,
    traffic: Rc<Traffic>,
    address: Cell<Option<SocketAddr>>,
    error: RefCell<Option<String>>,
}

impl Open {
    /// Tells that it is let through.
    pub(super) fn new(
        state: &Rc<State>,
        (host, port): (String, u16),
        rule: RuleSaid,
        via: &str,
        tls: bool,
    ) -> Self {
        let traffic = Traffic { host, port, sent: Cell::new(0), received: Cell::new(0) };
        let traffic = Rc::new(traffic);
        let id = state.number(&traffic);
        let (host, via) = (traffic.host.clone(), via.to_owned());
        state.note(Event::Connect(Connect { t: now(), id, host, port, rule, via, tls }));
        Self {
            state: Rc::clone(state),
            id,
            since: Instant::now(),
            traffic,
            address: Cell::new(None),
            error: RefCell::new(None),
        }
    }

    /// Says why it failed.
    pub(super) fn failed(&self, why: String) {
        self.error.replace(Some(why));
    }

    /// Says where it leads.
    pub(super) fn leads_to(&self, address: SocketAddr) {
        self.address.set(Some(address));
    }

    /// Carries bytes to its end. What came early on either side is on its way already.
    pub(super) async fn carry(&self, inside: &TcpStream, outside: &TcpStream) {
        self.state.busy_poll.expect_more();
        let (sent, received) = (&self.traffic.sent, &self.traffic.received);
        let inside = End { stream: inside, side: Side::Inside, count: sent };
        let outside = End { stream: outside, side: Side::Outside, count: received };
        let carried = relay::both(&self.state.buffers, inside, outside).await;
        // Who is done with one often opens another.
        self.state.busy_poll.expect_more();
        match carried {
            Ok(()) => {}
            Err((Side::Outside, err)) => {
                self.failed(err.to_string());
                reset(inside.stream);
            }
            // A program that does not wait for the rest is no failure.
            Err((Side::Inside, _)) => reset(outside.stream),
        }
    }

    /// Sends what came early: to the server, and to the program.
    pub(super) async fn early(
        &self,
        (outside, out): (&TcpStream, &[u8]),
        (inside, back): (&TcpStream, &[u8]),
    ) -> io::Result<()> {
        relay::all(outside, out).await?;
        self.traffic.sent.set(self.traffic.sent.get() + length(out));
        relay::all(inside, back).await?;
        self.traffic.received.set(self.traffic.received.get() + length(back));
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.state.forget(self.id);
        let spent = self.since.elapsed().as_micros();
        self.state.note(Event::Disconnect(Disconnect {
            t: now(),
            id: self.id,
            address: self.address.get().map(|address| address.to_string()),
            sent: self.traffic.sent.get(),
            received: self.traffic.received.get(),
            dur_us: u64::try_from(spent).unwrap_or(u64::MAX),
            error: self.error.take(),
        }));
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Ends a connection at once, as the kernel does where nobody listens.
pub(super) fn reset(stream: &TcpStream) {
    // Where it cannot be, the end is a quiet one.
    let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
