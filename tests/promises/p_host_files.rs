//! P: what programs of the host would execute by themselves does not change unnoticed. What is there
//! and not tracked cannot be changed; what comes is set aside, or kept by a person; what git tracks
//! is reported.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use claudebox::log::event::{Event, HostFile};
use nix::sys::signal::Signal;

use crate::common::log::Log;
use crate::common::place::Place;
use crate::common::{DEADLINE, must_have, must_have_sandbox, user::users};
use crate::outside::{Marker, tree};
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
        let attack = "echo evil > .envrc; echo evil > .vscode/x";
        script(&place, &["--host-files", "report"], attack).run();
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert!(!place.home().join("x").exists());
        let log = Log::latest(&place);
        let Some(Event::Start(start)) = log.events.first() else {
            panic!("the log does not begin with the start")
        };
        assert!(start.weakened.iter().any(|what| what.contains(".envrc is a symbolic link")));

        // Control: outside the links lead there.
        place.command("sh").args(["-c", attack]).run().code(0);
        assert_eq!(fs::read_to_string(&file).unwrap(), "evil\n");
        assert!(place.home().join("x").exists());
    }
}

/// Whether there is anything at a path of the project, a dangling link included.
fn there(place: &Place, path: &str) -> bool {
    fs::symlink_metadata(place.project().join(path)).is_ok()
}

/// The host-file events of a log.
fn told(log: &Log) -> Vec<&HostFile> {
    fn host_file(event: &Event) -> Option<&HostFile> {
        match event {
            Event::HostFile(file) => Some(file),
            _ => None,
        }
    }
    log.events.iter().filter_map(host_file).collect()
}

/// Names of every kind, and a script that makes them, with hiding places among them.
const NEW: [&str; 30] = [
    ".envrc",
    "deep/down/in/the/tree/.envrc",
    ".vscode",
    ".idea",
    ".mcp.json",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".claude/hooks",
    ".claude/commands",
    ".gemini",
    ".codex",
    ".opencode",
    ".devcontainer",
    "mise.toml",
    ".husky",
    ".claudebox.toml",
    "some.code-workspace",
    ".cursor",
    ".zed",
    ".pre-commit-config.yaml",
    ".pre-commit-config.yml",
    "prek.toml",
    ".pi",
    ".miserc.toml",
    "mise/conf.d",
    "rust/rust-toolchain.toml",
    "closed/.envrc",
    "case/.EnvRC",
    "linked/.claude",
    "node_modules/m/.envrc",
];

const PLANT: &str = "mkdir -p deep/down/in/the/tree .vscode .idea .claude/hooks .claude/commands .gemini
    mkdir -p .codex .opencode .devcontainer .husky .cursor .zed closed case linked node_modules/m
    mkdir -p node_modules/m/.vscode harmless .pi mise/conf.d rust
    for file in .envrc deep/down/in/the/tree/.envrc .vscode/tasks.json .idea/workspace.xml .mcp.json \\
        .claude/settings.json .claude/settings.local.json .claude/hooks/x .claude/commands/x.md \\
        .gemini/settings.json .codex/config.toml .opencode/x .devcontainer/devcontainer.json mise.toml \\
        .husky/pre-commit .claudebox.toml some.code-workspace .cursor/mcp.json .zed/tasks.json \\
        .pre-commit-config.yml prek.toml .pi/settings.json .miserc.toml mise/conf.d/a.toml \\
        rust/rust-toolchain.toml .pre-commit-config.yaml closed/.envrc case/.EnvRC harmless/settings.json node_modules/m/.envrc \\
        node_modules/m/.vscode/tasks.json README.md
    do echo evil > $file; done; chmod 000 closed; ln -s ../harmless linked/.claude";

