//! P: a file that the host executes can have a second name, which an earlier session made. It is
//! read-only by the one and written by the other, and that does not go unnoticed.

use std::fs;

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::script;

#[test]
fn promise_p_what_is_written_by_a_second_name_is_told() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        // A first session leaves both, and the person keeps them: they looked harmless.
        let plant = "mkdir -p .vscode deep; echo mine > .vscode/tasks.json
            ln .vscode/tasks.json deep/second; echo mine > .envrc";
        script(&place, &["--host-files", "report"], plant).run().code(0);
        let tasks = place.project().join(".vscode/tasks.json");
        let attack = "echo evil > .vscode/tasks.json; echo evil > .envrc; echo evil > deep/second";
        let run = script(&place, &["--host-files", "report"], &format!("{attack}; true")).run();
        assert_eq!(fs::read_to_string(&tasks).unwrap(), "evil\n", "no mount can stop that");
        let run = run.code(0).complains("changed  .vscode/tasks.json");
        assert!(!run.stderr.contains("changed  .envrc"), "{}", run.stderr);

        // Control: with one name only, the mount stops it, and there is nothing to tell.
        fs::remove_file(place.project().join("deep/second")).unwrap();
        fs::write(&tasks, "mine\n").unwrap();
        let run = script(&place, &["--host-files", "report"], &format!("{attack}; true")).run();
        assert_eq!(fs::read_to_string(&tasks).unwrap(), "mine\n");
        assert!(!run.code(0).stderr.contains("changed  "));
    }
}
