//! The proxy that the host itself has to use: it is told the name by CONNECT. It is the host's own
//! word, so that no rule and no guard speaks of its address. It must never show its password.
#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;

use super::dial::{self, Dialled};
use super::relay;
use super::state::State;
use crate::network::plan::Upstream;
use crate::network::proxy::written;
use crate::network::rule::Host;

/// How long the proxy may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long its answer may be.
const LONGEST: usize = 16 * 1024;

/// Connects through the proxy.
///
/// # Errors
/// Why not, in words.
pub(super) async fn dial(
    state: &Rc<State>,
    upstream: &Upstream,
    host: &Host,
    port: u16,
) -> Result<Dialled, String> {
    let of_proxy = |err: String| format!("the host's proxy: {err}");
    let found = dial::lookup(state, upstream.host.clone(), upstream.port).await;
    let (stream, address) = dial::first(&found.map_err(of_proxy)?).await.map_err(of_proxy)?;
    let asked = async {
        relay::all(&stream, request(upstream, host, port).as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            stream.readable().await?;
            let most = LONGEST - answer.len();
            let read = state.buffers.read(&stream, most, |bytes| {
                answer.extend_from_slice(bytes);
                bytes.is_empty()
            })?;
            if read == Some(true) {
                return Ok(Err("it hung up".to_owned()));
            }
            match established(&answer) {
                Some(Ok(length)) => return Ok(Ok(answer.split_off(length))),
                Some(Err(err)) => return Ok(Err(err)),
                None => {}
            }
        }
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(Ok(early))) => Ok(Dialled { stream, address, early }),
        Ok(Ok(Err(err))) => Err(of_proxy(err)),
        Ok(Err(err)) => Err(of_proxy(std::io::Error::to_string(&err))),
        Err(_) => Err(of_proxy("it does not answer".to_owned())),
    }
}

fn request(upstream: &Upstream, host: &Host, port: u16) -> String {
    let target = written(host, port);
    let credentials = upstream.credentials.as_ref().map(|credentials| {
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(credentials))
    });
    let credentials = credentials.unwrap_or_default();
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n")
}

/// How long the head of the answer is, if it is all there and a yes.
fn established(answer: &[u8]) -> Option<Result<usize, String>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(answer) {
        Ok(httparse::Status::Complete(length)) => Some(match response.code {
            Some(200..=299) => Ok(length),
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
        let mut upstream = Upstream {
            host: "proxy.corp".to_owned(),
            port: 8080,
            credentials: None,
            except: Vec::new(),
        };
        let host = Host::Name("a.test".parse().unwrap());
        let plain = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
        assert_eq!(request(&upstream, &host, 443), plain);
        // With what would be another field.
        upstream.credentials = Some("user:a\r\nb".to_owned());
        let asked = request(&upstream, &host, 443);
        assert!(asked.ends_with("\r\nProxy-Authorization: Basic dXNlcjphDQpi\r\n\r\n"), "{asked}");
    }

    #[test]
    fn only_a_whole_yes_is_one() {
        assert_eq!(established(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(established(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0"), Some(Ok(19)));
        assert_eq!(established(b"HTTP/1.0 407 x\r\n\r\n"), Some(Err("it answers 407".to_owned())));
        assert!(matches!(established(b"SSH-2.0-x\r\n"), Some(Err(_))));
        assert!(matches!(established(&[b'x'; LONGEST]), Some(Err(_))));
    }
}
