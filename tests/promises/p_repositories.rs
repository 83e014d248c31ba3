//! P, for bare repositories that stand beside or around each other: what becomes of one is not hidden by
//! another, and nothing counts as tracked because another is.

use std::fs;
use std::path::Path;

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;

/// A shell function that makes a directory a bare repository in which git outside executes something.
fn plant(executed: &Path) -> String {
    format!(
        "plant() {{
            mkdir -p \"$1\"/objects \"$1\"/refs; echo 'ref: refs/heads/main' > \"$1\"/HEAD
            git config -f \"$1\"/config core.repositoryformatversion 0
            git config -f \"$1\"/config core.bare false; git config -f \"$1\"/config core.worktree .
            git config -f \"$1\"/config core.fsmonitor 'touch {}; false'
            touch \"$1\"/a; git --git-dir=\"$1\" --work-tree=\"$1\" add a; }}
        ",
        executed.display()
    )
}

/// Whether git outside executes it when it is asked there.
fn runs(place: &Place, executed: &Path, directory: &str) -> bool {
    let _ = fs::remove_file(executed);
    place.command("git").args(["-C", directory, "status"]).run();
    executed.exists()
}

#[test]
fn promise_p_a_new_repository_hides_no_change_of_a_tracked_one() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for inner in ["fix/y", "fix/hooks"] {
            let place = Place::new(user);
            let executed = place.root().join("tmp/executed");
            for (name, text) in [
                ("HEAD", "ref: refs/heads/main\n"),
                ("config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"),
                ("objects/keep", ""),
                ("refs/keep", ""),
            ] {
                place.project_file(format!("{inner}/{name}"), text);
            }
            place.git(&["add", "."]);
            place.git(&["commit", "-qm", "with a repository"]);
            assert!(!runs(&place, &executed, inner));

            let attack = format!(
                "{}plant {inner}; mkdir fix/objects fix/refs; cp {inner}/HEAD fix/HEAD",
                plant(&executed)
            );
            let output = script(&place, &[], &attack).run().code(0);
            let config = format!(" {inner}/config ");
            let line = output.stderr.lines().find(|line| line.contains(&config));
            let line = line.unwrap_or_else(|| panic!("not told of: {}", output.stderr));
            assert!(line.contains("changed") && line.contains("git tracks it"), "{line}");
            // Control: it is worth telling, since git tracks it and it stays. (Of what looks like hooks, what
            // is new is set aside, and its index with it.)
            assert_eq!(runs(&place, &executed, inner), inner == "fix/y", "the attack works");
        }
    }
}

/// What git does not track is not kept because a `HEAD` beside it is tracked.
#[test]
fn promise_p_a_configuration_is_not_tracked_because_of_a_head_beside_it() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for mode in ["report", "set-aside"] {
            let place = Place::new(user);
            let executed = place.root().join("tmp/executed");
            for (name, text) in
                [("HEAD", "ref: refs/heads/main\n"), ("objects/keep", ""), ("refs/keep", "")]
            {
                place.project_file(format!("b/{name}"), text);
            }
            place.git(&["add", "."]);
            place.git(&["commit", "-qm", "half a repository"]);
            let attack = format!("{}plant b", plant(&executed));
            let output = script(&place, &["--host-files", mode], &attack).run().code(0);
            let line = output.stderr.lines().find(|line| line.contains("b/config"));
            let line = line.unwrap_or_else(|| panic!("not told of: {}", output.stderr));
            assert!(!line.contains("git tracks it"), "{line}");
            assert_eq!(runs(&place, &executed, "b"), mode == "report", "{mode}");
        }
    }
}

#[test]
fn promise_p_a_repository_is_not_tracked_because_of_a_file_above_it() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for inner in ["x/y", "x/hooks"] {
            // Control: where it is only reported, git outside executes it.
            for mode in ["report", "set-aside"] {
                let place = Place::new(user);
                let executed = place.root().join("tmp/executed");
                let attack = format!(
                    "{}mkdir x; echo hello > x/HEAD; git add x/HEAD; plant {inner}",
                    plant(&executed)
                );
                let options = ["--git", "shared", "--host-files", mode];
                let output = script(&place, &options, &attack).run().code(0);
                let told = format!("{inner}/HEAD");
                assert!(output.stderr.contains(&told), "not told of: {}", output.stderr);
                assert!(!output.stderr.contains("git tracks it"), "{}", output.stderr);
                assert_eq!(runs(&place, &executed, inner), mode == "report", "{mode}, {inner}");
            }
        }
    }
}

#[test]
fn promise_p_hooks_of_a_repository_around_the_project_are_not_planted() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for (mode, there) in [("report", false), ("set-aside", false), ("report", true)] {
            let place = Place::new(user);
            let executed = place.root().join("tmp/executed");
            place.git(&["config", "core.hooksPath", "sub/tools/hk"]);
            place.project_file("sub/a", "");
            if there {
                place.project_file("sub/tools/hk/commit-msg", "#!/bin/sh\n");
            }
            let attack = format!(
                "mkdir -p tools/hk; printf '#!/bin/sh\\ntouch {}\\n' > tools/hk/pre-commit
                chmod +x tools/hk/pre-commit; true",
                executed.display()
            );
            let options = ["--project", "sub", "--host-files", mode];
            let output = script(&place, &options, &attack).run().code(0);
            assert_eq!(output.stderr.contains("new      tools/hk"), !there, "{}", output.stderr);
            place.git(&["commit", "--allow-empty", "-qm", "mine"]);
            // Control: where what is new is only reported, the host's git executes it.
            let control = mode == "report" && !there;
            assert_eq!(executed.exists(), control, "{mode}, {there}: {}", output.stderr);
        }
    }
}
