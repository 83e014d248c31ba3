//! Requests to an HTTP proxy (RFC 9110, 9112): CONNECT, and the absolute form of plain HTTP. It must
//! never pass on a `Host` that is another than the target that was decided on.
#![forbid(unsafe_code)]

use super::super::rule::Host;
use super::{authority, written};

/// How long the head of a request may be.
pub const LONGEST: usize = 16 * 1024;
/// How many fields it may have.
const FIELDS: usize = 100;
/// The port of plain HTTP.
const HTTP: u16 = 80;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A connection that the client uses as it likes.
    Connect(Host, u16),
    /// A request to be passed on.
    Forward {
        /// To whom.
        host: Host,
        /// At which port.
        port: u16,
        /// The head of the request as that server takes it.
        head: Vec<u8>,
    },
}

/// What so many bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Not enough yet.
    More,
    /// A request, and how many bytes its head has.
    Request(Asked, usize),
    /// None; in words why.
    Nonsense(&'static str),
}

/// Reads the head of a request.
pub fn read(bytes: &[u8]) -> Read {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= LONGEST => length,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => return Read::More,
        Ok(_) => return Read::Nonsense("the head of the request is too long"),
        Err(_) => return Read::Nonsense("no HTTP request"),
    };
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Read::Nonsense("no HTTP request");
    };
    if method == "CONNECT" {
        return match authority(target, None) {
            Some((host, port)) => Read::Request(Asked::Connect(host, port), length),
            None => Read::Nonsense("the target of CONNECT is no HOST:PORT"),
        };
    }
    let Some(rest) = strip_scheme(target) else {
        return Read::Nonsense(
            "a proxy is asked by CONNECT, or for a URL that begins with http://",
        );
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    let Some((host, port)) = authority(place, Some(HTTP)) else {
        return Read::Nonsense("the URL names no host");
    };
    let head = head(method, path, &host, port, request.version, request.headers);
    Read::Request(Asked::Forward { host, port, head }, length)
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_at_checked("http://".len())?;
    scheme.eq_ignore_ascii_case("http://").then_some(rest)
}

/// The head for the server itself. The connection ends with the answer: a second request on it
/// could be meant for another host.
fn head(
    method: &str,
    path: &str,
    host: &Host,
    port: u16,
    version: Option<u8>,
    fields: &[httparse::Header<'_>],
) -> Vec<u8> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = path.split('#').next().unwrap_or(path);
    let version = version.unwrap_or(1);
    let mut place = written(host, port);
    if port == HTTP {
        place.truncate(place.len() - ":80".len());
    }
    let first = format!("{method} {slash}{path} HTTP/1.{version}\r\nHost: {place}\r\n");
    let mut head = first.into_bytes();
    for field in fields {
        let ours = ["host", "connection", "proxy-connection", "proxy-authorization", "keep-alive"];
        if !ours.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            head.extend_from_slice(field.name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(field.value);
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    head
}

/// The answer that opens a tunnel.
pub const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// An answer that says in words why there is nothing else; `status` is a code and its reason.
/// `text` is ready for a terminal.
pub fn answer(status: &str, text: &str) -> Vec<u8> {
    let body = format!("claudebox: {text}\n");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nonsense(text: &str) -> bool {
        matches!(read(text.as_bytes()), Read::Nonsense(_))
    }

    #[test]
    fn connect_is_read() {
        let text = "CONNECT a.test:443 HTTP/1.1\r\nHost: other.test\r\n\r\nrest";
        let host = Host::Name("a.test".parse().unwrap());
        assert_eq!(read(text.as_bytes()), Read::Request(Asked::Connect(host, 443), text.len() - 4));
        assert_eq!(read(&text.as_bytes()[..30]), Read::More);
    }

    #[test]
    fn a_url_is_passed_on_to_its_own_host() {
        let text = "GET http://a.test/x?y#z HTTP/1.1\r\nhost: evil.test\r\nAccept: */*\r\n\
                    Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\n\
                    Proxy-Authorization: Basic eA==\r\n\r\n";
        let Read::Request(Asked::Forward { host, port, head }, _) = read(text.as_bytes()) else {
            panic!()
        };
        assert_eq!(written(&host, port), "a.test:80");
        let expected = "GET /x?y HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\
                        Connection: close\r\n\r\n";
        assert_eq!(String::from_utf8(head).unwrap(), expected);
    }

    #[test]
    fn a_path_begins_with_a_slash() {
        for (url, line) in [
            ("http://a.test", "GET / HTTP/1.0\r\nHost: a.test\r\n"),
            ("HTTP://a.test:8080?q", "GET /?q HTTP/1.0\r\nHost: a.test:8080\r\n"),
            ("http://[::1]:80/", "GET / HTTP/1.0\r\nHost: [::1]\r\n"),
        ] {
            let text = format!("GET {url} HTTP/1.0\r\n\r\n");
            let Read::Request(Asked::Forward { head, .. }, _) = read(text.as_bytes()) else {
                panic!("{url}")
            };
            assert!(String::from_utf8(head).unwrap().starts_with(line), "{url}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "CONNECT a.test HTTP/1.1\r\n\r\n",
            "CONNECT http://a.test:443 HTTP/1.1\r\n\r\n",
            "CONNECT user@a.test:443 HTTP/1.1\r\n\r\n",
            "CONNECT a.test:443\r\nHost: x HTTP/1.1\r\n\r\n",
            "CONNECT a.test:443\0 HTTP/1.1\r\n\r\n",
            "GET http://a.test@evil.test/ HTTP/1.1\r\n\r\n",
            "GET http://user:pw@a.test/ HTTP/1.1\r\n\r\n",
            "GET http://a.test\\.evil.test/ HTTP/1.1\r\n\r\n",
            "GET http:///x HTTP/1.1\r\n\r\n",
            "GET https://a.test/ HTTP/1.1\r\n\r\n",
            "GET ftp://a.test/ HTTP/1.1\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET http://a.test/ HTTP/1.1\r\nHost : a.test\r\n\r\n",
            "SSH-2.0-OpenSSH_9.9\r\n\r\n",
            "\x04\x01\0\x50\x01\x02\x03\x04\0",
        ] {
            assert!(nonsense(text), "{text:?}");
        }
        assert!(nonsense(&format!("GET http://a.test/{}", "x".repeat(LONGEST))));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let mut request = b"GET http://".to_vec();
            request.extend(&bytes);
            request.extend(b" HTTP/1.1\r\n\r\n");
            let _ = read(&request);
        }

        /// What is passed on names one host, the one that was decided on, and no second head.
        #[test]
        fn one_host_is_passed_on(
            path in "[ -~]{0,40}",
            name in "[A-Za-z-]{1,12}",
            value in "[ -~\r\n]{0,40}",
        ) {
            let text = format!("GET http://a.test/{path} HTTP/1.1\r\n{name}: {value}\r\n\r\n");
            if let Read::Request(Asked::Forward { head, .. }, length) = read(text.as_bytes()) {
                let head = String::from_utf8(head).unwrap();
                prop_assert_eq!(head.matches("\r\n\r\n").count(), 1);
                let hosts = head.to_ascii_lowercase().matches("\r\nhost:").count();
                prop_assert_eq!(hosts, 1);
                prop_assert!(length <= text.len());
            }
        }
    }
}
