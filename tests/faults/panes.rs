//! The processes of a session with panes, each struck while the agent runs: the front end, its tmux
//! client, the tmux server, the supervisor and the log pane; and a front end that is killed before
//! the session was the supervisor's.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::must_have;
use crate::common::terminal::Terminal;
use crate::common::user::users;
use crate::outside::{Marker, descendants, processes, tree};
use crate::struck::{LET_GO, Struck, signals, strike, wait_until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    FrontEnd,
    Client,
    Server,
    Supervisor,
    LogPane,
}

/// How it looks afterwards.
struct Expected {
    /// What claudebox exits with in its terminal.
    shown: i32,
    /// The session goes on, and can be let go.
    goes_on: bool,
}

fn expected(victim: Victim, signal: Signal) -> Expected {
    let by_signal = 128 + signal as i32;
    let stays = Expected { shown: LET_GO, goes_on: true };
    match (victim, signal) {
        (_, Signal::SIGSTOP) | (Victim::LogPane, _) | (Victim::Server, Signal::SIGHUP) => stays,
        // A viewer that goes is a session that is detached from.
        (Victim::FrontEnd, _) => Expected { shown: by_signal, goes_on: true },
        (Victim::Client, _) => Expected { shown: 0, goes_on: true },
        // The terminal of the supervisor is gone.
        (Victim::Server, _) => Expected { shown: 129, goes_on: false },
        (Victim::Supervisor, Signal::SIGKILL) => Expected { shown: 125, goes_on: false },
        (Victim::Supervisor, _) => Expected { shown: by_signal, goes_on: false },
    }
}

/// The process of a session whose command line ends like this, each word ended by NUL.
fn find(struck: &Struck, words: &[&str]) -> i32 {
    let program = struck.place.executable().as_os_str().as_encoded_bytes();
    let end: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let line = [program, b"\0", &end].concat();
    wait_until("a process of the session", || processes(|it| it == line).first().copied())
}

fn front_end(struck: &Struck, script: &str) -> i32 {
    find(struck, &["run", "--", "sh", "-c", script])
}

fn inner_tmux(struck: &Struck, id: &str, arguments: &[&str]) -> String {
    let socket = struck.place.root().join("run/claudebox").join(id).join("tmux.sock");
    let run = struck.place.command("tmux").args(["-S", socket.to_str().unwrap()]);
    run.args(arguments).run().code(0).stdout
}

/// Runs its arguments, and tells their code and how the terminal is set, again and again: a tmux that
/// outlives its front end by a moment would take the first word with it when it leaves its screen.
const KEEP: &str = "\"$@\"; code=$?; \
    while :; do echo \"code=$code. $(stty -a | grep -o '[- ]icanon')\"; sleep 0.5; done";

/// What a terminal has been switched to.
const MODES: &str = "alternate #{alternate_on}, cursor #{cursor_flag}, mouse #{mouse_any_flag}";

fn open<'a>(struck: &'a Struck, script: &str) -> Terminal<'a> {
    let program = struck.place.executable().to_str().unwrap();
    let command = ["sh", "-c", KEEP, "sh", program, "run", "--", "sh", "-c", script];
    Terminal::open(&struck.place, (160, 40), &[], command)
}

fn case(struck: &Struck, victim: Victim, signal: Signal) {
    let case = format!("{victim:?} {signal}");
    let marker = Marker::new();
    let script = Struck::agent(&marker);
    let terminal = open(struck, &script);
    marker.wait_until_it_runs();
    struck.wait_until_logged(&marker);
    terminal.wait_for(" commands ");
    let id = struck.session()["id"].as_str().unwrap().to_owned();
    let front_end = front_end(struck, &script);
    let pid = match victim {
        Victim::FrontEnd => front_end,
        Victim::Client => wait_until("the client", || descendants(front_end).first().copied()),
        Victim::Server => {
            inner_tmux(struck, &id, &["display-message", "-p", "#{pid}"]).trim().parse().unwrap()
        }
        Victim::Supervisor => find(struck, &["__supervise", &id]),
        Victim::LogPane => find(struck, &["log", "--follow", &id]),
    };
    strike(pid, signal);
    if signal == Signal::SIGSTOP {
        assert_eq!(struck.state(), "running", "{case}");
        // The front end stops with its client, as a job of the shell does.
        for stopped in [pid, front_end] {
            let _ = kill(Pid::from_raw(stopped), Signal::SIGCONT);
        }
    }
    let Expected { shown, goes_on } = expected(victim, signal);
    let code = format!("code={shown}.");
    if goes_on && shown != LET_GO {
        terminal.wait_for(&code);
        assert_eq!(struck.state(), "running", "{case}");
    }
    let _go = goes_on.then(|| struck.let_go());
    terminal.wait_for(&format!("{code}  icanon"));
    let left = terminal.tmux(&["display-message", "-p", MODES]);
    assert_eq!(left.trim(), "alternate 0, cursor 1, mouse 0", "{case}");
    wait_until("the session's end", || (struck.state() != "running").then_some(()));
    let verified = struck.check(&marker, true, &case);
    let crashed = victim == Victim::Supervisor && signal == Signal::SIGKILL;
    assert_eq!(verified.code, if crashed { 2 } else { 0 }, "{case}: {verified:#?}");
    if !crashed {
        let code = if goes_on { LET_GO } else { shown };
        assert_eq!(struck.session()["code"], code, "{case}");
    }
}

