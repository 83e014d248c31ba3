//! The compatibility proxy, under the same rules.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::harness::*;

fn proxy() -> TcpStream {
    connect((GATEWAY, PROXY)).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_tunnel_leads_to_what_is_allowed() {
    isolated("proxy::a_tunnel_leads_to_what_is_allowed", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        let answer = talk(proxy(), b"CONNECT a.test:8080 HTTP/1.1\r\nHost: evil.test\r\n\r\nhello");
        assert!(text(answer).ends_with("\r\n\r\nhello"));
        assert_eq!(served.join().unwrap(), b"hello");
        let connect = running.connect();
        assert_eq!((&*connect.host, &*connect.via), ("a.test", "connect"));
        assert_eq!(running.disconnect().sent, 5);
    });
}

#[test]
fn a_refusal_is_an_answer_in_words() {
    isolated("proxy::a_refusal_is_an_answer_in_words", || {
        let server = Forbidden::new();
        let running =
            Setup::new(&["a.test:443"]).deny("b.test").host("evil.test", server.at()).start();
        for (target, allow) in [
            ("evil.test:443", Some("evil.test")),
            ("a.test:22", Some("a.test:22")),
            ("192.0.2.1:443", Some("192.0.2.1:443")),
            ("[::ffff:c000:201]:80", Some("192.0.2.1:80")),
            ("127.0.0.1:443", None),
            ("[::ffff:7f00:1]:80", None),
            ("b.test:443", None),
        ] {
            let answer = talk(proxy(), format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes());
            let answer = text(answer);
            assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
            assert_eq!(running.refused().allow.as_deref(), allow, "{target}");
            if let Some(allow) = allow {
                assert!(answer.ends_with(&format!("claudebox allow {allow}\n")), "{answer}");
            }
        }
        assert!(running.lookups.lock().unwrap().is_empty() && !server.was_reached());
    });
}

