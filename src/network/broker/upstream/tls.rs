//! TLS to a proxy of the host. A task of its own encrypts and decrypts; to the rest of the broker the
//! connection is one end of a pair of sockets, which is carried as any other. It must never take a
//! proxy for the right one that no authority of the host vouches for.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::limits::Place;
use super::super::state::State;
use crate::network::plan::Upstream;
use crate::visible::visible_path;

/// How long the last bytes may take, and the proxy to hang up, when the other side has.
const LAST: Duration = Duration::from_secs(10);
/// Where the machine keeps the authorities it trusts: Debian, Arch, NixOS; Fedora; openSUSE; Alpine.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is needed for it, made ready before anything runs inside: who is there could change a file
/// that the authorities are read from.
#[derive(Default)]
pub(in super::super) struct Tls(OnceCell<TlsConnector>);

impl Tls {
    /// Makes it ready.
    ///
    /// # Errors
    /// Where no authority is to be found.
    pub(in super::super) fn begin(&self, upstream: &Upstream) -> Result<(), String> {
        let connector = connector(upstream)?;
        // It begins once.
        let _ = self.0.set(connector);
        Ok(())
    }
}

/// As long as this is kept, the connection is.
#[derive(Debug)]
pub(in super::super) struct Secured {
    _kept: oneshot::Sender<()>,
}

/// The end of a connection at which nothing is encrypted.
pub(super) async fn secure(
    state: &Rc<State>,
    upstream: &Upstream,
    stream: TcpStream,
) -> Result<(TcpStream, Secured), String> {
    let place = state.secured.take().ok_or("there are too many connections to it")?;
    let connector = state.tls.0.get().ok_or("TLS was not made ready")?;
    let name = ServerName::try_from(upstream.host.clone());
    let name = name.map_err(|_| "its name is none that a certificate could have")?;
    let secured = connector.connect(name, stream).await;
    let secured = secured.map_err(|err| format!("no TLS with it: {err}"))?;
    let (ours, theirs) = pair().map_err(|err| err.to_string())?;
    let (_kept, gone) = oneshot::channel();
    spawn_local(carry(secured, theirs, gone, place));
    Ok((ours, Secured { _kept }))
}

type Encrypted = tokio_rustls::client::TlsStream<TcpStream>;

async fn carry(
    mut proxy: Encrypted,
    mut plain: UnixStream,
    gone: oneshot::Receiver<()>,
    _place: Place,
) {
    let mut copied = pin!(copy_bidirectional(&mut proxy, &mut plain));
    tokio::select! {
        // Whatever ends it, the other side sees an end. What it carries knows its own.
        _ = &mut copied => {}
        _ = gone => drop(timeout(LAST, copied).await),
    }
}

/// Two ends. The runtime asks no more of a socket of TCP than that bytes come and go.
fn pair() -> io::Result<(TcpStream, UnixStream)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let ours = TcpStream::from_std(std::net::TcpStream::from(ours))?;
    Ok((ours, UnixStream::from_std(std::os::unix::net::UnixStream::from(theirs))?))
}

fn connector(upstream: &Upstream) -> Result<TlsConnector, String> {
    let said = upstream.authorities.as_ref().map(|path| path.as_path());
    let roots = match said {
        Some(path) => authorities(path)?,
        None => {
            let there = AUTHORITIES.into_iter().map(Path::new).find(|path| path.exists());
            authorities(there.ok_or("this machine names no certificate authorities")?)?
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|err| err.to_string())?.with_root_certificates(roots);
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}

/// Those of a file; one that cannot be read is left out, as other programs do.
fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let cannot = |why: &str| format!("no certificate authorities: {}: {why}", visible_path(path));
    let certificates = CertificateDer::pem_file_iter(path);
    let certificates = certificates.map_err(|err| cannot(&err.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates.flatten() {
        let _ = roots.add(certificate);
    }
    if roots.is_empty() { Err(cannot("there is none in it")) } else { Ok(roots) }
}
