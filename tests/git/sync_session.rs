//! A real session from its start to its end: branches are on the host while it runs, the rest when it is
//! over, whatever kind of repository it is, and also where everything was killed.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::common::place::Place;
use crate::common::user::users;
use crate::common::{DEADLINE, must_have_sandbox};
use crate::fixture::{FILES, NAMED, host, inside, prepared};

/// Waits until a script says something on the host.
#[track_caller]
fn wait_for(place: &Place, script: &str) -> String {
    let end = Instant::now() + DEADLINE;
    loop {
        let said = host(place, script);
        if !said.is_empty() {
            return said;
        }
        assert!(Instant::now() < end, "nothing within the deadline: {script}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

const WAIT: &str = "while ! test -e go; do sleep 0.05; done\n";

#[test]
fn branches_are_on_the_host_while_the_session_runs_and_the_rest_at_its_end() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, FILES);
        let run = inside(
            &place,
            &format!(
                "sleep 0.5; echo x >>f1; git commit -qam first; git checkout -q -b topic; echo y >>f2; git commit -qam second
                 {WAIT} rm go; echo z >>f1; git add f1; git stash list; git status --porcelain"
            ),
        )
        .start();
        let imported =
            "git for-each-ref --format='%(refname) %(subject)' 'refs/claudebox/*/heads/**'";
        wait_for(&place, &format!("{imported} | grep 'topic second' || true"));
        let said = host(&place, imported);
        assert!(
            said.contains("/heads/main first") && said.contains("/heads/topic second"),
            "{said}"
        );
        // What is the user's own is as it was.
        let own = "git log --format=%s -1; git symbolic-ref HEAD; git for-each-ref --format=%\\(refname\\) refs/heads";
        assert_eq!(host(&place, own), "base\nrefs/heads/main\nrefs/heads/main\nrefs/heads/side\n");
        host(&place, "touch go");
        let output = run.wait().code(0);
        assert_eq!(output.stdout, "M  f1\n");
        assert_eq!(
            host(
                &place,
                &format!("{own}; git status --porcelain; git for-each-ref refs/claudebox")
            ),
            "second\nrefs/heads/topic\nrefs/heads/main\nrefs/heads/side\nrefs/heads/topic\nM  f1\n",
        );
        assert!(output.stderr.contains("git: branch topic is new"), "{}", output.stderr);
        let log = place.claudebox(["log"]).run().code(0).stdout;
        assert!(log.contains("git: branch topic is at "), "{log}");
        assert!(log.contains("git: branch topic is checked out"), "{log}");
        let events = place.claudebox(["log", "--json"]).run().code(0).stdout;
        for what in ["imported", "forwarded", "created", "checked-out", "staged"] {
            assert!(events.contains(&format!("\"what\":\"{what}\"")), "{what}: {events}");
        }
        place.claudebox(["verify"]).run().code(0);
        host(&place, "git fsck --no-dangling");
    }
}

#[test]
fn a_sync_that_is_asked_for_meanwhile_is_in_the_log() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, FILES);
        let work = format!("echo x >>f1; git commit -qam one; touch done\n{WAIT}");
        let run = inside(&place, &work).start();
        wait_for(&place, "ls | grep -x done || true");
        let said = place.claudebox(["sync"]).run().code(0);
        assert!(said.stdout.contains("git: branch main moved "), "{}{}", said.stdout, said.stderr);
        assert_eq!(said.stderr, "");
        assert_eq!(host(&place, "git log --format=%s -1"), "one\n");
        // With nothing new there is nothing to write down.
        let again = place.claudebox(["sync"]).run().code(0);
        assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("nothing new\n", ""));
        let shown = place.claudebox(["log"]).run().code(0).stdout;
        assert_eq!(shown.matches("git sync: branch main moved ").count(), 1, "{shown}");
        host(&place, "touch go");
        run.wait().code(0);
        let events = place.claudebox(["log", "--json"]).run().code(0).stdout;
        let asked = |line: &&str| line.contains("\"asked\":true");
        let asked: Vec<&str> = events.lines().filter(asked).collect();
        assert!(asked.len() == 1 && asked[0].contains("\"what\":\"forwarded\""), "{events}");
        place.claudebox(["verify"]).run().code(0);
        // Afterwards the log is closed, and stays as it is.
        place.claudebox(["sync"]).run().code(0);
        place.claudebox(["verify"]).run().code(0);
    }
}

/// How a repository is made, its place being empty.
const KINDS: &[(&str, &str)] = &[
    ("sha256", "git init -q -b main --object-format=sha256 ."),
    ("reftable", "git init -q -b main --ref-format=reftable ."),
    ("no commit yet", "git init -q -b main .; touch .git/unborn"),
    (
        "shallow",
        "git init -q -b main ../far; for i in 1 2 3; do git -C ../far commit -q --allow-empty -m $i; done; \
         git clone -q --depth 2 file://$PWD/../far .",
    ),
    (
        "objects of another",
        "git init -q -b main ../far; git -C ../far commit -q --allow-empty -m far; git clone -q --shared ../far .",
    ),
    ("packed", "git init -q -b main .; touch .git/pack"),
    ("sparse", "git init -q -b main .; touch .git/sparse"),
    ("split index", "git init -q -b main .; git config core.splitIndex true"),
];