#[test]
fn a_request_in_the_clear_goes_to_its_own_host() {
    isolated("proxy::a_request_in_the_clear_goes_to_its_own_host", || {
        let (at, served) = server(|mut stream| {
            let mut bytes = [0; 37];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            [&bytes[..], &rest].concat()
        });
        let running = Setup::new(&["a.test:80"]).host("a.test", at).start();
        // A second request, to another host, on the same connection.
        let words = b"GET http://a.test/x HTTP/1.1\r\nHost: evil.test\r\n\r\n\
                      GET http://evil.test/y HTTP/1.1\r\n\r\n";
        assert!(text(talk(proxy(), words)).starts_with("HTTP/1.1 204"));
        let received = text(served.join().unwrap());
        let first = "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        assert!(received.starts_with(first), "{received}");
        // It is at the one host that was asked for; the other was never looked up.
        assert_eq!(*running.lookups.lock().unwrap(), ["a.test:80"]);
        let answer = text(talk(proxy(), b"GET http://evil.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    });
}

#[test]
fn socks_leads_to_what_is_allowed_and_says_what_is_not() {
    isolated("proxy::socks_leads_to_what_is_allowed_and_says_what_is_not", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:8080"]).host("a.test", at).start();
        let request = |name: &[u8], port: u16| {
            let length = u8::try_from(name.len()).unwrap();
            [&[5, 1, 0, 5, 1, 0, 3, length][..], name, &port.to_be_bytes()].concat()
        };
        let words = [&request(b"a.test", 8080)[..], b"hello"].concat();
        let answer = talk(proxy(), &words);
        assert_eq!(answer[..4], [5, 0, 5, 0]);
        assert_eq!(&answer[12..], b"hello");
        assert_eq!(served.join().unwrap(), b"hello");
        assert_eq!(running.connect().via, "socks");
        let answer = talk(proxy(), &request(b"evil.test", 8080));
        assert_eq!(answer[..4], [5, 0, 5, 2]);
        assert_eq!(running.refused().host, "evil.test");
        // The address that stands for a name, as curl --socks5 asks for it.
        let [a, b, c, d] = address("a.test").octets();
        let answer = talk(proxy(), &[5, 1, 0, 5, 1, 0, 1, a, b, c, d, 0x1f, 0x91]);
        assert_eq!(answer[..4], [5, 0, 5, 2]);
        assert_eq!(running.refused().allow.as_deref(), Some("a.test:8081"));
        // A name that ends in one reader and goes on in another.
        assert_eq!(talk(proxy(), &request(b"evil.test\0.a.test", 8080))[..4], [5, 0, 5, 1]);
        assert_eq!(running.refused().why, "proxy");
        // With a password only.
        assert_eq!(talk(proxy(), &[5, 1, 2]), [5, 0xff]);
    });
}

#[test]
fn the_hello_is_checked_in_a_tunnel_too() {
    isolated("proxy::the_hello_is_checked_in_a_tunnel_too", || {
        for (rule, name, passes) in [
            ("a.test:443", "a.test", true),
            ("a.test:443", "evil.test", false),
            ("a.test:443 raw", "evil.test", true),
        ] {
            let (at, served) = echo();
            let running = Setup::new(&[rule]).host("a.test", at).start();
            let words = hello(name);
            let asked = [&b"CONNECT a.test:443 HTTP/1.1\r\n\r\n"[..], &words].concat();
            let answer = talk(proxy(), &asked);
            let received = served.join().unwrap();
            assert_eq!(answer.ends_with(&words), passes, "{rule} {name}");
            assert_eq!(received, if passes { words } else { vec![] });
            running.connect();
            if !passes {
                assert_eq!(running.refused().why, "other-name");
                let end = running.disconnect();
                assert_eq!((end.sent, end.error.is_some()), (0, true));
            }
        }
    });
}

#[test]
fn who_goes_without_a_word_has_been_connected_all_the_same() {
    isolated("proxy::who_goes_without_a_word_has_been_connected_all_the_same", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:443"]).host("a.test", at).start();
        let answer = text(talk(proxy(), b"CONNECT a.test:443 HTTP/1.1\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(served.join().unwrap(), b"", "the server was reached");
        assert_eq!(running.connect().host, "a.test");
        let end = running.disconnect();
        assert_eq!(end.address, Some(at.to_string()));
        assert_eq!((end.sent, end.error.is_some()), (0, true));
    });
}

#[test]
fn a_request_in_the_clear_is_none_for_a_tls_port() {
    isolated("proxy::a_request_in_the_clear_is_none_for_a_tls_port", || {
        let (at, served) = echo();
        let running = Setup::new(&["a.test:443"]).host("a.test", at).start();
        assert!(talk(proxy(), b"GET http://a.test:443/ HTTP/1.1\r\n\r\n").is_empty());
        assert_eq!(running.refused().why, "no-tls");
        assert_eq!(served.join().unwrap(), b"");
    });
}

#[test]
fn nonsense_is_refused_and_told() {
    isolated("proxy::nonsense_is_refused_and_told", || {
        let running = Setup::new(&["a.test:443"]).start();
        for words in
            [&b"CONNECT a.test@evil.test:443 HTTP/1.1\r\n\r\n"[..], b"\x04\x01\0\x50\r\n\r\n"]
        {
            assert!(text(talk(proxy(), words)).starts_with("HTTP/1.1 400"));
        }
        let refused = running.refused();
        assert_eq!((&*refused.why, &*refused.host), ("proxy", "proxy"));
        // Without an end.
        assert!(text(talk(proxy(), &vec![b'A'; 20_000])).starts_with("HTTP/1.1 400"));
        assert!(talk(proxy(), b"").is_empty());
    });
}

#[test]
fn a_server_that_is_not_there_is_a_bad_gateway() {
    isolated("proxy::a_server_that_is_not_there_is_a_bad_gateway", || {
        let gone = Forbidden::new().at();
        let running = Setup::new(&["a.test:8080"]).host("a.test", gone).start();
        let answer = text(talk(proxy(), b"CONNECT a.test:8080 HTTP/1.1\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("refused"), "{answer}");
        assert!(running.disconnect().error.is_some());
    });
}
