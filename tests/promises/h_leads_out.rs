//! H and W: a link or a script that an agent left in the project does not choose what the next session shows or
//! lets it write. The controls are what the same path leads to outside.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use crate::common::must_have_sandbox;
use crate::common::place::Place;
use crate::common::user::users;
use crate::script;

const SECRET: &str = "of-another-project";

/// Something of the user's beside the project, with a secret and a program.
fn other(place: &Place) -> PathBuf {
    let other = place.root().join("other");
    for directory in ["bin", "lib"] {
        fs::create_dir_all(other.join(directory)).unwrap();
    }
    fs::write(other.join("key"), SECRET).unwrap();
    let program = other.join("bin/tool");
    fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["", "bin", "lib", "key", "bin/tool"] {
        place.user().own(&other.join(path));
    }
    other
}

fn link(place: &Place, at: &str, to: &str) {
    let path = place.project().join(at);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(to, &path).unwrap();
}

#[test]
fn promise_w_what_is_bound_is_not_chosen_by_a_link_in_the_project() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let other = other(&place);
        link(&place, "build", "../other");
        link(&place, "vendor/up", "../../other");
        for bind in ["./build:/build", "build", "build/bin:/build", "vendor/up/bin"] {
            for option in ["--bind", "--ro-bind"] {
                let attack =
                    "cat /build/key; echo PWN >/build/planted; echo PWN >vendor/up/bin/planted";
                let refused = script(&place, &[option, bind], attack).run().code(2);
                let refused = refused.complains("is a link in the project, and is not followed");
                assert!(!refused.stdout.contains(SECRET));
            }
        }
        assert!(!other.join("planted").exists() && !other.join("bin/planted").exists());
        // Control: named by itself it is the user's word.
        let bind = format!("{}:/build", other.display());
        let read = script(&place, &["--ro-bind", &bind], "cat /build/key").run().code(0);
        assert_eq!(read.stdout, SECRET);
    }
}

#[test]
fn promise_w_what_the_project_is_is_not_chosen_by_a_link_in_a_repository() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let other = other(&place);
        link(&place, "packages/app", "../../other");
        let plant = "echo key >planted";
        let run = |project: &str| script(&place, &["--project", project], plant).run();
        run("packages/app").code(2).complains("is a link in a repository");
        assert!(!other.join("planted").exists());
        // Control.
        run(other.to_str().unwrap()).code(0);
        assert!(other.join("planted").exists());
    }
}

/// Where the shell is by name, and where a link of the user's own ends, a planted link counts as well.
#[test]
fn promise_w_no_link_on_the_way_chooses_what_is_shared() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let other = other(&place);
        link(&place, "packages/app", "../../other");
        let app = place.project().join("packages/app");
        symlink(&app, place.home().join("mine")).unwrap();
        let by_cd = |options: &str| {
            let binary = place.executable().display();
            let text = format!(
                "cd packages/app && {binary} run --no-monitor {options} -- sh -c 'echo key >planted'"
            );
            place.command("sh").args(["-c", &text]).run()
        };
        by_cd("--project .").code(2).complains("the way to the current directory is");
        by_cd("").code(2).complains("the way to the current directory is");
        let mine = place.home().join("mine");
        let by_mine = |options: &[&str]| script(&place, options, "echo key >/x/planted").run();
        let mine = mine.to_str().unwrap();
        by_mine(&["--project", mine]).code(2).complains("is a link in a repository");
        let bind = format!("{mine}:/x");
        by_mine(&["--bind", &bind]).code(2).complains("is a link in the project");
        // A profile's lists, too.
        for list in ["files.read-write", "files.read-only", "tools"] {
            place.home_file(
                ".config/claudebox/profiles/default.toml",
                format!("{list} = [\"~/mine\"]\n"),
            );
            by_mine(&[])
                .code(2)
                .complains("default.toml:1: ")
                .complains("is a link in the project");
        }
        place.home_file(".config/claudebox/profiles/default.toml", "");
        assert!(!other.join("planted").exists());
    }
}

