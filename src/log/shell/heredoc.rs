//! Here-documents: lines that are data. Where they end must be what every shell makes of them, or
//! the rest of the script is taken for commands that are none.
#![forbid(unsafe_code)]

use super::parser::Parser;

/// A here-document whose body is still to come.
pub(super) struct Heredoc {
    delimiter: Vec<u8>,
    /// `<<-`: tabs before the delimiter do not count.
    indented: bool,
    /// Nothing in its body is expanded.
    quoted: bool,
}

impl Parser<'_> {
    /// `<<` and a delimiter that is plain, or quoted as a whole.
    pub(super) fn heredoc(&mut self) -> Option<()> {
        self.eat(b"<<").then_some(())?;
        let indented = self.eat(b"-");
        while self.eat(b" ") || self.eat(b"\t") {}
        let quote = self.peek().filter(|byte| matches!(byte, b'\'' | b'"'));
        if quote.is_some() {
            self.next();
        }
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let length = self.rest.iter().take_while(|byte| is_plain(byte)).count();
        let (delimiter, rest) = self.rest.split_at(length);
        self.rest = rest;
        if let Some(quote) = quote {
            self.eat(&[quote]).then_some(())?;
        }
        let ends = matches!(
            self.peek(),
            None | Some(b' ' | b'\t' | b'\n' | b';' | b'|' | b'&' | b'>' | b')')
        );
        (ends && length > 0).then_some(())?;
        self.heredocs.push(Heredoc {
            delimiter: delimiter.to_vec(),
            indented,
            quoted: quote.is_some(),
        });
        Some(())
    }

    /// Passes over the bodies that begin here.
    pub(super) fn skip_heredocs(&mut self) -> Option<()> {
        for Heredoc { delimiter, indented, quoted } in std::mem::take(&mut self.heredocs) {
            loop {
                if self.rest.is_empty() {
                    return None;
                }
                let end = self.rest.iter().position(|byte| *byte == b'\n');
                let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest.get(1..).unwrap_or_default();
                let tabs = line.iter().take_while(|byte| indented && **byte == b'\t').count();
                let line = &line[tabs..];
                if line == delimiter {
                    break;
                }
                // In `$(...)` bash takes `EOF)` for the end, other shells do not.
                let may_end = line.starts_with(&delimiter);
                if may_end || (!quoted && expands(line)) {
                    return None;
                }
            }
        }
        Some(())
    }
}

/// Whether a line of a body has commands in it, or hides the end of the line.
fn expands(line: &[u8]) -> bool {
    let has = |part: &[u8]| line.windows(part.len()).any(|window| window == part);
    line.ends_with(b"\\") || line.contains(&b'`') || [&b"$("[..], b"${", b"$["].into_iter().any(has)
}
