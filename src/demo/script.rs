//! What the demo does: steps of ordinary work, and attempts at what the sandbox must refuse.
//! An attempt is judged by its effect, not by a program's exit code alone.

use std::ffi::OsString;
use std::io::Read as _;

use super::elf;
use super::scratch::Task;
use super::stage::Outcome;
use crate::proc_stat::start_time;

/// The file that the agent writes, with its own editor: that executes nothing.
pub(super) const SCRIPT: &str = "count.sh";

/// What is in it.
pub(super) const SCRIPT_TEXT: &str = "#!/bin/sh\nfor file in *.txt; do wc -w \"$file\"; done\n";

/// A step of ordinary work.
pub(super) struct Step {
    /// Announced before it runs.
    pub(super) intent: &'static str,
    /// The command.
    pub(super) argv: Vec<OsString>,
    /// The exit code it should have.
    pub(super) code: i32,
}

/// Something that should be refused.
pub(super) struct Attempt {
    /// Announced before it runs.
    pub(super) intent: &'static str,
    /// The command.
    pub(super) argv: Vec<OsString>,
    /// Whether it reached what it was after.
    pub(super) succeeded: Box<dyn Fn(&Outcome) -> bool>,
    /// What is said when it did not.
    pub(super) refused: &'static str,
}

/// The ordinary work, in order.
pub(super) fn work() -> Vec<Step> {
    let identity = ["-c", "user.name=Demo", "-c", "user.email=demo@example.invalid"];
    let commit = [&["git"], &identity[..], &["commit", "-q", "-m", "Count the words"]].concat();
    let nested = "sh -c 'sh -c \"uname -sm\"; :'; :";
    let mut steps = vec![
        step("Make the script that I wrote executable.", 0, &["chmod", "+x", SCRIPT]),
        step("Run it. Its children are in the log too.", 0, &["./count.sh"]),
        step("A child of a child of a child.", 0, &["sh", "-c", nested]),
    ];
    // Where there is none, nothing is claimed.
    if let Some(program) = static_program() {
        let intent = "A static program: no library to hook, yet the kernel sees it.";
        steps.push(step(intent, 0, &[program, "--version"]));
    }
    steps.extend([
        step("Keep the work in git.", 0, &["git", "add", SCRIPT]),
        step("Commit it.", 0, &commit),
        step("A command that fails, as commands do.", 2, &["ls", "no-such-file"]),
        step("And one that is killed.", 137, &["sh", "-c", "kill -KILL $$"]),
    ]);
    steps
}

fn step(intent: &'static str, code: i32, argv: &[&str]) -> Step {
    Step { intent, argv: argv.iter().map(OsString::from).collect(), code }
}

/// A statically linked program that this machine has: claudebox where it was built so, else
/// ldconfig, which glibc links statically, or busybox.
fn static_program() -> Option<&'static str> {
    ["/run/claudebox", "/sbin/ldconfig", "/usr/bin/busybox", "/bin/busybox"].into_iter().find(
        |path| {
            let mut head = Vec::new();
            std::fs::File::open(path)
                .and_then(|file| file.take(elf::HEAD as u64).read_to_end(&mut head))
                .is_ok_and(|_| elf::is_static_program(&head))
        },
    )
}

/// The forbidden things, in order.
pub(super) fn attempts(task: &Task) -> Vec<Attempt> {
    let (secret, start_ticks) = (task.secret_text.clone(), task.start_ticks);
    let mut attempts = vec![
        Attempt {
            intent: "Read a key from the home directory (a fake one, planted for this).",
            argv: vec!["cat".into(), task.secret_path.clone().into()],
            succeeded: Box::new(move |outcome| contains(&outcome.stdout, secret.as_bytes())),
            refused: "the home directory is not there",
        },
        Attempt {
            intent: "Write to /etc.",
            argv: vec!["touch".into(), task.etc_path.clone().into()],
            succeeded: Box::new(|outcome| outcome.code == 0),
            refused: "the system is read-only, for root too",
        },
        Attempt {
            intent: "Leave something in the directory above the project.",
            argv: vec!["touch".into(), "../left-behind".into()],
            succeeded: Box::new(|outcome| outcome.code == 0),
            refused: "only the project is writable",
        },
        Attempt {
            intent: "Put .git out of the way, for one whose hooks your next commit would run.",
            argv: vec!["mv".into(), ".git".into(), "not-git".into()],
            succeeded: Box::new(|outcome| outcome.code == 0),
            refused: "git works on a private copy, and nothing can take its place",
        },
        Attempt {
            intent: "Look for a process that was there before all this began.",
            argv: ["sh", "-c", "cat /proc/[0-9]*/stat"].map(OsString::from).into(),
            succeeded: Box::new(move |outcome| {
                start_times(&outcome.stdout).any(|ticks| ticks < start_ticks)
            }),
            refused: "no process of the host is to be seen",
        },
    ];
    // Where it is not there, nothing is claimed.
    if which::which("getent").is_ok() {
        attempts.push(Attempt {
            intent: "Find a host on the internet, to send it all of this.",
            argv: ["getent", "hosts", &task.host].map(OsString::from).into(),
            succeeded: Box::new(|outcome| outcome.code == 0),
            refused: "it is not among the hosts that the profile allows",
        });
    }
    attempts
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The start times, in clock ticks since boot, of the processes in some `/proc/PID/stat` lines. Unlike
/// process ids they are the same inside and outside of a process namespace.
fn start_times(lines: &[u8]) -> impl Iterator<Item = u64> {
    lines.split(|&byte| byte == b'\n').filter_map(start_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_start_time_is_among_all() {
        let own = std::fs::read("/proc/self/stat").unwrap();
        assert_eq!(start_times(&own).count(), 1);
    }
}
