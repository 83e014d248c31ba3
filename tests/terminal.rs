//! The agent on a terminal: in a pane of its own, in the user's terminal with a shell behind it,
//! and the shells of new panes. Every test types and reads at the other end of a pty.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::use_debug,
    reason = "a test says so when it fails"
)]

mod supervised;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use claudebox::log::event::Event;
use claudebox::plan::{Arg, Plan};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{Winsize as Size, tcsetwinsize};

use supervised::{Process, Room, User, eventually, plan, processes, program};

/// A terminal of which the test is the screen and the keyboard.
struct Screen {
    keyboard: File,
    shown: Arc<Mutex<String>>,
    closed: Arc<AtomicBool>,
    child: Child,
}

impl Screen {
    /// Starts a command as the leader of a new session on a new terminal.
    fn new(mut command: Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        // A copy of our end in the child would keep the terminal from hanging up.
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let keyboard = File::from(pty.master);
        let closed = Arc::new(AtomicBool::new(false));
        read_into(keyboard.try_clone().unwrap(), Arc::clone(&shown), Arc::clone(&closed));
        Self { keyboard, shown, closed, child }
    }

    fn of(room: &Room, terminal: &str) -> Self {
        Self::new(room.command(terminal))
    }

    /// An interactive shell with job control.
    fn shell() -> Self {
        let mut command = Command::new("setsid");
        command.args(["--ctty", "bash", "--norc", "--noprofile", "-i"]).env("PS1", "ready> ");
        command.env("TERM", "dumb");
        let mut screen = Self::new(command);
        screen.expect("ready> ");
        screen
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown, and takes everything up to it off the screen.
    fn expect(&mut self, words: &str) -> String {
        let mut before = String::new();
        let shown = Arc::clone(&self.shown);
        eventually(&format!("{words:?} is shown"), || {
            let mut shown = shown.lock().unwrap();
            let Some(at) = shown.find(words) else { return false };
            before = shown.drain(..at + words.len()).collect();
            true
        });
        before
    }

    /// Takes the terminal away, as a closed window does.
    fn close(&mut self) {
        self.keyboard = File::open("/dev/null").unwrap();
        self.closed.store(true, Ordering::SeqCst);
    }

    fn code(&mut self) -> Option<i32> {
        eventually("it ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("still on the screen: {:?}", self.shown.lock().unwrap());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until the terminal is closed at either end; then the last copy of ours is closed too.
fn read_into(terminal: File, shown: Arc<Mutex<String>>, closed: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while !closed.load(Ordering::SeqCst) {
            let mut ready = [PollFd::new(&terminal, PollFlags::IN)];
            let soon = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            if poll(&mut ready, Some(&soon)).is_ok_and(|count| count > 0) {
                let Ok(length @ 1..) = (&terminal).read(&mut bytes) else { return };
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        }
    });
}

fn room(script: &str) -> Room {
    let plan: Plan = plan(&["/bin/bash", "-c", script]);
    Room::new(&plan, User::Current)
}

/// The line that starts a session in the user's terminal.
fn line(room: &Room) -> String {
    let dir = room.path().display();
    format!("{} {dir}/plan {dir} {dir}/events users", program().display())
}

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

#[test]
fn what_an_agent_says_last_is_shown_before_its_pane_closes() {
    let room = room("echo last words; exit 3");
    let mut screen = Screen::of(&room, "own");
    screen.expect("last words");
    assert_eq!(screen.code(), Some(3));
}

#[test]
fn the_agent_is_in_front_with_job_control_and_resizes() {
    let room = room(
        "trap 'echo interrupted' INT; trap 'echo size $(stty size)' WINCH; \
         echo up; while [ -z \"$x\" ]; do read -r -t 0.1 x; done; echo got $x; exit 0",
    );
    let mut screen = Screen::of(&room, "own");
    screen.expect("up");
    tcsetwinsize(&screen.keyboard, Size { ws_row: 30, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 })
        .unwrap();
    screen.expect("size 30 99");
    screen.type_in(CTRL_C);
    screen.expect("interrupted");
    screen.type_in("hello\r");
    screen.expect("got hello");
    assert_eq!(screen.code(), Some(0));
}

#[test]
fn in_a_pane_a_stopped_agent_goes_on() {
    let room = room("echo up; read -r x; kill -STOP $$; echo on again; exit 0");
    let mut screen = Screen::of(&room, "own");
    screen.expect("up");
    // Ctrl-Z stops the agent; in a pane nobody could continue it.
    screen.type_in(CTRL_Z);
    sleep(Duration::from_millis(200));
    screen.type_in("x\r");
    screen.expect("on again");
    assert_eq!(screen.code(), Some(0));
}

#[test]
fn in_the_users_terminal_it_is_suspended_and_resumed_as_a_job() {
    let room = room("echo up; read -r x; echo got $x; exit 4");
    let mut screen = Screen::shell();
    screen.type_in(&format!("{}\r", line(&room)));
    screen.expect("up\r\n");
    for _ in 0..3 {
        screen.type_in(CTRL_Z);
        screen.expect("Stopped");
        screen.expect("ready> ");
        screen.type_in("echo in the shell\r");
        screen.expect("\nin the shell\r");
        screen.expect("ready> ");
        screen.type_in("fg\r");
        screen.expect("supervise");
        sleep(Duration::from_millis(200));
    }
    screen.type_in("hello\r");
    screen.expect("got hello");
    screen.expect("ready> ");
    screen.type_in("echo code $?\r");
    screen.expect("\ncode 4\r");
}

#[test]
fn in_a_pipeline_the_agent_gets_the_terminal_when_it_asks() {
    let room = room("echo up; read -r x; echo got $x; exit 4");
    let mut screen = Screen::shell();
    screen.type_in(&format!("{} | cat; echo codes ${{PIPESTATUS[0]}}\r", line(&room)));
    screen.expect("up\r\n");
    screen.type_in("hello\r");
    screen.expect("got hello");
    screen.expect("\ncodes 4\r");
}

#[test]
fn a_job_in_the_background_waits_until_it_is_in_front() {
    let room = room("read -r x; echo got $x; exit 0");
    let mut screen = Screen::shell();
    screen.type_in(&format!("{} &\r", line(&room)));
    screen.expect("ready> ");
    eventually("it is stopped", || {
        screen.type_in("jobs\r");
        sleep(Duration::from_millis(200));
        screen.shown.lock().unwrap().contains("Stopped")
    });
    screen.type_in("fg\r");
    sleep(Duration::from_millis(300));
    screen.type_in("hello\r");
    screen.expect("got hello");
}

/// What was typed for the agent must not be executed by the shell behind it.
#[test]
fn the_users_terminal_is_left_as_it_was_and_without_typed_ahead_input() {
    let room = room("stty raw -echo; echo up; sleep 1; exit 0");
    let mut command = Command::new("setsid");
    let script = format!("{}; stty -a; timeout 1 cat; echo end", line(&room));
    command.args(["--ctty", "bash", "-c", &script]);
    let mut screen = Screen::new(command);
    screen.expect("up");
    screen.type_in("echo pwned\r");
    let after = screen.expect("end");
    assert!(after.contains(" icanon") && after.contains(" echo "), "{after}");
    assert!(!after.contains("pwned"), "{after}");
}

#[test]
fn a_pane_that_is_closed_ends_the_agent_even_if_it_does_not_care() {
    let mark = format!("{}.7", 200_000 + std::process::id());
    let room =
        room(&format!("trap '' HUP TERM; echo up; sleep {mark} & sleep {mark}; sleep {mark}"));
    let mut screen = Screen::of(&room, "own");
    screen.expect("up");
    let lives = || processes().iter().any(|process| process.cmdline.contains(&mark));
    assert!(lives());
    screen.close();
    eventually("nothing lives", || !lives());
    assert_eq!(screen.code(), Some(129));
}

fn new_pane(room: &Room) -> Screen {
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(program()).arg("shell").arg(room.path());
    Screen::new(command)
}

#[test]
fn a_new_pane_opens_a_shell_inside() {
    let room = room("echo up; read -r x; exit 0");
    let mut agent = Screen::of(&room, "own");
    agent.expect("up");
    let mut pane = new_pane(&room);
    pane.type_in("echo $((6*7)) parent $PPID; ls /; grep Seccomp: /proc/self/status\r");
    pane.expect("42 parent 1\r");
    pane.expect("Seccomp:\t2");
    tcsetwinsize(&pane.keyboard, Size { ws_row: 30, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 })
        .unwrap();
    pane.type_in("stty size\r");
    pane.expect("30 99");
    pane.type_in("sleep 100\r");
    sleep(Duration::from_millis(300));
    pane.type_in(CTRL_C);
    pane.type_in("exit 5\r");
    assert_eq!(pane.code(), Some(5));
    agent.type_in("x\r");
    assert_eq!(agent.code(), Some(0));
    let opened = |event: &Event| matches!(event, Event::Notice(it) if it.kind == "shell-opened");
    assert!(room.events().iter().any(opened));
}

#[test]
fn a_shells_pane_can_be_killed_and_the_session_goes_on() {
    let room = room("echo up; read -r x; exit 0");
    let mut agent = Screen::of(&room, "own");
    agent.expect("up");
    let mut pane = new_pane(&room);
    let mark = format!("{}.9", 300_000 + std::process::id());
    pane.type_in(&format!("sleep {mark}\r"));
    let lives = || processes().iter().any(|it| it.cmdline == format!("sleep {mark} "));
    eventually("it runs", lives);
    pane.child.kill().unwrap();
    eventually("it is gone", || !lives());
    agent.type_in("x\r");
    assert_eq!(agent.code(), Some(0));
}

#[test]
fn shells_end_with_the_agent() {
    let room = room("echo up; read -r x; exit 0");
    let mut agent = Screen::of(&room, "own");
    agent.expect("up");
    let mut pane = new_pane(&room);
    pane.type_in("echo $((6*7))\r");
    pane.expect("42");
    agent.type_in("x\r");
    assert_eq!(agent.code(), Some(0));
    assert_eq!(pane.code(), Some(129));
}

/// Asks for sockets without end, and says at the end of its input whether it still gets one.
#[cfg(target_arch = "x86_64")]
const ASKS_FOR_SOCKETS: &str = r#"
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    for (int i = 0; i < 4; i++)
        if (fork() == 0) for (;;) close(socket(AF_INET, SOCK_STREAM, 0));
    puts("up"), fflush(stdout);
    getchar();
    puts(socket(AF_INET, SOCK_STREAM, 0) < 0 ? "no socket" : "a socket");
    return 0;
}
"#;

/// pid 1 makes their sockets, for the thread that answers the shell's exec.
#[test]
#[cfg(target_arch = "x86_64")]
fn shells_open_while_32_bit_programs_make_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("asks.c"), directory.path().join("asks"));
    std::fs::write(&source, ASKS_FOR_SOCKETS).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-m32", "-static", "-o"]).args([&program, &source]);
    assert!(gcc.status().unwrap().success(), "gcc-multilib is installed");
    let mut plan = plan(&["/asks"]);
    let bind = ["--ro-bind", program.to_str().unwrap(), "/asks"];
    plan.args.extend(bind.map(|word| Arg::Literal(word.into())));
    let room = Room::new(&plan, User::Current);
    let mut agent = Screen::of(&room, "own");
    agent.expect("up");
    for code in 3..9 {
        let mut pane = new_pane(&room);
        pane.type_in(&format!("exit {code}\r"));
        assert_eq!(pane.code(), Some(code));
    }
    agent.type_in("x\r");
    agent.expect("a socket");
    assert_eq!(agent.code(), Some(0));
}

