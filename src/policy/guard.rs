//! The mounts that make host-executable files read-only inside. A directory that merely contains a mount
//! can be renamed, and another put in its place, so every directory on the way to a mount is a mount
//! itself.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step, View};
use super::project::GitEntry;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::host::FileKind;
use crate::host_files::index::Index;
use crate::host_files::path::{is_at_or_below, join, parent, ways};
use crate::host_files::survey::{Item, Kind, Survey};
use crate::host_files::table::{BARE, NESTED, PROGRAM, is_written_by_git};
use crate::visible::{visible, visible_path};

/// Each costs a start some hundredths of a millisecond, and more the more there are: bwrap reads the
/// table of all mounts for each.
pub(super) const MOST: usize = 64;

/// How many programs are read-only that configurations of git name.
const MOST_PROGRAMS: usize = 128;

/// How many repositories in the project are read-only by their `.git`. Each takes two mounts.
pub(super) const MOST_REPOSITORIES: usize = 64;

/// The rest are read-only with their work tree and, but in the project itself, with the directory that they stand
/// in: so many mounts there may be for these.
pub(super) const MOST_WHOLE: usize = 384;

/// Why most of them are read-only.
const UNTRACKED: &str = "the host executes it, and git does not track it";

/// Adds one after the other.
pub(super) struct Guard<'a, 'd> {
    draft: &'a mut Draft<'d>,
    /// `None`: everything may be tracked.
    index: Option<&'a Index>,
    /// What is read-only by it, or was already.
    pub(super) protected: Vec<Bytes>,
    /// How many there was no room for.
    pub(super) left: usize,
    /// Repositories that are read-only as a whole.
    pub(super) whole: Vec<Bytes>,
    /// How many of each kind are read-only.
    count: Counts,
}

#[derive(Default)]
struct Counts {
    files: usize,
    programs: usize,
    repositories: usize,
    whole: usize,
}

/// What is made read-only, as far as its number goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Files,
    Programs,
    Repositories,
    Whole,
}

impl<'a, 'd> Guard<'a, 'd> {
    pub(super) fn new(draft: &'a mut Draft<'d>, index: Option<&'a Index>) -> Self {
        let (protected, whole) = (Vec::new(), Vec::new());
        Self { draft, index, protected, left: 0, whole, count: Counts::default() }
    }

    fn is_tracked(&self, path: &[u8]) -> bool {
        self.index.is_none_or(|index| index.tracks(path))
    }

    fn is_protected(&self, path: &[u8]) -> bool {
        self.protected.iter().any(|root| is_at_or_below(path, &root.0))
    }

    /// What a configuration of git names, tracked or not: a git outside runs it at its next command. What is in a
    /// nested `.git` is read-only with that.
    pub(super) fn program(&mut self, path: &Path, key: &str) -> Result<()> {
        let nested = path.components().skip(1).any(|name| name.as_os_str() == ".git");
        let found = self.draft.facts.lstat(&self.draft.project.root.join(path));
        match found.filter(|_| !nested) {
            Some(found) => {
                let why = format!("git outside uses it ({key})");
                self.protect(path.as_os_str().as_bytes(), Node::of(found.kind), Of::Programs, &why)
            }
            None => Ok(()),
        }
    }

    /// The empty directory of a submodule that is not initialised: git outside looks into a
    /// repository that is made in it.
    pub(super) fn submodules(&mut self) -> Result<()> {
        let Some(index) = self.index else { return Ok(()) };
        for path in &index.gitlinks {
            let kind = |path: &Path| self.draft.facts.lstat(path).map(|found| found.kind);
            let place = self.draft.project.root.join(OsStr::from_bytes(path));
            if kind(&place) == Some(FileKind::Directory) && kind(&place.join(".git")).is_none() {
                self.protect(path, Node::Directory, Of::Files, UNTRACKED)?;
            }
        }
        Ok(())
    }

    /// What belongs together: a file, or a directory with what is in it.
    pub(super) fn unit(&mut self, path: &Bytes, item: &Item, survey: &Survey) -> Result<()> {
        // Packages come and go as a whole; a mount in one would be in the way. Programs come by themselves.
        if item.package || self.is_protected(&path.0) || *item.entry == PROGRAM {
            return Ok(());
        }
        let own_git = self.draft.project.git == GitEntry::Directory;
        if item.kind == Kind::Link {
            // git.rs says so of the links in the project's own.
            if !(own_git && is_at_or_below(&path.0, b".git")) {
                self.draft.weakened.push(format!(
                    "host files: {} is a symbolic link: the agent can put something else in its place",
                    visible(path)
                ));
            }
            return Ok(());
        }
        // A link leads there: git has to write in its directory, so it is compared.
        if own_git && is_written_by_git(&path.0) {
            return Ok(());
        }
        if *item.entry == BARE {
            let directory = parent(&path.0);
            if directory.is_empty() || self.is_tracked(&join(directory, b"HEAD")) {
                return Ok(());
            }
            return self.protect(directory, Node::Directory, Of::Repositories, UNTRACKED);
        }
        // git never tracks what is called `.git`.
        if *item.entry == NESTED {
            return self.repository(&path.0, node(item));
        }
        if !self.is_tracked(&path.0) {
            return self.protect(&path.0, node(item), Of::Files, UNTRACKED);
        }
        for (below, item) in survey.below(path) {
            if item.kind != Kind::Link && !self.is_protected(&below.0) && !self.is_tracked(&below.0)
            {
                self.protect(&below.0, node(item), Of::Files, UNTRACKED)?;
            }
        }
        Ok(())
    }

