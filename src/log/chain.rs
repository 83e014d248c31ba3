//! The chain of hashes that ties every line of a log to all lines before it.
//! It must never look inside an event: it covers the bytes as they were written, so that no two
//! programs can disagree about what they mean. It must never do I/O.
//!
//! `hash(n) = SHA-256("claudebox.log.v1\n" || hash(n-1) || length of e as u64, big endian || e)`,
//! and `hash(0)` is 32 zero bytes.
#![forbid(unsafe_code)]

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::bytes::Bytes;

/// Keeps these hashes apart from every other use of SHA-256.
const DOMAIN: &[u8] = b"claudebox.log.v1\n";

/// One link: a SHA-256 value. Displayed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Reads 64 lower-case hexadecimal digits. Upper case is refused: a hash has one spelling.
    pub fn parse(hex: &[u8]) -> Option<Self> {
        let pairs: &[[u8; 2]; 32] = hex.as_chunks::<2>().0.try_into().ok()?;
        let mut out = [0; 32];
        for (byte, [high, low]) in out.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        (hex.len() == 64).then_some(Self(out))
    }
}

fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The chain so far: its last link and how many events it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The hash of the last event; zeros before the first.
    pub head: Hash,
    /// How many events.
    pub events: u64,
}

impl Chain {
    /// The hash that an event of these bytes would have as the next one.
    pub fn next(&self, raw: &[u8]) -> Hash {
        let length = u64::try_from(raw.len()).unwrap_or(u64::MAX);
        Hash(
            Sha256::new()
                .chain_update(DOMAIN)
                .chain_update(self.head.0)
                .chain_update(length.to_be_bytes())
                .chain_update(raw)
                .finalize()
                .into(),
        )
    }

    /// Adds an event and answers with its hash.
    pub fn push(&mut self, raw: &[u8]) -> Hash {
        self.head = self.next(raw);
        self.events += 1;
        self.head
    }
}

/// [`super::event::Exec::argv_sha256`]: SHA-256 over the arguments, each followed by NUL.
pub fn argv_sha256(argv: &[Bytes]) -> String {
    let mut hash = Sha256::new();
    for argument in argv {
        hash.update(argument);
        hash.update([0]);
    }
    Hash(hash.finalize().into()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_what_the_document_says() {
        // printf 'claudebox.log.v1\n' ; 32 zero bytes ; 8 bytes of length ; {}  | sha256sum
        let mut chain = Chain::default();
        insta::assert_snapshot!(chain.push(b"{}"), @"7fda6c8c52a3e33f89d5310aa07ab8fff88f48777ed5ec47fa859d41cb5ee13e");
        insta::assert_snapshot!(chain.push(b"{}"), @"23c4675085f3d925a430533c396e65621f4234818f5867cad549e76aced5e2d6");
        assert_eq!(chain.events, 2);
    }

    #[test]
    fn argv_is_hashed_with_its_ends() {
        assert_ne!(argv_sha256(&["ab".into()]), argv_sha256(&["a".into(), "b".into()]));
        // printf 'ls\0-l\0' | sha256sum
        insta::assert_snapshot!(argv_sha256(&["ls".into(), "-l".into()]), @"c4cda919c7c25a49afb34dd20298822f55d716b013a9ff65d3d43e4fd32dbac7");
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = Chain::default().next(b"x");
        let hex = hash.to_string();
        assert_eq!(Hash::parse(hex.as_bytes()), Some(hash));
        assert_eq!(Hash::parse(hex.to_uppercase().as_bytes()), None);
        assert_eq!(Hash::parse(&hex.as_bytes()[1..]), None);
        assert_eq!(Hash::parse(format!("{hex}0").as_bytes()), None);
    }
}
