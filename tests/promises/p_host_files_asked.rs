//! P, with a person: on a terminal each is asked about, in the terminal that claudebox was started in;
//! whoever is left when others were killed does it; and what an agent or a terminal types is no answer.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::place::Place;
use crate::common::terminal::Terminal;
use crate::common::{DEADLINE, must_have, must_have_sandbox, user::users};

const SIZE: (u16, u16) = (150, 40);

// A script says `at w''ork`, so that the log pane, which shows the script, does not say it too soon.

/// Runs its arguments, tells their code, and keeps the terminal open.
const KEEP: &str = "trap : INT; \"$@\"; echo \"code=$?.\"; exec sleep 600";

fn agent<'a>(place: &'a Place, options: &[&str], script: &str) -> Terminal<'a> {
    let mut command = vec!["sh", "-c", KEEP, "sh", place.executable().to_str().unwrap(), "run"];
    command.extend(options);
    command.extend(["--", "sh", "-c", script]);
    Terminal::open(place, SIZE, &[], command)
}

fn as_everyone(test: impl Fn(&Place)) {
    must_have_sandbox();
    must_have(&["tmux", "git"]);
    for user in users() {
        let place = Place::new(user);
        test(&place);
    }
}

fn there(place: &Place, path: &str) -> bool {
    fs::symlink_metadata(place.project().join(path)).is_ok()
}

#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// The process that supervises the place's only session.
fn supervisor(place: &Place) -> Pid {
    let sessions = place.state().join("sessions");
    let mut found = None;
    wait_until("the supervisor", || {
        let session = fs::read_dir(&sessions).ok().and_then(|mut all| all.next()?.ok());
        let text = session.and_then(|session| fs::read_to_string(session.path().join("lock")).ok());
        found = text.and_then(|text| text.trim().parse().ok()).map(Pid::from_raw);
        found.is_some()
    });
    found.unwrap()
}

