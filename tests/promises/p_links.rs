//! P: where a link stands in the place of a file that the host executes, or on the way to one, what is at its
//! end is as good as that file. It counts although nothing is there at the start, and although the
//! link leads elsewhere in the end.

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;

/// How git is inside, what the user's repository has (all of it tracked but what `.gitignore` names), what
/// the agent does, and the name by which the host executes it.
const LINKS: [(&str, &str, &str, &str); 22] = [
    (
        "private",
        "ln -s build/hooks .husky",
        "mkdir -p build/hooks; $EVIL build/hooks/x",
        ".husky/x",
    ),
    ("private", "ln -s gen/env .envrc", "mkdir gen; $EVIL gen/env", ".envrc"),
    (
        "private",
        "mkdir conf1; echo {} > conf1/tasks.json; ln -s conf1 cfg; ln -s cfg .vscode",
        "mkdir evil; $EVIL evil/tasks.json; ln -sfn evil cfg",
        ".vscode/tasks.json",
    ),
    (
        "private",
        "mkdir -p z/y; echo {} > z/y/tasks.json; ln -s z x; ln -s x/y .vscode",
        "rm x; mkdir -p x/y; $EVIL x/y/tasks.json",
        ".vscode/tasks.json",
    ),
    ("private", "ln -s $PWD/gen/env .envrc", "mkdir gen; $EVIL gen/env", ".envrc"),
    ("private", "ln -s ../${PWD##*/}/gen/env .envrc", "mkdir gen; $EVIL gen/env", ".envrc"),
    (
        "private",
        "mkdir .vscode; ln -s ../out/tasks.json .vscode/tasks.json; echo /out > .gitignore",
        "mkdir out; $EVIL out/tasks.json",
        ".vscode/tasks.json",
    ),
    (
        "private",
        "mkdir a; echo {} > a/t; ln -s a cfg; mkdir .vscode; ln -s ../cfg/t .vscode/tasks.json
         echo /.vscode > .gitignore",
        "mkdir b; $EVIL b/t; ln -sfn b cfg",
        ".vscode/tasks.json",
    ),
    (
        "private",
        "git config core.hooksPath tl/hk; mkdir -p real1/hk; touch real1/hk/keep; ln -s real1 tl",
        "mkdir -p real2/hk; $EVIL real2/hk/post-commit; ln -sfn real2 tl",
        "tl/hk/post-commit",
    ),
    (
        "private",
        "git config core.hooksPath tl/hk; ln -s real1 tl",
        "mkdir -p real1/hk; $EVIL real1/hk/post-commit",
        "tl/hk/post-commit",
    ),
    // What is tracked leads on, to what is not.
    (
        "shared",
        "mkdir .vscode; echo {} > .vscode/tasks.json",
        "ln -sf ../out/tasks.json .vscode/tasks.json; git add .; mkdir out
         $EVIL out/tasks.json",
        ".vscode/tasks.json",
    ),
    ("shared", "ln -s .git/MERGE_MSG .envrc", "$EVIL .git/MERGE_MSG", ".envrc"),
    (
        "shared",
        "mkdir .git/foo; ln -s .git/foo/hooks .husky",
        "mkdir .git/foo/hooks; $EVIL .git/foo/hooks/x",
        ".husky/x",
    ),
    // Git's configuration names what the agent makes.
    (
        "shared",
        "git config core.hooksPath .git/mine",
        "mkdir .git/mine; $EVIL .git/mine/x",
        ".git/mine/x",
    ),
    (
        "shared",
        "git config core.hooksPath $PWD/../other/tools; ln -s $PWD ../other",
        "mkdir tools; $EVIL tools/pre-commit",
        "tools/pre-commit",
    ),
    (
        "private",
        "git init -q nest; git -C nest config core.hooksPath hk; echo /nest > .gitignore",
        "mkdir nest/hk; $EVIL nest/hk/pre-commit",
        "nest/hk/pre-commit",
    ),
    // Packages are looked at, where a link from elsewhere leads into them.
    (
        "private",
        "mkdir -p node_modules/c/vs; echo {} > node_modules/c/vs/tasks.json
         ln -s node_modules/c/vs .vscode; echo /node_modules > .gitignore",
        "mkdir -p new; $EVIL new/tasks.json; ln -sfn new .vscode",
        ".vscode/tasks.json",
    ),
    (
        "private",
        "ln -s node_modules/c/vs .vscode; echo /node_modules > .gitignore",
        "mkdir -p node_modules/c/vs; $EVIL node_modules/c/vs/tasks.json",
        ".vscode/tasks.json",
    ),
    // The project itself by a name of the table.
    ("private", "ln -s . .claude", "$EVIL settings.local.json", ".claude/settings.local.json"),
    (
        "shared",
        "mkdir sub; ln -s .. sub/.claude",
        "mkdir hooks; $EVIL hooks/x",
        "sub/.claude/hooks/x",
    ),
    // For each process it is another directory.
    ("private", "ln -s /proc/self/cwd/gen .envrc", "$EVIL gen", ".envrc"),
    (
        "private",
        "mkdir -p a real; touch real/keep; ln -s ../real a/hop; ln -s a/hop .husky",
        "mkdir other; $EVIL other/x; ln -sfn ../other a/hop; chmod 000 a",
        "other/x",
    ),
];

const EVIL: &str = "evil() { echo evil > \"$1\"; chmod 755 \"$1\"; }; ";

fn prepared(place: &Place, has: &str) {
    let has = format!("{has}\ngit add . && git commit -q --allow-empty -m base");
    place.command("sh").args(["-ec", &has]).run().code(0);
}

fn attack(text: &str) -> String {
    format!("{EVIL}set -e; {}", text.replace("$EVIL", "evil"))
}

