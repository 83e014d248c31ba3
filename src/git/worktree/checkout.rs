//! Writes what a merge came to into the main work tree: its files and its index. What the user has
//! there stays: whatever would be overwritten is refused before anything is written, files that git
//! ignores too. It must never run a filter, since what it would be given, and with a program in the
//! work tree the program itself, is an agent's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;

use super::{Main, lock_of};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::call::PATIENT;
use crate::git::oid::Oid;
use crate::git::outside::UNFINISHED;
use crate::host_files::links::Paths;
use crate::host_files::path::ways;
use crate::host_files::table::{self, What};
use crate::visible::{visible, visible_path};

/// What of the user's may stand in the work tree uncommitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dirt {
    /// Nothing that git tracks.
    None,
    /// Whatever is not changed.
    Elsewhere,
}

/// A file that differs between two commits or trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where, relative to the repository.
    pub path: Bytes,
    /// It was not there.
    pub new: bool,
    /// It is not there any more.
    pub gone: bool,
    /// It is a submodule now, and was none.
    pub submodule: bool,
    /// It is a symbolic link now.
    pub link: bool,
}

/// What differs.
///
/// # Errors
/// When git cannot say.
pub fn changed(main: &Main<'_>, old: &Oid, new: &Oid) -> Result<Vec<Change>> {
    let what = "compare commits";
    let call = main.call(what).limits(PATIENT);
    let call = call.args(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff"]);
    let said = call.args([old.as_str(), new.as_str()]).run()?;
    read(&said)
        .ok_or_else(|| Error::launcher(format!("cannot {what}: git's answer is not understood")))
}

/// Reads `:MODE MODE OID OID STATUS`, NUL, the path, NUL.
fn read(said: &[u8]) -> Option<Vec<Change>> {
    let mut fields = said.split(|byte| *byte == 0);
    let mut changes = Vec::new();
    while let Some(head) = fields.next().filter(|head| !head.is_empty()) {
        let mut words = head.strip_prefix(b":")?.split(|byte| *byte == b' ');
        let (old, new) = (words.next()?, words.next()?);
        let status = words.next_back()?;
        changes.push(Change {
            path: fields.next()?.into(),
            new: status == b"A",
            gone: status == b"D",
            submodule: new == b"160000" && old != b"160000",
            link: new == b"120000",
        });
    }
    Some(changes)
}

/// Refuses a new submodule where a repository stands in the main work tree: git would look into that
/// ([`crate::git::sync`]), and it may be of another agent's making.
///
/// # Errors
/// That one.
pub fn refuse_submodules(main: &Main<'_>, changes: &[Change]) -> Result<()> {
    let there = |change: &&Change| {
        let git = main.root.join(change.path.as_path()).join(".git");
        // What cannot be looked at is not said to be harmless.
        let absent = |err: io::Error| {
            matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        };
        change.submodule && !git.symlink_metadata().is_err_and(absent)
    };
    match changes.iter().find(there) {
        None => Ok(()),
        Some(change) => Err(Error::usage(format!(
            "{} would be a new submodule, and a repository stands there already",
            visible(&change.path)
        ))
        .hint("look at it, and take it away; nothing has changed")),
    }
}

/// The files among these that programs of the host execute by themselves, with who does. `led`: paths that
/// count although their names are not in the table.
pub fn executed(changes: &[Change], led: &Paths) -> Vec<(String, &'static str)> {
    let here = changes.iter().filter(|change| !change.gone);
    let of = |change: &Change| -> Option<(Vec<u8>, &'static str)> {
        let path = change.path.0.as_slice();
        let link = || Some((path, table::find(path, What::Link).filter(|_| change.link)?));
        let led = || {
            let mut units = ways(path).chain([path]);
            units.find_map(|unit| Some((unit, *led.get(&Bytes::from(unit))?)))
        };
        let (unit, entry) = table::unit(path).or_else(link).or_else(led)?;
        Some((unit.to_vec(), entry.who))
    };
    let units: BTreeMap<Vec<u8>, &'static str> = here.filter_map(of).collect();
    units.into_iter().map(|(unit, who)| (visible(unit), who)).collect()
}

/// The main work tree, which is about to change.
#[derive(Debug)]
pub struct Checkout<'m, 'h> {
    main: &'m Main<'h>,
    dirt: Dirt,
    /// The user has changes, all staged, as a merge that was killed leaves them: their tree, and the error.
    staged: Option<(Oid, Error)>,
    /// Keeps sessions out of it: an agent could put a link where git is about to write.
    _kept_out: File,
}

impl<'m, 'h> Checkout<'m, 'h> {
    /// Looks whether it may change.
    ///
    /// # Errors
    /// Usage errors: a session works in it, something is under way there, or it is not clean.
    pub fn begin(main: &'m Main<'h>, dirt: Dirt) -> Result<Self> {
        let kept_out = main.all_sessions().keep_out(&main.root.as_path().into());
        let kept_out = kept_out
            .map_err(|error| error.hint("what changes files there waits until it has ended"))?;
        let there =
            |(name, _): &&(&str, &str)| main.git_dir().join(name).symlink_metadata().is_ok();
        if let Some((_, what)) = UNFINISHED.iter().find(there) {
            let shown = visible_path(&main.root);
            return Err(Error::usage(format!("{shown} is in the middle of {what}"))
                .hint("finish it, or give it up"));
        }
        let mut checkout = Self { main, dirt, staged: None, _kept_out: kept_out };
        checkout.refresh()?;
        if dirt == Dirt::None
            && let Err(error) = checkout.refuse_dirt()?
        {
            match checkout.staged_tree()? {
                Some(tree) => checkout.staged = Some((tree, error)),
                None => return Err(error),
            }
        }
        Ok(checkout)
    }

    /// Whether the tree that is wanted is staged already: a merge that was killed has written it.
    ///
    /// # Errors
    /// Where something else is staged.
    pub fn has(&mut self, wanted: impl FnOnce() -> Result<Oid>) -> Result<bool> {
        match self.staged.take() {
            None => Ok(false),
            Some((staged, _)) if wanted()? == staged => Ok(true),
            Some((_, error)) => Err(error),
        }
    }

    /// What is staged, as a tree, if every file is as it is staged.
    fn staged_tree(&self) -> Result<Option<Oid>> {
        let call = self.main.repository().call_without_programs("look at the files")?;
        let call = call.limits(PATIENT).args(["diff-files", "--quiet", "--ignore-submodules=all"]);
        if !call.outcome()?.status.success() {
            return Ok(None);
        }
        self.main.oid(self.main.repository().call_at_work("look at the index").arg("write-tree"))
    }

    /// Has git look at the files, as it wants to before it compares them. That some differ is no failure.
    fn refresh(&self) -> Result<()> {
        let call = self.main.repository().call_without_programs("look at the files")?;
        call.limits(PATIENT)
            .outlives_us(lock_of(self.main.git_dir())?.as_fd())?
            .args(["update-index", "-q", "--ignore-submodules", "--refresh"])
            .outcome()
            .map(drop)
    }

    /// The error, if files that git tracks are not as they are committed.
    fn refuse_dirt(&self) -> Result<Result<()>> {
        const MOST: usize = 5;
        let call = self.main.repository().call_without_programs("look at the files")?;
        let said = call
            .limits(PATIENT)
            .args(["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no"])
            .arg("--ignore-submodules=all")
            .run()?;
        let all: Vec<&[u8]> = said.split(|byte| *byte == 0).filter(|it| it.len() > 3).collect();
        if all.is_empty() {
            return Ok(Ok(()));
        }
        let mut names: Vec<String> =
            all.iter().take(MOST).map(|line| visible(&line[3..])).collect();
        if all.len() > MOST {
            names.push(format!("and {} more", all.len() - MOST));
        }
        let shown = visible_path(&self.main.root);
        Ok(Err(Error::usage(format!(
            "{shown} has changes that are not committed: {}; nothing has changed",
            names.join(", ")
        ))
        .hint("commit them or `git stash` them; or merge into a branch that is not checked out: --into BRANCH")))
    }

    /// Changes files and index from one commit or tree to another. `changes` is what differs.
    ///
    /// # Errors
    /// Where something of the user's would be overwritten, or a filter would have to run. Nothing has
    /// changed then.
    pub fn write(&self, old: &Oid, new: &Oid, changes: &[Change]) -> Result<()> {
        self.refuse_what_stands_there(changes)?;
        self.refuse_filters(new, changes)?;
        let what = "change the files";
        let call = self.main.repository().call_without_programs(what)?.limits(PATIENT);
        let call = call.outlives_us(lock_of(self.main.git_dir())?.as_fd())?;
        let outcome = call.args(["read-tree", "-m", "-u", old.as_str(), new.as_str()]).outcome()?;
        if outcome.status.success() {
            return Ok(());
        }
        let error = outcome.refusal(what);
        let error = Error::usage(format!("{error}; nothing has changed"));
        Err(match self.dirt {
            Dirt::None => error,
            Dirt::Elsewhere => error.hint("commit what you have in these files, or `git stash` it"),
        })
    }

    /// A new file must not take the place of one that git does not track: git itself overwrites what it
    /// ignores.
    fn refuse_what_stands_there(&self, changes: &[Change]) -> Result<()> {
        let gone: BTreeSet<&[u8]> =
            changes.iter().filter(|it| it.gone).map(|it| it.path.0.as_slice()).collect();
        for change in changes.iter().filter(|change| change.new) {
            let path = change.path.0.as_slice();
            let at = |path: &[u8]| self.main.root.join(OsStr::from_bytes(path)).symlink_metadata();
            let in_the_way = ways(path)
                .find(|way| !gone.contains(way) && at(way).is_ok_and(|found| !found.is_dir()));
            let blocked = match (in_the_way, at(path)) {
                (Some(way), _) => Some(way.to_vec()),
                // In a directory there may be what git is going to delete.
                (None, Ok(found)) if found.is_dir() && !change.submodule => {
                    self.untracked_in(path)?
                }
                (None, Ok(found)) if found.is_dir() => None,
                // Staged by the user: git compares that itself.
                (None, Ok(_)) if self.is_tracked(path)? => None,
                (None, Ok(_)) => Some(path.to_vec()),
                (None, Err(_)) => None,
            };
            if let Some(blocked) = blocked {
                return Err(Error::usage(format!(
                    "{} would be overwritten, and git does not track it; nothing has changed",
                    visible_path(&self.main.root.join(OsStr::from_bytes(&blocked)))
                ))
                .hint("move it away, then try again"));
            }
        }
        Ok(())
    }

    fn is_tracked(&self, path: &[u8]) -> Result<bool> {
        let word = [b":(top,literal)", path].concat();
        let call = self.main.repository().call_at_work("look at the index");
        let call = call.args(["ls-files", "-z", "--"]).arg(OsStr::from_bytes(&word));
        Ok(!call.run()?.is_empty())
    }

    /// A file in this directory that git does not track.
    fn untracked_in(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let word = [b":(top,literal)", path].concat();
        let call = self.main.repository().call_at_work("look at the files").limits(PATIENT);
        let said =
            call.args(["ls-files", "--others", "-z", "--"]).arg(OsStr::from_bytes(&word)).run()?;
        Ok(said.split(|byte| *byte == 0).find(|path| !path.is_empty()).map(<[u8]>::to_vec))
    }

    /// What a filter would have to write cannot be written without it.
    fn refuse_filters(&self, new: &Oid, changes: &[Change]) -> Result<()> {
        let configured = |name: &[u8]| {
            let settings = &self.main.survey.main.settings;
            settings
                .iter()
                .any(|it| it.section == b"filter" && it.subsection.as_deref() == Some(name))
        };
        if !self.main.survey.main.settings.iter().any(|it| it.section == b"filter") {
            return Ok(());
        }
        let found = self.filtered(new, changes)?;
        let found = found.into_iter().find(|(_, filter)| configured(filter));
        match found {
            None => Ok(()),
            Some((path, filter)) => Err(Error::usage(format!(
                "{} is written by the filter {}, and no program runs over what an agent wrote; nothing has changed",
                visible(&path),
                visible(&filter)
            ))
            .hint("look at it, then by hand: git merge BRANCH")
            .hint("or into a branch that is not checked out: --into BRANCH")),
        }
    }

    /// The changed files with a filter, by the attributes of the new commit (gitattributes(5)).
    fn filtered(&self, new: &Oid, changes: &[Change]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let apart = tempfile::tempdir_in(self.main.host.dirs.state.as_path());
        let apart = apart.tried(|| "make room for an index")?;
        let index = apart.path().join("index");
        let call = |what| {
            let call = self.main.repository().call_without_programs(what)?.limits(PATIENT);
            Result::Ok(call.config("core.splitIndex", "false").env("GIT_INDEX_FILE", &index))
        };
        call("look for filters")?.args(["read-tree", new.as_str()]).run()?;
        let mut input = Vec::new();
        for change in changes.iter().filter(|change| !change.gone) {
            input.extend_from_slice(&change.path.0);
            input.push(0);
        }
        let call =
            call("look for filters")?.args(["check-attr", "--cached", "-z", "--stdin", "filter"]);
        let said = call.input(input).run()?;
        let fields: Vec<&[u8]> = said.split(|byte| *byte == 0).collect();
        let of_three = fields.chunks_exact(3);
        Ok(of_three.map(|three| (three[0].to_vec(), three[2].to_vec())).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn differences_are_read() {
        let said =
            b":000000 100644 0 1 A\0a\n\0:100644 000000 1 0 D\0b\0:100644 160000 1 2 T\0c/d\0";
        let changes = read(said).unwrap();
        assert_eq!(changes[0].path, Bytes::from("a\n"));
        assert!(changes[0].new && changes[1].gone && changes[2].submodule);
        assert_eq!(changes.len(), 3);
        assert_eq!(read(b"x\0y\0"), None);
        assert_eq!(read(b""), Some(vec![]));
    }

    #[test]
    fn what_is_executed_is_named_once() {
        let said = b":000000 100644 0 1 A\0.vscode/tasks.json\0:000000 100644 0 1 A\0.vscode/x\0\
            :000000 100644 0 1 A\0a/.envrc\0:100644 000000 1 0 D\0.envrc\0\
            :000000 120000 0 1 A\0b/.claude\0:000000 100644 0 1 A\0src/main.rs\0";
        let found = executed(&read(said).unwrap(), &Paths::new());
        let found: Vec<String> = found.into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, [".vscode", "a/.envrc", "b/.claude"]);
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(said: Vec<u8>) {
            let _ = read(&said);
        }
    }
}
