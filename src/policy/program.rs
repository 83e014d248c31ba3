//! Finds the agent's program as execvp(3) would, and what must be visible for it to start: the
//! links that lead to it, its interpreter, the package it belongs to. Homes are hidden inside, and
//! that is where most agents are installed. It must never ask for a whole home.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::links::planted_behind;
use super::mount::{Node, View};
use super::outside::lets_replace;
use super::store::store_path;
use crate::error::{Error, Kind, Result};
use crate::host::{Facts, FileKind, Host};
use crate::lexical::clean;
use crate::visible::{visible, visible_path};

/// A program and what it needs beyond what is visible already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Its path inside, as it was found: a link is kept, since many programs look at their name.
    pub(super) path: PathBuf,
    /// What must be bound read-only, in order.
    pub(super) needs: Vec<Need>,
}

/// A part of the host that a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// Canonical path on the host.
    pub(super) source: PathBuf,
    /// Path inside.
    pub(super) destination: PathBuf,
    /// What it is.
    pub(super) node: Node,
}

/// Where to look.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    /// The directories of the caller's `PATH`, absolute, in order.
    pub(super) path: &'a [PathBuf],
    /// The directory that a name with a slash is relative to.
    pub(super) cwd: &'a Path,
    /// What is visible so far.
    pub(super) view: View<'a>,
    /// Where the private home is on the host: what lies there was made by an earlier agent, and
    /// is not taken for a program of the caller's.
    pub(super) private_home: &'a Path,
    /// The machine.
    pub(super) host: &'a Host,
    /// The disk.
    pub(super) facts: &'a dyn Facts,
}

/// Interpreters of interpreters end somewhere; the kernel's own limit is 5 (`BINPRM_MAX_RECURSION`).
const MAX_INTERPRETERS: usize = 5;

/// Finds `name` (the agent's `argv[0]`) and what it needs.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such program, [`Kind::CannotExecute`] where there is one
/// that is not executable.
pub(super) fn find(name: &OsStr, search: &Search<'_>) -> Result<Program> {
    let mut needs = Vec::new();
    let path = find_at(name, search, &mut needs, 0)?;
    Ok(Program { path, needs })
}

fn find_at(
    name: &OsStr,
    search: &Search<'_>,
    needs: &mut Vec<Need>,
    depth: usize,
) -> Result<PathBuf> {
    let found = search.look_up(name)?;
    search.require(&found, needs)?;
    let script = search.host_file(&found).and_then(|real| search.facts.read_head(&real, 256));
    if let Some(interpreter) = script.as_deref().and_then(interpreter)
        && depth < MAX_INTERPRETERS
    {
        let is_path = interpreter.contains(&b'/');
        if is_path && search.host_file(&found).is_some_and(|real| search.is_written(&real)) {
            search.must_be_visible(&found, Path::new(OsStr::from_bytes(&interpreter)))?;
        }
        find_at(OsStr::from_bytes(&interpreter), search, needs, depth + 1).map_err(|err| {
            let error = Error::new(
                err.kind(),
                format!("{} needs an interpreter: {err}", visible_path(&found)),
            );
            err.hints().iter().fold(error, |error, hint| error.hint(hint.clone()))
        })?;
    }
    Ok(found)
}

/// The program that a script's first line asks for: a path, or for env(1) a name along `PATH`.
fn interpreter(head: &[u8]) -> Option<Vec<u8>> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words =
        line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
    let program = words.next()?;
    if !program.ends_with(b"/env") {
        return Some(program.to_vec());
    }
    let mut named = None;
    while let Some(word) = words.next() {
        match word {
            // The next word is theirs.
            b"-u" | b"-C" | b"--unset" | b"--chdir" => drop(words.next()),
            _ if word.starts_with(b"-") || word.contains(&b'=') => {}
            _ => {
                named = Some(word);
                break;
            }
        }
    }
    Some(named.unwrap_or(program).to_vec())
}

