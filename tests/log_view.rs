//! What `claudebox log` shows of a session, through the binary: nothing that ran hides behind the words
//! of a line, causes stand above effects, and the sum is the same however it is asked for.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::place::Place;
use common::user::users;

/// The commands of one session; the first two hide in the third's words, if anything can.
const SCRIPT: &str = "\
python3 -c \"import os; os.execvp('ls', ['ls', '-la']) # __CODEX_SNAPSHOT\"
bash -c '. ./x.sh; ls -r dir'
bash -c 'getent hosts far.test; true'
nosuch
";

/// A session whose log is looked at, and the lines of one look.
fn shown(place: &Place, options: &[&str]) -> Vec<String> {
    let log = place.claudebox(["log"]).args(options).run().code(0);
    log.stdout.lines().map(str::to_owned).collect()
}

/// Where the line stands that holds these words.
fn at(lines: &[String], words: &str) -> usize {
    let at = lines.iter().position(|line| line.contains(words));
    at.unwrap_or_else(|| panic!("no {words:?} in {lines:#?}"))
}

#[test]
fn what_ran_is_there_below_what_led_to_it() {
    common::must_have_sandbox();
    common::must_have(&["python3", "bash"]);
    for user in users() {
        let place = Place::new(user);
        place.project_file("dir/x", "");
        place.project_file("x.sh", "(exec -a ls /usr/bin/rm -r dir)\n");
        place.project_file("all.sh", SCRIPT);
        place.claudebox(["run", "--no-monitor", "--", "bash", "all.sh"]).run().code(127);
        assert!(!place.project().join("dir").exists(), "it was removed");

        let lines = shown(&place, &[]);
        at(&lines, "__CODEX_SNAPSHOT");
        at(&lines, "exec -a ls /usr/bin/rm -r dir");
        let [agent, command, deny] = ["bash all.sh", "getent hosts", "far.test is not allowed"];
        assert!(at(&lines, agent) < at(&lines, command), "{lines:#?}");
        assert!(at(&lines, command) < at(&lines, deny), "{lines:#?}");
        // What a line says has no row but in the tree.
        let row =
            |lines: &[String]| lines.iter().any(|line| line.ends_with("─getent hosts far.test"));
        assert!(!row(&lines) && row(&shown(&place, &["--tree"])));

        let failed = |options: &[&str]| {
            let end = shown(&place, options).pop().unwrap_or_default();
            end.split(", ").find(|part| part.ends_with(" failed")).map(str::to_owned)
        };
        let count = failed(&[]);
        assert!(count.is_some(), "{lines:#?}");
        for options in [&["--all"][..], &["--tree"], &["--all", "--tree"]] {
            assert_eq!(failed(options), count, "{options:?}");
        }
    }
}
