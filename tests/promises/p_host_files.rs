//! P: what programs of the host would execute by themselves does not change unnoticed. What is there
//! and not tracked cannot be changed; what comes is set aside, or kept by a person; what git tracks
//! is reported.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::outside::tree;
use crate::script;

/// Tries every way to change what stands at a path, or to put something else there.
const REPLACE: &str = r#"
for path in "$@"; do
    echo evil > "$path"; echo evil >> "$path"; chmod 777 "$path"; touch -d 2001-01-01 "$path"
    rm -rf "$path"; mv "$path" "$path.moved"; ln -sfn /tmp/evil "$path"; cp /bin/true "$path"
    for file in "$path"/*; do echo evil > "$file"; rm -f "$file"; done; echo evil > "$path/new"
    up=$(dirname "$path")
    while [ "$up" != . ]; do
        mv "$up" "$up.moved" && cp -r "$up.moved" "$up" && echo evil > "$path"
        up=$(dirname "$up")
    done
    umount "$path"; mount --move "$path" /tmp
done 2>/dev/null
true
"#;

const STANDING: [&str; 8] = [
    ".envrc",
    ".vscode/tasks.json",
    "a/b/.envrc",
    "a/.claude/settings.json",
    "mise.toml",
    "x.code-workspace",
    "nested/.git/config",
    "pkg/.idea/workspace.xml",
];

fn standing(place: &Place) {
    for path in STANDING {
        place.project_file(path, "mine\n");
    }
    place.project_file("nested/.git/HEAD", "ref: refs/heads/main\n");
}

#[test]
fn promise_p_what_stands_there_untracked_cannot_be_changed() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        standing(&place);
        // In its directory something else may change.
        place.project_file("a/b/other", "x");
        let before = tree(&place.project());
        let attack =
            format!("set -- {} .vscode nested/.git pkg/.idea\n{REPLACE}", STANDING.join(" "));
        script(&place, &["--host-files", "report"], &attack).run().code(0);
        assert_eq!(tree(&place.project()), before);

        // Control: without the sandbox the same script changes them.
        place.command("sh").args(["-c", &attack]).run();
        assert_ne!(tree(&place.project()), before);
    }
}

#[test]
fn promise_p_git_can_still_write_what_it_tracks() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        place.git(&["config", "user.name", "Someone"]);
        place.git(&["config", "user.email", "someone@example.invalid"]);
        for (path, text) in
            [(".envrc", "one\n"), (".husky/pre-commit", "one\n"), (".vscode/a", "1")]
        {
            place.project_file(path, text);
        }
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "one"]);
        place.project_file(".vscode/mine", "untracked\n");
        let work = "set -e; git checkout -qb other; echo two > .envrc; git rm -q .husky/pre-commit
            echo x > .vscode/b; git add .envrc .vscode/b; git commit -qm two; git checkout -q main
            git stash list; git checkout -q other; git merge -q main; git reset -q --hard main
            git status --porcelain";
        script(&place, &["--host-files", "report"], work).run().code(0);
        assert_eq!(fs::read_to_string(place.project().join(".envrc")).unwrap(), "one\n");
        assert_eq!(
            fs::read_to_string(place.project().join(".vscode/mine")).unwrap(),
            "untracked\n"
        );
        // Control: what git does not track, in the same directory, is not the agent's to write.
        script(&place, &["--host-files", "report"], "echo evil > .vscode/mine").run().code(2);
    }
}

#[test]
fn promise_p_a_submodule_that_is_not_there_cannot_be_made() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        let marker = place.root().join("tmp/executed");
        let commit = "160000,1234567890123456789012345678901234567890,lib/sub";
        place.git(&["update-index", "--add", "--cacheinfo", commit]);
        place.git(&["commit", "-qm", "with a submodule"]);
        let sub = place.project_file("lib/sub/x", "");
        fs::remove_file(&sub).unwrap();
        let attack = format!(
            "git init -q lib/sub; git -C lib/sub config core.fsmonitor 'touch {}; false'
            echo a > lib/sub/a; git -C lib/sub add a; git -C lib/sub commit -qm a
            mv lib lib.moved && cp -r lib.moved lib; true",
            marker.display()
        );
        script(&place, &[], &attack).run().code(0);
        place.git(&["status"]);
        assert!(!marker.exists(), "the host executed what the agent planted");
        assert_eq!(fs::read_dir(place.project().join("lib/sub")).unwrap().count(), 0);

        // Control: without the sandbox the same makes git outside execute it.
        place.command("sh").args(["-c", &attack]).run();
        place.git(&["status"]);
        assert!(marker.exists(), "the attack works where it is allowed to");
    }
}

#[test]
fn promise_p_a_link_is_not_a_way_to_write_elsewhere() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let file = place.home_file("precious", "mine");
        symlink(&file, place.project().join(".envrc")).unwrap();
        symlink(place.home(), place.project().join(".vscode")).unwrap();
        script(&place, &["--host-files", "report"], "echo evil > .envrc; echo evil > .vscode/x")
            .run();
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert!(!place.home().join("x").exists());
        let log = crate::common::log::Log::latest(&place);
        let Some(claudebox::log::event::Event::Start(start)) = log.events.first() else {
            panic!("the log does not begin with the start")
        };
        assert!(start.weakened.iter().any(|what| what.contains(".envrc is a symbolic link")));
    }
}
