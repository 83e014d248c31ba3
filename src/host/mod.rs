//! What this machine is and can do, probed once at the edge. `Host` is plain data, so that an old
//! kernel or another distribution is a test fixture; `Facts` answers questions about single files.
//! It must never decide anything: that is policy's.

mod bwrap;
pub mod cgroup;
mod disk;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod follow;
mod probe;
pub(crate) mod reached;
pub(crate) mod search;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use cgroup::Cgroups;
pub use disk::Disk;
pub use seen::Seen;

use crate::dirs::Dirs;
use crate::error::Result;
use crate::git::private::linked::Linked;
use crate::git::private::repository::Repository;
use crate::host_files::survey::{FirstLook, Survey};

/// The machine and the caller, as found at start.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The effective user and group.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// The user's name; the number where it has none.
    pub user: OsString,
    /// The home directory, canonical where it exists; `environment` has it as the caller names it.
    pub home: PathBuf,
    /// The caller's environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// The current directory, as the caller reached it (not canonical).
    pub cwd: PathBuf,
    /// The project that the command line names, as it was typed: no program is taken from it.
    pub named: Option<PathBuf>,
    /// This program.
    pub executable: PathBuf,
    /// Where claudebox keeps things.
    pub dirs: Dirs,
    /// The bwrap there is; see [`Host::find_bwrap`].
    pub bwrap: Option<Bwrap>,
    /// The Landlock ABI, 0 for none.
    pub landlock_abi: u32,
    /// uname(2) release.
    pub kernel: String,
    /// uname(2) nodename: what this machine calls itself.
    pub name: OsString,
    /// The machine's memory, bytes.
    pub memory: u64,
    /// Where limits on everything inside together can come from.
    pub cgroups: Cgroups,
    /// Columns and rows of the terminal on standard input, if it is one.
    pub terminal: Option<(u16, u16)>,
}

impl Host {
    /// Major and minor of the kernel's release, such as `6.12.107+deb13-amd64`.
    pub fn kernel_version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.kernel.split(|ch: char| !ch.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// What is known of bwrap. Distributions backport, so options are probed and versions are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bwrap {
    /// The program, absolute.
    pub path: PathBuf,
    /// The long options of `bwrap --help`, with their dashes.
    pub options: BTreeSet<String>,
    /// It is setuid root (refused: CVE-2026-41163).
    pub setuid: bool,
}

impl Bwrap {
    /// Whether this bwrap has the option, dashes included.
    pub fn has(&self, option: &str) -> bool {
        self.options.contains(option)
    }
}

/// What a path is; symbolic links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, device or FIFO.
    Other,
}

/// lstat(2), as far as policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// What it is.
    pub kind: FileKind,
    /// Its owner.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// The bytes of a regular file.
    pub size: u64,
    /// When it was made, in nanoseconds of the Unix epoch (statx(2) `STATX_BTIME`, which cannot be
    /// set); `None` where the file system does not tell.
    pub born: Option<u128>,
    /// Its device and inode numbers.
    pub number: (u64, u64),
}

impl FileFacts {
    /// By what it is found again where it has another path by now.
    pub fn identity(&self) -> Identity {
        let Self { born, number: (device, inode), .. } = *self;
        Identity { born, inode, device }
    }
}

/// Which directory one is, whatever its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// See [`FileFacts::born`].
    pub born: Option<u128>,
    /// Its inode number.
    pub inode: u64,
    /// The number of its device, which some file systems have anew at each mount.
    pub device: u64,
}

impl Identity {
    /// Whether both are of one directory. When it was made, and its inode, say that for any device.
    pub fn is_of(&self, other: &Self) -> bool {
        let same = self.inode == other.inode && self.born == other.born;
        same && (self.born.is_some() || self.device == other.device)
    }
}

/// What a session could write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it was then.
    pub path: PathBuf,
    /// What it was.
    pub identity: Option<Identity>,
}

impl From<PathBuf> for Written {
    fn from(path: PathBuf) -> Self {
        Self { path, identity: None }
    }
}

/// The program that knows what a path of the store of Nix needs.
pub const NIX_STORE: &str = "nix-store";

/// Questions about single files. A map in tests, the disk in life; so resolving stays pure.
pub trait Facts {
    /// lstat(2); `None` where there is nothing or it cannot be seen.
    fn lstat(&self, path: &Path) -> Option<FileFacts>;
    /// readlink(2).
    fn read_link(&self, path: &Path) -> Option<PathBuf>;
    /// realpath(3).
    fn canonicalize(&self, path: &Path) -> Option<PathBuf>;
    /// The first `max` bytes of a regular file.
    fn read_head(&self, path: &Path, max: usize) -> Option<Vec<u8>>;
    /// See [`Host::program`].
    fn program(&self, host: &Host, name: &str, also: Option<&Path>) -> Option<PathBuf>;
    /// The host-executable files of a project, as far as a start may look for them. `own_git`:
    /// its `.git` is its own repository.
    fn host_files(&self, project: &Path, look: &FirstLook<'_>) -> Survey;
    /// The repository of a project whose `.git` is a directory, or that of a linked worktree, as the
    /// host's git sees it.
    ///
    /// # Errors
    /// When there is no git, or it cannot read the repository's configuration.
    fn repository(
        &self,
        project: &Path,
        linked: Option<&Linked>,
        host: &Host,
    ) -> Result<Repository>;
    /// Where agents could write: the projects of all sessions that are known, and what else was writable in
    /// them.
    fn projects(&self, host: &Host) -> Vec<Written>;
    /// The names of the symbolic links in a directory, sorted.
    fn links(&self, path: &Path) -> Vec<OsString>;
    /// These paths of the store of Nix and all that they need, as its database says.
    ///
    /// # Errors
    /// When it cannot be asked; why, in words.
    fn requisites(&self, host: &Host, paths: &[PathBuf]) -> Result<Vec<PathBuf>, String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        let version =
            |kernel: &str| Host { kernel: kernel.into(), ..Host::default() }.kernel_version();
        assert_eq!(version("6.12.107+deb13-amd64"), Some((6, 12)));
        assert_eq!(version("5.4"), Some((5, 4)));
        assert_eq!(version("strange"), None);
    }
}
