//! How the private git directory stands: asked of a git in a box, in one call. Everything in the
//! answer is the agent's word: ids are checked here, and names where they are used. It must never take
//! half an answer for a whole one: what is missing in it would seem to be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::git::boxed::{Access, Boxed, INDEX};
use crate::git::names::STASH;
use crate::git::oid::Oid;
use crate::git::outside::{UNFINISHED, digest};
use crate::git::record::{Base, Head};
use crate::nofollow::{self, DIRECTORY};

/// The most refs that are looked at. Where some were left out they would seem to be deleted.
const MOST_REFS: usize = 200_000;
/// The longest that a stash's message is kept, bytes.
const LONGEST: usize = 200;

/// How it stands.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// What the sync compares. The index is absent where it cannot be read, or has conflicts.
    pub now: Base,
    /// The commit that `HEAD` leads to.
    pub commit: Option<Oid>,
    /// A commit whose tree is the index.
    pub staged: Option<Oid>,
    /// The index holds what `HEAD` holds.
    pub clean: bool,
    /// The messages of the stashes.
    pub messages: BTreeMap<Oid, Vec<u8>>,
    /// What has been begun and not finished.
    pub unfinished: Option<&'static str>,
    /// Symbolic refs.
    pub symbolic: BTreeSet<Bytes>,
    /// What git said where the index could not be read, ready for a terminal.
    pub words: String,
}

/// What is to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The branches.
    Branches,
    /// Everything.
    All,
}

/// The parts of the answer are divided by this, which no ref and no path can hold.
const END: &str = "\0\0claudebox\0\0";

/// Asks. `GIT` is the host's git, see [`Boxed::script`].
///
/// # Errors
/// When there can be no box, or git does not answer in time: a fifo in the place of a file.
pub fn look(boxed: &Boxed<'_>, private: &Path, depth: Depth) -> Result<Inside> {
    let what = "read the agent's repository";
    let (script, access, index) = match depth {
        Depth::Branches => {
            (format!("{} || exit 3\n{}", refs("refs/heads"), end()), Access::Read, None)
        }
        Depth::All => (all(), Access::Write, index(private, what)?),
    };
    let outcome = boxed.script(what, &script, access, index)?;
    // The last part is there once everything before it is.
    let parts = split(&outcome.output);
    if !outcome.status.success() || parts.is_empty() {
        return Err(outcome.refusal(what));
    }
    let mut inside = Inside { words: outcome.words, ..Inside::default() };
    if lines(parts.first().copied().unwrap_or_default()).count() > MOST_REFS {
        return Err(Error::launcher(format!("cannot {what}: it has more than {MOST_REFS} refs")));
    }
    for (at, part) in parts.into_iter().enumerate() {
        match at {
            0 => inside.read_refs(part),
            1 if !inside.read_head(part) => {
                return Err(Error::launcher(format!("cannot {what}: its HEAD is not of a branch")));
            }
            2 => inside.read_stashes(part),
            3 => inside.read_unfinished(part),
            4 => inside.read_staged(part),
            // The last, since it is the longest.
            5 if inside.staged.is_some() => inside.now.index = Some(digest(part)),
            _ => {}
        }
    }
    Ok(inside)
}

fn end() -> &'static str {
    "printf '\\0\\0claudebox\\0\\0'\n"
}

fn refs(below: &str) -> String {
    // No object is looked at: a ref that leads nowhere says so when it is fetched.
    let format = "%(objectname) %(symref) %(refname)";
    format!("git for-each-ref --format='{format}' {below}")
}

/// The agent's index, to be copied into the box: what is at work inside would find a lock there. Its
/// bytes are not looked at here, and no link is followed.
fn index(private: &Path, what: &str) -> Result<Option<OwnedFd>> {
    let failed = |errno: Errno| Error::launcher(format!("cannot {what}: its index: {errno}"));
    let no_file = || Error::launcher(format!("cannot {what}: its index is no file"));
    let root = openat(CWD, private, OFlags::PATH | DIRECTORY, Mode::empty()).map_err(failed)?;
    // What is no file could be waited for, or read without end.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match nofollow::beneath(&root, Path::new("index"), flags) {
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO) => return Err(no_file()),
        other => other.map_err(failed)?,
    };
    match FileType::from_raw_mode(fstat(&file).map_err(failed)?.st_mode) {
        FileType::RegularFile => Ok(Some(file)),
        _ => Err(no_file()),
    }
}

/// As few calls as there can be. The commit of the index is made in the name of nobody at a fixed time:
/// of the same index it is the same commit.
fn all() -> String {
    let unfinished =
        UNFINISHED.map(|(name, _)| format!("test ! -e {name} || printf '%s\\n' {name}\n")).concat();
    format!(
        "newline='\n'\n\
         refs=$({refs}) || exit 3\n\
         printf '%s\\n' \"$refs\"\n{end}\
         git symbolic-ref -q HEAD || :\n\
         found=$(printf '%s\\n' 'HEAD^{{commit}}' 'HEAD^{{tree}}' |\n\
             git cat-file --batch-check='%(objectname)' 2>/dev/null) || found=\n\
         head=${{found%\"$newline\"*}} of_head=${{found#*\"$newline\"}}\n\
         case $head in *' '*) head=;; esac\n\
         case $of_head in *' '*) of_head=;; esac\n\
         printf '\\n%s' \"$head\"\n{end}\
         case $refs in *' {STASH}'*)\n\
             git log -g --no-decorate --no-mailmap --no-show-signature --no-color --no-notes \
                 --no-patch --encoding=UTF-8 --format='%H %gs' {STASH} -- 2>/dev/null || :;;\n\
         esac\n{end}\
         {unfinished}{end}\
         export GIT_INDEX_FILE={INDEX}\n\
         name=claudebox mail=claudebox@localhost\n\
         export GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$mail GIT_AUTHOR_DATE='@0 +0000'\n\
         export GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$mail GIT_COMMITTER_DATE='@0 +0000'\n\
         if tree=$(git write-tree); then\n\
             commit=$head\n\
             test \"$tree\" = \"$of_head\" ||\n\
                 commit=$(git commit-tree ${{head:+-p \"$head\"}} -m index \"$tree\") || exit 3\n\
             printf '%s %s %s' \"$commit\" \"$tree\" \"$of_head\"\n\
         fi\n{end}\
         git ls-files --stage -z\n{end}",
        refs = refs("refs"),
        end = end(),
    )
}

