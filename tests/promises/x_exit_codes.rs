//! X: claudebox exits with the agent's own code; its own failures have theirs.

use crate::common::place::Place;
use crate::common::terminal::Terminal;
use crate::common::{must_have_sandbox, user::users};
use crate::script;

#[test]
fn promise_x_the_agents_own_code_arrives() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        for code in [0, 1, 2, 7, 125, 126, 127, 255] {
            script(&place, &[], &format!("exit {code}")).run().code(code);
        }
        script(&place, &[], "kill -TERM $$").run().code(143);
        script(&place, &[], "kill -KILL $$").run().code(137);
    }
}

#[test]
fn promise_x_own_failures_have_their_own_codes() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let missing = ["run", "--no-monitor", "--", "no-such-program-anywhere"];
        place.claudebox(missing).run().code(127).complains("no-such-program-anywhere");
        place.project_file("data", "not a program");
        place.claudebox(["run", "--no-monitor", "--", "./data"]).run().code(126);
        place.claudebox(["run", "--no-such-option"]).run().code(2);
        place.claudebox(["run", "no-such-agent"]).run().code(2);
        let elsewhere = place.root().join("tmp");
        let run = place.claudebox(["run", "--no-monitor", "--", "true"]).directory(elsewhere);
        run.run().code(2).complains("--project");
    }
}

#[test]
fn promise_x_in_the_pane_too() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let executable = place.executable().to_str().unwrap().to_owned();
        for (script, code) in [("sleep 2.5; exit 7", 7), ("sleep 2.5; kill -TERM $$", 143)] {
            let command = [executable.as_str(), "run", "--", "sh", "-c", script];
            let terminal = Terminal::open(&place, (120, 30), &[], command);
            assert_eq!(terminal.wait(), code);
        }
    }
}
