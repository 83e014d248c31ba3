//! P: programs of the project that a configuration of git names, the user's, that of a repository in the project, or
//! that of the project itself where it is shared, are not the agent's to change: a git outside would run what it
//! wrote. The control is the same without claudebox.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::common::place::Place;
use crate::common::run::Run;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;

/// Keys that name a program, and its name: the value ends in it. What a shell runs may be more words.
const KEYS: [(&str, &str, &str); 14] = [
    ("core.fsmonitor", "", "tools/fsmonitor"),
    ("core.editor", "sh ", "tools/editor"),
    ("core.pager", "", "./tools/pager"),
    ("core.sshCommand", "env A=b ", "tools/ssh"),
    ("core.hooksPath", "", "tools/hooks"),
    ("gpg.program", "", "tools/gpg"),
    ("diff.external", "", "tools/external"),
    ("diff.t.textconv", "sh ", "textconv.sh"),
    ("diff.u.command", "", "./tools/command"),
    ("filter.c.clean", "", "tools/a clean"),
    ("merge.m.driver", "", "$(git rev-parse --show-toplevel)/tools/driver"),
    ("credential.helper", "!", "tools/credential"),
    ("alias.own", "!", "./tools/alias"),
    ("include.path", "", "../tools/included"),
];

/// What people, prompts and editors do.
const HOST: &str = "exec </dev/null; export GIT_TERMINAL_PROMPT=0
    git status; git own; script -qec 'git log -1' /dev/null
    for file in x.t x.u x.c x.m f; do echo more >>$file; done
    git diff f; git diff x.u; git diff --no-ext-diff; git add .; git commit -m one; git commit --allow-empty --no-verify
    git commit -S --allow-empty --no-verify -m signed; git fetch ssh://h.invalid/x
    printf 'protocol=https\\nhost=h.invalid\\n\\n' | git credential fill
    git commit --no-verify -qam mine; git merge --no-edit other; git includes; true";

/// The file of a key's program, relative to the work tree.
fn file(program: &str) -> PathBuf {
    let program = program.rsplit_once(")/").map_or(program, |(_, rest)| rest);
    let program = program.trim_start_matches("./").trim_start_matches("../");
    let file = if program == "tools/hooks" { "tools/hooks/pre-commit" } else { program };
    file.into()
}

/// What leaves a mark where it is executed, and for an included file a configuration that does.
fn text(key: &str, mark: &str) -> String {
    if key == "include.path" {
        format!("[alias]\n\tincludes = \"!{mark}\"\n")
    } else {
        format!("#!/bin/sh\n{mark}\nexit 1\n")
    }
}

