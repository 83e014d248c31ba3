//! Work on the host before a start: directories and files that the sandbox will see, below
//! claudebox's own state directory. An earlier session's agent could write there, and another
//! session's may do so right now, so every component is opened by itself, and no link is followed.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2, renameat,
};
use rustix::io::Errno;

use super::discard::{Discard, Discarded};
use crate::bytes::Bytes;
use crate::error::{Error, Result, Tried as _};
use crate::nofollow::{DIRECTORY, entries, kind, open_directory, remove};
use crate::plan::Prepare;
use crate::session::homes::{BORN, OLD, PROJECT};
use crate::visible::visible_path;

const PRIVATE: Mode = Mode::RWXU;
/// Of a file.
const OWNERS: Mode = Mode::RUSR.union(Mode::WUSR);

/// Does all of it, in order; answers with what is still to be removed.
///
/// # Errors
/// When a root is not the caller's alone, or the disk says no.
pub fn prepare(steps: &[Prepare]) -> Result<Discarded> {
    let (mut roots, mut discard) = (Roots::default(), Discard::default());
    steps.iter().try_for_each(|one| step(one, &mut roots, &mut discard))?;
    Ok(discard.done())
}

/// The trusted directories that are open already: most steps are in the same one.
#[derive(Default)]
struct Roots<'a>(Vec<(&'a Path, OwnedFd)>);

impl<'a> Roots<'a> {
    fn open(&mut self, root: &'a Path) -> Result<&OwnedFd> {
        let known = self.0.iter().position(|(path, _)| path.as_os_str() == root.as_os_str());
        let index = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push((root, open_root(root)?));
        }
        Ok(&self.0[index].1)
    }
}

fn step<'a>(step: &'a Prepare, roots: &mut Roots<'a>, discard: &mut Discard) -> Result<()> {
    let (root, path) = match step {
        Prepare::Directory { root, path }
        | Prepare::File { root, path, .. }
        | Prepare::CreateMissing { root, path, .. }
        | Prepare::MountPoint { root, path }
        | Prepare::Empty { root, path, .. }
        | Prepare::Remove { root, path } => (root.as_path(), path.as_path()),
        Prepare::Home { root, project, born } => {
            return home(root.as_path(), project, born.as_ref(), roots, discard);
        }
    };
    let names = names(path)?;
    let what = || format!("prepare {}", visible_path(&root.join(path)));
    if let Prepare::CreateMissing { content, .. } = step {
        return create_missing(root, &names, content.as_ref().map(AsRef::as_ref)).tried(what);
    }
    let root = roots.open(root)?;
    match (step, names.split_last()) {
        (Prepare::Directory { .. }, _) => walk(root, &names, make_way).map(drop),
        (Prepare::File { content, .. }, Some((name, parents))) => walk(root, parents, make_way)
            .and_then(|at| replace(at.fd(root), name, content.as_ref(), discard)),
        (Prepare::MountPoint { .. }, Some((name, parents))) => walk(root, parents, make_way)
            .and_then(|at| match kind(at.fd(root), name)? {
                Some(FileType::RegularFile) => Ok(()),
                _ => replace(at.fd(root), name, b"", discard),
            }),
        (Prepare::Remove { .. }, Some((name, parents))) => {
            match walk(root, parents, open_directory) {
                Ok(at) => discard.take(at.fd(root), name),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(errno) => Err(errno),
            }
        }
        (Prepare::Empty { keep, .. }, _) => walk(root, &names, make_way).and_then(|at| {
            let at = at.fd(root);
            let stays = |name: &CStr| keep.iter().any(|keep| keep.0 == name.to_bytes());
            entries(at)?
                .iter()
                .filter(|name| !stays(name))
                .try_for_each(|name| discard.take(at, name))
        }),
        (Prepare::CreateMissing { .. } | Prepare::Home { .. }, _) | (_, None) => Err(Errno::INVAL),
    }
    .tried(what)
}

