//! The name server of the sandbox, whoever is asked: the policy point. A name that may be reached
//! has an address, any other does not exist. It must never ask another server anything.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::limits::Places;
use super::state::{State, Unnamed};
use super::{accept, datagram, refuse};
use crate::error::{Result, Tried as _};
use crate::network::dns::{self, Answer, Heard, Kind, Question};
use crate::network::name::Name;
use crate::network::rule::Host;

/// The port of the DNS.
const PORT: u16 = 53;
/// The longest question that is looked at. Real ones have some hundred bytes.
const LONGEST: usize = 4096;
/// How many may ask by TCP at a time.
const CONNECTIONS: usize = 64;
/// How long such a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers at every address of the gateway: a program may have another server's built in.
///
/// # Errors
/// When the gateway gives no socket.
pub(super) fn begin(state: &Rc<State>) -> Result<()> {
    if !state.is_transparent() {
        return Ok(());
    }
    at(state, Ipv4Addr::UNSPECIFIED.into()).tried(|| "answer to the DNS of the sandbox")?;
    if state.gateway.v6.is_some()
        && let Err(err) = at(state, Ipv6Addr::UNSPECIFIED.into())
    {
        let words = format!("the DNS is not answered over IPv6: {err}");
        state.notice("network", words);
    }
    Ok(())
}

fn at(state: &Rc<State>, address: IpAddr) -> std::io::Result<()> {
    let at = SocketAddr::new(address, PORT);
    let socket = state.sockets.datagrams(at).and_then(datagram::socket)?;
    let listener = state.listen_for(at)?;
    spawn_local(datagrams(Rc::clone(state), socket));
    let (state, places) = (Rc::clone(state), Rc::new(Places::new(CONNECTIONS)));
    spawn_local(accept::each(listener, move |stream| {
        let (state, place) = (Rc::clone(&state), places.take());
        async move {
            if place.is_some() {
                let _ = connection(&state, stream).await;
            }
        }
    }));
    Ok(())
}

async fn datagrams(state: Rc<State>, socket: UdpSocket) {
    let mut bytes = vec![0; LONGEST];
    loop {
        // An error is an earlier answer's, whose asker is gone.
        let Ok(Some((length, envelope))) = datagram::receive(&socket, &mut bytes).await else {
            continue;
        };
        if let Some(reply) = answer(&state, &bytes[..length]) {
            let _ = datagram::answer(&socket, &envelope, &reply);
            // Who asked for a name is about to connect.
            state.busy_poll.expect_more();
        }
    }
}

/// Questions behind their length, one after the other (RFC 7766).
async fn connection(state: &Rc<State>, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let length = timeout(PATIENCE, stream.read_u16()).await??;
        let length = usize::from(length);
        if length > LONGEST {
            return Ok(());
        }
        let mut bytes = vec![0; length];
        timeout(PATIENCE, stream.read_exact(&mut bytes)).await??;
        let Some(reply) = answer(state, &bytes) else { return Ok(()) };
        let length = u16::try_from(reply.len()).map_err(std::io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &reply].concat();
        timeout(PATIENCE, stream.write_all(&framed)).await??;
    }
}

fn answer(state: &Rc<State>, message: &[u8]) -> Option<Vec<u8>> {
    match dns::read(message) {
        Heard::Nothing => None,
        Heard::Nonsense(reply) => Some(reply),
        Heard::Question(question) => Some(question.reply(&decide(state, &question))),
    }
}

fn decide(state: &Rc<State>, question: &Question<'_>) -> Answer {
    let Some(name) = &question.name else {
        state.refuse(refuse::name(question.shown(), None, None));
        return Answer::NoSuchName;
    };
    if is_local(name) {
        return match question.kind {
            Kind::V4 => Answer::V4(Ipv4Addr::LOCALHOST),
            Kind::V6 => Answer::V6(Ipv6Addr::LOCALHOST),
            Kind::Pointer | Kind::Other => Answer::Empty,
        };
    }
    // Addresses of ours, and those that are nobody's business here.
    if let Some(address) = question.pointed() {
        let name = state.name(address).filter(|_| question.kind == Kind::Pointer);
        return name.map_or(Answer::NoSuchName, Answer::Pointer);
    }
    match (state.address(name), question.kind) {
        (Ok(address), Kind::V4) => Answer::V4(address),
        (Ok(_), _) => Answer::Empty,
        (Err(unnamed), _) => refused(state, name, unnamed),
    }
}

fn refused(state: &Rc<State>, name: &Name, unnamed: Unnamed) -> Answer {
    match unnamed {
        Unnamed::NotAllowed(denial) => {
            let host = Host::Name(name.clone());
            state.refuse(refuse::name(name.to_string(), Some(&host), denial));
            Answer::NoSuchName
        }
        Unnamed::Full => {
            state.refuse(refuse::too_many_names(name.to_string()));
            Answer::Failed
        }
        Unnamed::NoListener(err) => {
            state.no_listener(&err);
            Answer::Failed
        }
    }
}

/// The sandbox's own names (RFC 6761, 6.3).
fn is_local(name: &Name) -> bool {
    let name = name.as_str();
    name == "localhost" || name.ends_with(".localhost")
}
