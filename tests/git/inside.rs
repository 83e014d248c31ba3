//! Everything that people do with git gives the same inside, on the private copy, as it does outside, on
//! a repository like it.

use std::fmt::Write as _;
use std::fs;

use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::fixture::{NAMED, host, prepared, session};

/// Fixed names and times, so that commits are the same commits everywhere.
const IDENTITY: &str =
    "export GIT_AUTHOR_DATE='2030-01-01T00:00:00Z' GIT_COMMITTER_DATE='2030-01-01T00:00:00Z'
    export GIT_PAGER=cat GIT_EDITOR=true LC_ALL=C HOME=\"$HOME\"
    unset GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
    git config user.name Someone; git config user.email someone@example.invalid
";

/// Commands in their order, in one repository: each goes on where the one before ended.
const DAILY: &[&str] = &[
    "git rev-parse --git-dir",
    "git rev-parse --show-toplevel",
    "git status --porcelain=v2 --branch",
    "git log --oneline",
    "git reflog",
    "git stash list",
    "git notes show HEAD",
    "git tag -n",
    "git diff --stat",
    "echo 1 > a; git add a; git commit -m one",
    "echo 2 > a; git commit -am two; git show --stat",
    "git commit --amend -m 'two, better'",
    "git checkout -b topic; echo 3 > b; git add b; git commit -m three",
    "git checkout main; echo 4 > c; git add c; git commit -m four",
    "git merge topic -m merged",
    "git merge-base main topic",
    "git branch -d topic; git branch -a",
    "git checkout -b left main~1; echo left > a; git commit -am left",
    "git checkout -b right main; echo right > a; git commit -am right",
    "git merge left; git status --porcelain; git merge --abort; git status --porcelain",
    "git rebase left; git rebase --abort; git status --porcelain --branch",
    "git config rerere.enabled true; git merge left; echo both > a; git add a; git commit -m both",
    "git checkout main; git cherry-pick left; git cherry-pick --skip; git status --porcelain",
    "git checkout -b many main; for i in 1 2 3 4; do echo $i > m$i; git add m$i; git commit -m m$i; done",
    "GIT_SEQUENCE_EDITOR=\"sed -i -e 2s/pick/squash/ -e 3s/pick/drop/\" git rebase -i HEAD~4; git log --format=%s -5",
    "git rebase --onto main many~1 many; git log --format=%s -3",
    "git revert --no-edit HEAD; git log --format=%s -2",
    "git reset --hard HEAD~1; git status --porcelain",
    "git reset --soft HEAD~1; git status --porcelain; git commit -m again",
    "echo dirty >> a; echo new > untracked; git stash push -u -m kept; git stash list; git status --porcelain",
    "git stash pop; git status --porcelain; git checkout -- a; rm untracked",
    "git stash clear; echo x >> a; git stash; git stash apply; git stash drop; git checkout -- a",
    "git tag v1; git tag -a v2 -m two; git describe; git tag -d v1; git tag",
    "git notes add -m note HEAD; git notes show HEAD; git notes remove HEAD",
    "git checkout main; git bisect start HEAD HEAD~2; git bisect run sh -c 'exit 1'; git bisect reset",
    "git replace HEAD HEAD~1; git log --oneline -1; git replace -d $(git rev-parse HEAD)",
    "git worktree add -b side wt; git -C wt commit --allow-empty -m side; git worktree list | wc -l; git worktree remove wt",
    "git sparse-checkout set --cone d; ls; git sparse-checkout disable; ls",
    "git mv a moved; git status --porcelain; git mv moved a; git rm --cached -q a; git status --porcelain; git reset -q",
    "git restore --source HEAD~1 a; git status --porcelain; git restore a",
    "git switch -c other; git switch -; git switch --detach HEAD~1; git switch main",
    "git format-patch -1 --stdout > p; git reset --hard HEAD~1; git am p; git log --format=%s -1; rm p",
    "git diff HEAD~1 > p; git apply -R p; git apply p; git status --porcelain; rm p",
    "git archive HEAD | tar t",
    "git blame -s a; git grep -n . HEAD -- a",
    "git shortlog -s HEAD; git rev-list --count --all",
    "git bundle create ../../tmp/b HEAD main 2>/dev/null || git bundle create /tmp/b main; git bundle verify -q /tmp/b; rm -f /tmp/b",
    "git init -q --bare r.git; git remote add r ./r.git; git push -q r main; git fetch r; git branch -r; git ls-remote r; rm -rf r.git; git remote remove r",
    "git clone -q . cl; git -C cl log --oneline -1; rm -rf cl",
    "git fast-export main | git fast-import --quiet --force; git log --oneline -1",
    "git update-index --assume-unchanged a; echo x > a; git status --porcelain; git update-index --no-assume-unchanged a; git checkout a",
    "git config alias.st 'status --porcelain'; git st; git config --unset alias.st",
    "git hash-object -w a; git cat-file -p HEAD^{tree}; git ls-tree -r HEAD; git ls-files -s",
    "git pack-refs --all; git commit-graph write --reachable; git for-each-ref",
    "git reflog expire --expire=now --all; git gc -q --prune=now; git fsck --no-dangling; git repack -qad; git fsck --no-dangling",
    "git checkout --orphan fresh; git rm -rfq .; git commit --allow-empty -m fresh; git checkout main; git branch -D fresh",
    "git branch -m main trunk; git symbolic-ref HEAD; git branch -m trunk main; git branch",
    "git clean -fdn; git status --porcelain=v2 --branch; git log --oneline --all --graph",
];

