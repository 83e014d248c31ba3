//! What is visible of a Nix store where a profile names a closure (`nix-closure`): the paths that a
//! file lists, each by itself, and not the store around them, in which everything that was ever built
//! on the machine can be read. It must never show more of the store than the file lists.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::parts::Parts;
use super::paths::place;
use super::program::Need;
use crate::error::{Error, Result};
use crate::host::{Facts, FileKind};
use crate::profile::origin::Settled;
use crate::visible::{visible, visible_path};

/// More than the list of any closure, in bytes: some ten thousand paths.
const LARGEST: usize = 1 << 20;

/// What programs expect outside of the store, by part of the system and path in it. On NixOS these
/// are links into the store, to programs of the system, and all that there is in the part.
const EXPECTED: [(&str, &str); 2] = [("/bin", "sh"), ("/usr", "bin/env")];

/// Puts the listed paths in the place of the store.
pub(super) fn narrow(draft: &mut Draft<'_>, parts: &mut Parts) -> Result<()> {
    let settings = draft.settings;
    let Some(entry) = &settings.nix_closure else { return Ok(()) };
    let file = draft.variables.path(entry)?;
    let Some(store) = file.parent() else { return Err(no_list(&file, entry)) };
    let paths = listed(draft.facts, &file, store, entry)?;
    parts.0.retain(|part| part.path != store);
    for path in &paths {
        let step = shown(draft.facts, path, entry)?;
        draft.add(step)?;
    }
    for (part, name) in EXPECTED {
        stand_in(draft, parts, store, &paths, (Path::new(part), name), entry)?;
    }
    Ok(())
}

/// A program is not made visible with all of the store around it.
pub(super) fn refuse(draft: &Draft<'_>, need: &Need, program: &Path) -> Result<()> {
    match &draft.settings.nix_closure {
        Some(entry) if need.source.starts_with("/nix/store") => Err(Error::usage(format!(
            "{}: {} is not in the closure",
            place(&entry.origin),
            visible_path(program)
        ))
        .hint("wrap it as a package (`wrapAgent`, docs/nix.md), or add it to `tools` there")
        .hint("or use a profile without `nix-closure`, which shows all of the store")),
        _ => Ok(()),
    }
}

/// The paths in the file, each directly below `store`.
fn listed(
    facts: &dyn Facts,
    file: &Path,
    store: &Path,
    entry: &Settled<String>,
) -> Result<Vec<PathBuf>> {
    let text = facts.read_head(file, LARGEST).filter(|text| text.len() < LARGEST);
    let text = text.ok_or_else(|| no_list(file, entry))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let paths = lines.map(|line| {
        let path = Path::new(OsStr::from_bytes(line));
        let name = path.strip_prefix(store).ok().and_then(Path::to_str);
        match name {
            Some(name) if !matches!(name, "" | "." | "..") && !name.contains('/') => {
                Ok(path.to_owned())
            }
            _ => Err(Error::usage(format!(
                "{}: {} lists `{}`, which is no path of the store {}",
                place(&entry.origin),
                visible_path(file),
                visible(line),
                visible_path(store)
            ))
            .hint("each line is a store path, as `nix-store --query --requisites` prints them")),
        }
    });
    paths.collect()
}

fn no_list(file: &Path, entry: &Settled<String>) -> Error {
    Error::usage(format!(
        "{}: cannot read the list of store paths in {}",
        place(&entry.origin),
        visible_path(file)
    ))
    .hint("if it was collected as garbage, build the package again that it belongs to")
}

/// A path of the store, where it is on the host.
fn shown(facts: &dyn Facts, path: &Path, entry: &Settled<String>) -> Result<Step> {
    let found = facts.lstat(path).ok_or_else(|| {
        Error::usage(format!(
            "{}: {} is not in the store any more",
            place(&entry.origin),
            visible_path(path)
        ))
        .hint("build the package again that the list belongs to")
    })?;
    let mount = match facts.read_link(path) {
        Some(target) if found.kind == FileKind::Symlink => {
            Mount::Symlink { target, destination: path.to_owned() }
        }
        _ => Mount::Bind {
            source: Source::Trusted(path.to_owned()),
            destination: path.to_owned(),
            access: Access::Read,
            node: Node::of(found.kind),
        },
    };
    Ok(step(mount, entry))
}

fn step(mount: Mount, entry: &Settled<String>) -> Step {
    let why = "nix-closure".to_owned();
    Step { mount, class: Class::System, why, origin: Some(entry.origin.clone()) }
}