/// See [`Prepare::Home`]. The notes of whose home it is lie beside it, where nothing inside reaches.
fn home<'a>(
    root: &'a Path,
    project: &Bytes,
    born: Option<&Bytes>,
    roots: &mut Roots<'a>,
    discard: &mut Discard,
) -> Result<()> {
    let what = || format!("prepare {}", visible_path(root));
    let (Some(above), Some(name)) = (root.parent(), root.file_name()) else {
        return Err(Error::launcher(format!("{} is no home", visible_path(root))));
    };
    let beside = |ending: &str| {
        let path = CString::new([name.as_bytes(), ending.as_bytes()].concat());
        path.map_err(|_| Errno::INVAL).tried(what)
    };
    let homes = roots.open(above)?;
    discard.send_to(homes.try_clone().tried(what)?);
    if let Some(born) = born {
        let (name, note, old) = (beside("")?, beside(BORN)?, beside(OLD)?);
        let noted = noted(homes, &note).tried(what)?;
        let is_anothers = noted.as_ref().is_some_and(|noted| *noted != born.0);
        // A home without a note is from a version that wrote none.
        if is_anothers && kind(homes, &name).tried(what)? == Some(FileType::Directory) {
            discard
                .take(homes, &old)
                .and_then(|()| renameat(homes, &name, homes, &old))
                .tried(what)?;
        }
        if noted.as_ref() != Some(&born.0) {
            replace(homes, &note, &born.0, discard).tried(what)?;
        }
    }
    let note = beside(PROJECT)?;
    if noted(homes, &note).tried(what)?.as_ref() != Some(&project.0) {
        replace(homes, &note, &project.0, discard).tried(what)?;
    }
    Ok(())
}

/// What a note says, if it is there.
fn noted(homes: &OwnedFd, note: &CStr) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match openat(homes, note, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let mut noted = Vec::new();
    File::from(fd).read_to_end(&mut noted)?;
    Ok(Some(noted))
}

/// Makes what is missing of a path, and the file or directory at its end. Whatever stands in the
/// way was put there by the user, or is a link that is not followed: it stays as it is.
fn create_missing(root: &Path, names: &[CString], content: Option<&[u8]>) -> Result<(), Errno> {
    let Some((name, parents)) = names.split_last() else { return Err(Errno::INVAL) };
    // It was canonical when it was settled, and may lie in a state directory: an agent of another
    // project, who shares that, could have put a link on the way since.
    let root = openat2(CWD, root, DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let at = parents.iter().try_fold(root, |at, name| match open_directory(&at, name) {
        Err(Errno::NOENT) => make_directory(&at, name),
        other => other,
    });
    let made = match (at, content) {
        (Ok(at), None) => mkdirat(&at, name, PRIVATE),
        (Ok(at), Some(content)) => create_new(&at, name, content),
        (Err(errno), _) => Err(errno),
    };
    match made {
        Err(Errno::EXIST | Errno::NOTDIR | Errno::LOOP) => Ok(()),
        other => other,
    }
}

/// The names of a relative path; `..` and `/` would lead out of the root.
fn names(path: &Path) -> Result<Vec<CString>> {
    let name = |component| match component {
        Component::Normal(name) => CString::new(OsStr::as_bytes(name)).ok(),
        _ => None,
    };
    path.components().map(name).collect::<Option<_>>().ok_or_else(|| {
        Error::launcher(format!("{} does not stay below its directory", visible_path(path)))
    })
}

/// Opens the trusted directory, which is made if it is not there.
fn open_root(root: &Path) -> Result<OwnedFd> {
    let shown = visible_path(root);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .tried(|| format!("create {shown}"))?;
    let fd = openat(CWD, root, DIRECTORY, Mode::empty()).tried(|| format!("open {shown}"))?;
    let stat = fstat(&fd).tried(|| format!("examine {shown}"))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Error::launcher(format!("{shown} belongs to another user"))
            .hint("remove it, or set XDG_STATE_HOME to a directory of your own"));
    }
    if stat.st_mode & 0o077 != 0 {
        fchmod(&fd, PRIVATE).tried(|| format!("make {shown} private"))?;
    }
    Ok(fd)
}

/// The end of a way down: a directory, or still the one where it began.
struct Reached(Option<OwnedFd>);

impl Reached {
    fn fd<'a>(&'a self, beginning: &'a OwnedFd) -> &'a OwnedFd {
        self.0.as_ref().unwrap_or(beginning)
    }
}

/// Goes down these names, one after the other.
fn walk(
    beginning: &OwnedFd,
    names: &[CString],
    go: impl Fn(&OwnedFd, &CStr) -> Result<OwnedFd, Errno>,
) -> Result<Reached, Errno> {
    names.iter().try_fold(Reached(None), |at, name| Ok(Reached(Some(go(at.fd(beginning), name)?))))
}

/// Opens a directory, and makes it one whatever stands there; one that its owner could not use is
/// opened for him, also where root prepares it: inside, root has no capability to pass.
fn make_way(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let directory = match open_directory(at, name) {
        Err(Errno::NOENT) => make_directory(at, name),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            remove(at, name)?;
            make_directory(at, name)
        }
        other => other,
    }?;
    if fstat(&directory)?.st_mode & 0o700 != 0o700 {
        fchmod(&directory, PRIVATE)?;
    }
    Ok(directory)
}

