//! P: what the user's environment says to git, and the machine's configuration wherever git was built to have it,
//! is configuration of the host's git: programs of the project that it names are not the agent's to change. The
//! control is the same without claudebox.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::{must_have, must_have_sandbox, user::users};

/// What the user has, `$R` being where the place is: variables, and files with their text.
struct Case {
    variables: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    modes: &'static [&'static str],
}

const ALL: &[&str] = &["shared", "private"];
const CONFIG: &str = "[core]\n\tfsmonitor = tools/w\n[alias]\n\ta = \"!sh tools/w\"\n";

const CASES: [Case; 8] = [
    Case {
        variables: &[(
            "GIT_CONFIG_PARAMETERS",
            "'core.fsmonitor'='tools/w' 'alias.a'=''\\!'tools/w'",
        )],
        files: &[],
        modes: ALL,
    },
    Case {
        variables: &[("GIT_CONFIG_PARAMETERS", "'core.fsmonitor=tools/w'")],
        files: &[],
        modes: ALL,
    },
    Case {
        variables: &[
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
            ("GIT_CONFIG_VALUE_0", "tools/w"),
        ],
        files: &[],
        modes: ALL,
    },
    Case { variables: &[("GIT_CONFIG_GLOBAL", "$R/mine")], files: &[("mine", CONFIG)], modes: ALL },
    Case {
        variables: &[("GIT_CONFIG_SYSTEM", "$R/machine")],
        files: &[("machine", "[include]\n\tpath = more\n"), ("more", CONFIG)],
        modes: ALL,
    },
    Case { variables: &[("GIT_EXTERNAL_DIFF", "./tools/w")], files: &[], modes: ALL },
    // A git that was built to have its configuration elsewhere: for its prefix, or at any place.
    Case {
        variables: &[("PATH", "$R/opt/bin:/usr/bin:/bin")],
        files: &[
            (
                "opt/bin/git",
                "#!/bin/sh\nGIT_CONFIG_SYSTEM=$R/opt/etc/gitconfig exec /usr/bin/git \"$@\"\n",
            ),
            ("opt/etc/gitconfig", CONFIG),
        ],
        modes: ALL,
    },
    Case {
        variables: &[("PATH", "$R/opt/bin:/usr/bin:/bin")],
        files: &[
            ("opt/bin/git", "#!/bin/sh\nGIT_CONFIG_SYSTEM=$R/odd exec /usr/bin/git \"$@\"\n"),
            ("odd", CONFIG),
        ],
        modes: &["private"],
    },
];

fn prepare(case: &Case, place: &Place) -> std::path::PathBuf {
    place.project_file("f", "1\n");
    place.git(&["add", "."]);
    place.git(&["commit", "-qm", "base"]);
    program(&place.project_file("tools/w", "#!/bin/sh\nexit 1\n"));
    let root = place.root();
    for (path, text) in case.files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("$R", root.to_str().unwrap())).unwrap();
        program(&path);
    }
    root.join("tmp/executed")
}

fn program(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the user runs has that environment.
fn of_user(case: &Case, place: &Place, run: Run) -> Run {
    let root = place.root().to_str().unwrap();
    case.variables.iter().fold(run, |run, (name, value)| run.env(name, value.replace("$R", root)))
}

fn git_outside(case: &Case, place: &Place) {
    let host = "echo 2 >>f; git status; git diff; git a; true";
    of_user(case, place, place.command("sh").args(["-c", host])).run();
}

#[test]
fn promise_p_programs_that_the_environment_names_cannot_be_changed() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        for case in &CASES {
            let attack = |executed: &Path| {
                format!(
                    "printf '#!/bin/sh\\ntouch {}\\nexit 1\\n' >tools/w; true",
                    executed.display()
                )
            };
            for mode in case.modes {
                let place = Place::new(user);
                let executed = prepare(case, &place);
                let attack = attack(&executed);
                let words =
                    ["run", "--no-monitor", "--git", mode, "--", "sh", "-c", attack.as_str()];
                let output = of_user(case, &place, place.claudebox(words)).run().code(0);
                git_outside(case, &place);
                assert!(!executed.exists(), "{:?}, {mode}: {}", case.variables, output.stderr);
            }
            // Control.
            let place = Place::new(user);
            let executed = prepare(case, &place);
            place.command("sh").args(["-c", &attack(&executed)]).run().code(0);
            git_outside(case, &place);
            assert!(executed.exists(), "{:?}", case.variables);
        }
    }
}
