//! The operations that build the file tree inside, and the view of the tree they build.
//! A list of them is ordered, and the order is policy. It must never do I/O.
#![forbid(unsafe_code)]

use std::path::{Component, Path, PathBuf};

use crate::bytes::Bytes;
use crate::host::{Facts, FileKind};
use crate::lexical::is_below;
use crate::profile::origin::Origin;

/// One operation. The names are bwrap's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// A part of the host.
    Bind {
        /// Where it is on the host.
        source: Source,
        /// Where it appears.
        destination: PathBuf,
        /// What may be done with it.
        access: Access,
        /// What kind of mount point it needs.
        node: Node,
    },
    /// A small file of the host, as it is now, in the (in-memory) root: `--file`. A mount for each
    /// of some thirty files of `/etc` cost more than half of bwrap's time.
    Copy {
        /// Where it is on the host; every component is root's.
        source: PathBuf,
        /// Where it appears.
        destination: PathBuf,
    },
    /// A small file that claudebox writes itself, read-only.
    File {
        /// Where it appears.
        destination: PathBuf,
        /// Its content.
        content: Bytes,
        /// It is mounted (`--ro-bind-data`), over a file of the host or where the root is not;
        /// else it is made in the (in-memory) root (`--file`).
        mounted: bool,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Where it appears.
        destination: PathBuf,
        /// The permission bits of its root.
        mode: u32,
        /// Bytes.
        size: u64,
    },
    /// A symbolic link in the (in-memory) root.
    Symlink {
        /// What it points to.
        target: PathBuf,
        /// Where it appears.
        destination: PathBuf,
    },
    /// A directory in a tmpfs.
    Directory {
        /// Where it appears.
        destination: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// An empty file that nobody can open, over a file that is hidden.
    Mask {
        /// Where it appears.
        destination: PathBuf,
    },
    /// A procfs of the new pid namespace, at `/proc`.
    Proc,
    /// A minimal `/dev`, with a devpts of its own.
    Dev,
    /// Makes a mount read-only; what is mounted below it stays as it is.
    RemountReadOnly {
        /// The mount.
        destination: PathBuf,
    },
}

/// Where a bind comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path in which every component is root's or claudebox's own.
    Trusted(PathBuf),
    /// `path` below `root`, opened without following a symbolic link below `root`: an agent, or
    /// the author of a repository, can write there.
    Beneath {
        /// The directory that is trusted.
        root: PathBuf,
        /// The rest, relative.
        path: PathBuf,
    },
    /// A path relative to the session's directory, which is made after the policy: nothing of it is on
    /// the disk yet, and every component will be claudebox's own.
    Session(PathBuf),
}

/// Stands for the session's directory where a path is shown.
const SESSION: &str = "<session>";

impl Source {
    /// A canonical path, no component of which may become a link between now and the mount.
    pub fn canonical(path: &Path) -> Self {
        let rest = path.strip_prefix("/").unwrap_or(path).to_owned();
        Self::Beneath { root: "/".into(), path: rest }
    }

    /// The path on the host. What is the session's has none yet; a relative path stands for it.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Trusted(path) => path.clone(),
            Self::Session(path) => Path::new(SESSION).join(path),
            Self::Beneath { root, path } if path.as_os_str().is_empty() => root.clone(),
            Self::Beneath { root, path } => root.join(path),
        }
    }
}

/// What may be done with a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `--ro-bind`
    Read,
    /// `--bind`
    Write,
}

/// What a mount point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A file (also for a socket).
    File,
}

impl Node {
    /// The mount point that something of this kind needs.
    pub fn of(kind: FileKind) -> Self {
        if kind == FileKind::Directory { Self::Directory } else { Self::File }
    }
}

impl Mount {
    /// Where it takes effect.
    pub fn destination(&self) -> &Path {
        match self {
            Self::Bind { destination, .. }
            | Self::Copy { destination, .. }
            | Self::File { destination, .. }
            | Self::Tmpfs { destination, .. }
            | Self::Symlink { destination, .. }
            | Self::Directory { destination, .. }
            | Self::Mask { destination }
            | Self::RemountReadOnly { destination } => destination,
            Self::Proc => Path::new("/proc"),
            Self::Dev => Path::new("/dev"),
        }
    }
}

/// Why a mount is there; decides which of two with one destination is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// `/dev`, `/proc`, the tmpfs, claudebox itself.
    Own,
    /// `files.system`
    System,
    /// The private home, and directories of it that hold mount points.
    Home,
    /// The agent's state directories.
    State,
    /// `tools`, and what the agent's program needs.
    Tools,
    /// `sockets`
    Socket,
    /// `files.read-write` and `files.read-only`.
    Files,
    /// The project.
    Project,
    /// `.git` and the parts of it that are read-only.
    Git,
    /// Host-executable files of the project, and the directories on the way to them.
    HostFile,
    /// `--bind` and `--ro-bind`.
    CommandLine,
    /// `files.hide`
    Hide,
    /// What is made read-only when everything stands.
    Seal,
}

/// A mount with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub mount: Mount,
    /// Which rule made it.
    pub class: Class,
    /// A few words for a person.
    pub why: String,
    /// Who asked for it; `None` for what is always so.
    pub origin: Option<Origin>,
}

impl Step {
    /// It appears at this path. Both are clean, so bytes decide: comparing components took a fifth
    /// of the time to settle a policy.
    pub fn is_at(&self, path: &Path) -> bool {
        self.mount.destination().as_os_str() == path.as_os_str()
    }

