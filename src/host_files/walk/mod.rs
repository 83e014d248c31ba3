//! The look through a project, at the start and at the end. An agent wrote these directories: no link
//! is followed, a closed directory is opened for the moment of looking, and time, memory and number
//! are bounded. What could not be looked at is counted, so that nothing is taken for seen that was not.
#![forbid(unsafe_code)]

mod item;
mod signs;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, RawDir, fstat, statat};
use rustix::io::Errno;

use self::item::{born, ctime, item};
use self::signs::Signs;
use self::waiting::{InGit, Probe, Queue, Waiting};
use super::beneath::Beneath;
use super::path::{join, name as last_name, parent};
use super::survey::{Kind, Survey};
use super::table::{self, BARE, Entry, GIT_LINK, NESTED, What};
use crate::bytes::Bytes;

pub use self::waiting::Limits;

/// The most that is found. Who plants more is told of as not looked at.
const MOST_ITEMS: usize = 50_000;
/// What is to be looked at.
pub struct Look<'a> {
    /// How much it may cost.
    pub limits: Limits,
    /// `.git` in the project itself is its repository and no nested one.
    pub own_git: bool,
    /// Directories of installed packages too.
    pub packages: bool,
    /// Paths that count although their names are not in the table.
    pub extra: &'a BTreeMap<Bytes, &'static Entry>,
    /// Whether to look into a directory of the table, or below one.
    pub into: &'a dyn Fn(&[u8]) -> bool,
}

/// Where git writes in its directory, below which links count too.
const WRITTEN: [&[u8]; 3] = [b"refs", b"logs", b"objects"];

/// Looks through a directory.
///
/// # Errors
/// When the directory itself cannot be opened.
pub fn walk(root: &Path, look: &Look<'_>) -> io::Result<Survey> {
    let mut walk = Walk {
        beneath: Beneath::open(root)?,
        look,
        survey: Survey::default(),
        queue: Queue::new(look.limits),
        extra_names: look.extra.keys().map(|path| last_name(&path.0)).collect(),
    };
    let (path, probe) = (Vec::new(), Probe::No);
    walk.wait(Waiting { path, inside: None, git: InGit::No, package: false, probe });
    walk.all();
    Ok(walk.survey)
}

struct Walk<'a> {
    beneath: Beneath,
    look: &'a Look<'a>,
    survey: Survey,
    queue: Queue,
    /// The last names of [`Look::extra`].
    extra_names: HashSet<&'a [u8]>,
}

