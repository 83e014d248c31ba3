//! What a session borrows stays on the host: few files hold however many refs against a gc, and nothing
//! of it is left when the session is over, however that comes. And what is copied is of one moment.

use std::fs;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::common::place::Place;
use crate::common::user::users;
use crate::common::{DEADLINE, must_have_sandbox, times};
use crate::fixture::{FILES, host, inside, prepared};

/// Three hundred branches of a remote and as many annotated tags, on commits that nothing else leads to,
/// and branches of the user's own.
const MANY: &str = "tree=$(git rev-parse HEAD^{tree}); i=0; while test $i -lt 300; do i=$((i+1)); \
    c=$(git commit-tree -m $i $tree); echo \"create refs/remotes/o/b$i $c\"; \
    t=$(printf 'object %s\\ntype commit\\ntag t%s\\ntagger T <t@example.invalid> 1 +0000\\n\\nt\\n' $c $i | git mktag); \
    echo \"create refs/tags/t$i $t\"; done | git update-ref --stdin; git branch own $(git commit-tree -m own $tree)\n\
    git stash list >/dev/null; echo s >>f1; git stash push -q -m mine; git pack-refs --all\n";

#[track_caller]
fn wait_for(place: &Place, name: &str) {
    let end = Instant::now() + DEADLINE;
    while !place.project().join(name).exists() {
        assert!(Instant::now() < end, "no {name} within the deadline");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

const PINS: &str = "find .git/refs/claudebox .git/logs/refs/claudebox -type f 2>/dev/null || true";

/// The user throws everything away and has git prune it.
const PRUNE: &str = "git for-each-ref --format='delete %(refname)' refs/tags refs/remotes refs/heads/own refs/stash \
    | git update-ref --stdin\ngit reflog expire --expire=now HEAD refs/heads/main\n\
    git -c gc.reflogExpire=1.hour.ago -c gc.reflogExpireUnreachable=1.hour.ago gc -q --prune=now\n";

/// What is there inside: every object that a ref or a stash leads to.
const ALL_THERE: &str = "touch ready; until test -e go; do sleep 0.05; done; rm ready go\n\
    git for-each-ref --format='%(objectname)' | git cat-file --batch-check | grep -c -v missing\n\
    git fsck --no-dangling --no-progress 2>&1; git stash list --format=%gs; git log --all --oneline | wc -l";

#[test]
fn a_few_files_hold_hundreds_of_refs_against_a_gc_and_go_with_the_session() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, &format!("{FILES}{MANY}"));
        let run = inside(&place, ALL_THERE).start();
        wait_for(&place, "ready");
        let files = host(&place, PINS).lines().count();
        assert!((20..30).contains(&files), "{files}");
        assert_eq!(host(&place, "git fsck --no-dangling 2>&1"), "");
        // A log of all refs is what it was: no commit is there for the pins.
        assert_eq!(host(&place, "git log --all --format=%s | grep -ci claudebox || true"), "0\n");
        host(&place, PRUNE);
        host(&place, "touch go");
        let output = run.wait().code(0);
        // main, side, own, v1, 300 branches, 300 tags, the stash.
        assert_eq!(output.stdout, "605\nOn main: mine\n304\n");
        assert_eq!(host(&place, &format!("{PINS}; git for-each-ref refs/claudebox")), "");
        host(&place, "git fsck --no-dangling");
    }
}

/// The control: without pins the same takes away what the session needs.
#[test]
fn without_pins_a_gc_takes_what_is_borrowed() {
    must_have_sandbox();
    let place = prepared(users()[0], &format!("{FILES}{MANY}"));
    let run = inside(&place, ALL_THERE).start();
    wait_for(&place, "ready");
    host(
        &place,
        "git for-each-ref --format='delete %(refname)' refs/claudebox | git update-ref --stdin",
    );
    host(&place, PRUNE);
    host(&place, "touch go");
    let output = run.wait();
    assert_ne!(output.code, 0, "{}", output.stdout);
    assert!(!output.stdout.starts_with("605\n"), "{}", output.stdout);
}

#[test]
fn pins_of_a_session_that_was_killed_go_with_the_next_command() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, &format!("{FILES}{MANY}"));
        let run = inside(&place, "touch ready; sleep 600").start();
        wait_for(&place, "ready");
        run.signal(Signal::SIGKILL);
        run.wait().code(137);
        assert_ne!(host(&place, PINS), "");
        place.claudebox(["ls"]).run().code(0);
        place.claudebox(["profile", "list"]).run().code(0);
        assert_eq!(host(&place, &format!("{PINS}; git for-each-ref refs/claudebox")), "");
    }
}

/// A session that did nothing to its git directory leaves everything as it was, and no journal, no
/// directory of a sync.
#[test]
fn what_was_not_touched_is_not_synced() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, FILES);
        // What is fresh git would look at once more, and write the index.
        host(&place, "sleep 1.1; git status");
        let state =
            "cat .git/HEAD .git/index | sha256sum; git for-each-ref; git status --porcelain";
        let before = host(&place, state);
        let output = inside(&place, "git log --oneline; git branch").run().code(0);
        assert!(!output.stderr.contains("git:"), "{}", output.stderr);
        assert_eq!(host(&place, state), before);
        assert_eq!(host(&place, PINS), "");
        let sessions = fs::read_dir(place.state().join("sessions")).unwrap();
        for session in sessions.flatten().filter(|it| it.path().join("git.json").exists()) {
            assert!(session.path().join("git-told.json").exists());
            assert!(!session.path().join("git-sync/empty").exists(), "a box was made");
        }
    }
}

/// While somebody commits without end the copy is of one moment: branch and index belong together.
#[test]
fn a_copy_is_of_one_moment_while_the_host_commits() {
    must_have_sandbox();
    let place = prepared(users()[0], FILES);
    let script =
        "i=0; until test -e stop; do i=$((i+1)); echo $i >f1; git commit -qam $i; sleep 0.2; done";
    let committing = place.command("sh").args(["-c", script]).start();
    let mut left = times(6, 60);
    while left > 0 {
        // The work tree goes on, branch and index do not.
        let output = inside(&place, "git diff --cached --stat; git log -1 --format=%s").run();
        if output.stderr.contains("another git is at work in it (index.lock)") {
            continue;
        }
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(output.stdout.lines().count(), 1, "{}", output.stdout);
        left -= 1;
    }
    host(&place, "touch stop");
    committing.wait().code(0);
    host(&place, "git fsck --no-dangling");
}
