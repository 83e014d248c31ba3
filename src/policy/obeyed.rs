//! Files of the user's that stand in the project by way of a link, as with dotfiles: `~/.gitconfig` is obeyed
//! by git in every directory, a profile by the next claudebox. They are read-only inside, tracked or
//! not. Of other links of the home it is only said that they lead there. It must never follow one of those.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::around::Named;
use super::draft::Draft;
use super::mount::{Access, Class, Mount, Node, Source, Step};
use crate::error::Result;
use crate::host::follow::{Followed, follow_on};
use crate::host::reached::reached;
use crate::lexical::clean;
use crate::profile::schema::Git;
use crate::visible::visible_path;

/// Where a home keeps what its programs obey, besides its own directory.
const OF_HOME: [&str; 18] = [
    ".config",
    ".config/autostart",
    ".config/fish",
    ".config/git",
    ".config/nvim",
    ".config/opencode",
    ".config/systemd/user",
    ".config/tmux",
    ".config/zsh",
    ".claude",
    ".codex",
    ".gemini",
    ".qwen",
    ".emacs.d",
    ".local/bin",
    ".ssh",
    ".vim",
    "bin",
];

/// Adds the mounts; answers with the paths of the project by which the files are reached, whether anything is
/// there or not, and who obeys each.
pub(super) fn mounts(
    draft: &mut Draft<'_>,
    git: Git,
    named: &Named,
) -> Result<BTreeMap<PathBuf, &'static str>> {
    let files = files(draft, named);
    let mut found = BTreeMap::new();
    for (file, program) in &files {
        let reached = reached(file, &draft.project.root, draft.facts);
        if !reached.is_empty() {
            hold(draft, file, program, git)?;
        }
        found.extend(reached.into_iter().map(|path| (path, *program)));
    }
    say(draft, &files);
    say_path(draft);
    Ok(found)
}

