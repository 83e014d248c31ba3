//! `files.hide`: what is named is covered wherever it is visible, in this session and in the next one. It must
//! never rest on a link that can be put elsewhere inside.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Class, Mount, Node, Step, View};
use super::outside::lets_replace;
use super::paths::place;
use super::system::EMPTY_SIZE;
use crate::error::{Error, Result};
use crate::host::follow::follow_on;
use crate::lexical::clean;
use crate::profile::origin::{LayerKind, Settled};
use crate::visible::visible_path;

/// One line, and what it names.
struct Named<'a> {
    entry: &'a Settled<String>,
    path: PathBuf,
    /// Canonical.
    real: PathBuf,
    /// The first link on the way that what is inside can replace.
    by_link: Option<PathBuf>,
}

/// The mounts that cover it.
pub(super) fn steps(draft: &Draft<'_>) -> Result<Vec<Step>> {
    let named = named(draft)?;
    let mut steps = Vec::new();
    for one in &named {
        refuse_way_out(draft, one.entry, &one.path, &one.real)?;
        if draft.project.root.starts_with(&one.real) {
            return Err(Error::usage(format!(
                "{}: {} is hidden, and the project is {}",
                place(&one.entry.origin),
                visible_path(&one.path),
                visible_path(&draft.project.root)
            ))
            .hint("take the line out of the profile, or work in another project"));
        }
        refuse_link(one, &named)?;
        let node = draft.facts.lstat(&one.real).map_or(Node::File, |found| Node::of(found.kind));
        for (destination, node) in appearances(draft, &one.real, node) {
            steps.push(hide(destination, node, one.entry));
        }
    }
    Ok(steps)
}

/// The lines that name something that is there.
fn named<'a>(draft: &Draft<'a>) -> Result<Vec<Named<'a>>> {
    let mut named = Vec::new();
    for entry in &draft.settings.hide {
        let path = draft.variables.path(entry)?;
        let Some(real) = draft.facts.canonicalize(&path) else { continue };
        let can_be_replaced = |link: &PathBuf| lets_replace(&draft.steps, link);
        let by_link = match follow_on(&path, draft.facts) {
            Some(followed) => {
                followed.links.into_iter().map(|link| link.path).find(can_be_replaced)
            }
            // What cannot be followed is not vouched for.
            None => Some(path.clone()),
        };
        named.push(Named { entry, path, real, by_link });
    }
    Ok(named)
}

/// A link cannot be mounted over. Who removes it, or has it lead elsewhere, shows to the next session what it
/// led to: its line then names something else, or nothing. What is hidden by its own path as well stays so.
fn refuse_link(one: &Named<'_>, named: &[Named<'_>]) -> Result<()> {
    let Some(link) = &one.by_link else { return Ok(()) };
    let covers = |other: &Named<'_>| other.by_link.is_none() && one.real.starts_with(&other.real);
    if named.iter().any(covers) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{}: {} leads through {}, a link that can be replaced inside: the next session would see what is \
         hidden now",
        place(&one.entry.origin),
        visible_path(&one.path),
        visible_path(link)
    ))
    .hint(format!("hide what it leads to, beside it or instead: {}", visible_path(&one.real))))
}

/// What the project's own file names in the project means what is in the project: by a link in it, it could
/// hide what the user has in the home to hold an agent back.
fn refuse_way_out(
    draft: &Draft<'_>,
    entry: &Settled<String>,
    path: &Path,
    real: &Path,
) -> Result<()> {
    let root = &draft.project.root;
    let stays = !clean(path).starts_with(root) || real.starts_with(root);
    if stays || entry.origin.layer != LayerKind::Project {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{}: {} leads out of the project, to {}",
        place(&entry.origin),
        visible_path(path),
        visible_path(real)
    ))
    .hint("take the line out; what is outside is hidden by its own path, in a profile of yours"))
}

/// Where something of the host appears inside.
fn appearances(draft: &Draft<'_>, real: &Path, node: Node) -> Vec<(PathBuf, Node)> {
    let view = View::of(&draft.steps, draft.facts);
    let binds = draft.steps.iter().filter(|step| !matches!(step.class, Class::Own | Class::Home));
    binds
        .filter_map(|step| match &step.mount {
            Mount::Bind { source, destination, node: own, .. } => {
                Some((source.path(), destination, *own))
            }
            _ => None,
        })
        .filter_map(|(source, destination, own)| {
            if source.starts_with(real) {
                return Some((destination.clone(), own));
            }
            let rest = real.strip_prefix(&source).ok()?;
            let inside = destination.join(rest);
            (view.host_path(&inside).as_deref() == Some(real)).then_some((inside, node))
        })
        .collect()
}

fn hide(destination: PathBuf, node: Node, entry: &Settled<String>) -> Step {
    let mount = match node {
        Node::Directory => Mount::Tmpfs { destination, mode: 0, size: EMPTY_SIZE },
        Node::File => Mount::Mask { destination },
    };
    let by = if entry.origin.layer == LayerKind::Project { " by the project itself" } else { "" };
    Step {
        mount,
        class: Class::Hide,
        why: format!("hidden{by}"),
        origin: Some(entry.origin.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, list};

    fn hidden(lines: &[&str]) -> Result<Vec<String>, String> {
        let case = Case::debian()
            .disk(|disk| {
                disk.file("/home/u/p/data/s/key", "SECRET")
                    .link("/home/u/p/secrets", "data/s")
                    .link("/home/u/p/data/up", "../secrets")
                    .link("/home/u/mine", "p/data/s/key")
                    .link("/home/u/theirs", "p/secrets/key")
            })
            .with(|case| case.settings.hide = list(1, lines));
        if case.policy().is_err() {
            return Err(case.error());
        }
        let mounts = case.mounts();
        let hides = mounts.lines().filter_map(|line| line.trim().strip_prefix("hide"));
        Ok(hides.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect())
    }

    #[test]
    fn attack_a_link_of_the_project_does_not_hold_what_is_hidden_by_it() {
        insta::assert_snapshot!(hidden(&["${PROJECT}/secrets/key"]).unwrap_err(), @r"
        test.toml:1: /home/u/p/secrets/key leads through /home/u/p/secrets, a link that can be replaced inside: the next session would see what is hidden now
        hint: hide what it leads to, beside it or instead: /home/u/p/data/s/key
        ");
        for line in ["${PROJECT}/secrets", "${PROJECT}/data/up/key", "~/theirs"] {
            let error = hidden(&[line]).unwrap_err();
            assert!(error.contains("a link that can be replaced inside"), "{line}: {error}");
        }
        let key = ["/home/u/p/data/s/key"];
        // Controls: no link of the project is on the way, or what it leads to is hidden by its own name.
        assert_eq!(hidden(&["${PROJECT}/data/s/key"]).unwrap(), key);
        assert_eq!(hidden(&["~/mine"]).unwrap(), key);
        assert_eq!(
            hidden(&["${PROJECT}/secrets/key", "${PROJECT}/data/s/key"]).unwrap(),
            [key[0]; 1]
        );
        assert_eq!(
            hidden(&["${PROJECT}/secrets/key", "${PROJECT}/data"]).unwrap(),
            ["/home/u/p/data"]
        );
        // One link does not vouch for another.
        hidden(&["${PROJECT}/secrets/key", "~/theirs"]).unwrap_err();
    }
}
