//! The configuration of claudebox's own tmux server: what is set before the user's files, which
//! may change it, and what is set after them, which they may not. It must never let text that the
//! agent controls (titles, its directory, its program's name) into a format that tmux expands by
//! itself: a `#(git -C #{pane_current_path} ...)` of a status line runs on the host, in a
//! directory and by a name that the agent chose.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::visible::visible;

/// What the configuration depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The session's id.
    pub session: &'a str,
    /// The profile's name.
    pub profile: &'a str,
    /// The network mode.
    pub network: &'a str,
    /// This program, absolute.
    pub executable: &'a OsStr,
    /// The name that programs in a pane know their terminal by.
    pub terminal: &'a str,
}

/// Loaded before the user's files.
///
/// `extended-keys` lets Shift+Enter through (as `CSI 13;2u`; 3.5 has a format of its own unless
/// told). `escape-time` was half a second before 3.5, and Esc is how agents are interrupted.
pub fn before(facts: &Facts<'_>) -> String {
    let terminal = facts.terminal;
    format!(
        "set -g default-terminal {terminal}\n\
         set -g history-limit 50000\n\
         set -s escape-time 10\n\
         set -s extended-keys always\n\
         set -qs extended-keys-format csi-u\n\
         set -as terminal-features '*:extkeys'\n\
         set -s focus-events on\n\
         set -g mouse on\n\
         bind m set -g mouse\n\
         bind c new-window -n shell\n"
    )
}

/// Loaded after the user's files; `agent` is the id of the agent's pane.
pub fn after(facts: &Facts<'_>, agent: &str, side_by_side: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for (scope, option, value) in fixed(facts) {
        text.extend(scope.set(option, &value));
    }
    let split = if side_by_side { "-h" } else { "-v" };
    text.extend(format!("bind L split-window -d {split} -l 35% -t {agent} ").bytes());
    let log =
        [facts.executable, OsStr::new("log"), OsStr::new("--follow"), OsStr::new(facts.session)];
    text.extend(log.map(|word| quote(word.as_bytes())).join(&b' '));
    text.push(b'\n');
    text
}

/// Where an option lives. A user's file can set it for all or for what is there already.
#[derive(Clone, Copy)]
enum Scope {
    Server,
    Session,
    Window,
}

impl Scope {
    /// The lines that set an option everywhere; no value means the default. `-q`: an option that
    /// this tmux does not have yet is none to worry about.
    fn set(self, option: &str, value: &Value) -> Vec<u8> {
        let (all, local) = match self {
            Self::Server => ("-s", None),
            Self::Session => ("-g", Some("-u -t =cb:")),
            Self::Window => ("-gw", Some("-wU -t =cb:")),
        };
        let mut line = match value {
            Value::Default => format!("set -q {all} -u {option}").into_bytes(),
            Value::Text(text) => {
                let mut line = format!("set -q {all} {option} ").into_bytes();
                line.extend(quote(text));
                line
            }
        };
        line.push(b'\n');
        if let Some(local) = local {
            line.extend(format!("set -q {local} {option}\n").bytes());
        }
        line
    }
}

