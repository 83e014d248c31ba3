//! What is a rule, what is none, and what is said of it.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::super::rule::{Decision, Host, Rules};
use super::*;

fn allowed(text: &str) -> Rule {
    allow(text, "test").unwrap_or_else(|mistake| panic!("{text}: {mistake}"))
}

/// Whether a rule allows a target.
fn matches(rule: &str, host: &str, port: u16) -> bool {
    let host = match host.parse() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(host.parse().unwrap()),
    };
    allowed(rule).matches(&host, port)
}

#[test]
fn a_name_is_that_name_and_port_443() {
    assert!(matches("github.com", "GitHub.COM.", 443));
    for other in ["evilgithub.com", "github.com.evil.net", "api.github.com", "github.co", "com"] {
        assert!(!matches("github.com", other, 443), "{other}");
    }
    assert!(!matches("github.com", "github.com", 80));
    assert!(matches("github.com:80", "github.com", 80));
    assert!(!matches("github.com:80", "github.com", 443));
    assert!(matches("GitHub.com.", "github.com", 443));
    assert!(matches("_x.a-b.c", "_x.a-b.c", 443));
}

#[test]
fn a_wildcard_is_everything_below_and_not_the_name_itself() {
    for below in ["a.github.com", "a.b.github.com", "A.GitHub.com"] {
        assert!(matches("*.github.com", below, 443), "{below}");
    }
    for other in ["github.com", "evilgithub.com", "github.com.evil.net"] {
        assert!(!matches("*.github.com", other, 443), "{other}");
    }
}

#[test]
fn addresses_are_reached_by_address_only() {
    assert!(matches("10.1.2.3:22", "10.1.2.3", 22));
    assert!(!matches("10.1.2.3:22", "10.1.2.4", 22));
    assert!(matches("10.1.0.0/16:5432", "10.1.9.9", 5432));
    assert!(!matches("10.1.0.0/16:5432", "10.2.0.1", 5432));
    assert!(matches("[2001:db8::1]:80", "2001:DB8:0::1", 80));
    assert!(matches("[2001:db8::/32]", "2001:db8:5::9", 443));
    assert!(allowed("10.1.2.3").private && allowed("[fd00::1]").private);
    assert!(!matches("10.1.2.3", "a.example", 443));
    assert!(!matches("a.example", "10.1.2.3", 443));
}

#[test]
fn words_stand_behind_the_host() {
    let rule = allowed("ssh.github.com:443  raw private ");
    assert!(rule.raw && rule.private && !rule.demands_tls());
    let plain = allowed("ssh.github.com:443");
    assert!(!plain.raw && !plain.private && plain.demands_tls());
    assert!(!allowed("github.com:22").demands_tls());
    assert!(!allowed("10.1.2.3").demands_tls(), "an address has no name to compare");
}

#[test]
fn a_denial_without_a_port_is_about_all_of_them() {
    let denied = deny("*", "test").unwrap();
    assert_eq!((&denied.to, denied.port), (&To::All, None));
    assert_eq!(deny("10.0.0.0/8", "test").unwrap().port, None);
    assert_eq!(deny("x.example:22", "test").unwrap().port, Some(22));
    let rules = Rules {
        allow: vec![allowed("*.example.com"), allowed("*.example.com:22")],
        deny: vec![deny("*.internal.example.com", "test").unwrap()],
    };
    let host = |name: &str| Host::Name(name.parse().unwrap());
    assert!(matches!(rules.decide(&host("a.example.com"), 22), Decision::Allowed(_)));
    assert!(matches!(rules.decide(&host("a.internal.example.com"), 22), Decision::Denied(_)));
    assert_eq!(rules.decide(&host("other.com"), 22), Decision::NotListed);
    assert_eq!(rules.ports(&host("a.example.com")), [22, 443]);
    assert!(rules.ports(&host("a.internal.example.com")).is_empty());
}

