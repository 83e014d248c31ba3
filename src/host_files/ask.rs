//! The question to a person: keep it, set it aside, or see it first. No answer, and none that is
//! understood, sets it aside. What a terminal types by itself in answer to escape sequences is no
//! answer: a line must be exactly one of the words.

use std::io::{BufRead, Write};

use super::compare::Finding;
use super::screen::name;
use crate::log::text;

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It stays where it is.
    Keep,
    /// It is moved into the session's directory.
    Aside,
}

/// Who decides.
pub trait Person {
    /// Asks about one; `show` tells what it holds.
    fn choose(&mut self, finding: &Finding, show: &dyn Fn() -> Vec<String>) -> Choice;

    /// Asks once about all that are left; `count` tells how many.
    fn choose_rest(&mut self, count: &dyn Fn() -> usize) -> Choice;

    /// Whether the next is asked about: the answer may stand already.
    fn asks(&self) -> bool;
}

/// How often somebody who answers nonsense is asked again.
const PATIENCE: usize = 100;
/// Columns before a line of what a finding holds.
const SHOWN: usize = 2;
/// Before the rest of one that is too long.
const MORE: &str = "      > ";
/// No answer is longer, in bytes.
const LONGEST: u64 = 1 << 10;

/// A person at a terminal.
#[derive(Debug)]
pub struct Dialogue<R, W> {
    input: R,
    out: W,
    /// See [`super::screen::Screen::columns`].
    columns: Option<usize>,
    /// The answer to all that follow.
    all: Option<Choice>,
}

impl<R: BufRead, W: Write> Dialogue<R, W> {
    /// Asks through `out`, which is so many columns wide, and reads the answers from `input`.
    pub fn new(input: R, out: W, columns: Option<usize>) -> Self {
        Self { input, out, columns, all: None }
    }

    /// What a finding holds, indented to its last line: a long one that the terminal breaks would go on
    /// where the question stands.
    fn show(&mut self, lines: &[String]) {
        for line in lines {
            let pieces = match self.columns {
                Some(columns) => text::pieces(line, columns.saturating_sub(SHOWN + MORE.len() + 1)),
                None => vec![line.clone()],
            };
            for (at, piece) in pieces.iter().enumerate() {
                let more = if at == 0 { "" } else { MORE };
                let _ = writeln!(self.out, "{:SHOWN$}{more}{piece}", "");
            }
        }
    }

    /// One line; `None` where nobody answers any more.
    fn answer(&mut self) -> Option<Vec<u8>> {
        self.out.flush().ok()?;
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut self.input, LONGEST);
        match limited.read_until(b'\n', &mut line) {
            Ok(read) if read > 0 => Some(line.trim_ascii().to_vec()),
            _ => None,
        }
    }
}

impl<R: BufRead, W: Write> Dialogue<R, W> {
    /// Asks until the answer is understood; `None` where there is none.
    fn ask(&mut self, question: &str, show: &dyn Fn() -> Vec<String>) -> Option<Answer> {
        for _ in 0..PATIENCE {
            write!(self.out, "{question}").ok()?;
            let Some(answer) = self.answer() else {
                let _ = writeln!(self.out);
                return None;
            };
            match answer.as_slice() {
                b"k" | b"keep" => return Some(Answer::One(Choice::Keep)),
                b"" | b"a" | b"aside" => return Some(Answer::One(Choice::Aside)),
                b"K" => return Some(Answer::All(Choice::Keep)),
                b"A" => return Some(Answer::All(Choice::Aside)),
                b"s" | b"show" => self.show(&show()),
                _ => {}
            }
        }
        None
    }
}

/// What was said.
enum Answer {
    /// About this one.
    One(Choice),
    /// And about all that follow.
    All(Choice),
}

impl<R: BufRead, W: Write> Person for Dialogue<R, W> {
    fn choose(&mut self, finding: &Finding, show: &dyn Fn() -> Vec<String>) -> Choice {
        if let Some(choice) = self.all {
            return choice;
        }
        let change = finding.change.word();
        let path = name(&finding.path.0, self.columns, " (changed): ".len());
        let question = format!(
            "{path} ({change}): [k]eep, set [a]side, [s]how; K or A for all that follow [a] "
        );
        match self.ask(&question, show) {
            Some(Answer::One(choice)) => choice,
            Some(Answer::All(choice)) => *self.all.insert(choice),
            None => *self.all.insert(Choice::Aside),
        }
    }

