//! The argv of an exec as it is kept: exactly, within the limits, and whether another argv is the
//! same one. Pure.
#![forbid(unsafe_code)]

use sha2::{Digest as _, Sha256};

use crate::bytes::Bytes;

/// An argv, or what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Its first arguments, perhaps all.
    Kept(Kept),
    /// No more than its hash.
    Hashed(Hashed),
}

/// The first arguments of an argv.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Each followed by NUL, which none can hold: the form of `/proc/PID/cmdline`.
    pub joined: Vec<u8>,
    /// Which of them are only the beginning of the argument.
    pub short: Vec<usize>,
    /// How many arguments there are, kept or not.
    pub argc: u64,
}

/// The hash of what would have been kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// SHA-256 over the kept arguments, each followed by NUL.
    pub sha256: [u8; 32],
    /// Something was not kept before the hash was taken.
    pub cut: bool,
    /// How many arguments there are.
    pub argc: u64,
}

impl Kept {
    /// The kept arguments, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.joined)
    }

    /// Adds an argument.
    pub fn push(&mut self, argument: &[u8], short: bool) {
        if short {
            self.short.push(self.iter().count());
        }
        self.joined.extend_from_slice(argument);
        self.joined.push(0);
        self.argc += 1;
    }

    /// Something is not kept.
    pub fn is_cut(&self) -> bool {
        !self.short.is_empty() || usize::try_from(self.argc) != Ok(self.iter().count())
    }

    /// Only the hash of it.
    pub fn hashed(&self) -> Hashed {
        let sha256 = Sha256::digest(&self.joined).into();
        Hashed { sha256, cut: self.is_cut(), argc: self.argc }
    }

    /// For the log.
    pub fn to_vec(&self) -> Vec<Bytes> {
        self.iter().map(Bytes::from).collect()
    }

    /// Whether this much of `ran` is the same.
    fn begins(&self, ran: &[u8]) -> bool {
        let mut ran = split(ran);
        self.iter().enumerate().all(|(at, mine)| match ran.next() {
            Some(theirs) if self.short.contains(&at) => theirs.starts_with(mine),
            Some(theirs) => theirs == mine,
            None => false,
        })
    }
}

impl Arguments {
    /// Bytes on the heap.
    pub fn weight(&self) -> usize {
        match self {
            Self::Kept(kept) => kept.joined.capacity() + kept.short.capacity() * size_of::<usize>(),
            Self::Hashed(_) => 0,
        }
    }

    /// Whether `ran`, an argv in the form of `/proc/PID/cmdline`, is this one, as far as this one
    /// is kept.
    pub fn same(&self, ran: &[u8]) -> bool {
        match self {
            Self::Kept(kept) if kept.is_cut() => kept.begins(ran),
            // Since Linux 5.18 a program that is given no argument finds an empty one.
            Self::Kept(kept) if kept.joined.is_empty() => matches!(ran, [] | [0]),
            Self::Kept(kept) => kept.joined == ran,
            Self::Hashed(hashed) => {
                !hashed.cut && <[u8; 32]>::from(Sha256::digest(ran)) == hashed.sha256
            }
        }
    }

    /// Whether `ran` is `before` and then this one without its first argument, as the kernel
    /// makes it for a script (execve(2), "Interpreter scripts").
    pub fn same_behind(&self, before: &[&[u8]], ran: &[u8]) -> bool {
        let Self::Kept(kept) = self else { return false };
        let mut rest = ran;
        for want in before {
            let Some(after) = rest.strip_prefix(*want).and_then(|rest| rest.strip_prefix(&[0]))
            else {
                return false;
            };
            rest = after;
        }
        let tail = kept.iter().next().map_or(0, |first| first.len() + 1);
        let tail = kept.joined.get(tail..).unwrap_or_default();
        let short = kept.short.iter().filter_map(|at| at.checked_sub(1)).collect();
        let tail = Kept { joined: tail.to_vec(), short, argc: kept.argc.saturating_sub(1) };
        if tail.is_cut() { tail.begins(rest) } else { tail.joined == rest }
    }
}

/// The arguments in the form of `/proc/PID/cmdline`; the last may be cut off.
pub fn split(joined: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = joined.strip_suffix(&[0]).unwrap_or(joined);
    let any = (!joined.is_empty()).then(|| whole.split(|byte| *byte == 0));
    any.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(arguments: &[&[u8]]) -> Kept {
        let mut kept = Kept::default();
        for argument in arguments {
            kept.push(argument, false);
        }
        kept
    }

    #[test]
    fn empty_arguments_count() {
        assert_eq!(split(b"").count(), 0);
        assert_eq!(split(b"\0").count(), 1);
        assert_eq!(split(b"a\0b").count(), 2);
        assert_eq!(split(b"a\0\0").collect::<Vec<_>>(), [b"a" as &[u8], b""]);
        let two = Arguments::Kept(kept(&[b"a", b""]));
        assert!(two.same(b"a\0\0") && !two.same(b"a\0"));
    }

    #[test]
    fn no_argument_runs_as_an_empty_one() {
        let none = Arguments::Kept(Kept::default());
        assert!(none.same(b"") && none.same(b"\0") && !none.same(b"\0\0"));
    }

    #[test]
    fn a_cut_argv_is_compared_as_far_as_it_goes() {
        let mut cut = kept(&[b"a"]);
        cut.push(b"long", true);
        let cut = Arguments::Kept(cut);
        assert!(cut.same(b"a\0longer\0"));
        assert!(!cut.same(b"b\0longer\0"));
        assert!(!cut.same(b"a\0lone\0"));
        assert!(!cut.same(b"a\0"));
    }

    #[test]
    fn a_script_loses_its_first_argument_only() {
        let script = Arguments::Kept(kept(&[b"x", b"1", b""]));
        let before: &[&[u8]] = &[b"/bin/sh", b"-e", b"./s"];
        assert!(script.same_behind(before, b"/bin/sh\0-e\0./s\x001\0\0"));
        assert!(!script.same_behind(before, b"/bin/sh\0-e\0./s\x002\0\0"));
        assert!(!script.same_behind(before, b"/bin/sh\0-e\0./s\0"));
        assert!(!script.same_behind(before, b"/bin/sh\0./s\x001\0\0"));
    }

    #[test]
    fn a_hash_matches_only_the_whole() {
        let whole = kept(&[b"a", b"b"]);
        assert!(Arguments::Hashed(whole.hashed()).same(b"a\0b\0"));
        assert!(!Arguments::Hashed(whole.hashed()).same(b"a\0c\0"));
        let mut cut = whole;
        cut.argc = 3;
        assert!(!Arguments::Hashed(cut.hashed()).same(b"a\0b\0"));
    }

    proptest! {
        #[test]
        fn only_the_same_argv_is_the_same(
            one in proptest::collection::vec("[ab]{0,2}", 1..4),
            two in proptest::collection::vec("[ab]{0,2}", 1..4),
        ) {
            let join = |all: &[String]| {
                let all: Vec<&[u8]> = all.iter().map(String::as_bytes).collect();
                kept(&all)
            };
            let same = Arguments::Kept(join(&one)).same(&join(&two).joined);
            prop_assert_eq!(same, one == two);
        }
    }
}
