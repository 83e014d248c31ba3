//! The order of the mounts, and the mount points they need. A mount covers what was there before,
//! so parents come first and hides last: nothing is covered by accident, and no hide is undone.
//! bwrap must never make a mount point in a directory that an agent or a repository controls: it
//! follows links there, out of the sandbox (CVE-2026-87766). So a mount point there either exists
//! already, or claudebox itself prepares it, in a directory of its own.
#![forbid(unsafe_code)]

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::hides;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::paths::place;
use crate::error::{Error, Result};
use crate::host::FileKind;
use crate::lexical::{depth, is_below};
use crate::plan::Prepare;
use crate::visible::visible_path;

/// Puts everything into its final order.
pub(super) fn settle(draft: &mut Draft<'_>) -> Result<()> {
    parents_first(&mut draft.steps);
    mount_points(draft)?;
    let mut hides = hides::steps(draft)?;
    hides.extend(draft.steps.extract_if(.., |step| step.class == Class::Hide));
    pin_hides(draft, &hides);
    parents_first(&mut draft.steps);
    parents_first(&mut hides);
    add_outermost(&mut draft.steps, hides);
    seal(&mut draft.steps, draft.host.uid == 0);
    Ok(())
}

/// Stable, so that what has the same depth keeps its order.
fn parents_first(steps: &mut [Step]) {
    steps.sort_by_cached_key(|step| depth(step.mount.destination()));
}

/// Decides for each mount how its mount point comes to be.
fn mount_points(draft: &mut Draft<'_>) -> Result<()> {
    let mut index = 0;
    while index < draft.steps.len() {
        match mount_point(draft, &draft.steps[index].clone()) {
            Ok(pins) => {
                draft.steps.extend(pins);
                index += 1;
            }
            Err(Refused::Error(error)) => return Err(error),
            Err(Refused::LeftOut(why)) => {
                draft.left_out.push(why);
                draft.steps.remove(index);
            }
        }
    }
    Ok(())
}

/// Why a mount cannot be made.
enum Refused {
    /// It was asked for by name.
    Error(Error),
    /// It was asked for where possible.
    LeftOut(String),
}

/// Prepares or checks one mount point; answers with the mounts that pin the way to it.
fn mount_point(draft: &mut Draft<'_>, step: &Step) -> Result<Vec<Step>, Refused> {
    let destination = step.mount.destination();
    let node = match &step.mount {
        Mount::Bind { node, .. } => *node,
        Mount::Mask { .. } | Mount::Copy { .. } | Mount::File { .. } | Mount::Symlink { .. } => {
            Node::File
        }
        Mount::Tmpfs { .. } | Mount::Directory { .. } => Node::Directory,
        Mount::Proc | Mount::Dev | Mount::RemountReadOnly { .. } => return Ok(Vec::new()),
    };
    let Some(above) = holder(&draft.steps, destination) else { return Ok(Vec::new()) };
    let Mount::Bind { source, destination: holder, access, .. } = &above.mount else {
        return Ok(Vec::new());
    };
    let moves = *access == Access::Write;
    if let Mount::Symlink { .. } = step.mount {
        return Err(link_in_a_bind(&source.path(), above, step));
    }
    let (base, holder) = (source.path(), holder.clone());
    let rest = destination.strip_prefix(&holder).unwrap_or(destination).to_owned();
    let host = base.join(&rest);
    if let Ok(relative) = host.strip_prefix(&draft.private_home) {
        let relative = relative.to_owned();
        if !shows_private_home(&step.mount, &draft.private_home) {
            stays(&mut draft.prepare, &relative);
        }
        return Ok(in_private_home(draft, destination, &relative, node));
    }
    check_mount_point(draft, step, &base, &rest, node)?;
    Ok(if moves { pins(draft, step, (&base, &holder), &rest) } else { Vec::new() })
}

/// Who renames a directory takes the mounts in it along, and the name is free for something else. So
/// in a place that can be written each directory on the way to a mount point is mounted on itself: a
/// mount point cannot be renamed. And since it is opened without following a link, bwrap is not led
/// through one that came after we looked.
fn pins(draft: &Draft<'_>, step: &Step, (base, holder): (&Path, &Path), rest: &Path) -> Vec<Step> {
    let mounted = |path: &Path| draft.steps.iter().any(|step| step.is_at(path));
    rest.ancestors()
        .skip(1)
        .filter(|way| !way.as_os_str().is_empty())
        .map(|way| (base.join(way), holder.join(way)))
        .filter(|(_, destination)| !mounted(destination))
        .map(|(source, destination)| Step {
            mount: Mount::Bind {
                source: Source::canonical(&source),
                destination,
                access: Access::Write,
                node: Node::Directory,
            },
            why: "holds a mount point, so it cannot be moved".to_owned(),
            ..step.clone()
        })
        .collect()
}

