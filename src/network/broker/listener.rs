//! Sockets that listen, as the runtime has them. It must never wait for a connection itself.
#![forbid(unsafe_code)]

use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::OwnedFd;

use rustix::net::sockopt;
use tokio::net::TcpListener;

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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn a_connection_sends_small_writes_at_once() {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let listener = self::listener(listener.into()).unwrap();
        let _stream = TcpStream::connect(at).await.unwrap();
        assert!(listener.accept().await.unwrap().0.nodelay().unwrap());
    }
}
