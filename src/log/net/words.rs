//! The words for what happened on the network. Everything that comes out is visible text.
#![forbid(unsafe_code)]

use crate::log::event::{Connect, Listen, Refused, RuleSaid};
use crate::log::quote;
use crate::visible::visible;

/// `example.com:443`, `[2001:db8::1]:443`, `example.com` where only the name was asked for. The DNS
/// has names with any bytes in them: one with a space could tell a story of its own, and is quoted.
pub fn target(host: &str, port: Option<u16>) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*:/".contains(&byte);
    let host = match host {
        host if host.is_empty() || !host.bytes().all(plain) => quote::word(host.as_bytes()),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// What a refusal was about. TCP goes without saying.
pub fn refused_target(refused: &Refused) -> String {
    let target = target(&refused.host, refused.port);
    match refused.protocol.as_str() {
        "tcp" | "dns" | "" => target,
        other => format!("{target}/{}", visible(other)),
    }
}

/// How a connection came, where that is not the usual way.
pub fn via(connect: &Connect) -> &'static str {
    match connect.via.as_str() {
        "host-port" => "on this machine",
        "publish" => "from this machine",
        _ => "",
    }
}

/// Why something was refused.
pub fn why(refused: &Refused) -> String {
    let detail = refused.detail.as_ref().map(visible);
    let what = match (refused.why.as_str(), &detail) {
        ("other-name", Some(name)) => return format!("was asked for {name} in TLS"),
        ("private", Some(address)) => return format!("leads to {address}"),
        ("not-listed", _) => "is not allowed".to_owned(),
        ("denied", _) => match &refused.rule {
            Some(rule) => format!("is denied by {}", said(rule)),
            None => "is denied".to_owned(),
        },
        ("no-tls", _) => "is for TLS".to_owned(),
        ("other-name", None) => "was asked for another name in TLS".to_owned(),
        ("private", None) => "leads to a private address".to_owned(),
        ("proxy", _) => "was not spoken to as one".to_owned(),
        ("too-many", _) => "is too much at once".to_owned(),
        (other, _) => visible(other),
    };
    detail.into_iter().fold(what, |what, detail| format!("{what}: {detail}"))
}

/// A rule and where it stands.
pub fn said(rule: &RuleSaid) -> String {
    match rule.origin.as_str() {
        "" => visible(&rule.text),
        origin => format!("{} ({})", visible(&rule.text), visible(origin)),
    }
}

/// The line to type that would allow it.
pub fn remedy(refused: &Refused) -> Option<String> {
    let rule = refused.allow.as_ref()?;
    let words = rule.split(' ').filter(|word| !word.is_empty());
    Some(words.fold("claudebox allow".to_owned(), |line, word| {
        line + " " + &quote::word(word.as_bytes())
    }))
}

/// Where what listens inside can be reached.
pub fn listens(listen: &Listen) -> String {
    match listen.published {
        Some(port) => format!("is localhost:{port} on this machine"),
        None => "listens inside".to_owned(),
    }
}

/// Bytes out and in: `↑1.2K ↓34M`.
pub fn bytes(sent: u64, received: u64) -> String {
    format!("↑{} ↓{}", amount(sent), amount(received))
}

/// Bytes in at most four columns up to 999 TiB, in units of 1024.
pub fn amount(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    if bytes < 1000 {
        return bytes.to_string();
    }
    let mut whole = bytes;
    let mut tenths = 0;
    for unit in UNITS {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        if whole < 10 && whole > 0 {
            return format!("{whole}.{tenths}{unit}");
        }
        if whole < 1000 {
            return if whole == 0 { format!("0.{tenths}{unit}") } else { format!("{whole}{unit}") };
        }
    }
    format!("{whole}.{tenths}E")
}
