//! The name of an object: what git prints, and nothing else. What an agent's repository says its
//! objects are called becomes one of these before any git of the host is given it.
#![forbid(unsafe_code)]

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object id: 40 (SHA-1) or 64 (SHA-256) hexadecimal digits, lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(String);

/// As many digits as are shown to a person.
const SHOWN: usize = 10;

impl Oid {
    /// The object id that these bytes are, if they are one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let right = matches!(bytes.len(), 40 | 64) && bytes.iter().all(digit);
        let text = right.then(|| std::str::from_utf8(bytes).ok()).flatten()?;
        Some(Self(text.to_owned()))
    }

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of them for a person.
    pub fn short(&self) -> &str {
        self.0.get(..SHOWN).unwrap_or(&self.0)
    }

    /// The id that stands for no object, as long as this one.
    #[must_use]
    pub fn none(&self) -> Self {
        Self("0".repeat(self.0.len()))
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl TryFrom<String> for Oid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text.as_bytes()).ok_or_else(|| format!("not an object id: {text}"))
    }
}

impl From<Oid> for String {
    fn from(oid: Oid) -> Self {
        oid.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_id_is_one() {
        let good = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Oid::parse(good.as_bytes()).unwrap().short(), "0123456789");
        assert!(Oid::parse("a".repeat(64).as_bytes()).is_some());
        for bad in ["", "HEAD", &good[1..], "--upload-pack=x", &good.replace('a', "A")] {
            assert_eq!(Oid::parse(bad.as_bytes()), None, "{bad}");
        }
        let padded = format!("{good}\n");
        assert_eq!(Oid::parse(padded.as_bytes()), None);
        let json = serde_json::to_string(&Oid::parse(good.as_bytes())).unwrap();
        assert_eq!(
            serde_json::from_str::<Option<Oid>>(&json).unwrap(),
            Oid::parse(good.as_bytes())
        );
        assert!(serde_json::from_str::<Oid>("\"refs/heads/main\"").is_err());
    }
}
