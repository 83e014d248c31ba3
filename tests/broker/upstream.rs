//! A host that has to use a proxy itself.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::thread::JoinHandle;

use claudebox::network::plan::Upstream;

use super::harness::*;

/// A proxy that says this to whatever it is asked, and then echoes.
fn proxy(says: &'static [u8]) -> (SocketAddr, JoinHandle<String>) {
    server(move |mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        stream.write_all(says).unwrap();
        let rest = all(&mut stream);
        let _ = stream.write_all(&rest);
        String::from_utf8(head).unwrap()
    })
}

fn setup(at: SocketAddr) -> Setup {
    let mut setup = Setup::new(&["a.test:8080", "b.corp:8080"]).host("proxy.corp", at);
    setup.plan.upstream = Some(Upstream {
        host: "proxy.corp".to_owned(),
        port: 3128,
        credentials: Some("user:secret".to_owned()),
        except: vec![".corp".to_owned()],
    });
    // The proxy's own address is the host's word.
    setup.guarded = true;
    setup
}

#[test]
fn the_host_s_proxy_is_told_the_name() {
    isolated("upstream::the_host_s_proxy_is_told_the_name", || {
        let (at, asked) = proxy(b"HTTP/1.1 200 OK\r\n\r\nearly");
        let running = setup(at).start();
        assert_eq!(talk(open("a.test", 8080), b"hello"), b"earlyhello");
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("CONNECT a.test:8080 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{asked}");
        assert_eq!(*running.lookups.lock().unwrap(), ["proxy.corp:3128"]);
        let disconnect = running.disconnect();
        assert_eq!((disconnect.sent, disconnect.received), (5, 10));
    });
}

#[test]
fn a_proxy_that_refuses_is_told_of_without_its_password() {
    isolated("upstream::a_proxy_that_refuses_is_told_of_without_its_password", || {
        let (at, _asked) = proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        let running = setup(at).start();
        ends((address("a.test"), 8080), b"hello");
        let error = running.disconnect().error.unwrap();
        assert_eq!(error, "the host's proxy: it answers 407");
    });
}

#[test]
fn what_the_proxy_is_not_for_is_dialled_and_guarded() {
    isolated("upstream::what_the_proxy_is_not_for_is_dialled_and_guarded", || {
        let server = Forbidden::new();
        let running = setup(server.at()).host("b.corp", server.at()).start();
        ends((address("b.corp"), 8080), b"hello");
        assert_eq!(running.refused().why, "private");
        assert_eq!(*running.lookups.lock().unwrap(), ["b.corp:8080"]);
        assert!(!server.was_reached());
    });
}
