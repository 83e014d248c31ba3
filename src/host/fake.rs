//! A file system that is a map, for tests: another distribution is a fixture.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::{Facts, FileFacts, FileKind, Host, Identity, Written};
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::git::private::linked::Linked;
use crate::git::private::repository::Repository;
use crate::host_files::survey::{FirstLook, Item, Kind, Survey};
use crate::host_files::table::{self, What};

/// What stands at a path.
#[derive(Clone, Debug)]
enum Node {
    Directory,
    File { content: Vec<u8>, mode: u32 },
    Symlink(PathBuf),
    Socket,
}

/// A file system in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeDisk {
    nodes: BTreeMap<PathBuf, Node>,
    owners: BTreeMap<PathBuf, u32>,
    needs: BTreeMap<PathBuf, Vec<PathBuf>>,
    projects: Vec<Written>,
    /// The inode numbers of those that have one.
    inodes: BTreeMap<PathBuf, u64>,
    uid: u32,
    repository: Option<Repository>,
}

impl FakeDisk {
    /// An empty file system whose files belong to `uid`.
    pub(crate) fn of(uid: u32) -> Self {
        let mut disk = Self { uid, ..Self::default() };
        disk.nodes.insert("/".into(), Node::Directory);
        disk
    }

    /// The project of a session.
    pub(crate) fn project(mut self, path: &str) -> Self {
        self.projects.push(PathBuf::from(path).into());
        self
    }

    /// The project of a session, which the user moved since: it was another path's.
    pub(crate) fn moved_project(mut self, path: &str) -> Self {
        let inode = self.projects.len() as u64 + 7;
        let identity = Some(Identity { born: None, inode, device: 0 });
        self.inodes.insert(path.into(), inode);
        self.projects.push(Written { path: "/gone".into(), identity });
        self
    }

    fn put(mut self, path: impl AsRef<Path>, node: Node) -> Self {
        let path = path.as_ref();
        for parent in path.ancestors().skip(1) {
            self.nodes.entry(parent.to_owned()).or_insert(Node::Directory);
        }
        self.nodes.insert(path.to_owned(), node);
        self
    }

    pub(crate) fn dir(self, path: impl AsRef<Path>) -> Self {
        self.put(path, Node::Directory)
    }

    pub(crate) fn file(self, path: impl AsRef<Path>, content: &str) -> Self {
        self.put(path, Node::File { content: content.into(), mode: 0o644 })
    }

    pub(crate) fn bytes(self, path: impl AsRef<Path>, content: Vec<u8>) -> Self {
        self.put(path, Node::File { content, mode: 0o644 })
    }

    pub(crate) fn program(self, path: impl AsRef<Path>, content: &str) -> Self {
        self.put(path, Node::File { content: content.into(), mode: 0o755 })
    }

    pub(crate) fn link(self, path: impl AsRef<Path>, target: impl Into<PathBuf>) -> Self {
        self.put(path, Node::Symlink(target.into()))
    }

    pub(crate) fn socket(self, path: impl AsRef<Path>) -> Self {
        self.put(path, Node::Socket)
    }

    /// A path of the store needs another.
    pub(crate) fn needs(mut self, path: impl Into<PathBuf>, need: impl Into<PathBuf>) -> Self {
        self.needs.entry(path.into()).or_default().push(need.into());
        self
    }

    pub(crate) fn owned(mut self, path: impl Into<PathBuf>, uid: u32) -> Self {
        self.owners.insert(path.into(), uid);
        self
    }

    /// What git says of the project.
    pub(crate) fn repository(mut self, repository: Repository) -> Self {
        self.repository = Some(repository);
        self
    }

    pub(crate) fn without(mut self, path: impl AsRef<Path>) -> Self {
        self.nodes.retain(|node, _| !node.starts_with(path.as_ref()));
        self
    }

    /// realpath(3) of all but the last component, so that a link in the middle is followed.
    fn resolve_parent(&self, path: &Path) -> Option<PathBuf> {
        let Some(parent) = path.parent() else { return Some("/".into()) };
        Some(self.canonicalize(parent)?.join(path.file_name()?))
    }

    fn walk(&self, path: &Path, depth: usize) -> Option<PathBuf> {
        let mut done = PathBuf::from("/");
        let mut components = path.components();
        components.next();
        while let Some(component) = components.next() {
            if component == Component::ParentDir {
                done.pop();
                continue;
            }
            let next = done.join(component);
            match self.nodes.get(&next)? {
                Node::Symlink(target) if depth < 40 => {
                    let rest = components.as_path().to_owned();
                    return self.walk(&done.join(target).join(rest), depth + 1);
                }
                Node::Symlink(_) => return None,
                _ => done = next,
            }
        }
        Some(done)
    }
}