    /// It appears above this path.
    pub fn is_above(&self, path: &Path) -> bool {
        is_below(path, self.mount.destination()) && !self.is_at(path)
    }
}

/// Answers what is visible inside, from the mounts in their order and the facts of the host.
#[derive(Clone, Copy)]
pub struct View<'a> {
    steps: &'a [Step],
    facts: &'a dyn Facts,
}

impl<'a> View<'a> {
    /// The view of these steps.
    pub fn of(steps: &'a [Step], facts: &'a dyn Facts) -> Self {
        Self { steps, facts }
    }

    /// The steps.
    pub fn steps(&self) -> &'a [Step] {
        self.steps
    }

    /// The step that decides what is at `path`: the deepest at or above it, but a hide before any
    /// other, since hides are mounted last. (All that match are prefixes of one path, so the longest
    /// is the deepest.)
    pub fn covering(&self, path: &Path) -> Option<&'a Step> {
        self.steps
            .iter()
            .filter(|step| is_below(path, step.mount.destination()))
            .filter(|step| !matches!(step.mount, Mount::RemountReadOnly { .. }))
            .max_by_key(|step| {
                (step.class == Class::Hide, step.mount.destination().as_os_str().len())
            })
    }

    /// Where a path inside, no component of which is a link, is on the host.
    pub fn host_path(&self, path: &Path) -> Option<PathBuf> {
        match &self.covering(path)?.mount {
            Mount::Bind { source, destination, .. } => {
                let rest = path.strip_prefix(destination).ok()?;
                let host = source.path();
                Some(if rest.as_os_str().is_empty() { host } else { host.join(rest) })
            }
            Mount::Copy { source, destination } if destination == path => Some(source.clone()),
            _ => None,
        }
    }

    /// The path inside with every link followed as the kernel would inside, and what is there.
    /// `None` where nothing is, or nothing of the host.
    pub fn resolve(&self, path: &Path) -> Option<Found> {
        self.walk(path, 0)
    }

    fn walk(&self, path: &Path, depth: usize) -> Option<Found> {
        let mut inside = PathBuf::from("/");
        let mut components = path.components();
        components.next().filter(|root| *root == Component::RootDir)?;
        while let Some(component) = components.next() {
            if component == Component::ParentDir {
                inside.pop();
                continue;
            }
            let next = inside.join(component);
            match self.link(&next) {
                Some(_) if depth > 40 => return None,
                Some(target) => {
                    let rest = components.as_path();
                    return self.walk(&inside.join(target).join(rest), depth + 1);
                }
                None => inside = next,
            }
        }
        let host = self.host_path(&inside)?;
        let kind = self.facts.lstat(&host)?.kind;
        Some(Found { inside, host, kind })
    }

    /// The target of the link at `path` inside, if it is one.
    fn link(&self, path: &Path) -> Option<PathBuf> {
        let covering = self.covering(path)?;
        match &covering.mount {
            Mount::Symlink { target, destination } if destination == path => Some(target.clone()),
            Mount::Bind { destination, .. } if destination == path => None,
            Mount::Bind { .. } => self.facts.read_link(&self.host_path(path)?),
            _ => None,
        }
    }
}

/// Something of the host that is visible inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path inside, canonical.
    pub inside: PathBuf,
    /// Its path on the host.
    pub host: PathBuf,
    /// What it is.
    pub kind: FileKind,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::host::fake::FakeDisk;

    pub(crate) fn bind(source: &str, destination: &str, access: Access) -> Step {
        Step {
            mount: Mount::Bind {
                source: Source::canonical(Path::new(source)),
                destination: destination.into(),
                access,
                node: Node::Directory,
            },
            class: Class::Files,
            why: String::new(),
            origin: None,
        }
    }

    #[test]
    fn links_are_followed_as_inside() {
        let disk = FakeDisk::of(0)
            .program("/usr/bin/dash", "")
            .link("/usr/bin/sh", "dash")
            .link("/usr/bin/leak", "/home/u/.ssh/id")
            .file("/home/u/.ssh/id", "secret")
            .file("/srv/other/id", "");
        let mut steps = vec![bind("/usr", "/usr", Access::Read)];
        let link = |target: &str, destination: &str| Step {
            mount: Mount::Symlink { target: target.into(), destination: destination.into() },
            ..bind("/usr", "/usr", Access::Read)
        };
        steps.push(link("usr/bin", "/bin"));
        let view = View::of(&steps, &disk);
        let sh = view.resolve(Path::new("/bin/sh")).unwrap();
        assert_eq!(sh.inside, Path::new("/usr/bin/dash"));
        assert_eq!(sh.kind, FileKind::File);
        assert_eq!(view.resolve(Path::new("/bin/leak")), None);
        assert_eq!(view.resolve(Path::new("/home/u/.ssh/id")), None);
        steps.push(bind("/srv/other", "/home/u/.ssh", Access::Read));
        let found = View::of(&steps, &disk).resolve(Path::new("/usr/bin/leak")).unwrap();
        assert_eq!(found.host, Path::new("/srv/other/id"));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let disk = FakeDisk::of(0).link("/usr/a", "b").link("/usr/b", "a");
        let steps = [bind("/usr", "/usr", Access::Read)];
        assert_eq!(View::of(&steps, &disk).resolve(Path::new("/usr/a")), None);
    }
}
