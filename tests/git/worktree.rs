//! Linked worktrees: git works inside on a private copy, the host's pointer stays, and `--worktree`
//! makes one in which the main checkout is not there.

use std::fs;
use std::path::PathBuf;

use crate::common::must_have_sandbox;
use crate::common::place::Place;
use crate::common::run::Output;
use crate::common::user::users;
use crate::fixture::{prepared, session};
use crate::worktrees::{Worktrees, until};

/// Two commits.
const TWO: &str =
    "printf 1 >a; git add a; git commit -qm one; git commit -q --allow-empty -m two; git tag start";

/// A session in this directory, to its end.
fn inside(place: &Place, options: &[&str], directory: PathBuf, script: &str) -> Output {
    let options = [&["--host-files", "report"], options].concat();
    session(place, &options, script).directory(directory).run()
}

#[test]
fn git_works_in_a_linked_worktree_and_its_pointer_stays() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, TWO);
        place.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
        let side = place.root().join("side");
        let pointer = fs::read_to_string(side.join(".git")).unwrap();
        let work = "set -e; git status --porcelain --branch; git log --oneline | wc -l; echo 2 > a
            git commit -qam three; git branch; git tag; git rev-parse --show-toplevel; git stash list
            git fsck --no-dangling; ls /run/claudebox-git/0/objects >/dev/null
            for way in 'echo evil > .git' 'rm -f .git' 'mv .git x'; do ! sh -c \"$way\" 2>/dev/null; done
            git config core.fsmonitor /tmp/evil; test ! -e ../project";
        let output = inside(&place, &["--git", "private"], side.clone(), work).code(0);
        let expected = format!("## side\n2\n  main\n* side\nstart\n{}\n", side.display());
        assert_eq!(output.stdout, expected);
        assert_eq!(fs::read_to_string(side.join(".git")).unwrap(), pointer);
        assert_eq!(
            place.git(&["config", "--get-regexp", "fsmonitor.*|user.name"]),
            "user.name Someone\n"
        );
    }
}

#[test]
fn a_pointer_that_its_repository_does_not_know_is_refused() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, TWO);
        place.git(&["worktree", "add", "-q", "../side"]);
        place.project_file("../fake/x", "");
        let pointer = format!("gitdir: {}/.git/worktrees/side\n", place.project().display());
        place.project_file("../fake/.git", pointer);
        let fake = place.root().join("fake");
        let output = inside(&place, &["--git", "private"], fake, "echo ran").code(2);
        assert!(output.stderr.contains("is a linked worktree") && output.stdout.is_empty());
    }
}

#[test]
fn a_session_gets_a_worktree_and_a_branch_of_its_own() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, TWO);
        let work = "set -e; git rev-parse --abbrev-ref HEAD; git log --format=%s -1; echo 2 > a
            git commit -qam three; test ! -e PROJECT/a; pwd";
        let work = work.replace("PROJECT", place.project().to_str().unwrap());
        let options = ["-w", "fix-1", "--base", "start~1"];
        let output = inside(&place, &options, place.project(), &work).code(0);
        let mut lines = output.stdout.lines();
        assert_eq!((lines.next(), lines.next()), (Some("claudebox/fix-1"), Some("one")));
        let at = PathBuf::from(lines.next().unwrap());
        assert!(at.ends_with("fix-1") && at.join(".git").is_file(), "{at:?}");
        assert_eq!(fs::read_to_string(place.project().join("a")).unwrap(), "1");
        assert_eq!(place.git(&["status", "--porcelain"]), "");
        // It goes on where it ended.
        let again = inside(&place, &["-w", "fix-1"], place.project(), "cat a").code(0);
        assert_eq!(again.stdout, "2\n");
        let other =
            inside(&place, &["-w", "fix-1", "--base", "start"], place.project(), "cat a").code(2);
        assert!(other.stderr.contains("is there already"), "{}", other.stderr);
        for (options, said) in [
            (["-w", "../x", "--base", "start"], "cannot be a worktree's name"),
            (["-w", "y", "--base", "--help"], "a value is required"),
            (["-w", "y", "--base", "nothing"], "there is no such commit"),
        ] {
            let output = inside(&place, &options, place.project(), "echo ran").code(2);
            assert!(output.stderr.contains(said) && output.stdout.is_empty(), "{}", output.stderr);
        }
    }
}

#[test]
fn a_checkout_for_a_worktree_runs_nothing_of_the_repository() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, TWO);
        let evil = place.project_file("evil.sh", "#!/bin/sh\n: > ../ran\ncat\n");
        let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&evil, open.clone()).unwrap();
        let hook = place
            .project_file(".git/hooks/post-checkout", format!("#!/bin/sh\n{}\n", evil.display()));
        fs::set_permissions(&hook, open).unwrap();
        inside(&place, &["-w", "one"], place.project(), "true").code(0);
        place.project_file(".gitattributes", "* filter=e\n");
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "attributes"]);
        place.git(&["config", "filter.e.smudge", evil.to_str().unwrap()]);
        let output = inside(&place, &["-w", "two"], place.project(), "true").code(2);
        assert!(output.stderr.contains("filter.e.smudge"), "{}", output.stderr);
        let ran = place.root().join("ran");
        assert!(!ran.exists());

        // Control: by hand, both are run.
        place.git(&["worktree", "add", "-q", "../three"]);
        assert!(ran.exists());
    }
}

#[test]
fn its_sessions_are_found_from_the_checkout() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        let works = all.session("pane", ": >begun; until test -e over; do sleep 0.1; done").start();
        let path = || all.path("pane");
        until("the session works", || {
            all.worktree("list").stdout.contains("running") && path().join("begun").exists()
        });
        let from_here = |words: &[&str]| all.place.claudebox(words).run();
        let listed = from_here(&["ls", "--json"]).code(0).stdout;
        let running = listed.lines().find(|line| line.contains(r#""state":"running""#)).unwrap();
        assert_eq!(listed.lines().count(), 2, "{listed}");
        from_here(&["net"]).code(0).says("pane");
        from_here(&["allow", "pypi.org"]).code(0);
        assert!(from_here(&["log"]).code(0).stdout.contains("begun"));
        from_here(&["keep"]).code(2).complains("still runs");
        // Inside the worktree only its own are found.
        let inside = all.place.claudebox(["ls", "--json"]).directory(path()).run().code(0);
        assert_eq!(inside.stdout.trim_end(), running);

        // With one that runs in the checkout as well, neither is guessed.
        let wait = "until test -e over; do sleep 0.1; done";
        let other = session(&all.place, &[], wait).start();
        until("the other works", || from_here(&["ls"]).stdout.matches("running").count() == 2);
        from_here(&["allow", "pypi.org"]).code(2).complains("2 sessions run in");
        fs::write(path().join("over"), "").unwrap();
        all.place.project_file("over", "");
        works.wait().code(0);
        other.wait();
    }
}

#[test]
fn explain_shows_what_a_run_in_a_worktree_does_and_makes_none() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, TWO);
        let explain = || place.claudebox(["explain", "-w", "fix", "--", "true"]).run();
        explain().code(2).complains("there is no worktree `fix` yet: `run` would make it");
        assert!(!place.home().join(".local/state/claudebox-worktrees").exists());
        inside(&place, &["-w", "fix"], place.project(), "true").code(0);
        let text = explain().code(0).stdout;
        let git = text.lines().find(|line| line.starts_with("git ")).unwrap();
        assert!(git.contains("private"), "{git}");
        let project = text.lines().find(|line| line.starts_with("project")).unwrap();
        assert!(project.ends_with("/fix"), "{project}");
    }
}