/// However many directories an agent closes, and where it leaves the right to read names alone.
#[test]
fn promise_p_no_number_of_closed_directories_keeps_a_file_from_being_found() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let plant = "mkdir named open; echo evil >named/.envrc; echo evil >open/.envrc; chmod 444 named
            for at in $(seq 300); do mkdir -p $at/in; echo evil >$at/in/.envrc; chmod 0 $at/in $at; done";
        let output = script(&place, &[], plant).run().code(0);
        assert!(!output.stderr.contains("could not be looked at"), "{}", output.stderr);
        place.command("chmod").args(["-R", "u+rwX", "."]).run().code(0);
        let found = place.command("find").args([".", "-name", ".envrc"]).run().code(0).stdout;
        assert_eq!(found, "", "still there");
    }
}

#[test]
fn promise_p_what_is_new_is_set_aside_and_comes_back_when_asked_for() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let output = script(&place, &[], PLANT).run().code(0);
        for path in NEW {
            assert!(output.stderr.contains(path), "{path} was not told of: {}", output.stderr);
        }
        let closed = place.project().join("closed");
        assert_eq!(fs::metadata(&closed).unwrap().permissions().mode() & 0o777, 0);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let left: Vec<&str> = NEW.into_iter().filter(|path| there(&place, path)).collect();
        assert_eq!(left, [""; 0], "still there");
        for path in ["README.md", "harmless/settings.json", "node_modules/m/.vscode/tasks.json"] {
            assert!(there(&place, path), "{path} is gone");
        }
        assert!(output.stderr.contains("1 more in directories of installed packages"));
        let log = Log::latest(&place);
        for path in NEW {
            assert!(told(&log).iter().any(|file| file.path.as_path() == Path::new(path)), "{path}");
        }

        place.claudebox(["keep"]).run().code(0);
        let missing: Vec<&str> = NEW.into_iter().filter(|path| !there(&place, path)).collect();
        assert_eq!(missing, [""; 0], "lost");
        assert_eq!(
            fs::read_to_string(place.project().join(".vscode/tasks.json")).unwrap(),
            "evil\n"
        );

        // Control: with the one thing turned off that sets aside, they stay, and are told of all the same.
        let place = Place::new(user);
        let output = script(&place, &["--host-files", "report"], PLANT).run().code(0);
        for path in NEW {
            assert!(path == "closed/.envrc" || there(&place, path), "{path}");
            assert!(output.stderr.contains(path), "{path} was not told of: {}", output.stderr);
        }
        fs::set_permissions(place.project().join("closed"), fs::Permissions::from_mode(0o700))
            .unwrap();
    }
}

#[test]
fn promise_p_a_project_that_was_closed_is_looked_at() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let close = "echo evil >.envrc; mkdir d; echo evil >d/.envrc; chmod 000 d .";
        let output = script(&place, &[], close).run().code(0);
        output.complains("d/.envrc").complains("set aside");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for path in [place.project(), place.project().join("d")] {
            assert_eq!(mode(&path), 0);
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        assert!(!there(&place, ".envrc") && !there(&place, "d/.envrc"));
        // Control.
        let place = Place::new(user);
        script(&place, &["--host-files", "report"], close).run().code(0);
        fs::set_permissions(place.project(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(there(&place, ".envrc"));
    }
}

/// What cannot be looked at now stays open, and is looked at by a later command.
#[test]
fn promise_p_a_project_that_cannot_be_reached_stays_pending() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let around = place.root().join("around");
        let project = around.join("p");
        fs::create_dir_all(&project).unwrap();
        user.own(&around);
        user.own(&project);
        let mode = |mode| fs::set_permissions(&around, fs::Permissions::from_mode(mode)).unwrap();
        let plant = "echo evil >.envrc; touch ready; while ! test -e go; do sleep 0.05; done";
        let words = ["run", "--no-monitor", "--project"].map(OsStr::new);
        let run = place.claudebox(words.into_iter().chain([project.as_os_str()]));
        let run = run.args(["--", "sh", "-c", plant]).start();
        let end = Instant::now() + DEADLINE;
        while !project.join("ready").exists() {
            assert!(Instant::now() < end, "it does not begin");
            sleep(Duration::from_millis(20));
        }
        let opened = fs::File::open(&project).unwrap();
        // No agent reaches what is around the project: the user does it, or a network that has gone.
        mode(0);
        fs::write(format!("/proc/self/fd/{}/go", opened.as_raw_fd()), "").unwrap();
        let output = run.wait();
        mode(0o700);
        if !user.is_root() {
            output.complains("looks again");
            assert!(project.join(".envrc").exists());
            place.claudebox(["ls", "--all"]).run().code(0).says("host files pending");
            place.claudebox(["verify", "--all"]).run().complains(".envrc");
        }
        assert!(!project.join(".envrc").exists());
    }
}