/// A repository of the user's in a directory of the project, with its programs, or without. Answers where they
/// leave their marks.
fn prepare(place: &Place, directory: &str, there: bool) -> PathBuf {
    let marks = place.root().join("marks");
    fs::create_dir(&marks).unwrap();
    place.user().own(&marks);
    let work =
        "set -e; git init -q; git config user.name A; git config user.email a@example.invalid
        printf '*.t diff=t\\n*.u diff=u\\n*.c filter=c\\n*.m merge=m\\n' >.gitattributes
        for file in x.t x.u x.c x.m f; do echo 1 >$file; done; git add .; git commit -qm base
        git checkout -q -b other; echo 2 >x.m; git commit -qam two; git checkout -q -";
    place.project_file(format!("{directory}/f"), "");
    shell(place, directory, work).run().code(0);
    let program = |(key, _, program): &(&str, &str, &str)| {
        let path = place.project_file(Path::new(directory).join(file(program)), text(key, ":"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    if there {
        KEYS.iter().for_each(program);
    }
    for (key, words, program) in KEYS {
        let value = if program.contains(' ') && words.is_empty() && !program.contains('$') {
            format!("'{program}'")
        } else {
            format!("{words}{program}")
        };
        place.git(&["-C", directory, "config", key, &value]);
    }
    marks
}

fn shell(place: &Place, directory: &str, script: &str) -> Run {
    place.command("sh").args(["-c", &format!("cd {directory}; {script}")])
}

/// What the agent does: it writes each program anew, also where it has moved what is around it.
fn attack(directory: &str, marks: &Path) -> String {
    let mut attack = String::new();
    for moved in ["", "mv tools t; cp -r t tools;", "cd ..; mv foo g; cp -r g foo; cd foo;"] {
        if moved.starts_with("cd") && directory == "." {
            continue;
        }
        let _ = write!(attack, "{moved} mkdir -p tools/hooks;");
        for (key, _, program) in KEYS {
            let path = file(program);
            let path = path.display();
            let mark = format!("touch {}/{key}", marks.display());
            let content = text(key, &mark);
            let _ = write!(
                attack,
                "rm -f '{path}'; cat >'{path}' <<'E'\n{content}E\nchmod +x '{path}';"
            );
        }
    }
    format!("cd {directory}; {attack} true")
}

fn marked(marks: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(marks)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn all() -> Vec<String> {
    let mut names: Vec<String> = KEYS.iter().map(|(key, ..)| (*key).to_owned()).collect();
    names.sort();
    names
}

#[test]
fn promise_p_programs_that_a_repository_names_cannot_be_changed() {
    must_have_sandbox();
    must_have(&["git", "script"]);
    for user in users() {
        for directory in ["vendor/foo", "."] {
            for mode in ["shared", "private", "none"] {
                let place = Place::new(user);
                let marks = prepare(&place, directory, true);
                let options = ["--git", mode, "--host-files", "report"];
                let output = script(&place, &options, &attack(directory, &marks)).run();
                shell(&place, directory, HOST).run();
                assert_eq!(marked(&marks), [""; 0], "{directory}, {mode}: {}", output.stderr);
            }
            // Control.
            let place = Place::new(user);
            let marks = prepare(&place, directory, true);
            place.command("sh").args(["-c", &attack(directory, &marks)]).run();
            shell(&place, directory, HOST).run();
            assert_eq!(marked(&marks), all(), "{directory}");
        }
    }
}

#[test]
fn promise_p_programs_that_are_not_there_yet_are_set_aside() {
    must_have_sandbox();
    must_have(&["git", "script"]);
    // Whether what is quoted is a program, only what is there can tell.
    let sure: Vec<String> = all().into_iter().filter(|key| key != "filter.c.clean").collect();
    for user in users() {
        for directory in ["vendor/foo", "."] {
            // Control: what is only reported is executed.
            for (mode, expected) in [("set-aside", vec![]), ("report", sure.clone())] {
                let place = Place::new(user);
                let marks = prepare(&place, directory, false);
                let options = ["--git", "shared", "--host-files", mode];
                let output = script(&place, &options, &attack(directory, &marks)).run().code(0);
                assert!(output.stderr.contains("fsmonitor"), "{}", output.stderr);
                shell(&place, directory, HOST).run();
                let mut marked = marked(&marks);
                marked.retain(|key| sure.contains(key));
                assert_eq!(marked, expected, "{directory}: {}", output.stderr);
            }
        }
    }
}

/// Beyond some number repositories are read-only as a whole, and what packages name counts where packages are
/// not looked at.
#[test]
fn promise_p_no_repository_is_left_open_because_there_are_many_or_it_is_a_package() {
    must_have_sandbox();
    must_have(&["git"]);
    let make = "make() { mkdir -p $1; git init -q $1; mkdir -p $1/tools/hk; echo exit 1 >$1/tools/w
        chmod +x $1/tools/w; git -C $1 config core.fsmonitor tools/w; git -C $1 config core.hooksPath tools/hk; }
        set -e; make v/100; for n in $(seq 101 260); do cp -r v/100 v/$n; done
        make node_modules/a; make node_modules/@s/b";
    let all = ["v/100", "v/200", "v/260", "node_modules/a", "node_modules/@s/b"];
    for user in users() {
        let prepare = || {
            let place = Place::new(user);
            let marks = place.root().join("marks");
            fs::create_dir(&marks).unwrap();
            place.user().own(&marks);
            place.command("sh").args(["-c", make]).run().code(0);
            (place, marks)
        };
        let attack = |marks: &Path| {
            let mut attack = String::new();
            for (number, repository) in all.iter().enumerate() {
                let mark = marks.join(number.to_string());
                let mark = mark.display();
                let _ = write!(
                    attack,
                    "printf '#!/bin/sh\\ntouch {mark}w\\nexit 1\\n' >{repository}/tools/w
                    printf '#!/bin/sh\\ntouch {mark}h\\n' >{repository}/tools/hk/pre-commit
                    chmod +x {repository}/tools/hk/pre-commit
                    git config -f {repository}/.git/config alias.own '!touch {mark}a';"
                );
            }
            format!("{attack} true")
        };
        let host = |place: &Place| {
            for repository in all {
                let host = format!(
                    "cd {repository}; git status; git own; git commit --allow-empty -m x; true"
                );
                place.command("sh").args(["-c", &host]).run();
            }
        };
        for mode in ["shared", "private"] {
            let (place, marks) = prepare();
            let output = script(&place, &["--git", mode], &attack(&marks)).run().code(0);
            host(&place);
            assert_eq!(marked(&marks), [""; 0], "{mode}: {}", output.stderr);
        }
        // Control.
        let (place, marks) = prepare();
        place.command("sh").args(["-c", &attack(&marks)]).run().code(0);
        host(&place);
        assert_eq!(marked(&marks).len(), 3 * all.len());
    }
}
