//! A terminal for a test: one pane of a private tmux server, in which claudebox is run as a person
//! would, with keys going in and the screen coming out.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::DEADLINE;
use super::place::Place;

/// How many terminals were opened.
static OPENED: AtomicUsize = AtomicUsize::new(0);

/// A terminal with one program in it. The server ends with it.
#[derive(Debug)]
pub(crate) struct Terminal<'a> {
    place: &'a Place,
    socket: PathBuf,
    status: PathBuf,
}

impl<'a> Terminal<'a> {
    /// Opens a terminal of this size and runs the command in it, as in a terminal emulator:
    /// `TMUX` is not set, so that claudebox opens its own tmux.
    pub(crate) fn open<S: AsRef<OsStr>>(
        place: &'a Place,
        (columns, rows): (u16, u16),
        environment: &[(&str, &str)],
        command: impl IntoIterator<Item = S>,
    ) -> Self {
        super::must_have(&["tmux"]);
        // A socket of its own each time: a server that is about to end would still answer there.
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let socket = place.root().join(format!("terminal-{number}"));
        let status = place.root().join(format!("terminal-{number}-status"));
        let mut run = place.command("tmux");
        for (name, value) in environment {
            run = run.env(name, value);
        }
        // The shell keeps the code of the command; tmux itself does not tell it.
        let script = "unset TMUX TMUX_PANE; \"$@\"; echo $? >\"$0.new\"; mv \"$0.new\" \"$0\"";
        let mut arguments: Vec<OsString> = ["-u", "-f", "/dev/null", "-S"].map(Into::into).into();
        arguments.push(socket.clone().into());
        arguments.extend(["new-session", "-d", "-x"].map(Into::into));
        arguments.extend([columns.to_string(), "-y".to_owned(), rows.to_string()].map(Into::into));
        arguments.extend(["sh", "-c", script].map(Into::into));
        arguments.push(status.clone().into());
        arguments.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        run.args(arguments).run().code(0);
        Self { place, socket, status }
    }

    /// Runs a tmux command against the server; its output.
    pub(crate) fn tmux(&self, arguments: &[&str]) -> String {
        self.place
            .command("tmux")
            .args([OsStr::new("-S"), self.socket.as_os_str()])
            .args(arguments)
            .run()
            .stdout
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Types text.
    pub(crate) fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Presses a key, by tmux's name for it.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Waits until the screen shows a text; the screen.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_one_of([text])
    }

    /// Waits until the screen shows one of these texts; the screen.
    #[track_caller]
    pub(crate) fn wait_for_one_of<const N: usize>(&self, texts: [&str; N]) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if texts.iter().any(|text| screen.contains(text)) {
                return screen;
            }
            assert!(Instant::now() < until, "none of {texts:?} on the screen:\n{screen}");
            assert!(!self.status.exists(), "the program ended without showing {texts:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the program has ended; its exit code.
    #[track_caller]
    pub(crate) fn wait(&self) -> i32 {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Ok(status) = std::fs::read_to_string(&self.status) {
                return status.trim().parse().unwrap();
            }
            assert!(Instant::now() < until, "still running; the screen:\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
