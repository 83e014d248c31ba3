//! The agent's state: what it shares with the host, what it may only read, what is the project's
//! own, and what is fresh in every session (`docs/agent-state.md`). It must never let a session
//! plant something that runs outside later, or in another project's sandbox.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::binds::refuse_planted;
use super::draft::{Bind, Draft};
use super::mount::{Access, Class, Mount, Node, Source, Step, View};
use super::paths::{below_home, place};
use super::state_files;
use super::system::EMPTY_SIZE;
use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::host::FileKind;
use crate::plan::Prepare;
use crate::profile::origin::Settled;
use crate::visible::visible_path;

/// What is emptied, then `state`, then what in it is not shared, then single files.
pub(super) fn mounts(draft: &mut Draft<'_>) -> Result<()> {
    emptied(draft)?;
    for entry in &draft.settings.state {
        let path = draft.variables.path(entry)?;
        below_home(&draft.host.home, &path, entry)?;
        let source = state_directory(draft, &path, entry)?;
        draft.refuse_own_files(&source, &entry.origin)?;
        draft.bind(&Bind {
            source: &source,
            destination: &path,
            access: Access::Write,
            class: Class::State,
            why: "the agent's state, shared with the host",
            origin: Some(&entry.origin),
        })?;
    }
    for entry in &draft.settings.state_readonly {
        state_readonly(draft, entry)?;
    }
    for entry in &draft.settings.state_private {
        state_private(draft, entry)?;
    }
    for entry in &draft.settings.state_own {
        state_own(draft, entry)?;
    }
    state_files::files(draft)
}

/// `state-emptied`: what an earlier session left in the private home goes, but for what is data.
fn emptied(draft: &mut Draft<'_>) -> Result<()> {
    for (directory, names) in &draft.settings.state_emptied {
        let entry = Settled { value: directory.clone(), origin: names.origin.clone() };
        let path = draft.variables.path(&entry)?;
        let relative = below_home(&draft.host.home, &path, &entry)?;
        draft.prepare.push(Prepare::Empty {
            root: (&*draft.private_home).into(),
            path: relative.into(),
            keep: names.value.iter().map(|name| Bytes::from(name.as_str())).collect(),
        });
    }
    Ok(())
}

/// The directory on the host; where it is missing it will be made, as the agent itself would.
fn state_directory(draft: &mut Draft<'_>, path: &Path, entry: &Settled<String>) -> Result<PathBuf> {
    refuse_planted(draft, path, &place(&entry.origin))?;
    let Some(real) = draft.facts.canonicalize(path) else {
        if draft.facts.lstat(path).is_some() {
            return Err(Error::usage(format!(
                "{}: {} is a link that leads nowhere",
                place(&entry.origin),
                visible_path(path)
            ))
            .hint("mend or remove the link"));
        }
        return Ok(create(draft, path, None));
    };
    match draft.facts.lstat(&real).map(|found| found.kind) {
        Some(FileKind::Directory) => Ok(real),
        _ => Err(Error::usage(format!(
            "{}: {} is not a directory; only directories can be shared as state",
            place(&entry.origin),
            visible_path(path)
        ))
        .hint("a program that replaces its file by rename(2) fails on a bound file")),
    }
}

/// Makes something of the user's home where there is nothing; answers with its canonical path.
fn create(draft: &mut Draft<'_>, path: &Path, content: Option<Bytes>) -> PathBuf {
    let existing =
        path.ancestors().skip(1).find_map(|dir| draft.facts.canonicalize(dir).zip(Some(dir)));
    let (root, rest) = match existing {
        Some((real, dir)) => (real, path.strip_prefix(dir).unwrap_or(path).to_owned()),
        None => ("/".into(), path.strip_prefix("/").unwrap_or(path).to_owned()),
    };
    let real = root.join(&rest);
    let node = if content.is_some() { Node::File } else { Node::Directory };
    draft.created.insert(real.clone(), node);
    draft.prepare.push(Prepare::CreateMissing { root: root.into(), path: rest.into(), content });
    real
}

