//! Moves what was found out of the project, and back. An agent wrote what is moved and every name on
//! the way to it: it goes by descriptors, follows no link, replaces nothing, and across file systems
//! it is copied within bounds. A move that was interrupted can be done again. It must never lose the
//! only copy.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fstat, mkdirat, mknodat,
    openat, readlinkat, renameat, renameat_with, statat, symlinkat,
};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::path::{parent, ways};
use crate::nofollow::{DIRECTORY, change_mode, kind, open_directory, remove};

/// What may be copied where it cannot be renamed: bytes, files, and directories in each other.
const MOST_BYTES: u64 = 256 << 20;
const MOST_FILES: u64 = 50_000;
const DEEPEST: u64 = 100;

/// Numbers from here on are of nothing that stands in the record by its order.
const FREE: u32 = 1 << 31;

/// The place in a session's directory.
#[derive(Debug)]
pub(super) struct Aside {
    directory: OwnedFd,
}

impl Aside {
    /// Opens it, and makes it if it is not there.
    pub(super) fn open(session: &Path) -> io::Result<Self> {
        let path = session.join("aside");
        crate::session::directory::make_new(&path)
            .map_err(|err| io::Error::other(err.to_string()))?;
        Ok(Self { directory: openat(CWD, &path, DIRECTORY, Mode::empty())? })
    }

    /// Moves a path of the project here, under this number; answers with the number it has. `None`: there
    /// is nothing. A move that was interrupted is finished; but what still stands in the project is not
    /// here, whatever has its number, and gets another, the first free one from [`FREE`] on.
    pub(super) fn take(
        &self,
        project: &mut Beneath,
        path: &[u8],
        number: u32,
    ) -> io::Result<Option<u32>> {
        let taken = exists(&self.directory, &name(number)?)?;
        let (from, last) = match project.place(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(taken.then_some(number)),
            other => other?,
        };
        let last = CString::new(last)?;
        let there = exists(&from, &last)?;
        let copied = !taken && exists(&self.directory, &copied(number)?)?;
        let number = if taken && there { self.free()? } else { number };
        if copied {
            self.replace_by_copy((&from, &last), number)?;
        } else if there {
            self.bring(project, path, (&from, &last), number)?;
        }
        Ok((taken || copied || there).then_some(number))
    }

    fn free(&self) -> io::Result<u32> {
        for number in FREE..u32::MAX {
            if !exists(&self.directory, &name(number)?)?
                && !exists(&self.directory, &copied(number)?)?
            {
                return Ok(number);
            }
        }
        Err(Errno::EXIST.into())
    }

    fn bring(
        &self,
        project: &mut Beneath,
        path: &[u8],
        (from, last): (&OwnedFd, &CStr),
        number: u32,
    ) -> io::Result<()> {
        let name = name(number)?;
        let moved = match rename(from, last, &self.directory, &name) {
            Err(Errno::ACCESS | Errno::PERM) => {
                // To move a directory one must be allowed to change it: its `..` is another then.
                project.unlock(parent(path))?;
                let _ = project.unlock(path);
                rename(from, last, &self.directory, &name)
            }
            other => other,
        };
        match moved {
            Err(Errno::XDEV) => {
                let part = CString::new(format!("{number}.part"))?;
                remove(&self.directory, &part)?;
                copy_across((from, last), (&self.directory, &part))?;
                // Across file systems the kernel says so first, whatever the permissions are.
                project.unlock(parent(path))?;
                rename(&self.directory, &part, &self.directory, &copied(number)?)?;
                self.replace_by_copy((from, last), number)
            }
            other => Ok(other?),
        }
    }

    /// The copy is whole, so what was copied may go; only then it gets the name that says so.
    fn replace_by_copy(&self, from: (&OwnedFd, &CStr), number: u32) -> io::Result<()> {
        remove(from.0, from.1)?;
        rename(&self.directory, &copied(number)?, &self.directory, &name(number)?)?;
        Ok(())
    }

    /// Whether something has this number.
    pub(super) fn has(&self, number: u32) -> io::Result<bool> {
        Ok(exists(&self.directory, &name(number)?)?)
    }

    /// Whether something was on its way to this number when its mover was killed.
    pub(super) fn has_begun(&self, number: u32) -> io::Result<bool> {
        Ok(exists(&self.directory, &copied(number)?)?)
    }

    /// Moves it back, unless a run that was killed before it wrote that down has done so.
    pub(super) fn give_once(
        &self,
        project: &mut Beneath,
        path: &[u8],
        number: u32,
    ) -> io::Result<()> {
        if !self.has(number)? && stands(project, path)? {
            return Ok(());
        }
        self.give(project, path, number)
    }