/// Where the host's program leads into the store and out of the closure, the closure's own of that
/// name stands in its place, if there is one.
fn stand_in(
    draft: &mut Draft<'_>,
    parts: &mut Parts,
    store: &Path,
    paths: &[PathBuf],
    (part, name): (&Path, &str),
    entry: &Settled<String>,
) -> Result<()> {
    let path = part.join(name);
    let target = draft.facts.read_link(&path).filter(|target| target.starts_with(store));
    let Some(target) = target else { return Ok(()) };
    if paths.iter().any(|known| target.starts_with(known)) {
        return Ok(());
    }
    parts.0.retain(|known| known.path != part);
    let program = path.file_name().unwrap_or_default();
    let candidates = paths.iter().map(|path| path.join("bin").join(program));
    let Some(target) = candidates.into_iter().find(|it| draft.facts.lstat(it).is_some()) else {
        return Ok(());
    };
    draft.add(step(Mount::Symlink { target, destination: path }, entry))
}

#[cfg(test)]
mod tests {
    use crate::policy::fixture::{Case, at};

    const STORE: &str = "/nix/store";

    /// NixOS, with an agent in the store, a shell for it, and the list of both.
    fn case(list: &str) -> Case {
        let file = format!("{STORE}/c-closure");
        let mut case = Case::nixos().disk(|disk| {
            disk.program(format!("{STORE}/agent/bin/agent"), "\x7fELF")
                .program(format!("{STORE}/bash/bin/sh"), "\x7fELF")
                .program(format!("{STORE}/other/bin/other"), "\x7fELF")
                .link(format!("{STORE}/alias"), "/nix/store/agent")
                .file(&file, list)
        });
        case.settings.nix_closure = Some(at(7, file));
        case.settings.command = Some(at(2, vec![format!("{STORE}/agent/bin/agent")]));
        case
    }

    const LIST: &str = "/nix/store/agent\n/nix/store/alias\n/nix/store/bash\n";

    #[test]
    fn the_store_is_what_the_file_lists() {
        let mounts = case(LIST).mounts();
        let of_store: Vec<&str> = mounts
            .lines()
            .filter(|line| line.contains("nix-closure") || line.contains("ro    /nix/store "))
            .map(str::trim)
            .collect();
        insta::assert_snapshot!(of_store.join("\n"), @r"
        link  /bin/sh -> /nix/store/bash/bin/sh                  nix-closure [test.toml:7]
        ro    /nix/store/agent                                   nix-closure [test.toml:7]
        link  /nix/store/alias -> /nix/store/agent               nix-closure [test.toml:7]
        ro    /nix/store/bash                                    nix-closure [test.toml:7]
        ");
    }

    /// What links of `/etc` lead to is there all the same, and nothing else.
    #[test]
    fn files_of_the_system_are_bound_by_themselves() {
        let mounts = case(LIST).mounts();
        assert!(mounts.contains("/etc/passwd = /nix/store/etc/passwd "), "{mounts}");
        assert!(!mounts.contains("/nix/store/other"), "{mounts}");
    }

    #[test]
    fn another_program_of_the_store_does_not_open_it() {
        let mut other = case(LIST);
        other.settings.command = Some(at(2, vec![format!("{STORE}/other/bin/other")]));
        insta::assert_snapshot!(other.error(), @r"
        test.toml:7: /nix/store/other/bin/other is not in the closure
        hint: wrap it as a package (`wrapAgent`, docs/nix.md), or add it to `tools` there
        hint: or use a profile without `nix-closure`, which shows all of the store
        ");
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        for list in ["/etc\n", "/nix/store\n", "/nix/store/..\n", "/nix/store/a/b\n", "agent\n"] {
            let error = case(list).error();
            assert!(error.contains("which is no path of the store /nix/store"), "{list}: {error}");
        }
        insta::assert_snapshot!(case("/nix/store/gone\n").error(), @r"
        test.toml:7: /nix/store/gone is not in the store any more
        hint: build the package again that the list belongs to
        ");
        let mut missing = case(LIST);
        missing.settings.nix_closure = Some(at(7, format!("{STORE}/none")));
        insta::assert_snapshot!(missing.error(), @r"
        test.toml:7: cannot read the list of store paths in /nix/store/none
        hint: if it was collected as garbage, build the package again that it belongs to
        ");
    }
}
