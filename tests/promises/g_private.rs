//! G: with a private git directory nothing that the agent does to git makes a git of the host run its
//! code. Each attack is judged by the host, which uses git in the project afterwards; the control is
//! the same attack on a plain repository that the agent can write.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::place::Place;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;

/// Attacks by name; each makes a git of the host execute `$M/NAME.sh`, which leaves `$M/NAME`. `$X` is
/// that program. All that is written is written as a file, since no git may work afterwards.
const ATTACKS: [(&str, &str); 17] = [
    ("fsmonitor", "printf '[core]\\n\\tfsmonitor = %s\\n' $X >> .git/config"),
    (
        "include",
        "printf '[core]\\n\\tfsmonitor = %s\\n' $X > .git/planted
         printf '[include]\\n\\tpath = planted\\n' >> .git/config",
    ),
    (
        "hooks-path",
        "mkdir -p h; cp $X h/post-checkout; printf '[core]\\n\\thooksPath = h\\n' >> .git/config",
    ),
    ("hooks", "mkdir -p .git/hooks; cp $X .git/hooks/post-checkout"),
    (
        "filter",
        "printf '[filter \"e\"]\\n\\tclean = %s\\n\\tsmudge = %s\\n' $X $X >> .git/config
         mkdir -p .git/info; echo '* filter=e' > .git/info/attributes; touch f",
    ),
    (
        "textconv",
        "printf '[diff \"e\"]\\n\\ttextconv = %s\\n' $X >> .git/config
         mkdir -p .git/info; echo '* diff=e' > .git/info/attributes; echo new >> f",
    ),
    ("external-diff", "printf '[diff]\\n\\texternal = %s\\n' $X >> .git/config; echo new >> f"),
    (
        "ssh-command",
        "printf '[core]\\n\\tsshCommand = %s\\n[remote \"e\"]\\n\\turl = ssh://h.invalid/x\\n' $X >> .git/config",
    ),
    (
        "remote-helper",
        "printf '[protocol \"ext\"]\\n\\tallow = always\\n[remote \"e\"]\\n\\turl = ext::%s\\n' $X >> .git/config",
    ),
    (
        "renamed-git",
        "cp -r .git copy; printf '[core]\\n\\tfsmonitor = %s\\n' $X >> copy/config
         mv .git moved && mv copy .git",
    ),
    (
        "config-worktree",
        "printf '[extensions]\\n\\tworktreeConfig = true\\n' >> .git/config
         printf '[core]\\n\\tfsmonitor = %s\\n' $X >> .git/config.worktree",
    ),
    (
        "submodule-pointer",
        "cp -r .git/modules/a/sub evil; printf '[core]\\n\\tfsmonitor = %s\\n\\tworktree = ../a/sub\\n' $X >> evil/config
         echo 'gitdir: ../../evil' > a/sub/.git",
    ),
    (
        "submodule-parent",
        "cp -r .git/modules/a/sub evil; mv a a.old; cp -r a.old a; rm -f a/sub/.git; cp -r evil a/sub/.git
         printf '[core]\\n\\tfsmonitor = %s\\n\\tworktree = ..\\n' $X >> a/sub/.git/config",
    ),
    (
        "submodule-config",
        "printf '[core]\\n\\tfsmonitor = %s\\n' $X >> .git/modules/a/sub/config",
    ),
    (
        "empty-submodule",
        "cd un && git init -q && git -c user.name=x -c user.email=x commit -q --allow-empty -m x &&
         printf '[core]\\n\\tfsmonitor = %s\\n' $X >> .git/config",
    ),
    ("in-tree-hook", "cp $X tools/hooks/post-checkout; rm -rf tools && mkdir -p tools/hooks && cp $X tools/hooks/post-checkout"),
    (
        "commondir",
        "cp -r .git com; printf '[core]\\n\\tfsmonitor = %s\\n' $X >> com/config; echo ../com > .git/commondir",
    ),
];

/// What people, prompts and editors do, each with a plain environment.
const HOST: &str = "PATH=/usr/local/bin:/usr/bin:/bin; echo changed >> f
    git status; git diff; git log -p --all; git fetch --all; git checkout -q other; git checkout -q main
    git submodule status; git submodule update; touch n; git add -N n; git gc -q; true";

/// A program for each attack where only the host finds it, with the marks it leaves.
fn marks(place: &Place) -> PathBuf {
    let marks = place.root().join("marks");
    fs::create_dir(&marks).unwrap();
    place.user().own(&marks);
    marks
}

/// Where what an attack has executed is: in the project, since only that can be seen inside.
pub(crate) fn program(place: &Place, name: &str, marks: &Path) -> PathBuf {
    let mark = marks.join(name);
    let text = format!("#!/bin/sh\n: > '{}'\nexit 0\n", mark.display());
    let path = place.project_file(format!("evil-{name}.sh"), text);
    let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(&path, open).unwrap();
    path
}

/// A project with two branches, a submodule below a directory, and one that is not initialised.
fn prepare(place: &Place) {
    place.project_file("../origin/x", "");
    let work = "set -e; g() { git -c protocol.file.allow=always \"$@\"; }
        git init -q --initial-branch=main ../origin; ( cd ../origin; git add x; git commit -qm o )
        echo 1 > f; git add f; git commit -qm one; g submodule --quiet add ../origin a/sub
        g submodule --quiet add ../origin un; git submodule --quiet deinit -f un
        rm -rf .git/modules/un; mkdir -p tools/hooks; echo '#!/bin/sh' > tools/hooks/post-checkout
        chmod +x tools/hooks/post-checkout
        git add .; git commit -qm two; git branch other
        git config core.hooksPath tools/hooks";
    // A deinitialised submodule's directory is there, and empty.
    place.command("sh").args(["-c", work]).run().code(0);
    fs::create_dir_all(place.project().join("un")).unwrap();
    place.user().own(&place.project().join("un"));
}

fn lines(place: &Place, marks: &Path, attacks: &[(&str, &str)]) -> String {
    let line = |(name, attack): &(&str, &str)| {
        let program = program(place, name, marks);
        format!("( X='{}'; {attack} ) >/dev/null 2>&1\n", program.display())
    };
    attacks.iter().map(line).collect::<String>() + "true"
}

fn fired(place: &Place, marks: &Path) -> Vec<String> {
    place.command("sh").args(["-c", HOST]).run();
    let mut names: Vec<String> = fs::read_dir(marks)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn promise_g_nothing_of_a_private_git_directory_is_executed_by_the_host() {
    must_have_sandbox();
    must_have(&["git"]);
    let none: [String; 0] = [];
    for user in users() {
        let place = Place::new(user);
        prepare(&place);
        let marks = marks(&place);
        let attacks = lines(&place, &marks, &ATTACKS);
        let options = ["--git", "private", "--host-files", "report"];
        script(&place, &options, &attacks).run().code(0);
        assert_eq!(fired(&place, &marks), none);
        assert!(place.project().join(".git").is_dir() && !place.project().join("moved").exists());
    }

    // Control: on a repository that can be written each of them is executed.
    for attack in ATTACKS {
        let place = Place::new(users()[0]);
        prepare(&place);
        // With hooks elsewhere, those of .git are not run.
        if attack.0 == "hooks" {
            place.git(&["config", "--unset", "core.hooksPath"]);
        }
        let marks = marks(&place);
        let attacks = lines(&place, &marks, &[attack]);
        place.command("sh").args(["-c", &attacks]).run();
        assert_eq!(fired(&place, &marks), [attack.0], "{}", attack.0);
    }
}
