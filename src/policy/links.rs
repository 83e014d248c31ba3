//! Links on the way to a path that the user named, made by somebody else: an agent that may write to a
//! project can put a link in the place of what will be named. It must never answer for what the link
//! leads to: nothing but the end of the whole way is the user's word.
#![forbid(unsafe_code)]

use std::cell::LazyCell;
use std::path::{Path, PathBuf};

use super::project::git_root;
use crate::host::follow::{Followed, Link, follow_on};
use crate::host::{Facts, Host, Written};

/// How far a link is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It may lead to another place of the tree that it is in.
    Within,
    /// In a tree that an agent may have written in, it is not.
    None,
}

/// The first link on the way to this path that an agent may have made: at each step, also within what
/// another link leads to.
pub(super) fn planted(
    path: &Path,
    trust: Trust,
    host: &Host,
    facts: &dyn Facts,
) -> Option<PathBuf> {
    // What cannot be followed is not vouched for.
    let Some(Followed { links, end }) = follow_on(path, facts) else {
        return Some(path.to_owned());
    };
    // Most paths go through no link, and need no look at what all sessions could write.
    let written = LazyCell::new(|| facts.projects(host));
    let is_planted = |link: &Link| {
        let tree = |directory| {
            let repository = repository(directory, host, facts);
            repository.or_else(|| of_session(directory, host, facts, &written))
        };
        let tree = link.path.parent().filter(|at| !host.home.starts_with(at)).and_then(tree);
        tree.is_some_and(|tree| trust == Trust::None || !end.starts_with(tree))
    };
    links.into_iter().find(is_planted).map(|link| link.path)
}

/// The first link behind a program's name on `PATH` that stands where a session could write, and leads out of
/// there. The name itself is the user's word. A repository alone is not asked for: tools are kept in some
/// (`~/.nvm`), with links that lead out.
pub(super) fn planted_behind(program: &Path, host: &Host, facts: &dyn Facts) -> Option<PathBuf> {
    let Followed { links, end } = follow_on(program, facts)?;
    let to_it = program.parent().and_then(|directory| follow_on(directory, facts))?.links.len();
    let written = LazyCell::new(|| facts.projects(host));
    let leads_out = |link: &Link| {
        let directory = link.path.parent();
        let tree = directory.and_then(|at| of_session(at, host, facts, &written));
        tree.is_some_and(|tree| !end.starts_with(tree))
    };
    links.into_iter().skip(to_it + 1).find(leads_out).map(|link| link.path)
}

/// The repository in which an agent may have written here. The home is never one, although some have a
/// repository there.
fn repository(directory: &Path, host: &Host, facts: &dyn Facts) -> Option<PathBuf> {
    git_root(directory, facts).filter(|tree| !host.home.starts_with(tree))
}

/// What a session could write here: by its path, or, where the user moved it since, by what it is. A move is
/// the user's, and what an agent left there is not.
fn of_session(
    directory: &Path,
    host: &Host,
    facts: &dyn Facts,
    written: &[Written],
) -> Option<PathBuf> {
    let is_written = |at: &&Path| {
        let found = LazyCell::new(|| facts.lstat(at).map(|found| found.identity()));
        written.iter().any(|one| {
            let is_it = |identity| found.is_some_and(|found| found.is_of(identity));
            one.path == *at || one.identity.as_ref().is_some_and(is_it)
        })
    };
    let trees = directory.ancestors().take_while(|at| !host.home.starts_with(at));
    trees.filter(is_written).last().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeDisk;

    fn found(path: &str, trust: Trust) -> Option<String> {
        let disk = FakeDisk::of(1000)
            .link("/home", "/var/home")
            .file("/var/home/u/repo/.git/HEAD", "")
            .dir("/var/home/u/repo/src")
            .link("/var/home/u/repo/out", "../other")
            .link("/var/home/u/repo/in", "src")
            .link("/var/home/u/mine", "repo/out/x")
            .dir("/var/home/u/other/x")
            .link("/var/home/u/plain/out", "../other")
            .link("/var/home/u/elsewhere/out", "../other")
            .link("/var/home/u/moved/deep/out", "../../other")
            .moved_project("/var/home/u/moved")
            .project("/var/home/u/plain");
        let host = Host { home: "/var/home/u".into(), ..Host::default() };
        Some(planted(Path::new(path), trust, &host, &disk)?.display().to_string())
    }

    #[test]
    fn a_link_of_a_tree_that_an_agent_writes_is_found_at_any_step() {
        for trust in [Trust::Within, Trust::None] {
            let out = Some("/var/home/u/repo/out".to_owned());
            assert_eq!(found("/home/u/repo/out", trust), out);
            assert_eq!(found("/home/u/mine", trust), out, "the second link");
            let plain = found("/home/u/plain/out/x", trust);
            assert_eq!(plain.unwrap(), "/var/home/u/plain/out", "the project of a session");
            let moved = found("/home/u/moved/deep/out/x", trust);
            assert_eq!(moved.unwrap(), "/var/home/u/moved/deep/out", "it has another path by now");
            assert_eq!(found("/home/u/elsewhere/out", trust), None);
            assert_eq!(found("/home/u/repo/src", trust), None);
        }
        assert_eq!(found("/home/u/repo/in", Trust::Within), None);
        assert_eq!(found("/home/u/repo/in", Trust::None).unwrap(), "/var/home/u/repo/in");
    }

    #[test]
    fn what_is_too_long_to_be_followed_is_not_vouched_for() {
        let long = format!("/home/u/repo/{}out", "src/../".repeat(1024));
        assert_eq!(found(&long, Trust::Within), Some(long));
    }

    #[test]
    fn a_home_that_is_a_repository_is_the_users_own() {
        let disk = FakeDisk::of(1000).file("/home/u/.git/HEAD", "").link("/home/u/.cache", "/data");
        let host = Host { home: "/home/u".into(), ..Host::default() };
        assert_eq!(planted(Path::new("/home/u/.cache"), Trust::Within, &host, &disk), None);
    }
}
