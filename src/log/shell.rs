//! Which commands the text of a shell script names outright. The view leaves out a child process
//! whose exact argv already stands in the line above it; everything this file is not sure of it
//! must leave unnamed, so that the child is shown. What is read is a list of what is allowed: a
//! script with any other syntax in it, or with a command by which the shell could execute more than
//! its text says (`. FILE`, `eval`), names nothing at all.
#![forbid(unsafe_code)]

mod builtin;
mod heredoc;
mod parser;
#[cfg(test)]
mod tests;
mod word;

use self::parser::Parser;

/// The simple commands of a script (bash(1), "Simple Commands"). By default: one that is not understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Each command's words, or nothing where expansion would change them or nothing would run it.
    commands: Vec<Option<Vec<Vec<u8>>>>,
    /// A `!` may turn failure into success.
    negated: bool,
}

impl Script {
    /// Reads a script.
    pub fn parse(text: &[u8]) -> Self {
        Parser::new(text).script().unwrap_or_default()
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
    let mut parser = Parser::new(text);
    let word = parser.word()?;
    word.is_literal().then_some((word.bytes, parser.rest))
}