/// The same for what is hidden: it would move along, and stand there for the next session, which hides it
/// where it was.
fn pin_hides(draft: &mut Draft<'_>, hides: &[Step]) {
    for hide in hides {
        let destination = hide.mount.destination();
        let Some(Mount::Bind { source, destination: holder, access: Access::Write, .. }) =
            holder(&draft.steps, destination).map(|holder| &holder.mount)
        else {
            continue;
        };
        let (base, holder) = (source.path(), holder.clone());
        let rest = destination.strip_prefix(&holder).unwrap_or(destination).to_owned();
        let hide = Step { class: Class::HostFile, ..hide.clone() };
        let mut pins = pins(draft, &hide, (&base, &holder), &rest);
        let kind = |step: &Step| match &step.mount {
            Mount::Bind { source, .. } => draft.facts.lstat(&source.path()).map(|it| it.kind),
            _ => None,
        };
        pins.retain(|pin| kind(pin) == Some(FileKind::Directory));
        draft.steps.extend(pins);
    }
}

/// The mount that holds the mount point. Where it is no bind, or there is none, the mount point is
/// in memory, and bwrap may make it.
fn holder<'s>(steps: &'s [Step], destination: &Path) -> Option<&'s Step> {
    steps
        .iter()
        .filter(|step| step.is_above(destination))
        .filter(|step| !matches!(step.mount, Mount::Symlink { .. } | Mount::Directory { .. }))
        .max_by_key(|step| step.mount.destination().as_os_str().len())
}

/// A link is made by bwrap, not mounted: below a bind it would make it in the host's own directory.
fn link_in_a_bind(source: &Path, above: &Step, step: &Step) -> Refused {
    let (over, link) = (above.mount.destination(), step.mount.destination());
    let by = above.origin.as_ref().map_or_else(|| above.why.clone(), place);
    let (shown, link) = (visible_path(over), visible_path(link));
    if source == over {
        return Refused::LeftOut(format!("{link}: {shown} is the host's own ({by})"));
    }
    Refused::Error(
        Error::usage(format!("{by}: {shown} cannot be covered: the sandbox has {link} in it"))
            .hint("give another destination: SRC:DEST"),
    )
}

/// In the private home the mount point is made before bwrap starts, without following a link. Each
/// directory above it becomes a mount of its own: another session in the same home could rename it
/// just when bwrap walks through.
fn in_private_home(
    draft: &mut Draft<'_>,
    destination: &Path,
    relative: &Path,
    node: Node,
) -> Vec<Step> {
    let root = &draft.private_home;
    let path = relative.into();
    draft.prepare.push(match node {
        Node::Directory => Prepare::Directory { root: (&**root).into(), path },
        Node::File => Prepare::MountPoint { root: (&**root).into(), path },
    });
    let ways = relative.ancestors().zip(destination.ancestors()).skip(1);
    ways.filter(|(relative, _)| !relative.as_os_str().is_empty())
        .filter(|(_, inside)| !draft.steps.iter().any(|step| step.is_at(inside)))
        .map(|(relative, inside)| {
            // What is put beside the project would be lost: the user's directory is another. (A
            // dot directory like ~/.config is the home's own business, project in it or not.)
            let dotted = inside.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
            let beside = draft.project.root.parent() == Some(inside) && !dotted;
            let (access, why) = if beside {
                (Access::Read, "the directory around the project")
            } else {
                (Access::Write, "holds a mount point, so it cannot be moved")
            };
            let source = Source::Beneath { root: root.clone(), path: relative.to_owned() };
            let destination = inside.to_owned();
            Step {
                mount: Mount::Bind { source, destination, access, node: Node::Directory },
                class: Class::Home,
                why: why.to_owned(),
                origin: None,
            }
        })
        .collect()
}

fn shows_private_home(mount: &Mount, private_home: &Path) -> bool {
    matches!(mount, Mount::Bind { source, .. } if source.path().starts_with(private_home))
}

/// A mount point in a directory that is emptied first need not be made anew: what is in it is covered.
fn stays(prepare: &mut [Prepare], relative: &Path) {
    for step in prepare {
        if let Prepare::Empty { path, keep, .. } = step
            && relative.parent() == Some(path.as_path())
            && let Some(name) = relative.file_name()
            && !keep.iter().any(|kept| kept.0 == name.as_bytes())
        {
            keep.push(name.into());
        }
    }
}

