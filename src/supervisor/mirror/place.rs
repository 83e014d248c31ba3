//! A JSON file that somebody else may replace at any moment, by descriptor: no link is followed on
//! the way to it or at its end, and it is replaced by renaming, so that nobody reads half of it.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::exchange::{Keys, Object};
use super::named::Named;
use crate::nofollow::{self, remove};
use crate::sys::fds::proc_path;
use crate::visible::visible_path;

/// The largest file that is read, in bytes; as where the copy is made.
const LARGEST: u64 = 4 << 20;

/// Inode, size and change time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64, i64, i64, i128);

/// Where a file is, or will be.
#[derive(Debug)]
pub(super) struct Place {
    /// A directory that is trusted.
    root: PathBuf,
    /// The directory of the file, relative to the root.
    directory: PathBuf,
    /// Its name.
    name: PathBuf,
}

impl Place {
    /// `path` below `root`, or absolute below `/`.
    pub(super) fn new(root: &Path, path: &Path) -> Self {
        let path = path.strip_prefix("/").unwrap_or(path);
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        Self { root: root.to_owned(), directory, name }
    }

    /// The object in it; empty where there is no file.
    ///
    /// # Errors
    /// Where it is no regular file, is too large, or holds no JSON object.
    pub(super) fn read(&self) -> io::Result<Object> {
        match self.text()? {
            Some(text) => Ok(serde_json::from_slice(&text)?),
            None => Ok(Object::new()),
        }
    }

    /// What it holds of these keys. The rest costs no memory, however an agent has written it.
    ///
    /// # Errors
    /// See [`Place::read`].
    pub(super) fn read_named(&self, keys: Keys<'_>) -> io::Result<Object> {
        match self.text()? {
            Some(text) => Ok(Named(keys).read(&text)?),
            None => Ok(Object::new()),
        }
    }

    fn text(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open()? else { return Ok(None) };
        let mut text = Vec::new();
        if file.take(LARGEST + 1).read_to_end(&mut text)? as u64 > LARGEST {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(Some(text))
    }

    fn open(&self) -> Result<Option<File>, Errno> {
        let directory = match self.directory() {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        // O_NONBLOCK: a FIFO would wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = match openat(directory, &self.name, flags | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
            FileType::RegularFile => Ok(Some(File::from(fd))),
            _ => Err(Errno::INVAL),
        }
    }

    /// Takes away what stands in its place and cannot be opened as a file: an agent has left it there.
    /// Nothing inside may run.
    ///
    /// # Errors
    /// Where that fails, or its directory is not there.
    pub(super) fn clear(&self) -> io::Result<()> {
        if self.open().is_ok() {
            return Ok(());
        }
        let name = CString::new(self.name.as_os_str().as_bytes())?;
        Ok(remove(&self.directory()?, &name)?)
    }

    /// Replaces it. Its permissions stay; a new one is the caller's alone.
    ///
    /// # Errors
    /// Where its directory is not there or cannot be written.
    pub(super) fn write(&self, object: &Object) -> io::Result<()> {
        self.write_if(object, || true).map(drop)
    }

    /// The same, if at the last moment it is `still` to be; answers whether it was.
    ///
    /// # Errors
    /// See [`Place::write`].
    pub(super) fn write_if(&self, object: &Object, still: impl Fn() -> bool) -> io::Result<bool> {
        let mode = match self.open()? {
            Some(file) => Mode::from_raw_mode(fstat(&file)?.st_mode & 0o666),
            None => Mode::RUSR | Mode::WUSR,
        };
        let mut text = serde_json::to_vec_pretty(object)?;
        text.push(b'\n');
        let directory = self.directory()?;
        let mut temporary = self.name.clone().into_os_string();
        temporary.push(format!(".claudebox.{}", std::process::id()));
        match unlinkat(&directory, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let new = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(openat(&directory, &temporary, flags | OFlags::CLOEXEC, new)?);
        // Not by the opening, which obeys the caller's umask(2).
        let allowed = fchmod(&file, mode).map_err(io::Error::from);
        let written = allowed.and_then(|()| file.write_all(&text)).and_then(|()| {
            let still = still();
            if still {
                renameat(&directory, &temporary, &directory, &self.name)?;
            }
            Ok(still)
        });
        if !matches!(written, Ok(true)) {
            let _ = unlinkat(&directory, &temporary, AtFlags::empty());
        }
        written
    }

    /// Differs when somebody has written it; `None` where there is no file.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let stat = fstat(self.open().ok()??).ok()?;
        Some(Stamp(stat.st_ino, stat.st_size, stat.st_ctime, stat.st_ctime_nsec.into()))
    }

    /// Watches its directory.
    pub(super) fn watch(&self, inotify: &OwnedFd, flags: WatchFlags) -> Result<(), Errno> {
        let directory = self.directory()?;
        inotify::add_watch(inotify, proc_path(&directory), flags).map(drop)
    }

    fn directory(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, &self.root, flags | OFlags::PATH, Mode::empty())?;
        nofollow::beneath(root, &self.directory, flags | OFlags::RDONLY)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible_path(&self.root.join(&self.directory).join(&self.name)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use serde_json::json;

    use super::*;

    fn object(value: serde_json::Value) -> Object {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_file_is_replaced_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let place = Place::new(dir.path(), Path::new("a/f.json"));
        assert_eq!(place.read().unwrap(), Object::new());
        let path = dir.path().join("a/f.json");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        place.write(&object(json!({"k": 1}))).unwrap();
        assert_eq!((place.read().unwrap(), mode()), (object(json!({"k": 1})), 0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        place.write(&object(json!({"k": 2}))).unwrap();
        assert_eq!(mode(), 0o640);
        // Narrower by every usual umask.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        place.write(&object(json!({"k": 2}))).unwrap();
        assert_eq!(mode(), 0o666);
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
        let whole = Place::new(Path::new("/"), &path);
        assert_eq!(whole.read().unwrap(), object(json!({"k": 2})));
    }

    #[test]
    fn what_somebody_else_has_written_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.json");
        let place = Place::new(dir.path(), Path::new("f.json"));
        for before in [None, Some("{}")] {
            if let Some(text) = before {
                fs::write(&path, text).unwrap();
            }
            let stamp = place.stamp();
            let still = || place.stamp() == stamp;
            assert!(still());
            fs::write(&path, r#"{"theirs": 1}"#).unwrap();
            assert!(!place.write_if(&object(json!({"ours": 1})), still).unwrap());
            assert_eq!(place.read().unwrap(), object(json!({"theirs": 1})));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn no_link_is_followed_and_nothing_but_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "{}").unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        let home = dir.path().join("home");
        let place = |path: &str| Place::new(&home, Path::new(path));
        symlink(&victim, home.join("link")).unwrap();
        symlink(dir.path(), home.join("up")).unwrap();
        rustix::fs::mkfifoat(CWD, home.join("fifo"), Mode::RWXU).unwrap();
        fs::write(home.join("text"), "[1]").unwrap();
        for path in ["link", "up/victim", "fifo", "text"] {
            assert!(place(path).read().is_err(), "{path}");
        }
        for path in ["link", "up/victim", "up/new"] {
            assert!(place(path).write(&object(json!({"k": 1}))).is_err(), "{path}");
        }
        assert_eq!(fs::read(&victim).unwrap(), b"{}");
        assert!(!dir.path().join("new").exists());
    }
}
