//! A host that has to use a proxy itself.

use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::thread::JoinHandle;

use claudebox::network::plan::{Scheme, Upstream};

use super::harness::*;

/// What a proxy of HTTP was asked.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(exactly(stream, 1));
    }
    String::from_utf8(head).unwrap()
}

fn exactly(stream: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// A proxy that says this to whatever it is asked, and then echoes.
fn proxy(says: &'static [u8]) -> (SocketAddr, JoinHandle<String>) {
    server(move |mut stream| {
        let head = head(&mut stream);
        stream.write_all(says).unwrap();
        let rest = all(&mut stream);
        let _ = stream.write_all(&rest);
        head
    })
}

/// What a proxy of SOCKS was asked, and the login.
type Asked = (Vec<u8>, Vec<u8>);

/// The same in SOCKS 5, which wants a password.
fn socks(says: &'static [u8]) -> (SocketAddr, JoinHandle<Asked>) {
    server(move |mut stream| {
        assert_eq!(exactly(&mut stream, 4), [5, 2, 0, 2]);
        stream.write_all(&[5, 2]).unwrap();
        let login = exactly(&mut stream, 3 + 4 + 6);
        stream.write_all(&[1, 0]).unwrap();
        let mut asked = exactly(&mut stream, 5);
        let rest = if asked[3] == 3 { usize::from(asked[4]) + 2 } else { 5 };
        asked.extend(exactly(&mut stream, rest));
        stream.write_all(says).unwrap();
        let rest = all(&mut stream);
        let _ = stream.write_all(&rest);
        (asked, login)
    })
}

fn setup(at: SocketAddr) -> Setup {
    let mut setup = Setup::new(&["a.test:8080", "b.corp:8080"]).host("proxy.corp", at);
    setup.plan.upstream = Some(Upstream {
        scheme: Scheme::Http,
        host: "proxy.corp".to_owned(),
        port: 3128,
        credentials: Some("user:secret".to_owned()),
        except: vec![".corp".to_owned()],
    });
    // The proxy's own address is the host's word.
    setup.guarded = true;
    setup
}

fn speaks(setup: &mut Setup, scheme: Scheme) {
    setup.plan.upstream.as_mut().unwrap().scheme = scheme;
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
        for scheme in Scheme::ALL {
            let server = Forbidden::new();
            let mut setup = setup(server.at()).host("b.corp", server.at());
            speaks(&mut setup, scheme);
            let running = setup.start();
            ends((address("b.corp"), 8080), b"hello");
            assert_eq!(running.refused().why, "private");
            assert_eq!(*running.lookups.lock().unwrap(), ["b.corp:8080"]);
            assert!(!server.was_reached());
        }
    });
}

const YES: &[u8] = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50early";

#[test]
fn a_proxy_of_socks_is_told_the_name_and_the_password() {
    isolated("upstream::a_proxy_of_socks_is_told_the_name_and_the_password", || {
        let (at, asked) = socks(YES);
        let mut setup = setup(at);
        speaks(&mut setup, Scheme::Socks5h);
        let running = setup.start();
        assert_eq!(talk(open("a.test", 8080), b"hello"), b"earlyhello");
        let (asked, login) = asked.join().unwrap();
        assert_eq!(asked, b"\x05\x01\x00\x03\x06a.test\x1f\x90");
        assert_eq!(login, b"\x01\x04user\x06secret");
        // What the name leads to is for the proxy to find out.
        assert_eq!(*running.lookups.lock().unwrap(), ["proxy.corp:3128"]);
        let disconnect = running.disconnect();
        assert_eq!((disconnect.sent, disconnect.received), (5, 10));
    });
}

/// `socks5` without an `h`: as for curl(1), the name is looked up here, and so it is judged here.
#[test]
fn a_proxy_of_socks_is_told_only_addresses_that_were_judged() {
    isolated("upstream::a_proxy_of_socks_is_told_only_addresses_that_were_judged", || {
        let (at, asked) = socks(YES);
        let loopback: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let far: SocketAddr = "192.0.2.7:8080".parse().unwrap();
        let mut setup = setup(at).host("a.test", loopback).host("a.test", far);
        speaks(&mut setup, Scheme::Socks5);
        let running = setup.start();
        assert_eq!(talk(open("a.test", 8080), b"hello"), b"earlyhello");
        assert_eq!(asked.join().unwrap().0, b"\x05\x01\x00\x01\xc0\x00\x02\x07\x1f\x90");
        drop(running);

        let proxy = Forbidden::new();
        let mut setup = self::setup(proxy.at()).host("a.test", loopback);
        speaks(&mut setup, Scheme::Socks5);
        let running = setup.start();
        ends((address("a.test"), 8080), b"hello");
        assert_eq!(running.refused().why, "private");
        assert!(!proxy.was_reached());
    });
}

#[test]
fn a_proxy_of_socks_that_refuses_is_told_of() {
    isolated("upstream::a_proxy_of_socks_that_refuses_is_told_of", || {
        let (at, _asked) = socks(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00");
        let mut setup = setup(at);
        speaks(&mut setup, Scheme::Socks5h);
        let running = setup.start();
        ends((address("a.test"), 8080), b"hello");
        let error = running.disconnect().error.unwrap();
        assert_eq!(error, "the host's proxy: it answers 2 (not allowed by its rules)");
    });
}