    /// Moves it back; an error where something is in its place.
    pub(super) fn give(&self, project: &mut Beneath, path: &[u8], number: u32) -> io::Result<()> {
        let name = name(number)?;
        make_ways(project, path)?;
        let (to, last) = project.place(path)?;
        let last = CString::new(last)?;
        match rename(&self.directory, &name, &to, &last) {
            Err(Errno::XDEV) if exists(&to, &last)? => Err(Errno::EXIST.into()),
            Err(Errno::XDEV) => {
                copy_across((&self.directory, &name), (&to, &last))?;
                remove(&self.directory, &name)?;
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

/// Whether something stands at a path of the project.
pub(super) fn stands(project: &mut Beneath, path: &[u8]) -> io::Result<bool> {
    match project.place(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno.into()),
        Ok((at, last)) => Ok(exists(&at, &CString::new(last)?)?),
    }
}

/// How many are in a session's directory, whatever is written down about them.
pub(super) fn count(session: &Path) -> io::Result<usize> {
    match std::fs::read_dir(session.join("aside")) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(err) => Err(err),
        Ok(entries) => {
            let names =
                entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
            Ok(names.iter().filter(|name| !name.as_encoded_bytes().ends_with(b".part")).count())
        }
    }
}

fn name(number: u32) -> io::Result<CString> {
    Ok(CString::new(number.to_string())?)
}

/// A copy that is whole, while what was copied still stands.
fn copied(number: u32) -> io::Result<CString> {
    Ok(CString::new(format!("{number}.copied"))?)
}

fn exists(at: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    Ok(kind(at, name)?.is_some())
}

fn rename(from: &OwnedFd, old: &CStr, to: &OwnedFd, new: &CStr) -> Result<(), Errno> {
    match renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        // A file system that does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) if exists(to, new)? => Err(Errno::EXIST),
        Err(Errno::INVAL | Errno::NOSYS) => renameat(from, old, to, new),
        other => other,
    }
}

/// Makes the directories that were there when it was taken.
fn make_ways(project: &mut Beneath, path: &[u8]) -> io::Result<()> {
    for way in ways(path) {
        if project.directory(way).is_err_and(|errno| errno == Errno::NOENT) {
            let (at, last) = project.place(way)?;
            mkdirat(at, last, Mode::from_raw_mode(0o755))?;
        }
    }
    Ok(())
}

/// Copies to another file system; what was begun is taken away again where it fails.
fn copy_across(from: (&OwnedFd, &CStr), to: (&OwnedFd, &CStr)) -> io::Result<()> {
    let mut copy = Copy { bytes: MOST_BYTES, files: MOST_FILES };
    copy.any(from, to, 0).inspect_err(|_| {
        let _ = remove(to.0, to.1);
    })
}

/// What may still be copied.
struct Copy {
    bytes: u64,
    files: u64,
}

impl Copy {
    fn any(
        &mut self,
        from: (&OwnedFd, &CStr),
        to: (&OwnedFd, &CStr),
        depth: u64,
    ) -> io::Result<()> {
        let stat = statat(from.0, from.1, AtFlags::SYMLINK_NOFOLLOW)?;
        self.files = self.files.checked_sub(1).filter(|_| depth <= DEEPEST).ok_or_else(too_much)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.directory(from, to, depth, mode(&stat)),
            FileType::RegularFile => self.file(from, to),
            FileType::Symlink => {
                let target = readlinkat(from.0, from.1, Vec::new())?;
                Ok(symlinkat(target, to.0, to.1)?)
            }
            // It holds nothing; what has its name and kind stands for it.
            kind @ (FileType::Fifo | FileType::Socket) => {
                Ok(mknodat(to.0, to.1, kind, mode(&stat), 0)?)
            }
            // No agent can make a device.
            _ => Err(Errno::NOTSUP.into()),
        }
    }

    fn directory(
        &mut self,
        from: (&OwnedFd, &CStr),
        to: (&OwnedFd, &CStr),
        depth: u64,
        mode: Mode,
    ) -> io::Result<()> {
        let source = open_directory(from.0, from.1)?;
        mkdirat(to.0, to.1, Mode::RWXU)?;
        let target = openat(to.0, to.1, DIRECTORY, Mode::empty())?;
        for entry in Dir::read_from(&source)? {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                self.any((&source, name), (&target, name), depth + 1)?;
            }
        }
        Ok(fchmod(&target, mode)?)
    }

    fn file(&mut self, from: (&OwnedFd, &CStr), to: (&OwnedFd, &CStr)) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = match openat(from.0, from.1, flags, Mode::empty()) {
            Err(Errno::ACCESS) => {
                let_read(from.0, from.1)?;
                openat(from.0, from.1, flags, Mode::empty())?
            }
            other => other?,
        };
        let stat = fstat(&source)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(to.0, to.1, flags, Mode::RUSR | Mode::WUSR)?;
        let mut limited = io::Read::take(std::fs::File::from(source), self.bytes + 1);
        let mut target = std::fs::File::from(target);
        let copied = io::copy(&mut limited, &mut target)?;
        self.bytes = self.bytes.checked_sub(copied).ok_or_else(too_much)?;
        target.sync_all()?;
        Ok(fchmod(&target, mode(&stat))?)
    }
}

