//! tmux commands as argument vectors. `tmux_interface` knows the names and flags; what it cannot
//! say (percentages that every version takes, programs as an argv, bytes) is appended here. A
//! program is always given as an argv of two words or more: one word would go through a shell.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use tmux_interface::{
    AttachSession, CapturePane, DisplayMessage, HasSession, KillPane, KillServer, KillSession,
    NewSession, SelectPane, SetHook, SetOption, ShowHooks, SourceFile, SplitWindow, TmuxCommand,
    WaitFor,
};

use crate::profile::config::SplitDirection;

/// The name of the only session of a private server. As a target it is written `=cb:`, the one
/// form that is exact for sessions, windows and panes alike.
const SESSION: &str = "cb";
const TARGET: &str = "=cb:";

/// The wait-for(1) channel on which an attached client reports.
const ATTACHED: &str = "attached";

/// How much of the window the log pane takes.
const LOG_SIZE: &str = "35%";

/// One tmux command, or several that are carried out in order until one fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(Vec<OsString>);

impl Words {
    /// The words of a command; each is taken literally.
    fn of(command: &TmuxCommand<'_>) -> Self {
        Self::default().literals(command.to_vec().iter().map(|word| OsStr::new(word.as_ref())))
    }

    fn literals(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.extend(words.into_iter().map(|word| literal(word.as_ref())));
        self
    }

    /// Goes on with another command.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.0.push(";".into());
        self.0.extend(next.0);
        self
    }

    /// The arguments for tmux, after its own options.
    pub fn as_args(&self) -> &[OsString] {
        &self.0
    }
}

/// tmux takes a `;` at the end of any argument for a separator, unless a backslash stands before it.
fn literal(word: &OsStr) -> OsString {
    let mut bytes = word.as_bytes().to_vec();
    if bytes.last() == Some(&b';') {
        bytes.insert(bytes.len() - 1, b'\\');
    }
    OsString::from_vec(bytes)
}

/// From this width on, columns, the log has the 40 in which it reads well, beside an agent with 75.
const WIDE: u16 = 115;

/// Whether the window is divided into a left and a right part: as asked, or when it is wide enough, and
/// at least three times as wide as high.
pub fn side_by_side(direction: SplitDirection, (columns, rows): (u16, u16)) -> bool {
    match direction {
        SplitDirection::Auto => columns >= WIDE && u32::from(columns) >= 3 * u32::from(rows),
        SplitDirection::Horizontal => true,
        SplitDirection::Vertical => false,
    }
}

/// A detached session with one pane that runs `program`; answers with the pane's id. The size is
/// the user's terminal: tmux would begin with 80x24 and divide what comes later evenly.
pub fn new_session((columns, rows): (u16, u16), program: &[OsString]) -> Words {
    let command = NewSession::new()
        .detached()
        .print()
        .format("#{pane_id}")
        .session_name(SESSION)
        .window_name("agent")
        .width(columns.into())
        .height(rows.saturating_sub(1).into()) // The status line takes a row.
        .build();
    Words::of(&command).literals(program)
}

/// A pane beside `pane` that runs `program`; answers with its id. `-p` fails on 3.4, `-l N%` does not.
pub fn split(
    pane: &str,
    side_by_side: bool,
    environment: &[(OsString, OsString)],
    program: &[OsString],
) -> Words {
    let split = SplitWindow::new().detached().print().target_pane(pane).format("#{pane_id}");
    let split = if side_by_side { split.horizontal() } else { split.vertical() };
    let mut words = Words::of(&split.build()).literals(["-l", LOG_SIZE]);
    for (name, value) in environment {
        let mut pair = name.clone();
        pair.push("=");
        pair.push(value);
        words = words.literals([OsString::from("-e"), pair]);
    }
    words.literals(program)
}

