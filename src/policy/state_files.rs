//! The single files of the agent's state. A shared file could not be replaced by rename(2), as agents
//! do; so the agent has a copy, and only the keys that the profile names pass between the two.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::home;
use super::paths::{below_home, place};
use crate::error::Result;
use crate::plan::{Mirror, Prepare};
use crate::profile::origin::Settled;
use crate::profile::state_copy;
use crate::visible::visible_path;

/// Agents read and write small JSON; a file above this is not taken for one.
const MAX_JSON: usize = 4 << 20;

pub(super) fn files(draft: &mut Draft<'_>) -> Result<()> {
    copies(draft)?;
    mirrors(draft)
}

/// `state-copy`: the agent's own JSON file, with some keys taken over from the host's.
fn copies(draft: &mut Draft<'_>) -> Result<()> {
    let anothers = home::is_anothers(draft);
    for (file, keys) in &draft.settings.state_copy {
        let Some(first) = keys.first() else { continue };
        let path =
            draft.variables.path(&Settled { value: file.clone(), origin: first.origin.clone() })?;
        let relative = below_home(&draft.host.home, &path, first)?;
        let read = |path: &Path| draft.facts.read_head(path, MAX_JSON);
        let own = own_copy(draft, &relative).filter(|_| !anothers);
        let copy = own.and_then(|own| read(&own));
        let content = state_copy::content(read(&path).as_deref(), copy.as_deref(), keys);
        let Some(content) = content else { continue };
        draft.prepare.push(Prepare::File {
            root: (&*draft.private_home).into(),
            path: relative.into(),
            content: content.into(),
        });
    }
    Ok(())
}

/// The agent's copy in its private home. An agent wrote that home: a link in the place of the file,
/// or of a directory on the way to it, could lead to any file of the caller's.
fn own_copy(draft: &Draft<'_>, relative: &Path) -> Option<PathBuf> {
    let own = draft.facts.canonicalize(&draft.private_home)?.join(relative);
    (draft.facts.canonicalize(&own)? == own).then_some(own)
}

/// `state-sync` and `state-return`: what passes between the host's file and the agent's copy, which
/// the supervisor sees to.
fn mirrors(draft: &mut Draft<'_>) -> Result<()> {
    let (both, first) = (&draft.settings.state_sync, &draft.settings.state_return);
    let files: BTreeSet<&String> = both.keys().chain(first.keys()).collect();
    for file in files {
        let keys = |of: &BTreeMap<String, Vec<Settled<String>>>| -> Vec<Settled<String>> {
            of.get(file).cloned().unwrap_or_default()
        };
        let (both, first) = (keys(both), keys(first));
        let Some(said) = both.first().or_else(|| first.first()) else { continue };
        let entry = Settled { value: file.clone(), origin: said.origin.clone() };
        let path = draft.variables.path(&entry)?;
        let relative = below_home(&draft.host.home, &path, &entry)?;
        let Some(host) = real_place(draft, &path) else {
            let (shown, by) = (visible_path(&path), place(&entry.origin));
            draft.left_out.push(format!("{shown} ({by}): it is a link that leads nowhere"));
            continue;
        };
        draft.refuse_own_files(&host, &entry.origin)?;
        // The copy has to go somewhere, and the way to it may be a link that an agent left.
        if let Some(above) = relative.parent().filter(|above| !above.as_os_str().is_empty()) {
            let root = (&*draft.private_home).into();
            draft.prepare.push(Prepare::Directory { root, path: above.into() });
        }
        let names = |keys: Vec<Settled<String>>| keys.into_iter().map(|key| key.value).collect();
        draft.mirrors.push(Mirror {
            host: host.into(),
            root: (&*draft.private_home).into(),
            copy: relative.into(),
            both: names(both),
            first: names(first),
        });
    }
    Ok(())
}

/// Where a file of the home is, or would be, with no link on the way.
fn real_place(draft: &Draft<'_>, path: &Path) -> Option<PathBuf> {
    if draft.facts.lstat(path).is_some() {
        return draft.facts.canonicalize(path);
    }
    let existing = path.ancestors().skip(1).find(|dir| draft.facts.lstat(dir).is_some())?;
    let rest = path.strip_prefix(existing).ok()?;
    Some(draft.facts.canonicalize(existing)?.join(rest))
}
