//! SOCKS 5, as a client says it to the host's proxy (RFC 1928), with a password where there is one
//! (RFC 1929). Pure. It must never show the password.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::Heard;
use crate::network::proxy::socks::VERSION;
use crate::network::rule::Host;

const PASSWORD: u8 = 2;
/// Of the messages with the password.
const LOGIN: u8 = 1;

/// The first words: without a login, or also with one.
pub(super) fn greeting(login: bool) -> &'static [u8] {
    if login { &[VERSION, 2, 0, PASSWORD] } else { &[VERSION, 1, 0] }
}

/// Whether the proxy wants the login.
pub(super) fn method(answer: &[u8]) -> Heard<bool> {
    let [version, method, ..] = answer else { return None };
    Some(match (*version, *method) {
        (VERSION, 0) => Ok((false, 2)),
        (VERSION, PASSWORD) => Ok((true, 2)),
        (VERSION, _) => Err("it wants another login than is there".to_owned()),
        _ => Err("it does not speak SOCKS 5".to_owned()),
    })
}

/// The login, out of `user:password`.
pub(super) fn login(credentials: &str) -> Result<Vec<u8>, String> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut message = vec![LOGIN];
    for word in [user, password] {
        let long = |_| "the name or the password for it is longer than SOCKS 5 can say".to_owned();
        message.push(u8::try_from(word.len()).map_err(long)?);
        message.extend(word.bytes());
    }
    Ok(message)
}

/// Whether it was good.
pub(super) fn logged_in(answer: &[u8]) -> Heard<()> {
    let [_, status, ..] = answer else { return None };
    Some(if *status == 0 { Ok(((), 2)) } else { Err("it refuses the login".to_owned()) })
}

/// Where it is to connect to.
pub(super) fn request(host: &Host, port: u16) -> Result<Vec<u8>, String> {
    let mut message = vec![VERSION, 1, 0];
    match host {
        Host::Address(IpAddr::V4(address)) => {
            message.push(1);
            message.extend(address.octets());
        }
        Host::Address(IpAddr::V6(address)) => {
            message.push(4);
            message.extend(address.octets());
        }
        Host::Name(name) => {
            let name = name.as_str();
            message.push(3);
            let long = |_| "the name is longer than SOCKS 5 can say".to_owned();
            message.push(u8::try_from(name.len()).map_err(long)?);
            message.extend(name.bytes());
        }
    }
    message.extend(port.to_be_bytes());
    Ok(message)
}

/// The answer to that, which has to be a yes; the address in it is of no use to anybody.
pub(super) fn established(answer: &[u8]) -> Heard<()> {
    let [version, code, ..] = answer else { return None };
    if *version != VERSION {
        return Some(Err("it does not speak SOCKS 5".to_owned()));
    }
    if *code != 0 {
        return Some(Err(format!("it answers {code} ({})", words(*code))));
    }
    let [_, _, _, kind, first, ..] = answer else { return None };
    let address = match *kind {
        1 => 4,
        4 => 16,
        3 => 1 + usize::from(*first),
        _ => return Some(Err("it does not speak SOCKS 5".to_owned())),
    };
    let length = 4 + address + 2;
    (answer.len() >= length).then_some(Ok(((), length)))
}

fn words(code: u8) -> &'static str {
    match code {
        2 => "not allowed by its rules",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "connection refused",
        6 => "it took too long",
        7 => "it does not connect at all",
        8 => "not to such an address",
        _ => "it failed",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::proxy::socks::{self, Read};

    /// What the client says is what the compatibility proxy, a server, reads.
    #[test]
    fn a_server_reads_what_the_client_means() {
        assert_eq!(socks::greeting(greeting(false)), Read::Message(true, 3));
        assert_eq!(socks::greeting(greeting(true)), Read::Message(true, 4));
        for target in ["a.test", "192.0.2.7", "2001:db8::1"] {
            let host = crate::network::proxy::host(target).unwrap();
            let message = request(&host, 8080).unwrap();
            let length = message.len();
            assert_eq!(socks::request(&message), Read::Message((host, 8080), length), "{target}");
        }
    }

    #[test]
    fn the_login_is_said_in_two_words() {
        assert_eq!(login("me:a:b").unwrap(), b"\x01\x02me\x03a:b");
        assert_eq!(login("me").unwrap(), b"\x01\x02me\x00");
        let long = "s3cret".repeat(50);
        assert!(!login(&format!("me:{long}")).unwrap_err().contains("s3cret"));
        assert_eq!(method(&[5, 2]), Some(Ok((true, 2))));
        assert!(matches!(method(&[5, 0xff]), Some(Err(_))));
        assert!(matches!(method(b"HTTP"), Some(Err(_))));
        assert_eq!(logged_in(&[1, 0]), Some(Ok(((), 2))));
        assert!(matches!(logged_in(&[1, 1]), Some(Err(_))));
    }

    #[test]
    fn only_a_whole_yes_is_one() {
        let yes = [&[5, 0, 0, 3, 3][..], b"a.b", &[0, 80], b"early"].concat();
        for length in 0..10 {
            assert_eq!(established(&yes[..length]), None, "{length}");
        }
        assert_eq!(established(&yes), Some(Ok(((), 10))));
        assert_eq!(established(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]), Some(Ok(((), 10))));
        let refused = established(&[5, 2]).unwrap().unwrap_err();
        assert_eq!(refused, "it answers 2 (not allowed by its rules)");
        assert!(matches!(established(&[5, 0, 0, 9, 0]), Some(Err(_))));
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(answer in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (method(&answer), logged_in(&answer));
            if let Some(Ok(((), length))) = established(&answer) {
                prop_assert!(length <= answer.len());
            }
        }
    }
}
