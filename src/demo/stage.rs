//! What the demo shows and how it runs a command. Everything it prints of a command's output is
//! made visible first, like any other foreign text.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::TOOL_MARKER;
use crate::visible::visible;

/// Lines shown of one command's output.
const SHOWN_LINES: usize = 3;

/// Characters shown of one line.
const SHOWN_COLUMNS: usize = 72;

/// How long a person has for reading the end of the demo.
const READING_SECONDS: u8 = 60;

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Its exit code; 128 + the number of the signal that ended it; 127 where it did not start.
    pub(super) code: i32,
    /// Its standard output.
    pub(super) stdout: Vec<u8>,
}

/// The terminal, and the pace for whoever reads along.
#[derive(Debug)]
pub(super) struct Stage {
    out: anstream::AutoStream<std::io::Stdout>,
    pause: Duration,
}

impl Stage {
    /// With pauses for a reader only where there may be one.
    pub(super) fn new() -> Self {
        let pause = if std::io::stdout().is_terminal() { 700 } else { 0 };
        Self { out: anstream::stdout(), pause: Duration::from_millis(pause) }
    }

    /// Prints a line. A reader that has gone away is no failure of the demo.
    pub(super) fn say(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// What comes next, as an agent would announce it.
    pub(super) fn intend(&mut self, text: &str) {
        sleep(self.pause);
        let bold = anstyle::Style::new().bold();
        self.say(&format!("\n{bold}* {text}{bold:#}"));
    }

    /// Runs a command and shows it with the beginning of its output.
    pub(super) fn run(&mut self, argv: &[OsString]) -> Outcome {
        let dim = anstyle::Style::new().dimmed();
        self.say(&format!("{dim}  $ {}{dim:#}", shown(argv)));
        sleep(self.pause / 2);
        let Some((program, arguments)) = argv.split_first() else { return Outcome::default() };
        let result = Command::new(program)
            .args(arguments)
            .env(TOOL_MARKER, "1")
            .stdin(Stdio::null())
            .output();
        let (outcome, stderr) = match result {
            Ok(output) => {
                let signal = || output.status.signal().map_or(1, |signal| 128 + signal);
                let code = output.status.code().unwrap_or_else(signal);
                (Outcome { code, stdout: output.stdout }, output.stderr)
            }
            Err(error) => {
                let code = crate::error::exit::NOT_FOUND.into();
                (Outcome { code, stdout: Vec::new() }, error.to_string().into_bytes())
            }
        };
        self.show_output(&outcome.stdout);
        self.show_output(&stderr);
        if outcome.code != 0 {
            self.say(&format!("{dim}    exit code {}{dim:#}", outcome.code));
        }
        outcome
    }

    /// The verdict on one forbidden thing.
    pub(super) fn judge(&mut self, held: bool, refused: &str) {
        if held {
            let green = anstyle::AnsiColor::Green.on_default().bold();
            self.say(&format!("  {green}the sandbox held:{green:#} {refused}"));
        } else {
            self.wrong("this should have been refused, and was not");
        }
    }

    /// Something that should not have happened.
    pub(super) fn wrong(&mut self, text: &str) {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        self.say(&format!("  {red}{text}{red:#}"));
    }

    /// The last word.
    pub(super) fn verdict(&mut self, held: usize, of: usize) {
        sleep(self.pause);
        if held == of {
            let green = anstyle::AnsiColor::Green.on_default().bold();
            self.say(&format!("{green}All {of} attempts were refused.{green:#}"));
        } else {
            self.wrong(&format!("Only {held} of {of} attempts were refused."));
        }
    }

    /// Leaves the screen to the reader until Enter is pressed, or a minute has passed.
    pub(super) fn wait_for_reader(&mut self) {
        let stdin = std::io::stdin();
        if self.pause.is_zero() || !stdin.is_terminal() {
            return;
        }
        self.say("Press Enter to leave.");
        let enter = PollFd::new(std::os::fd::AsFd::as_fd(&stdin), PollFlags::POLLIN);
        // Interrupted or not: the demo is over.
        let _ = poll(&mut [enter], PollTimeout::from(u16::from(READING_SECONDS) * 1000));
    }

    fn show_output(&mut self, output: &[u8]) {
        let lines: Vec<&[u8]> = output.split(|&byte| byte == b'\n').collect();
        let lines = lines.strip_suffix(&[b"".as_slice()]).unwrap_or(&lines);
        for text in lines.iter().take(SHOWN_LINES) {
            let text: String = visible(text).chars().take(SHOWN_COLUMNS).collect();
            self.say(&format!("    {text}"));
        }
        if lines.len() > SHOWN_LINES {
            self.say(&format!("    (and {} more lines)", lines.len() - SHOWN_LINES));
        }
    }
}

/// The command as a person would type it.
fn shown(argv: &[OsString]) -> String {
    let words: Vec<_> = argv.iter().map(|word| word.as_bytes()).collect();
    // Fails for a NUL byte only, which no argument can hold.
    shlex::bytes::try_join(words).map(visible).unwrap_or_default()
}
