//! A host whose git is older than what is asked of it: it is said which one is needed, and nothing has changed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::{must_have_sandbox, user::users};
use crate::fixture::{FILES, prepared};
use crate::worktrees::Worktrees;

/// Puts a program in the place of git that says to be of this version, and has not the option that came later.
fn with_git(place: &Place, version: &str, run: Run) -> Run {
    let text = format!(
        "#!/bin/sh\nfor word; do case $word in\n\
         --version) echo git version {version}; exit;;\n\
         --write-tree) echo 'usage: git merge-tree <base-tree> <branch1> <branch2>' >&2; exit 129;;\n\
         esac; done\nexec /usr/bin/git \"$@\"\n"
    );
    let git = place.home_file("old/git", text);
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let before = git.parent().map(Path::display).unwrap();
    run.env("PATH", format!("{before}:/usr/sbin:/usr/bin:/sbin:/bin"))
}

#[test]
fn a_merge_says_which_git_it_needs_and_changes_nothing() {
    must_have_sandbox();
    for user in users() {
        let all = Worktrees::new(user);
        all.agent("w", "echo new >new; git add new; git commit -qm new; echo more >more");
        // A merge commit, which is what is computed among objects.
        all.host("echo other >other; git add other; git commit -qm other");
        let before = all.state();
        for (version, needed) in [("2.30.2", "2.38"), ("2.37.7", "2.38")] {
            for command in ["merge", "apply"] {
                let run = all.place.claudebox(["worktree", command, "w"]);
                let said = with_git(&all.place, version, run).run().code(2).stderr;
                let (first, rest) = said.split_once('\n').unwrap();
                let words =
                    format!("worktree {command} needs git {needed} or newer, and this is git");
                assert!(first.contains(&words), "{said}");
                assert!(rest.contains("git merge ") && rest.contains("claudebox/w"), "{said}");
                assert_eq!(all.state(), before, "{command}");
            }
        }
        // The control: it is the version that it looks at, and the newer does it.
        let run = all.place.claudebox(["worktree", "list"]);
        with_git(&all.place, "2.37.7", run).run().code(0).says("w");
        all.worktree("merge w").code(0);
    }
}

#[test]
fn a_private_git_directory_needs_a_git_that_obeys() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, FILES);
        let run = |version, words: &[&str]| {
            let words = ["run", "--no-monitor"].iter().chain(words).chain(&["--", "echo", "ran"]);
            with_git(&place, version, place.claudebox(words)).run()
        };
        let refused = run("2.30.2", &["--git", "private"]).code(2);
        let words = "a private git directory needs git 2.31 or newer, and this is git 2.30";
        assert!(refused.stderr.contains(words) && refused.stdout.is_empty(), "{}", refused.stderr);
        assert!(refused.stderr.contains("--git read-only"), "{}", refused.stderr);
        let refused = run("2.30.2", &["-w", "w"]).code(2);
        assert!(refused.stderr.contains("needs git 2.31 or newer"), "{}", refused.stderr);
        assert!(!place.home().join(".local/state/claudebox-worktrees").exists());
        run("2.30.2", &["--git", "read-only"]).code(0).says("ran");
    }
}
