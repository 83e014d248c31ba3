//! The project's directory, as a stranger's files are read in it. No component below it may be a
//! symbolic link, which could make the project's file mean another one.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::library::MAX_SIZE;
use super::origin::LayerKind;
use super::source::Source;
use crate::error::{Error, Result, Tried as _};
use crate::nofollow;
use crate::visible::visible_path;

/// The project directory, held open, so that every file is looked up from the same place.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens the project (absolute; links up to and including it are the user's own).
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .tried(|| format!("open {}", visible_path(path)))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The text of a file below the project; `None` where there is none. No component below the
    /// project may be a symbolic link (openat2(2), Linux 5.6).
    pub(super) fn read(&self, path: &Path) -> Result<Option<Source>> {
        let shown = visible_path(&self.path.join(path));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = match nofollow::beneath(&self.fd, path, flags) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::LOOP) => {
                return Err(Error::usage(format!("{shown} is, or is behind, a symbolic link"))
                    .hint("a project's own profile must be a plain file; copy it there"));
            }
            Err(err) => return Err(err).tried(|| format!("open {shown}")),
        };
        let file = File::from(fd);
        if !file.metadata().tried(|| format!("read {shown}"))?.is_file() {
            return Err(Error::usage(format!("{shown} is not a regular file")));
        }
        let mut bytes = Vec::new();
        let taken = file.take(MAX_SIZE + 1).read_to_end(&mut bytes);
        if taken.tried(|| format!("read {shown}"))? as u64 > MAX_SIZE {
            return Err(Error::usage(format!("{shown} is larger than 1 MiB")));
        }
        Source::new(LayerKind::Project, shown, bytes).map(Some)
    }
}