enum Value {
    Default,
    Text(Vec<u8>),
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// The options that are claudebox's to say.
fn fixed(facts: &Facts<'_>) -> Vec<(Scope, &'static str, Value)> {
    use Scope::{Server, Session, Window};
    let (session, profile) = (facts.session, format_literal(facts.profile));
    let network = format_literal(facts.network);
    vec![
        // The session lives exactly as long as the agent's pane.
        (Server, "exit-empty", text("on")),
        (Server, "exit-unattached", text("off")),
        (Session, "destroy-unattached", text("off")),
        (Session, "detach-on-destroy", text("on")),
        (Window, "remain-on-exit", text("off")),
        // A new pane opens inside the sandbox, and gets nothing of a client's environment.
        (Session, "default-command", Value::Text(shell_command(facts))),
        (Session, "update-environment", text("")),
        // What the agent prints stays in its pane.
        (Server, "set-clipboard", text("off")),
        (Window, "allow-passthrough", text("off")),
        (Window, "allow-rename", text("off")),
        (Window, "allow-set-title", text("off")),
        (Window, "automatic-rename", text("off")),
        (Window, "automatic-rename-format", Value::Default),
        // Every format that tmux expands by itself.
        (Session, "set-titles", text("off")),
        (Session, "status-format", Value::Default),
        (Session, "status-left-length", text("60")),
        (
            Session,
            "status-left",
            Value::Text(format!(" claudebox {session} | {profile} | network {network} ").into()),
        ),
        (Session, "status-right", text(" #{prefix} d detaches ")),
        (Window, "window-status-format", Value::Default),
        (Window, "window-status-current-format", Value::Default),
        (Window, "pane-border-status", text("top")),
        (Window, "pane-border-format", text(" #{?@claudebox,#{@claudebox},shell} ")),
    ]
}

/// `default-command` goes through the user's shell, whichever that is; all take single quotes.
fn shell_command(facts: &Facts<'_>) -> Vec<u8> {
    let mut command = quote(facts.executable.as_bytes());
    command.extend(format!(" __shell {}", facts.session).bytes());
    command
}

/// Quotes a word for tmux's parser, and for sh.
fn quote(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Text that a format shows as it is: neither `#` nor strftime(3)'s `%` means anything in it.
fn format_literal(text: &str) -> String {
    visible(text).replace('#', "##").replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::cases;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn facts() -> Facts<'static> {
        Facts {
            session: "4k7xq2ab",
            profile: "it's #(touch x) 100%",
            network: "host",
            executable: OsStr::new("/opt/a b/claudebox"),
            terminal: "tmux-256color",
        }
    }

    proptest! {
        #![proptest_config(cases(64))]

        /// sh(1) reads it so; tmux's parser takes single quotes as sh does.
        #[test]
        fn a_quoted_word_is_one_word(word in proptest::collection::vec(1_u8.., 0..20)) {
            let mut script = b"printf %s ".to_vec();
            script.extend(quote(&word));
            let output = std::process::Command::new("sh")
                .args([OsStr::new("-c"), OsStr::from_bytes(&script)])
                .output()
                .unwrap();
            prop_assert_eq!(output.stdout, word);
        }

        /// As tmux's `format_expand` reads it: `##` is `#`, and `%%` is `%` to strftime(3).
        #[test]
        fn a_name_in_a_format_is_itself(name in "[#%(){}\\[\\]a-z]{0,12}") {
            let literal = format_literal(&name);
            prop_assert_eq!(literal.replace("##", "#").replace("%%", "%"), &*name);
            let odd = |of: char| literal.split(|ch| ch != of).any(|run| run.len() % 2 == 1);
            prop_assert!(!odd('#') && !odd('%'), "{}", literal);
        }
    }

    #[test]
    fn before_the_users_files() {
        assert_snapshot!(before(&facts()), @"
        set -g default-terminal tmux-256color
        set -g history-limit 50000
        set -s escape-time 10
        set -s extended-keys always
        set -qs extended-keys-format csi-u
        set -as terminal-features '*:extkeys'
        set -s focus-events on
        set -g mouse on
        bind m set -g mouse
        bind c new-window -n shell
        ");
    }

    #[test]
    fn after_the_users_files() {
        let text = String::from_utf8(after(&facts(), "%0", true)).unwrap();
        assert_snapshot!(text, @r"
        set -q -s exit-empty 'on'
        set -q -s exit-unattached 'off'
        set -q -g destroy-unattached 'off'
        set -q -u -t =cb: destroy-unattached
        set -q -g detach-on-destroy 'on'
        set -q -u -t =cb: detach-on-destroy
        set -q -gw remain-on-exit 'off'
        set -q -wU -t =cb: remain-on-exit
        set -q -g default-command ''\''/opt/a b/claudebox'\'' __shell 4k7xq2ab'
        set -q -u -t =cb: default-command
        set -q -g update-environment ''
        set -q -u -t =cb: update-environment
        set -q -s set-clipboard 'off'
        set -q -gw allow-passthrough 'off'
        set -q -wU -t =cb: allow-passthrough
        set -q -gw allow-rename 'off'
        set -q -wU -t =cb: allow-rename
        set -q -gw allow-set-title 'off'
        set -q -wU -t =cb: allow-set-title
        set -q -gw automatic-rename 'off'
        set -q -wU -t =cb: automatic-rename
        set -q -gw -u automatic-rename-format
        set -q -wU -t =cb: automatic-rename-format
        set -q -g set-titles 'off'
        set -q -u -t =cb: set-titles
        set -q -g -u status-format
        set -q -u -t =cb: status-format
        set -q -g status-left-length '60'
        set -q -u -t =cb: status-left-length
        set -q -g status-left ' claudebox 4k7xq2ab | it'\''s ##(touch x) 100%% | network host '
        set -q -u -t =cb: status-left
        set -q -g status-right ' #{prefix} d detaches '
        set -q -u -t =cb: status-right
        set -q -gw -u window-status-format
        set -q -wU -t =cb: window-status-format
        set -q -gw -u window-status-current-format
        set -q -wU -t =cb: window-status-current-format
        set -q -gw pane-border-status 'top'
        set -q -wU -t =cb: pane-border-status
        set -q -gw pane-border-format ' #{?@claudebox,#{@claudebox},shell} '
        set -q -wU -t =cb: pane-border-format
        bind L split-window -d -h -l 35% -t %0 '/opt/a b/claudebox' 'log' '--follow' '4k7xq2ab'
        ");
    }
}