/// Makes git outside execute something in each of the ways of which a repository is capable, in the
/// directory that each is tried in afterwards.
fn repositories(executed: &Path) -> (String, [&'static str; 5]) {
    let touch = format!("touch {}; false", executed.display());
    let script = format!(
        "monitor() {{ git config -f \"$1\" core.fsmonitor '{touch}'; }}
        git init -q nested; monitor nested/.git/config; touch nested/a; git -C nested add a
        mkdir -p pointed; git init -q --separate-git-dir=elsewhere pointed; monitor elsewhere/config
        touch pointed/a; git -C pointed add a
        mkdir -p bare/objects bare/refs; echo 'ref: refs/heads/main' > bare/HEAD
        git config -f bare/config core.bare false; git config -f bare/config core.worktree .
        git config -f bare/config core.repositoryformatversion 0; monitor bare/config
        touch bare/a; git --git-dir=bare --work-tree=bare add a
        git init -q sub; monitor sub/.git/config; touch sub/a; git -C sub add a
        git -C sub -c user.name=n -c user.email=e commit -qm a
        git add sub; git -c user.name=n -c user.email=e commit -qm 'a submodule, it says'
        cp -r .git common; monitor common/config; echo ../common > .git/commondir; true"
    );
    (script, ["nested", "pointed", "bare", "sub", "."])
}

#[test]
fn promise_p_no_repository_that_was_planted_runs_anything() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        // Control: with nothing set aside, git outside executes it in each of these directories.
        for mode in ["report", "ask"] {
            let place = Place::new(user);
            place.project_file("a", "");
            place.git(&["add", "a"]);
            place.git(&["commit", "-qm", "a"]);
            let executed = place.root().join("tmp/executed");
            let (plant, directories) = repositories(&executed);
            // With a private git directory, what is planted in `.git` would not come back at all.
            let options = ["--git", "shared", "--host-files", mode];
            script(&place, &options, &plant).run().code(0);
            for directory in directories {
                let _ = fs::remove_file(&executed);
                place.command("git").args(["-C", directory, "status"]).run();
                let ran = executed.exists();
                assert_eq!(ran, mode == "report", "`git status` in {directory}, {mode}");
            }
        }
    }
}

#[test]
fn promise_p_what_git_tracks_is_told_of_and_never_moved() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        place.git(&["config", "user.name", "Someone"]);
        place.git(&["config", "user.email", "someone@example.invalid"]);
        for path in [".husky/pre-commit", ".envrc", "unchanged/.envrc", "removed/.envrc"] {
            place.project_file(path, "mine\n");
        }
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "one"]);
        let work = "echo theirs > .husky/pre-commit; chmod +x .envrc; rm -r removed
            mkdir new; echo theirs > new/.envrc; git add new; git commit -qm two
            echo x > unchanged/.envrc; git checkout unchanged";
        let output = script(&place, &[], work).run().code(0);
        let told: Vec<(String, String, bool)> = told(&Log::latest(&place))
            .into_iter()
            .filter(|file| file.seen == "end" || file.change != "changed")
            .map(|file| {
                (file.change.clone(), file.path.as_path().display().to_string(), file.tracked)
            })
            .collect();
        for (change, path) in
            [("changed", ".husky/pre-commit"), ("changed", ".envrc"), ("new", "new/.envrc")]
        {
            let line = output.stderr.lines().find(|line| line.contains(&format!(" {path} ")));
            let line = line.unwrap_or_else(|| panic!("{path} was not told of: {}", output.stderr));
            assert!(line.contains(change) && line.contains("git tracks it"), "{line}");
            assert!(there(&place, path), "{path}");
        }
        assert!(told.contains(&("new".into(), "new/.envrc".into(), true)), "{told:?}");
        assert!(output.stderr.contains("gone     removed"), "{}", output.stderr);
        assert!(!output.stderr.contains("unchanged"), "it is as it was: {}", output.stderr);
        assert!(!output.stderr.contains("set aside"), "{}", output.stderr);
    }
}

