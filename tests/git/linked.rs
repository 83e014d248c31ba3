//! Sessions in linked worktrees of every kind of repository: git works in them as it does outside, and
//! what was done comes back to the worktree that it was done in.

use std::fs;

use crate::common::must_have_sandbox;
use crate::common::place::Place;
use crate::common::user::{User, users};
use crate::fixture::{FILES, host, prepared};

/// How a repository is made, its place being empty, before a worktree of it.
const KINDS: &[(&str, &str)] = &[
    ("reftable", "git init -q -b main --ref-format=reftable ."),
    (
        "shallow",
        "git init -q -b main ../far; for i in 1 2 3; do git -C ../far commit -q --allow-empty -m $i; done
         git clone -q --depth 2 file://$PWD/../far .",
    ),
    ("sha256, reftable", "git init -q -b main --ref-format=reftable --object-format=sha256 ."),
];

/// With a submodule `sub`, in which there is another, `in`.
const SUBMODULE: &str = "g() { git -c protocol.file.allow=always \"$@\"; }
    git init -q -b main ../inner; git -C ../inner commit -q --allow-empty -m inner
    git init -q -b main ../far; cd ../far; echo 1 >s; git add s; g submodule --quiet add ../inner in
    git commit -qm far; cd ../project; git init -q -b main .";

/// A repository with the worktree `../wt`, on a branch of its own. Everybody's commits have a name, those in
/// other repositories too.
fn with_worktree(user: User, make: &str, then: &str) -> Place {
    prepared(
        user,
        &format!(
            "git config --global user.name Someone; git config --global user.email s@example.invalid
             rm -rf .git; {make}\n{FILES}git worktree add -q -b theirs ../wt; git checkout -q -b topic\n{then}"
        ),
    )
}

/// The same work inside, and outside in a place that was made in the same way.
#[track_caller]
fn comes_back(kind: &str, prepare: impl Fn() -> Place, work: &str, state: &str) {
    let (place, other) = (prepare(), prepare());
    let [inside, outside] = [&place, &other].map(|place| {
        let run = ["run", "--no-monitor", "--git", "private", "--", "sh", "-ec"];
        let script = format!("{work}\n{state}");
        let is_outside = std::ptr::eq(place, &raw const other);
        let run = if is_outside { place.command("sh").args(["-ec"]) } else { place.claudebox(run) };
        run.args([script]).directory(place.root().join("wt")).run().code(0)
    });
    assert_eq!(place.redact(&inside.stdout), other.redact(&outside.stdout), "{kind}, inside");
    let script = format!("cd ../wt; {state}");
    let after = host(&place, &script);
    let same = inside.stdout.ends_with(&after);
    assert!(same, "{kind}, afterwards\n{}\n{after}\n{}", inside.stdout, inside.stderr);
    // What the main one has is as it was.
    let main =
        "git symbolic-ref HEAD; git status --porcelain; git fsck --no-dangling --no-progress";
    assert_eq!(host(&place, main), host(&other, main), "{kind}, the main one\n{}", inside.stderr);
}

const DATES: &str = "export GIT_AUTHOR_DATE='2030-01-01T00:00:00Z' GIT_COMMITTER_DATE='2030-01-01T00:00:00Z'
    export GIT_AUTHOR_NAME=Someone GIT_AUTHOR_EMAIL=s@example.invalid GIT_COMMITTER_NAME=Someone GIT_COMMITTER_EMAIL=s@example.invalid\n";

#[test]
fn every_kind_of_repository_has_linked_worktrees_that_come_back() {
    must_have_sandbox();
    for user in users() {
        for (kind, make) in KINDS {
            let make = format!("{DATES}{make}");
            // What is a worktree's own is not the main one's.
            let own = "git update-ref refs/worktree/mine HEAD; git -C ../wt update-ref refs/worktree/theirs HEAD";
            let work = format!(
                "{DATES}git status --porcelain --branch; git for-each-ref --format='%(refname)'; git fsck --no-dangling
                 git rev-parse --is-shallow-repository; test $(git rev-parse --abbrev-ref HEAD) = theirs
                 echo x >>f1; git commit -qam one; git checkout -q -b new; echo y >>f1; git commit -qam two
                 echo z >>f2; git stash push -q; git reflog -1 --format=%gs; git bisect start -q HEAD HEAD~1 2>&1 | tail -1
                 git bisect reset 2>&1; echo w >>e/a; git add e/a; echo v >>e/a"
            );
            let state = "git symbolic-ref HEAD; git status --porcelain; git log --format='%H %s' --all; git stash list";
            comes_back(kind, || with_worktree(user, &make, own), &work, state);
        }
    }
}

