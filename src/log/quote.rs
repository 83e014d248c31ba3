//! Arguments as a person would type them into bash: what is shown, typed again, is the same argv.
//! It must never let two different argument lists look alike, nor a character that does not print
//! through to the terminal.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::bytes::Bytes;
use crate::visible::is_invisible;

/// Stands for a newline in the text of a shell script.
const NEWLINE: char = '⏎';
/// Stands for a tab in the text of a shell script.
const TAB: char = '⇥';

/// One argument, quoted only where it must be.
pub fn word(bytes: &[u8]) -> String {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(prints)) else {
        return ansi_c(bytes);
    };
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    if !text.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{text}\"");
    }
    ansi_c(bytes)
}

/// The first argument. An assignment in its place would be one, not a program's name.
pub fn program(bytes: &[u8]) -> String {
    let word = word(bytes);
    if word.contains('=') && !word.starts_with(['\'', '"', '$']) {
        return format!("'{word}'");
    }
    word
}

/// All arguments after the program.
pub fn arguments(argv: &[Bytes]) -> String {
    argv.iter().fold(String::new(), |mut out, argument| {
        out.push(' ');
        out.push_str(&word(&argument.0));
        out
    })
}

/// The text of a shell script, as it would be typed, on one line. `None` where it holds something
/// that only quoting could show.
pub fn script(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes)
        .ok()?
        .chars()
        .map(|ch| match ch {
            '\n' => Some(NEWLINE),
            '\t' => Some(TAB),
            NEWLINE | TAB => None,
            ch => prints(ch).then_some(ch),
        })
        .collect()
}

/// Whether a character shows as itself: no control, no invisible one, no space but U+0020.
fn prints(ch: char) -> bool {
    !is_invisible(ch) && (ch == ' ' || !ch.is_whitespace())
}

/// Whether bash takes a character for itself wherever it stands in a word.
fn is_plain(ch: char) -> bool {
    ch.is_ascii_alphanumeric() || "_@%+=:,./-".contains(ch) || (!ch.is_ascii() && prints(ch))
}

/// `$'...'`, bash(1), "QUOTING".
fn ansi_c(bytes: &[u8]) -> String {
    let mut out = "$'".to_owned();
    for chunk in bytes.utf8_chunks() {
        for ch in chunk.valid().chars() {
            match ch {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x1b' => out.push_str("\\e"),
                '\'' | '\\' => out.extend(['\\', ch]),
                ch if prints(ch) => out.push(ch),
                ch => push_escape(&mut out, ch),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('\'');
    out
}

fn push_escape(out: &mut String, ch: char) {
    let _ = match u32::from(ch) {
        code @ ..0x80 => write!(out, "\\x{code:02x}"),
        code @ ..0x1_0000 => write!(out, "\\u{code:04x}"),
        code => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn words_read_as_typed() {
        let cases: [(&[u8], &str); 12] = [
            (b"ls", "ls"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"it's", "\"it's\""),
            (b"it's $5", "$'it\\'s $5'"),
            (b"*.c", "'*.c'"),
            (b"~", "'~'"),
            ("é".as_bytes(), "é"),
            (b"a\nb", "$'a\\nb'"),
            (b"\x1b[31m", "$'\\e[31m'"),
            (b"\xffz", "$'\\xffz'"),
            ("\u{202e}x\u{a0}".as_bytes(), "$'\\u202ex\\u00a0'"),
        ];
        for (bytes, want) in cases {
            assert_eq!(word(bytes), want);
        }
        assert_eq!(program(b"A=b"), "'A=b'");
        assert_eq!(program(b"A=b c"), "'A=b c'");
    }

    #[test]
    fn a_script_stays_on_one_line() {
        assert_eq!(script(b"a\n\tb").unwrap(), "a⏎⇥b");
        for bytes in [&b"\x1b"[..], "⏎".as_bytes(), b"\xff", "\u{2028}".as_bytes(), b"\r"] {
            assert_eq!(script(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn bash_reads_the_same_words(
            argv in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(1_u8.., 0..12),
                    "[ -~]{0,12}".prop_map(String::into_bytes),
                    any::<String>().prop_map(|text| text.replace('\0', "").into_bytes()),
                ], 1..5),
        ) {
            let argv: Vec<_> = argv.into_iter().map(Bytes).collect();
            let typed = format!("printf '%s\\0'{}", arguments(&argv));
            prop_assert!(typed.chars().all(prints));
            let out = Command::new("bash")
                .args(["--norc", "-c", &typed])
                .env("LC_ALL", "C.UTF-8")
                .output()
                .unwrap();
            let mut want = Vec::new();
            for argument in &argv {
                want.extend_from_slice(&argument.0);
                want.push(0);
            }
            prop_assert_eq!(out.stdout, want, "{}", typed);
        }

        #[test]
        fn a_program_is_never_an_assignment(name in "[A-Za-z_]{1,3}=[ -~]{0,5}") {
            let shown = program(name.as_bytes());
            let out = Command::new("bash").args(["--norc", "-c", &format!("{shown} 2>&-")]).status();
            prop_assert_eq!(out.unwrap().code(), Some(127), "{}", shown);
        }
    }
}