/// In a directory of the host the mount point must be there, of the right kind, with no link on
/// the way.
fn check_mount_point(
    draft: &Draft<'_>,
    step: &Step,
    base: &Path,
    rest: &Path,
    node: Node,
) -> Result<(), Refused> {
    let mut path = base.to_owned();
    let mut components = rest.components().peekable();
    while let Some(component) = components.next() {
        path.push(component);
        let wanted = if components.peek().is_some() { Node::Directory } else { node };
        let found = match draft.created.get(&path) {
            Some(Node::Directory) => Some(FileKind::Directory),
            Some(Node::File) => Some(FileKind::File),
            None => draft.facts.lstat(&path).map(|found| found.kind),
        };
        let shown = visible_path(&path);
        let problem = match (found, wanted) {
            (None, _) => format!("{shown} does not exist"),
            (Some(FileKind::Symlink), _) => format!("{shown} is a symbolic link"),
            (Some(FileKind::Directory), Node::Directory) => continue,
            (Some(FileKind::Directory), Node::File) => format!("{shown} is a directory"),
            (Some(_), Node::Directory) => format!("{shown} is not a directory"),
            (Some(_), Node::File) => continue,
        };
        return Err(refused(step, &problem, node));
    }
    Ok(())
}

fn refused(step: &Step, problem: &str, node: Node) -> Refused {
    let destination = visible_path(step.mount.destination());
    let by = step.origin.as_ref().map_or_else(|| step.why.clone(), place);
    if matches!(step.class, Class::Tools | Class::System | Class::HostFile) {
        return Refused::LeftOut(format!("{destination} ({by}): {problem}"));
    }
    let make = if node == Node::Directory { "mkdir -p" } else { "touch" };
    let error = Error::usage(format!("{by}: nothing can be mounted at {destination}: {problem}"));
    Refused::Error(error.hint(format!(
        "claudebox makes no mount point in a directory of yours: create it ({make}), or give \
         another destination"
    )))
}

/// Appends the hides, but none inside another.
fn add_outermost(steps: &mut Vec<Step>, hides: Vec<Step>) {
    let start = steps.len();
    for hide in hides {
        let inside = |outer: &Step| hide.mount.destination().starts_with(outer.mount.destination());
        if !steps[start..].iter().any(inside) {
            steps.push(hide);
        }
    }
}

/// Makes read-only what only the setup had to write: the root, `/dev`, the emptied places.
fn seal(steps: &mut Vec<Step>, root: bool) {
    let empty = steps.iter().filter_map(|step| match &step.mount {
        Mount::Tmpfs { destination, .. }
            if matches!(step.class, Class::Home | Class::Hide | Class::Git) =>
        {
            Some(destination.clone())
        }
        _ => None,
    });
    let mut sealed: Vec<PathBuf> = empty.collect();
    sealed.extend(["/dev", "/"].map(PathBuf::from));
    if root {
        // To the kernel it owns what is there, and the mode of `/proc/meminfo` is the whole machine's.
        sealed.push("/proc".into());
    }
    steps.extend(sealed.into_iter().map(|destination| Step {
        mount: Mount::RemountReadOnly { destination },
        class: Class::Seal,
        why: "nothing is to be written there".to_owned(),
        origin: None,
    }));
}

/// What can be read inside and not written, for the second layer: whatever is mounted or copied, the outermost.
/// `writable`: see there.
pub(super) fn readable(steps: &[Step], writable: &[PathBuf]) -> Vec<PathBuf> {
    let shown = |step: &&Step| {
        let empty = matches!(
            step.mount,
            Mount::Symlink { .. } | Mount::Directory { .. } | Mount::RemountReadOnly { .. }
        );
        !empty && step.class != Class::Hide && !matches!(step.mount, Mount::Mask { .. })
    };
    let shown = steps.iter().filter(shown).map(|step| step.mount.destination());
    outermost(shown.filter(|path| !writable.iter().any(|outer| is_below(path, outer))))
}

/// The paths that are below no other; each one more is a rule to make at every start.
fn outermost<'p>(paths: impl Iterator<Item = &'p Path>) -> Vec<PathBuf> {
    let mut paths: Vec<&Path> = paths.collect();
    paths.sort_by_key(|path| path.as_os_str().as_bytes());
    let mut outermost: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !outermost.iter().any(|outer| is_below(path, outer)) {
            outermost.push(path.to_owned());
        }
    }
    outermost
}

/// What can be written inside, for the second layer, the outermost: device nodes and `/proc/self` as well.
pub(super) fn writable(steps: &[Step]) -> Vec<PathBuf> {
    let sealed = |path: &Path| {
        steps.iter().any(|step| {
            matches!(&step.mount, Mount::RemountReadOnly { destination } if destination == path)
        })
    };
    outermost(steps.iter().filter_map(|step| match &step.mount {
        Mount::Bind { destination, access: Access::Write, .. } => Some(&**destination),
        Mount::Tmpfs { destination, .. } if !sealed(destination) => Some(destination),
        Mount::Proc if sealed(Path::new("/proc")) => None,
        Mount::Dev | Mount::Proc => Some(step.mount.destination()),
        _ => None,
    }))
}
