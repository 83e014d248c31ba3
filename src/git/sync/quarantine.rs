//! A throw-away repository beside the private directory, into which the agent's objects come first.
//! It borrows the host's objects and knows the host's refs, so that only what is new is sent. Here git
//! checks them (fsck, connectedness, size), and here it is looked for new submodules; what is refused
//! leaves nothing behind in the host's repository. It must never share a file that git writes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Tried as _};
use crate::git::boxed::{Boxed, GIT_DIR};
use crate::git::call::{Call, Limits};
use crate::git::limits::Size;
use crate::git::oid::Oid;
use crate::git::record::Record;
use crate::visible::visible_path;

/// Where the refs of the host's repository are, for git to know what is there.
const KNOWN: &str = "refs/known/";
/// Where what comes is.
const COME: &str = "refs/come/";

/// How often it is tried again to take over a part, where the whole was refused.
const TRIES: usize = 48;

/// What fsck says of an object, and whether it is refused for it. In the work of a person there may be
/// what is merely old; what could only have been made to deceive a git is refused.
const CHECKS: [(&str, &str); 24] = [
    ("hasDotgit", "error"),
    ("hasDot", "error"),
    ("hasDotdot", "error"),
    ("fullPathname", "error"),
    ("emptyName", "error"),
    ("nullSha1", "error"),
    ("gitmodulesSymlink", "error"),
    ("gitattributesSymlink", "error"),
    ("gitignoreSymlink", "error"),
    ("mailmapSymlink", "error"),
    ("symlinkPointsToGitDir", "error"),
    ("gitmodulesUpdate", "error"),
    ("gitmodulesUrl", "error"),
    ("gitmodulesPath", "error"),
    ("gitmodulesName", "error"),
    ("gitmodulesBlob", "error"),
    ("gitmodulesLarge", "error"),
    ("zeroPaddedFilemode", "warn"),
    ("badTimezone", "warn"),
    ("badDate", "warn"),
    ("badDateOverflow", "warn"),
    ("missingSpaceBeforeDate", "warn"),
    ("missingSpaceBeforeEmail", "warn"),
    ("badEmail", "warn"),
];

/// The tree of no entry, which git knows without having it.
const EMPTY_TREES: [(&str, &str); 2] = [
    ("sha1", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    ("sha256", "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"),
];

/// The repository; it is removed when this is dropped.
#[derive(Debug)]
pub struct Quarantine<'a> {
    record: &'a Record,
    path: PathBuf,
    size: Size,
}

