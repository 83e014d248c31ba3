//! Host names in one canonical form, so that two spellings of a name are one name. It must never
//! let a name through that a resolver or a server might read as another.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes of a name in presentation form, without the last dot (RFC 1035, 2.3.4).
const LONGEST: usize = 253;
/// Bytes of one label (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

/// A host name in lower-case ASCII, without the last dot; never an address in any spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAName {
    /// There is nothing, or nothing between two dots.
    Empty,
    /// The name or a label of it.
    TooLong,
    /// Where the first byte stands that belongs into no host name.
    Byte(usize),
    /// `inet_aton(3)` and URL parsers take it for an IPv4 address.
    Address,
}

impl fmt::Display for NotAName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Empty => "a part of the name is empty",
            Self::TooLong => "it is too long: at most 253 bytes, 63 between two dots",
            Self::Byte(_) => "a host name has letters, digits, `-`, `_` and dots only",
            Self::Address => "it could be read as an address",
        })
    }
}

impl std::error::Error for NotAName {}

impl Name {
    /// As it is compared and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name lies below another; no name lies below itself.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_suffix(&other.0).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let odd = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if let Some(at) = text.bytes().position(odd) {
            return Err(NotAName::Byte(at));
        }
        if text.split('.').any(str::is_empty) {
            return Err(NotAName::Empty);
        }
        if text.len() > LONGEST || text.split('.').any(|label| label.len() > LONGEST_LABEL) {
            return Err(NotAName::TooLong);
        }
        // The URL standard's rule: a last label that is a number makes the whole an IPv4 address.
        let last = text.rsplit('.').next().unwrap_or(text).to_ascii_lowercase();
        let number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if number {
            return Err(NotAName::Address);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Result<Name, NotAName> {
        text.parse()
    }

    #[test]
    fn one_name_has_one_form() {
        assert_eq!(name("GitHub.COM.").unwrap().as_str(), "github.com");
        assert_eq!(name("a").unwrap().as_str(), "a");
        assert_eq!(name("xn--bcher-kva.example").unwrap().as_str(), "xn--bcher-kva.example");
        assert_eq!(name("_dmarc.1a.x-").unwrap().as_str(), "_dmarc.1a.x-");
    }

    #[test]
    fn what_another_would_read_otherwise_is_none() {
        for empty in ["", ".", "..", "a..b", ".a", "a.."] {
            assert_eq!(name(empty), Err(NotAName::Empty), "{empty}");
        }
        for address in [
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "1.2.3.4",
            "1.2.3.4.",
            "0x7f000001",
            "0x",
            "a.0x7F",
            "example.1",
            "0X7f.1",
        ] {
            assert_eq!(name(address), Err(NotAName::Address), "{address}");
        }
        for (odd, at) in [
            ("a b", 1),
            ("a/b", 1),
            ("a@b", 1),
            ("a#b", 1),
            ("a%b", 1),
            ("a:1", 1),
            ("[a]", 0),
            ("a\0", 1),
            ("a\n", 1),
            ("g\u{131}thub.com", 1),
            ("\u{212a}.com", 0),
            ("*.a", 0),
            ("a\u{3002}com", 1),
        ] {
            assert_eq!(name(odd), Err(NotAName::Byte(at)), "{odd:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_dns() {
        let label = "a".repeat(63);
        assert!(name(&label).is_ok());
        assert_eq!(name(&"a".repeat(64)), Err(NotAName::TooLong));
        let longest = [&*label, &*label, &*label, &"a".repeat(61)].join(".");
        assert_eq!(longest.len(), 253);
        assert!(name(&longest).is_ok() && name(&format!("{longest}.")).is_ok());
        assert_eq!(name(&format!("{longest}a")), Err(NotAName::TooLong));
    }

    proptest! {
        #[test]
        fn the_form_is_its_own_form(text in "[a-zA-Z0-9_.x-]{0,40}|(?s).{0,8}") {
            let Ok(once) = name(&text) else { return Ok(()) };
            prop_assert_eq!(name(once.as_str()), Ok(once.clone()));
            prop_assert_eq!(name(&text.to_ascii_uppercase()), Ok(once.clone()));
            prop_assert!(once.as_str().parse::<std::net::IpAddr>().is_err());
            let json = serde_json::to_string(&once).unwrap();
            prop_assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), once);
        }

        #[test]
        fn below_is_an_order(a in "[ab](\\.[ab]){0,3}", b in "[ab](\\.[ab]){0,3}", c in "[ab](\\.[ab]){0,3}") {
            let (a, b, c) = (name(&a).unwrap(), name(&b).unwrap(), name(&c).unwrap());
            prop_assert!(!a.is_below(&a));
            prop_assert!(!(a.is_below(&b) && b.is_below(&a)));
            prop_assert!(!(a.is_below(&b) && b.is_below(&c)) || a.is_below(&c));
            let (below, beside) = (format!("x.{a}"), format!("x{a}"));
            prop_assert!(name(&below).unwrap().is_below(&a));
            prop_assert!(!name(&beside).unwrap().is_below(&a));
        }
    }
}