/// What the host's agent executes or obeys. A name that is not there yet is made (an empty
/// directory, or a file that says nothing): a missing file cannot be protected, and the agent
/// could create it (CVE-2026-25725).
fn state_readonly(draft: &mut Draft<'_>, entry: &Settled<String>) -> Result<()> {
    let path = draft.variables.path(entry)?;
    let Some((source, shared)) = in_state(draft, &path) else {
        return readonly_in_private_home(draft, &path, entry);
    };
    let found = draft.facts.lstat(&source).map(|found| found.kind);
    let real = match found {
        Some(FileKind::Symlink) => {
            draft.weakened.push(format!(
                "{} is a symbolic link: the agent can put something else in its place",
                visible_path(&path)
            ));
            return link_target(draft, &source, entry);
        }
        Some(_) => source,
        None => create(draft, &source, empty_content(entry)),
    };
    pin_parents(draft, &shared, &path, entry)?;
    draft.bind(&Bind {
        source: &real,
        destination: &path,
        access: Access::Read,
        class: Class::State,
        why: "what the agent of the host obeys",
        origin: Some(&entry.origin),
    })
}

/// The host's file or directory, where it has one, laid over the agent's own. Where it has none there
/// is nothing to protect: what the agent makes there, the host never sees. Links lead where they lead
/// on the host; nothing inside can put something else in their place.
fn readonly_in_private_home(
    draft: &mut Draft<'_>,
    path: &Path,
    entry: &Settled<String>,
) -> Result<()> {
    below_home(&draft.host.home, path, entry)?;
    let Some(real) = draft.facts.canonicalize(path) else { return Ok(()) };
    refuse_planted(draft, path, &place(&entry.origin))?;
    if draft.host.home.starts_with(&real) {
        return Ok(());
    }
    draft.refuse_own_files(&real, &entry.origin)?;
    if real.starts_with(&draft.project.root) {
        draft.weakened.push(format!(
            "{} leads into the project: the agent can change what the agent of the host obeys",
            visible_path(path)
        ));
    }
    draft.bind(&Bind {
        source: &real,
        destination: path,
        access: Access::Read,
        class: Class::State,
        why: "what the agent of the host obeys",
        origin: Some(&entry.origin),
    })
}

/// Makes visible what a link in the state leads to, read-only and at its own path. An agent of an
/// earlier session could have put the link there, if its profile did not name this path yet, and
/// `hooks -> ~/.ssh` would show it your keys. So only a target of the same name is shown, as in a
/// directory of dotfiles.
fn link_target(draft: &mut Draft<'_>, link: &Path, entry: &Settled<String>) -> Result<()> {
    let Some(real) = draft.facts.canonicalize(link) else { return Ok(()) };
    if draft.host.dirs.overlapping(&real).is_some() || draft.host.home.starts_with(&real) {
        return Ok(());
    }
    if real.file_name() != link.file_name() {
        let view = View::of(&draft.steps, draft.facts);
        if view.host_path(&real).as_deref() != Some(&*real) {
            let (link, real) = (visible_path(link), visible_path(&real));
            draft.left_out.push(format!("{real} ({link} leads there, by another name)"));
        }
        return Ok(());
    }
    draft.bind(&Bind {
        source: &real,
        destination: &real,
        access: Access::Read,
        class: Class::State,
        why: "what a link in the agent's state leads to",
        origin: Some(&entry.origin),
    })
}

/// What is made of a missing name: a directory (`None`) where the profile says so with a slash at
/// the end, or a file. The difference matters: for some names a directory is ignored by the host's
/// agent and an empty file is obeyed. JSON must parse.
fn empty_content(entry: &Settled<String>) -> Option<Bytes> {
    let name = entry.value.as_str();
    if name.ends_with('/') {
        return None;
    }
    let json = Path::new(name).extension().is_some_and(|extension| extension == "json");
    Some(if json { "{}\n" } else { "" }.into())
}

