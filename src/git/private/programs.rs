//! Programs in the work tree that the host's configuration of git names: a hooks directory, a filter
//! `sh ./clean.sh`, an included file. A git outside runs them whatever git directory the agent has, so
//! the agent must not be able to change them. It must never miss one because of how it is quoted: what
//! looks like a path in a command is taken for one.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::setting::Setting;
use super::words::words;
use crate::host::follow::{Followed, follow_on};
use crate::host::reached::reached;
use crate::host::{Facts, FileKind};
use crate::lexical::clean;
use crate::visible::{visible, visible_path};

/// What the host's git would run or obey of the work tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InTree {
    /// Paths relative to the project that are there, and the key that names each.
    pub paths: BTreeMap<PathBuf, String>,
    /// The same, there or not, with every way to each through a link of the project.
    pub ways: BTreeSet<PathBuf>,
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
    /// An address: a path only if something is there, a command if it says so (`ext::`).
    Address,
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
    /// The project's own `.git` is what the host's git reads.
    pub own_git: bool,
    /// The disk.
    pub facts: &'a dyn Facts,
}

/// Looks for them, and adds them to what was found.
pub fn in_tree(settings: &[Setting], place: Place<'_>, found: &mut InTree) {
    let mut look = Look { place, found };
    for setting in settings {
        let Some((names, value)) = names(setting) else { continue };
        let key = visible(setting.key());
        match names {
            Names::Path => look.path(Path::new(OsStr::from_bytes(value)), &key, true),
            Names::Included => {
                let beside = setting.file().and_then(Path::parent).unwrap_or(place.base);
                look.at(beside).path(Path::new(OsStr::from_bytes(value)), &key, true);
            }
            Names::Command => {
                look.command(value, &key, true);
                // git-config(1): it runs in the submodule, which is called by its path, most often.
                if let (b"submodule", Some(name)) = (&*setting.section, &setting.subsection) {
                    let submodule = place.base.join(OsStr::from_bytes(name));
                    look.at(&submodule).command(value, &key, true);
                }
            }
            Names::Address => look.command(value, &key, value.starts_with(b"ext::")),
        }
    }
}

/// The same for the files that say so.
pub fn files_in_tree(settings: &[Setting], place: Place<'_>, found: &mut InTree) {
    let mut look = Look { place, found };
    let mut last = None;
    for setting in settings {
        if let Some(file) = setting.file().filter(|file| last != Some(*file)) {
            look.path(file, &format!("a setting ({})", visible(setting.key())), true);
            last = Some(file);
        }
    }
}

/// Which keys of git-config(1) name a program or a file that is obeyed, and the text that does.
fn names(setting: &Setting) -> Option<(Names, &[u8])> {
    let (section, name) = (setting.section.as_slice(), setting.name.as_slice());
    let value = setting.value.as_deref();
    let names = match (section, setting.subsection.is_some(), name) {
        (b"core", false, b"hookspath") | (b"init", false, b"templatedir") => Names::Path,
        (b"include" | b"includeif", _, b"path") => Names::Included,
        (b"core", false, b"fsmonitor") if setting.truth().is_some() => return None,
        // Without the sign for a command they are words for git.
        (b"alias", _, _) | (b"submodule", true, b"update") if !is_command(setting) => return None,
        (b"url", true, b"insteadof" | b"pushinsteadof") => {
            return setting.subsection.as_deref().map(|url| (Names::Address, url));
        }
        (b"remote", true, b"url" | b"pushurl")
        | (b"branch", true, b"remote" | b"pushremote")
        | (b"remote", false, b"pushdefault") => Names::Address,
        (
            b"core",
            false,
            b"fsmonitor"
            | b"sshcommand"
            | b"askpass"
            | b"editor"
            | b"pager"
            | b"gitproxy"
            | b"alternaterefscommand",
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
        | (b"remote", true, b"uploadpack" | b"receivepack" | b"vcs")
        | (b"uploadpack", false, b"packobjectshook")
        | (b"submodule", true, b"update")
        | (b"trailer" | b"tar" | b"hook", true, b"command" | b"cmd")
        | (b"lfs", true, b"path" | b"args" | b"clean" | b"smudge")
        | (b"imap", _, b"tunnel")
        | (b"sendemail", _, b"smtpserver" | b"sendmailcmd" | b"tocmd" | b"cccmd" | b"headercmd")
        | (b"pager" | b"alias", _, _) => Names::Command,
        _ => return None,
    };
    Some((names, value?))
}

fn is_command(setting: &Setting) -> bool {
    setting.value.as_ref().is_some_and(|value| value.starts_with(b"!"))
}

struct Look<'a, 'f> {
    place: Place<'a>,
    found: &'f mut InTree,
}

impl Look<'_, '_> {
    /// The same at another directory.
    fn at<'l>(&'l mut self, base: &'l Path) -> Look<'l, 'l> {
        Look { place: Place { base, ..self.place }, found: self.found }
    }

    /// Every word that could be a path. `missing`: also where nothing is there.
    fn command(&mut self, value: &[u8], key: &str, missing: bool) {
        for word in words(value) {
            let path = Path::new(OsStr::from_bytes(&word.text));
            let slash = word.text.contains(&b'/');
            // A bare word is more often a word than a directory.
            let whole = self.whole(path);
            let meant = match self.place.facts.lstat(&whole).map(|found| found.kind) {
                Some(FileKind::File | FileKind::Symlink) => slash || !word.first,
                // What holds the work tree is where a command goes, and no program.
                Some(_) => slash && !self.place.base.starts_with(clean(&whole)),
                None => missing && word.sure,
            };
            if meant {
                // Of what is only a word, perhaps, nobody is told.
                self.path(path, key, false);
            }
        }
    }

    /// A path as git takes it, absolute. `..` stays, since it may stand behind a link.
    fn whole(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.place.home.join(rest),
            Err(_) => self.place.base.join(path),
        }
    }

    /// `say`: where nothing is there, it is said.
    fn path(&mut self, path: &Path, key: &str, say: bool) {
        let whole = self.whole(path);
        let Place { root, own_git, facts, .. } = self.place;
        let Some(Followed { links, end }) = follow_on(&whole, facts) else { return };
        let within = |path: &Path| tree_path(path, root, own_git);
        // The link cannot be held, what it leads to can.
        if let Some(link) = links.iter().find_map(|link| within(&link.path)) {
            self.found.open.push(format!(
                "git: {key} names {}, a symbolic link: the agent can put something else in its place",
                visible_path(&link)
            ));
        }
        let ways = reached(&whole, root, facts).into_iter();
        self.found.ways.extend(ways.filter(|way| own_git || !way.starts_with(".git")));
        let Some(relative) = within(&end) else { return };
        if facts.lstat(&end).is_some() {
            self.found.paths.insert(relative, key.to_owned());
        } else if say {
            self.found.open.push(format!(
                "git: {key} names {}, which is not there: the agent can make what git outside would use",
                visible_path(&relative)
            ));
        }
    }
}

/// The path relative to the project, if it is in its work tree, or in a `.git` that counts.
fn tree_path(path: &Path, root: &Path, own_git: bool) -> Option<PathBuf> {
    let relative = path.strip_prefix(root).ok()?;
    let first = relative.components().next()?;
    (own_git || first.as_os_str() != ".git").then(|| relative.to_owned())
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
            own_git: false,
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
