//! Promise E where the log cannot be written: its disk is full, or somebody removed it. Nothing may
//! run unseen, so the session ends, says why, and leaves word of it.

use std::fs;

use super::common::disk::{self, with_program};
use super::common::place::Place;
use super::common::run::Output;
use super::common::user::users;
use super::outside::Marker;

/// Runs a script while claudebox's state directory is a file system of its own with this much room.
fn on_a_small_disk(place: &Place, size: &str, script: &str) -> Output {
    let state = place.state();
    fs::create_dir_all(&state).unwrap();
    for directory in [".local", ".local/state", ".local/state/claudebox"] {
        place.user().own(&place.home().join(directory));
    }
    disk::on_a_small_disk(place, &state, &format!("size={size}"), script)
}

/// Executes without end, beside a process that would outlive it.
fn busy(marker: &Marker) -> String {
    format!("{} & while :; do /bin/true; done", marker.command())
}

#[test]
fn promise_e_a_log_whose_disk_fills_up_ends_the_session() {
    super::common::must_have_sandbox();
    for user in users() {
        let (place, marker) = (Place::new(user), Marker::new());
        let script = format!(
            "claudebox run --no-monitor -- sh -c '{}'; echo code $?; claudebox ls; \
             claudebox verify; echo verify $?; claudebox log",
            busy(&marker)
        );
        let output = on_a_small_disk(&place, "256k", &script).code(0);
        assert_eq!(marker.processes(), [0; 0], "what was inside is dead");
        let output = output.says("code 125").says("ended 125").says("verify 2");
        let output = output.says("the log has no end: it could not be written;");
        // What ran until then can be seen.
        let output = output.says("/bin/true").says("could not write it");
        output
            .complains("cannot write the log: No space left on device")
            .complains("the session was ended")
            .complains("best-effort");
    }
}

/// The private home is on the same disk, and what is inside may fill it.
#[test]
fn promise_e_an_agent_that_fills_the_disk_does_not_go_on_unseen() {
    super::common::must_have_sandbox();
    for user in users() {
        let (place, marker) = (Place::new(user), Marker::new());
        let fill = format!("cat /dev/zero >~/all 2>/dev/null; {}", busy(&marker));
        let script = format!(
            "claudebox run --no-monitor -- sh -c '{fill}'; echo code $?; claudebox ls; \
             claudebox verify; echo verify $?"
        );
        let output = on_a_small_disk(&place, "4m", &script).code(0);
        assert_eq!(marker.processes(), [0; 0], "what was inside is dead");
        output
            .says("code 125")
            .says("ended 125")
            .says("verify 2")
            .complains("cannot write the log: No space left on device");
    }
}

/// The control: what ended the two sessions above is the demand for a log, not the full disk.
#[test]
fn promise_e_where_the_log_is_best_effort_the_agent_goes_on() {
    super::common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(".config/claudebox/profiles/default.toml", "exec-log = \"best-effort\"\n");
        let work = "cat /dev/zero >~/all 2>/dev/null; for i in 1 2 3 4 5; do /bin/true; done; \
                    sleep 1; exit 7";
        let script = format!("claudebox run --no-monitor -- sh -c '{work}'; echo code $?");
        on_a_small_disk(&place, "4m", &script).code(0).says("code 7");
    }
}

#[test]
fn promise_e_with_a_full_disk_nothing_starts() {
    super::common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let script = "cat /dev/zero >\"$HOME/.local/state/claudebox/x\" 2>/dev/null
            claudebox run --no-monitor -- touch ran; echo code $?; claudebox ls --all";
        let output = on_a_small_disk(&place, "64k", script).code(0).says("code 125");
        assert!(!place.project().join("ran").exists());
        let output = output.complains("No space left on device");
        // Half a session is not left behind.
        assert_eq!(output.stdout.lines().count(), 2, "{output:#?}");

        // Control: room is all that was missing.
        let script = "claudebox run --no-monitor -- touch ran; echo code $?";
        on_a_small_disk(&place, "4m", script).code(0).says("code 0");
        assert!(place.project().join("ran").exists());
    }
}

#[test]
fn promise_e_a_log_that_is_removed_ends_the_session() {
    super::common::must_have_sandbox();
    for user in users() {
        for what in ["\"$S\"/*/events.jsonl", "\"$S\"/*"] {
            let (place, marker) = (Place::new(user), Marker::new());
            let script = format!(
                "S=$HOME/.local/state/claudebox/sessions
                 claudebox run --no-monitor -- sh -c 'touch up; {}' & run=$!
                 while [ ! -e up ]; do sleep 0.05; done
                 rm -r {what}
                 wait $run; echo code $?; claudebox verify; echo verify $?",
                busy(&marker)
            );
            let output = place.command("sh").args(["-c", &with_program(&place, &script)]).run();
            assert_eq!(marker.processes(), [0; 0], "what was inside is dead");
            let output = output.says("code 125").complains("its file was removed");
            if what.ends_with('*') {
                // There is no session any more that could be asked about.
                output.says("verify 2").complains("no session in");
            } else {
                output.says("there is no log").says("verify 3");
            }
        }
    }
}

/// The control: as with a full disk, it is the demand for a log that ended the sessions above.
#[test]
fn promise_e_without_its_log_a_best_effort_session_goes_on() {
    super::common::must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        place.home_file(".config/claudebox/profiles/default.toml", "exec-log = \"best-effort\"\n");
        let script =
            "claudebox run --no-monitor -- sh -c 'touch up; while [ ! -e go ]; do sleep 0.05; done
                 /bin/true; sleep 1; exit 7' & run=$!
             while [ ! -e up ]; do sleep 0.05; done
             rm \"$HOME\"/.local/state/claudebox/sessions/*/events.jsonl; touch go
             wait $run; echo code $?";
        let script = with_program(&place, script);
        place.command("sh").args(["-c", &script]).run().says("code 7");
    }
}
