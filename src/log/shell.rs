//! Which commands the text of a shell script names outright. The view leaves out a child process
//! whose exact argv already stands in the line above it; everything this file is not sure of it
//! must leave unnamed, so that the child is shown.
#![forbid(unsafe_code)]

/// Scripts nested deeper than this in `$(...)` are not looked into.
const DEEPEST: usize = 8;

/// The simple commands of a script (bash(1), "Simple Commands").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Each command's words, or nothing where expansion would change them.
    commands: Vec<Option<Vec<Vec<u8>>>>,
    /// A `!` may turn failure into success.
    negated: bool,
}

impl Script {
    /// Reads a script.
    pub fn parse(text: &[u8]) -> Self {
        let mut parser = Parser { rest: text, script: Self::default(), heredocs: Vec::new() };
        parser.list(Until::End, 0);
        parser.script
    }

    /// Whether it names a command with exactly these arguments.
    pub fn names<A: AsRef<[u8]>>(&self, argv: &[A]) -> bool {
        self.commands.iter().flatten().any(|words| same(words, argv))
    }

    /// Where its `cd` commands lead, one after the other.
    pub fn directories(&self) -> impl Iterator<Item = &[u8]> {
        self.commands.iter().flatten().filter_map(|words| match words.as_slice() {
            [cd, directory] if cd == b"cd" => Some(directory.as_slice()),
            _ => None,
        })
    }

    /// Whether it is nothing but this one command, so that its exit status is the command's.
    pub fn is_only<A: AsRef<[u8]>>(&self, argv: &[A]) -> bool {
        self.commands.len() == 1 && !self.negated && self.names(argv)
    }
}

fn same<A: AsRef<[u8]>>(words: &[Vec<u8>], argv: &[A]) -> bool {
    words.len() == argv.len() && words.iter().zip(argv).all(|(word, arg)| word == arg.as_ref())
}

/// One word without anything to expand at the beginning of `text`, and what follows it.
pub fn literal_word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut parser = Parser { rest: text, script: Script::default(), heredocs: Vec::new() };
    let word = parser.word(0)?;
    word.literal.then_some((word.bytes, parser.rest))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    Parenthesis,
    Backtick,
}

#[derive(Default)]
struct Word {
    bytes: Vec<u8>,
    /// Nothing in it is expanded.
    literal: bool,
    /// Some of it is quoted.
    quoted: bool,
    /// It begins with `NAME=`.
    assignment: bool,
}

struct Heredoc {
    delimiter: Vec<u8>,
    /// `<<-`: tabs before the delimiter do not count.
    indented: bool,
}

struct Parser<'a> {
    rest: &'a [u8],
    script: Script,
    /// Here-documents whose bodies begin at the next line.
    heredocs: Vec<Heredoc>,
}

