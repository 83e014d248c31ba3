//! W: what claudebox runs outside of the sandbox is never a program of the repository's, wherever PATH
//! leads.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::place::Place;
use crate::common::terminal::Terminal;
use crate::common::{must_have_sandbox, user::users};

/// What claudebox executes outside.
const PROGRAMS: [&str; 4] = ["bwrap", "tmux", "git", "nix-store"];

/// A nix-store is only asked where something visible leads into a store of Nix, and the profile wants its own.
const PROFILE: &str = "git = \"private\"\nnix = \"private\"\n";

#[test]
fn promise_w_no_program_of_the_project_runs_outside() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(".config/claudebox/profiles/default.toml", PROFILE);
        let ran = place.root().join("tmp/ran");
        for program in PROGRAMS {
            let text = format!("#!/bin/sh\necho {program} >> {}\n", ran.display());
            let file = place.project_file(format!("bin/{program}"), text);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let bin = place.project().join("bin");
        let path = format!("{}:/usr/bin:/bin", bin.display());
        let claudebox = place.executable().to_str().unwrap().to_owned();
        let project = place.project().to_str().unwrap().to_owned();
        let open = |words: &[&str]| {
            // Not as the terminal's own, which would take the project's tmux itself.
            let path = format!("PATH={path}");
            let words = ["env", &path, &claudebox].into_iter().chain(words.iter().copied());
            Terminal::open(&place, (150, 40), &[], words).wait()
        };
        assert_eq!(open(&["run", "--", "true"]), 0);
        assert!(!ran.exists(), "{:?}", fs::read_to_string(&ran));
        // From elsewhere, the project is known by its name only.
        let elsewhere =
            format!("cd / && PATH={path} exec {claudebox} run --project {project} -- true");
        let shell = Terminal::open(&place, (150, 40), &[], ["sh", "-c", &elsewhere]);
        assert_eq!(shell.wait(), 0, "they are passed over");
        assert!(!ran.exists(), "{:?}", fs::read_to_string(&ran));

        // Control: this is what PATH leads to.
        for program in PROGRAMS {
            place.command("sh").env("PATH", &path).args(["-c", program]).run().code(0);
        }
        assert_eq!(fs::read_to_string(&ran).unwrap().lines().count(), PROGRAMS.len());
    }
}

/// The agent puts programs where PATH leads first, commits, and ends with an error: its last words are
/// asked for, its commits brought home, and what it left is looked at. All that is long after PATH was
/// looked at.
#[test]
fn promise_w_no_program_that_the_agent_plants_runs_outside() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(".config/claudebox/profiles/default.toml", PROFILE);
        place.home_file("bin/README", "");
        let ran = place.root().join("tmp/ran");
        let bin = place.home().join("bin");
        let (ran_shown, bin_shown) = (ran.display(), bin.display());
        let agent = format!(
            "echo a > a; git add a
            git -c user.name=A -c user.email=a@b.example commit -qm planted
            for it in {}; do
                printf '#!/bin/sh\\necho %s >> {ran_shown}\\n' $it > {bin_shown}/$it
                chmod 755 {bin_shown}/$it
            done
            exit 3",
            PROGRAMS.join(" ")
        );
        let path = format!("{bin_shown}:/usr/local/bin:/usr/bin:/bin");
        let claudebox = place.executable().to_str().unwrap().to_owned();
        let open = |words: &[&str]| {
            let path = format!("PATH={path}");
            let words = ["env", &path, &claudebox].into_iter().chain(words.iter().copied());
            Terminal::open(&place, (150, 40), &[], words).wait()
        };
        let bind = ["run", "--bind", bin.to_str().unwrap()];
        assert_eq!(open(&[&bind[..], &["--", "sh", "-c", &agent]].concat()), 3);
        for program in PROGRAMS {
            assert!(bin.join(program).exists(), "{program} was not planted");
        }
        let subject = place.git(&["log", "--format=%s", "--all"]);
        assert_eq!(subject, "planted\n", "the sync did its work");
        // Whoever looks at it afterwards.
        for words in [&["ls"][..], &["log"], &["verify"], &["attach"]] {
            open(words);
        }
        assert!(!ran.exists(), "{:?}", fs::read_to_string(&ran));

        // Control: this is what PATH leads to.
        for program in PROGRAMS {
            place.command("sh").env("PATH", &path).args(["-c", program]).run().code(0);
        }
        assert_eq!(fs::read_to_string(&ran).unwrap().lines().count(), PROGRAMS.len());
    }
}