    fn choose_rest(&mut self, count: &dyn Fn() -> usize) -> Choice {
        if let Some(choice) = self.all {
            return choice;
        }
        let question = format!("{} more: [k]eep all of them, or set them [a]side [a] ", count());
        let choice = match self.ask(&question, &Vec::new) {
            Some(Answer::One(choice) | Answer::All(choice)) => choice,
            None => Choice::Aside,
        };
        *self.all.insert(choice)
    }

    fn asks(&self) -> bool {
        self.all.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::Change;
    use super::super::table;
    use super::*;

    /// The choices about three files, and what was written.
    fn ask(input: &str) -> ([Choice; 3], String) {
        let mut out = Vec::new();
        let mut dialogue = Dialogue::new(input.as_bytes(), &mut out, None);
        let choices = ["a/.envrc", "b/.envrc", "c/.envrc"].map(|path| {
            let (_, entry) = table::unit(path.as_bytes()).unwrap();
            let finding = Finding {
                path: path.into(),
                entry,
                change: Change::New,
                tracked: false,
                older: false,
            };
            dialogue.choose(&finding, &|| vec![format!("content of {path}")])
        });
        (choices, String::from_utf8(out).unwrap())
    }

    /// What is asked about one file in so many columns, and shown of it.
    fn screen(path: &str, content: &str, columns: usize) -> String {
        let mut out = Vec::new();
        let (_, entry) = table::unit(b".envrc").unwrap();
        let finding =
            Finding { path: path.into(), entry, change: Change::New, tracked: false, older: false };
        let mut dialogue = Dialogue::new(&b"s\nk\n"[..], &mut out, Some(columns));
        dialogue.choose(&finding, &|| vec![content.to_owned()]);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn attack_neither_a_name_nor_what_is_in_it_reads_as_a_question() {
        let gap = " ".repeat(70);
        let path = format!("a{gap}.envrc (new): [k]eep");
        let shown = screen(&path, &format!("    x{gap}{gap}.envrc (new): [k]eep"), 80);
        assert!(shown.starts_with("'a    "), "{shown}");
        assert_eq!(shown.matches("): [k]eep").count(), 3, "{shown}");
        for line in shown.lines() {
            let (name, _) = line.split_once(" (new): [k]eep").unwrap_or((line, ""));
            assert!(text::width(name) < 80, "{line}");
            assert!(line.starts_with("'a ") || line.starts_with("  "), "{line}");
        }
        // Control: what is short and plain is as it was.
        assert_eq!(screen(".envrc", "    x", 80).lines().count(), 2);
        assert!(
            screen(".envrc", "    x", 80).contains(".envrc (new): [k]eep, set [a]side, [s]how;")
        );
    }

    use Choice::{Aside, Keep};

    #[test]
    fn each_is_asked_about() {
        assert_eq!(ask("k\na\nkeep\n").0, [Keep, Aside, Keep]);
        assert_eq!(ask("\n\n\n").0, [Aside; 3]);
        assert_eq!(ask("k\nA\n").0, [Keep, Aside, Aside]);
        assert_eq!(ask("K\n").0, [Keep; 3]);
    }

    #[test]
    fn the_rest_is_asked_about_once() {
        for (input, choice) in [("k\n", Keep), ("K\n", Keep), ("\n", Aside), ("", Aside)] {
            let mut out = Vec::new();
            let mut dialogue = Dialogue::new(input.as_bytes(), &mut out, Some(80));
            assert!(dialogue.asks());
            assert_eq!([(); 3].map(|()| dialogue.choose_rest(&|| 3)), [choice; 3], "{input:?}");
            assert!(!dialogue.asks());
            assert_eq!(String::from_utf8(out).unwrap().matches("3 more: [k]eep").count(), 1);
        }
    }

    #[test]
    fn showing_is_no_answer() {
        let (choices, out) = ask("s\nk\nshow\n\nk\n");
        assert_eq!(choices, [Keep, Aside, Keep]);
        assert_eq!(out.matches("content of a/.envrc").count(), 1);
        assert_eq!(out.matches("a/.envrc (new)").count(), 2, "{out}");
    }

    #[test]
    fn silence_and_nonsense_keep_nothing() {
        assert_eq!(ask("").0, [Aside; 3]);
        assert_eq!(ask("k").0, [Keep, Aside, Aside]);
        assert_eq!(ask("\x1b[?62;4ck\n\x1b]lk\x1b\\\nyes\n").0, [Aside; 3]);
        assert_eq!(ask(&"x\n".repeat(1000)).0, [Aside; 3]);
        assert_eq!(ask(&"k".repeat(100_000)).0, [Aside; 3]);
    }
}