impl Parser<'_> {
    fn eat(&mut self, prefix: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// Reads commands up to the end of the list.
    fn list(&mut self, until: Until, depth: usize) {
        let mut words = Vec::new();
        while let Some(byte) = self.rest.first().copied() {
            match byte {
                b')' if until == Until::Parenthesis => break,
                b'`' if until == Until::Backtick => break,
                b' ' | b'\t' => {
                    self.next();
                }
                b'\n' => {
                    self.next();
                    self.command(&mut words);
                    self.skip_heredocs();
                }
                b'#' => self.rest = find(self.rest, b'\n'),
                b'&' if self.rest.get(1) == Some(&b'>') => {
                    self.next();
                }
                b'<' | b'>' => self.redirection(depth),
                b';' | b'&' | b'|' | b'(' | b')' => {
                    self.next();
                    self.command(&mut words);
                }
                _ => {
                    let Some(word) = self.word(depth) else { break };
                    let descriptor = !word.quoted
                        && !word.bytes.is_empty()
                        && word.bytes.iter().all(u8::is_ascii_digit)
                        && matches!(self.rest.first(), Some(b'<' | b'>'));
                    if !descriptor {
                        words.push(word);
                    }
                }
            }
        }
        self.command(&mut words);
    }

    /// Takes the words read so far as one command.
    fn command(&mut self, words: &mut Vec<Word>) {
        let mut words = words.drain(..).peekable();
        while let Some(word) = words.next_if(is_prefix) {
            self.script.negated |= word.bytes == b"!";
        }
        let words: Vec<_> = words.collect();
        if !words.is_empty() {
            let literal = words.iter().all(|word| word.literal);
            let bytes = words.into_iter().map(|word| word.bytes).collect();
            self.script.commands.push(literal.then_some(bytes));
        }
    }

    fn redirection(&mut self, depth: usize) {
        let heredoc = self.rest.starts_with(b"<<") && !self.rest.starts_with(b"<<<");
        while matches!(self.rest.first(), Some(b'<' | b'>' | b'&' | b'|')) {
            self.next();
        }
        let indented = heredoc && self.eat(b"-");
        while matches!(self.rest.first(), Some(b' ' | b'\t')) {
            self.next();
        }
        // `>(command)` and `<(command)` are left to be read as a list.
        if let Some(word) = self.word(depth).filter(|_| heredoc) {
            self.heredocs.push(Heredoc { delimiter: word.bytes, indented });
        }
    }

    fn skip_heredocs(&mut self) {
        for Heredoc { delimiter, indented } in std::mem::take(&mut self.heredocs) {
            while !self.rest.is_empty() {
                let after = find(self.rest, b'\n');
                let line = &self.rest[..self.rest.len() - after.len()];
                self.rest = after.get(1..).unwrap_or_default();
                let tabs = line.iter().take_while(|byte| indented && **byte == b'\t').count();
                if line[tabs..] == delimiter {
                    break;
                }
            }
        }
    }

    /// The word that begins here, if one does.
    fn word(&mut self, depth: usize) -> Option<Word> {
        let mut word = Word { literal: true, ..Word::default() };
        let before = self.rest.len();
        while let Some(byte) = self.rest.first().copied() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => break,
                b'\'' => {
                    self.next();
                    word.quoted = true;
                    let after = find(self.rest, b'\'');
                    word.bytes.extend_from_slice(&self.rest[..self.rest.len() - after.len()]);
                    word.literal &= !after.is_empty();
                    self.rest = after.get(1..).unwrap_or_default();
                }
                b'"' => {
                    self.next();
                    word.quoted = true;
                    self.double_quotes(&mut word, depth);
                }
                b'\\' => {
                    self.next();
                    match self.next() {
                        Some(b'\n') => {}
                        other => word.bytes.extend(other),
                    }
                    word.quoted = true;
                }
                b'`' if depth > 0 => break,
                b'$' | b'`' => self.expansion(&mut word, depth),
                byte => {
                    self.next();
                    word.literal &= !is_pattern(byte, &word);
                    word.assignment |= byte == b'=' && !word.quoted && is_name(&word.bytes);
                    word.bytes.push(byte);
                }
            }
        }
        if matches!(word.bytes.as_slice(), b"[" | b"[[" | b"{" | b"}") {
            word.literal = true;
        }
        (self.rest.len() < before).then_some(word)
    }

    fn double_quotes(&mut self, word: &mut Word, depth: usize) {
        while let Some(byte) = self.rest.first().copied() {
            match byte {
                b'"' => {
                    self.next();
                    return;
                }
                b'$' | b'`' => self.expansion(word, depth),
                b'\\' => {
                    self.next();
                    match self.next() {
                        Some(b'\n') | None => {}
                        Some(escaped @ (b'$' | b'`' | b'"' | b'\\')) => word.bytes.push(escaped),
                        Some(other) => word.bytes.extend([b'\\', other]),
                    }
                }
                byte => {
                    self.next();
                    word.bytes.push(byte);
                }
            }
        }
        word.literal = false;
    }

    /// `$x`, `${x}`, `$(...)`, `$'...'` or backticks: the word is no literal, and the commands in
    /// it are named like any others.
    fn expansion(&mut self, word: &mut Word, depth: usize) {
        word.literal = false;
        if depth >= DEEPEST {
            self.rest = &[];
        } else if self.eat(b"$(") {
            self.list(Until::Parenthesis, depth + 1);
            self.eat(b")");
        } else if self.eat(b"`") {
            self.list(Until::Backtick, depth + 1);
            self.eat(b"`");
        } else if self.eat(b"$'") {
            while let Some(byte) = self.next() {
                match byte {
                    b'\\' => drop(self.next()),
                    b'\'' => break,
                    _ => {}
                }
            }
        } else {
            self.next();
        }
    }
}

/// From the first such byte on.
fn find(bytes: &[u8], wanted: u8) -> &[u8] {
    let at = bytes.iter().position(|byte| *byte == wanted).unwrap_or(bytes.len());
    &bytes[at..]
}

/// Whether a byte outside of quotes makes bash expand the word.
fn is_pattern(byte: u8, word: &Word) -> bool {
    match byte {
        b'*' | b'?' | b'[' | b'{' | b'}' => true,
        b'~' => word.bytes.is_empty() || word.bytes.ends_with(b"=") || word.bytes.ends_with(b":"),
        _ => false,
    }
}