/// Another project, which has no repository: what an agent left there is known from its session.
#[test]
fn promise_w_a_link_in_another_project_is_not_followed_out_of_it() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let other = other(&place);
        let plain = place.root().join("plain");
        fs::create_dir(&plain).unwrap();
        user.own(&plain);
        let bind = || {
            let bind = format!("{}/build:/x", plain.display());
            script(&place, &["--bind", &bind], "echo key >/x/planted").run()
        };
        let leave = "mkdir real; ln -s real inner; ln -s ../other build";
        script(&place, &["--project", plain.to_str().unwrap()], leave).run().code(0);
        bind().code(2).complains("is a link in a repository or project");
        // What is writable by `--bind` is known as well, and all of it when the session is removed.
        let data = place.root().join("data");
        fs::create_dir_all(data.join("x")).unwrap();
        for path in [data.clone(), data.join("x")] {
            user.own(&path);
        }
        let leave = format!("cd {0}; rmdir x; ln -s {1} x", data.display(), other.display());
        script(&place, &["--bind", data.to_str().unwrap()], &leave).run().code(0);
        let x = format!("{}/x:/x", data.display());
        script(&place, &["--bind", &x], "echo key >/x/planted").run().code(2);
        place.claudebox(["rm", "--older", "0"]).run().code(0);
        bind().code(2).complains("is a link in a repository or project");
        // Also where the user moved it since, and then what holds it.
        let held = place.root().join("held");
        fs::create_dir(&held).unwrap();
        let moves = [(plain.clone(), held.join("plain")), (held, place.root().join("new"))];
        for ((from, to), project) in moves.iter().zip(["held/plain", "new/plain"]) {
            fs::rename(from, to).unwrap();
            let build = place.root().join(project).join("build");
            fs::remove_file(&build).unwrap();
            symlink(&other, &build).unwrap();
            let bind = format!("{}:/x", build.display());
            let bind = script(&place, &["--bind", &bind], "echo key >/x/planted").run();
            bind.code(2).complains("is a link in a repository or project");
            let project = build.to_str().unwrap();
            let project = script(&place, &["--project", project], "echo key >planted").run();
            project.code(2).complains("is a link in a repository or project");
        }
        assert!(!other.join("planted").exists());
        // Control: where no session was it is the user's.
        let elsewhere = place.root().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink("../other", elsewhere.join("build")).unwrap();
        user.own(&elsewhere);
        let own = format!("{}/build:/x", elsewhere.display());
        script(&place, &["--bind", &own], "echo key >/x/planted").run().code(0);
        assert!(other.join("planted").exists());
    }
}

#[test]
fn promise_h_a_script_or_link_of_the_project_shows_nothing_more() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let other = other(&place);
        let tool = other.join("bin/tool");
        let read = format!("cat {}\n", other.join("key").display());
        let executable = fs::Permissions::from_mode(0o755);
        for (name, first) in [
            ("by-env", format!("#!/usr/bin/env -S -u {} sh", tool.display())),
            ("relative", "#!/usr/bin/env -S -u ../other/bin/tool sh".to_owned()),
            ("interpreter", format!("#!{}", tool.display())),
        ] {
            let path = place.project_file(name, format!("{first}\n{read}"));
            fs::set_permissions(&path, executable.clone()).unwrap();
        }
        link(&place, "linked", "../other/bin/tool");
        for name in ["by-env", "relative", "interpreter", "linked"] {
            let path = format!("./{name}");
            let run = place.claudebox(["run", "--no-monitor", "--", &path]).run();
            assert!(!run.stdout.contains(SECRET), "{name}");
            let explained = place.claudebox(["explain", "--", &path]).run().stdout;
            assert!(!explained.contains(other.to_str().unwrap()), "{name}: {explained}");
        }
        let run = place.claudebox(["run", "--no-monitor", "--", "./linked"]).run().code(126);
        run.complains("which is not visible inside");
        // Controls: outside they do it, and what is on PATH is the user's own word.
        let outside = place.command("./by-env").run();
        assert!(outside.stdout.contains(SECRET));
        let explain = place.claudebox(["explain", "--", "tool"]);
        let path = format!("{}:/usr/bin:/bin", other.join("bin").display());
        explain.env("PATH", path).run().code(0).says(other.to_str().unwrap());
    }
}