/// Ends the session when the process in `pane` ends. A hook of the pane itself would die with it
/// and never run, one of the session with its last pane; `pane-died` with `remain-on-exit` gets
/// lost on tmux before 3.6 where that is built with utempter.
pub fn end_with(pane: &str) -> Words {
    // tmux parses a hook's command again: the crate's builder, which does not quote, stays out.
    let is_it = format!("#{{==:#{{hook_pane}},{pane}}}");
    let command = format!("if-shell -F '{is_it}' 'kill-session -t {TARGET}'");
    Words::of(&SetHook::new().global().hook_name("pane-exited").command(command).build())
}

/// Ends every session but ours: a user's configuration may open some, and the server would stay.
pub fn kill_other_sessions() -> Words {
    Words::of(&KillSession::new().all().target_session(TARGET).build())
}

/// Names a pane, in a place that programs in it cannot write to.
pub fn name_pane(pane: &str, name: &str) -> Words {
    let set = SetOption::new().pane().target_pane(pane).option("@claudebox").value(name);
    Words::of(&set.build())
}

/// Sets the title of a pane in a server that is not ours.
pub fn title_pane(pane: &str, title: &str) -> Words {
    Words::of(&SelectPane::new().target_pane(pane).title(title).build())
}

/// Reads a configuration file. Errors come back on the client's output, where `-f` would show them
/// in a page over the agent's pane.
pub fn source(path: &OsStr) -> Words {
    Words::of(&SourceFile::new().build()).literals([glob_literal(path)])
}

/// source-file(1) takes its argument for a glob(7) pattern.
fn glob_literal(path: &OsStr) -> OsString {
    let mut bytes = Vec::new();
    for &byte in path.as_bytes() {
        if b"*?[]{}\\".contains(&byte) {
            bytes.push(b'\\');
        }
        bytes.push(byte);
    }
    OsString::from_vec(bytes)
}

/// Shows the terminal the session, then reports on a channel; see [`wait_attached`].
pub fn attach_and_report() -> Words {
    attach().then(Words::of(&WaitFor::new().woken().channel(ATTACHED).build()))
}

/// Returns when a client has attached, or when the server is gone.
pub fn wait_attached() -> Words {
    Words::of(&WaitFor::new().channel(ATTACHED).build())
}

/// Shows the terminal the session.
pub fn attach() -> Words {
    Words::of(&AttachSession::new().target_session(TARGET).build())
}

/// Fails unless the session is there.
pub fn has_session() -> Words {
    Words::of(&HasSession::new().target_session(TARGET).build())
}

/// Ends every pane and client of a server.
pub fn kill_server() -> Words {
    Words::of(&KillServer::new().build())
}

/// Closes a pane.
pub fn kill_pane(pane: &str) -> Words {
    Words::of(&KillPane::new().target_pane(pane).build())
}

/// The terminal of a pane.
pub fn pane_terminal(pane: &str) -> Words {
    let show = DisplayMessage::new().print().target_pane(pane).message("#{pane_tty}");
    Words::of(&show.build())
}

/// What a pane shows, as plain text.
pub fn screen(pane: &str) -> Words {
    Words::of(&CapturePane::new().stdout().target_pane(pane).build())
}

/// The hooks that are set, wherever hooks can be.
pub fn hooks() -> Words {
    let show = |hooks: ShowHooks<'_>| Words::of(&hooks.build());
    show(ShowHooks::new().global())
        .then(show(ShowHooks::new().global().window()))
        .then(show(ShowHooks::new().target_pane(TARGET)))
        .then(show(ShowHooks::new().window().target_pane(TARGET)))
        .then(show(ShowHooks::new().pane().target_pane(TARGET)))
}

