//! claudebox in a real tmux, driven as a person would: an outer tmux plays the user's terminal,
//! keys go in and the screen comes out. Exit codes, detaching, sudden ends, keys, the user's own
//! configuration, and claudebox inside the user's tmux. Each test runs as every user there is.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::DEADLINE;
use common::place::Place;
use common::terminal::Terminal;
use common::user::users;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const WIDE: (u16, u16) = (160, 40);

/// Runs the test body as every user, in a place of its own.
fn as_everyone(test: impl Fn(&Place)) {
    common::must_have(&["tmux", "git"]);
    for user in users() {
        let place = Place::new(user);
        let ended = EndSessions(&place);
        test(&place);
        drop(ended);
    }
}

/// Ends what still runs in a place, whichever way its test went.
struct EndSessions<'a>(&'a Place);

impl Drop for EndSessions<'_> {
    fn drop(&mut self) {
        let sessions = fs::read_dir(self.0.root().join("run/claudebox")).into_iter().flatten();
        for session in sessions.flatten() {
            let socket = session.path().join("tmux.sock");
            if socket.exists() {
                let _ = std::process::Command::new("tmux")
                    .arg("-S")
                    .arg(socket)
                    .arg("kill-server")
                    .output();
            }
        }
    }
}

/// A terminal in which claudebox runs a script as the agent; its code and messages stay to be read.
fn agent<'a>(place: &'a Place, script: &str) -> Terminal<'a> {
    agent_with(place, WIDE, &[], &[], script)
}

fn agent_with<'a>(
    place: &'a Place,
    size: (u16, u16),
    environment: &[(&str, &str)],
    options: &[&str],
    script: &str,
) -> Terminal<'a> {
    let mut command = vec!["sh", "-c", KEEP, "sh", place.executable().to_str().unwrap(), "run"];
    command.extend(options);
    command.extend(["--", "sh", "-c", script]);
    Terminal::open(place, size, environment, command)
}

/// Runs its arguments, tells their code, and keeps the terminal open.
const KEEP: &str = "\"$@\"; echo \"code=$?.\"; exec sleep 600";

/// What `claudebox ls --json` says of the place's only session.
fn session(place: &Place) -> Value {
    let output = place.claudebox(["ls", "--json"]).run().code(0);
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

fn id(place: &Place) -> String {
    session(place)["id"].as_str().unwrap().to_owned()
}

fn session_directory(place: &Place) -> PathBuf {
    place.state().join("sessions").join(id(place))
}

/// The process that supervises the place's only session.
fn supervisor(place: &Place) -> Pid {
    let lock = session_directory(place).join("lock");
    wait_until("the supervisor's process", || {
        fs::read_to_string(&lock).unwrap().trim().parse().ok().map(Pid::from_raw)
    })
}

/// The claudebox in the test's terminal.
fn front_end(place: &Place) -> Pid {
    let run = [place.executable().as_os_str().as_encoded_bytes(), b"run", b""].join(&0);
    let is_it = |entry: &fs::DirEntry| {
        let process = entry.path();
        fs::read(process.join("cmdline")).is_ok_and(|line| line.starts_with(&run))
            && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == place.project())
    };
    let mut processes = fs::read_dir("/proc").unwrap().flatten();
    let found = processes.find(is_it).expect("a front end");
    Pid::from_raw(found.file_name().to_str().unwrap().parse().unwrap())
}

/// Whether a process has ended; one that nobody has reaped yet has.
fn is_gone(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"))
}

/// Has the session's own tmux do something, as nothing inside the sandbox can.
fn inner_tmux(place: &Place, arguments: &[&str]) -> String {
    let socket = place.root().join("run/claudebox").join(id(place)).join("tmux.sock");
    let run = place.command("tmux").args(["-S", socket.to_str().unwrap()]).args(arguments);
    run.run().code(0).stdout
}

