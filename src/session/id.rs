//! The name of a session: eight characters, the first a digit, so that it never looks like a
//! command word or a profile. It becomes part of paths, so nothing else may ever pass as one.

use std::fmt;
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, which are misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How many characters a session id has.
const LENGTH: usize = 8;

/// A session's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl Id {
    /// A new one, from getrandom(2).
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; LENGTH];
        let filled = getrandom(&mut bytes, GetRandomFlags::empty())?;
        if filled < LENGTH {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self::from_bytes(bytes))
    }

    /// Ten digits begin an id and 32 characters go on, which leaves 3.4e11 of them.
    fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        let symbol = |(at, byte): (usize, u8)| {
            let base = if at == 0 { 10 } else { ALPHABET.len() };
            char::from(ALPHABET[usize::from(byte) % base])
        };
        Self(bytes.into_iter().enumerate().map(symbol).collect())
    }

    /// The text as an id, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == LENGTH
            && text.as_bytes()[0].is_ascii_digit()
            && text.bytes().all(|byte| ALPHABET.contains(&byte));
        is_id.then(|| Self(text.to_owned()))
    }

    /// The eight characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a session id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_differ() {
        assert_ne!(Id::random().unwrap(), Id::random().unwrap());
    }

    #[test]
    fn nothing_else_passes_as_an_id() {
        let strangers =
            ["", "log", "attach", "4k7", "../../etc", "4k7xq2a/", "ak7xq2ab", "4k7xq2il"];
        for text in strangers {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_id_reads_back(bytes: [u8; LENGTH]) {
            let id = Id::from_bytes(bytes);
            prop_assert_eq!(Id::parse(id.as_str()), Some(id));
        }
    }
}