/// The claudebox in the test's terminal.
fn front_end(place: &Place) -> Pid {
    let run = [place.executable().as_os_str().as_encoded_bytes(), b"run", b""].join(&0);
    let is_it = |process: &Path| {
        fs::read(process.join("cmdline")).is_ok_and(|line| line.starts_with(&run))
            && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == place.project())
    };
    let mut processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let found = processes.find(|path| is_it(path)).unwrap();
    Pid::from_raw(found.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

#[test]
fn promise_p_a_person_decides_about_each() {
    as_everyone(|place| {
        for monitor in [&["--no-monitor"][..], &[]] {
            let plant = "echo 'evil text' > .envrc; mkdir -p .vscode; echo x > .vscode/tasks.json
                echo x > .mcp.json; echo at w''ork; sleep 3; exit 7";
            let terminal = agent(place, monitor, plant);
            terminal.wait_for(".envrc (new): [k]eep, set [a]side, [s]how");
            // Nobody waits behind the question.
            let elsewhere = place.claudebox(["keep"]).run().code(125);
            elsewhere.complains("another terminal is seeing to what session");
            terminal.type_text("s");
            terminal.press("Enter");
            terminal.wait_for("evil text");
            terminal.type_text("k");
            terminal.press("Enter");
            terminal.wait_for(".mcp.json (new):");
            terminal.press("Enter");
            terminal.wait_for(".vscode (new):");
            terminal.type_text("aside");
            terminal.press("Enter");
            let screen = terminal.wait_for("code=7.");
            assert!(screen.contains("set aside: .mcp.json, .vscode"), "{screen}");
            assert!(
                there(place, ".envrc") && !there(place, ".vscode") && !there(place, ".mcp.json")
            );
            place.claudebox(["keep"]).run().code(0).complains("brought back: .mcp.json, .vscode");
            for path in [".envrc", ".mcp.json"] {
                fs::remove_file(place.project().join(path)).unwrap();
            }
            fs::remove_dir_all(place.project().join(".vscode")).unwrap();
        }
    });
}

/// The control is the test before: the same keys, pressed at the question, keep a file.
#[test]
fn promise_p_what_was_typed_for_the_agent_is_no_answer() {
    as_everyone(|place| {
        // The terminal answers these by typing; `k` and Enter were typed while the agent ran.
        let plant = "echo evil > .envrc; printf '\\033[c\\033[6n\\033[>c'; echo at w''ork; sleep 3";
        let terminal = agent(place, &["--no-monitor"], plant);
        terminal.wait_for("at work");
        terminal.type_text("k");
        terminal.press("Enter");
        terminal.type_text("k");
        terminal.press("Enter");
        terminal.wait_for(".envrc (new): [k]eep");
        sleep(Duration::from_millis(500));
        assert!(!terminal.screen().contains("code="), "{}", terminal.screen());
        terminal.press("C-d");
        terminal.wait_for("code=0.");
        assert!(!there(place, ".envrc"), "the end of input is no consent");
    });
}

#[test]
fn promise_p_an_interrupted_question_is_asked_again() {
    as_everyone(|place| {
        let terminal = agent(place, &[], "echo evil > .autoenv; echo evil > .envrc; sleep 3");
        terminal.wait_for(".autoenv (new): [k]eep");
        terminal.press("Enter");
        terminal.wait_for(".envrc (new): [k]eep");
        terminal.press("C-c");
        let screen = terminal.wait_for("code=130.");
        assert!(there(place, ".envrc") && !there(place, ".autoenv"));
        for said in
            ["interrupted: what is not decided", "1 file set aside so far, in ", "claudebox keep "]
        {
            assert!(screen.contains(said), "{screen}");
        }
        place.claudebox(["ls"]).run().code(0).says("host files pending");
        drop(terminal);
        let executable = place.executable().to_str().unwrap();
        let again =
            Terminal::open(place, SIZE, &[], ["sh", "-c", KEEP, "sh", executable, "verify"]);
        again.wait_for(".envrc (new): [k]eep");
        again.type_text("k");
        again.press("Enter");
        again.wait_for("code=0.");
        assert!(there(place, ".envrc"));
        place.claudebox(["ls"]).run().code(0).says("ended 0, 1 set aside");
    });
}

#[test]
fn promise_p_no_session_begins_while_a_question_is_open() {
    as_everyone(|place| {
        let terminal = agent(place, &[], "echo evil > .envrc; sleep 3");
        terminal.wait_for(".envrc (new): [k]eep");
        let second = place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(125);
        second.complains("is not seen to yet");
        terminal.press("Enter");
        terminal.wait_for("code=0.");
        place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
    });
}

#[test]
fn promise_p_where_nobody_watches_nobody_is_asked() {
    as_everyone(|place| {
        let plant = "until test -e go; do sleep 0.1; done; rm go; echo evil > .envrc; touch done";
        let terminal = agent(place, &[], &format!("echo at w''ork; {plant}"));
        terminal.wait_for("at work");
        terminal.press("C-b");
        terminal.press("d");
        terminal.wait_for("code=0.");
        place.project_file("go", "");
        wait_until("the end", || there(place, "done"));
        wait_until("it to be set aside", || !there(place, ".envrc"));
        wait_until("the session's end", || {
            place.claudebox(["ls"]).run().stdout.contains("ended 0, 1 set aside")
        });
        place.claudebox(["keep"]).run().code(0);
        assert!(there(place, ".envrc"));
    });
}

#[test]
fn promise_p_after_sigkill_of_the_supervisor_the_front_end_asks() {
    as_everyone(|place| {
        let terminal = agent(place, &[], "echo evil > .envrc; echo at w''ork; exec sleep 600");
        terminal.wait_for("at work");
        kill(supervisor(place), Signal::SIGKILL).unwrap();
        terminal.wait_for(".envrc (new): [k]eep");
        terminal.press("Enter");
        let screen = terminal.wait_for("code=125.");
        assert!(screen.contains("set aside: .envrc"), "{screen}");
        assert!(!there(place, ".envrc"));
    });
}

#[test]
fn promise_p_after_sigkill_of_both_the_next_command_does_it() {
    as_everyone(|place| {
        let terminal = agent(place, &[], "echo evil > .envrc; echo at w''ork; exec sleep 600");
        terminal.wait_for("at work");
        let supervisor = supervisor(place);
        kill(front_end(place), Signal::SIGKILL).unwrap();
        kill(supervisor, Signal::SIGKILL).unwrap();
        wait_until("the session to be over", || {
            place.claudebox(["ls"]).run().stdout.contains("crashed, host files pending")
        });
        assert!(there(place, ".envrc"), "{}", place.claudebox(["ls"]).run().stdout);
        let next = place.claudebox(["run", "--no-monitor", "--", "true"]).run().code(0);
        next.complains("set aside: .envrc");
        assert!(!there(place, ".envrc"));
    });
}
