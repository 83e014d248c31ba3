//! What a profile (`files.read-only`, `files.read-write`) and the command line (`--bind`,
//! `--ro-bind`) add from the host. A path that cannot be had is an error: whoever named it meant it.
#![forbid(unsafe_code)]

use std::path::{Component, Path, PathBuf};

use super::draft::{Bind, Draft};
use super::invocation::BindArgument;
use super::links::{Trust, planted};
use super::mount::{Access, Class};
use super::paths::place;
use super::system::OWN_PROGRAM;
use crate::error::{Error, Result};
use crate::lexical::clean;
use crate::profile::origin::{LayerKind, Origin, Settled};
use crate::visible::visible_path;

/// `files.read-write`, then `files.read-only`, which wins where both name a path.
pub(super) fn of_profile(draft: &mut Draft<'_>) -> Result<()> {
    let settings = draft.settings;
    for entry in &settings.read_write {
        of_entry(draft, entry, Access::Write)?;
    }
    for entry in &settings.read_only {
        of_entry(draft, entry, Access::Read)?;
    }
    Ok(())
}

fn of_entry(draft: &mut Draft<'_>, entry: &Settled<String>, access: Access) -> Result<()> {
    let path = draft.variables.path(entry)?;
    let origin = &entry.origin;
    refuse_planted(draft, &path, &place(origin))?;
    let source = draft.facts.canonicalize(&path).ok_or_else(|| {
        Error::usage(format!("{}: {} does not exist", place(origin), visible_path(&path)))
            .hint("create it, or take this line out of the profile")
    })?;
    check(draft, &source, &path, origin)?;
    let why = if access == Access::Write { "files.read-write" } else { "files.read-only" };
    let destination = path;
    draft.bind(&Bind {
        source: &source,
        destination: &destination,
        access,
        class: Class::Files,
        why,
        origin: Some(origin),
    })
}

/// `bind` and `ro-bind` of the configuration, then `--bind` and `--ro-bind`, in order.
pub(super) fn of_command_line(draft: &mut Draft<'_>) -> Result<()> {
    for (argument, origin) in arguments(draft) {
        let (source, destination) = checked(draft, argument, &origin)?;
        draft.bind(&Bind {
            source: &source,
            destination: &destination,
            access: if argument.writable { Access::Write } else { Access::Read },
            class: Class::CommandLine,
            why: option(argument),
            origin: Some(&origin),
        })?;
    }
    Ok(())
}

/// What these let the session write, canonical.
///
/// # Errors
/// When one of them cannot be had, as [`of_command_line`] says it.
pub(super) fn writable(draft: &Draft<'_>) -> Result<Vec<PathBuf>> {
    let binds = arguments(draft).into_iter().filter(|(argument, _)| argument.writable);
    binds.map(|(argument, origin)| Ok(checked(draft, argument, &origin)?.0)).collect()
}

fn arguments<'a>(draft: &Draft<'a>) -> Vec<(&'a BindArgument, Origin)> {
    let configured = draft.invocation.config_binds.iter();
    let configured = configured.map(|bind| (&bind.value, bind.origin.clone()));
    let typed = draft.invocation.binds.iter().map(|argument| {
        let source = option(argument).to_owned();
        (argument, Origin { layer: LayerKind::CommandLine, source, line: 0 })
    });
    configured.chain(typed).collect()
}

fn option(argument: &BindArgument) -> &'static str {
    if argument.writable { "--bind" } else { "--ro-bind" }
}

/// Source and destination of an argument that may be had.
fn checked(
    draft: &Draft<'_>,
    argument: &BindArgument,
    origin: &Origin,
) -> Result<(PathBuf, PathBuf)> {
    let (source, destination) = ends(draft, argument, origin)?;
    check(draft, &source, &destination, origin)?;
    Ok((source, destination))
}

