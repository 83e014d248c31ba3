//! The table of `docs/errors.md`: what is typed or missing, what is said, and the exit code.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::place::Place;
use common::user::users;

/// `claudebox run --no-monitor ARGUMENTS`
fn run(place: &Place, arguments: &[&str]) -> common::run::Run {
    place.claudebox(["run", "--no-monitor"]).args(arguments)
}

#[test]
fn a_wrong_command_line_says_what_is_wrong() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let twice = ["--bind", "/etc:/x", "--ro-bind", "/opt:/x", "--", "true"];
        let home = place.home();
        let home = home.to_str().unwrap();
        place.home_file(".config/claudebox/config.toml", "");
        let own = format!("{home}/.config");
        let cases: [(&[&str], &str); 14] = [
            (&["--bind", "/no/such", "--", "true"], "/no/such does not exist"),
            (&["--bind", "no/such", "--", "true"], "project/no/such does not exist"),
            (&["--bind", "/opt:rel", "--", "true"], "`rel` is not an absolute path"),
            (&["--bind", home, "--", "true"], "is your home, which the sandbox is there to hide"),
            (&["--bind", &own, "--", "true"], "claudebox keeps its own files"),
            (&["--bind", "/opt:/etc", "--", "true"], "/etc cannot be covered"),
            (&["--bind", "/opt:/run", "--", "true"], "/run is the sandbox's own"),
            (&["--bind", "/", "--", "true"], "the whole machine"),
            (&twice, "/x is asked for twice"),
            (&["--env", "NO_SUCH_NAME", "--", "true"], "NO_SUCH_NAME is not set"),
            (&["--profile", "nope", "--", "true"], "there is no profile `nope`"),
            (&["--project", "/", "--", "true"], "cannot be the project"),
            (&["claude", "--profile", "x"], "cannot be used with"),
            (&["npm", "test"], "Did you mean: claudebox run --no-monitor -- npm test"),
        ];
        for (arguments, says) in cases {
            run(&place, arguments).run().code(2).complains(says);
        }
        // What is relative, or in the home, and may be had.
        place.home_file("notes/mine", "");
        place.project_file("sub/own", "");
        let notes = format!("{home}/notes");
        let had = run(&place, &["--bind", &notes, "--ro-bind", "sub", "--", "ls", &notes, "sub"]);
        had.run().code(0).says("mine\n").says("own\n");
        run(&place, &["--ro-bind", "/etc", "--", "true"]).run().code(0);
        place.claudebox(["aider"]).run().code(2).complains("claudebox run -- aider");
        place.claudebox(["codex"]).run().code(2).complains("claudebox run codex");
        place.claudebox(["claude"]).run().code(2).complains("claudebox run claude");
        place.claudebox(["keep", ".envrc"]).run().code(2).complains("claudebox keep ID .envrc");
        place
            .claudebox(["run", "--no-monitor", "--allow-xdg-runtime", "--", "true"])
            .without_env("XDG_RUNTIME_DIR")
            .run()
            .code(2)
            .complains("XDG_RUNTIME_DIR is not set");
        place.claudebox(["log", "zzz"]).run().code(2).complains("no session begins with `zzz`");
        let home = place.home();
        run(&place, &["--", "true"])
            .directory(&home)
            .run()
            .code(2)
            .complains("cannot be the project: it is your home");
        for command in [&["worktree", "list"][..], &["trust"]] {
            let refused = place.claudebox(command).directory(&home).run().code(2);
            assert!(!refused.stderr.contains("--project"), "{}", refused.stderr);
        }
        let plain = place.home_file("plain/file", "").parent().unwrap().to_owned();
        let refused = run(&place, &["-w", "q", "--project", ".", "--", "true"]).directory(plain);
        let refused = refused.run().code(2).complains("is not inside a git repository");
        assert!(!refused.stderr.contains("--git"), "{}", refused.stderr);
        run(&place, &["--project", ".", "--", "true"])
            .directory(&home)
            .run()
            .code(2)
            .complains("cannot be the project");
    }
}

#[test]
fn a_broken_profile_stops_only_what_could_be_meant_for_it() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let broken = "[agent]\nprograms = [\"true\"]\nprogams = []\n";
        place.home_file(".config/claudebox/profiles/mine.toml", broken);
        let passed = run(&place, &["--", "echo", "ran"]).run().code(0).says("ran");
        passed.complains("mine.toml:3:1: unknown key `progams`").complains("profile check mine");
        let output = run(&place, &["--", "true"]).run().code(2);
        output.complains("mine.toml:3:1").complains("claudebox run --profile default -- true");
        run(&place, &["--profile", "default", "--", "true"]).run().code(0);
        run(&place, &["mine"]).run().code(2).complains("mine.toml:3:1");
    }
}

#[test]
fn a_profile_that_shows_no_program_says_so_before_anything_starts() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file("bare.toml", "description = \"bare\"\n");
        let profile = ["--profile", "./bare.toml"];
        let refused = run(&place, &profile).args(["--", "/bin/true"]).run().code(2);
        refused.complains("nothing of the system is visible").complains("extends = [\"base\"]");
        place.claudebox(["profile", "check", "./bare.toml"]).run().code(2);
        assert!(!place.state().join("sessions").exists());
        // Named in another way, the system is there.
        let lists = "files.read-only = [\"/usr\", \"/bin\", \"/lib\", \"/lib64\"]\n";
        place.project_file("lists.toml", lists);
        run(&place, &["--profile", "./lists.toml", "--", "/bin/true"]).run().code(0);
        place.claudebox(["profile", "check", "./lists.toml"]).run().code(0);
    }
}

