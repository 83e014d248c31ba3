//! The home inside: a directory of claudebox's own for this profile in this project, and on it the
//! tools of the user's home. What a shell would run by itself is made
//! fresh each time, so that one session cannot plant for the next.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::binds::refuse_planted;
use super::draft::{Bind, Draft};
use super::gitconfig;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use super::nix;
use super::paths::place;
use crate::error::{Error, Result};
use crate::plan::Prepare;
use crate::session::homes::BORN;
use crate::visible::visible_path;

/// What shells, editors and debuggers run or obey without being asked; relative to the home.
pub(crate) const STARTUP_FILES: [&str; 27] = [
    ".bash_aliases",
    ".bash_login",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".profile",
    ".cshrc",
    ".tcshrc",
    ".login",
    ".logout",
    ".kshrc",
    ".mkshrc",
    ".inputrc",
    ".zlogin",
    ".zlogout",
    ".zprofile",
    ".zshenv",
    ".config/fish",
    ".config/nushell",
    ".config/git",
    ".config/direnv",
    ".config/environment.d",
    ".gdbinit",
    ".lldbinit",
    ".exrc",
    ".vimrc",
    ".ssh/rc",
];

/// The private home, with what is fresh in it.
pub(super) fn mounts(draft: &mut Draft<'_>) -> Result<()> {
    let home = &draft.host.home;
    if home.as_os_str().is_empty() || home == Path::new("/") {
        return Err(Error::launcher("the home directory is /, which the sandbox cannot hide")
            .hint("set HOME to a directory of yours"));
    }
    link_to_home(draft)?;
    let root = draft.private_home.clone();
    // Another repository at the same path is another project.
    let (project, born) = ((&*draft.project.root).into(), born(draft));
    let born = born.map(|born| born.as_str().into());
    draft.prepare.push(Prepare::Home { root: (&*root).into(), project, born });
    draft.prepare.push(Prepare::Directory { root: (&*root).into(), path: "".into() });
    for name in STARTUP_FILES {
        draft.prepare.push(Prepare::Remove { root: (&*root).into(), path: name.into() });
    }
    // Without one, zsh asks a newcomer questions.
    write(draft, ".zshrc", b"# claudebox writes this file anew for each session.\n".to_vec());
    let identity = gitconfig::for_inside(draft);
    write(draft, ".gitconfig", identity);
    draft.add(Step {
        mount: Mount::Bind {
            source: Source::Beneath { root, path: PathBuf::new() },
            destination: draft.host.home.clone(),
            access: Access::Write,
            node: Node::Directory,
        },
        class: Class::Home,
        why: "a home of its own for this profile in this project".to_owned(),
        origin: None,
    })
}

/// When the project's directory was made, as it is noted beside the private home.
fn born(draft: &Draft<'_>) -> Option<String> {
    let born = draft.facts.lstat(&draft.project.root)?.born?;
    Some(format!("{born}\n"))
}

/// Whether the private home that stands there was another directory's, and will be moved away before
/// the session begins.
pub(super) fn is_anothers(draft: &Draft<'_>) -> bool {
    let Some(born) = born(draft) else { return false };
    let mut note = draft.private_home.clone().into_os_string();
    note.push(BORN);
    let noted = draft.facts.read_head(Path::new(&note), born.len() + 1);
    noted.is_some_and(|noted| noted != born.as_bytes())
}

/// Some systems reach homes through a link (`/home` -> `/var/home`): paths that were written down
/// with it must lead somewhere inside, too.
fn link_to_home(draft: &mut Draft<'_>) -> Result<()> {
    let Some(named) = draft.host.environment.get(std::ffi::OsStr::new("HOME")) else {
        return Ok(());
    };
    let named = Path::new(named);
    let Some(top) = named.ancestors().find(|dir| dir.parent() == Some(Path::new("/"))) else {
        return Ok(());
    };
    match draft.facts.read_link(top) {
        Some(target) if !draft.host.home.starts_with(top) => draft.add(Step {
            mount: Mount::Symlink { target, destination: top.to_owned() },
            class: Class::Own,
            why: "the way to the home".to_owned(),
            origin: None,
        }),
        _ => Ok(()),
    }
}

fn write(draft: &mut Draft<'_>, name: &str, content: Vec<u8>) {
    draft.prepare.push(Prepare::File {
        root: (&*draft.private_home).into(),
        path: name.into(),
        content: content.into(),
    });
}

/// `tools`: directories with programs, where they exist.
pub(super) fn tools(draft: &mut Draft<'_>) -> Result<()> {
    for entry in &draft.settings.tools {
        let path = draft.variables.path(entry)?;
        // Most are not on this machine, and realpath(3) asks for every directory on the way.
        if draft.facts.lstat(&path).is_none() {
            continue;
        }
        let Some(real) = draft.facts.canonicalize(&path) else { continue };
        refuse_planted(draft, &path, &place(&entry.origin))?;
        if draft.host.home.starts_with(&real) || draft.host.home.starts_with(&path) {
            return Err(Error::usage(format!(
                "{}: {} holds the home, it is no directory of tools",
                place(&entry.origin),
                visible_path(&path)
            )));
        }
        draft.refuse_own_files(&real, &entry.origin)?;
        if nix::leaves_out(draft, &path, &real) {
            draft.left_out.push(format!("tools, by the key `nix`: {}", visible_path(&path)));
            continue;
        }
        nix::leads_to(draft, &real);
        draft.bind(&Bind {
            source: &real,
            destination: &path,
            access: Access::Read,
            class: Class::Tools,
            why: "tools",
            origin: Some(&entry.origin),
        })?;
    }
    Ok(())
}