/// One line for each command: its number, its code and what it said.
fn work(commands: &[&str]) -> String {
    let mut script = IDENTITY.to_owned();
    for (number, command) in commands.iter().enumerate() {
        let quoted = command.replace('\'', "'\\''");
        writeln!(
            script,
            "out=$(eval '{quoted}' 2>&1 </dev/null); code=$?; printf '%s: %s\\n%s\\n' {number} $code \"$out\""
        )
        .unwrap();
    }
    script
}

fn reporting(place: &Place, script: &str) -> Run {
    session(place, &["--git", "private", "--host-files", "report"], script)
}

/// The same work inside, and outside in another place that was made in the same way.
#[track_caller]
fn same(prepare: &str, commands: &[&str], what: &str) {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let script = work(commands);
        let ready = || {
            let place = Place::new(user);
            let prepare = format!("set -e\n{IDENTITY}{prepare}");
            place.command("sh").args(["-c", &prepare]).run().code(0);
            place
        };
        let (one, other) = (ready(), ready());
        let outside = one.command("sh").args(["-c", &script]).run().code(0);
        let inside = reporting(&other, &script).run().code(0);
        let (inside, outside) = (other.redact(&inside.stdout), one.redact(&outside.stdout));
        for (inside, outside) in inside.split('\n').zip(outside.split('\n')) {
            assert_eq!(inside, outside, "{what} as {user:?}\n{inside}");
        }
        assert_eq!(inside, outside, "{what} as {user:?}");
    }
}

/// What is asked of every kind of repository.
const SHORT: &[&str] = &[
    "git status --porcelain=v2 --branch",
    "git log --oneline -5 --all",
    "git stash list",
    "git fsck --no-dangling",
    "git rev-parse --show-object-format --is-shallow-repository",
    "echo 1 > a; git add a; git commit -qm one; git log --format=%H%n%s -2",
    "git checkout -qb topic; echo 2 > b; git add b; git commit -qm two; git checkout -q main; git merge topic",
    "echo x >> a; git stash; git stash pop; git checkout a",
    "git tag -a v -m v; git describe; git for-each-ref",
    "git gc -q --prune=now; git fsck --no-dangling; git status --porcelain",
];

const TWO: &str =
    "mkdir -p d e; echo 0 > d/x; echo 0 > e/y; echo 0 > a; git add .; git commit -qm first
    echo 1 >> a; git commit -qam second; git tag start
