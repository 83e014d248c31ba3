//! Tells that something may have happened to the branches of a private git directory (inotify(7), from
//! outside). It is for the clock only: what counts is what a look says. It must never follow a link of
//! the agent's, nor let what happens there grow a queue without bounds.
#![forbid(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::nofollow::{self, DIRECTORY};
use crate::sys::fds::proc_path;

/// Directories that are watched.
const MOST: usize = 256;
/// What is read at one time.
const AT_ONCE: usize = 1024;

/// The watch.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    root: OwnedFd,
    watched: usize,
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    /// When the kernel has no inotify left for this user; then one has to look now and then.
    pub fn begin(private: &Path) -> Result<Self, Errno> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let root = openat(CWD, private, OFlags::PATH | DIRECTORY, Mode::empty())?;
        let mut watch = Self { inotify, root, watched: 0 };
        watch.all()?;
        Ok(watch)
    }

    /// The directory itself, for `packed-refs`, and those that hold refs. One that is watched already
    /// stays so: to the kernel it is the same watch.
    fn all(&mut self) -> Result<(), Errno> {
        self.watched = 0;
        self.add(Path::new(""))?;
        let mut open: Vec<PathBuf> = vec!["refs/heads".into(), "reftable".into()];
        while let Some(path) = open.pop() {
            if self.watched >= MOST || self.add(&path).is_err() {
                continue;
            }
            let Ok(directory) = nofollow::beneath(&self.root, &path, OFlags::RDONLY) else {
                continue;
            };
            let entries = Dir::read_from(&directory).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type() == FileType::Directory);
            let names = below.map(|entry| entry.file_name().to_bytes().to_vec());
            for name in names.filter(|name| !matches!(name.as_slice(), b"." | b"..")).take(MOST) {
                let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&name);
                open.push(path.join(name));
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path) -> Result<(), Errno> {
        let directory = nofollow::beneath(&self.root, path, OFlags::PATH | OFlags::DIRECTORY)?;
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.inotify, proc_path(&directory), flags)?;
        self.watched += 1;
        Ok(())
    }

    /// Takes note that something happened, and watches what is new.
    ///
    /// # Errors
    /// When the watch is over.
    pub fn read(&mut self) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        // Not until there is none: who makes them faster than we read would never let us go.
        for _ in 0..AT_ONCE {
            match reader.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        self.all()
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
