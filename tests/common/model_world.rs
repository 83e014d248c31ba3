//! Everything outside, for an agent that speaks to its model: a [`World`] in which at every name it is
//! the same server that answers, in TLS where port 443 was asked for, with a certificate of an authority
//! of its own.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::Acceptor;
use rustls::{ServerConfig, StreamOwned};

use super::model_server::ModelServer;
use super::world::World;

/// A running one; it lives as long as the process.
#[derive(Debug)]
pub(crate) struct ModelWorld {
    world: World,
    authority: String,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

impl ModelWorld {
    /// In which every name leads to `server`.
    pub(crate) fn new(server: &ModelServer) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate whose subject is that of its issuer would be taken for a self-signed one.
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = World::new();
        world.put_everywhere(listener.local_addr().unwrap().port(), server.port());
        let world = Self { world, authority: authority.pem() };
        let (authority, server) = (Arc::new(authority), server.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (authority, server) = (Arc::clone(&authority), server.clone());
                // Who is not content with the certificate goes away: no failure of the world.
                thread::spawn(move || answer(stream, &server, &authority));
            }
        });
        world
    }

    /// What `HTTPS_PROXY` must be.
    pub(crate) fn proxy(&self) -> String {
        self.world.proxy()
    }

    /// The authority's certificate, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Each `HOST:PORT` that it was asked for, once, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.world.so_far()
    }
}

fn answer(mut stream: TcpStream, server: &ModelServer, authority: &Authority) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut acceptor = Acceptor::default();
    let accepted = loop {
        if acceptor.read_tls(&mut stream)? == 0 {
            return Ok(());
        }
        if let Some(accepted) = acceptor.accept().map_err(|(err, _)| io::Error::other(err))? {
            break accepted;
        }
    };
    let hello = accepted.client_hello();
    let host = hello.server_name().ok_or(io::ErrorKind::InvalidData)?.to_owned();
    let tls = accepted.into_connection(certified(&host, authority));
    let mut tls = StreamOwned::new(tls.map_err(|(err, _)| io::Error::other(err))?, stream);
    server.serve(&mut tls);
    tls.conn.send_close_notify();
    tls.flush()?;
    stream = tls.sock;
    // To close before what was said has been read would be a reset.
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new()).map(|_| ())
}

/// A certificate for this host.
fn certified(host: &str, authority: &Authority) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([host.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    Arc::new(config)
}