impl Facts for FakeDisk {
    fn lstat(&self, path: &Path) -> Option<FileFacts> {
        let path = self.resolve_parent(path)?;
        let (kind, mode, size) = match self.nodes.get(&path)? {
            Node::Directory => (FileKind::Directory, 0o755, 0),
            Node::File { mode, content } => (FileKind::File, *mode, content.len()),
            Node::Symlink(_) => (FileKind::Symlink, 0o777, 0),
            Node::Socket => (FileKind::Other, 0o600, 0),
        };
        let (uid, size) = (*self.owners.get(&path).unwrap_or(&self.uid), size.try_into().ok()?);
        let number = (0, *self.inodes.get(&path).unwrap_or(&0));
        Some(FileFacts { kind, uid, mode, size, born: None, number })
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        match self.nodes.get(&self.resolve_parent(path)?)? {
            Node::Symlink(target) => Some(target.clone()),
            _ => None,
        }
    }

    fn canonicalize(&self, path: &Path) -> Option<PathBuf> {
        self.walk(path, 0)
    }

    fn read_head(&self, path: &Path, max: usize) -> Option<Vec<u8>> {
        match self.nodes.get(&self.canonicalize(path)?)? {
            Node::File { content, .. } => Some(content[..content.len().min(max)].to_vec()),
            _ => None,
        }
    }

    /// Along `PATH`, whatever project that is in.
    fn program(&self, host: &Host, name: &str, _also: Option<&Path>) -> Option<PathBuf> {
        let path = host.environment.get(OsStr::new("PATH"))?;
        std::env::split_paths(path).find_map(|dir| self.canonicalize(&dir.join(name)))
    }

    fn host_files(&self, project: &Path, look: &FirstLook<'_>) -> Survey {
        let mut survey = Survey::default();
        let below = |node: &'_ PathBuf| Some(Bytes::from(node.strip_prefix(project).ok()?));
        for (path, node) in self.nodes.iter().filter_map(|(path, node)| Some((below(path)?, node)))
        {
            if path.0.is_empty() || (look.own_git && path.0 == b".git") {
                continue;
            }
            let (what, kind) = match node {
                Node::Directory => (What::Directory, Kind::Directory),
                Node::Symlink(_) => (What::Link, Kind::Link),
                Node::File { .. } | Node::Socket => (What::File, Kind::File),
            };
            let unit = table::find(&path.0, what).or_else(|| look.extra.get(&path).copied());
            let above = path.as_path().ancestors().skip(1);
            let mut above = above;
            let above = above.find_map(|above| survey.items.get(&Bytes::from(above)));
            if let Some(entry) = above.map(|item: &Item| item.entry).or(unit) {
                let unit = above.is_none();
                let item = Item {
                    entry,
                    unit,
                    package: false,
                    kind,
                    ino: 0,
                    mode: 0,
                    size: 0,
                    linked: path.0.ends_with(b".linked"),
                    ctime: (0, 0),
                    born: None,
                    above: None,
                };
                survey.items.insert(path, item);
            }
        }
        survey
    }

    /// Every path needs what `needs` said, and itself.
    fn requisites(&self, _host: &Host, paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
        let mut all = paths.to_vec();
        let mut at = 0;
        while let Some(path) = all.get(at).cloned() {
            for need in self.needs.get(&path).into_iter().flatten() {
                if !all.contains(need) {
                    all.push(need.clone());
                }
            }
            at += 1;
        }
        all.sort();
        Ok(all)
    }

    fn repository(
        &self,
        _project: &Path,
        _linked: Option<&Linked>,
        _host: &Host,
    ) -> Result<Repository> {
        let repository = self.repository.clone();
        repository.ok_or_else(|| Error::launcher("cannot find git"))
    }

    fn projects(&self, _host: &Host) -> Vec<Written> {
        self.projects.clone()
    }

    fn links(&self, path: &Path) -> Vec<OsString> {
        let inside = self.nodes.iter().filter(|(at, _)| at.parent() == Some(path));
        inside
            .filter_map(|(at, node)| match node {
                Node::Symlink(_) => Some(at.file_name()?.to_owned()),
                _ => None,
            })
            .collect()
    }
}
