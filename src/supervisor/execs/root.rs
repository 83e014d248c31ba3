//! The sandbox's file tree as seen from outside: what a path in it names, and whether the sandbox
//! could have written what is there. Every path is resolved below the sandbox's root, so that no
//! link leads out of it; nothing here is ever opened for writing or executed.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Access, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::io::Errno;

use super::head::{self, Head, Loader, Script};
use super::record::{Called, FileId, Names};
use crate::bytes::Bytes;
use crate::sys::fds::proc_path;

/// openat2(2) gives up when something is renamed meanwhile.
const TRIES: u32 = 8;
/// Executables whose start code was looked at.
const REMEMBERED: usize = 512;
/// Enough for the program headers and the loader's name of any real executable.
const BEGINNING: usize = 8192;

/// Who wrote the code that a program runs before its C library is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartCode {
    /// It lies where the sandbox cannot write.
    Fixed,
    /// The sandbox can write it, or it is not a file of the sandbox's tree at all.
    Writable,
    /// It could not be read.
    Unclear,
}

/// The sandbox's root.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    /// Keeps the sandbox's mount namespace: without it the mounts below the root would go with the
    /// last process inside, and paths would lead to what they covered.
    _mounts: OwnedFd,
    /// By file and the time of its last change; only of files the sandbox cannot write.
    start_code: HashMap<(FileId, i64, u64), StartCode>,
    /// What was looked up since [`Root::forget`].
    recent: HashMap<Bytes, Option<FileId>>,
}

/// A file of the sandbox's tree.
#[derive(Debug)]
pub struct Found {
    fd: OwnedFd,
    /// Which.
    pub id: FileId,
    /// It is a regular file.
    regular: bool,
}