#[test]
fn a_detached_worktree_with_reftable_stays_detached() {
    must_have_sandbox();
    for user in users() {
        let make = format!("{DATES}{}", KINDS[0].1);
        let work = format!("{DATES}echo x >>f1; git commit -qam one");
        let state = "git symbolic-ref -q HEAD || git log --format='%H %s'; git status --porcelain";
        let prepare = || with_worktree(user, &make, "git -C ../wt checkout -q --detach side");
        comes_back("detached", prepare, &work, state);
    }
}

#[test]
fn submodules_of_a_linked_worktree_work_and_come_back() {
    must_have_sandbox();
    for user in users() {
        let make = format!("{DATES}{SUBMODULE}");
        let add = "cd ../wt; g submodule --quiet add ../far sub; g submodule --quiet update --init --recursive
            g submodule --quiet add ../inner un; git commit -qm subs; git submodule --quiet deinit -f un
            git -C sub checkout -q main; git -C sub/in checkout -q main";
        let work = format!(
            "{DATES}git submodule status --recursive; git -C sub rev-parse --show-toplevel
             cd sub/in; echo i >i; git add i; git commit -qm inner; cd ..; git add in; git commit -qm far; cd ..
             git status --porcelain; git add sub; git commit -qm moved; git submodule update --recursive sub
             cd sub; git checkout -q -b more; echo 2 >>s; git commit -qam more; echo 3 >>s; cd .."
        );
        let state = "git status --porcelain; git rev-parse HEAD:sub; git -C sub log --format='%H %s'; git -C sub symbolic-ref HEAD
            git -C sub status --porcelain; git -C sub/in log --format='%H %s' --all; git -C sub fsck --no-dangling";
        comes_back("submodules", || with_worktree(user, &make, add), &work, state);
    }
}

/// The pointers of a worktree and of its submodules lead a git outside; inside they cannot be changed.
#[test]
fn the_pointers_of_a_linked_worktree_stay_what_they_are() {
    must_have_sandbox();
    let attack = "git -C sub config core.fsmonitor $PWD/evil; for way in 'echo evil >sub/.git' 'rm -f sub/.git' 'mv sub/.git x' 'mv sub y' 'mkdir un/.git' \
        'echo evil >.git'; do sh -c \"$way\" 2>/dev/null; done; true";
    let ready = |user| {
        let add =
            "cd ../wt; g submodule --quiet add ../far sub; g submodule --quiet add ../inner un
            git commit -qm subs; git submodule --quiet deinit -f un; mkdir -p un";
        with_worktree(user, SUBMODULE, add)
    };
    let look = |place: &Place| -> Vec<String> {
        let at = |path: &str| fs::read_to_string(place.root().join("wt").join(path));
        let git = place.project().join(".git/worktrees/wt/modules/sub/config");
        [at(".git"), at("sub/.git"), at("un/.git"), fs::read_to_string(git)]
            .into_iter()
            .map(|text| text.unwrap_or_else(|err| err.kind().to_string()))
            .collect()
    };
    for user in users() {
        let place = ready(user);
        let before = look(&place);
        assert!(before[0].contains("worktrees/wt") && before[1].contains("modules/sub"));
        let run = ["run", "--no-monitor", "--git", "private", "--", "sh", "-c", attack];
        place.claudebox(run).directory(place.root().join("wt")).run().code(0);
        assert_eq!(look(&place), before);
    }
    // Control.
    let place = ready(users()[0]);
    let before = look(&place);
    place.command("sh").args(["-c", attack]).directory(place.root().join("wt")).run().code(0);
    assert!(look(&place).iter().zip(&before).all(|(after, before)| after != before));
}
