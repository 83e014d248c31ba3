//! W: what claudebox runs outside of the sandbox is never a program of the repository's, wherever PATH
//! leads.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::place::Place;
use crate::common::terminal::Terminal;
use crate::common::{must_have_sandbox, user::users};

/// What claudebox executes outside.
const PROGRAMS: [&str; 2] = ["bwrap", "tmux"];

#[test]
fn promise_w_no_program_of_the_project_runs_outside() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
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
        assert!(matches!(shell.wait(), 0 | 125), "tmux there is an error, bwrap is passed over");
        assert!(!ran.exists(), "{:?}", fs::read_to_string(&ran));

        // Control: this is what PATH leads to.
        for program in PROGRAMS {
            place.command("sh").env("PATH", &path).args(["-c", program]).run().code(0);
        }
        assert_eq!(fs::read_to_string(&ran).unwrap().lines().count(), PROGRAMS.len());
    }
}
