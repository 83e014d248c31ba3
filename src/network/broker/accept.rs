//! Takes connections from a listener, each into a task of its own. It must never stop for good
//! because the kernel once had no descriptor left.
#![forbid(unsafe_code)]

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::connection;
use super::state::State;

/// After a failure: what was missing may be back by then.
const PAUSE: Duration = Duration::from_millis(100);

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
