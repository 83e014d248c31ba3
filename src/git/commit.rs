//! Commits that claudebox makes on the host, of trees that are there: a merge, a commit in another
//! place, a commit that is signed. The words in them are an agent's and reach git by its standard
//! input and its environment. It must never take a signing program from the repository's own
//! configuration, which may be a stranger's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::call::{Call, Limits, PATIENT};
use super::oid::Oid;
use super::outside::Repository;
use super::private::setting::Setting;
use crate::error::{Error, Result};
use crate::visible::visible;

/// How long a signature may take: somebody may have to find a passphrase, or touch a key.
const SIGNING: Limits = Limits { time: Duration::from_secs(180), ..Limits::USUAL };

/// What a commit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its tree.
    pub tree: Oid,
    /// Its parents.
    pub parents: Vec<Oid>,
    /// Who wrote it, and when; `None` for the user, now.
    pub author: Option<Author>,
    /// In which encoding the message is, where it is not UTF-8.
    pub encoding: Option<Vec<u8>>,
    /// The message.
    pub message: Vec<u8>,
}

/// Who wrote a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: Vec<u8>,
    /// The address.
    pub email: Vec<u8>,
    /// Seconds since 1970 and the time zone, as git writes them.
    pub date: Vec<u8>,
}

impl Commit {
    /// Reads a commit as git keeps it; `None` where it is none.
    pub fn parse(object: &[u8]) -> Option<Self> {
        let end = object.windows(2).position(|pair| pair == b"\n\n");
        let (head, message) = match end {
            Some(at) => (&object[..at], &object[at + 2..]),
            None => (object, &b""[..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let tree = Oid::parse(lines.next()?.strip_prefix(b"tree ")?)?;
        let mut commit = Self {
            tree,
            parents: Vec::new(),
            author: None,
            encoding: None,
            message: message.to_vec(),
        };
        for line in lines {
            if let Some(parent) = line.strip_prefix(b"parent ") {
                commit.parents.push(Oid::parse(parent)?);
            } else if let Some(author) = line.strip_prefix(b"author ")
                && commit.author.is_none()
            {
                commit.author = Some(Author::parse(author)?);
            } else if let Some(encoding) = line.strip_prefix(b"encoding ") {
                commit.encoding = Some(encoding.to_vec());
            }
        }
        Some(commit)
    }

    /// The first line of the message.
    pub fn subject(&self) -> &[u8] {
        self.message.split(|byte| *byte == b'\n').next().unwrap_or_default()
    }
}

impl Author {
    fn parse(line: &[u8]) -> Option<Self> {
        let close = line.iter().rposition(|byte| *byte == b'>')?;
        let open = line[..close].iter().position(|byte| *byte == b'<')?;
        let name = line[..open].trim_ascii();
        // Git takes no name that is empty.
        let name = if name.is_empty() { b"unknown" } else { name };
        let (email, date) = (&line[open + 1..close], line[close + 1..].trim_ascii());
        Some(Self { name: name.to_vec(), email: email.to_vec(), date: date.to_vec() })
    }
}

/// Reads commits that are there.
///
/// # Errors
/// When git cannot, or one is no commit.
pub fn read(repository: &Repository<'_>, commits: &[Oid]) -> Result<Vec<Commit>> {
    let what = "read commits";
    let input: Vec<&str> = commits.iter().flat_map(|oid| [oid.as_str(), "\n"]).collect();
    let said = repository.call(what).args(["cat-file", "--batch"]).input(input.concat()).run()?;
    batch(&said, commits.len())
        .ok_or_else(|| Error::launcher(format!("cannot {what}: git's answer is not understood")))
}

/// What `git cat-file --batch` says of so many commits: `OID commit SIZE`, a newline, the object, a newline.
fn batch(said: &[u8], count: usize) -> Option<Vec<Commit>> {
    let mut found = Vec::new();
    let mut rest = said;
    for _ in 0..count {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let mut words = rest[..end].split(|byte| *byte == b' ');
        let (_, kind, size) = (words.next()?, words.next()?, words.next()?);
        let size: usize = std::str::from_utf8(size).ok()?.parse().ok()?;
        let object = rest.get(end + 1..)?.get(..size)?;
        if kind != b"commit" {
            return None;
        }
        found.push(Commit::parse(object)?);
        rest = rest.get(end + 1..)?.get(size + 1..)?;
    }
    Some(found)
}

/// Makes a commit, and signs it where that is asked for.
///
/// # Errors
/// When git says no: nobody has said who the user is, or there is no key.
pub fn make(repository: &Repository<'_>, commit: &Commit, sign: bool) -> Result<Oid> {
    make_with(repository, commit, sign, |call| call)
}

/// The same, by a call that is given more to know.
///
/// # Errors
/// As of [`make`].
pub fn make_with(
    repository: &Repository<'_>,
    commit: &Commit,
    sign: bool,
    with: impl FnOnce(Call) -> Call,
) -> Result<Oid> {
    let what = if sign { "make a signed commit" } else { "make a commit" };
    let mut call = with(repository.call(what).as_the_user()).arg("commit-tree");
    if sign {
        call = call.signs().limits(SIGNING).arg("-S");
    } else {
        call = call.limits(PATIENT);
    }
    if let Some(Author { name, email, date }) = &commit.author {
        for (variable, value) in [
            ("GIT_AUTHOR_NAME", name.clone()),
            ("GIT_AUTHOR_EMAIL", email.clone()),
            ("GIT_AUTHOR_DATE", [b"@", date.as_slice()].concat()),
        ] {
            call = call.env(variable, OsStr::from_bytes(&value));
        }
    }
    // What stands in the message stays, whatever the user writes in.
    let encoding = commit.encoding.as_deref().unwrap_or(b"UTF-8");
    call = call.config("i18n.commitEncoding", OsStr::from_bytes(encoding));
    for parent in &commit.parents {
        call = call.args(["-p", parent.as_str()]);
    }
    let said = call.args(["-F", "-", commit.tree.as_str()]).input(commit.message.clone()).run();
    let said = said.map_err(|error| if sign { hint(error) } else { error })?;
    Oid::parse(said.trim_ascii_end())
        .ok_or_else(|| Error::launcher(format!("cannot {what}: git's answer is not understood")))
}

fn hint(error: Error) -> Error {
    error
        .hint("git signs with your key: git config --global user.signingKey KEY, and gpg.format ssh for one of ssh")
        .hint("a key with a passphrase is best in its agent: ssh-add, or gpg-agent")
}

/// Refuses to sign where the repository's own configuration says with which program: only the user's
/// own may.
///
/// # Errors
/// That one.
pub fn may_sign(settings: &[Setting]) -> Result<()> {
    let program = |it: &&Setting| {
        it.section == b"gpg" && matches!(it.name.as_slice(), b"program" | b"defaultkeycommand")
    };
    match settings.iter().filter(|it| it.is_local()).find(program) {
        None => Ok(()),
        Some(setting) => Err(Error::usage(format!(
            "--sign: the repository's own configuration names the program that would sign ({})",
            visible(setting.key())
        ))
        .hint("move it to your own configuration if you trust it: git config --global ...")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::private::setting::tests::local;
    use super::*;

    const OBJECT: &str = "tree 1111111111111111111111111111111111111111\n\
        parent 2222222222222222222222222222222222222222\n\
        author A <B> C <a@x> 12 +0100\ncommitter D <d@x> 13 +0000\nencoding latin1\n\
        gpgsig -----BEGIN\n author no <no@x> 1 +0000\n -----END\n\nsubject\n\nauthor no\n";

    #[test]
    fn a_commit_is_read() {
        let commit = Commit::parse(OBJECT.as_bytes()).unwrap();
        assert_eq!(commit.parents.len(), 1);
        let author = commit.author.clone().unwrap();
        assert_eq!(author.date, b"12 +0100");
        assert_eq!(commit.encoding.as_deref(), Some(&b"latin1"[..]));
        assert_eq!(commit.subject(), b"subject");
        assert_eq!(commit.message, b"subject\n\nauthor no\n");
        let said = format!("{} commit {}\n{OBJECT}\n", "3".repeat(40), OBJECT.len());
        assert_eq!(batch(said.repeat(2).as_bytes(), 2).unwrap(), [commit.clone(), commit]);
        assert_eq!(batch(said.as_bytes(), 2), None);
        assert_eq!(Author::parse(b" <a@x> 1 +0000").unwrap().name, b"unknown");
    }

    #[test]
    fn a_program_of_the_repositorys_own_signs_nothing() {
        for key in ["gpg.program", "gpg.ssh.program", "gpg.ssh.defaultkeycommand"] {
            assert!(may_sign(&[local(key, "x")]).is_err(), "{key}");
        }
        may_sign(&[local("gpg.format", "ssh"), local("user.signingkey", "x")]).unwrap();
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(said: Vec<u8>) {
            let _ = batch(&said, 3);
            let _ = Commit::parse(&said);
            let _ = Author::parse(&said);
        }
    }
}