/// No control: there is no switch for one that follows links (`src/host_files/aside.rs` tries each).
#[test]
fn promise_p_setting_aside_follows_no_link_and_keeping_replaces_nothing() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file("precious/key", "mine");
        let home = place.home().join("precious");
        let plant = format!(
            "ln -s {home}/key .envrc; ln -s {home} .vscode; mkdir -p .zed a
            ln -s {home}/key .zed/tasks.json; echo evil > a/.envrc",
            home = home.display()
        );
        let before = tree(&home);
        script(&place, &[], &plant).run().code(0);
        for path in [".envrc", ".vscode", ".zed", "a/.envrc"] {
            assert!(!there(&place, path), "{path}");
        }
        assert_eq!(tree(&home), before);

        // A later agent puts links in the way of what comes back, and files in its place.
        let plant = format!("rmdir a; ln -s {} a; mkdir sub", home.display());
        script(&place, &["--host-files", "report"], &plant).run().code(0);
        let first = place.claudebox(["ls", "--json"]).run().stdout;
        let first = first.lines().last().unwrap().to_owned();
        let id: serde_json::Value = serde_json::from_str(&first).unwrap();
        let id = id["id"].as_str().unwrap();
        place.project_file(".envrc", "my new one");
        place.claudebox(["keep", id]).run().code(125).complains("cannot bring back .envrc");
        assert_eq!(fs::read_to_string(place.project().join(".envrc")).unwrap(), "my new one");
        assert_eq!(tree(&home), before);
        assert!(there(&place, ".zed/tasks.json"), "the others are back");
        fs::remove_file(place.project().join(".envrc")).unwrap();
        fs::remove_file(place.project().join("a")).unwrap();
        let run = place.claudebox(["keep", id, "./.envrc"]).directory(place.project().join("sub"));
        run.run().code(2).complains("set aside nothing of that name");
        let run =
            place.claudebox(["keep", id, "../a/.envrc"]).directory(place.project().join("sub"));
        run.run().code(0).complains("brought back: a/.envrc");
        place.claudebox(["keep", id, ".envrc"]).run().code(0);
        place.claudebox(["keep", id]).run().code(2).complains("nothing of session");
        assert_eq!(fs::read_to_string(place.project().join("a/.envrc")).unwrap(), "evil\n");
    }
}

