//! Connections to addresses of the world outside that were judged already. It must never know a name.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// After how long another address of the name is tried besides.
const NEXT: Duration = Duration::from_millis(300);
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(30);
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