fn state_private(draft: &mut Draft<'_>, entry: &Settled<String>) -> Result<()> {
    let path = draft.variables.path(entry)?;
    if let Some((source, shared)) = in_state(draft, &path) {
        private_in_state(draft, &source, &shared, &path, entry)?;
    } else {
        below_home(&draft.host.home, &path, entry)?;
    }
    let run = draft.settings.run_size.clone();
    draft.add(Step {
        mount: Mount::Tmpfs {
            destination: path,
            mode: 0o700,
            size: run.map_or(EMPTY_SIZE.max(64 << 20), |size| size.value),
        },
        class: Class::State,
        why: "fresh in every session".to_owned(),
        origin: Some(entry.origin.clone()),
    })
}

/// Below a shared directory there must be something to mount on.
fn private_in_state(
    draft: &mut Draft<'_>,
    source: &Path,
    shared: &Path,
    path: &Path,
    entry: &Settled<String>,
) -> Result<()> {
    match draft.facts.lstat(source).map(|found| found.kind) {
        Some(FileKind::Directory) => {}
        Some(_) => {
            return Err(Error::usage(format!(
                "{}: {} is not a directory",
                place(&entry.origin),
                visible_path(path)
            )));
        }
        None => {
            create(draft, source, None);
        }
    }
    pin_parents(draft, shared, path, entry)
}

/// `state-own`: what in a shared directory is the project's own. Where the directory is not shared
/// it is that already.
fn state_own(draft: &mut Draft<'_>, entry: &Settled<String>) -> Result<()> {
    let path = draft.variables.path(entry)?;
    let relative = below_home(&draft.host.home, &path, entry)?;
    if let Some((source, shared)) = in_state(draft, &path) {
        private_in_state(draft, &source, &shared, &path, entry)?;
    } else if !draft.steps.iter().any(|step| step.is_at(&path)) {
        return Ok(());
    }
    let root: Bytes = (&*draft.private_home).into();
    draft.prepare.push(Prepare::Directory { root, path: (&*relative).into() });
    draft.add(Step {
        mount: Mount::Bind {
            source: Source::Beneath { root: draft.private_home.clone(), path: relative },
            destination: path,
            access: Access::Write,
            node: Node::Directory,
        },
        class: Class::State,
        why: "the agent's state, of this project alone".to_owned(),
        origin: Some(entry.origin.clone()),
    })
}

/// The place on the host of a path below a `state` directory, and that directory (inside).
fn in_state(draft: &Draft<'_>, path: &Path) -> Option<(PathBuf, PathBuf)> {
    draft
        .steps
        .iter()
        .filter(|step| step.class == Class::State && path.starts_with(step.mount.destination()))
        .filter(|step| !step.is_at(path))
        .find_map(|step| match &step.mount {
            Mount::Bind { source, destination, access: Access::Write, .. } => {
                Some((source.path(), destination.clone()))
            }
            _ => None,
        })
        .map(|(source, destination)| {
            let rest = path.strip_prefix(&destination).unwrap_or(path);
            (source.join(rest), destination)
        })
}

/// Renaming a directory takes the mounts in it along, and leaves the name free. So each directory
/// between the shared one and a protected name is a mount of its own, which cannot be renamed.
fn pin_parents(
    draft: &mut Draft<'_>,
    shared: &Path,
    path: &Path,
    entry: &Settled<String>,
) -> Result<()> {
    let mut parents: Vec<PathBuf> =
        path.ancestors().skip(1).take_while(|dir| *dir != shared).map(Path::to_owned).collect();
    parents.reverse();
    for parent in parents {
        if draft.steps.iter().any(|step| step.is_at(&parent)) {
            continue;
        }
        let Some((source, _)) = in_state(draft, &parent) else { continue };
        draft.created.entry(source.clone()).or_insert(Node::Directory);
        draft.bind(&Bind {
            source: &source,
            destination: &parent,
            access: Access::Write,
            class: Class::State,
            why: "holds what is protected, so it cannot be moved",
            origin: Some(&entry.origin),
        })?;
    }
    Ok(())
}