/// Gives its owner the right to read a file.
fn let_read(at: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(at, name, flags, Mode::empty())?;
    change_mode(&file, mode(&fstat(&file)?) | Mode::RUSR)
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

fn too_much() -> io::Error {
    io::Error::other(
        "it is too much to be copied to the file system of claudebox's state directory",
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    /// A project and a session's directory, on one file system or on two.
    struct Scene {
        project: tempfile::TempDir,
        session: tempfile::TempDir,
    }

    impl Scene {
        fn new(across: bool) -> Self {
            let project = tempfile::tempdir().unwrap();
            let session = if across {
                tempfile::tempdir_in("/dev/shm").unwrap()
            } else {
                tempfile::tempdir().unwrap()
            };
            let device = |dir: &tempfile::TempDir| fs::metadata(dir.path()).unwrap().dev();
            assert_eq!(device(&project) != device(&session), across, "/tmp is not /dev/shm");
            Self { project, session }
        }

        fn file(&self, path: &str, text: &str) {
            let path = self.project.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn take(&self, path: &str, number: u32) -> io::Result<Option<u32>> {
            let mut project = Beneath::open(self.project.path()).unwrap();
            Aside::open(self.session.path())?.take(&mut project, path.as_bytes(), number)
        }

        fn give(&self, path: &str, number: u32) -> io::Result<()> {
            let mut project = Beneath::open(self.project.path()).unwrap();
            Aside::open(self.session.path())?.give(&mut project, path.as_bytes(), number)
        }

        fn aside(&self, path: &str) -> std::path::PathBuf {
            self.session.path().join("aside").join(path)
        }
    }

    #[test]
    fn what_is_moved_comes_back_as_it_was() {
        for across in [false, true] {
            let scene = Scene::new(across);
            scene.file("a/.vscode/tasks.json", "{}");
            let tasks = scene.project.path().join("a/.vscode/tasks.json");
            fs::set_permissions(&tasks, Permissions::from_mode(0o754)).unwrap();
            symlink("/etc/passwd", scene.project.path().join("a/.vscode/link")).unwrap();
            assert_eq!(scene.take("a/.vscode", 1).unwrap(), Some(1));
            assert!(!scene.project.path().join("a/.vscode").exists());
            assert_eq!(fs::read(scene.aside("1/tasks.json")).unwrap(), b"{}");
            assert_eq!(scene.take("a/.vscode", 1).unwrap(), Some(1), "it is there already");
            fs::remove_dir(scene.project.path().join("a")).unwrap();
            scene.give("a/.vscode", 1).unwrap();
            assert_eq!(fs::metadata(&tasks).unwrap().mode() & 0o7777, 0o754);
            let link = scene.project.path().join("a/.vscode/link");
            assert_eq!(fs::read_link(link).unwrap().to_str(), Some("/etc/passwd"));
            assert_eq!(fs::read_dir(scene.session.path().join("aside")).unwrap().count(), 0);
        }
    }

    #[test]
    fn no_link_leads_anywhere_else() {
        for across in [false, true] {
            let scene = Scene::new(across);
            let victim = tempfile::tempdir().unwrap();
            fs::write(victim.path().join("key"), "secret").unwrap();
            symlink(victim.path(), scene.project.path().join("a")).unwrap();
            symlink(victim.path().join("key"), scene.project.path().join(".envrc")).unwrap();
            assert!(scene.take("a/key", 1).is_err());
            assert_eq!(scene.take(".envrc", 2).unwrap(), Some(2));
            assert_eq!(fs::read_link(scene.aside("2")).unwrap(), victim.path().join("key"));
            assert!(scene.give("a/key", 2).is_err());
            symlink(victim.path().join("new"), scene.project.path().join(".envrc")).unwrap();
            assert!(scene.give(".envrc", 2).is_err(), "something is there");
            assert_eq!(fs::read(victim.path().join("key")).unwrap(), b"secret");
            assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn nothing_is_replaced_and_nothing_is_lost() {
        for across in [false, true] {
            let scene = Scene::new(across);
            scene.file(".envrc", "agent's");
            scene.take(".envrc", 1).unwrap();
            scene.file(".envrc", "mine");
            assert!(scene.give(".envrc", 1).is_err());
            assert_eq!(fs::read(scene.project.path().join(".envrc")).unwrap(), b"mine");
            assert_eq!(fs::read(scene.aside("1")).unwrap(), b"agent's");
            assert_eq!(scene.take("gone", 2).unwrap(), None);
        }
    }

    /// What an earlier look left under a number says nothing about what still stands in the project.
    #[test]
    fn what_still_stands_is_not_taken_for_what_has_its_number() {
        for across in [false, true] {
            let scene = Scene::new(across);
            scene.file("first", "earlier");
            assert_eq!(scene.take("first", 1).unwrap(), Some(1));
            scene.file("second", "earlier");
            assert_eq!(scene.take("second", FREE).unwrap(), Some(FREE));
            scene.file(".envrc", "planted");
            assert_eq!(scene.take(".envrc", 1).unwrap(), Some(FREE + 1));
            assert!(!scene.project.path().join(".envrc").exists());
            assert_eq!(fs::read(scene.aside(&(FREE + 1).to_string())).unwrap(), b"planted");
            assert_eq!(fs::read(scene.aside("1")).unwrap(), b"earlier");
        }
    }

    #[test]
    fn a_copy_that_was_interrupted_is_finished() {
        let scene = Scene::new(true);
        scene.file(".envrc", "whole");
        fs::create_dir(scene.session.path().join("aside")).unwrap();
        fs::write(scene.aside("1.part"), "half").unwrap();
        assert_eq!(scene.take(".envrc", 1).unwrap(), Some(1));
        assert_eq!(fs::read(scene.aside("1")).unwrap(), b"whole");
        scene.file("b/.envrc", "whole");
        fs::write(scene.aside("2.copied"), "whole").unwrap();
        assert_eq!(scene.take("b/.envrc", 2).unwrap(), Some(2));
        assert!(!scene.project.path().join("b/.envrc").exists() && scene.aside("2").exists());
    }

    #[test]
    fn permissions_are_no_hindrance() {
        for across in [false, true] {
            let scene = Scene::new(across);
            scene.file("a/.husky/_/run", "x");
            let at = |path: &str| scene.project.path().join(path);
            for (path, mode) in
                [("a/.husky/_/run", 0), ("a/.husky/_", 0), ("a/.husky", 0o555), ("a", 0o555)]
            {
                fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
            }
            assert_eq!(scene.take("a/.husky", 1).unwrap(), Some(1));
            assert!(!at("a/.husky").exists());
            assert_eq!(fs::metadata(at("a")).unwrap().mode() & 0o777, 0o555);
            fs::set_permissions(at("a"), Permissions::from_mode(0o755)).unwrap();
            let below = scene.aside("1/_");
            fs::set_permissions(below.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(&below, Permissions::from_mode(0o755)).unwrap();
            assert!(below.join("run").exists());
        }
    }

    #[test]
    fn a_fifo_and_a_socket_are_moved_like_files() {
        for across in [false, true] {
            let scene = Scene::new(across);
            let at = |path: &str| scene.project.path().join(path);
            fs::create_dir(at(".idea")).unwrap();
            for (number, path) in [(1, ".envrc"), (2, ".mcp.json"), (3, ".idea/x")] {
                let kind = if number == 2 { FileType::Socket } else { FileType::Fifo };
                mknodat(CWD, at(path), kind, Mode::RUSR | Mode::WUSR, 0).unwrap();
                let unit = path.split('/').next().unwrap();
                assert_eq!(scene.take(unit, number).unwrap(), Some(number), "{path}");
                assert!(!at(unit).exists());
                scene.give(unit, number).unwrap();
                let mode = fs::symlink_metadata(at(path)).unwrap().mode();
                assert_eq!(FileType::from_raw_mode(mode), kind, "{path}");
            }
        }
    }

    #[test]
    fn what_is_too_large_to_be_copied_stays() {
        let scene = Scene::new(true);
        scene.file(".vscode/a", "");
        let large = scene.project.path().join(".vscode/large");
        fs::File::create(&large).unwrap().set_len(MOST_BYTES + 1).unwrap();
        let why = scene.take(".vscode", 1).unwrap_err().to_string();
        assert!(why.contains("too much"), "{why}");
        assert!(large.exists());
        assert_eq!(fs::read_dir(scene.session.path().join("aside")).unwrap().count(), 0);
        let mut deep = scene.project.path().join(".idea");
        for _ in 0..=DEEPEST {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        assert!(scene.take(".idea", 2).is_err() && deep.exists());
    }
}