impl Root {
    /// `fd` is an `O_PATH` descriptor of the sandbox's `/`, `pid` a process of the sandbox, which
    /// must live at this moment.
    ///
    /// # Errors
    /// When the mount namespace of the process cannot be opened.
    pub fn new(fd: OwnedFd, pid: i32) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = rustix::fs::open(format!("/proc/{pid}/ns/mnt"), flags, Mode::empty())?;
        Ok(Self { fd, _mounts: mounts, start_code: HashMap::new(), recent: HashMap::new() })
    }

    /// What an absolute path names.
    pub fn find(&self, path: &Bytes) -> Result<Found, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&self.fd, path.as_path(), flags, Mode::empty(), resolve);
        let mut found = open();
        for _ in 1..TRIES {
            if !matches!(found, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
            found = open();
        }
        let fd = found?;
        let stat = rustix::fs::fstat(&fd)?;
        let regular = FileType::from_raw_mode(stat.st_mode).is_file();
        Ok(Found { fd, id: FileId::of(&stat), regular })
    }

    /// Begins anew with execs that have all happened before this moment: what a path names from
    /// now on can be remembered for all of them.
    pub fn forget(&mut self) {
        self.recent.clear();
    }

    /// The file an exec's path names.
    pub fn named(&mut self, called: &Called) -> Option<FileId> {
        let path = match &called.names {
            Names::Path(path) => path,
            Names::File(id) => return Some(*id),
            Names::Unknown => return None,
        };
        if let Some(known) = self.recent.get(path) {
            return *known;
        }
        let found = self.find(path).ok().map(|found| found.id);
        self.recent.insert(path.clone(), found);
        found
    }

    /// This executable (any open descriptor of it) where the tree has it under its own name.
    ///
    /// # Errors
    /// When that could not be found out.
    pub fn holds(&self, exe: BorrowedFd<'_>) -> Result<Option<Found>, Errno> {
        let id = FileId::of(&rustix::fs::fstat(exe)?);
        let Some(name) = name(exe).filter(|name| name.0.starts_with(b"/")) else { return Ok(None) };
        match self.find(&name) {
            Ok(found) => Ok(Some(found).filter(|found| found.id == id)),
            Err(errno) => of_the_file(errno).map(|_| None).ok_or(errno),
        }
    }

    /// Who wrote the start code of this executable: its loader's, or its own.
    pub fn start_code(&mut self, exe: BorrowedFd<'_>) -> StartCode {
        let (stat, found) = match (rustix::fs::fstat(exe), self.holds(exe)) {
            (Ok(stat), Ok(Some(found))) if found.is_fixed() => (stat, found),
            (Ok(_), Ok(_)) => return StartCode::Writable,
            _ => return StartCode::Unclear,
        };
        let key = (found.id, stat.st_ctime, stat.st_ctime_nsec);
        if let Some(known) = self.start_code.get(&key) {
            return *known;
        }
        let code = self.loader_code(&found);
        if code == StartCode::Unclear {
            return code;
        }
        if self.start_code.len() >= REMEMBERED {
            self.start_code.clear();
        }
        self.start_code.insert(key, code);
        code
    }

    /// The same for a file that the sandbox cannot write itself.
    fn loader_code(&self, found: &Found) -> StartCode {
        let Some((file, beginning)) = found.read(BEGINNING) else { return StartCode::Unclear };
        let (offset, len) = match head::loader(&beginning) {
            Loader::None => return StartCode::Fixed,
            Loader::Unclear => return StartCode::Unclear,
            Loader::At(offset, len) => (offset, len),
        };
        let mut name = vec![0; len];
        if file.read_exact_at(&mut name, offset).is_err() {
            return StartCode::Unclear;
        }
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        // A relative loader is looked up in whatever directory the caller is in.
        if !name.starts_with(b"/") {
            return StartCode::Writable;
        }
        match self.find(&Bytes::from(name)) {
            Ok(loader) if loader.is_fixed() => StartCode::Fixed,
            Err(errno) if of_the_file(errno).is_none() => StartCode::Unclear,
            _ => StartCode::Writable,
        }
    }

    /// What a script's first line says.
    pub fn script(&self, path: &Bytes) -> Option<Script> {
        match self.find(path).ok()?.head()? {
            Head::Script(script) => Some(script),
            Head::Elf | Head::Other => None,
        }
    }

    /// The error that this exec would meet now, as far as files tell. `None`: none, or it cannot
    /// be told.
    pub fn predict(&self, called: &Called) -> Option<Errno> {
        if let Some(unread) = called.unread {
            let told = matches!(unread, nix::Error::EFAULT | nix::Error::ENAMETOOLONG);
            return told.then_some(Errno::from_raw_os_error(unread as i32));
        }
        if called.path.0.is_empty() && called.at.is_none() {
            return Some(Errno::NOENT);
        }
        let Names::Path(path) = &called.names else { return None };
        match self.predict_file(path) {
            Ok(Head::Elf) => None,
            Ok(Head::Other) => Some(Errno::NOEXEC),
            Ok(Head::Script(script)) => {
                let interpreter = Bytes(script.interpreter);
                if interpreter.0.starts_with(b"/") {
                    self.predict_file(&interpreter).err().and_then(of_the_file)
                } else {
                    None
                }
            }
            Err(errno) => of_the_file(errno),
        }
    }

    fn predict_file(&self, path: &Bytes) -> Result<Head, Errno> {
        let found = self.find(path)?;
        if !found.regular {
            return Err(Errno::ACCESS);
        }
        rustix::fs::access(proc_path(&found.fd), Access::EXEC_OK)?;
        // Executable and not readable: nothing more can be told.
        Ok(found.head().unwrap_or(Head::Elf))
    }
}

impl Found {
    /// The sandbox cannot write it: the mount it was found in is read-only.
    fn is_fixed(&self) -> bool {
        self.regular
            && rustix::fs::fstatvfs(&self.fd)
                .is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    fn head(&self) -> Option<Head> {
        self.read(head::LOOKED_AT).map(|(_, beginning)| head::parse(&beginning))
    }

    /// Its beginning. Only a regular file is opened: others could make us wait.
    fn read(&self, len: usize) -> Option<(File, Vec<u8>)> {
        if !self.regular {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(proc_path(&self.fd), flags, Mode::empty()).ok()?);
        let mut beginning = vec![0; len];
        let mut have = 0;
        while let Some(rest) = beginning.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, have as u64).ok()? {
                0 => break,
                got => have += got,
            }
        }
        beginning.truncate(have);
        Some((file, beginning))
    }
}

/// An error that the caller would meet too, and not only we: no descriptor left, for instance.
fn of_the_file(errno: Errno) -> Option<Errno> {
    let of_the_file = matches!(
        errno,
        Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG
    );
    of_the_file.then_some(errno)
}

/// The name of an open file in the sandbox's own words.
pub fn name(file: BorrowedFd<'_>) -> Option<Bytes> {
    let name = rustix::fs::readlink(proc_path(&file), Vec::with_capacity(128)).ok()?;
    Some(Bytes(name.into_bytes()))
}
