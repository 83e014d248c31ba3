//! `files.hide` of what stands below `.git`: the private git directory is a copy, and has none of it either.

use crate::common::must_have_sandbox;
use crate::common::place::Place;
use crate::common::run::Output;
use crate::common::user::users;
use crate::fixture::{FILES, prepared, session};

const SECRETS: &str = "echo SECRET >.git/secret; echo SECRET >.git/info/secret; mkdir .git/keys; echo SECRET >.git/keys/a
    echo SECRET >.git/objects/secret; echo 'printf SECRET' >.git/hooks/post-commit; chmod +x .git/hooks/post-commit\n";

const HIDDEN: &str =
    "hide = [\"${PROJECT}/.git/secret\", \"${PROJECT}/.git/info/secret\", \"${PROJECT}/.git/keys\",
    \"${PROJECT}/.git/objects/secret\", \"${PROJECT}/.git/hooks\"]";

/// Whatever can be read inside that says it, and that git works.
const LOOK: &str = "git commit -q --allow-empty -m x; git log --format=%s -1
    grep -rsl SECRET .git/ /run/claudebox-git/ ; true";

fn profile(place: &Place, hide: &str) {
    let text = format!("extends = [\"base\"]\n[files]\n{hide}\n");
    place.home_file(".config/claudebox/profiles/t.toml", text);
}

fn run(place: &Place, script: &str) -> Output {
    session(place, &["--git", "private", "--profile", "t"], script).run()
}

#[test]
fn what_is_hidden_below_git_is_not_in_the_private_copy() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, &format!("{FILES}{SECRETS}"));
        profile(&place, HIDDEN);
        let output = run(&place, LOOK).code(0);
        assert_eq!(output.stdout, "x\n", "{}", output.stderr);
        // What stands there on the host stays.
        let secrets = place.command("grep").args(["-rl", "SECRET", ".git"]).run().code(0).stdout;
        assert_eq!(secrets.lines().count(), 5, "{secrets}");

        // The control: what is not hidden is there.
        profile(&place, "");
        let output = run(&place, LOOK).code(0);
        let found =
            output.stdout.lines().filter(|line| line.contains("secret") || line.contains("keys"));
        assert!(
            found.count() >= 4 && output.stdout.contains("hooks/post-commit"),
            "{}",
            output.stdout
        );
    }
}

#[test]
fn what_is_hidden_in_the_main_repository_is_not_in_that_of_a_linked_worktree() {
    must_have_sandbox();
    for user in users() {
        let make = "git worktree add -q -b linked ../side; echo SECRET >.git/worktrees/side/own\n";
        let place = prepared(user, &format!("{FILES}{SECRETS}{make}"));
        let root = place.project().display().to_string();
        let look = |hide: &str| {
            profile(&place, hide);
            session(&place, &["--git", "private", "--profile", "t"], LOOK)
                .directory(place.root().join("side"))
                .run()
                .code(0)
                .stdout
        };
        let hide = HIDDEN
            .replace("${PROJECT}", &root)
            .replace("hide = [", &format!("hide = [\"{root}/.git/worktrees/side/own\", "));
        assert_eq!(look(&hide), "x\n");
        let found = look("");
        for name in ["own", "info/secret", "objects/secret"] {
            assert!(found.contains(name), "the control, {name}: {found}");
        }
    }
}

#[test]
fn what_git_needs_or_would_bring_back_cannot_be_hidden() {
    must_have_sandbox();
    for user in users() {
        let place = prepared(user, FILES);
        let before = place.git(&["for-each-ref"]);
        for path in [
            ".git",
            ".git/HEAD",
            ".git/refs/heads/side",
            ".git/objects",
            ".git/logs",
            ".git/config",
        ] {
            profile(&place, &format!("hide = [\"${{PROJECT}}/{path}\"]"));
            let output = run(&place, "echo ran").code(2);
            assert!(
                output.stderr.contains("no private git directory can be made"),
                "{}",
                output.stderr
            );
            assert!(output.stderr.contains("--git none") && output.stdout.is_empty());
        }
        assert_eq!(place.git(&["for-each-ref"]), before);
    }
}