/// The files, and who obeys them.
fn files(draft: &Draft<'_>, named: &Named) -> BTreeMap<PathBuf, &'static str> {
    let own = &draft.host.dirs.config;
    let in_own = |directory: PathBuf| {
        let links = draft.facts.links(&directory);
        links.into_iter().map(move |name| directory.join(name))
    };
    let ours = in_own(own.clone()).chain(in_own(own.join("profiles")));
    let ours = ours.chain(draft.settings.files.iter().cloned());
    let git = named.included.iter().cloned();
    ours.map(|file| (file, "claudebox")).chain(git.map(|file| (file, "git"))).collect()
}

/// A path relative to the project.
fn within(draft: &Draft<'_>, path: &Path) -> Option<PathBuf> {
    let relative = path.strip_prefix(&draft.project.root).ok()?;
    (!relative.as_os_str().is_empty()).then(|| relative.to_owned())
}

/// Makes one read-only, if it leads into the project.
fn hold(draft: &mut Draft<'_>, file: &Path, program: &str, git: Git) -> Result<()> {
    let Some(Followed { links, end }) = follow_on(file, draft.facts) else { return Ok(()) };
    let shown = visible_path(file);
    if let Some(link) = links.iter().find_map(|link| within(draft, &link.path)) {
        draft.weakened.push(format!(
            "{program}: {shown} leads through {}, a symbolic link of the project: the agent can put \
             something else in its place",
            visible_path(&link)
        ));
    }
    let Some(relative) = within(draft, &end) else { return Ok(()) };
    // Inside, the directory of git is another, or cannot be written.
    let others = relative.starts_with(".git") && git != Git::Shared;
    if others || draft.steps.iter().any(|step| step.is_at(&end)) {
        return Ok(());
    }
    let Some(kind) = draft.facts.lstat(&end).map(|found| found.kind) else {
        draft.weakened.push(format!(
            "{program}: {shown} leads to {}, which is not there: the agent can make what {program} obeys",
            visible_path(&relative)
        ));
        return Ok(());
    };
    draft.add(Step {
        mount: Mount::Bind {
            source: Source::canonical(&end),
            destination: end.clone(),
            access: Access::Read,
            node: Node::of(kind),
        },
        class: Class::Git,
        why: format!("{program} outside obeys it ({shown})"),
        origin: None,
    })
}

/// The user runs by name what is written in a directory on `PATH`.
fn say_path(draft: &mut Draft<'_>) {
    let path = draft.host.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let is_on = std::env::split_paths(&path).any(|dir| dir == draft.project.root);
    if is_on {
        draft.weakened.push(
            "PATH: the project is on it: you run by name what the agent writes there".to_owned(),
        );
    }
}

/// Says which links of the home lead into the project, by their names alone: to follow one can take as long
/// as a server that does not answer.
fn say(draft: &mut Draft<'_>, known: &BTreeMap<PathBuf, &'static str>) {
    let home = &draft.host.home;
    let mut names = Vec::new();
    for directory in OF_HOME.into_iter().chain([""]) {
        let directory = home.join(directory);
        for name in draft.facts.links(&directory) {
            let link = directory.join(name);
            let Some(target) = draft.facts.read_link(&link) else { continue };
            let end = clean(&directory.join(target));
            let leads = within(draft, &end).is_some() && !link.starts_with(&draft.project.root);
            if leads && !known.contains_key(&link) {
                names.push(link.strip_prefix(home).unwrap_or(&link).to_owned());
            }
        }
    }
    let Some(first) = names.first() else { return };
    let first = visible_path(first);
    let lead = match names.len() - 1 {
        0 => "leads".to_owned(),
        more => format!("and {more} more lead"),
    };
    draft.weakened.push(format!(
        "home: ~/{first} {lead} into the project: programs of the host obey what the agent writes there"
    ));
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Case;
    use super::super::mount::Step;
    use super::*;
    use crate::host::fake::FakeDisk;

    /// What is read-only in the project, and what is said to be open.
    fn look(git: Git, disk: impl FnOnce(FakeDisk) -> FakeDisk) -> (Vec<String>, Vec<String>) {
        let case = Case::debian().disk(disk).with(|case| case.invocation.git = Some(git));
        let policy = case.policy().unwrap();
        let line = |step: &Step| {
            let Mount::Bind { destination, access: Access::Read, .. } = &step.mount else {
                return None;
            };
            let path = destination.strip_prefix("/home/u/p").ok()?;
            (!path.starts_with(".git")).then(|| path.display().to_string())
        };
        let open = |text: &String| text.starts_with("git: /home/u/.") || text.starts_with("home: ");
        (
            policy.mounts.iter().filter_map(line).collect(),
            policy.weakened.into_iter().filter(open).collect(),
        )
    }

    #[test]
    fn what_git_and_claudebox_obey_is_read_only_wherever_it_stands() {
        for git in [Git::Shared, Git::None] {
            let found = look(git, |disk| {
                disk.link("/home/u/.gitconfig", "p/dot/gitconfig")
                    .file("/home/u/p/dot/gitconfig", "[include]\n\tpath = more\n")
                    .file("/home/u/p/dot/more", "")
                    .file("/home/u/more", "")
                    .link("/home/u/.config/claudebox/config.toml", "/home/u/p/dot/config.toml")
                    .file("/home/u/p/dot/config.toml", "")
                    .link("/home/u/.config/claudebox/profiles/x.toml", "/home/u/p/x.toml")
                    .file("/home/u/p/x.toml", "")
            });
            let expected = ["dot/gitconfig", "dot/config.toml", "x.toml"];
            for expected in expected {
                assert!(found.0.contains(&expected.to_owned()), "{expected}: {:?}", found.0);
            }
            assert_eq!(found.1, [""; 0]);
        }
    }

    #[test]
    fn a_project_on_path_is_said() {
        let said = |path: &str| {
            let case = Case::debian().with(|case| {
                case.host.environment.insert("PATH".into(), path.into());
            });
            case.policy().unwrap().weakened.iter().any(|text| text.starts_with("PATH: "))
        };
        assert!(said("/usr/bin:/home/u/p") && !said("/usr/bin:/home/u/p/bin"));
    }

    #[test]
    fn what_cannot_be_held_is_said() {
        let found = look(Git::Shared, |disk| {
            disk.link("/home/u/.gitconfig", "p/dot/gitconfig")
                .link("/home/u/p/dot", "real")
                .file("/home/u/p/real/gitconfig", "")
                .link("/home/u/.config/git/config", "/home/u/p/gone")
                .link("/home/u/.bashrc", "p/real/bashrc")
                .link("/home/u/.ssh/config", "../p/real/ssh")
                .link("/home/u/.zshrc", "elsewhere")
        });
        assert_eq!(found.0, ["real/gitconfig"]);
        insta::assert_snapshot!(found.1.join("\n"), @r"
        git: /home/u/.config/git/config leads to gone, which is not there: the agent can make what git obeys
        git: /home/u/.gitconfig leads through dot, a symbolic link of the project: the agent can put something else in its place
        home: ~/.ssh/config and 1 more lead into the project: programs of the host obey what the agent writes there
        ");
    }
}
