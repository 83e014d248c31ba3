//! CONNECT, as a client says it to the host's proxy (RFC 9110, 9.3.6). Pure. It must never show the
//! password.
#![forbid(unsafe_code)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Heard, LONGEST};
use crate::network::proxy::written;
use crate::network::rule::Host;

pub(super) fn request(credentials: Option<&str>, host: &Host, port: u16) -> String {
    let target = written(host, port);
    let credentials = credentials.map(|credentials| {
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(credentials))
    });
    let credentials = credentials.unwrap_or_default();
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n")
}

/// The head of the answer, which has to be a yes.
pub(super) fn established(answer: &[u8]) -> Heard<()> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(answer) {
        Ok(httparse::Status::Complete(length)) => Some(match response.code {
            Some(200..=299) => Ok(((), length)),
            Some(code) => Err(format!("it answers {code}")),
            None => Err("it does not speak HTTP".to_owned()),
        }),
        Ok(httparse::Status::Partial) if answer.len() < LONGEST => None,
        _ => Some(Err("it does not speak HTTP".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_told_the_name_and_the_password() {
        let host = Host::Name("a.test".parse().unwrap());
        let plain = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
        assert_eq!(request(None, &host, 443), plain);
        // With what would be another field.
        let asked = request(Some("user:a\r\nb"), &host, 443);
        assert!(asked.ends_with("\r\nProxy-Authorization: Basic dXNlcjphDQpi\r\n\r\n"), "{asked}");
    }

    #[test]
    fn only_a_whole_yes_is_one() {
        assert_eq!(established(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(established(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0"), Some(Ok(((), 19))));
        assert_eq!(established(b"HTTP/1.0 407 x\r\n\r\n"), Some(Err("it answers 407".to_owned())));
        assert!(matches!(established(b"SSH-2.0-x\r\n"), Some(Err(_))));
        assert!(matches!(established(&[b'x'; LONGEST]), Some(Err(_))));
    }
}
