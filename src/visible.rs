//! Makes foreign text safe for a terminal. Argv, paths, branch names and profile names are written
//! by an attacker; whatever is not printable becomes visible text before any terminal sees it.
//! It must never let a control byte, a bidirectional override or an invisible character through
//! (CVE-2023-28101 is that mistake in another launcher).
#![forbid(unsafe_code)]

mod assigned;

use std::fmt::Write as _;

/// The text with everything that is not printable made visible: C0, DEL and C1 and invalid bytes
/// as `\xNN` (newline and tab as `\n`, `\t`), invisible and direction-changing characters as
/// `\u{NNNN}`, a backslash as it is.
pub fn visible(bytes: impl AsRef<[u8]>) -> String {
    let mut out = String::with_capacity(bytes.as_ref().len());
    for chunk in bytes.as_ref().utf8_chunks() {
        for ch in chunk.valid().chars() {
            push_visible(&mut out, ch);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The path, safe for a terminal.
pub fn visible_path(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    visible(path.as_os_str().as_bytes())
}

/// Appends one character, visibly.
pub fn push_visible(out: &mut String, ch: char) {
    match ch {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        ch if ch.is_ascii_control() => {
            let _ = write!(out, "\\x{:02x}", u32::from(ch));
        }
        ch if is_invisible(ch) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(ch));
        }
        ch => out.push(ch),
    }
}

/// Whether a character shows as nothing, moves the cursor or changes the reading direction
/// (Unicode categories Cc, Cf, Zl, Zp, private use, and the fillers that render as blank), or is none
/// at all: what is unassigned, noncharacters too, tmux drops, and so two names would look alike.
pub fn is_invisible(ch: char) -> bool {
    ch.is_control()
        || !ch.is_ascii() && !is_in(&assigned::ASSIGNED, ch)
        || matches!(u32::from(ch),
            0x00ad | 0x034f | 0x0600..=0x0605 | 0x061c | 0x06dd | 0x070f | 0x0890..=0x0891 | 0x08e2
            | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164 | 0xe000..=0xf8ff
            | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x110bd | 0x110cd
            | 0x13430..=0x13440 | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff
            | 0xf0000..=0x0010_ffff)
}

/// Whether a character is in one of the runs, which are in order: the first and the last of each.
pub(crate) fn is_in(runs: &[(u32, u32)], ch: char) -> bool {
    let ch = u32::from(ch);
    let at = runs.partition_point(|(_, last)| *last < ch);
    runs.get(at).is_some_and(|(first, _)| *first <= ch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_become_text() {
        assert_eq!(visible(b"a\x1b]0;PWN\x07b"), "a\\x1b]0;PWN\\x07b");
        assert_eq!(visible("x\u{202e}y\u{200b}".as_bytes()), "x\\u{202e}y\\u{200b}");
        assert_eq!(visible(b"\xff\xc2\x9b"), "\\xff\\u{9b}");
    }

    #[test]
    fn attack_what_is_no_character_does_not_vanish() {
        let odd = "a\u{378}b\u{fdd0}c\u{fffe}d\u{ffff}e\u{1fffe}f\u{10ffff}g\u{e0fff}";
        assert_eq!(
            visible(odd),
            "a\\u{378}b\\u{fdd0}c\\u{fffe}d\\u{ffff}e\\u{1fffe}f\\u{10ffff}g\\u{e0fff}"
        );
        // Control: the assigned next to them, and what stands for invalid text.
        assert_eq!(visible("\u{377}\u{37a}\u{fffd}\u{fdcf}"), "\u{377}\u{37a}\u{fffd}\u{fdcf}");
    }

    proptest! {
        #[test]
        fn no_control_byte_ever_comes_out(bytes: Vec<u8>) {
            prop_assert!(visible(bytes).chars().all(|ch| !is_invisible(ch)));
        }

        /// By Unicode's own tables: controls, format characters (bidirectional and zero width),
        /// line and paragraph separators, private use, unassigned.
        #[test]
        fn what_does_not_print_is_known(text in "[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Co}\\p{Cn}]{64}") {
            let shows = text.chars().find(|ch| !is_invisible(*ch));
            prop_assert_eq!(shows.map(u32::from), None);
            let shown = visible(&text);
            let ascii = shown.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            prop_assert!(ascii, "{}", shown);
        }

        /// Invisible by the Unicode property, and letters that render as nothing.
        #[test]
        fn what_is_ignored_when_rendered_is_known(text in "[\\p{Default_Ignorable_Code_Point}\u{2800}]{64}") {
            let shows = text.chars().find(|ch| !is_invisible(*ch));
            prop_assert_eq!(shows.map(u32::from), None);
        }

        /// What Unicode had assigned when the terminals of today were made.
        #[test]
        fn letters_of_every_script_stay(text in "[[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}&&\\p{age=14.0}]--\\p{Default_Ignorable_Code_Point}\u{2800}]{0,20}") {
            prop_assert_eq!(visible(&text), text);
        }

        #[test]
        fn printable_ascii_stays(text in "[ -~]*") {
            prop_assert_eq!(visible(&text), text);
        }
    }
}
