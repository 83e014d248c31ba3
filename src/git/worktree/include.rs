//! `.worktreeinclude`: files of the main work tree that git ignores, and that a new worktree gets a copy
//! of, such as `.env`. Which they are a file of the repository says, so the user must have trusted
//! that ([`crate::profile::include`]). An agent may have worked in the main work tree before: only
//! regular files are copied, and no link is followed, on neither side. It must never copy what git
//! does not ignore in the worktree, where an agent would commit it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

use super::{Main, snapshot};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::git::call::PATIENT;
use crate::git::outside::Repository;
use crate::host_files::path::{parent, ways};
use crate::nofollow;
use crate::profile::include::Include;
use crate::session::directory::make_private;
use crate::visible::{visible, visible_path};

/// The most files.
const MOST_FILES: usize = 1000;
/// The most bytes of all together.
const MOST_BYTES: u64 = 64 << 20;

/// What was copied, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The files, relative to the repository.
    pub files: Vec<Bytes>,
    /// Their bytes together.
    pub bytes: u64,
    /// Files that were left out, and why.
    pub left_out: Vec<(Bytes, String)>,
}

/// The files that are meant: git ignores them in the main work tree, and the patterns match.
///
/// # Errors
/// When there are more than may be copied, or git cannot list them.
pub fn wanted(main: &Main<'_>, include: &Include) -> Result<Vec<Bytes>> {
    // The very bytes that are trusted: the file may be another by now.
    make_private(&main.host.dirs.state)?;
    let tried = || "write down what is to be copied";
    let mut patterns = tempfile::NamedTempFile::new_in(&main.host.dirs.state).tried(tried)?;
    patterns.write_all(include.text.as_bytes()).tried(tried)?;
    let call = main.repository().call_at_work("list the files that git ignores").limits(PATIENT);
    let listed = call
        .args(["ls-files", "--others", "--ignored", "-z", "--exclude-from"])
        .arg(patterns.path())
        .run()?;
    // A repository in it is a directory in this list, and no file.
    let files: Vec<Bytes> = listed
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty() && !path.ends_with(b"/"))
        .map(Bytes::from)
        .collect();
    let wanted = ignored(&main.repository(), files)?;
    if wanted.len() > MOST_FILES {
        return Err(too_much(include, &format!("{} files", wanted.len())));
    }
    let size =
        |path: &Bytes| main.root.join(path.as_path()).symlink_metadata().map_or(0, |it| it.size());
    let bytes: u64 = wanted.iter().map(size).fold(0, u64::saturating_add);
    if bytes > MOST_BYTES {
        return Err(too_much(include, &format!("{} MiB", bytes >> 20)));
    }
    Ok(wanted)
}

fn too_much(include: &Include, what: &str) -> Error {
    Error::usage(format!(
        "{} names {what}; {MOST_FILES} files and {} MiB are the most that is copied",
        visible_path(&include.path),
        MOST_BYTES >> 20
    ))
    .hint("name less; what can be made anew (node_modules, target) the agent can make inside")
}

/// Those of these paths that git ignores.
fn ignored(repository: &Repository<'_>, paths: Vec<Bytes>) -> Result<Vec<Bytes>> {
    if paths.is_empty() {
        return Ok(paths);
    }
    if let Some(ignored) = ask(repository, &paths)? {
        return Ok(ignored);
    }
    // One of them cannot be asked about: it is behind a link, or in a submodule.
    let mut ignored = Vec::new();
    for path in paths {
        ignored.extend(ask(repository, &[path])?.unwrap_or_default());
    }
    Ok(ignored)
}

/// The same; `None` where git does not answer.
fn ask(repository: &Repository<'_>, paths: &[Bytes]) -> Result<Option<Vec<Bytes>>> {
    let of = |path: &Bytes| [path.0.as_slice(), b"\0"].concat();
    let input: Vec<u8> = paths.iter().flat_map(of).collect();
    let call = repository.call_at_work("ask which files git ignores").limits(PATIENT);
    let outcome = call.args(["check-ignore", "-z", "--stdin"]).input(input).outcome()?;
    // 1: none of them.
    let answered = matches!(outcome.status.code(), Some(0 | 1));
    let said = outcome.output.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(answered.then(|| said.map(Bytes::from).collect()))
}

