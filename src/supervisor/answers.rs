//! What the user's terminal answers to questions of the agent: it comes as if it were typed, some of
//! it after the agent has ended, and a shell would execute it (CVE-2008-2383, CVE-2022-45063 put words of
//! the asker into the answer). A terminal answers in order: what stands before the answer to a last
//! question of our own is none of the shell's. It must never wait long for a terminal that is silent.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::termios::{OptionalActions, Termios, tcsetattr};

/// CAN and ST end whatever the agent left open; then the one question that every terminal since the
/// VT100 answers: what it is (DA1).
const QUESTION: &[u8] = b"\x18\x1b\\\x1b[c";
/// How long the answer may take; the terminal may be at the other end of a slow line.
const PATIENCE: Duration = Duration::from_millis(500);
/// With one answer there, no other is on its way when nothing has come for so long: the agent may have
/// asked the same.
const QUIET: Duration = Duration::from_millis(50);
/// All of it takes no longer than this, however much the agent asked.
const MOST: Duration = Duration::from_secs(2);

/// Whether a terminal of this name (`$TERM`) knows the question.
pub(super) fn knows(name: Option<&std::ffi::OsStr>) -> bool {
    name.is_some_and(|name| !name.is_empty() && name != "dumb")
}

/// Reads all that comes before the terminal's answer to our question, and that, and forgets it. The
/// terminal, whose own settings are `before`, is left raw.
pub(super) fn throw_away(terminal: &OwnedFd, before: &Termios) -> io::Result<()> {
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(terminal, OptionalActions::Flush, &raw)?;
    write(terminal, QUESTION)?;
    let end = Instant::now() + MOST;
    let mut answers = Answers::default();
    let mut bytes = [0; 4096];
    while Instant::now() < end && is_ready(terminal, if answers.any { QUIET } else { PATIENCE })? {
        match read(terminal, &mut bytes) {
            Ok(0) => return Ok(()),
            Ok(length) => bytes[..length].iter().for_each(|byte| answers.take(*byte)),
            Err(Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}

fn is_ready(terminal: &OwnedFd, patience: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&timeout)) {
        Err(Errno::INTR) => Ok(true),
        other => Ok(other? > 0),
    }
}

/// Finds answers of the form `ESC [ ? NUMBERS c`.
#[derive(Debug, Default)]
struct Answers {
    /// How much of one has come.
    matched: usize,
    any: bool,
}

impl Answers {
    fn take(&mut self, byte: u8) {
        self.matched = match (self.matched, byte) {
            (_, 0x1b) => 1,
            (1, b'[') => 2,
            (2, b'?') | (3, b'0'..=b'9' | b';') => 3,
            (3, b'c') => {
                self.any = true;
                0
            }
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_form() {
        let any = |text: &str| {
            let mut answers = Answers::default();
            text.bytes().for_each(|byte| answers.take(byte));
            answers.any
        };
        for answer in ["\x1b[?6c", "touch x\r\x1b[?62;1;22c", "\x1b[?1\x1b[?1;2c"] {
            assert!(any(answer), "{answer:?}");
        }
        for other in ["", "\x1b[c", "\x1b[1;1R", "[?6c", "\x1b[?6$y", "\x1b[?6 c"] {
            assert!(!any(other), "{other:?}");
        }
    }

    #[test]
    fn a_terminal_without_a_name_is_not_asked() {
        assert!(knows(Some("xterm".as_ref())));
        assert!(!knows(Some("dumb".as_ref())) && !knows(Some("".as_ref())) && !knows(None));
    }
}
