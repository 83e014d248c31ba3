//! Words: quoting and expansion. A word is literal only where every shell takes it for the same
//! bytes; an expansion that could execute something which the text does not say is not allowed.
#![forbid(unsafe_code)]

use super::builtin::is_special;
use super::parser::Parser;

/// One word.
#[derive(Default)]
pub(super) struct Word {
    /// Its bytes, without quotes and without what is expanded.
    pub(super) bytes: Vec<u8>,
    /// Where the first expansion stands in `bytes`.
    expanded_at: Option<usize>,
    /// It can become several words, or none.
    pub(super) splits: bool,
    /// All that is expanded are numbers of the shell's own: `$?`, `$#`, `$$`, `$!`.
    numeric: bool,
    /// Some of it is quoted.
    quoted: bool,
    /// It begins with `NAME=`.
    pub(super) assignment: bool,
}

impl Word {
    /// One of which nothing is known.
    pub(super) fn expanded() -> Self {
        Self { expanded_at: Some(0), splits: true, ..Self::default() }
    }

    /// Nothing in it is expanded.
    pub(super) fn is_literal(&self) -> bool {
        self.expanded_at.is_none()
    }

    /// A number, whatever is expanded.
    pub(super) fn is_number(&self) -> bool {
        (self.is_literal() || self.numeric) && self.bytes.iter().all(u8::is_ascii_digit)
    }

    /// The number of a descriptor before `<` or `>`.
    pub(super) fn is_descriptor(&self) -> bool {
        self.is_literal() && !self.quoted && !self.bytes.is_empty() && self.is_number()
    }

    /// As a command: a path, whatever is expanded in it, so no builtin.
    pub(super) fn is_path(&self) -> bool {
        let home = self.expanded_at == Some(0) && self.bytes.starts_with(b"~/");
        let before = self.expanded_at.unwrap_or(self.bytes.len());
        home || self.bytes[..before].contains(&b'/')
    }

    /// Stands before a command that is executed all the same.
    pub(super) fn is_prefix(&self) -> bool {
        self.is_literal() && matches!(self.bytes.as_slice(), b"exec" | b"command" | b"time")
    }

    /// An option, or what may be one.
    pub(super) fn is_option(&self) -> bool {
        self.bytes.starts_with(b"-") || self.expanded_at == Some(0)
    }

    /// Whether an assignment makes no shell execute anything.
    pub(super) fn assigns_safely(&self) -> bool {
        let name = self.bytes.split(|byte| *byte == b'=').next().unwrap_or_default();
        !is_special(name.strip_suffix(b"+").unwrap_or(name))
    }

    fn expand(&mut self, numeric: bool) {
        self.numeric = numeric && (self.is_literal() || self.numeric);
        self.expanded_at.get_or_insert(self.bytes.len());
    }
}

