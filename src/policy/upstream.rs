//! The proxy that the host itself has to use, from the variables that curl(1) reads. It must never
//! put a user name or password of it into a message.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::network::plan::{Scheme, Upstream};

/// The variables that lead to a proxy.
pub(super) const TO_PROXY: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
/// Those that lead past it.
pub(super) const PAST_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Whether a variable is one of these.
pub(super) fn is_about_proxies(name: &OsStr) -> bool {
    TO_PROXY.iter().chain(&PAST_PROXY).any(|known| name == *known)
}

/// Those that name a proxy to which one says CONNECT, as curl(1) ranks them. `HTTP_PROXY` is for plain
/// requests, and not one of them.
const FOR_CONNECT: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// The proxy, and the variable that names it. An error is what to tell the user: hosts are dialled
/// directly then.
pub(super) fn of(
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Option<(Upstream, &'static str)>, String> {
    let value = |name: &str| environment.get(OsStr::new(name)).filter(|value| !value.is_empty());
    let Some((variable, text)) =
        FOR_CONNECT.into_iter().find_map(|name| Some((name, value(name)?)))
    else {
        return Ok(None);
    };
    let text = text.to_str().unwrap_or_default();
    let Some(mut upstream) = parse(text) else {
        let why = if is_by_tls(text) {
            "a proxy that is itself spoken to by TLS is none for claudebox, so hosts are reached without \
             it (docs/network.md, \"Your own proxy\")"
        } else {
            "it is no address like http://proxy:8080 (or socks5, socks5h), so hosts are reached without \
             a proxy"
        };
        return Err(format!("{variable} of your environment: {why}"));
    };
    let past = value("no_proxy").or_else(|| value("NO_PROXY"));
    let past = past.and_then(|past| past.to_str()).unwrap_or_default();
    let names = past.split([',', ' ']).map(|name| name.trim().to_ascii_lowercase());
    upstream.except = names.filter(|name| !name.is_empty()).collect();
    Ok(Some((upstream, variable)))
}

fn is_by_tls(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
}

/// `http://user:password@host:port/`; without a scheme it is one of HTTP, as for curl(1). SOCKS 4 and TLS
/// are not spoken.
fn parse(text: &str) -> Option<Upstream> {
    let (scheme, rest) = match text.split_once("://") {
        Some((word, rest)) => {
            let known = |scheme: &Scheme| word.eq_ignore_ascii_case(scheme.word());
            (Scheme::ALL.into_iter().find(known)?, rest)
        }
        None => (Scheme::Http, text),
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (credentials, place) = match authority.rsplit_once('@') {
        Some((credentials, place)) => (Some(decoded(credentials)?), place),
        None => (None, authority),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(six) => {
            let (host, port) = six.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if host.is_empty() || !host.bytes().all(known) {
        return None;
    }
    // What curl(1) takes where no port is written.
    let port = port.map_or(Ok(1080), str::parse).ok().filter(|port| *port != 0)?;
    Some(Upstream { scheme, host: host.to_owned(), port, credentials, except: Vec::new() })
}

/// RFC 3986, 2.1. A line break would end the header that the credentials are sent in; it cannot come
/// in by base64, but nothing that holds one was meant.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(pairs: &[(&str, &str)]) -> Result<Option<(Upstream, &'static str)>, String> {
        of(&pairs.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    #[test]
    fn the_address_is_taken_apart() {
        let of = |scheme, host: &str, port, credentials: Option<&str>| {
            let (host, credentials) = (host.to_owned(), credentials.map(str::to_owned));
            Some(Upstream { scheme, host, port, credentials, except: Vec::new() })
        };
        let upstream = |host, port, credentials| of(Scheme::Http, host, port, credentials);
        assert_eq!(parse("http://proxy.corp:8080/"), upstream("proxy.corp", 8080, None));
        assert_eq!(parse("proxy:3128"), upstream("proxy", 3128, None));
        assert_eq!(parse("HTTP://[::1]:80"), upstream("::1", 80, None));
        assert_eq!(parse("http://10.0.0.1"), upstream("10.0.0.1", 1080, None));
        assert_eq!(
            parse("http://a%40b:p%3Aw@d@proxy:8080"),
            upstream("proxy", 8080, Some("a@b:p:w@d"))
        );
        assert_eq!(parse("SOCKS5://proxy"), of(Scheme::Socks5, "proxy", 1080, None));
        assert_eq!(parse("socks5h://a:b@proxy:9"), of(Scheme::Socks5h, "proxy", 9, Some("a:b")));
        for wrong in [
            "",
            "https://proxy:8080",
            "socks4://proxy:1080",
            "socks://proxy:1080",
            "http://:80",
            "proxy:0",
            "proxy:x",
            "http://a%0d%0ab@proxy:80",
            "http://a%zz@proxy:80",
            "http://[proxy]:80",
            "a b:80",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_variables_are_read_as_curl_does() {
        let both = [("HTTPS_PROXY", "a:1"), ("https_proxy", "b:2"), ("NO_PROXY", "X.corp, .y,")];
        let (upstream, variable) = found(&both).unwrap().unwrap();
        assert_eq!((upstream.host.as_str(), variable), ("b", "https_proxy"));
        assert_eq!(upstream.except, ["x.corp", ".y"]);
        assert_eq!(found(&[("HTTP_PROXY", "a:1"), ("HTTPS_PROXY", "")]), Ok(None));
        assert_eq!(found(&[("ALL_PROXY", "a:1")]).unwrap().unwrap().1, "ALL_PROXY");
        let by_tls = found(&[("HTTPS_PROXY", "https://me:s3cret@proxy")]).unwrap_err();
        assert!(by_tls.contains("by TLS") && !by_tls.contains("s3cret"), "{by_tls}");
    }

    proptest! {
        #[test]
        fn what_cannot_be_read_is_not_repeated(text in "(?s).{0,20}") {
            let secret = format!("ftp://user:s3cret@{text}");
            let said = found(&[("HTTPS_PROXY", &secret)]).unwrap_err();
            prop_assert!(!said.contains("s3cret"));
        }
    }
}