/// The same in another project, behind a link of the user's own on `PATH`.
#[test]
fn promise_h_a_link_of_another_session_behind_the_users_own_shows_nothing() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let other = other(&place);
        let bin = place.home().join(".local/bin");
        place.home_file(".local/bin/keep", "");
        for (name, by_agent) in [("plain", true), ("mine", false)] {
            let directory = place.root().join(name);
            fs::create_dir(&directory).unwrap();
            user.own(&directory);
            let leave = format!("mkdir bin; ln -s ../../other/bin/tool bin/{name}");
            if by_agent {
                let project = directory.to_str().unwrap();
                script(&place, &["--project", project], &leave).run().code(0);
            } else {
                let run = place.command("sh").args(["-ec", &format!("cd ../{name}; {leave}")]);
                run.run().code(0);
            }
            symlink(directory.join("bin").join(name), bin.join(name)).unwrap();
            let path = format!("{}:/usr/bin:/bin", bin.display());
            let explain = place.claudebox(["explain", "--", name]).env("PATH", path).run();
            if by_agent {
                explain.code(126).complains("which is not visible inside");
            } else {
                // Control: where no session was it is the user's.
                explain.code(0).says(other.to_str().unwrap());
            }
        }
    }
}

#[test]
fn promise_f_a_projects_own_file_hides_nothing_outside_of_it() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let other = other(&place);
        link(&place, "out", "../other");
        place.project_file(".claudebox.toml", "[files]\nhide = [\"out/key\"]\n");
        let bind = format!("{0}:{0}", other.display());
        let refused = script(&place, &["--ro-bind", &bind], "true").run().code(2);
        refused.complains("leads out of the project");
        // Control: what is in it may be hidden.
        place.project_file("in", SECRET);
        place.project_file(".claudebox.toml", "[files]\nhide = [\"in\"]\n");
        let read = script(&place, &["--ro-bind", &bind], "cat in; cat ../other/key").run();
        assert_eq!(read.stdout, SECRET);
    }
}

/// A directory with a hidden file in it is not moved from under what hides it.
#[test]
fn promise_h_what_is_hidden_stays_where_it_is_hidden() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file("s/.env", SECRET);
        place.project_file("t/file", "");
        let profile = "files.hide = [\"${PROJECT}/s/.env\"]\n";
        place.home_file(".config/claudebox/profiles/default.toml", profile);
        script(&place, &[], "mv s s2; mv t t2").run().code(0);
        let read = script(&place, &[], "cat s/.env s2/.env").run();
        assert!(!read.stdout.contains(SECRET), "{}", read.stdout);
        assert!(place.project().join("t2").exists(), "the control");
    }
}

/// A link of the project that leads to what is hidden would be another one in the next session.
#[test]
fn promise_h_no_link_of_the_project_holds_what_is_hidden() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file("data/s/key", SECRET);
        link(&place, "secrets", "data/s");
        let hide = |lines: &str| {
            let profile = format!("files.hide = [{lines}]\n");
            place.home_file(".config/claudebox/profiles/default.toml", profile);
        };
        hide("\"${PROJECT}/secrets/key\"");
        let attack = "rm secrets; mkdir secrets; echo other >secrets/key";
        let refused = script(&place, &[], attack).run().code(2);
        refused.complains("a link that can be replaced inside").complains("/data/s/key");
        // By its own path it stays hidden, whatever the link is by then.
        hide("\"${PROJECT}/secrets/key\", \"${PROJECT}/data/s/key\"");
        script(&place, &[], attack).run().code(0);
        let read = |place: &Place| script(place, &[], "cat data/s/key secrets/key").run();
        let found = read(&place).stdout;
        assert_eq!(found, "");
        // Control: only what the link led to, and it is seen.
        hide("\"${PROJECT}/secrets/key\"");
        assert!(read(&place).stdout.contains(SECRET));
    }
}
