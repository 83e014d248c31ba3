//! `worktree diff`: what was done in a worktree since its base, committed or not, as git shows a
//! difference. It is taken between trees, away from any work tree, without a program that the files or
//! the configuration name. What is said is an agent's words, and not ready for a terminal.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use super::live::live_tip;
use super::record::Record;
use super::snapshot::{Snapshot, Store};
use super::{Known, Main, short};
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::git::call::PATIENT;
use crate::git::oid::Oid;
use crate::visible::visible;

/// What no option of the user's may bring back, and what would write or compare other files.
const REFUSED: [(&str, &str); 4] = [
    ("--ext-diff", "no program runs over what an agent wrote"),
    ("--textconv", "no program runs over what an agent wrote"),
    ("--no-index", "it compares what is in no repository"),
    ("--output", "write it by `>`"),
];

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In git's words.
    pub text: Vec<u8>,
    /// What git ended with: 1 where it was asked whether there is one, and there is.
    pub code: u8,
    /// The commit that it is against.
    pub base: Oid,
    /// The branch that the worktree began at.
    pub from: Option<String>,
    /// So many commits are in it.
    pub commits: usize,
    /// So many files are in no commit.
    pub changed: usize,
    /// A session works in it now.
    pub running: Option<String>,
    /// Repositories among the files, which are left out.
    pub repositories: Vec<Bytes>,
    /// Why not every file is in it.
    pub incomplete: Option<String>,
}

/// Takes it. `words`: options and paths for git-diff(1).
///
/// # Errors
/// When it cannot be taken, or an option is none.
pub fn diff(main: &Main<'_>, known: &Known, words: &[OsString]) -> Result<Difference> {
    let (options, paths) = split(words);
    refuse(options)?;
    let live = live_tip(main, known)?;
    let known = &Known { tip: live.tip.or_else(|| known.tip.clone()), ..known.clone() };
    let tip = known.commit()?;
    let snapshot = Snapshot::take(main, known, Store::Apart)?;
    let base = base(main, known)?;
    let call = main.call("compare the worktree with its base").limits(PATIENT);
    let outcome = snapshot
        .with(call)
        // What the agent says of its files does not count.
        .env("GIT_ATTR_SOURCE", base.as_str())
        .config("diff.submodule", "short")
        .args(["diff", "--no-ext-diff", "--no-textconv", "--no-color"])
        .args([base.as_str(), snapshot.tree.as_str()])
        .args(options)
        .args(["--no-ext-diff", "--no-textconv", "--no-color", "--"])
        .args(paths)
        .outcome()?;
    let code = match outcome.status.code() {
        Some(0) => 0,
        Some(1) => 1,
        // What git says then is its whole usage.
        Some(129) => {
            let words: Vec<String> = options.iter().map(|it| visible(it.as_bytes())).collect();
            return Err(Error::usage(format!("git diff does not take this: {}", words.join(" "))));
        }
        _ => {
            let error = outcome.refusal("compare the worktree with its base").to_string();
            return Err(
                Error::usage(error).hint("paths stand behind `--`, from the repository's root")
            );
        }
    };
    let head = if live.running.is_some() { tip } else { &snapshot.head };
    Ok(Difference {
        text: outcome.output,
        code,
        from: Record::read(&main.directory, &known.name)
            .and_then(|record| record.from)
            .map(|name| short(&name)),
        commits: main.count([tip.as_str(), "--not", base.as_str()])?,
        changed: snapshot.changed(main, head)?,
        running: live.running,
        repositories: snapshot.repositories.clone(),
        incomplete: snapshot.incomplete.clone(),
        base,
    })
}

/// The commit that a worktree began at; where its history was written anew, where it parts from that.
///
/// # Errors
/// When git cannot be asked, or nothing is known.
pub fn base(main: &Main<'_>, known: &Known) -> Result<Oid> {
    let tip = known.commit()?;
    let record = Record::read(&main.directory, &known.name);
    let recorded = record.map(|record| record.base);
    let recorded = match recorded {
        Some(base) if main.commit(base.as_str())?.is_some() => Some(base),
        _ => main.repository().commit()?,
    };
    let parted = match &recorded {
        Some(base) => main.parted(base, tip)?,
        None => None,
    };
    parted.ok_or_else(|| {
        Error::usage(format!("it is not known where the worktree {} began", known.name))
            .hint(format!("git log {}", known.branch()))
    })
}

/// What is written down of a worktree; of one that an older claudebox made, what can be told.
///
/// # Errors
/// As of [`base`].
pub fn record(main: &Main<'_>, known: &Known) -> Result<Record> {
    match Record::read(&main.directory, &known.name) {
        Some(record) => Ok(record),
        None => Ok(Record::new(base(main, known)?, None)),
    }
}

/// Options, and paths. Behind the first `--` stand paths; the command line's reader has taken it away
/// where it stood first.
fn split(words: &[OsString]) -> (&[OsString], &[OsString]) {
    if let Some(at) = words.iter().position(|word| word == "--") {
        return (&words[..at], &words[at + 1..]);
    }
    let first = words.first().map(|word| word.as_bytes());
    if first.is_some_and(|first| first.starts_with(b"-")) { (words, &[]) } else { (&[], words) }
}

/// Git takes a beginning of an option for it, where it is that of no other.
fn refuse(options: &[OsString]) -> Result<()> {
    for word in options {
        let name = word.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
        let meant = |(option, _): &&(&str, &str)| {
            let beginning = option.as_bytes().starts_with(name) && name.len() > "--te".len();
            beginning && name != b"--text" && name != b"--no-i" && name != b"--no-in"
        };
        if let Some((option, why)) = REFUSED.iter().find(meant) {
            let shown = visible(OsStr::as_bytes(word));
            return Err(Error::usage(format!("{shown}: {why} ({option})"))
                .hint("`git diff` in the worktree is yours to type"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_and_paths_are_told_apart() {
        let both = |line: &str| {
            let words = words(line);
            let (options, paths) = split(&words);
            (options.len(), paths.len())
        };
        assert_eq!(both(""), (0, 0));
        assert_eq!(both("--stat -- src x"), (1, 2));
        assert_eq!(both("src x"), (0, 2));
        assert_eq!(both("-S foo"), (2, 0));
    }

    #[test]
    fn what_runs_a_program_is_refused_however_it_is_typed() {
        for bad in [
            "--ext-diff",
            "--ext-d",
            "--textconv",
            "--textc",
            "--no-index",
            "--output=x",
            "--output",
        ] {
            assert!(refuse(&words(bad)).is_err(), "{bad}");
        }
        for good in
            ["--stat", "--text", "--exit-code", "--no-indent-heuristic", "-a", "--name-only", "-S"]
        {
            refuse(&words(good)).unwrap();
        }
    }
}
