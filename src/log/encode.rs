//! One event as one line of the log, and back: `{"h":"<hash>","e":{<event>}}`.
//! It must never let a byte into a line that could act on a terminal: `cat` and `less` of the raw
//! file are safe, since argv is text that an attacker chose. It must never do I/O.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};

use super::chain::Hash;
use super::event::Event;
use crate::visible::is_invisible;

/// The longest line, its newline included, in bytes. The limits on argv keep lines far below it;
/// a reader takes a longer one for damage and passes over it without keeping it in memory.
pub const MAX_LINE: usize = 1 << 20;

const BEFORE_HASH: &[u8] = br#"{"h":""#;
const BEFORE_EVENT: &[u8] = br#"","e":"#;
const HEX: usize = 64;

/// The event as JSON: the exact bytes that the chain covers.
///
/// # Errors
/// None for the types in [`super::event`]; serde's signature asks for one.
pub fn event(event: &Event) -> serde_json::Result<Vec<u8>> {
    let mut raw = Vec::with_capacity(512);
    event.serialize(&mut Serializer::with_formatter(&mut raw, Safe))?;
    Ok(raw)
}

/// How long the line for an event of `raw` bytes is, its newline included.
pub fn line_length(raw: &[u8]) -> usize {
    BEFORE_HASH.len() + HEX + BEFORE_EVENT.len() + raw.len() + b"}\n".len()
}

/// Appends the whole line, its newline included.
pub fn line(hash: &Hash, raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(line_length(raw));
    out.extend_from_slice(BEFORE_HASH);
    out.extend_from_slice(hash.to_string().as_bytes());
    out.extend_from_slice(BEFORE_EVENT);
    out.extend_from_slice(raw);
    out.extend_from_slice(b"}\n");
}

/// Takes a line (without its newline) apart into the hash it claims and the bytes of its event.
///
/// The frame is fixed to the byte: a JSON parser would leave it open which of two `"e"` counts.
pub fn split(line: &[u8]) -> Option<(Hash, &[u8])> {
    let (hash, rest) = line.strip_prefix(BEFORE_HASH)?.split_at_checked(HEX)?;
    let raw = rest.strip_prefix(BEFORE_EVENT)?.strip_suffix(b"}")?;
    (raw.starts_with(b"{") && raw.ends_with(b"}")).then_some((Hash::parse(hash)?, raw))
}

/// The event in the bytes that [`split`] found. A kind this version does not know is
/// [`Event::Unknown`].
pub fn decode(raw: &[u8]) -> serde_json::Result<Event> {
    serde_json::from_slice(raw)
}

/// The JSON of an event that somebody else may have written, safe for a terminal.
///
/// Outside of its strings JSON is ASCII, so each character can be escaped where it stands; control
/// characters there are white space and go.
pub fn printable(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for ch in raw.chars().filter(|ch| !matches!(ch, '\t' | '\n' | '\r')) {
        if is_invisible(ch) {
            push_escape(&mut out, ch);
        } else {
            out.push(ch);
        }
    }
    out
}

/// JSON without white space in which everything that does not print is `\uXXXX`.
struct Safe;

impl Formatter for Safe {
    // serde_json calls this for the stretches that JSON itself does not oblige it to escape.
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut from = 0;
        for (at, ch) in fragment.char_indices().filter(|(_, ch)| is_invisible(*ch)) {
            writer.write_all(&fragment.as_bytes()[from..at])?;
            let mut escape = String::new();
            push_escape(&mut escape, ch);
            writer.write_all(escape.as_bytes())?;
            from = at + ch.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[from..])
    }
}

/// Appends `\uXXXX`, two of them above the basic plane (RFC 8259, section 7).
fn push_escape(out: &mut String, ch: char) {
    use std::fmt::Write as _;
    for unit in ch.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Bytes;
    use crate::log::event::Exec;
    use proptest::prelude::*;

    fn exec(argv: Vec<Vec<u8>>) -> Event {
        let argv = argv.into_iter().map(Bytes).collect();
        Event::Exec(Box::new(Exec { id: 1, argv, ..Exec::default() }))
    }

    #[test]
    fn what_does_not_print_is_escaped() {
        let raw =
            event(&exec(vec!["\u{1b}]0;x\u{7}\u{7f}\u{9b}\u{202e}\u{e0041}é".into()])).unwrap();
        let text = String::from_utf8(raw).unwrap();
        assert!(
            text.contains(r#""argv":["\u001b]0;x\u0007\u007f\u009b\u202e\udb40\udc41é"]"#),
            "{text}"
        );
    }

    #[test]
    fn the_frame_is_fixed() {
        let hash = Hash::default();
        let mut whole = Vec::new();
        line(&hash, br#"{"ev":"x"}"#, &mut whole);
        assert_eq!(whole.len(), line_length(br#"{"ev":"x"}"#));
        let whole = whole.strip_suffix(b"\n").unwrap();
        assert_eq!(split(whole), Some((hash, &br#"{"ev":"x"}"#[..])));
        for at in [0, 1, 5, 6, 70, 75, whole.len() - 1] {
            let mut changed = whole.to_vec();
            changed[at] = b'Z';
            assert_eq!(split(&changed), None, "byte {at}");
        }
        assert_eq!(split(b""), None);
    }

    #[test]
    fn unknown_kinds_and_fields_are_passed_over() {
        assert_eq!(decode(br#"{"ev":"comet","t":1,"x":[{}]}"#).unwrap(), Event::Unknown);
        assert!(matches!(
            decode(br#"{"ev":"notice","t":1,"kind":"a","text":"b","new":3}"#).unwrap(),
            Event::Notice(_)
        ));
    }

    proptest! {
        #[test]
        fn any_argv_survives_and_the_line_only_prints(argv: Vec<Vec<u8>>) {
            let event_in = exec(argv);
            let raw = event(&event_in).unwrap();
            let text = std::str::from_utf8(&raw).unwrap();
            prop_assert!(!text.chars().any(is_invisible));
            prop_assert_eq!(printable(text), text);
            prop_assert_eq!(decode(&raw).unwrap(), event_in);
        }

        #[test]
        fn any_string_survives(text: String) {
            let raw = event(&exec(vec![text.clone().into_bytes()])).unwrap();
            prop_assert_eq!(decode(&raw).unwrap(), exec(vec![text.into_bytes()]));
        }

        #[test]
        fn forged_json_stays_json_and_prints(text: String) {
            let forged = serde_json::to_string(&text).unwrap();
            let safe = printable(&forged);
            prop_assert!(!safe.chars().any(is_invisible));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }

        #[test]
        fn garbage_is_refused_not_fatal(bytes: Vec<u8>) {
            if let Some((_, raw)) = split(&bytes) {
                let _ = decode(raw);
            }
        }
    }
}