#[test]
fn promise_p_a_change_is_told_as_it_happens() {
    must_have_sandbox();
    must_have(&["git"]);
    for user in users() {
        let place = Place::new(user);
        place.project_file("pkg/.husky/pre-commit", "mine\n");
        place.git(&["add", "."]);
        place.git(&["commit", "-qm", "one"]);
        let marker = Marker::new();
        let work = format!(
            "echo evil > .envrc; mkdir -p .claude; echo {{}} > .claude/settings.json; mkdir .vscode
            echo evil > pkg/.husky/pre-commit; echo evil > pkg/.envrc
            i=0; while [ $i -lt 2000 ]; do echo $i > .envrc; i=$((i+1)); done
            mkdir -p else/where; echo evil > else/where/.envrc; exec {}",
            marker.command()
        );
        let started = script(&place, &[], &work).start();
        marker.wait_until_it_runs();
        let live =
            [".envrc", ".claude/settings.json", ".vscode", "pkg/.husky/pre-commit", "pkg/.envrc"];
        let until = Instant::now() + DEADLINE;
        let log = loop {
            let log = Log::latest(&place);
            let all = live
                .iter()
                .all(|path| told(&log).iter().any(|file| file.path.as_path() == Path::new(path)));
            if all {
                break log;
            }
            assert!(Instant::now() < until, "not told live: {:?}", told(&log));
            sleep(Duration::from_millis(20));
        };
        assert!(told(&log).iter().all(|file| file.seen == "live"));
        assert_eq!(told(&log).iter().filter(|file| file.path.0 == b".envrc").count(), 1);
        started.signal(Signal::SIGTERM);
        started.wait().code(143);
        let log = Log::latest(&place);
        let elsewhere = told(&log).into_iter().find(|file| file.path.0 == b"else/where/.envrc");
        assert_eq!(elsewhere.map(|file| file.seen.as_str()), Some("end"));
        let shown = place.claudebox(["log"]).run().code(0);
        assert!(shown.stdout.contains("new host file .envrc: direnv runs it"), "{}", shown.stdout);
        place.claudebox(["verify"]).run().code(0);
    }
}

#[test]
fn promise_p_sigkill_of_the_supervisor_leaves_it_to_the_next_command() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let marker = Marker::new();
        let plant = format!("echo evil > .envrc; exec {}", marker.command());
        let started = script(&place, &[], &plant).start();
        marker.wait_until_it_runs();
        started.signal(Signal::SIGKILL);
        marker.wait_until_it_is_gone();
        assert!(there(&place, ".envrc"), "nobody has seen to it yet");
        place.claudebox(["ls"]).run().code(0).says("crashed, host files pending");
        let json = place.claudebox(["ls", "--json"]).run().code(0);
        assert!(json.stdout.contains("\"host_files_pending\":true"), "{}", json.stdout);
        assert!(there(&place, ".envrc"), "to list is not to touch");
        place.claudebox(["log"]).run().code(0).complains("set aside: .envrc");
        assert!(!there(&place, ".envrc"));
        place.claudebox(["ls"]).run().code(0).says("crashed, 1 set aside");

        // A session that is killed before anything has run leaves nothing to see to.
        let started = script(&place, &[], "true").start();
        started.signal(Signal::SIGKILL);
        let _ = started.wait();
        script(&place, &[], "echo evil > .envrc").run().code(0);
        assert!(!there(&place, ".envrc"));
    }
}

#[test]
fn promise_p_a_large_project_is_looked_through() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let plant = "i=0; while [ $i -lt 500 ]; do mkdir -p d$i; (cd d$i; seq 100 | xargs touch)
            i=$((i+1)); done; mkdir -p d7/x d9/.git; echo evil > d7/x/.envrc; echo evil > d9/.git/HEAD";
        let output = script(&place, &[], plant).run().code(0);
        assert!(!there(&place, "d7/x/.envrc") && !there(&place, "d9/.git"), "{}", output.stderr);
        assert!(there(&place, "d9/100"));
        // Control: a file can be where no look comes to. What is deeper than any path is not claimed to be seen.
        let deep =
            "n=$(printf %0200d 0); i=0; while [ $i -lt 25 ]; do mkdir $n; cd $n; i=$((i+1)); done";
        let output = script(&place, &[], deep).run().code(0);
        assert!(output.stderr.contains("could not be looked at"), "{}", output.stderr);
    }
}

#[test]
fn promise_p_a_repository_cannot_turn_it_off() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file(".claudebox.toml", "host-files = \"report\"\n");
        script(&place, &[], "echo evil > .envrc").run().code(2).complains("not trusted");
        // Control: trusted, it can.
        place.claudebox(["trust", "--yes"]).run().code(0);
        script(&place, &[], "echo evil > .envrc")
            .run()
            .code(0)
            .complains("nothing of it was moved");
        assert!(there(&place, ".envrc"));
    }
}
