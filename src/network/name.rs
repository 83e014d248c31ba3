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
