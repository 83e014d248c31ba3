//! The disk as one start sees it: each name is asked for once, since the same directories stand on the way to
//! most of what a policy asks for, and most of that is not there. A policy is settled on one view of the disk this way;
//! that it is still so when something is mounted is for whoever opens it to see.
//! It must never outlive the settling of one policy.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::follow::{self, MOST};
use super::{Disk, Facts, FileFacts, FileKind, Host, Written};
use crate::error::Result;
use crate::git::private::linked::Linked;
use crate::git::private::repository::Repository;
use crate::host_files::survey::{FirstLook, Survey};

/// The real file system, each name of which is asked for once. A path is known by its bytes: to compare its
/// components takes ten times as long, and who writes it in another way is only answered anew.
#[derive(Debug, Default)]
pub struct Seen {
    names: RefCell<HashMap<OsString, Option<FileFacts>>>,
    links: RefCell<HashMap<OsString, Option<PathBuf>>>,
}

impl Seen {
    /// Whether what was seen tells that nothing is at `path`: nothing is below what is not there, nor below a
    /// file. (A link may lead to something.)
    fn is_known_missing(&self, path: &Path) -> bool {
        let names = self.names.borrow();
        let above = path.ancestors().skip(1).find_map(|above| names.get(above.as_os_str()));
        match above {
            Some(None) => true,
            Some(Some(found)) => matches!(found.kind, FileKind::File | FileKind::Other),
            None => false,
        }
    }
}

impl Facts for Seen {
    fn lstat(&self, path: &Path) -> Option<FileFacts> {
        if let Some(known) = self.names.borrow().get(path.as_os_str()) {
            return *known;
        }
        let found = if self.is_known_missing(path) { None } else { Disk.lstat(path) };
        self.names.borrow_mut().insert(path.into(), found);
        found
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        // What is there may have been asked for already, and is no link most of the time.
        let known = self.names.borrow().get(path.as_os_str()).copied();
        match known {
            Some(None) => return None,
            Some(Some(found)) if found.kind != FileKind::Symlink => return None,
            _ => {}
        }
        if let Some(known) = self.links.borrow().get(path.as_os_str()) {
            return known.clone();
        }
        let target = Disk.read_link(path);
        self.links.borrow_mut().insert(path.into(), target.clone());
        target
    }

    /// As realpath(3), by what was seen.
    fn canonicalize(&self, path: &Path) -> Option<PathBuf> {
        if !path.is_absolute() {
            return Disk.canonicalize(path);
        }
        let mut real = PathBuf::from("/");
        // The next name is the last.
        let mut names = follow::names(path);
        let mut followed = 0;
        while let Some(name) = names.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(&name);
            match self.lstat(&real)?.kind {
                FileKind::Symlink => {
                    followed += 1;
                    if followed > MOST {
                        return None;
                    }
                    let target = self.read_link(&real)?;
                    real.pop();
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    names.extend(follow::names(&target));
                }
                FileKind::Directory => {}
                FileKind::File | FileKind::Other if names.is_empty() => {}
                FileKind::File | FileKind::Other => return None,
            }
        }
        Some(real)
    }

    fn read_head(&self, path: &Path, max: usize) -> Option<Vec<u8>> {
        if self.is_known_missing(path) { None } else { Disk.read_head(path, max) }
    }

    fn program(&self, host: &Host, name: &str, also: Option<&Path>) -> Option<PathBuf> {
        Disk.program(host, name, also)
    }

    fn host_files(&self, project: &Path, look: &FirstLook<'_>) -> Survey {
        Disk.host_files(project, look)
    }

    fn repository(
        &self,
        project: &Path,
        linked: Option<&Linked>,
        host: &Host,
    ) -> Result<Repository> {
        Disk.repository(project, linked, host)
    }

    fn projects(&self, host: &Host) -> Vec<Written> {
        Disk.projects(host)
    }

    fn links(&self, path: &Path) -> Vec<OsString> {
        if self.is_known_missing(path) { Vec::new() } else { Disk.links(path) }
    }

    fn requisites(&self, host: &Host, paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
        Disk.requisites(host, paths)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn real_paths_are_those_of_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/f"), "").unwrap();
        symlink("a/b", at("relative")).unwrap();
        symlink(at("relative"), at("absolute")).unwrap();
        symlink("../f", at("a/b/up")).unwrap();
        symlink("round", at("round")).unwrap();
        symlink("nothing", at("dangling")).unwrap();
        let seen = Seen::default();
        for _ in 0..2 {
            for name in [
                "",
                "a",
                "a/f",
                "a/f/x",
                "a/f/..",
                "relative",
                "absolute/up",
                "relative/../f",
                "relative/..",
                "round",
                "round/x",
                "dangling",
                "dangling/x",
                "none",
                "none/x",
                "none/../a",
                "../../../../../../../etc",
            ] {
                assert_eq!(seen.canonicalize(&at(name)), Disk.canonicalize(&at(name)), "{name}");
                assert_eq!(seen.read_link(&at(name)), Disk.read_link(&at(name)), "{name}");
                assert_eq!(seen.lstat(&at(name)), Disk.lstat(&at(name)), "{name}");
            }
        }
    }

    #[test]
    fn a_name_is_asked_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, below) = (dir.path().join("f"), dir.path().join("g/x"));
        let seen = Seen::default();
        assert!(seen.lstat(&file).is_none() && seen.lstat(below.parent().unwrap()).is_none());
        fs::write(&file, "").unwrap();
        fs::create_dir(below.parent().unwrap()).unwrap();
        fs::write(&below, "").unwrap();
        assert!(seen.lstat(&file).is_none() && seen.lstat(&below).is_none());
        assert!(seen.read_head(&below, 9).is_none());
        assert!(Seen::default().lstat(&below).is_some(), "the next start sees it");
    }
}
