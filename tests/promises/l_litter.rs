//! L: after any end, SIGKILL included, the project holds no file that claudebox made.

use nix::sys::signal::Signal;

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::outside::{Marker, tree};
use crate::script;

#[test]
fn promise_l_a_session_leaves_nothing_in_the_project() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.project_file("source.c", "int main;");
        let before = tree(&place.project());
        for end in ["true", "false", "kill -9 $$", "exec /no/such/program"] {
            script(&place, &[], end).run();
            assert_eq!(tree(&place.project()), before, "after `{end}`");
        }
        // Control: what the agent makes itself is seen.
        script(&place, &[], "touch made").run().code(0);
        assert_ne!(tree(&place.project()), before);
    }
}

#[test]
fn promise_l_sigkill_leaves_nothing_and_during_a_session_nothing_is_there() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let before = tree(&place.project());
        let marker = Marker::new();
        let started = script(&place, &[], &marker.command()).start();
        marker.wait_until_it_runs();
        assert_eq!(tree(&place.project()), before, "while it runs");
        started.signal(Signal::SIGKILL);
        marker.wait_until_it_is_gone();
        assert_eq!(tree(&place.project()), before, "after SIGKILL");

        // Control: what the agent made itself is seen after the same end.
        let marker = Marker::new();
        let started = script(&place, &[], &format!("touch made; {}", marker.command())).start();
        marker.wait_until_it_runs();
        started.signal(Signal::SIGKILL);
        marker.wait_until_it_is_gone();
        assert_ne!(tree(&place.project()), before);
    }
}

#[test]
fn promise_l_nothing_appears_beside_the_project_either() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(place.root())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        let before = names();
        script(&place, &[], "true").run().code(0);
        assert_eq!(names(), before);

        // Control: a file beside it is seen.
        place.command("touch").args(["../made"]).run().code(0);
        assert_ne!(names(), before);
    }
}
