//! The paths of `files.system` that this machine has, and where each leads to. It must ask the disk
//! no more than it has to: some hundred paths are looked up at every start.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::Node;
use super::paths::place;
use super::{nix, store};
use crate::error::{Error, Result};
use crate::host::{Facts, FileKind};
use crate::lexical::{depth, is_below};
use crate::profile::origin::{Origin, Settled};
use crate::visible::visible_path;

/// A path of `files.system` that this machine has.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Where it leads to; itself where it is no link.
    pub(super) real: PathBuf,
    pub(super) is_link: bool,
    /// What `real` is.
    pub(super) node: Node,
    /// Who names it.
    pub(super) origin: Origin,
}

/// All of them, parents first.
pub(super) struct Parts(pub(super) Vec<Part>);

impl Parts {
    /// `store` is who asks for the store of Nix, if somebody does.
    pub(super) fn of(draft: &mut Draft<'_>, store: Option<Origin>) -> Result<Self> {
        let (mut parts, mut places) = (Vec::new(), Places::default());
        let (mut missing, mut missing_by_nix) = (Vec::new(), Vec::new());
        for entry in &draft.settings.system {
            let path = draft.variables.path(entry)?;
            refuse_too_much(draft, &path, entry)?;
            match places.find(path, draft.facts) {
                Ok(Place { path, .. }) if path.as_os_str() == store::STORE => {}
                Ok(Place { path, real, .. }) if nix::leaves_out(draft, &path, &real) => {
                    missing_by_nix.push(visible_path(&path));
                }
                Ok(Place { path, real, is_link, node }) => {
                    let origin = entry.origin.clone();
                    parts.push(Part { path, real, is_link, node, origin });
                }
                Err(path) => missing.push(visible_path(&path)),
            }
        }
        // Not by its name in a list: there is one word for what of it is visible.
        if let Some(origin) = store
            && let Ok(Place { path, real, is_link, node }) =
                places.find(store::STORE.into(), draft.facts)
        {
            parts.push(Part { path, real, is_link, node, origin });
        }
        if !missing_by_nix.is_empty() {
            let missing = missing_by_nix.join(" ");
            draft.left_out.push(format!("files.system, by the key `nix`: {missing}"));
        }
        if !missing.is_empty() {
            let missing = missing.join(" ");
            draft.left_out.push(format!("files.system, not on this machine: {missing}"));
        }
        parts.sort_by_cached_key(|part: &Part| depth(&part.path));
        Ok(Self(parts))
    }

    /// Whether a part that is no link contains `path`.
    pub(super) fn cover(&self, path: &Path) -> bool {
        self.0.iter().any(|part| !part.is_link && is_below(path, &part.path))
    }

    /// Whether a part that is no link contains this part.
    pub(super) fn contain(&self, inner: &Part) -> bool {
        let outer = |part: &&Part| !part.is_link && part.path != inner.path;
        self.0.iter().filter(outer).any(|part| is_below(&inner.path, &part.path))
    }
}

/// Directories of the system in which the host's users, daemons and devices meet.
fn refuse_too_much(draft: &Draft<'_>, path: &Path, entry: &Settled<String>) -> Result<()> {
    let shared = ["/", "/dev", "/proc", "/run", "/tmp", "/var/run", "/var/tmp"];
    let home = &draft.host.home;
    if shared.iter().any(|dir| path.as_os_str() == *dir)
        || home.starts_with(path)
        || is_below(path, Path::new("/proc"))
        || is_below(path, Path::new("/dev"))
    {
        return Err(Error::usage(format!(
            "{}: {} is not a part of the system that can be shared",
            place(&entry.origin),
            visible_path(path)
        ))
        .hint("name the directories in it that are needed, one by one"));
    }
    // A read-only bind does not protect a socket that is in it.
    let daemon = Path::new(nix::DAEMON);
    if is_below(daemon, path) || is_below(path, daemon) {
        return Err(Error::usage(format!(
            "{}: the socket of the Nix daemon is in {}",
            place(&entry.origin),
            visible_path(path)
        ))
        .hint(
            "the key `nix` says what of Nix is visible: \"store\" (the built-in) is /nix/store",
        ));
    }
    draft.refuse_own_files(path, &entry.origin)
}

/// Where a path leads to, and what is there.
struct Place {
    path: PathBuf,
    real: PathBuf,
    is_link: bool,
    node: Node,
}

/// The directories that were found to be under their true names. Some hundred paths lie in a few
/// of them, and realpath(3) asks for each component of each.
#[derive(Default)]
struct Places(BTreeMap<PathBuf, bool>);

impl Places {
    /// The path itself is given back where nothing is there.
    fn find(&mut self, path: PathBuf, facts: &dyn Facts) -> Result<Place, PathBuf> {
        let Some(found) = facts.lstat(&path) else { return Err(path) };
        let is_link = found.kind == FileKind::Symlink;
        if !is_link && self.is_canonical(path.parent(), facts) {
            let node = Node::of(found.kind);
            return Ok(Place { real: path.clone(), path, is_link, node });
        }
        let Some(real) = facts.canonicalize(&path) else { return Err(path) };
        let Some(found) = facts.lstat(&real) else { return Err(path) };
        Ok(Place { path, real, is_link, node: Node::of(found.kind) })
    }

    fn is_canonical(&mut self, directory: Option<&Path>, facts: &dyn Facts) -> bool {
        let Some(directory) = directory else { return true };
        if let Some(known) = self.0.get(directory) {
            return *known;
        }
        let canonical = facts.canonicalize(directory).as_deref() == Some(directory);
        self.0.insert(directory.to_owned(), canonical);
        canonical
    }
}
