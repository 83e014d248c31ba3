//! Programs in the work tree that the host's configuration of git names: a hooks directory, a filter
//! `sh ./clean.sh`, an included file. A git outside runs them whatever git directory the agent has, so
//! the agent must not be able to change them. It must never miss one because of how it is quoted: what
//! looks like a path in a command is taken for one.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::setting::Setting;
use crate::host::follow::{Followed, follow_on};
use crate::host::{Facts, FileKind};
use crate::lexical::clean;
use crate::visible::{visible, visible_path};

/// What the host's git would run or obey of the work tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InTree {
    /// Paths relative to the project, and the key that names each.
    pub paths: BTreeMap<PathBuf, String>,
    /// What cannot be made read-only, in words.
    pub open: Vec<String>,
}

/// How a value names what is run.
enum Names {
    /// It is a path, of a file or directory.
    Path,
    /// The same, beside the file that names it.
    Included,
    /// A command line for a shell, or for git's own splitting.
    Command,
}

/// Where it is looked.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The project.
    pub root: &'a Path,
    /// The work tree within it, at which relative paths begin.
    pub base: &'a Path,
    /// What `~` means.
    pub home: &'a Path,
    /// The disk.
    pub facts: &'a dyn Facts,
}

/// Looks for them, and adds them to what was found.
pub fn in_tree(settings: &[Setting], place: Place<'_>, found: &mut InTree) {
    let mut look = Look { place, found };
    for setting in settings {
        let key = visible(setting.key());
        if let Some(file) = setting.file() {
            look.path(file, &format!("a setting ({key})"));
        }
        let Some(value) = &setting.value else { continue };
        match names(setting) {
            Some(Names::Path) => look.path(Path::new(OsStr::from_bytes(value)), &key),
            Some(Names::Included) => {
                let beside = setting.file().and_then(Path::parent).unwrap_or(place.base);
                let beside = Place { base: beside, ..place };
                Look { place: beside, found: look.found }
                    .path(Path::new(OsStr::from_bytes(value)), &key);
            }
            Some(Names::Command) => look.command(value, &key),
            None => {}
        }
    }
}

/// Which keys of git-config(1) name a program or a file that is obeyed.
fn names(setting: &Setting) -> Option<Names> {
    let (section, name) = (setting.section.as_slice(), setting.name.as_slice());
    match (section, setting.subsection.is_some(), name) {
        (b"core", false, b"hookspath") | (b"init", false, b"templatedir") => Some(Names::Path),
        (b"include" | b"includeif", _, b"path") => Some(Names::Included),
        (b"core", false, b"fsmonitor") if setting.truth().is_some() => None,
        // Without the sign for a command they are words for git.
        (b"alias", _, _) | (b"submodule", true, b"update") if !is_command(setting) => None,
        (
            b"core",
            false,
            b"fsmonitor" | b"sshcommand" | b"askpass" | b"editor" | b"pager" | b"gitproxy",
        )
        | (b"sequence", false, b"editor")
        | (b"interactive", false, b"difffilter")
        | (b"diff", false, b"external")
        | (b"filter", true, b"clean" | b"smudge" | b"process")
        | (b"diff", true, b"textconv" | b"command")
        | (b"merge", true, b"driver")
        | (b"mergetool" | b"difftool" | b"guitool" | b"browser" | b"man", true, b"cmd" | b"path")
        | (b"gpg", _, b"program" | b"defaultkeycommand")
        | (b"credential", _, b"helper")
        | (b"remote", true, b"uploadpack" | b"receivepack" | b"vcs" | b"url" | b"pushurl")
        | (b"uploadpack", false, b"packobjectshook")
        | (b"submodule", true, b"update")
        | (b"trailer" | b"tar", true, b"command" | b"cmd")
        | (b"pager" | b"alias", _, _) => Some(Names::Command),
        _ => None,
    }
}

fn is_command(setting: &Setting) -> bool {
    setting.value.as_ref().is_some_and(|value| value.starts_with(b"!"))
}

struct Look<'a, 'f> {
    place: Place<'a>,
    found: &'f mut InTree,
}