/// Reserved words and assignments, which stand before a command and are not part of its argv.
fn is_prefix(word: &Word) -> bool {
    const RESERVED: [&[u8]; 15] = [
        b"!", b"{", b"}", b"if", b"then", b"elif", b"else", b"fi", b"while", b"until", b"do",
        b"done", b"time", b"exec", b"command",
    ];
    word.assignment || (!word.quoted && RESERVED.contains(&word.bytes.as_slice()))
}

/// Whether this can stand before the `=` of an assignment.
fn is_name(word: &[u8]) -> bool {
    !word.is_empty()
        && !word[0].is_ascii_digit()
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(text: &str) -> Vec<String> {
        Script::parse(text.as_bytes())
            .commands
            .iter()
            .map(|words| match words {
                Some(words) => words
                    .iter()
                    .map(|word| String::from_utf8_lossy(word).into_owned())
                    .collect::<Vec<_>>()
                    .join("|"),
                None => "-".to_owned(),
            })
            .collect()
    }

    #[test]
    fn commands_are_found() {
        let cases: [(&str, &[&str]); 23] = [
            ("ls", &["ls"]),
            ("ls -la && echo hi > made.txt", &["ls|-la", "echo|hi"]),
            ("cd src; make -j2 2>&1 | tee log", &["cd|src", "make|-j2", "tee|log"]),
            ("a & b || c", &["a", "b", "c"]),
            ("FOO=1 BAR='x y' env", &["env"]),
            ("git commit -m 'a; b'", &["git|commit|-m|a; b"]),
            ("echo \"it's\" 'x'\"'\"'y'", &["echo|it's|x'y"]),
            ("echo \"a\\\"b\\n\"", &["echo|a\"b\\n"]),
            ("grep \"$x\" f", &["-"]),
            ("rm *.o; ls", &["-", "ls"]),
            ("echo $(git rev-parse HEAD) x", &["git|rev-parse|HEAD", "-"]),
            ("echo \"$(id -u) `uname`\"", &["id|-u", "uname", "-"]),
            ("if test -f a; then cat a; else exit 1; fi", &["test|-f|a", "cat|a", "exit|1"]),
            ("! grep -q x f", &["grep|-q|x|f"]),
            ("[ -f x ] && ls", &["[|-f|x|]", "ls"]),
            ("cat <<'EOF' > x\nrm -rf /\nEOF\nwc -l x", &["cat", "wc|-l|x"]),
            ("cat <<END\n END\nrm -rf /\nEND\nid", &["cat", "id"]),
            ("cat <<-END\n\tls\n\tEND\nid", &["cat", "id"]),
            ("ls # rm x\nid", &["ls", "id"]),
            ("a\\\nb c\\ d", &["ab|c d"]),
            ("cmd &> log; id", &["cmd", "id"]),
            ("(cd x && ls)", &["cd|x", "ls"]),
            ("diff <(sort a) <(sort b)", &["diff", "sort|a", "sort|b"]),
        ];
        for (text, want) in cases {
            assert_eq!(named(text), want, "{text}");
        }
    }

    #[test]
    fn one_command_is_told_from_several() {
        let only = |text: &str| Script::parse(text.as_bytes()).is_only(&["ls"]);
        assert!(only("ls") && only("ls > x") && only("exec ls"));
        assert!(!only("ls; id") && !only("! ls") && !only("ls -l") && !only("$(true) ls"));
    }

    #[test]
    fn a_literal_word_has_nothing_to_expand() {
        assert_eq!(literal_word(b"'a'\"'\"'b' x"), Some((b"a'b".to_vec(), &b" x"[..])));
        for text in [&b"$x"[..], b"'open", b"\"a$x\"", b"*", b"", b" x", b"`x`", b"\"open"] {
            assert_eq!(literal_word(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[a$(){}`'\"\\\\;&|<>\n #!*=-]{0,60}") {
            let _ = Script::parse(text.as_bytes());
            let _ = literal_word(text.as_bytes());
        }

        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[ -~]{0,9}", 1..5)) {
            let typed = words
                .iter()
                .map(|word| crate::log::quote::word(word.as_bytes()))
                .collect::<Vec<_>>()
                .join(" ");
            let typed = format!("x {typed}");
            let want: Vec<_> = std::iter::once("x").chain(words.iter().map(String::as_str)).collect();
            // `$'...'` is not read, only passed over.
            prop_assert!(typed.contains("$'") || Script::parse(typed.as_bytes()).is_only(&want), "{}", typed);
        }
    }
}