impl Search<'_> {
    /// The first candidate that can be executed, visible or not, as on the host.
    fn look_up(&self, name: &OsStr) -> Result<PathBuf> {
        let candidates: Vec<PathBuf> = if name.as_bytes().contains(&b'/') {
            vec![clean(&self.cwd.join(name))]
        } else {
            self.path.iter().map(|dir| dir.join(name)).collect()
        };
        let mut refused = None;
        for candidate in candidates {
            let Some(real) = self.host_file(&candidate) else { continue };
            match self.facts.lstat(&real) {
                Some(found) if found.kind == FileKind::File && found.mode & 0o111 != 0 => {
                    return Ok(candidate);
                }
                Some(_) => refused = refused.or(Some(candidate)),
                None => {}
            }
        }
        Err(match refused {
            Some(path) => Error::new(
                Kind::CannotExecute,
                format!("cannot execute {}: it is not an executable file", visible_path(&path)),
            )
            .hint(format!("look at it: ls -l {}", visible_path(&path))),
            None => not_found(name, self.path),
        })
    }

    /// The file on the host behind a path inside: what is visible there, or else what the caller
    /// has at the same path.
    fn host_file(&self, path: &Path) -> Option<PathBuf> {
        self.visible(path).or_else(|| self.facts.canonicalize(path))
    }

    /// The file on the host behind a path inside, if it is visible and the caller's own.
    fn visible(&self, path: &Path) -> Option<PathBuf> {
        let found = self.view.resolve(path)?;
        (!found.host.starts_with(self.private_home)).then_some(found.host)
    }

    /// Adds what makes `path` visible: every link on the way, and the package at its end.
    fn require(&self, path: &Path, needs: &mut Vec<Need>) -> Result<()> {
        let shows_more = || {
            let real = self.facts.canonicalize(path);
            real.is_some_and(|real| self.visible(&real).is_none())
        };
        if let Some(link) = planted_behind(path, self.host, self.facts).filter(|_| shows_more()) {
            return Err(leads_out(path, &link));
        }
        let mut step = path.to_owned();
        for _ in 0..40 {
            let visible = self.visible(&step).is_some();
            let directory = step.parent().and_then(|parent| self.facts.canonicalize(parent));
            if !visible && directory.is_some_and(|directory| self.is_written(&directory)) {
                return Err(leads_out(path, &step));
            }
            if !visible && !needs.iter().any(|need| step.starts_with(&need.destination)) {
                needs.extend(self.need(&step));
            }
            let Some(target) = self.facts.read_link(&step) else { return Ok(()) };
            step = match step.parent() {
                Some(parent) => clean(
                    &self.facts.canonicalize(parent).unwrap_or_else(|| parent.into()).join(target),
                ),
                None => return Ok(()),
            };
        }
        Ok(())
    }

    /// Whether something inside could write there: what is there names nothing that is to be shown.
    fn is_written(&self, host: &Path) -> bool {
        lets_replace(self.view.steps(), host)
    }

    /// A script that an agent could have written names what is visible already, or a program on `PATH`.
    fn must_be_visible(&self, script: &Path, interpreter: &Path) -> Result<()> {
        match self.visible(&clean(&self.cwd.join(interpreter))) {
            Some(_) => Ok(()),
            None => Err(leads_out(script, interpreter)),
        }
    }

    /// The smallest part of the host with which the program at `path` is whole.
    fn need(&self, path: &Path) -> Option<Need> {
        let directory = self.package(path).filter(|dir| self.may_be_bound(dir));
        let (destination, node) = match directory {
            Some(dir) => (dir, Node::Directory),
            None => (path.to_owned(), Node::File),
        };
        Some(Need { source: self.facts.canonicalize(&destination)?, destination, node })
    }

    /// The directory that a program is installed as, by the habits of the package tools.
    fn package(&self, path: &Path) -> Option<PathBuf> {
        if let Some(path) = store_path(path) {
            return Some(path);
        }
        // npm, pnpm, yarn: dependencies are siblings below the outermost node_modules.
        let outermost = path.ancestors().filter(|dir| dir.ends_with("node_modules")).last();
        if let Some(modules) = outermost {
            return Some(modules.to_owned());
        }
        let bin = path.parent()?;
        let prefix = bin.parent()?;
        // pipx, uv, venv.
        if self.facts.lstat(&prefix.join("pyvenv.cfg")).is_some() {
            return Some(prefix.to_owned());
        }
        match bin.file_name()?.as_bytes() {
            // pyenv, asdf, mise: a shim asks the tool around it.
            b"shims" => Some(prefix.to_owned()),
            // nvm, conda, uv's pythons, /opt: a prefix of its own, bin and lib side by side.
            b"bin" if self.is_own_prefix(prefix) => Some(prefix.to_owned()),
            b"bin" | b"sbin" | b"libexec" | b".bin" => Some(bin.to_owned()),
            _ => None,
        }
    }

    /// `~/.local` has bin and lib, too, and far more than one program.
    fn is_own_prefix(&self, prefix: &Path) -> bool {
        prefix != self.host.home.join(".local")
            && self.facts.lstat(&prefix.join("lib")).is_some_and(|f| f.kind == FileKind::Directory)
    }

    /// Never a home or what holds it, never claudebox's own files.
    fn may_be_bound(&self, dir: &Path) -> bool {
        let real = self.facts.canonicalize(dir);
        real.is_some_and(|real| {
            let holds_home = self.host.home.starts_with(&real) || self.host.home.starts_with(dir);
            !holds_home && self.host.dirs.overlapping(&real).is_none()
        })
    }
}