#[track_caller]
fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Nothing of a session may be left but its records.
fn assert_no_litter(place: &Place) {
    wait_until("the runtime directory to be empty", || {
        let sessions = fs::read_dir(place.root().join("run/claudebox")).unwrap();
        (sessions.count() == 0).then_some(())
    });
    let names: Vec<_> =
        fs::read_dir(place.project()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [".git"], "litter in the project");
}

#[test]
fn the_agents_exit_code_is_claudeboxs() {
    as_everyone(|place| {
        let terminal = agent(place, "echo at work; sleep 3; exit 7");
        terminal.wait_for("at work");
        let screen = terminal.wait_for("code=7.");
        assert!(screen.contains("the agent ended with 7"), "{screen}");
        assert_eq!(session(place)["code"], 7);
        assert_no_litter(place);
    });
}

#[test]
fn an_agent_that_dies_at_once_leaves_its_last_words() {
    as_everyone(|place| {
        let terminal = agent(place, "echo something is missing; exit 3");
        let screen = terminal.wait_for("code=3.");
        assert!(screen.contains("something is missing"), "{screen}");
    });
}

#[test]
fn a_signal_is_told_as_in_a_shell() {
    as_everyone(|place| {
        agent(place, "kill -TERM $$").wait_for("code=143.");
    });
}

#[test]
fn both_panes_are_there_and_closing_the_log_harms_nothing() {
    as_everyone(|place| {
        let terminal = agent(place, "until test -e go; do sleep 0.1; done; rm go; exit 9");
        terminal.wait_for(" commands ");
        let panes =
            inner_tmux(place, &["list-panes", "-F", "#{pane_id} #{pane_width} #{@claudebox}"]);
        assert_eq!(panes, "%0 103 agent\n%1 56 commands\n");
        inner_tmux(place, &["kill-pane", "-t", "%1"]);
        let panes = inner_tmux(place, &["list-panes", "-F", "#{pane_id} #{pane_width}"]);
        assert_eq!(panes, "%0 160\n");
        terminal.press("C-b");
        terminal.press("L");
        wait_until("the log pane to be back", || {
            let panes = inner_tmux(place, &["list-panes", "-F", "#{pane_id}"]);
            (panes.lines().count() == 2).then_some(())
        });
        place.project_file("go", "");
        terminal.wait_for("code=9.");
        assert_no_litter(place);
    });
}

#[test]
fn a_detached_session_goes_on_and_can_be_attached_to() {
    as_everyone(|place| {
        let terminal =
            agent(place, "echo still here; until test -e go; do sleep 0.1; done; rm go; exit 5");
        terminal.wait_for("still here");
        terminal.press("C-b");
        terminal.press("d");
        let screen = terminal.wait_for("code=0.");
        assert!(
            screen.contains(&format!("detached; `claudebox attach {}` goes back", id(place))),
            "{screen}"
        );
        assert_eq!(session(place)["state"], "running");
        drop(terminal);

        let executable = place.executable().to_str().unwrap();
        let again =
            Terminal::open(place, (120, 30), &[], ["sh", "-c", KEEP, "sh", executable, "attach"]);
        again.wait_for("still here");
        place.project_file("go", "");
        again.wait_for("code=5.");
        assert_no_litter(place);

        let late = place.claudebox(["attach"]).run().code(125);
        late.complains(" ended with 5, 0s ago").complains("claudebox log");
    });
}

#[test]
fn closing_the_terminal_detaches() {
    as_everyone(|place| {
        let terminal =
            agent(place, "echo here; until test -e go; do sleep 0.1; done; rm go; exit 4");
        terminal.wait_for("here");
        drop(terminal);
        sleep(Duration::from_millis(300));
        assert_eq!(session(place)["state"], "running");
        place.project_file("go", "");
        wait_until("the session's end", || (session(place)["code"] == 4).then_some(()));
        assert_no_litter(place);
    });
}