impl Look<'_, '_> {
    /// Every word that could be a path. The first is looked for along `PATH` if it has no slash.
    fn command(&mut self, value: &[u8], key: &str) {
        let separates = |byte: &u8| byte.is_ascii_whitespace() || b"'\"`;&|()<>$={}".contains(byte);
        let words = value.split(separates).filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            let word = word.strip_prefix(b"!").unwrap_or(word);
            let path = Path::new(OsStr::from_bytes(word));
            let slash = word.contains(&b'/');
            // A bare word is more often a word than a directory.
            let meant = |kind| match kind {
                Some(FileKind::File | FileKind::Symlink) => slash || index > 0,
                Some(_) => slash,
                None => false,
            };
            let whole = self.whole(path);
            if meant(self.place.facts.lstat(&whole).map(|found| found.kind)) {
                self.path(path, key);
            }
        }
    }

    /// A path as git takes it, absolute.
    fn whole(&self, path: &Path) -> PathBuf {
        clean(&match path.strip_prefix("~") {
            Ok(rest) => self.place.home.join(rest),
            Err(_) => self.place.base.join(path),
        })
    }

    fn path(&mut self, path: &Path, key: &str) {
        let Some(Followed { links, end }) = follow_on(&self.whole(path), self.place.facts) else {
            return;
        };
        let within = |path: &Path| tree_path(path, self.place.root);
        // The link cannot be held, what it leads to can.
        if let Some(link) = links.iter().find_map(|link| within(&link.path)) {
            self.found.open.push(format!(
                "git: {key} names {}, a symbolic link: the agent can put something else in its place",
                visible_path(&link)
            ));
        }
        let Some(relative) = within(&end) else { return };
        if self.place.facts.lstat(&end).is_some() {
            self.found.paths.insert(relative, key.to_owned());
        } else {
            self.found.open.push(format!(
                "git: {key} names {}, which is not there: the agent can make what git outside would use",
                visible_path(&relative)
            ));
        }
    }
}

/// The path relative to the project, if it is in its work tree.
fn tree_path(path: &Path, root: &Path) -> Option<PathBuf> {
    let relative = path.strip_prefix(root).ok()?;
    let first = relative.components().next()?;
    (first.as_os_str() != ".git").then(|| relative.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::setting::tests::local;
    use super::*;
    use crate::host::fake::FakeDisk;

    fn look(key: &str, value: &str) -> (Vec<String>, usize) {
        let disk = FakeDisk::of(1)
            .file("/p/cl.sh", "")
            .file("/p/tools/x.py", "")
            .dir("/p/.husky")
            .dir("/p/clean")
            .dir("/p/.git")
            .file("/p/.gitconfig", "")
            .link("/p/hooks", "tools");
        let mut found = InTree::default();
        let place = Place {
            root: Path::new("/p"),
            base: Path::new("/p"),
            home: Path::new("/"),
            facts: &disk,
        };
        in_tree(&[local(key, value)], place, &mut found);
        let paths = found.paths.keys().map(|path| path.display().to_string());
        (paths.collect(), found.open.len())
    }

    #[test]
    fn programs_of_the_work_tree_are_found() {
        for (key, value, expected) in [
            ("core.hookspath", ".husky", ".husky"),
            ("core.hookspath", "/p/.husky/", ".husky"),
            ("core.hookspath", "./tools/../.husky", ".husky"),
            ("filter.x.clean", "sh ./cl.sh %f", "cl.sh"),
            ("filter.x.clean", "sh cl.sh", "cl.sh"),
            ("filter.x.process", "sh -c 'python3 \"tools/x.py\"'", "tools/x.py"),
            ("diff.x.textconv", "tools/x.py", "tools/x.py"),
            ("merge.x.driver", "X=1 /p/tools/x.py %A", "tools/x.py"),
            ("alias.st", "!./cl.sh", "cl.sh"),
            ("core.fsmonitor", "./cl.sh", "cl.sh"),
            ("include.path", "../.gitconfig", ".gitconfig"),
            ("includeif.gitdir:/p.path", "/p/.gitconfig", ".gitconfig"),
            ("remote.o.url", "ext::sh ./cl.sh", "cl.sh"),
            ("core.hookspath", "~/p/.husky", ".husky"),
            ("diff.x.command", "~/p/cl.sh", "cl.sh"),
        ] {
            assert_eq!(look(key, value).0, [expected], "{key} = {value}");
        }
    }

    #[test]
    fn what_is_not_of_the_work_tree_is_not() {
        for (key, value) in [
            ("core.hookspath", ".git/hooks"),
            ("core.hookspath", "/usr/share/hooks"),
            ("core.fsmonitor", "true"),
            ("filter.x.clean", "clean -- %f"),
            ("filter.x.clean", "git-crypt clean"),
            ("filter.x.clean", "x ../other/y"),
            ("user.name", "./cl.sh"),
            ("alias.c", "commit cl.sh"),
            ("remote.o.url", "https://host/cl.sh"),
        ] {
            assert_eq!(look(key, value), (vec![], 0), "{key} = {value}");
        }
    }

    #[test]
    fn what_cannot_be_held_is_said() {
        assert_eq!(look("core.hookspath", "hooks"), (vec!["tools".to_owned()], 1));
        assert_eq!(look("core.hookspath", "missing"), (vec![], 1));
    }
}
