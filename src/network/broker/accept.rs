//! Takes connections from a listener, each into a task of its own. It must never stop for good
//! because the kernel once had no descriptor left.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::connection;
use super::state::State;

/// After a failure: what was missing may be back by then.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens, for the runtime.
///
/// # Errors
/// When the runtime cannot wait for it.
pub(super) fn listener(fd: OwnedFd) -> io::Result<TcpListener> {
    let listener = StdListener::from(fd);
    listener.set_nonblocking(true)?;
    // Small writes go out at once; who wants it otherwise does it on his own side. Connections have it
    // from their listener, which saves a system call for each.
    sockopt::set_tcp_nodelay(&listener, true)?;
    TcpListener::from_std(listener)
}

/// Takes connections as long as the broker lives.
pub(super) async fn each<F: Future<Output = ()> + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(spawn_local(serve(stream))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Takes connections to what is allowed. A listener at every address does not say which one is meant.
pub(super) async fn direct(state: Rc<State>, listener: TcpListener, at: SocketAddr) {
    let at = (!at.ip().is_unspecified()).then_some(at);
    each(listener, |stream| connection::direct(Rc::clone(&state), stream, at)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_sends_small_writes_at_once() {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let listener = self::listener(listener.into()).unwrap();
        let _stream = TcpStream::connect(at).await.unwrap();
        assert!(listener.accept().await.unwrap().0.nodelay().unwrap());
    }
}