impl Walk<'_> {
    fn all(&mut self) {
        let mut buffer = Vec::with_capacity(32 << 10);
        while let Some(next) = self.queue.next() {
            let Ok(next) = next else {
                self.survey.unseen += 1;
                continue;
            };
            match self.directory(&next, buffer.spare_capacity_mut()) {
                // It is gone, or something else by now: there is nothing to see.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(_) => self.survey.unseen += 1,
            }
        }
    }

    fn wait(&mut self, directory: Waiting) {
        if self.queue.push(directory).is_err() {
            self.survey.unseen += 1;
        }
    }

    fn directory(&mut self, at: &Waiting, buffer: &mut [MaybeUninit<u8>]) -> Result<(), Errno> {
        let fd = self.beneath.directory(&at.path)?;
        let mut signs = Signs::default();
        let mut entries = RawDir::new(&fd, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            self.queue.count_entry();
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                },
                known => known,
            };
            if at.probe != Probe::No && kind == FileType::Directory {
                self.probe(at, &fd, name);
            }
            if at.probe == Probe::Only {
                continue;
            }
            signs.note(name);
            self.entry(at, &fd, name, kind);
        }
        if at.inside.is_none() && at.git == InGit::No && signs.bare() {
            self.bare(at, &fd);
        }
        Ok(())
    }

    fn entry(&mut self, at: &Waiting, fd: &OwnedFd, name: &[u8], kind: FileType) {
        let what = match kind {
            FileType::Directory => What::Directory,
            FileType::Symlink => What::Link,
            _ => What::File,
        };
        if at.git == InGit::Written {
            return self.written(at, fd, name, what);
        }
        // Most names are neither a directory nor in the table: they cost no memory.
        if what == What::File
            && at.inside.is_none()
            && !table::may_match(name)
            && !self.may_be_extra(name)
        {
            return;
        }
        let path = join(&at.path, name);
        let entry = self.unit(&path, what);
        // What a link from elsewhere leads to is no package's own.
        let package = at.package && !self.look.extra.contains_key(&Bytes::from(&*path));
        let inside = at.inside.or(entry);
        let own = self.look.own_git && path == b".git" && what == What::Directory;
        let link = at.git == InGit::Own && what == What::Link;
        if let Some(entry) = inside.filter(|_| !own).or_else(|| link.then_some(&GIT_LINK)) {
            self.add(&path, entry, (at.inside.is_none(), package), (fd, name));
        }
        if what != What::Directory {
            return;
        }
        let package = package || table::holds_packages(name);
        let on_the_way = self.is_on_the_way(&path);
        let git = match inside {
            _ if own => InGit::Own,
            Some(entry) if *entry == NESTED => InGit::Yes,
            None if at.git == InGit::Own && WRITTEN.contains(&name) => InGit::Written,
            None if at.git != InGit::No && on_the_way => InGit::Yes,
            _ => InGit::No,
        };
        let enter = match inside {
            Some(_) if git == InGit::No => (self.look.into)(&path),
            Some(_) => true,
            None if git == InGit::Written || on_the_way => true,
            None => at.git == InGit::No && (self.look.packages || !package),
        };
        let probe = match inside.is_none() && git == InGit::No && self.probes(at, name) {
            false => Probe::No,
            true if enter => Probe::Too,
            true => Probe::Only,
        };
        if enter || probe == Probe::Only {
            let inside = inside.filter(|_| git == InGit::No);
            self.wait(Waiting { path, inside, git, package, probe });
        }
    }

    /// Whether a directory holds packages that are not looked at: `node_modules`, and `@scope` in it.
    fn probes(&self, at: &Waiting, name: &[u8]) -> bool {
        let scope = at.probe != Probe::No && name.starts_with(b"@");
        !self.look.packages && (scope || (!at.package && table::holds_packages(name)))
    }

    /// Who works on a package keeps its repository in it: what that names counts from the start.
    fn probe(&mut self, at: &Waiting, fd: &OwnedFd, name: &[u8]) {
        if at.probe == Probe::Only && name.starts_with(b"@") {
            let (path, package, probe) = (join(&at.path, name), true, Probe::Only);
            return self.wait(Waiting { path, inside: None, git: InGit::No, package, probe });
        }
        if statat(fd, join(name, b".git"), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            self.survey.packages.push(Bytes(join(&at.path, name)));
        }
    }

    /// What is below `refs`, `logs` or `objects` of the project's own repository. Objects are made new, so
    /// that only the directories for them count.
    fn written(&mut self, at: &Waiting, fd: &OwnedFd, name: &[u8], what: What) {
        let path = join(&at.path, name);
        // A link of the project leads to it.
        let target = self.look.extra.get(&Bytes::from(&*path)).filter(|_| what != What::Link);
        if let Some(entry) = target.copied() {
            self.found(&path, entry, at, (fd, name));
            if what == What::Directory && (self.look.into)(&path) {
                let (inside, git, package) = (Some(entry), InGit::No, at.package);
                self.wait(Waiting { path, inside, git, package, probe: Probe::No });
            }
            return;
        }
        let objects = at.path == b".git/objects" && name != b"info";
        match what {
            What::Link => self.found(&path, &GIT_LINK, at, (fd, name)),
            What::Directory if !objects || self.is_on_the_way(&path) => {
                let (git, package) = (InGit::Written, at.package);
                self.wait(Waiting { path, inside: None, git, package, probe: Probe::No });
            }
            What::Directory | What::File => {}
        }
    }

    /// Whether the name is the last of a path that counts although it is not in the table.
    fn may_be_extra(&self, name: &[u8]) -> bool {
        self.extra_names.contains(name)
    }

    /// Whether a path that counts although it is not in the table is below this one.
    fn is_on_the_way(&self, path: &[u8]) -> bool {
        let first = Bytes([path, b"/"].concat());
        let next = self.look.extra.range(first.clone()..).next();
        next.is_some_and(|(extra, _)| extra.0.starts_with(&first.0))
    }

    /// The entry of this path itself.
    fn unit(&self, path: &[u8], what: What) -> Option<&'static Entry> {
        let extra = || self.look.extra.get(&Bytes::from(path)).copied();
        table::find(path, what).or_else(extra)
    }

    fn found(&mut self, path: &[u8], entry: &'static Entry, at: &Waiting, file: (&OwnedFd, &[u8])) {
        self.add(path, entry, (at.inside.is_none(), at.package), file);
    }

    fn add(
        &mut self,
        path: &[u8],
        entry: &'static Entry,
        (unit, package): (bool, bool),
        file: (&OwnedFd, &[u8]),
    ) {
        let look = || statat(file.0, file.1, AtFlags::SYMLINK_NOFOLLOW);
        let stat = match look() {
            // A directory that can only be read tells names, and nothing of what they are.
            Err(Errno::ACCESS) => self.beneath.unlock(parent(path)).and_then(|()| look()),
            other => other,
        };
        let stat = match stat {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return,
            Err(_) => {
                self.survey.unseen += 1;
                return;
            }
        };
        if self.survey.items.len() >= MOST_ITEMS {
            self.survey.unseen += 1;
            return;
        }
        let mut item = item(entry, unit, package, &stat);
        if item.kind == Kind::Directory {
            item.born = born(file.0, file.1);
        } else if entry.pattern.contains('/') {
            item.above = fstat(file.0).ok().map(|stat| ctime(&stat));
        }
        self.survey.items.insert(path.into(), item);
    }

    /// What makes a directory a bare repository.
    fn bare(&mut self, at: &Waiting, fd: &OwnedFd) {
        for name in [&b"HEAD"[..], b"config", b"commondir", b"hooks"] {
            let path = join(&at.path, name);
            self.found(&path, &BARE, at, (fd, name));
            let hooks = name == b"hooks" && self.survey.items.contains_key(&Bytes::from(&*path));
            if hooks && (self.look.into)(&path) {
                let (inside, package) = (Some(&BARE), at.package);
                let git = InGit::No;
                self.wait(Waiting { path, inside, git, package, probe: Probe::No });
            }
        }
    }
}