/// Stops whatever else runs inside, without end, until something is typed.
const STOPS_EVERYBODY: &str = r#"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    char byte;
    fcntl(0, F_SETFL, O_NONBLOCK);
    puts("up"), fflush(stdout);
    while (read(0, &byte, 1) != 1) kill(-1, SIGSTOP);
    return 9;
}
"#;

/// A shell that is stopped before its exec, while it is still what pid 1 made. It must not keep pid 1
/// from seeing that the agent has ended. (The control is in `src/sys/process.rs`: a child that shares
/// its maker's memory stops it too.)
#[test]
fn a_shell_that_is_stopped_before_it_is_one_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("stops.c"), directory.path().join("stops"));
    std::fs::write(&source, STOPS_EVERYBODY).unwrap();
    let built = Command::new("cc").arg("-o").args([&program, &source]).status().unwrap();
    assert!(built.success());
    let mut plan = plan(&["/stops"]);
    let bind = ["--ro-bind", program.to_str().unwrap(), "/stops"];
    plan.args.extend(bind.map(|word| Arg::Literal(word.into())));
    let room = Room::new(&plan, User::Current);
    let mut agent = Screen::of(&room, "own");
    agent.expect("up");
    let leader = i32::try_from(agent.child.id()).unwrap();
    let mut seen = BTreeSet::new();
    let mut newly_stopped = || {
        let below = |process: &Process| is_below(leader, process.parent);
        let mut stopped = processes().into_iter().filter(|it| is_stopped(it.pid) && below(it));
        stopped.find(|process| seen.insert(process.pid))
    };
    let mut panes = Vec::new();
    let before_its_exec = (0..50).any(|_| {
        panes.push(new_pane(&room));
        let mut found = None;
        eventually("the shell is stopped", || {
            found = newly_stopped();
            found.is_some()
        });
        found.is_some_and(|process| process.cmdline.contains("__inner"))
    });
    assert!(before_its_exec, "it was never as soon as that");
    agent.type_in("x\r");
    assert_eq!(agent.code(), Some(9));
}

fn is_below(leader: i32, mut pid: i32) -> bool {
    let all = processes();
    while pid > 1 && pid != leader {
        pid = all.iter().find(|process| process.pid == pid).map_or(0, |process| process.parent);
    }
    pid == leader
}

fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, tail)| tail.trim_start().starts_with('T'))
}
