//! The grammar: lists, pipelines, compound and simple commands. Every function gives `None` for what
//! is not among the allowed, and then nothing of the script counts.
#![forbid(unsafe_code)]

use super::Script;
use super::builtin::{self, Effect};
use super::heredoc::Heredoc;
use super::word::{Word, is_name};

/// Commands nested deeper than this are not looked into.
const DEEPEST: usize = 16;

/// What is known of a command's end.
#[derive(Clone, Copy, Default)]
struct Flow {
    /// Whether it succeeds, where its words say that.
    succeeds: Option<bool>,
    /// The shell reads no further.
    ends: bool,
}

impl Flow {
    /// Whether nothing executes what stands behind `&&` (`wanted`) or `||`.
    fn skips(self, wanted: bool) -> bool {
        self.ends || self.succeeds == Some(!wanted)
    }
}

/// Reads a script.
pub(super) struct Parser<'a> {
    pub(super) rest: &'a [u8],
    /// Here-documents whose bodies begin at the next line.
    pub(super) heredocs: Vec<Heredoc>,
    script: Script,
    depth: usize,
    /// Nothing executes what is read here: it stands behind `exit`, or `false &&`.
    dead: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let (heredocs, script) = (Vec::new(), Script::default());
        Self { rest: text, heredocs, script, depth: 0, dead: false }
    }

    /// The whole text as a script.
    pub(super) fn script(mut self) -> Option<Script> {
        self.list()?;
        (self.rest.is_empty() && self.heredocs.is_empty()).then_some(self.script)
    }

    pub(super) fn eat(&mut self, prefix: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// Passes over blanks, a comment and lines that are continued: `\⏎# x` is a comment as `# x` is.
    fn blanks(&mut self) {
        while self.eat(b" ") || self.eat(b"\t") || self.eat(b"\\\n") {}
        if self.peek() == Some(b'#') {
            let end = self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
        }
    }

    fn lines(&mut self) -> Option<()> {
        self.blanks();
        while self.eat(b"\n") {
            self.skip_heredocs()?;
            self.blanks();
        }
        Some(())
    }

    /// The reserved word that stands here.
    fn keyword(&self) -> Option<&'static [u8]> {
        let is_end = |byte: &u8| b" \t\n;&|()<>".contains(byte);
        let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        builtin::RESERVED.into_iter().find(|word| *word == &self.rest[..end])
    }

    fn expect(&mut self, keyword: &[u8]) -> Option<()> {
        (self.keyword()? == keyword && self.eat(keyword)).then_some(())
    }

    /// What nothing executes where `dead`.
    fn under<T>(&mut self, dead: bool, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.dead;
        self.dead |= dead;
        let read = read(self);
        self.dead = before;
        read
    }

    /// Commands up to whatever can end a list.
    fn list(&mut self) -> Option<Flow> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let before = self.dead;
        let mut flow = Flow::default();
        loop {
            self.lines()?;
            let closes = matches!(self.keyword(), Some(word) if builtin::CLOSING.contains(&word));
            if closes || matches!(self.peek(), None | Some(b')')) {
                break;
            }
            let last = self.and_or()?;
            self.blanks();
            match self.rest {
                [b';', b';' | b'&', ..] => return None,
                [b'&', ..] => {
                    self.next();
                    flow.succeeds = None;
                    continue;
                }
                [b';', ..] => drop(self.next()),
                [] | [b'\n' | b')', ..] => {}
                _ => return None,
            }
            flow = Flow { succeeds: last.succeeds, ends: flow.ends || last.ends };
            self.dead |= last.ends;
        }
        self.dead = before;
        self.depth -= 1;
        Some(flow)
    }

    fn and_or(&mut self) -> Option<Flow> {
        let mut flow = self.pipeline()?;
        loop {
            self.blanks();
            let wanted = if self.eat(b"&&") {
                true
            } else if self.eat(b"||") {
                false
            } else {
                return Some(flow);
            };
            self.lines()?;
            let right = self.under(flow.skips(wanted), Self::pipeline)?;
            let surely = flow.succeeds == Some(wanted);
            let ends = flow.ends || (surely && right.ends);
            let succeeds = if surely || right.succeeds == Some(!wanted) {
                right.succeeds
            } else {
                flow.succeeds.filter(|_| flow.skips(wanted))
            };
            flow = Flow { succeeds, ends };
        }
    }

    fn pipeline(&mut self) -> Option<Flow> {
        let mut negated = false;
        while self.keyword() == Some(b"!") {
            self.next();
            self.script.negated = true;
            negated = !negated;
            self.blanks();
        }
        let mut flow = self.command()?;
        if negated {
            flow.succeeds = flow.succeeds.map(|succeeds| !succeeds);
        }
        self.blanks();
        while self.peek() == Some(b'|') && self.rest.get(1) != Some(&b'|') {
            self.next();
            self.eat(b"&");
            self.lines()?;
            self.command()?;
            // Each runs in a shell of its own.
            flow = Flow::default();
            self.blanks();
        }
        Some(flow)
    }

    fn command(&mut self) -> Option<Flow> {
        if self.rest.starts_with(b"((") {
            return None;
        }
        if self.eat(b"(") {
            self.list()?;
            self.eat(b")").then_some(())?;
            self.redirections()?;
            return Some(Flow::default());
        }
        let flow = match self.keyword() {
            Some(b"{") => {
                self.expect(b"{")?;
                let flow = self.list()?;
                self.expect(b"}")?;
                flow
            }
            Some(b"if") => self.conditional()?,
            Some(word @ (b"while" | b"until")) => {
                self.expect(word)?;
                let condition = self.list()?;
                self.under(condition.skips(word == b"while"), Self::body)?;
                Flow::default()
            }
            Some(b"for") => self.for_each()?,
            Some(_) => return None,
            None => return self.simple(),
        };
        self.redirections()?;
        Some(flow)
    }

    fn conditional(&mut self) -> Option<Flow> {
        self.expect(b"if")?;
        let mut never = false;
        loop {
            let condition = self.under(never, Self::list)?;
            self.expect(b"then")?;
            self.under(never || condition.skips(true), Self::list)?;
            never |= condition.skips(false);
            match self.keyword()? {
                b"elif" => self.expect(b"elif")?,
                b"else" => {
                    self.expect(b"else")?;
                    self.under(never, Self::list)?;
                    self.expect(b"fi")?;
                    return Some(Flow::default());
                }
                _ => {
                    self.expect(b"fi")?;
                    return Some(Flow::default());
                }
            }
        }
    }

    fn body(&mut self) -> Option<()> {
        self.expect(b"do")?;
        self.list()?;
        self.expect(b"done")
    }

    /// `for NAME in WORDS; do ...`.
    fn for_each(&mut self) -> Option<Flow> {
        self.expect(b"for")?;
        self.blanks();
        let name = self.word().filter(Word::is_literal)?;
        (is_name(&name.bytes) && !builtin::is_special(&name.bytes)).then_some(())?;
        self.blanks();
        if self.eat(b"in") {
            self.blanks();
            while !matches!(self.peek(), None | Some(b'\n' | b';')) {
                self.word()?;
                self.blanks();
            }
        }
        self.eat(b";");
        self.lines()?;
        self.body()?;
        Some(Flow::default())
    }

    /// A command by its words.
    fn simple(&mut self) -> Option<Flow> {
        let mut words: Vec<Word> = Vec::new();
        // dash reads `a &> FILE b c` as two commands.
        let mut may_be_two = false;
        loop {
            self.blanks();
            match self.rest {
                [b'&', b'>', ..] => {
                    self.next();
                    self.redirection()?;
                    may_be_two = true;
                }
                [] | [b'\n' | b';' | b'|' | b')' | b'&', ..] => break,
                [b'<' | b'>', b'(', ..] => {
                    self.rest = &self.rest[2..];
                    self.nested()?;
                    words.push(Word::expanded());
                }
                [b'<' | b'>', ..] => self.redirection()?,
                _ if may_be_two => return None,
                _ => {
                    // None: a parenthesis, as in `f()` and `a=(b)`, or what is not allowed in a word.
                    let word = self.word()?;
                    let redirects = matches!(self.peek(), Some(b'<' | b'>'));
                    // `{fd}>FILE`
                    if redirects && word.bytes.starts_with(b"{") {
                        return None;
                    }
                    if !(redirects && word.is_descriptor()) {
                        words.push(word);
                    }
                }
            }
        }
        self.execute(&words)
    }

    fn redirections(&mut self) -> Option<()> {
        loop {
            self.blanks();
            let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match self.rest.get(digits..)? {
                [b'<' | b'>', b'(', ..] => return None,
                [b'<' | b'>', ..] => self.rest = &self.rest[digits..],
                [b'&', b'>', ..] if digits == 0 => self.rest = &self.rest[1..],
                _ => return Some(()),
            }
            self.redirection()?;
        }
    }

    fn redirection(&mut self) -> Option<()> {
        if self.rest.starts_with(b"<<") && !self.rest.starts_with(b"<<<") {
            return self.heredoc();
        }
        let operators: [&[u8]; 8] = [b"<<<", b">>", b">|", b">&", b"<&", b"<>", b"<", b">"];
        let operator = operators.into_iter().find(|operator| self.eat(operator))?;
        self.blanks();
        let word = self.word()?;
        // `>&FILE` is an error to dash.
        let fits = !operator.ends_with(b"&") || word.is_descriptor() || word.bytes == b"-";
        fits.then_some(())
    }

    /// The list of a `$(...)`, `<(...)` or `>(...)`, up to its end.
    pub(super) fn nested(&mut self) -> Option<()> {
        // Which of the lines then are the document shells do not agree on.
        self.heredocs.is_empty().then_some(())?;
        self.list()?;
        (self.heredocs.is_empty() && self.eat(b")")).then_some(())
    }

    /// Takes words as one command.
    fn execute(&mut self, words: &[Word]) -> Option<Flow> {
        let assigned = words.iter().take_while(|word| word.assignment).count();
        let (assignments, mut words) = words.split_at(assigned);
        assignments.iter().all(Word::assigns_safely).then_some(())?;
        let mut replaced = false;
        loop {
            match words {
                [] => return Some(Flow::default()),
                [exec] if exec.bytes == b"exec" => return Some(Flow::default()),
                [first, option, ..] if first.is_prefix() && option.is_option() => {
                    // `command -v NAME` executes nothing.
                    let asks =
                        first.bytes == b"command" && option.bytes.eq_ignore_ascii_case(b"-v");
                    asks.then(|| self.script.commands.push(None))?;
                    return Some(Flow::default());
                }
                [first, rest @ ..] if first.is_prefix() => {
                    replaced |= first.bytes == b"exec";
                    words = rest;
                }
                _ => break,
            }
        }
        let effect = builtin::effect(words)?;
        let literal = !self.dead && words.iter().all(Word::is_literal);
        let argv = || words.iter().map(|word| word.bytes.clone()).collect();
        self.script.commands.push(literal.then(argv));
        let succeeds = match effect {
            Effect::Succeeds => Some(true),
            Effect::Fails => Some(false),
            Effect::Ends | Effect::Unknown => None,
        };
        Some(Flow { succeeds, ends: replaced || effect == Effect::Ends })
    }
}