impl<'a> Quarantine<'a> {
    /// Makes it in `scratch`, for objects that come to the repository of this record, whose refs have
    /// these values.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make<'o>(
        record: &'a Record,
        scratch: &Path,
        known: impl IntoIterator<Item = &'o Oid>,
        size: Size,
    ) -> Result<Self> {
        let path = scratch.join("quarantine");
        let shown = || format!("make the repository {}", visible_path(&path));
        remove(&path).tried(shown)?;
        let made = Self { record, path: path.clone(), size };
        made.fill(known).tried(shown)?;
        Ok(made)
    }

    fn fill<'o>(&self, known: impl IntoIterator<Item = &'o Oid>) -> io::Result<()> {
        let at = |name: &str| self.path.join(name);
        fs::create_dir_all(at("objects/info"))?;
        fs::create_dir(at("refs"))?;
        fs::write(at("HEAD"), "ref: refs/heads/none\n")?;
        let format = &self.record.object_format;
        fs::write(
            at("config"),
            format!(
                "[core]\n\trepositoryformatversion = 1\n\tbare = true\n\
                 [extensions]\n\tobjectFormat = {format}\n"
            ),
        )?;
        let mut stores = Vec::new();
        for store in &self.record.objects {
            let path = store.host.as_os_str().as_bytes();
            if path.contains(&b'\n') || !path.starts_with(b"/") {
                return Err(io::Error::other("git takes no object directory of that name"));
            }
            stores.extend_from_slice(path);
            stores.push(b'\n');
        }
        fs::write(at("objects/info/alternates"), stores)?;
        let known: BTreeSet<&Oid> = known.into_iter().collect();
        let line = |(number, oid): (usize, &&Oid)| format!("{oid} {KNOWN}{number}\n");
        let refs: String = known.iter().enumerate().map(line).collect();
        fs::write(at("packed-refs"), refs)?;
        match fs::copy(common(self.record.git_dir.as_path()).join("shallow"), at("shallow")) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }

    fn call(&self, what: &str) -> Call {
        Call::new(self.record.program.as_path(), what)
            .git_dir(&self.path)
            .limits(Limits { time: self.size.time, ..Limits::default() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name under which the object of this number is here.
    pub fn name(number: usize) -> String {
        format!("{COME}{number}")
    }

    /// Takes over what these lead to, each under its number. Answers with what was refused, and in
    /// which words. Where the whole is refused its parts are tried.
    ///
    /// # Errors
    /// When there can be no box.
    pub fn take(&self, boxed: &Boxed<'_>, tips: &[Oid]) -> Result<BTreeMap<Oid, String>> {
        let upload_pack = boxed.upload_pack()?;
        let mut refused = BTreeMap::new();
        let mut parts = vec![tips.iter().enumerate().collect::<Vec<_>>()];
        let mut tries = 0;
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            tries += 1;
            let Err(words) = self.fetch(&upload_pack, &part) else { continue };
            if part.len() > 1 && tries < TRIES {
                let (one, other) = part.split_at(part.len() / 2);
                parts.extend([other.to_vec(), one.to_vec()]);
            } else {
                refused.extend(part.iter().map(|(_, oid)| ((*oid).clone(), words.clone())));
            }
        }
        Ok(refused)
    }

    fn fetch(
        &self,
        upload_pack: &OsString,
        tips: &[(usize, &Oid)],
    ) -> std::result::Result<(), String> {
        let mut call = self.call("take over the agent's objects");
        for (check, severity) in CHECKS {
            call = call.config(format!("fetch.fsck.{check}"), severity);
        }
        let line = |(number, oid): &(usize, &Oid)| format!("+{oid}:{}\n", Self::name(*number));
        let wanted: Vec<String> = tips.iter().map(line).collect();
        let call = call
            .starts_a_box()
            .config("fetch.fsckObjects", "true")
            .fetches()
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"])
            .args(["--no-recurse-submodules", "--no-auto-maintenance", "--stdin", "--upload-pack"])
            .arg(upload_pack)
            .arg(GIT_DIR)
            .input(wanted.concat())
            .limits(Limits {
                time: self.size.time,
                file_size: Some(self.size.file),
                memory: Some(self.size.memory),
                ..Limits::default()
            });
        let outcome = match call.outcome() {
            Ok(outcome) => outcome,
            // It took too long, which is no reason to have it do half as much again.
            Err(error) => return Err(error.to_string()),
        };
        let words = || match outcome.words.as_str() {
            "" => format!("git was ended by {}", outcome.status),
            words => words.to_owned(),
        };
        if outcome.status.success() { Ok(()) } else { Err(words()) }
    }

    /// For each of these objects, which are here, the path of a submodule that it brings: that is in
    /// its tree, or in that of a commit which is new with it, and not in the tree of `base`. `known`
    /// says which paths are submodules already.
    ///
    /// # Errors
    /// When git says no.
    pub fn new_submodules(
        &self,
        tips: &BTreeSet<Oid>,
        base: Option<&Oid>,
        known: &dyn Fn(&[u8]) -> bool,
    ) -> Result<BTreeMap<Oid, Vec<u8>>> {
        let mut trees: BTreeMap<&Oid, BTreeSet<Oid>> = BTreeMap::new();
        let asked: BTreeSet<Oid> = tips.iter().chain(base).cloned().collect();
        let own = self.trees_of(&asked)?;
        let base = base.and_then(|base| own.get(base).cloned());
        let base = base.or_else(|| self.empty_tree()).ok_or_else(|| not_understood("a tree"))?;
        let mut all: BTreeSet<Oid> = own.values().cloned().collect();
        all.extend(self.new_trees(&["--glob=refs/come/*".into()])?);
        let found = self.submodules_in(&all, &base, known)?;
        let mut brought = BTreeMap::new();
        if found.is_empty() {
            return Ok(brought);
        }
        for tip in tips {
            let new = trees.entry(tip).or_default();
            new.extend(own.get(tip).cloned());
            if own.contains_key(tip) {
                new.extend(self.new_trees(&[tip.as_str().into()])?);
            }
            if let Some(path) = new.iter().find_map(|tree| found.get(tree)) {
                brought.insert(tip.clone(), path.clone());
            }
        }
        Ok(brought)
    }

    fn empty_tree(&self) -> Option<Oid> {
        let format = &self.record.object_format;
        let (_, oid) = EMPTY_TREES.iter().find(|(name, _)| name == format)?;
        Oid::parse(oid.as_bytes())
    }

    /// The trees that these lead to; a blob leads to none.
    fn trees_of(&self, objects: &BTreeSet<Oid>) -> Result<BTreeMap<Oid, Oid>> {
        let what = "look at the agent's commits";
        let input: Vec<String> = objects.iter().map(|oid| format!("{oid}^{{tree}}\n")).collect();
        let said = self
            .call(what)
            .args(["cat-file", "--batch-check=%(objectname)"])
            .input(input.concat())
            .run()?;
        let lines = said.split(|byte| *byte == b'\n');
        let pairs = objects.iter().zip(lines);
        Ok(pairs.filter_map(|(oid, line)| Some((oid.clone(), Oid::parse(line)?))).collect())
    }

    /// The trees of the commits that are new with these.
    fn new_trees(&self, tips: &[String]) -> Result<BTreeSet<Oid>> {
        let said = self
            .call("look at the agent's commits")
            .args(["rev-list", "--format=%T"])
            .args(tips)
            .args(["--not", "--glob=refs/known/*"])
            .run()?;
        Ok(said.split(|byte| *byte == b'\n').filter_map(Oid::parse).collect())
    }

    /// Which of these trees have a submodule that `base` has not; one path each.
    fn submodules_in(
        &self,
        trees: &BTreeSet<Oid>,
        base: &Oid,
        known: &dyn Fn(&[u8]) -> bool,
    ) -> Result<BTreeMap<Oid, Vec<u8>>> {
        let pairs: Vec<String> = trees
            .iter()
            .filter(|tree| *tree != base)
            .map(|tree| format!("{base} {tree}\n"))
            .collect();
        let said = self
            .call("look for submodules in the agent's commits")
            .args(["diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff"])
            .input(pairs.concat())
            .run()?;
        read_submodules(&said, known).ok_or_else(|| not_understood("a difference"))
    }
}

impl Drop for Quarantine<'_> {
    fn drop(&mut self) {
        // What stays is removed before the next.
        let _ = remove(&self.path);
    }
}