/// Takes a hook away, wherever it was set.
pub fn drop_hook(name: &str) -> Words {
    let unset = || SetHook::new().unset().hook_name(name);
    let drop = |hook: SetHook<'_>| Words::of(&hook.build());
    drop(unset().global())
        .then(drop(unset().target_session(TARGET)))
        .then(drop(unset().window().target_session(TARGET)))
        .then(drop(unset().pane().target_session(TARGET)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn shown(words: &Words) -> String {
        words.as_args().iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn commands() {
        let program: Vec<OsString> =
            ["/bin/claudebox", "__supervise", "4k7xq2ab"].map(Into::into).into();
        let environment = [("HOME".into(), "/h".into()), ("XDG_STATE_HOME".into(), "/s".into())];
        let all = [
            new_session((200, 50), &program),
            split("%0", true, &[], &program),
            split("%0", false, &environment, &program),
            end_with("%0"),
            kill_other_sessions(),
            name_pane("%1", "commands"),
            title_pane("%1", "commands"),
            source(OsStr::new("/home/a [b]/.tmux.conf")),
            attach_and_report(),
            wait_attached(),
            has_session(),
            kill_server(),
            kill_pane("%1"),
            pane_terminal("%1"),
            screen("%1"),
            hooks(),
            drop_hook("alert-bell"),
        ];
        assert_snapshot!(all.iter().map(shown).collect::<Vec<_>>().join("\n"), @r"
        new-session -d -P -F #{pane_id} -n agent -s cb -x 200 -y 49 /bin/claudebox __supervise 4k7xq2ab
        split-window -d -h -P -t %0 -F #{pane_id} -l 35% /bin/claudebox __supervise 4k7xq2ab
        split-window -d -v -P -t %0 -F #{pane_id} -l 35% -e HOME=/h -e XDG_STATE_HOME=/s /bin/claudebox __supervise 4k7xq2ab
        set-hook -g pane-exited if-shell -F '#{==:#{hook_pane},%0}' 'kill-session -t =cb:'
        kill-session -a -t =cb:
        set-option -p -t %1 @claudebox commands
        select-pane -T commands -t %1
        source-file /home/a \[b\]/.tmux.conf
        attach-session -t =cb: ; wait-for -S attached
        wait-for attached
        has-session -t =cb:
        kill-server
        kill-pane -t %1
        display-message -p -t %1 #{pane_tty}
        capture-pane -p -t %1
        show-hooks -g ; show-hooks -g -w ; show-hooks -t =cb: ; show-hooks -w -t =cb: ; show-hooks -p -t =cb:
        set-hook -g -u alert-bell ; set-hook -u -t =cb: alert-bell ; set-hook -u -w -t =cb: alert-bell ; set-hook -p -u -t =cb: alert-bell
        ");
    }

    #[test]
    fn a_semicolon_at_the_end_stays_text() {
        let words = Words::default().literals(["fix it;", "a;b", ";", r"c\;"]);
        assert_eq!(words.as_args(), [r"fix it\;", "a;b", r"\;", r"c\\;"]);
    }

    /// The commands that tmux sees (`cmd_parse_from_arguments` of its cmd-parse.y).
    fn read(args: &[OsString]) -> Vec<Vec<Vec<u8>>> {
        let mut commands = vec![Vec::new()];
        for arg in args {
            let mut bytes = arg.as_bytes().to_vec();
            let mut ends = false;
            if bytes.last() == Some(&b';') {
                bytes.pop();
                match bytes.last_mut() {
                    Some(last @ b'\\') => *last = b';',
                    _ => ends = true,
                }
            }
            if !ends || !bytes.is_empty() {
                commands.last_mut().unwrap().push(bytes);
            }
            if ends {
                commands.push(Vec::new());
            }
        }
        commands
    }

    proptest! {
        #[test]
        fn no_word_ends_a_command_or_becomes_another(
            words in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(1_u8.., 0..9),
                    "[;\\\\a#-]{0,5}".prop_map(String::into_bytes),
                ], 1..6),
        ) {
            let taken = words.iter().map(|word| OsStr::from_bytes(word));
            prop_assert_eq!(read(Words::default().literals(taken).as_args()), [words]);
        }
    }

    #[test]
    fn wide_terminals_are_split_side_by_side() {
        let auto = SplitDirection::Auto;
        assert!(side_by_side(auto, (150, 50)));
        assert!(!side_by_side(auto, (149, 50)));
        // The log would have 28 columns.
        assert!(side_by_side(auto, (115, 24)) && !side_by_side(auto, (80, 24)));
        assert!(side_by_side(SplitDirection::Horizontal, (80, 50)));
        assert!(!side_by_side(SplitDirection::Vertical, (300, 50)));
    }
}
