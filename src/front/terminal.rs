//! The user's terminal while a tmux client has it. tmux puts it right at the end, unless its server
//! was killed: then the shell would be left on the other screen, without echo, and with every move of
//! the mouse typed into it. It must never write to a terminal that tmux has left in order.

use std::io::{self, Write as _};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// What tmux switches on, off: the scrolling region, mouse, focus and paste reports, keypad and extended
/// keys, a hidden cursor, colours, the alternate screen (last: it brings the cursor back).
const LEAVE: &[u8] = b"\x1b[r\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1004l\
    \x1b[?2004l\x1b[>4m\x1b[?1l\x1b>\x1b[?25h\x1b(B\x1b[m\x1b[?1049l";

/// How the terminal of standard input was set; nothing where it is none.
pub(super) struct Before(Option<Termios>);

impl Before {
    /// Looks at it, before tmux comes.
    pub(super) fn look() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// Puts it right if nobody has. What was typed meanwhile was typed for the agent.
    pub(super) fn put_right(&self) {
        let Some(before) = &self.0 else { return };
        let same = |now: Termios| {
            now.local_modes == before.local_modes && now.input_modes == before.input_modes
        };
        if tcgetattr(io::stdin()).is_ok_and(same) {
            return;
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        let mut out = io::stdout().lock();
        let _ = out.write_all(LEAVE).and_then(|()| out.flush());
    }
}