#[test]
fn a_program_that_is_missing_or_no_program() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        run(&place, &["--", "no-such-program"]).run().code(127).complains("cannot find");
        place.project_file("data", "x");
        run(&place, &["--", "./data"]).run().code(126);
    }
}

/// As where AppArmor restricts user namespaces. The agent's git work would be looked for in a box of the
/// same bwrap; but there is none.
#[test]
fn a_sandbox_that_cannot_be_is_the_only_error() {
    common::must_have_sandbox();
    let real = which::which("bwrap").unwrap();
    for user in users() {
        let place = Place::new(user);
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in --help | --version) exec {} \"$@\" ;; esac\n\
             echo 'bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted' >&2\nexit 1\n",
            real.display()
        );
        let bwrap = place.home_file("bin/bwrap", script);
        fs::set_permissions(&bwrap, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", bwrap.parent().unwrap().display());
        let output = run(&place, &["--", "true"]).env("PATH", path).run().code(125);
        let said = output.complains("could not set up the sandbox").stderr.clone();
        assert!(said.contains("RTM_NEWADDR") && !said.contains("git"), "{said}");
    }
}

#[test]
fn a_setuid_bwrap_is_not_started() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let bin = place.root().join("tmp/bin");
        fs::create_dir(&bin).unwrap();
        let bwrap = bin.join("bwrap");
        fs::copy(common::program("bwrap").unwrap(), &bwrap).unwrap();
        fs::set_permissions(&bwrap, fs::Permissions::from_mode(0o4755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", bin.display());
        let output = run(&place, &["--", "touch", "ran"]).env("PATH", path).run();
        output.code(125).complains("is setuid root").complains("chmod u-s");
        assert!(!place.project().join("ran").exists());
        // Control: it is the bit that is in the way.
        fs::set_permissions(&bwrap, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", bin.display());
        run(&place, &["--", "touch", "ran"]).env("PATH", path).run().code(0);
        assert!(place.project().join("ran").exists());
    }
}

#[test]
fn what_is_no_error() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let run = place.claudebox(["run", "--", "true"]).without_env("XDG_RUNTIME_DIR").run();
        run.code(0).complains("there is no terminal here");
        place.claudebox(["attach"]).run().code(125).complains("ended with 0");
        // Without a log none is named.
        let run = place.claudebox(["run", "--no-exec-log", "--", "true"]).run();
        let run = run.code(0).complains("no command is logged");
        assert!(!run.stderr.contains("shows what runs"), "{}", run.stderr);
    }
}

#[test]
fn an_ambiguous_session_is_told_apart() {
    common::must_have_sandbox();
    let place = Place::new(users()[0]);
    let sessions = place.state().join("sessions");
    for _ in 0..2 {
        run(&place, &["--", "true"]).run().code(0);
    }
    let ids: Vec<_> = fs::read_dir(&sessions).unwrap().map(|entry| entry.unwrap()).collect();
    let id = ids[0].file_name().into_string().unwrap();
    let twin = format!("{}{}", &id[..7], if id.ends_with('2') { '3' } else { '2' });
    let record = fs::read_to_string(ids[0].path().join("session.json")).unwrap();
    fs::create_dir(sessions.join(&twin)).unwrap();
    fs::write(sessions.join(&twin).join("session.json"), record.replace(&id, &twin)).unwrap();
    place.user().own(&sessions.join(&twin));
    place.user().own(&sessions.join(&twin).join("session.json"));
    let refused = place.claudebox(["log", &id[..7]]).run().code(2);
    refused.complains("2 sessions begin with").complains(&id).complains(&twin);
}

#[test]
fn a_second_session_in_one_project_is_refused() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let first = run(&place, &["--", "sh", "-c", "touch up; sleep 30"]).start();
        let until = std::time::Instant::now() + common::DEADLINE;
        while !place.project().join("up").exists() {
            assert!(std::time::Instant::now() < until, "the first session never came up");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let second = run(&place, &["--", "true"]).run().code(125);
        second.complains("is already running in").complains("claudebox log --follow");
        first.signal(nix::sys::signal::Signal::SIGTERM);
        first.wait().code(143);
    }
}

/// What `-v` says is not worth a session.
#[test]
fn diagnostics_that_nobody_can_read_do_not_end_a_session() {
    common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let claudebox = place.executable().display();
        let verbose = format!("{claudebox} run --no-monitor -vv -- true");
        for script in [
            format!("{verbose} 2>/dev/full"),
            format!(
                "exec 3>&1; {{ {verbose} 2>&1 >&3; echo $? >code; }} | head -c 1; exit $(cat code)"
            ),
        ] {
            place.command("sh").args(["-c", &script]).run().code(0);
        }
        place.claudebox(["explain", "-v"]).run().complains("found the project");
    }
}
