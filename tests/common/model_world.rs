//! Everything outside, for an agent that speaks to its model: a proxy of this machine's that claudebox is told to use
//! (`HTTPS_PROXY`). Whatever leaves the sandbox is asked of it by name; at every name it is the same
//! server that answers, in TLS where port 443 was asked for, with a certificate of an authority of its
//! own. It must never lead anywhere else.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::model_server::ModelServer;

/// A running one; it lives as long as the process.
#[derive(Debug)]
pub(crate) struct ModelWorld {
    port: u16,
    authority: String,
    asked: Arc<Mutex<Vec<String>>>,
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
        let port = listener.local_addr().unwrap().port();
        let world = Self { port, authority: authority.pem(), asked: Arc::default() };
        let (asked, server) = (Arc::clone(&world.asked), server.clone());
        let authority = Arc::new(authority);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, server) = (Arc::clone(&asked), server.clone());
                let authority = Arc::clone(&authority);
                // Who is not content with the certificate goes away: no failure of the world.
                thread::spawn(move || answer(stream, &asked, &server, &authority));
            }
        });
        world
    }

    /// What `HTTPS_PROXY` must be.
    pub(crate) fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The authority's certificate, in PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Each `HOST:PORT` that it was asked for, once, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

fn answer(
    mut stream: TcpStream,
    asked: &Mutex<Vec<String>>,
    server: &ModelServer,
    authority: &Authority,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split_whitespace().nth(1).unwrap_or("nothing").to_owned();
    asked.lock().unwrap().push(target.clone());
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    if let Some(host) = target.strip_suffix(":443") {
        let tls = ServerConnection::new(certified(host, authority)).map_err(io::Error::other)?;
        let mut tls = StreamOwned::new(tls, stream);
        server.serve(&mut tls);
        tls.conn.send_close_notify();
        tls.flush()?;
        stream = tls.sock;
    } else {
        server.serve(&mut stream);
    }
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