#[test]
fn groups_are_named_with_an_at() {
    assert_eq!(group("@npm"), Ok(Some("npm")));
    assert_eq!(group("npm"), Ok(None));
    for wrong in ["@", "@Npm", "@npm:443", "@npm raw", "@-x", "@a.b", "@../x"] {
        assert!(group(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn mistakes_say_what_to_write() {
    let said = [
        "",
        "*",
        "*.com",
        "x.*.y",
        "*.*.x",
        "*x.com",
        ".x.com",
        "x..com",
        "a:0",
        "a:65536",
        "a:+1",
        "a:",
        "a:b",
        "a:80-90",
        "a:1:2",
        "https://x.com:8443/y?z",
        "x.com/y",
        "x y",
        "x raw tls",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "1.2.3.4%x.github.com",
        "::1",
        "2001:db8::1:443",
        "[::1",
        "[x]:1",
        "[::ffff:7f00:1]",
        "[2001:db8::]/32",
        "10.1.2.3/8",
        "10.0.0.0/33",
        "0.0.0.0/0",
        "[::/0]",
        "127.0.0.1:80",
        "localhost:3000",
        "x.localhost",
        "169.254.169.254:80",
        "224.0.0.1",
        "g\u{131}thub.com",
        "a\0b",
        "a@b",
        "a#b",
        "a%00b",
        "a\u{202e}b",
    ]
    .map(|text| match allow(text, "test") {
        Ok(rule) => panic!("{text} is taken for {rule:?}"),
        Err(mistake) => mistake.to_string().replace('\n', "\n    "),
    });
    assert_snapshot!(said.join("\n"), @r#"
    a rule cannot be empty
        write a host: "example.com"
    `*` allows everything
        name the hosts; `network.mode = "host"` (--network host) is all of the host's network
    `*.com` allows the names of everybody
        name the domains: "*.example.com"
    `x.*.y` has a `*` where none can be
        `*.example.com` is every name below example.com
    `*.*.x` has a `*` where none can be
        `*.example.com` is every name below example.com
    `*x.com` has a `*` where none can be
        `*.example.com` is every name below example.com
    `.x.com` is not a host: a part of the name is empty
        write it like "example.com" or "example.com:8080"
    `x..com` is not a host: a part of the name is empty
        write it like "example.com" or "example.com:8080"
    `a:0`: `0` is not a port
        a port is a number from 1 to 65535; a rule is about one, several ports are several rules
    `a:65536`: `65536` is not a port
        a port is a number from 1 to 65535; a rule is about one, several ports are several rules
    `a:+1`: `+1` is not a port
        a port is a number from 1 to 65535; a rule is about one, several ports are several rules
    `a:`: `` is not a port
        a port is a number from 1 to 65535; a rule is about one, several ports are several rules
    `a:b`: `b` is not a port
        a port is a number from 1 to 65535; a rule is about one, several ports are several rules
    `a:80-90`: `80-90` is not a port
        a port is a number from 1 to 65535; a rule is about one, several ports are several rules
    `a:1:2` has two ports
    `https://x.com:8443/y?z` is the address of a page, and a rule is about a host
        write "x.com:8443"
    `x.com/y` has a path, and a rule is about a host
        write "x.com": all of the host, or nothing of it
    `y` is no word of a rule
        behind the host may stand `raw` and `private`; each host is a rule of its own
    `tls` is no word of a rule
        behind the host may stand `raw` and `private`; each host is a rule of its own
    `127.1` is not a host: it could be read as an address
        write an address in full, as four decimal numbers: "10.1.2.3"
    `2130706433` is not a host: it could be read as an address
        write an address in full, as four decimal numbers: "10.1.2.3"
    `0x7f.1` is not a host: it could be read as an address
        write an address in full, as four decimal numbers: "10.1.2.3"
    `0177.0.0.1` is not a host: it could be read as an address
        write an address in full, as four decimal numbers: "10.1.2.3"
    `1.2.3.4%x.github.com` is not a host: a host name has letters, digits, `-`, `_` and dots only
        write it like "example.com" or "example.com:8080"
    `::1` has no brackets
        write "[::1]"
    `2001:db8::1:443` has no brackets
        write "[2001:db8::1:443]"
    `[::1` has no closing bracket
        write an IPv6 address as "[2001:db8::1]:443"
    `x` is not an IPv6 address
        only IPv6 addresses and nets stand in brackets: "[2001:db8::/32]:443"
    `::ffff:7f00:1` is an IPv4 address in disguise
        write "127.0.0.1"
    `/32` cannot stand behind the bracket
        a net has its length within: "[2001:db8::/32]:443"
    `10.1.2.3/8` has bits behind its length
        write "10.0.0.0/8" for the net, "10.1.2.3" for the address
    `10.0.0.0/33` is not a net
        write it like "10.1.0.0/16"
    `0.0.0.0/0` allows everything
        name the hosts; `network.mode = "host"` (--network host) is all of the host's network
    `[::/0]` allows everything
        name the hosts; `network.mode = "host"` (--network host) is all of the host's network
    `127.0.0.1:80` is the sandbox's own loopback
        a port of this machine's loopback is had with `network.host-ports` (--host-port PORT)
    `localhost:3000`: localhost is the sandbox itself
        a port of this machine's loopback is had with `network.host-ports` (--host-port PORT)
    `x.localhost`: localhost is the sandbox itself
        a port of this machine's loopback is had with `network.host-ports` (--host-port PORT)
    `169.254.169.254:80` is a link-local address: no connection is made there
    `224.0.0.1` is a multicast address: no connection is made there
    `gıthub.com` is not a host: a host name has letters, digits, `-`, `_` and dots only
        write the name in its ASCII form (`xn--...`), as a browser sends it
    `a\x00b` is not a host: a host name has letters, digits, `-`, `_` and dots only
        write it like "example.com" or "example.com:8080"
    `a@b` is not a host: a host name has letters, digits, `-`, `_` and dots only
        write it like "example.com" or "example.com:8080"
    `a#b` is not a host: a host name has letters, digits, `-`, `_` and dots only
        write it like "example.com" or "example.com:8080"
    `a%00b` is not a host: a host name has letters, digits, `-`, `_` and dots only
        write it like "example.com" or "example.com:8080"
    `a\u{202e}b` is not a host: a host name has letters, digits, `-`, `_` and dots only
        write the name in its ASCII form (`xn--...`), as a browser sends it
    "#);
    assert!(allow("@npm", "test").unwrap_err().what.contains("is a group"));
    assert!(deny("x raw", "test").is_err());
    assert!(deny("*.com", "test").is_ok() && deny("127.0.0.1", "test").is_ok());
}

/// A text that is nearly a rule.
fn nearly() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "*",
            ".",
            "a",
            "com",
            "example",
            "github.com",
            ":",
            "443",
            "80",
            "0",
            "[",
            "]",
            "::1",
            "/",
            "8",
            "10.0.0.0",
            " ",
            "raw",
            "private",
            "@",
            "-",
            "xn--",
            "\u{e9}",
            "%",
            "\n",
        ]),
        0..7,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_is_more_than_a_mistake(text in prop_oneof![nearly(), "(?s).{0,30}".boxed()]) {
        for parsed in [allow(&text, "o"), deny(&text, "o")] {
            match parsed {
                Ok(rule) => {
                    prop_assert!(rule.port != Some(0));
                    prop_assert_eq!(&rule.text, &text);
                }
                Err(mistake) => prop_assert!(
                    !mistake.to_string().chars().any(|ch| ch != '\n' && crate::visible::is_invisible(ch))
                ),
            }
        }
    }

    /// What a rule is shown as means the same rule.
    #[test]
    fn a_rule_survives_being_shown(text in nearly()) {
        if let Ok(rule) = allow(&text, "o") {
            let again = allow(&rule.to_string(), "o").unwrap();
            prop_assert_eq!((&rule.to, rule.port, rule.private), (&again.to, again.port, again.private));
            prop_assert_eq!(rule.demands_tls(), again.demands_tls());
        }
        if let Ok(rule) = deny(&text, "o") {
            let again = deny(&rule.to_string(), "o").unwrap();
            prop_assert_eq!((rule.to, rule.port), (again.to, again.port));
        }
    }

    /// An allowance never reaches beyond the name that stands in it.
    #[test]
    fn what_is_allowed_ends_in_what_was_written(
        rule in "(\\*\\.)?[a-c]{1,2}(\\.[a-c]{1,2}){1,2}", host in "[a-c]{1,2}(\\.[a-c]{1,2}){0,4}",
    ) {
        let Ok(rule) = allow(&rule, "o") else { return Ok(()) };
        if rule.matches(&Host::Name(host.parse().unwrap()), 443) {
            let bare = rule.text.trim_start_matches("*.");
            let below = host.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'));
            prop_assert_eq!(below, rule.text.starts_with('*'));
            prop_assert!(below || host == bare);
        }
    }
}