/// The front end is only a viewer.
#[test]
fn a_killed_front_end_leaves_the_session_and_the_terminal() {
    as_everyone(|place| {
        let script = "echo here; until test -e go; do sleep 0.1; done; rm go; exit 4";
        let terminal = agent(place, script);
        terminal.wait_for("here");
        kill(front_end(place), Signal::SIGKILL).unwrap();
        wait_until("the tmux client to leave the terminal", || {
            inner_tmux(place, &["list-clients"]).is_empty().then_some(())
        });
        assert_eq!(session(place)["state"], "running");
        place.project_file("go", "");
        wait_until("the session's end", || (session(place)["code"] == 4).then_some(()));
        assert_no_litter(place);
    });
}

#[test]
fn a_front_end_that_is_told_to_end_detaches() {
    as_everyone(|place| {
        let terminal = agent(place, "echo here; exec sleep 600");
        terminal.wait_for("here");
        kill(front_end(place), Signal::SIGTERM).unwrap();
        let screen = terminal.wait_for("code=143.");
        assert!(screen.contains("detached; `claudebox attach"), "{screen}");
        assert_eq!(session(place)["state"], "running");
    });
}

#[test]
fn a_killed_supervisor_is_125() {
    as_everyone(|place| {
        let terminal = agent(place, "echo here; exec sleep 600");
        terminal.wait_for("here");
        kill(supervisor(place), Signal::SIGKILL).unwrap_or_else(|err| panic!("{err}"));
        let screen = terminal.wait_for("code=125.");
        assert!(screen.contains("ended without a word"), "{screen}");
        assert_eq!(session(place)["state"], "crashed");
        assert_no_litter(place);
    });
}

#[test]
fn a_session_whose_directory_is_removed_ends_and_says_so() {
    as_everyone(|place| {
        // What the command itself does not say: its line is seen before it runs.
        let terminal = agent(place, "echo up-$((1 + 1)); while :; do /bin/true; done");
        terminal.wait_for("up-2");
        // At once: of one that is only emptied so far the session would still leave word in it.
        let gone = place.root().join("gone");
        fs::rename(session_directory(place), &gone).unwrap();
        fs::remove_dir_all(&gone).unwrap();
        let screen = terminal.wait_for("code=125.");
        assert!(screen.contains("its directory"), "{screen}");
        assert_no_litter(place);
    });
}

#[test]
fn the_end_of_the_tmux_server_ends_the_session() {
    as_everyone(|place| {
        let terminal = agent(place, "echo here; exec sleep 600");
        terminal.wait_for("here");
        let supervisor = supervisor(place);
        inner_tmux(place, &["kill-server"]);
        terminal.wait_for("code=");
        wait_until("the supervisor's end", || is_gone(supervisor).then_some(()));
        assert_ne!(session(place)["state"], "running");
        assert_no_litter(place);
    });
}

#[test]
fn what_a_dead_session_left_behind_is_cleaned_at_the_next_start() {
    as_everyone(|place| {
        let stale = place.root().join("run/claudebox/4k7xq2ab");
        place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        fs::create_dir(&stale).unwrap();
        fs::write(stale.join("after.conf"), "").unwrap();
        place.user().own(&stale);
        place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        assert_no_litter(place);
    });
}

