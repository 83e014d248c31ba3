//! Repositories that get no private git directory: what is said, and that nothing weaker is taken.

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};

/// What is made of the repository, and what is said of it.
const REFUSED: &[(&str, &str)] = &[
    ("echo . > .git/commondir", "it has a `commondir`"),
    ("mv .git real; ln -s real .git", "not the home of its own repository"),
    ("mv .git real; echo gitdir: real > .git", "not the home of its own repository"),
    (
        "git commit -q --allow-empty -m x; git worktree add -q ../wt; mv .git ../g; cp ../wt/.git .",
        "is a linked worktree",
    ),
    ("touch .git/index.lock", "another git is at work"),
    (
        "git commit -q --allow-empty -m x; git rev-parse HEAD > .git/MERGE_HEAD",
        "a merge is not finished",
    ),
    ("mkdir .git/rebase-merge", "a rebase is not finished"),
    ("mkdir .git/rebase-apply", "a rebase is not finished"),
    (
        "git commit -q --allow-empty -m x; git rev-parse HEAD > .git/CHERRY_PICK_HEAD",
        "a cherry-pick is not finished",
    ),
    (
        "git commit -q --allow-empty -m x; git rev-parse HEAD > .git/REVERT_HEAD",
        "a revert is not finished",
    ),
    ("git commit -q --allow-empty -m x; git bisect start", "a bisect is not finished"),
    (
        "echo 1 > f; git add f; git commit -qm 1; git checkout -qb o; echo 2 > f; git commit -qam 2; \
         git checkout -q main; echo 3 > f; git commit -qam 3; ! git merge o",
        "finish it, or give it up: git merge --abort",
    ),
    (
        "echo 1 > f; git add f; git commit -qm 1; git checkout -qb o; echo 2 > f; git commit -qam 2; \
         git checkout -q main; echo 3 > f; git commit -qam 3; ! git rebase o",
        "finish it, or give it up: git rebase --abort",
    ),
    (
        "git config extensions.partialClone origin; git config core.repositoryformatversion 1",
        "is a partial clone",
    ),
    ("rm .git/config; mkfifo .git/config", "its `config` is no regular file"),
    ("rm .git/HEAD; ln -s refs/heads/main .git/HEAD", "its `HEAD` is no regular file"),
    ("mv .git/objects ../o; ln -s ../../o .git/objects", "its `objects` is no directory"),
    ("git config core.worktree ..", "its work tree is elsewhere"),
    ("echo x > .git/index", "its index cannot be read"),
];

#[test]
fn a_repository_that_cannot_be_private_is_refused_with_a_way_out() {
    must_have_sandbox();
    for user in users() {
        for (change, said) in REFUSED {
            let place = Place::new(user);
            place.command("sh").args(["-c", &format!("set -e; {change}")]).run().code(0);
            let run = ["run", "--no-monitor", "--git", "private", "--", "sh", "-c", "echo ran"];
            let output = place.claudebox(run).run().code(2);
            assert!(output.stderr.contains(said), "{change}: {}", output.stderr);
            assert!(output.stderr.contains("hint:"), "{change}: {}", output.stderr);
            assert!(!output.stdout.contains("ran"));
        }
    }
}

#[test]
fn explain_shows_what_is_private() {
    let place = Place::new(users()[0]);
    let output = place.claudebox(["explain", "--git", "private", "--", "sh"]).run().code(0);
    let shown = place.redact(&output.stdout);
    for line in [
        "git            private",
        "rw    [PROJECT]/.git = <session>/git/private",
        "/run/claudebox-git/0/objects = [PROJECT]/.git/objects",
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
}
