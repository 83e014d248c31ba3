//! Where a person reads about the findings, and how wide it is. A name that is broken at the
//! terminal's edge goes on at the beginning of a line, where it can read as words of claudebox's:
//! nothing that an agent wrote may reach the edge.

use std::io::Write;

use crate::log::{quote, text};

/// No name is cut shorter than this, however narrow the terminal is.
const LEAST: usize = 16;

/// Where it is told.
pub struct Screen<'a> {
    /// Takes the lines.
    pub out: &'a mut dyn Write,
    /// How many columns there are; `None` where lines may be long.
    pub columns: Option<usize>,
}

impl<'a> Screen<'a> {
    /// Standard error by this name, as wide as its terminal.
    pub fn stderr(out: &'a mut dyn Write) -> Self {
        Self { out, columns: columns() }
    }
}

/// The columns of the terminal that standard error is.
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A path as it would be typed, quoted where anything in it is not plain (spaces make one line look
/// like two), and cut so that beside it there is room for so many columns of ours.
pub(super) fn name(path: &[u8], columns: Option<usize>, beside: usize) -> String {
    let word = quote::word(path);
    match columns {
        Some(columns) => {
            text::fit(&word, columns.saturating_sub(beside).max(columns / 2).max(LEAST))
        }
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_a_name_is_one_word_and_ends_before_the_edge() {
        let forged = b"a\x20\x20\x20\x20 .envrc (new): [k]eep";
        assert_eq!(name(forged, None, 0), "'a     .envrc (new): [k]eep'");
        assert_eq!(name(forged, Some(40), 20), "'a     .envrc …(+14)");
        assert_eq!(name(b" .envrc", Some(80), 0), "' .envrc'");
        // Control: what is plain stays plain.
        assert_eq!(name(b"a/.envrc", Some(80), 0), "a/.envrc");
        assert_eq!(name("é/日.json".as_bytes(), Some(80), 0), "é/日.json");
    }
}
