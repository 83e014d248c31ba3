//! D: SIGKILL of the supervisor or of bwrap ends everything inside. (The tmux server, the agent
//! pane and every stage of the start have their own tests, in `tests/tmux.rs` and `tests/death.rs`.)

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::place::Place;
use crate::common::{must_have_sandbox, user::users};
use crate::outside::{Marker, descendants};
use crate::script;

/// Of bwrap by itself: namespaces, and nothing that ends them. A shell's script follows.
const BARE: [&str; 7] = ["--unshare-all", "--unshare-user", "--dev-bind", "/", "/", "sh", "-c"];

#[test]
fn promise_d_killing_the_supervisor_ends_everything_inside() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let marker = Marker::new();
        let hide = format!("setsid nohup {0} & trap '' HUP TERM INT; {0}", marker.command());
        let started = script(&place, &[], &hide).start();
        marker.wait_until_it_runs();
        started.signal(Signal::SIGKILL);
        marker.wait_until_it_is_gone();

        // Control: what hid so outlives whoever started a bwrap that is not bound to its life.
        let marker = Marker::new();
        let hide = format!("setsid nohup {0} & trap '' HUP TERM INT; {0}", marker.command());
        let bare = ["-c", "bwrap \"$@\"; true", "sh"].into_iter().chain(BARE).chain([&*hide]);
        let started = place.command("sh").args(bare).start();
        marker.wait_until_it_runs();
        started.signal(Signal::SIGKILL);
        thread::sleep(Duration::from_millis(300));
        assert!(!marker.processes().is_empty(), "{user:?}");
    }
}

#[test]
fn promise_d_killing_bwrap_ends_everything_inside() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let marker = Marker::new();
        let started = script(&place, &[], &marker.command()).start();
        marker.wait_until_it_runs();
        let bwrap = descendants(started.pid())[0];
        kill(Pid::from_raw(bwrap), Signal::SIGKILL).unwrap();
        marker.wait_until_it_is_gone();
        assert_ne!(started.wait().code, 0);

        // Control: what a bwrap by itself has started outlives it.
        let marker = Marker::new();
        let command = marker.command();
        let started = place.command("bwrap").args(BARE.into_iter().chain([&*command])).start();
        marker.wait_until_it_runs();
        started.signal(Signal::SIGKILL);
        thread::sleep(Duration::from_millis(300));
        assert!(!marker.processes().is_empty(), "{user:?}");
    }
}

/// The control is that of the test before: whoever waits for a stopped process to do something waits on.
#[test]
fn promise_d_a_stopped_supervisor_can_still_be_killed() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        let marker = Marker::new();
        let started = script(&place, &[], &marker.command()).start();
        marker.wait_until_it_runs();
        started.signal(Signal::SIGSTOP);
        started.signal(Signal::SIGKILL);
        marker.wait_until_it_is_gone();
    }
}

#[test]
fn promise_d_at_every_moment_of_the_start() {
    must_have_sandbox();
    for user in users() {
        let place = Place::new(user);
        for milliseconds in (0..60).step_by(3) {
            let marker = Marker::new();
            let started = script(&place, &[], &marker.command()).start();
            thread::sleep(Duration::from_millis(milliseconds));
            started.signal(Signal::SIGKILL);
            // Whatever was under way has time to come up; then it must not be there.
            thread::sleep(Duration::from_millis(150));
            marker.wait_until_it_is_gone();
        }
        // Control: the same, not killed, runs.
        let marker = Marker::new();
        let _started = script(&place, &[], &marker.command()).start();
        marker.wait_until_it_runs();
    }
}

#[test]
fn promise_d_signals_end_the_session_with_their_code() {
    must_have_sandbox();
    for user in users() {
        for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
            let place = Place::new(user);
            let marker = Marker::new();
            let started = script(&place, &[], &format!("exec {}", marker.command())).start();
            marker.wait_until_it_runs();
            started.signal(signal);
            started.wait().code(code);
            marker.wait_until_it_is_gone();
        }
    }
}