/// Source (canonical) and destination of an argument.
fn ends(draft: &Draft<'_>, argument: &BindArgument, origin: &Origin) -> Result<(PathBuf, PathBuf)> {
    let (place, option) = (place(origin), option(argument));
    let typed = match argument.source.strip_prefix("~") {
        Ok(rest) => draft.host.home.join(rest),
        Err(_) => draft.host.cwd.join(&argument.source),
    };
    let shown = visible_path(&typed);
    refuse_planted(draft, &typed, &place)?;
    let source = draft.facts.canonicalize(&typed).ok_or_else(|| {
        let error = Error::usage(format!("{place}: {shown} does not exist"));
        if origin.layer == LayerKind::Config {
            return error.hint("create it, or take it out of the configuration");
        }
        error.hint("the form is SRC[:DEST]; a relative SRC is taken from the current directory")
    })?;
    let destination = match &argument.destination {
        Some(destination) => destination.clone(),
        // The name that was typed is kept, the way to it made canonical: a mount point below a
        // link of the host would not be where the same path leads inside.
        None => match (typed.parent(), typed.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => {
                draft.facts.canonicalize(parent).unwrap_or_else(|| parent.to_owned()).join(name)
            }
            _ => source.clone(),
        },
    };
    let destination = match destination.strip_prefix("~") {
        Ok(rest) => draft.host.home.join(rest),
        Err(_) => destination,
    };
    let up = destination.components().any(|component| component == Component::ParentDir);
    if !destination.is_absolute() || up {
        return Err(Error::usage(format!(
            "{place}: the destination `{}` is not an absolute path without `..`",
            visible_path(&destination)
        ))
        .hint(format!("write {option} {}:/PATH/INSIDE", visible_path(&argument.source))));
    }
    Ok((source, clean(&destination)))
}

/// A link could be an agent's, made in the place of what the user means. Where it leads in its own tree does
/// not matter: `build -> .git` shows what is protected there.
pub(super) fn refuse_planted(draft: &Draft<'_>, named: &Path, place: &str) -> Result<()> {
    let Some(link) = planted(named, Trust::None, draft.host, draft.facts) else { return Ok(()) };
    let what = if link.starts_with(&draft.project.root) {
        "is a link in the project"
    } else {
        "is a link in a repository or project"
    };
    Err(Error::usage(format!("{place}: {} {what}, and is not followed", visible_path(&link)))
        .hint("an agent could have made it; name what it leads to, if that is meant"))
}

/// What may never be shared, and what may never be covered.
fn check(draft: &Draft<'_>, source: &Path, destination: &Path, origin: &Origin) -> Result<()> {
    let place = place(origin);
    if source == Path::new("/") {
        return Err(Error::usage(format!("{place}: / is the whole machine, it is not shared"))
            .hint("name the directories that are needed, one by one"));
    }
    if source.starts_with("/proc") || source.starts_with("/dev") {
        return Err(Error::usage(format!(
            "{place}: {} is not shared: the sandbox has a /proc and a /dev of its own",
            visible_path(source)
        )));
    }
    let home = &draft.host.home;
    if home.starts_with(source) {
        let what = if home == source { "is your home" } else { "holds your home" };
        let shown = visible_path(source);
        return Err(Error::usage(format!(
            "{place}: {shown} {what}, which the sandbox is there to hide"
        ))
        .hint("name the directories that are needed, one by one"));
    }
    draft.refuse_own_files(source, origin)?;
    let kept = [
        Path::new("/proc"),
        Path::new("/dev"),
        Path::new("/run"),
        Path::new(OWN_PROGRAM),
        &draft.host.home,
        &draft.project.root,
    ];
    let covers = kept.iter().find(|kept| kept.starts_with(destination));
    let covers_kept = covers.is_some_and(|kept| {
        // A directory above the home or the project lies below them in the order of mounts.
        kept == &destination || destination == Path::new("/")
    });
    let inside = ["/proc", "/dev", OWN_PROGRAM].iter().find(|dir| destination.starts_with(dir));
    let inside = inside.filter(|dir| **dir != "/dev" || destination != Path::new("/dev/shm"));
    let git = draft.project.root.join(".git");
    if covers_kept || inside.is_some() || destination.starts_with(&git) {
        return Err(Error::usage(format!(
            "{place}: {} is the sandbox's own, nothing can be mounted there",
            visible_path(destination)
        ))
        .hint("give another destination: SRC:DEST"));
    }
    Ok(())
}