";

#[test]
fn the_work_of_a_day_is_the_same_inside() {
    same(&format!("{TWO}echo s > a; git stash -q; git notes add -m n HEAD"), DAILY, "a plain one");
}

#[test]
fn nothing_is_lost_of_a_state_that_is_not_clean() {
    let dirty = "echo staged > a; git add a; echo more >> a; echo n > new; git add -N new; echo u > untracked";
    same(&format!("{TWO}{dirty}"), SHORT, "a dirty one");
    same("", &SHORT[..1], "an unborn one");
}

#[test]
fn every_kind_of_repository_works() {
    let other = |init: &str| {
        format!("rm -rf .git; git init -q --initial-branch=main {init}; {IDENTITY}{TWO}")
    };
    same(&other("--object-format=sha256"), SHORT, "SHA-256");
    same(&other("--ref-format=reftable"), SHORT, "reftable");
    same(&format!("{TWO}git gc -q; git pack-refs --all"), SHORT, "packed");
    same(&format!("{TWO}git update-index --split-index"), SHORT, "a split index");
    same(&format!("{TWO}git update-index --index-version 4"), SHORT, "an index of version 4");
    same(&format!("{TWO}git sparse-checkout set --cone d"), SHORT, "sparse");
    same(&format!("{TWO}git checkout -q --detach"), &SHORT[..6], "a detached one");
    let clone = |options: &str| {
        format!("{TWO}mv .git ../up.git; rm -rf d e a; git clone -q {options} ../up.git ../c; mv ../c/.git .; rm -rf ../c
            git checkout -q .; {IDENTITY}")
    };
    same(&clone("--depth 1 --no-local"), &SHORT[..6], "shallow");
    same(&clone("--shared"), SHORT, "with alternates");
    same(&clone("--reference ../up.git"), SHORT, "with a reference");
}

#[test]
fn submodules_work_inside() {
    let prepare = format!(
        "{TWO}g() {{ git -c protocol.file.allow=always \"$@\"; }}
        git init -q --initial-branch=main ../o; ( cd ../o; git config user.name o; git config user.email o
        echo o > o; git add o; git commit -qm o ); g submodule --quiet add ../o a-b/sub
        g submodule --quiet add ../o un; git commit -qm subs; git submodule --quiet deinit -f un"
    );
    same(
        &prepare,
        &[
            "git status --porcelain=v2",
            "git submodule status",
            "cd a-b/sub; git config user.name o; git config user.email o; echo 1 >> o; git commit -qam in; git status --porcelain; git log --oneline",
            "git status --porcelain; git diff --submodule=log; git commit -qam moved; git submodule status",
            "git submodule foreach --quiet 'git log --oneline -1'",
            "cd a-b/sub; git checkout -q HEAD~1; cd ../..; git submodule update; git submodule status",
        ],
        "submodules",
    );
}

#[test]
fn a_start_in_a_subdirectory_works_and_commits_carry_the_users_name() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file("sub/dir/x", "1");
        place.git(&["config", "user.name", "Local"]);
        place.home_file(".gitconfig", "[includeIf \"gitdir:/**\"]\n\tpath = work\n");
        place.home_file("work", "[user]\n\tname = Global\n\temail = work@example.invalid\n");
        let run = reporting(&place, "pwd; git add .; git commit -qm x; git log --format='%an %ae'");
        let unset =
            ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
        let run = unset.into_iter().fold(run, Run::without_env);
        let output = run.directory(place.project().join("sub/dir")).run().code(0);
        let expected =
            format!("{}/sub/dir\nLocal work@example.invalid\n", place.project().display());
        assert_eq!(output.stdout, expected);
    }
}

