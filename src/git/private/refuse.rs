//! Which repositories get no private git directory, and what to do about it. It must never settle on
//! something weaker than what was asked for: that is the user's to choose.
#![forbid(unsafe_code)]

use super::repository::{Gitlink, GitlinkState, One, Repository};
use super::setting::Setting;
use crate::error::{Error, Result};
use crate::git::version;
use crate::visible::{visible, visible_path};

/// The extensions that a private git directory keeps, or can do without: gitrepository-layout(5),
/// git-config(1) `extensions.*`.
const EXTENSIONS: [&str; 7] = [
    "noop",
    "noop-v1",
    "objectformat",
    "preciousobjects",
    "refstorage",
    "relativeworktrees",
    "worktreeconfig",
];

/// Looks at it all; the first that stands against it is the error.
///
/// # Errors
/// A usage error, with what to do instead.
pub fn refuse(repository: &Repository) -> Result<()> {
    let enough = repository.version.must_be(version::PRIVATE, "git: a private git directory");
    enough.map_err(instead)?;
    one(&repository.main)?;
    for module in &repository.modules {
        one(&module.one)?;
    }
    let other = |link: &&Gitlink| link.state == GitlinkState::Other;
    match repository.gitlinks.iter().find(other) {
        None => Ok(()),
        Some(link) => Err(instead(
            Error::usage(format!(
                "git: something else stands where the submodule {} should be",
                visible(&link.path)
            ))
            .hint("look with `git status`, and put the submodule back: git submodule update"),
        )),
    }
}

fn one(one: &One) -> Result<()> {
    let shown = visible_path(&one.directory);
    if let Some(odd) = one.odd.first() {
        return Err(instead(Error::usage(format!(
            "git: a private git directory cannot be made from {shown}: {odd}"
        ))));
    }
    if let Some(name) = one.busy.first() {
        return Err(busy(&shown, name));
    }
    let local = one.settings.iter().filter(|setting| setting.is_local());
    partial(one).map_err(instead)?;
    for setting in local {
        extension(setting, &shown)?;
    }
    Ok(())
}

/// Refuses a partial clone.
///
/// # Errors
/// A usage error, with what to do about it.
pub fn partial(one: &One) -> Result<()> {
    if !is_partial(one) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "git: {} is a partial clone, whose missing objects would have to come over the network",
        visible_path(&one.directory)
    ))
    .hint("fetch them: git fetch --refetch --no-filter, then take `promisor` out of its config"))
}

/// Whether git may have to fetch what it is asked for (partial-clone in git's technical documents).
pub fn is_partial(one: &One) -> bool {
    one.settings.iter().filter(|setting| setting.is_local()).any(|setting| {
        let extension = setting.section == b"extensions" && setting.name == b"partialclone";
        let filter = setting.name == b"partialclonefilter";
        let promisor = setting.name == b"promisor" && setting.truth() != Some(false);
        extension || setting.section == b"remote" && (filter || promisor)
    })
}

fn extension(setting: &Setting, shown: &str) -> Result<()> {
    if setting.section == b"extensions"
        && !EXTENSIONS.iter().any(|it| it.as_bytes() == setting.name)
    {
        return Err(instead(Error::usage(format!(
            "git: {shown} uses the extension `{}`, which claudebox does not know",
            visible(&setting.name)
        ))));
    }
    let version = setting.is("core", "repositoryformatversion");
    if version && !matches!(setting.value.as_deref(), Some(b"0" | b"1")) {
        return Err(instead(Error::usage(format!(
            "git: {shown} has the format {}, which claudebox does not know",
            visible(setting.value.as_deref().unwrap_or_default())
        ))));
    }
    Ok(())
}

/// What is begun outside could be finished inside, and then be begun still, outside.
fn busy(shown: &str, name: &str) -> Error {
    let (what, way) = match name {
        "index.lock" | "HEAD.lock" | "config.lock" => (
            format!("another git is at work in it ({name})"),
            "wait until it has ended; a lock that a killed git left can be removed".to_owned(),
        ),
        "MERGE_HEAD" => unfinished("merge"),
        "CHERRY_PICK_HEAD" => unfinished("cherry-pick"),
        "REVERT_HEAD" => unfinished("revert"),
        "BISECT_LOG" => {
            ("a bisect is not finished".to_owned(), "end it: git bisect reset".to_owned())
        }
        _ => unfinished("rebase"),
    };
    let error =
        Error::usage(format!("git: no private git directory is made from {shown} now: {what}"));
    instead(error.hint(way))
}

fn unfinished(operation: &str) -> (String, String) {
    (
        format!("a {operation} is not finished"),
        format!("finish it, or give it up: git {operation} --abort"),
    )
}

/// The ways that are always there.
pub fn instead(error: Error) -> Error {
    error
        .hint("or let the agent read it only: --git read-only")
        .hint("or let the agent work on the repository itself, pinned: --git shared (docs/git.md)")
}

#[cfg(test)]
mod tests {
    use super::super::setting::tests::local;
    use super::*;

    fn repository(change: impl FnOnce(&mut Repository)) -> String {
        let mut repository = Repository::default();
        repository.main.directory = "/p/.git".into();
        repository.version = version::PRIVATE;
        change(&mut repository);
        match refuse(&repository) {
            Ok(()) => "taken".to_owned(),
            Err(error) => format!("{error}\n{}", error.hints()[0]),
        }
    }

    #[test]
    fn what_cannot_be_private_is_said() {
        let with =
            |key: &str, value: &str| repository(|it| it.main.settings = vec![local(key, value)]);
        for (key, value) in [
            ("core.repositoryformatversion", "1"),
            ("extensions.objectformat", "sha256"),
            ("extensions.refstorage", "reftable"),
            ("extensions.worktreeconfig", "true"),
            ("remote.o.promisor", "false"),
        ] {
            assert_eq!(with(key, value), "taken", "{key}");
        }
        assert!(with("extensions.partialclone", "origin").contains("is a partial clone"));
        assert!(with("remote.o.promisor", "true").contains("is a partial clone"));
        assert!(with("extensions.brandnew", "1").contains("the extension `brandnew`"));
        assert!(with("core.repositoryformatversion", "2").contains("has the format 2"));
        assert_eq!(
            repository(|it| it.main.busy = vec!["MERGE_HEAD".to_owned()]),
            "git: no private git directory is made from /p/.git now: a merge is not finished\n\
             finish it, or give it up: git merge --abort"
        );
        assert!(repository(|it| it.main.busy = vec!["index.lock".to_owned()]).contains("at work"));
        assert_eq!(
            repository(|it| it.main.odd = vec!["it has a commondir".to_owned()]),
            "git: a private git directory cannot be made from /p/.git: it has a commondir\n\
             or let the agent read it only: --git read-only"
        );
        let link = |state| repository(|it| it.gitlinks = vec![Gitlink { path: "s".into(), state }]);
        assert!(link(GitlinkState::Other).contains("the submodule s"));
        assert_eq!(link(GitlinkState::Missing), "taken");
        let old = repository(|it| it.version = version::Version(2, 30));
        assert!(
            old.contains("a private git directory needs git 2.31 or newer, and this is git 2.30")
        );
    }
}