/// The repository of a linked worktree, or the repository itself (gitrepository-layout(5), `commondir`).
pub(super) fn common(git_dir: &Path) -> PathBuf {
    let said = fs::read(git_dir.join("commondir")).unwrap_or_default();
    let way: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(said.trim_ascii_end());
    git_dir.join(way)
}

fn not_understood(what: &str) -> Error {
    Error::launcher(format!(
        "cannot look at the agent's commits: git's answer on {what} is not understood"
    ))
}

/// Claudebox's own directory, in which nobody else writes.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

/// Reads what `git diff-tree --stdin -r -z --raw` says of pairs of trees: `TREE TREE` and a newline,
/// then for each difference `:MODE MODE OID OID STATUS`, NUL, the path, NUL.
fn read_submodules(said: &[u8], known: &dyn Fn(&[u8]) -> bool) -> Option<BTreeMap<Oid, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut tree = None;
    let mut rest = said;
    while !rest.is_empty() {
        if let Some(record) = rest.strip_prefix(b":") {
            let (modes, behind) = split_at(record, 0)?;
            let (path, behind) = split_at(behind, 0)?;
            rest = behind;
            let mut modes = modes.split(|byte| *byte == b' ');
            let (old, new) = (modes.next()?, modes.next()?);
            if new == b"160000" && old != b"160000" && !known(path) {
                found.entry(Oid::clone(tree.as_ref()?)).or_insert_with(|| path.to_vec());
            }
        } else {
            let (pair, behind) = split_at(rest, b'\n')?;
            rest = behind;
            tree = Some(Oid::parse(pair.rsplit(|byte| *byte == b' ').next()?)?);
        }
    }
    Some(found)
}

fn split_at(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == end)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn new_submodules_are_found_by_their_tree() {
        let [one, two, three] = ["1", "2", "3"].map(|digit| digit.repeat(40));
        let said = format!(
            "{one} {two}\n:000000 100644 {one} {two} A\0a\nb\0:160000 160000 {one} {two} M\0old\0\
             {one} {three}\n:000000 160000 {one} {two} A\0x/s\0:100644 160000 {one} {two} T\0y\0\
             {one} {two}\n:000000 160000 {one} {two} A\0known\0"
        );
        let found = read_submodules(said.as_bytes(), &|path| path == b"known").unwrap();
        let three = Oid::parse(three.as_bytes()).unwrap();
        assert_eq!(found, BTreeMap::from([(three, b"x/s".to_vec())]));
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(said: Vec<u8>) {
            let _ = read_submodules(&said, &|_| false);
        }
    }
}