/// Whether the agent's text is what the host finds.
fn executes(place: &Place, name: &str) -> bool {
    place.command("cat").args([name]).run().stdout.contains("evil")
}

#[test]
fn promise_p_what_a_link_leads_to_does_not_come_unnoticed() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for (git, has, does, name) in LINKS {
            let place = Place::new(user);
            prepared(&place, has);
            assert!(!executes(&place, name), "{has}");
            let run = script(&place, &["--git", git], &attack(does)).run().code(0);
            assert!(run.stderr.contains("set aside"), "{has}: {}", run.stderr);
            assert!(!executes(&place, name), "{has}: {}", run.stderr);

            // Control.
            let place = Place::new(user);
            prepared(&place, has);
            place.command("sh").args(["-c", &attack(does)]).run().code(0);
            assert!(executes(&place, name), "{has}");
        }
    }
}

/// A directory of the table that nobody looked into at the start is not new, and what is in it may be.
#[test]
fn promise_p_what_is_changed_in_place_where_nobody_looked_is_told_of() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        let has = "mkdir -p node_modules/x; git init -q node_modules/x
            cp node_modules/x/.git/hooks/pre-commit.sample node_modules/x/.git/hooks/pre-commit
            echo /node_modules > .gitignore";
        prepared(&place, has);
        let changed = |does: &str| {
            let run = script(&place, &[], does).run().code(0);
            run.stderr.contains("node_modules/x/.git/hooks/pre-commit")
        };
        assert!(!changed("true"));
        assert!(changed("echo 'echo evil' > node_modules/x/.git/hooks/pre-commit"));
    }
}

/// A rename leaves the times of what it takes along. What may have come that way is told of, and stays: it may
/// as well be the user's own.
#[test]
fn promise_p_what_is_renamed_to_a_name_of_the_table_is_told_of() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        let has =
            "mkdir -p node_modules/x; git init -q node_modules/x; echo /node_modules > .gitignore";
        prepared(&place, has);
        let told = |does: &str, path: &str| {
            let run = script(&place, &[], does).run().code(0);
            run.stderr.contains(path)
        };
        let stage = "cd node_modules/x; mkdir s1 s2; echo x > s1/config.toml; echo x > s2/hgrc";
        assert!(!told(stage, "node_modules"));
        assert!(told("cd node_modules/x; mv s1 mise", "node_modules/x/mise/config.toml"));
        assert!(told("cd node_modules/x; mv s2 .hg", "node_modules/x/.hg/hgrc"));
        // A repository that was there is not moved, whatever git did in it.
        assert!(told("cd node_modules/x; echo x > .git/y", "node_modules/x/.git"));
        assert!(place.project().join("node_modules/x/.git/HEAD").exists());
        assert!(!told("ls node_modules/x", "node_modules"));
    }
}

/// A link by the name of a directory of the table that leads to a file is harmless only where that file
/// cannot become a directory unseen.
#[test]
fn promise_p_a_link_to_a_file_elsewhere_is_told_of() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        prepared(&place, "touch tool");
        place.home_file("elsewhere", "");
        let leave = format!(
            "ln -s {} mise; ln -s ../tool .claude",
            place.home().join("elsewhere").display()
        );
        let run = script(&place, &[], &format!("{leave}; mkdir bin; ln -s ../tool bin/mise")).run();
        let run = run.code(0);
        assert!(run.stderr.contains("set aside: .claude, mise"), "{}", run.stderr);
        assert!(place.project().join("bin/mise").is_symlink(), "the control");
    }
}

/// What git had written there before is not moved: with `HEAD` the repository would go.
#[test]
fn promise_p_a_link_into_the_git_directory_is_told_of() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        prepared(&place, "ln -s .git/COMMIT_EDITMSG .envrc");
        let told = |does: &str| {
            let run = script(&place, &["--git", "shared"], does).run().code(0);
            run.stderr.contains("changed  .git/COMMIT_EDITMSG")
        };
        assert!(told("echo evil > .git/COMMIT_EDITMSG"));
        assert!(!told("echo evil > .git/MERGE_MSG"));
        // Nor is what stands among refs and objects: they are the repository.
        let place = Place::new(user);
        prepared(&place, "mkdir -p .git/refs/x; ln -s .git/refs/x .husky");
        let run = script(&place, &["--git", "shared"], "echo evil > .git/refs/x/pre-commit").run();
        let run = run.code(0);
        assert!(run.stderr.contains("new      .git/refs/x/pre-commit"), "{}", run.stderr);
    }
}

/// What git tracks is not moved, so it is named by the path that the link has it at.
#[test]
fn promise_p_a_link_that_is_turned_to_another_tracked_file_is_told_of() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        let has = "mkdir one two; echo {} > one/tasks.json; echo evil > two/tasks.json
            ln -s one cfg; ln -s cfg .vscode";
        prepared(&place, has);
        let run = script(&place, &[], "ln -sfn two cfg").run().code(0);
        assert!(run.stderr.contains("reached  two/tasks.json"), "{}", run.stderr);
        assert!(executes(&place, ".vscode/tasks.json"), "it is git's to take back");
        // Control: one that was written since is new, whatever git says.
        let more = "mkdir three; echo evil > three/tasks.json; git add three; ln -sfn three cfg";
        let run = script(&place, &["--git", "shared"], more).run().code(0);
        assert!(run.stderr.contains("new      three/tasks.json"), "{}", run.stderr);
        place.command("ln").args(["-sfn", "two", "cfg"]).run().code(0);
        // Control: nothing is told of what stays.
        let run = script(&place, &[], "echo x > two/other; rm two/other").run().code(0);
        assert!(!run.stderr.contains("two/"), "{}", run.stderr);
    }
}
