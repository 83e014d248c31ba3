//! A proxy that the host has to use, in the languages other than HTTP that it may speak. Inside nothing is
//! told of it.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;
use crate::site::{Site, trusting};

const RULES: [&str; 2] = ["www.example:80", "www.example"];
const SCRIPT: &str = "for scheme in http https; do curl -sS $scheme://www.example/hello; done
    curl -sS http://evil.example/hello 2>/dev/null || echo $?; env | grep -i _proxy || true";
/// The last of it: no such host.
const EXPECTED: &str = "hello from www.example\nhello from www.example\n6\n";
const ASKED: [&str; 2] = ["www.example:443", "www.example:80"];

fn of<'a>(place: &'a Place, world: &World, site: &Site) -> Run {
    script(place, world, &RULES, &trusting(place, site), SCRIPT).without_env("HTTPS_PROXY")
}

#[test]
fn the_hosts_proxy_may_speak_socks() {
    must_have_sandbox();
    must_have(&["curl"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let place = Place::new(user);
        let output = of(&place, &world, &site).env("ALL_PROXY", world.socks()).run().code(0);
        assert_eq!(output.stdout, EXPECTED, "{user:?} {}", output.stderr);
        assert_eq!(world.asked(), ASKED);
        assert_eq!(world.last(), "me:secret");
        let explain = place.claudebox(["explain", "--", "true"]).env("ALL_PROXY", world.socks());
        let explained = explain.run().code(0).says("socks5h://127.0.0.1:");
        assert!(!explained.stdout.contains("secret"), "{}", explained.stdout);
    }
}

#[test]
fn the_hosts_proxy_may_speak_tls() {
    must_have_sandbox();
    must_have(&["curl"]);
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    let proxy = format!("https://127.0.0.1:{}", in_tls(&site, world.port()));
    for user in users() {
        let place = Place::new(user);
        let authority = place.home_file("authority.pem", site.authority());
        let run = of(&place, &world, &site).env("HTTPS_PROXY", &proxy);
        let output = run.env("SSL_CERT_FILE", &authority).run().code(0);
        assert_eq!(output.stdout, EXPECTED, "{user:?} {}", output.stderr);
        assert_eq!(world.asked(), ASKED);
        // Control: nobody that this machine trusts vouches for it.
        let run = of(&place, &world, &site).env("HTTPS_PROXY", &proxy);
        let output = run.without_env("SSL_CERT_FILE").run();
        assert!(output.code != 0 && output.stdout.is_empty(), "{output:?}");
        assert!(world.asked().is_empty());
    }
}

/// A port at which the same is to be had in TLS.
fn in_tls(site: &Site, port: u16) -> u16 {
    let file = |name| site.path(name);
    let config = configuration(&file("cert.pem"), &file("key.pem"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async move {
            let (listener, tls) =
                (TcpListener::from_std(listener).unwrap(), TlsAcceptor::from(config));
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                tokio::spawn(async move {
                    let mut stream = tls.accept(stream).await?;
                    let mut to = TcpStream::connect(("127.0.0.1", port)).await?;
                    copy_bidirectional(&mut stream, &mut to).await
                });
            }
        });
    });
    own
}

fn configuration(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(certificate).unwrap().flatten().collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key).unwrap());
    Arc::new(config.unwrap())
}