/// The parts, without what comes after the last end.
fn split(output: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = output;
    while let Some(at) = rest.windows(END.len()).position(|window| window == END.as_bytes()) {
        parts.push(&rest[..at]);
        rest = &rest[at + END.len()..];
    }
    parts
}

fn lines(part: &[u8]) -> impl Iterator<Item = &[u8]> {
    part.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

impl Inside {
    fn read_refs(&mut self, part: &[u8]) {
        for line in lines(part) {
            let mut fields = line.splitn(3, |byte| *byte == b' ');
            let (oid, symref, name) = (fields.next(), fields.next(), fields.next());
            match (oid.and_then(Oid::parse), symref, name) {
                (Some(oid), Some(b""), Some(name)) => {
                    self.now.refs.insert(name.into(), oid);
                }
                (Some(_), Some(_), Some(name)) => {
                    self.symbolic.insert(name.into());
                }
                _ => {}
            }
        }
    }

    /// `false` where it leads to something that is neither a branch nor a commit.
    fn read_head(&mut self, part: &[u8]) -> bool {
        let mut said = part.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let words: Vec<&[u8]> = said.by_ref().filter(|line| !line.is_empty()).collect();
        let branch = words.iter().find(|word| word.starts_with(b"refs/heads/"));
        self.commit = words.last().and_then(|word| Oid::parse(word));
        if let Some(branch) = branch {
            self.now.head = Head::Branch(Bytes::from(*branch));
        } else if let Some(commit) = &self.commit {
            self.now.head = Head::Detached(commit.clone());
        }
        branch.is_some() || self.commit.is_some()
    }

    fn read_stashes(&mut self, part: &[u8]) {
        for line in lines(part) {
            let mut fields = line.splitn(2, |byte| *byte == b' ');
            let Some(oid) = fields.next().and_then(Oid::parse) else { continue };
            let message = fields.next().unwrap_or_default();
            let message = &message[..message.len().min(LONGEST)];
            self.messages.insert(oid.clone(), message.to_vec());
            self.now.stashes.push(oid);
        }
    }

    fn read_unfinished(&mut self, part: &[u8]) {
        let there = |name: &str| lines(part).any(|line| line == name.as_bytes());
        self.unfinished = UNFINISHED.iter().find(|(name, _)| there(name)).map(|(_, what)| *what);
    }

    fn read_staged(&mut self, part: &[u8]) {
        let mut words = part.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        self.staged = words.next().and_then(Oid::parse);
        let (tree, of_head) = (words.next(), words.next());
        self.clean = self.staged.is_some() && tree == of_head;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oid(digit: &str) -> Oid {
        Oid::parse(digit.repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn the_answer_is_read_line_by_line() {
        let (one, two) = (oid("1"), oid("2"));
        let mut inside = Inside::default();
        inside.read_refs(
            format!(
                "{one}  refs/heads/main\n{two}  refs/heads/a$(id)\nx  refs/heads/x\n\
                 {one} refs/heads/main refs/heads/alias\n--exec=x\n"
            )
            .as_bytes(),
        );
        assert_eq!(inside.now.refs.len(), 2);
        assert_eq!(inside.symbolic, BTreeSet::from(["refs/heads/alias".into()]));
        assert!(inside.read_head(format!("refs/heads/main\n\n{two}").as_bytes()));
        assert_eq!(inside.now.head, Head::Branch("refs/heads/main".into()));
        assert_eq!(inside.commit, Some(two.clone()));
        assert!(inside.read_head(format!("\n{one}").as_bytes()));
        assert!(!inside.read_head(b"refs/other\n\n"));
        assert!(inside.read_head(format!("\n{one}").as_bytes()));
        assert_eq!(inside.now.head, Head::Detached(one.clone()));
        inside.read_stashes(format!("{one} WIP on main: x\n{two} \n").as_bytes());
        assert_eq!(inside.now.stashes, [one.clone(), two.clone()]);
        assert_eq!(inside.messages[&one], b"WIP on main: x");
        inside.read_unfinished(b"CHERRY_PICK_HEAD\nsequencer\n");
        assert_eq!(inside.unfinished, Some("a cherry-pick"));
        inside.read_staged(format!("{one}\n{two} {two}\n").as_bytes());
        assert!(inside.clean && inside.staged == Some(one));
        inside.read_staged(b"");
        assert!(!inside.clean && inside.staged.is_none());
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(output: Vec<u8>) {
            let mut inside = Inside::default();
            let joined = [output.as_slice(), END.as_bytes(), &output].concat();
            for part in split(&joined) {
                inside.read_refs(part);
                inside.read_head(part);
                inside.read_stashes(part);
                inside.read_unfinished(part);
                inside.read_staged(part);
            }
        }
    }
}