#[test]
fn a_new_window_opens_a_shell_in_the_sandbox_and_never_the_hosts() {
    as_everyone(|place| {
        let script = "readlink /proc/self/ns/pid >agent; echo here; exec sleep 600";
        let terminal = agent(place, script);
        terminal.wait_for("here");
        terminal.press("C-b");
        terminal.press("c");
        wait_until("the new window", || {
            let windows = inner_tmux(place, &["list-windows", "-F", "#W"]);
            (windows == "agent\nshell\n").then_some(())
        });
        assert_eq!(inner_tmux(place, &["list-panes"]).lines().count(), 1);
        terminal.type_text("readlink /proc/self/ns/pid >shell.new; mv shell.new shell");
        terminal.press("Enter");
        let read = |name: &str| fs::read_to_string(place.project().join(name)).ok();
        let shell = wait_until("the shell to answer", || read("shell"));
        let agent =
            wait_until("the agent's own answer", || read("agent").filter(|text| !text.is_empty()));
        assert_eq!(shell, agent);
        assert_ne!(shell.trim(), fs::read_link("/proc/self/ns/pid").unwrap().to_str().unwrap());
        wait_until("the shell's command in the log", || {
            let log = place.claudebox(["log", "--json"]).run().code(0).stdout;
            let seen = log.matches(r#""argv":["readlink","/proc/self/ns/pid"]"#).count();
            (seen == 2).then_some(())
        });
    });
}

#[test]
fn resizing_reaches_the_agent() {
    as_everyone(|place| {
        let script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done";
        let terminal = agent_with(place, WIDE, &[], &["--split-direction", "vertical"], script);
        let first = terminal.wait_for(" 160\n");
        terminal.tmux(&["resize-window", "-x", "100", "-y", "30"]);
        let second = terminal.wait_for(" 100\n");
        assert_ne!(first, second);
    });
}

#[test]
fn shift_enter_and_escape_reach_the_agent() {
    as_everyone(|place| {
        let script = "stty -icanon -echo; echo ready; head -c 8 | od -An -tx1; sleep 600";
        let terminal = agent(place, script);
        terminal.wait_for("ready");
        // As xterm says it (modifyOtherKeys): what plays the terminal here says it otherwise in each version.
        let shift_enter = ["1b", "5b", "32", "37", "3b", "32", "3b", "31", "33", "7e"];
        terminal.tmux(&[&["send-keys", "-H"], &shift_enter[..]].concat());
        sleep(Duration::from_millis(200));
        terminal.press("Escape");
        terminal.wait_for("1b 5b 31 33 3b 32 75 1b");
        let delay = inner_tmux(place, &["show-options", "-sv", "escape-time"]);
        assert_eq!(delay.trim(), "10");
    });
}

#[test]
fn inside_the_users_tmux_only_the_log_pane_is_opened_and_closed() {
    as_everyone(|place| {
        let script = "echo here; until test -e go; do sleep 0.1; done; rm go; exit 6";
        let socket = place.root().join("users");
        let socket = socket.to_str().unwrap();
        let executable = place.executable().to_str().unwrap();
        let users =
            ["tmux", "-S", socket, "-f", "/dev/null", "new-session", "sh", "-c", KEEP, "sh"];
        let command = users.into_iter().chain([executable, "run", "--", "sh", "-c", script]);
        let terminal = Terminal::open(place, WIDE, &[], command);
        terminal.wait_for("here");
        let users = |arguments: &[&str]| {
            place.command("tmux").args(["-S", socket]).args(arguments).run().stdout
        };
        let panes = wait_until("the log pane", || {
            let panes = users(&["list-panes", "-F", "#{pane_active} #{pane_title}"]);
            panes.contains("0 commands").then_some(panes)
        });
        assert_eq!(panes.lines().count(), 2, "{panes}");
        assert_eq!(session(place)["mode"], "user-tmux");
        assert!(!place.root().join("run/claudebox").join(id(place)).join("tmux.sock").exists());
        let refused = place.claudebox(["attach"]).run().code(125);
        refused.complains("runs in the terminal it was started in");
        place.project_file("go", "");
        terminal.wait_for("the agent ended with 6;");
        terminal.wait_for("code=6.");
        assert_eq!(users(&["list-panes"]).lines().count(), 1);
        users(&["kill-server"]);
        assert_no_litter(place);
    });
}

#[test]
fn an_inherited_tmux_variable_of_another_terminal_is_not_believed() {
    as_everyone(|place| {
        let socket = place.root().join("users");
        let socket = socket.to_str().unwrap();
        let users = |arguments: &[&str]| {
            place
                .command("tmux")
                .args(["-f", "/dev/null", "-S", socket])
                .args(arguments)
                .run()
                .code(0)
        };
        users(&["new-session", "-d", "sleep", "600"]);
        let keep = format!("export TMUX={socket},1,0 TMUX_PANE=%0; {KEEP}");
        let executable = place.executable().to_str().unwrap();
        let command = ["sh", "-c", &keep, "sh", executable, "run", "--", "sleep", "3"];
        let terminal = Terminal::open(place, WIDE, &[], command);
        terminal.wait_for(" commands ");
        assert_eq!(session(place)["mode"], "tmux");
        users(&["kill-server"]);
    });
}

#[test]
fn without_a_terminal_the_agent_runs_without_panes() {
    as_everyone(|place| {
        let run = place.claudebox(["run", "--", "sh", "-c", "echo out; exit 4"]).run().code(4);
        run.says("out").complains("there is no terminal here, so no log pane");
    });
}

#[test]
fn unmonitored_the_agent_has_the_terminal() {
    as_everyone(|place| {
        let terminal = agent_with(
            place,
            WIDE,
            &[],
            &["--no-monitor"],
            "test -t 0 && test -t 1 && echo a terminal; exit 8",
        );
        let screen = terminal.wait_for("code=8.");
        assert!(screen.contains("a terminal"), "{screen}");
        assert!(!screen.contains("commands ─"), "{screen}");
        assert_eq!(session(place)["mode"], "terminal");
    });
}

#[test]
fn a_second_session_in_one_project_is_refused() {
    as_everyone(|place| {
        let terminal = agent(place, "echo here; exec sleep 600");
        terminal.wait_for("here");
        let second = place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(125);
        let first = id(place);
        second
            .complains(&format!("session {first} is already running in "))
            .complains(&format!("claudebox attach {first}"));
    });
}

#[test]
fn a_small_terminal_is_not_divided() {
    as_everyone(|place| {
        let terminal = agent_with(place, (39, 12), &[], &[], "echo here; sleep 3; exit 2");
        terminal.wait_for("here");
        assert_eq!(inner_tmux(place, &["list-panes"]).lines().count(), 1);
        let screen = terminal.wait_for("code=2.");
        assert!(screen.replace('\n', "").contains("too small for a log pane"), "{screen}");
    });
}

/// tmux throws away what is on its way to the terminal when it takes that over: on a busy machine what
/// was printed a moment before, here what the kernel's buffer of a stopped terminal has no room for.
#[test]
fn a_slow_terminal_shows_what_was_said_at_the_start() {
    as_everyone(|place| {
        let fill = "until test -e start; do sleep 0.05; done; rm start; yes | head -c 6000; ";
        let wait = fill.to_owned() + KEEP;
        let executable = place.executable().to_str().unwrap();
        let agent = "touch at; until test -e go; do sleep 0.05; done; rm at go; exit 2";
        let command = ["sh", "-c", &wait, "sh", executable, "run", "--", "sh", "-c", agent];
        let terminal = Terminal::open(place, (39, 12), &[], command);
        let server = terminal.tmux(&["display-message", "-p", "#{pid}"]).trim().parse().unwrap();
        let server = Pid::from_raw(server);
        kill(server, Signal::SIGSTOP).unwrap();
        place.project_file("start", "");
        wait_until("the agent", || place.project().join("at").exists().then_some(()));
        kill(server, Signal::SIGCONT).unwrap();
        place.project_file("go", "");
        let screen = terminal.wait_for("code=2.");
        assert!(screen.replace('\n', "").contains("too small for a log pane"), "{screen}");
    });
}

#[test]
fn a_terminal_that_does_not_know_its_size_is_taken_for_80x24() {
    as_everyone(|place| {
        let line = format!("{} run -- sh -c 'stty size >size'", place.executable().display());
        // Without a terminal of its own, script(1) makes one of 0x0.
        place.command("script").args(["-qec", &line, "/dev/null"]).run().code(0);
        let size = fs::read_to_string(place.project().join("size")).unwrap();
        let columns: u16 = size.trim().split(' ').next_back().unwrap().parse().unwrap();
        assert!((40..=80).contains(&columns), "{size}");
    });
}

#[test]
fn a_terminal_that_tmux_cannot_use_is_an_error_before_anything_runs() {
    as_everyone(|place| {
        let keep = "export TERM=no-such-terminal; ".to_owned() + KEEP;
        let executable = place.executable().to_str().unwrap();
        let command = ["sh", "-c", &keep, "sh", executable, "run", "--", "touch", "ran"];
        let terminal = Terminal::open(place, WIDE, &[], command);
        let screen = terminal.wait_for("code=125.");
        assert!(screen.contains("TERM is `no-such-terminal`"), "{screen}");
        assert_no_litter(place);
        // Nothing has run, so nothing is open.
        let listed = place.claudebox(["ls"]).run().code(0).stdout;
        assert!(listed.contains("ended 125") && !listed.contains("pending"), "{listed}");
        let verified = place.claudebox(["verify", "--all"]).run().code(0);
        assert!(verified.stdout.contains("nothing to verify"), "{}", verified.stdout);
        assert_eq!(verified.stderr, "");
    });
}

/// A PATH with a program of the test in front of the real one.
fn with_fake(place: &Place, name: &str, script: &str) -> String {
    let program = place.home_file(format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", program.parent().unwrap().display())
}

/// What goes wrong in the pane before the agent starts is told as if there were no pane.
#[test]
fn an_error_of_the_supervisor_reaches_the_terminal() {
    as_everyone(|place| {
        let real = common::program("bwrap").unwrap();
        let script = format!(
            "case \"$*\" in *--help*) exec {} --help;; esac; echo bwrap: no luck today >&2; exit 1",
            real.display()
        );
        let keep = format!("export PATH='{}'; {KEEP}", with_fake(place, "bwrap", &script));
        let executable = place.executable().to_str().unwrap();
        let command = ["sh", "-c", &keep, "sh", executable, "run", "--", "true"];
        let terminal = Terminal::open(place, WIDE, &[], command);
        let screen = terminal.wait_for("code=125.");
        assert!(screen.contains("no luck today"), "{screen}");
        assert_eq!(session(place)["reason"], "launcher");
        assert_no_litter(place);
    });
}

#[test]
fn a_tmux_that_is_too_old_or_missing_is_told_of() {
    as_everyone(|place| {
        let path = with_fake(place, "tmux", "echo tmux 3.1c");
        let keep = format!("export PATH='{path}'; {KEEP}");
        let executable = place.executable().to_str().unwrap();
        let open = |keep: &str| {
            let command = ["/bin/sh", "-c", keep, "sh", executable, "run", "--", "/bin/true"];
            Terminal::open(place, WIDE, &[], command)
        };
        let screen = open(&keep).wait_for("code=125.");
        assert!(screen.contains("tmux 3.1c is too old"), "{screen}");
        assert!(screen.contains("--no-monitor"), "{screen}");

        let programs = place.home().join("programs");
        fs::create_dir(&programs).unwrap();
        place.user().own(&programs);
        for name in ["bwrap", "git"] {
            std::os::unix::fs::symlink(common::program(name).unwrap(), programs.join(name))
                .unwrap();
        }
        let keep = KEEP.replace("exec sleep", "/bin/sleep");
        let screen =
            open(&format!("export PATH='{}'; {keep}", programs.display())).wait_for("code=125.");
        assert!(screen.contains("tmux is not installed"), "{screen}");
    });
}

#[test]
fn a_broken_user_configuration_is_a_warning() {
    as_everyone(|place| {
        place.home_file(".tmux.conf", "set -g no-such-option 1\nset -g status-style bg=red\n");
        let terminal = agent(place, "echo here; sleep 3; exit 2");
        terminal.wait_for("here");
        let style = inner_tmux(place, &["show-options", "-gv", "status-style"]);
        assert_eq!(style.trim(), "bg=red");
        let mode = inner_tmux(place, &["list-panes", "-F", "#{pane_in_mode}"]);
        assert_eq!(mode, "0\n0\n");
        let screen = terminal.wait_for("code=2.");
        assert!(screen.contains("no-such-option"), "{screen}");
        drop(terminal);

        let quiet = agent_with(place, WIDE, &[], &["--no-tmux-config"], "sleep 1; exit 1");
        let screen = quiet.wait_for("code=1.");
        assert!(!screen.contains("no-such-option"), "{screen}");
    });
}

/// The agent chooses its directory's name, its title and its program's name. A user's status line
/// that runs a program with one of them would run the agent's words on the host.
#[test]
fn no_format_or_hook_of_the_user_runs_on_the_agents_words() {
    as_everyone(|place| {
        let ran = place.root().join("tmp/ran");
        let run = format!("#(touch {})", ran.display());
        let hook = format!("run-shell 'touch {}'", ran.display());
        let config = format!(
            "set -g status-interval 1\n\
             set -g status-right '{run}'\nset -g status-left '{run}'\n\
             set status-right '{run}'\nset -g window-status-format '{run}'\n\
             set -g window-status-current-format '{run}'\nset -w window-status-current-format '{run}'\n\
             set -g status-format[0] '{run}'\nset -g set-titles on\n\
             set -g set-titles-string '{run}'\nset -g pane-border-format '{run}'\n\
             set -g automatic-rename on\nset -g automatic-rename-format '{run}'\n\
             set -g default-command /bin/sh\nset -g allow-passthrough on\nset -p allow-passthrough on\n\
             set -g set-clipboard on\nset -g remain-on-exit on\nset -g exit-empty off\n\
             set-hook -g pane-title-changed \"{hook}\"\nset-hook -g client-attached \"{hook}\"\n\
             set-hook client-resized \"{hook}\"\nset-hook -w pane-focus-in \"{hook}\"\n\
             new-session -d -s other /bin/cat\n"
        );
        place.home_file(".tmux.conf", config);
        let script =
            "printf '\\033]2;title\\007'; echo here; until test -e go; do sleep 0.1; done; rm go";
        let terminal = agent(place, script);
        terminal.wait_for("here");
        // tmux reads the file while the formats are not ours yet, so something may have run by now.
        let _ = fs::remove_file(&ran);
        terminal.tmux(&["resize-window", "-x", "120", "-y", "30"]);
        let screen = terminal.wait_for(&format!("claudebox {}", id(place)));
        assert!(screen.contains("network "), "{screen}");
        sleep(Duration::from_millis(2500));
        assert!(!ran.exists(), "the user's configuration ran a program");
        let options = inner_tmux(place, &["show-options", "-A", "-p", "-t", "%0"]);
        assert!(options.contains("allow-passthrough* off"), "{options}");
        let sessions = inner_tmux(place, &["list-sessions", "-F", "#{session_name}"]);
        assert_eq!(sessions, "cb\n");
        place.project_file("go", "");
        terminal.wait_for("code=0.");
        assert_no_litter(place);
    });
}

#[test]
fn no_secret_of_the_caller_reaches_tmux_or_a_file() {
    as_everyone(|place| {
        let secret = "hunter2-planted";
        let environment = [("PLANTED_TOKEN", secret)];
        let options = ["--env", "PLANTED_TOKEN"];
        let script = "test \"$PLANTED_TOKEN\" = hunter2-planted && echo got it; sleep 4";
        let terminal = agent_with(place, WIDE, &environment, &options, script);
        terminal.wait_for("got it");
        let environment = inner_tmux(place, &["show-environment", "-g"]);
        assert!(!environment.contains("PLANTED"), "{environment}");
        let server = inner_tmux(place, &["display-message", "-p", "#{pid}"]);
        let server = fs::read(format!("/proc/{}/environ", server.trim())).unwrap();
        assert!(
            !String::from_utf8_lossy(&server).contains("PLANTED"),
            "in the server's environment"
        );
        assert_not_below(&session_directory(place), secret, "status.json session.json lock");
        assert_not_below(&place.root().join("run"), secret, "");
    });
}

/// No file below a directory holds a text. Only those named, where any are named: the script of
/// the test holds the text too, and stands in the log as what ran.
fn assert_not_below(directory: &Path, text: &str, names: &str) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            assert_not_below(&entry.path(), text, names);
        } else if entry.file_type().unwrap().is_file()
            && (names.is_empty() || names.contains(&name))
        {
            let content = fs::read(entry.path()).unwrap();
            assert!(
                !String::from_utf8_lossy(&content).contains(text),
                "it is in {}",
                entry.path().display()
            );
        }
    }
}