impl Parser<'_> {
    /// The word that begins here.
    pub(super) fn word(&mut self) -> Option<Word> {
        let mut word = Word::default();
        let before = self.rest;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b')' | b'<' | b'>' => break,
                // `name()`, `name=(...)`, `@(...)`.
                b'(' | b'`' => return None,
                b'\'' => {
                    self.next();
                    word.quoted = true;
                    let length = self.rest.iter().position(|byte| *byte == b'\'')?;
                    let (inside, rest) = self.rest.split_at(length);
                    self.stays_on_line(inside)?;
                    word.bytes.extend_from_slice(inside);
                    self.rest = &rest[1..];
                }
                b'"' => {
                    self.next();
                    word.quoted = true;
                    self.double_quotes(&mut word)?;
                }
                b'\\' => {
                    self.next();
                    // A continued line is not there at all: `i\⏎f` is `if`, and quotes nothing.
                    match self.next()? {
                        b'\n' => {}
                        escaped => {
                            word.bytes.push(escaped);
                            word.quoted = true;
                        }
                    }
                }
                b'$' => {
                    word.splits |= self.expansion(&mut word, false)?;
                }
                byte => {
                    self.next();
                    if is_pattern(byte, &word) {
                        word.expand(false);
                        word.splits = true;
                    }
                    let name = word.bytes.strip_suffix(b"+").unwrap_or(&word.bytes);
                    word.assignment |=
                        byte == b'=' && !word.quoted && word.is_literal() && is_name(name);
                    word.bytes.push(byte);
                }
            }
        }
        let typed = &before[..before.len() - self.rest.len()];
        if matches!(typed, b"[" | b"[[" | b"{" | b"}" | b"{}" | b"=" | b"==" | b"=~") {
            // Patterns by their letters only.
            (word.expanded_at, word.splits) = (None, false);
        }
        (!typed.is_empty()).then_some(word)
    }

    /// While a here-document waits for the next line, text in quotes must not begin one.
    fn stays_on_line(&self, quoted: &[u8]) -> Option<()> {
        (self.heredocs.is_empty() || !quoted.contains(&b'\n')).then_some(())
    }

    fn double_quotes(&mut self, word: &mut Word) -> Option<()> {
        loop {
            match self.peek()? {
                b'"' => {
                    self.next();
                    return Some(());
                }
                b'`' => return None,
                b'$' => {
                    word.splits |= self.expansion(word, true)?;
                }
                b'\\' => {
                    self.next();
                    match self.next()? {
                        b'\n' => {}
                        escaped @ (b'$' | b'`' | b'"' | b'\\') => word.bytes.push(escaped),
                        other => word.bytes.extend([b'\\', other]),
                    }
                }
                byte => {
                    self.next();
                    self.stays_on_line(&[byte])?;
                    word.bytes.push(byte);
                }
            }
        }
    }

    /// `$x`, `${x}`, `$(...)`: the word is no literal, and the commands in it are named like any
    /// others. Says whether it can become several words.
    fn expansion(&mut self, word: &mut Word, quoted: bool) -> Option<bool> {
        self.next();
        match *self.rest {
            // Neither shell nor reader sees a name here: `grep "x$"`.
            [] | [b' ' | b'\n' | b'/' | b'|' | b')', ..] => {
                word.bytes.push(b'$');
                return Some(false);
            }
            [b'"', ..] if quoted => {
                word.bytes.push(b'$');
                return Some(false);
            }
            [b'(', b'(', ..] => {
                self.arithmetic()?;
                word.expand(false);
            }
            [b'(', ..] => {
                self.next();
                word.expand(false);
                self.nested()?;
            }
            [b'{', ..] => {
                self.next();
                word.expand(false);
                let several = self.parameter()?;
                return Some(several || !quoted);
            }
            [b'?' | b'#' | b'$' | b'!', ..] => {
                self.next();
                word.expand(true);
                return Some(false);
            }
            [b'@' | b'*', ..] => {
                self.next();
                word.expand(false);
                return Some(true);
            }
            [b'0'..=b'9', ..] => {
                self.next();
                word.expand(false);
            }
            _ => {
                self.variable()?;
                word.expand(false);
                // A subscript, to zsh, and what is in it is evaluated.
                (self.peek() != Some(b'[')).then_some(())?;
            }
        }
        Some(!quoted)
    }

    fn variable(&mut self) -> Option<()> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = self.rest.iter().take_while(|byte| is_part(byte)).count();
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        (is_name(name) && !is_special(name)).then_some(())
    }

    /// `$((1 + 2))`. What a name in it holds is evaluated, and can execute: `a[$(x)]`. An error in it
    /// (`1/0`, `08`) ends the script.
    fn arithmetic(&mut self) -> Option<()> {
        self.rest = &self.rest[2..];
        let end = self.rest.windows(2).position(|part| part == b"))")?;
        let (inside, rest) = self.rest.split_at(end);
        self.rest = &rest[2..];
        let is_number = |part: &[u8]| match part.trim_ascii() {
            b"0" => true,
            [b'1'..=b'9', more @ ..] => more.len() < 9 && more.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        inside.split(|byte| b"+-*".contains(byte)).all(is_number).then_some(())
    }

    /// After `${`: a name, and what shall become of its value, in plain characters only. Says whether
    /// it becomes several words although it is quoted.
    fn parameter(&mut self) -> Option<bool> {
        self.eat(b"#");
        let several = self.eat(b"@") || self.eat(b"*");
        match *self.rest {
            [b'}', ..] if several => {}
            [b'0'..=b'9' | b'?', b'}', ..] => drop(self.next()),
            _ => self.variable()?,
        }
        let several = several || self.eat(b"[@]") || self.eat(b"[*]");
        // Not `:?`, which ends the script.
        let operators: [&[u8]; 12] =
            [b":-", b":=", b":+", b"-", b"=", b"+", b"%", b"##", b"#", b"/", b"^", b","];
        if operators.iter().any(|operator| self.eat(operator)) {
            loop {
                match self.peek()? {
                    b'}' => break,
                    b'$' => {
                        self.next();
                        self.variable()?;
                    }
                    byte if byte.is_ascii_alphanumeric() || b" _./,*?:=+-%#".contains(&byte) => {
                        self.next();
                    }
                    _ => return None,
                }
            }
        }
        self.eat(b"}").then_some(several)
    }
}

/// Whether a byte outside of quotes makes a shell expand the word.
fn is_pattern(byte: u8, word: &Word) -> bool {
    match byte {
        b'*' | b'?' | b'[' | b'{' | b'}' => true,
        b'~' => word.bytes.is_empty() || word.bytes.ends_with(b"=") || word.bytes.ends_with(b":"),
        // zsh: `=ls` is the path of ls.
        b'=' => word.bytes.is_empty(),
        _ => false,
    }
}

/// Whether this can stand before the `=` of an assignment.
pub(super) fn is_name(word: &[u8]) -> bool {
    !word.is_empty()
        && !word[0].is_ascii_digit()
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}
