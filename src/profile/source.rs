//! A TOML file in memory and the errors that point into it: file, line, column, caret and a hint.
//! It must never do I/O, and never put a byte of the file on a terminal unescaped: a project's
//! file is a stranger's text.
#![forbid(unsafe_code)]

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::origin::{LayerKind, Origin};
use crate::error::{Error, Result};
use crate::visible::visible;

/// A file's text and what it is called.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which layer it belongs to.
    pub kind: LayerKind,
    /// The file as a person would name it, safe for a terminal.
    pub name: String,
    text: String,
    /// Where each line begins; every settled value asks for its line.
    lines: Vec<usize>,
}

impl Source {
    /// A file's bytes, which must be UTF-8 (as TOML demands).
    pub fn new(kind: LayerKind, name: impl Into<String>, bytes: Vec<u8>) -> Result<Self> {
        let name = name.into();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::of(kind, name, text)),
            Err(err) => {
                let start = err.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(err.as_bytes()).into_owned();
                let source = Self::of(kind, name, text);
                Err(source.error(start..start + 1, "this is not UTF-8 text"))
            }
        }
    }

    fn of(kind: LayerKind, name: String, text: String) -> Self {
        let lines = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(lines).collect();
        Self { kind, name, text, lines }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Parses the text. Mistakes name the place and what was probably meant.
    pub fn parse<T: DeserializeOwned + JsonSchema>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|err| {
            let span = err.span().unwrap_or(0..0);
            let (title, hints) = super::mistake::explain::<T>(err.message(), self.key(&span));
            let error = self.error(span, &title);
            hints.into_iter().fold(error, |error, hint| error.hint(visible(hint)))
        })
    }

    /// Where this span is, for `explain`.
    pub fn origin(&self, span: &Range<usize>) -> Origin {
        Origin { layer: self.kind, source: self.name.clone(), line: self.line(span.start) }
    }

    /// A usage error that points at this span. The first line of `what` is the title, all further
    /// ones are hints.
    pub fn error(&self, span: Range<usize>, what: &str) -> Error {
        let mut lines = what.lines();
        let title = visible(lines.next().unwrap_or_default());
        let Place { line, column, .. } = self.place(&span);
        let error = Error::usage(format!("{title}\n{}", self.picture(&span)))
            .in_brief(format!("{}:{line}:{column}: {title}", self.name));
        lines.fold(error, |error, hint| error.hint(visible(hint)))
    }

    /// The place, and its line with carets below. The column is the file's own: what is drawn
    /// is escaped and may be longer.
    fn picture(&self, span: &Range<usize>) -> String {
        let place = self.place(span);
        let shown = [place.before, place.marked, place.after].map(shown);
        let marked = shown[0].len()..shown[0].len() + shown[1].len();
        let source = shown.concat();
        let gutter = " ".repeat(place.line.to_string().len());
        let header = format!("{gutter}--> {}:{}:{}", self.name, place.line, place.column);
        let snippet = Snippet::source(source)
            .line_start(place.line)
            .annotation(AnnotationKind::Primary.span(marked));
        let report = Group::with_level(Level::ERROR).element(snippet);
        format!("{header}\n{}", Renderer::plain().render(&[report]))
    }

    /// The key whose value stands here, on the same line; without the tables before it.
    fn key(&self, span: &Range<usize>) -> &str {
        let (key, _) = self.place(span).before.split_once('=').unwrap_or_default();
        key.rsplit('.').next().unwrap_or_default().trim().trim_matches('"')
    }

    /// The line, from 1, in which this byte is.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// The line on which the span begins, cut in three; a span over several lines ends with it.
    fn place(&self, span: &Range<usize>) -> Place<'_> {
        let start = floor(&self.text, span.start);
        let end = floor(&self.text, span.end).max(start);
        let line = self.line(start);
        let line_start = self.lines[line - 1];
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let before = &self.text[line_start..start];
        Place {
            line,
            column: before.chars().count() + 1,
            before,
            marked: &self.text[start..end.min(line_end)],
            after: &self.text[end.min(line_end)..line_end],
        }
    }
}