/// The error for what a file or a link asks for that an agent could have made.
fn leads_out(program: &Path, what: &Path) -> Error {
    Error::new(
        Kind::CannotExecute,
        format!(
            "{} asks for {}, which is not visible inside",
            visible_path(program),
            visible_path(what)
        ),
    )
    .hint("it stands where an agent can write, so nothing is shown for its sake")
    .hint("if you trust it, show what it needs: --ro-bind PATH")
}

fn not_found(name: &OsStr, path: &[PathBuf]) -> Error {
    let shown = visible(name.as_bytes());
    let error = Error::new(Kind::NotFound, format!("cannot find the program `{shown}`"));
    if name.as_bytes().contains(&b'/') {
        return error.hint("a relative path is taken from the current directory");
    }
    let searched: Vec<String> = path.iter().map(|dir| visible_path(dir)).collect();
    error
        .hint(format!("PATH was searched: {}", searched.join(":")))
        .hint("install it, or run something else: claudebox run -- COMMAND")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirs::Dirs;
    use crate::host::fake::FakeDisk;
    use crate::policy::mount::Access;
    use crate::policy::mount::tests::bind;

    const NODE: &str = "/home/u/.nvm/versions/node/v22";

    fn disk() -> FakeDisk {
        let modules = format!("{NODE}/lib/node_modules/@x/agent");
        FakeDisk::of(1000)
            .program("/usr/bin/env", "\x7fELF")
            .program("/usr/bin/python3", "\x7fELF")
            .file("/usr/bin/notes", "text")
            .program(format!("{NODE}/bin/node"), "\x7fELF")
            .program(format!("{modules}/cli.js"), "#!/usr/bin/env -S node --flag\n")
            .link(format!("{NODE}/bin/agent"), "../lib/node_modules/@x/agent/cli.js")
            .program("/home/u/.local/share/claude/versions/2.1", "\x7fELF")
            .link("/home/u/.local/bin/claude", "../share/claude/versions/2.1")
            .dir("/home/u/.local/lib")
            .file("/home/u/.local/share/pipx/venvs/aid/pyvenv.cfg", "")
            .program(
                "/home/u/.local/share/pipx/venvs/aid/bin/aid",
                "#!/home/u/.local/share/pipx/venvs/aid/bin/python\n",
            )
            .link("/home/u/.local/share/pipx/venvs/aid/bin/python", "/usr/bin/python3")
            .link("/home/u/.local/bin/aid", "/home/u/.local/share/pipx/venvs/aid/bin/aid")
            .program("/home/u/tool", "\x7fELF")
            .link("/home/u/.local/bin/mine", "/home/u/plain/bin/out")
            .link("/home/u/.local/bin/within", "/home/u/plain/bin/in")
            .link("/home/u/.local/bin/theirs", "/home/u/code/bin/out")
            .link("/home/u/.local/bin/system", "/home/u/plain/bin/sys")
            .link("/home/u/plain/bin/out", "/home/u/tool")
            .link("/home/u/plain/bin/in", "real")
            .link("/home/u/plain/bin/sys", "/usr/bin/python3")
            .program("/home/u/plain/bin/real", "\x7fELF")
            .link("/home/u/code/bin/out", "/home/u/tool")
            .project("/home/u/plain")
            .program("/home/u/p/broken", "#!/usr/bin/env nothing\n")
            .program("/home/u/.pyenv/shims/py", "#!/usr/bin/env python3\n")
    }

    fn needs(name: &str, path: &[&str]) -> Result<(String, Vec<String>)> {
        let steps =
            [bind("/usr", "/usr", Access::Read), bind("/home/u/p", "/home/u/p", Access::Write)];
        let disk = disk();
        let path: Vec<PathBuf> = path.iter().map(PathBuf::from).collect();
        let own = || "/home/u/.claudebox".into();
        let dirs = Dirs { config: own(), state: own(), cache: own(), runtime: own() };
        let host = Host { home: "/home/u".into(), dirs, ..Host::default() };
        let program = find(
            OsStr::new(name),
            &Search {
                path: &path,
                cwd: Path::new("/home/u/p"),
                view: View::of(&steps, &disk),
                private_home: Path::new("/state/homes/x"),
                host: &host,
                facts: &disk,
            },
        )?;
        let needs = program.needs.iter().map(|need| {
            assert_eq!(need.source, need.destination);
            need.destination.display().to_string()
        });
        Ok((program.path.display().to_string(), needs.collect()))
    }

    #[test]
    fn what_is_visible_needs_nothing() {
        assert_eq!(needs("python3", &["/usr/bin"]).unwrap(), ("/usr/bin/python3".into(), vec![]));
        assert_eq!(needs("/usr/bin/env", &[]).unwrap().1, Vec::<String>::new());
    }

    #[test]
    fn an_npm_agent_needs_its_prefix_and_node() {
        let bin = format!("{NODE}/bin");
        let (path, needs) = needs("agent", &[&bin, "/usr/bin"]).unwrap();
        assert_eq!(path, format!("{bin}/agent"));
        assert_eq!(needs, [NODE]);
    }

    #[test]
    fn a_native_installer_keeps_the_link() {
        let (path, needs) = needs("claude", &["/home/u/.local/bin"]).unwrap();
        assert_eq!(path, "/home/u/.local/bin/claude");
        assert_eq!(needs, ["/home/u/.local/bin", "/home/u/.local/share/claude/versions/2.1"]);
    }

    #[test]
    fn a_venv_is_whole() {
        let (_, needs) = needs("aid", &["/home/u/.local/bin", "/usr/bin"]).unwrap();
        assert_eq!(needs, ["/home/u/.local/bin", "/home/u/.local/share/pipx/venvs/aid"]);
    }

    #[test]
    fn a_shim_needs_the_tool_around_it() {
        let (_, needs) = needs("py", &["/home/u/.pyenv/shims", "/usr/bin"]).unwrap();
        assert_eq!(needs, ["/home/u/.pyenv"]);
    }

    #[test]
    fn a_program_in_the_home_never_opens_the_home() {
        assert_eq!(needs("/home/u/tool", &[]).unwrap().1, ["/home/u/tool"]);
    }

    #[test]
    fn attack_a_link_of_another_session_behind_the_users_own_shows_nothing() {
        let path = ["/home/u/.local/bin"];
        let error = needs("mine", &path).unwrap_err();
        insta::assert_snapshot!(error, @"/home/u/.local/bin/mine asks for /home/u/plain/bin/out, which is not visible inside");
        // Controls: it stays in there, leads to what is visible, or no session was there.
        let shown = |name| needs(name, &path).unwrap().1;
        assert_eq!(shown("within"), ["/home/u/.local/bin", "/home/u/plain/bin"]);
        assert!(!shown("system").contains(&"/home/u/tool".to_owned()));
        assert!(shown("theirs").contains(&"/home/u/tool".to_owned()));
    }

    #[test]
    fn what_cannot_be_started_says_why() {
        let error = needs("absent", &["/usr/bin"]).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        insta::assert_snapshot!(error, @"cannot find the program `absent`");
        let error = needs("notes", &["/usr/bin"]).unwrap_err();
        assert_eq!(error.kind(), Kind::CannotExecute);
        let error = needs("./broken", &["/usr/bin"]).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        insta::assert_snapshot!(error, @"/home/u/p/broken needs an interpreter: cannot find the program `nothing`");
    }
}