    /// The `.git` of a repository in the project. Where there are too many, the work tree with it, and what that
    /// stands in, unless one of these was asked for as writable.
    fn repository(&mut self, path: &[u8], node: Node) -> Result<()> {
        let tree = parent(path);
        let fits = self.count.repositories < MOST_REPOSITORIES;
        if fits || tree.is_empty() || self.is_asked_for(tree) {
            return self.protect(path, node, Of::Repositories, UNTRACKED);
        }
        let why = "repositories; there are too many to make only their `.git` read-only";
        let around = parent(tree);
        if !around.is_empty() && !self.is_asked_for(around) && self.is_open(around) {
            self.fits(around, Of::Whole)?;
            // It does not count as protected: some in it can be written.
            self.bind(&self.draft.project.root.clone(), around, Node::Directory, why)?;
        }
        self.whole.push(tree.into());
        self.protect(tree, Node::Directory, Of::Whole, why)
    }

    /// Whether the user asked for it.
    fn is_asked_for(&self, path: &[u8]) -> bool {
        let place = self.draft.project.root.join(OsStr::from_bytes(path));
        let asked = |step: &Step| matches!(step.class, Class::Files | Class::CommandLine);
        self.draft.steps.iter().any(|step| asked(step) && step.is_at(&place))
    }

    /// Whether it is the host's, and can be written.
    fn is_open(&self, path: &[u8]) -> bool {
        let place = self.draft.project.root.join(OsStr::from_bytes(path));
        let view = View::of(&self.draft.steps, self.draft.facts);
        let mount = view.covering(&place).map(|step| &step.mount);
        view.host_path(&place).as_deref() == Some(&*place)
            && !matches!(mount, Some(Mount::Bind { access: Access::Read, .. }))
    }

    /// Counts one more; whether there is room for it.
    fn fits(&mut self, path: &[u8], of: Of) -> Result<bool> {
        let (count, most) = match of {
            Of::Files => (&mut self.count.files, MOST),
            Of::Programs => (&mut self.count.programs, MOST_PROGRAMS),
            Of::Repositories => (&mut self.count.repositories, usize::MAX),
            Of::Whole if self.count.whole >= MOST_WHOLE => return Err(self.too_many(path)),
            Of::Whole => (&mut self.count.whole, MOST_WHOLE),
        };
        let fits = *count < most;
        *count += usize::from(fits);
        self.left += usize::from(!fits);
        Ok(fits)
    }

    fn too_many(&self, path: &[u8]) -> Error {
        let (root, path) = (visible_path(&self.draft.project.root), visible(path));
        Error::usage(format!(
            "{root} holds too many repositories, each of which has git outside run programs: {path} and more \
             cannot be made read-only"
        ))
        .hint("start in one of them: --project DIR")
        .hint("or make a directory that holds many of them read-only as a whole: --ro-bind DIR")
    }

    /// Makes a path read-only inside, unless it is already, or was asked for as writable.
    fn protect(&mut self, path: &[u8], node: Node, of: Of, why: &str) -> Result<()> {
        let root = self.draft.project.root.clone();
        let destination = root.join(OsStr::from_bytes(path));
        let view = View::of(&self.draft.steps, self.draft.facts);
        let here = view.host_path(&destination).as_deref() == Some(&*destination);
        let covering = view.covering(&destination).map(|step| (&step.mount, step.class));
        let open = match covering {
            // Hidden, or something else is in its place.
            _ if !here => false,
            Some((Mount::Bind { access: Access::Read, .. }, _)) => false,
            Some((mount, Class::Files | Class::CommandLine))
                if mount.destination() == destination =>
            {
                return Ok(());
            }
            _ => true,
        };
        if open {
            if !self.fits(path, of)? {
                return Ok(());
            }
            self.bind(&root, path, node, why)?;
        }
        self.protected.push(path.into());
        Ok(())
    }

    fn bind(&mut self, root: &Path, path: &[u8], node: Node, why: &str) -> Result<()> {
        for way in ways(path) {
            let way = Path::new(OsStr::from_bytes(way));
            let destination = root.join(way);
            if !self.draft.steps.iter().any(|step| step.is_at(&destination)) {
                let why = "holds what is protected, so it cannot be moved";
                self.add(root, way, Access::Write, Node::Directory, why)?;
            }
        }
        self.add(root, Path::new(OsStr::from_bytes(path)), Access::Read, node, why)
    }

    fn add(
        &mut self,
        root: &Path,
        path: &Path,
        access: Access,
        node: Node,
        why: &str,
    ) -> Result<()> {
        self.draft.add(Step {
            mount: Mount::Bind {
                source: Source::Beneath { root: root.to_owned(), path: path.to_owned() },
                destination: root.join(path),
                access,
                node,
            },
            class: Class::HostFile,
            why: why.to_owned(),
            origin: None,
        })
    }
}

fn node(item: &Item) -> Node {
    if item.kind == Kind::Directory { Node::Directory } else { Node::File }
}