/// Copies them into the worktree of this name.
///
/// # Errors
/// When a directory cannot be opened; a file that cannot be copied is left out.
pub fn copy(main: &Main<'_>, name: &str, wanted: Vec<Bytes>) -> Result<Copied> {
    let mut copied = Copied::default();
    if wanted.is_empty() {
        return Ok(copied);
    }
    let known = main.named(name)?;
    let git_dir = known.git_dir.as_deref().ok_or_else(|| snapshot::not_there(&known))?;
    let worktree = Repository { program: &main.survey.program, git_dir, work_tree: &known.path };
    let there: BTreeSet<Bytes> = ignored(&worktree, wanted.clone())?.into_iter().collect();
    let (from, to) = (open(&main.root)?, open(&known.path)?);
    for path in wanted {
        if !there.contains(&path) {
            let why = "git does not ignore it in the worktree, where it could be committed";
            copied.left_out.push((path, why.to_owned()));
            continue;
        }
        match one(&from, &to, &path.0, MOST_BYTES - copied.bytes) {
            Ok(bytes) => {
                copied.bytes += bytes;
                copied.files.push(path);
            }
            Err(err) => copied.left_out.push((path, why(&err))),
        }
    }
    Ok(copied)
}

fn why(err: &io::Error) -> String {
    match Errno::from_io_error(err) {
        Some(Errno::LOOP) => "it is, or is behind, a symbolic link".to_owned(),
        Some(Errno::EXIST) => "it is there already".to_owned(),
        _ => visible(err.to_string()),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).tried(|| format!("open {}", visible_path(path)))
}

/// Copies one file, if it is one; answers with its size.
fn one(from: &OwnedFd, to: &OwnedFd, path: &[u8], most: u64) -> io::Result<u64> {
    // A FIFO would not let us go.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(nofollow::beneath(from, Path::new(OsStr::from_bytes(path)), flags)?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    for way in ways(path) {
        let above = beneath(to, parent(way))?;
        match mkdirat(&above, last(way), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(beneath(to, parent(path))?, last(path), flags, Mode::RUSR | Mode::WUSR)?;
    let mut made = File::from(made);
    // It may be growing.
    let bytes = io::copy(&mut file.take(most.saturating_add(1)), &mut made)?;
    if bytes > most {
        made.set_len(0)?;
        return Err(io::Error::other("with it there would be more than may be copied"));
    }
    made.flush()?;
    made.set_permissions(Permissions::from_mode(found.mode() & 0o755))?;
    Ok(bytes)
}

fn beneath(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    nofollow::beneath(root, Path::new(OsStr::from_bytes(path)), OFlags::RDONLY | OFlags::DIRECTORY)
}

fn last(path: &[u8]) -> &OsStr {
    OsStr::from_bytes(path.rsplit(|byte| *byte == b'/').next().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_regular_file_is_copied_and_no_link_followed_on_either_side() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["from/a/b", "to", "outside"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let at = |path: &str| dir.path().join(path);
        fs::write(at("from/a/b/file"), "x").unwrap();
        fs::set_permissions(at("from/a/b/file"), Permissions::from_mode(0o777)).unwrap();
        fs::write(at("outside/secret"), "s").unwrap();
        symlink(at("outside/secret"), at("from/link")).unwrap();
        symlink(at("outside"), at("from/behind")).unwrap();
        rustix::fs::mkfifoat(CWD, at("from/fifo"), Mode::RUSR).unwrap();
        let (from, to) = (open(&at("from")).unwrap(), open(&at("to")).unwrap());
        let copy = |path: &str| one(&from, &to, path.as_bytes(), 10).map_err(|err| why(&err));
        assert_eq!(copy("a/b/file"), Ok(1));
        assert_eq!(fs::metadata(at("to/a/b/file")).unwrap().mode() & 0o777, 0o755);
        let link = Err("it is, or is behind, a symbolic link".to_owned());
        assert_eq!(copy("link"), link);
        assert_eq!(copy("behind/secret"), link);
        assert_eq!(copy("fifo"), Err("it is no regular file".to_owned()));
        assert_eq!(copy("a/b"), Err("it is no regular file".to_owned()));
        assert_eq!(copy("a/b/file"), Err("it is there already".to_owned()));
        // What is checked out may be a link, too.
        fs::create_dir(at("from/out")).unwrap();
        fs::write(at("from/out/new"), "x").unwrap();
        symlink(at("outside"), at("to/out")).unwrap();
        assert_eq!(copy("out/new"), link);
        assert!(!at("outside/new").exists());
        fs::write(at("from/large"), "12345678901").unwrap();
        assert!(copy("large").unwrap_err().contains("more than may be copied"));
        // Control: cp(1) follows all of them.
        let cp = |from: &str, to: &str| {
            std::process::Command::new("cp").arg(at(from)).arg(at(to)).status().unwrap().success()
        };
        assert!(cp("from/link", "to/stolen") && cp("from/out/new", "to/out/new"));
        assert_eq!(fs::read(at("to/stolen")).unwrap(), b"s");
        assert!(at("outside/new").exists());
    }
}