#[test]
fn hooks_run_inside_and_only_there() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, "");
        let hook = place.project_file(".git/hooks/pre-commit", "#!/bin/sh\necho ran > hooked\n");
        let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&hook, open).unwrap();
        let attack = "git commit -q --allow-empty -m x; cat hooked; rm hooked
            echo '#!/bin/sh' > .git/hooks/pre-commit; echo evil > .git/hooks/new";
        reporting(&place, attack).run().code(0).says("ran");
        assert!(fs::read_to_string(&hook).unwrap().contains("hooked"), "the host's is as it was");
        assert!(!place.project().join(".git/hooks/new").exists());
    }
}

/// As husky sets them up.
#[test]
fn hooks_in_the_work_tree_run_inside() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, "");
        let hook = place.project_file(".husky/_/pre-commit", "#!/bin/sh\necho ran >hooked\n");
        let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&hook, open).unwrap();
        place.git(&["config", "core.hooksPath", ".husky/_"]);
        let script = "git commit -q --allow-empty -m x; cat hooked; rm hooked
            echo '#!/bin/sh' >.husky/_/pre-commit; mv .husky away; git config core.hooksPath away";
        reporting(&place, script).run().says("ran");
        assert!(fs::read_to_string(&hook).unwrap().contains("hooked"), "the host's is as it was");
        assert_eq!(place.git(&["config", "core.hooksPath"]), ".husky/_\n");
    }
}

#[test]
fn a_commit_names_its_session_where_the_profile_says_so() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(
            ".config/claudebox/profiles/t.toml",
            "extends = [\"base\"]\ngit = \"private\"\ngit-trailer = true\n",
        );
        host(&place, NAMED);
        let hook = "#!/bin/sh\necho from the hook >> \"$1\"\n";
        let hook = place.project_file(".git/hooks/prepare-commit-msg", hook);
        let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&hook, open).unwrap();
        let script = "git commit -q --allow-empty -m x; git commit -q --amend --no-edit; git log --format=%B";
        let run = ["run", "--no-monitor", "--profile", "t", "--", "sh", "-c", script];
        let output = place.claudebox(run).run().code(0).says("from the hook");
        assert_eq!(output.stdout.matches("Claudebox-Session: ").count(), 1, "{}", output.stdout);
        let sessions = fs::read_dir(place.state().join("sessions")).unwrap();
        let id = sessions.flatten().next().unwrap().file_name().into_string().unwrap();
        assert!(output.stdout.contains(&format!("Claudebox-Session: {id}\n")), "{}", output.stdout);
    }
}

#[test]
fn files_of_another_group_of_the_callers_are_clean() {
    must_have_sandbox();
    // Only root can give a process more groups.
    let Some(user @ crate::common::user::User::Unprivileged { uid, gid }) =
        users().into_iter().next()
    else {
        return;
    };
    must_have(&["setpriv"]);
    let place = Place::new(user);
    let file = place.project_file("a", "1");
    place.git(&["add", "a"]);
    place.git(&["commit", "-qm", "x"]);
    std::os::unix::fs::chown(&file, None, Some(4)).unwrap();
    place.git(&["status"]);
    let words =
        ["run", "--no-monitor", "--git", "private", "--", "git", "diff-files", "--name-only"];
    let run = place.command_as_caller("setpriv").args([
        format!("--reuid={uid}"),
        format!("--regid={gid}"),
        "--groups=4".into(),
    ]);
    let output = run.args([place.executable()]).args(words).run().code(0);
    assert_eq!(output.stdout, "");
}

#[test]
fn files_of_git_lfs_are_read_and_added_inside() {
    must_have(&["git-lfs"]);
    let prepare = format!(
        "{TWO}git lfs install --local >/dev/null; git lfs track '*.bin' >/dev/null; echo one > x.bin
        git add .; git commit -qm lfs"
    );
    same(
        &prepare,
        &[
            "git status --porcelain=v2; git lfs ls-files",
            "rm x.bin; git checkout x.bin; cat x.bin",
            "echo two > y.bin; git add y.bin; git commit -qm more; git lfs ls-files; git show HEAD:y.bin",
            "rm y.bin; git checkout y.bin; cat y.bin; git status --porcelain",
        ],
        "git-lfs",
    );
}