#[test]
fn every_kind_of_repository_comes_back() {
    must_have_sandbox();
    for user in users() {
        for (kind, make) in KINDS {
            let place = Place::new(user);
            host(
                &place,
                &format!(
                    "rm -rf .git; {make}\n{NAMED}if ! test -e .git/unborn; then {FILES}fi
                     if test -e .git/pack; then git repack -adq; git pack-refs --all; fi
                     if test -e .git/sparse; then git sparse-checkout set e; fi"
                ),
            );
            let state = "git symbolic-ref HEAD; git status --porcelain; git log --format=%H --all -- .; git stash list";
            let work = "mkdir -p e; echo x >>e/a; git add e/a; git commit -qm one; git checkout -q -b topic
                echo y >>e/a; git commit -qam two; echo z >>e/a; git stash push -q; git gc -q; echo w >>e/a; git add e/a
                echo n >n";
            let output = inside(&place, &format!("{work}\n{state}")).run().code(0);
            let after = host(&place, state);
            assert_eq!(output.stdout, after, "{kind}\n{}", output.stderr);
            host(&place, "git fsck --no-dangling");
        }
    }
}

#[test]
fn what_a_submodule_got_comes_back_before_what_names_it() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(
            user,
            &format!(
                "{FILES}git init -q -b main ../far; git -C ../far commit -q --allow-empty -m far
                 git -c protocol.file.allow=always submodule --quiet add $PWD/../far sub; git commit -qm sub"
            ),
        );
        let state = "git status --porcelain; git rev-parse HEAD:sub; git -C sub status --porcelain
            git -C sub rev-parse HEAD; git -C sub symbolic-ref HEAD";
        let output = inside(
            &place,
            &format!(
                "cd sub; git config user.name S; git config user.email s@example.invalid; echo x >x; git add x
                 git commit -qm x; echo y >>x; cd ..; git add sub; git commit -qm moved\n{state}"
            ),
        )
        .run()
        .code(0);
        assert_eq!(output.stdout, host(&place, state), "{}", output.stderr);
        assert!(output.stderr.contains("git: sub: branch main "), "{}", output.stderr);
        host(&place, "git fsck --no-dangling; git -C sub fsck --no-dangling");
    }
}

/// A repository that the agent put where a new submodule belongs is set aside at the end; then the commit
/// that names it comes, and a git on the host looks into nothing of the agent's.
#[test]
fn a_new_submodule_comes_when_its_repository_was_set_aside() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, FILES);
        let ran = place.root().join("ran");
        let output = inside(
            &place,
            "git init -q s; cd s; git config user.name S; git config user.email s@example.invalid
             git commit -q --allow-empty -m s; git config core.fsmonitor \"echo ran >$PWD/../ran; false\"
             cd ..; git -c advice.addEmbeddedRepo=false add s; git commit -qm link; git branch link
             rm -f ran; git add f1",
        )
        .run()
        .code(0);
        host(
            &place,
            "rm -f ran; git status --porcelain; git diff; git checkout -q link; git status --porcelain",
        );
        assert!(!ran.exists() && !place.project().join("ran").exists());
        let subject = host(&place, "git log --format=%s -1");
        assert_eq!(subject, "link\n", "{}", output.stderr);
        assert!(output.stderr.contains("set aside"), "{}", output.stderr);
        host(&place, "git fsck --no-dangling");
    }
}

#[test]
fn where_everything_was_killed_the_next_claudebox_syncs() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, FILES);
        let run = inside(
            &place,
            "echo x >>f1; git commit -qam one; echo y >>f2; git add f2; touch done; sleep 600",
        )
        .start();
        wait_for(&place, "ls | grep -x done || true");
        run.signal(Signal::SIGKILL);
        run.wait().code(137);
        let output = place.claudebox(["profile", "list"]).run().code(0);
        assert!(output.stderr.contains("git: branch main "), "{}", output.stderr);
        assert_eq!(
            host(&place, "git log --format=%s -1; git status --porcelain"),
            "one\nM  f2\n?? done\n"
        );
        host(&place, "git fsck --no-dangling");
    }
}

/// What is agreed on in a linked worktree is that worktree's: its own `HEAD` and index.
#[test]
fn a_linked_worktree_gets_back_what_was_done_in_it() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(
            user,
            &format!("{FILES}git worktree add -q -b theirs ../theirs; git checkout -q -b topic"),
        );
        let side = place.root().join("theirs");
        let state = "git symbolic-ref HEAD; git status --porcelain; git log --format=%s -1";
        let work = format!(
            "set -e; echo x >>f1; git commit -qam one; git checkout -q -b new; echo y >>f1; git commit -qam two
             echo z >>f2; git add f2; git stash push -q; echo w >>e/a; git add e/a; git branch -f topic\n{state}"
        );
        let run = ["run", "--no-monitor", "--git", "private", "--", "sh", "-c", &work];
        let output = place.claudebox(run).directory(&side).run().code(0);
        assert_eq!(
            output.stdout,
            host(&place, &format!("cd ../theirs; {state}")),
            "{}",
            output.stderr
        );
        // What the main work tree has checked out is held, and it is as it was.
        assert!(output.stderr.contains("another worktree has it checked out"), "{}", output.stderr);
        assert_eq!(host(&place, state), "refs/heads/topic\nbase\n");
        assert_eq!(
            host(&place, "git log --format=%s -1 theirs; git stash list | wc -l"),
            "one\n1\n"
        );
        host(&place, "git fsck --no-dangling");
    }
}