fn strike_all(victim: Victim) {
    must_have(&["tmux"]);
    for user in users() {
        let struck = Struck::new(user);
        for signal in signals(user) {
            case(&struck, victim, *signal);
        }
        struck.check_all();
    }
}

#[test]
fn the_front_end() {
    strike_all(Victim::FrontEnd);
}

#[test]
fn the_tmux_client() {
    strike_all(Victim::Client);
}

#[test]
fn the_tmux_server() {
    strike_all(Victim::Server);
}

#[test]
fn the_supervisor_in_its_pane() {
    strike_all(Victim::Supervisor);
}

#[test]
fn the_log_pane() {
    strike_all(Victim::LogPane);
}

/// While tmux reads the user's configuration the panes stand, and the plan was not given away.
#[test]
fn a_front_end_that_dies_before_the_session_begins() {
    must_have(&["tmux"]);
    for user in users() {
        let struck = Struck::new(user);
        let at = struck.place.root().join("tmp/at");
        let config =
            format!("set -g exit-empty off\nrun-shell 'touch {}; sleep 2'\n", at.display());
        struck.place.home_file(".tmux.conf", config);
        for signal in signals(user).iter().filter(|signal| **signal != Signal::SIGSTOP) {
            let marker = Marker::new();
            let script = Struck::agent(&marker);
            let terminal = open(&struck, &script);
            wait_until("tmux to read the configuration", || at.exists().then_some(()));
            fs::remove_file(&at).unwrap();
            strike(front_end(&struck, &script), *signal);
            terminal.wait_for(&format!("code={}.", 128 + *signal as i32));
            wait_until("the session's end", || (struck.state() == "crashed").then_some(()));
            assert_eq!(marker.processes(), [0; 0]);
            // There was no log yet, which is another thing than a broken one.
            struck.place.claudebox(["verify"]).run().code(3);
        }
        struck.check_all();
        wait_until("the end of tmux", || {
            let servers = processes(|it| {
                let line = String::from_utf8_lossy(it);
                line.contains("tmux.sock") && line.contains(struck.place.root().to_str().unwrap())
            });
            servers.is_empty().then_some(())
        });
    }
}

/// Its directory with the log is removed: nothing may run unseen.
#[test]
fn the_directory_of_a_session_is_removed() {
    must_have(&["tmux"]);
    for user in users() {
        for what in ["events.jsonl", ""] {
            let struck = Struck::new(user);
            let marker = Marker::new();
            let script = format!("{} & read x <go; while :; do /bin/true; done", marker.command());
            let terminal = open(&struck, &script);
            marker.wait_until_it_runs();
            struck.wait_until_logged(&marker);
            let id = struck.session()["id"].as_str().unwrap().to_owned();
            let path = struck.place.state().join("sessions").join(&id).join(what);
            if what.is_empty() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
            let _go = struck.let_go();
            terminal.wait_for("code=125.  icanon");
            marker.wait_until_it_is_gone();
            if what.is_empty() {
                terminal.wait_for("was not looked at");
            } else {
                terminal.wait_for("its file was removed");
                assert_eq!(struck.session()["code"], 125);
            }
            assert_eq!(tree(&struck.place.project()), struck.before, "litter in the project");
            struck.check_all();
        }
    }
}