fn make_directory(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match mkdirat(at, name, PRIVATE) {
        // Another session was as fast.
        Ok(()) | Err(Errno::EXIST) => open_directory(at, name),
        Err(errno) => Err(errno),
    }
}

/// Writes a file that was not there.
fn create_new(at: &OwnedFd, name: &CStr, content: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(at, name, flags, OWNERS)?;
    File::from(file).write_all(content).map_err(|err| errno(&err))
}

/// Writes the file anew. Not by a rename over the old one: ext4 then waits until the disk has the
/// content, and nobody reads it before the session, the only one in its home, has begun.
fn replace(at: &OwnedFd, name: &CStr, content: &[u8], discard: &Discard) -> Result<(), Errno> {
    if stands(at, name, content).unwrap_or(false) {
        return Ok(());
    }
    discard.take(at, name)?;
    create_new(at, name, content)
}

/// Whether the file is there as [`create_new`] makes it, as most are since the last session: to write it
/// anew takes a hundred times as long. One with another name could be changed from elsewhere.
fn stands(at: &OwnedFd, name: &CStr, content: &[u8]) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(at, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && Mode::from_raw_mode(stat.st_mode) == OWNERS
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_nlink == 1
        && usize::try_from(stat.st_size) == Ok(content.len());
    let mut there = Vec::new();
    let mut file = File::from(file).take(stat.st_size.cast_unsigned() + 1);
    Ok(ours && file.read_to_end(&mut there).is_ok() && there == content)
}