/// A span within its line.
struct Place<'a> {
    line: usize,
    column: usize,
    before: &'a str,
    marked: &'a str,
    after: &'a str,
}

/// Visible text; a tab stays an indent.
fn shown(text: &str) -> String {
    text.split('\t').map(visible).collect::<Vec<_>>().join("    ")
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::super::schema::Profile;
    use super::*;

    /// The error of a profile with this text, hints included.
    fn mistake(text: &str) -> String {
        let source = Source::new(LayerKind::User, "x.toml", text.as_bytes().to_vec());
        let error = source.and_then(|source| source.parse::<Profile>()).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        let hints = error.hints().iter().map(|hint| format!("\nhint: {hint}"));
        format!("{error}{}", hints.collect::<String>())
    }

    #[test]
    fn where_a_word_belongs_the_words_are_said() {
        for (text, expected) in [
            ("landlock = true", r#"expected one of "off", "best-effort", "required""#),
            ("git = 1", r#"expected one of "private", "shared", "read-only", "none""#),
            ("network.mode = true", r#"expected one of "allow", "#),
            ("[limits]\nenforce = 3", r#"expected one of "off", "#),
            ("nix-accept = [true]", "expected one of \""),
            ("nix-accept = [\n  true\n]", "expected a word in quotes"),
            ("limits.memory = 5", "a number alone is not an amount of memory"),
            ("limits.file-size = 5", "a number alone is not a size"),
        ] {
            let said = mistake(text);
            assert!(said.starts_with(expected), "{text}: {said}");
        }
    }

    #[test]
    fn unknown_key() {
        assert_snapshot!(mistake("description = \"x\"\n\n[netwrok]\nmode = \"none\"\n"), @"
        unknown key `netwrok`
         --> x.toml:3:2
          |
        3 | [netwrok]
          |  ^^^^^^^
        hint: did you mean `network`?
        ");
        assert_snapshot!(mistake("[files]\n\treadonly = [\"/opt\"]\n"), @r#"
        unknown key `readonly`
         --> x.toml:2:2
          |
        2 |     readonly = ["/opt"]
          |     ^^^^^^^^
        hint: did you mean `read-only`?
        "#);
    }

    #[test]
    fn key_in_the_wrong_table() {
        assert_snapshot!(mistake("command = [\"aider\"]\n"), @r#"
        unknown key `command`
         --> x.toml:1:1
          |
        1 | command = ["aider"]
          | ^^^^^^^
        hint: `command` belongs in `[agent]`
        "#);
    }

    #[test]
    fn wrong_type() {
        assert_snapshot!(mistake("tools = \"~/.cargo/bin\"\n"), @r#"
        invalid type: string "~/.cargo/bin", expected a list
         --> x.toml:1:9
          |
        1 | tools = "~/.cargo/bin"
          |         ^^^^^^^^^^^^^^
        hint: a list, also of one, stands in brackets: ["~/.cargo/bin"]
        "#);
        assert_snapshot!(mistake("[limits]\ntmp-size = 512\n"), @"
        invalid type: integer `512`, expected a string
         --> x.toml:2:12
          |
        2 | tmp-size = 512
          |            ^^^
        ");
    }

    #[test]
    fn wrong_value() {
        assert_snapshot!(mistake("[network]\nmode = \"hots\"\n"), @r#"
        unknown value `hots`
         --> x.toml:2:8
          |
        2 | mode = "hots"
          |        ^^^^^^
        hint: did you mean `host`?
        "#);
        assert_snapshot!(mistake("[limits]\ntmp-size = \"5 apples\"\n"), @r#"
        ` apples` is not a unit of size
         --> x.toml:2:12
          |
        2 | tmp-size = "5 apples"
          |            ^^^^^^^^^^
        hint: write a whole number and a unit: "512MiB", "2GiB"
        "#);
        assert_snapshot!(mistake("tools = [\n  \"/opt\",\n  \"bin\",\n]\n"), @r#"
        `bin` is a relative path
         --> x.toml:3:3
          |
        3 |   "bin",
          |   ^^^^^
        hint: start it with `/`, `~/` or `${PROJECT}/`
        "#);
        assert_snapshot!(mistake("[environment]\npass = [\"A\", \"B=c\"]\n"), @r#"
        `B=c` is not the name of an environment variable
         --> x.toml:2:14
          |
        2 | pass = ["A", "B=c"]
          |              ^^^^^
        hint: only the name stands here; values stand in `environment.set`
        "#);
        assert_snapshot!(mistake("[environment.set]\n\"A-B\" = \"c\"\n"), @r#"
        `A-B` is not the name of an environment variable
         --> x.toml:2:1
          |
        2 | "A-B" = "c"
          | ^^^^^
        hint: letters, digits and `_`, like "EDITOR"
        "#);
        assert_snapshot!(mistake("[agent]\ncommand = []\n"), @r#"
        a command needs a program
         --> x.toml:2:11
          |
        2 | command = []
          |           ^^
        hint: write it like ["aider", "--yes"]
        "#);
        assert_snapshot!(mistake("[state-copy]\n\"/etc/x.json\" = [\"a\"]\n"), @r#"
        `/etc/x.json` is not a path below the home
         --> x.toml:2:1
          |
        2 | "/etc/x.json" = ["a"]
          | ^^^^^^^^^^^^^
        hint: write it like "~/.agent"
        "#);
        assert_snapshot!(mistake("extends = [\"base\", \"../x\", \"ä b\", 7]\n"), @r#"
        `ä b` is not the name of a profile
         --> x.toml:1:28
          |
        1 | extends = ["base", "../x", "ä b", 7]
          |                            ^^^^^
        hint: a name has letters, digits, `-`, `_`, `.`; a file starts with `./`, `~/` or `/`
        "#);
    }

    #[test]
    fn wrong_syntax() {
        assert_snapshot!(mistake("git = shared\n"), @"
        string values must be quoted, expected literal string
         --> x.toml:1:7
          |
        1 | git = shared
          |       ^^^^^^
        ");
        assert_snapshot!(mistake("git = \"none\"\ngit = \"none\"\n"), @r#"
        duplicate key
         --> x.toml:2:1
          |
        2 | git = "none"
          | ^^^
        "#);
        assert_snapshot!(mistake("[files\n"), @"
        unclosed table, expected `]`
         --> x.toml:1:7
          |
        1 | [files
          |       ^
        ");
    }

    #[test]
    fn foreign_text_is_escaped() {
        let text = "\"a\\u001b]0;PWN\" = 1 # \u{1b}[2J \u{202e}\n";
        assert_snapshot!(mistake(text), @r#"
        invalid comment character, expected printable characters
         --> x.toml:1:23
          |
        1 | "a\u001b]0;PWN" = 1 # \x1b[2J \u{202e}
          |                       ^
        "#);
        let source = Source::new(LayerKind::User, "x.toml", b"git = 1\n# \xff\n".to_vec());
        assert_snapshot!(source.unwrap_err().to_string(), @"
        this is not UTF-8 text
         --> x.toml:2:3
          |
        2 | # �
          |   ^
        ");
    }

    proptest! {
        #[test]
        fn no_text_of_a_profile_reaches_the_terminal_raw(text in "(?s).{0,40}") {
            let source = Source::new(LayerKind::User, "x.toml", text.into_bytes()).unwrap();
            if let Err(error) = source.parse::<Profile>() {
                let shown = format!("{error}{}", error.hints().concat());
                prop_assert!(shown.split('\n').all(|line| line == visible(line)), "{shown:?}");
            }
        }

        #[test]
        fn any_span_can_be_shown(text in "(?s).{0,40}", a in 0_usize..60, b in 0_usize..60) {
            let source = Source::new(LayerKind::User, "x.toml", text.into_bytes()).unwrap();
            prop_assert!(source.error(a..b, "t").to_string().contains("x.toml:"));
        }
    }
}