fn errno(err: &io::Error) -> Errno {
    Errno::from_io_error(err).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;
    use crate::bytes::Bytes;

    fn root() -> (tempfile::TempDir, Bytes) {
        let dir = tempfile::tempdir().unwrap();
        let root = Bytes::from(dir.path());
        (dir, root)
    }

    #[test]
    fn what_stands_in_the_home_stays_as_it_is() {
        let (dir, root) = root();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), dir.path().join("link")).unwrap();
        let missing = |path: &str, content: &str| Prepare::CreateMissing {
            root: root.clone(),
            path: path.into(),
            content: Some(content.into()),
        };
        let steps = [missing("a/b", "new"), missing("a/b", "newer"), missing("link/c", "led away")];
        prepare(&steps).unwrap();
        fs::create_dir(elsewhere.path().join("deeper")).unwrap();
        let root = Bytes::from(&*dir.path().join("link/deeper"));
        let late = Prepare::CreateMissing { root, path: "d".into(), content: None };
        assert!(prepare(&[late]).is_err(), "a link on the way to the root");
        fs::remove_dir(elsewhere.path().join("deeper")).unwrap();
        assert_eq!(fs::read(dir.path().join("a/b")).unwrap(), b"new");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn directories_and_files_are_made_private() {
        let (dir, root) = root();
        let content = Bytes::from("rc");
        let path = Bytes::from("home/.config/x");
        prepare(&[Prepare::File { root: root.clone(), path: path.clone(), content }]).unwrap();
        prepare(&[Prepare::File { root, path, content: Bytes::from("new") }]).unwrap();
        let at = dir.path().join("home/.config");
        assert_eq!(fs::read(at.join("x")).unwrap(), b"new");
        assert_eq!(fs::read_dir(&at).unwrap().count(), 1);
        assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_that_stands_as_it_should_stays() {
        let (dir, root) = root();
        let prepare = |content: &str| {
            let (path, content) = (Bytes::from("rc"), Bytes::from(content));
            prepare(&[Prepare::File { root: root.clone(), path, content }]).unwrap();
            fs::metadata(dir.path().join("rc")).unwrap().ino()
        };
        let rc = dir.path().join("rc");
        let first = prepare("one");
        assert_eq!(prepare("one"), first);
        let kept = File::open(&rc).unwrap();
        assert_ne!(prepare("two"), first);
        drop(kept);
        // Not one with another name, which an agent may have given it, nor one that others may write.
        let second = prepare("two");
        let kept = File::open(&rc).unwrap();
        fs::hard_link(&rc, dir.path().join("other")).unwrap();
        assert_ne!(prepare("two"), second);
        drop(kept);
        let kept = File::open(&rc).unwrap();
        let third = kept.metadata().unwrap().ino();
        fs::set_permissions(&rc, fs::Permissions::from_mode(0o666)).unwrap();
        assert_ne!(prepare("two"), third);
        assert_eq!(fs::read(&rc).unwrap(), b"two");
        assert_eq!(fs::metadata(&rc).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_in_the_way_is_replaced_and_never_followed() {
        let (dir, root) = root();
        let victim = tempfile::tempdir().unwrap();
        fs::write(victim.path().join("key"), "secret").unwrap();
        symlink(victim.path(), dir.path().join("home")).unwrap();
        let below = Bytes::from("home/key");
        prepare(&[Prepare::Remove { root: root.clone(), path: below.clone() }]).unwrap();
        let content = Bytes::from("planted");
        prepare(&[Prepare::File { root: root.clone(), path: below.clone(), content }]).unwrap();
        assert!(fs::symlink_metadata(dir.path().join("home")).unwrap().is_dir());

        fs::remove_file(dir.path().join("home/key")).unwrap();
        symlink(victim.path().join("key"), dir.path().join("home/key")).unwrap();
        let content = Bytes::from("planted");
        prepare(&[Prepare::File { root: root.clone(), path: below, content }]).unwrap();
        assert_eq!(fs::read(dir.path().join("home/key")).unwrap(), b"planted");

        symlink(victim.path(), dir.path().join("home/link")).unwrap();
        prepare(&[Prepare::Remove { root, path: Bytes::from("home") }]).unwrap();
        assert!(!dir.path().join("home").exists());
        assert_eq!(fs::read(victim.path().join("key")).unwrap(), b"secret");
    }

    #[test]
    fn a_directory_is_emptied_but_for_what_stays() {
        let (dir, root) = root();
        let home = dir.path().join("home");
        let root = Bytes::from(root.as_path().join("home"));
        for path in [".agent/history", ".agent/hooks/x", ".agent/todos/1", ".agent/rc", "rc"] {
            fs::create_dir_all(home.join(path).parent().unwrap()).unwrap();
            fs::write(home.join(path), "").unwrap();
        }
        symlink(&home, home.join(".agent/link")).unwrap();
        let keep = ["history", "todos"].map(Bytes::from).to_vec();
        prepare(&[Prepare::Empty { root, path: Bytes::from(".agent"), keep }]).unwrap();
        let names = fs::read_dir(home.join(".agent")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["history", "todos"]);
        assert!(home.join(".agent/todos/1").exists() && home.join("rc").exists());
    }

    #[test]
    fn a_mount_point_stays_if_it_is_a_file() {
        let (dir, root) = root();
        let point = || {
            let (root, path) = (root.clone(), Bytes::from("a/f"));
            prepare(&[Prepare::MountPoint { root, path }]).unwrap();
        };
        let path = dir.path().join("a/f");
        point();
        fs::write(&path, "left").unwrap();
        point();
        assert_eq!(fs::read(&path).unwrap(), b"left");
        let victim = dir.path().join("victim");
        fs::write(&victim, "").unwrap();
        for plant in ["link", "directory"] {
            fs::remove_file(&path).unwrap();
            if plant == "link" {
                symlink(&victim, &path).unwrap();
            } else {
                fs::create_dir_all(path.join("x")).unwrap();
            }
            point();
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{plant}");
        }
    }

    #[test]
    fn another_directory_at_the_same_path_has_another_home() {
        let (dir, root) = root();
        let home = dir.path().join("homes/h");
        let of = |born: &str| {
            let root = Bytes::from(root.as_path().join("homes/h"));
            prepare(&[
                Prepare::Home { root: root.clone(), project: "/p".into(), born: Some(born.into()) },
                Prepare::File { root, path: Bytes::from(born), content: Bytes::default() },
            ])
            .unwrap();
            let names = fs::read_dir(&home).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(of("1"), ["1"]);
        fs::write(home.join("planted"), "").unwrap();
        assert_eq!(of("1"), ["1", "planted"]);
        assert_eq!(of("2"), ["2"]);
        assert!(dir.path().join("homes/h.old/planted").exists());
        assert_eq!(of("3"), ["3"]);
        assert!(!dir.path().join("homes/h.old/planted").exists());
        assert_eq!(fs::read(dir.path().join("homes/h.project")).unwrap(), b"/p");
    }

    #[test]
    fn nothing_leads_out_of_the_root() {
        let (_dir, root) = root();
        for path in ["../x", "/etc", "a/../../b"] {
            let step = Prepare::Directory { root: root.clone(), path: Bytes::from(path) };
            assert!(prepare(&[step]).is_err(), "{path}");
        }
    }

    #[test]
    fn an_open_root_is_closed_to_others() {
        let (dir, root) = root();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        prepare(&[Prepare::Directory { root, path: Bytes::default() }]).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
